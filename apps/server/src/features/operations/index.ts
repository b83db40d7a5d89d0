export type { OperationsDependencies } from './dependencies.ts';
export { createOperationsHandlers, type OperationsHandlers } from './routes.ts';
