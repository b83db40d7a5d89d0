export { createImportHandlers, type ImportHandlers } from './routes.ts';
export { importQueue } from './send-run.ts';
export type { ImportDependencies } from './dependencies.ts';
