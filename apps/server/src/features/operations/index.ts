export { messagingConfigSchema, type MessagingConfig } from './config.ts';
export type { OperationsDependencies } from './dependencies.ts';
export { createOperationsHandlers, type OperationsHandlers } from './routes.ts';
