export { createAccess } from './create-access.ts';
export type { Access } from './create-access.ts';
export { acceptLocalToken } from './local-token.ts';
