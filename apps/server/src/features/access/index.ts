export { accessConfigSchema } from './config.ts';
export type { AccessConfig } from './config.ts';
export { createAccess } from './create-access.ts';
export type { Access } from './create-access.ts';
export { acceptLocalToken } from './local-token.ts';
export { createToken } from './token.ts';
