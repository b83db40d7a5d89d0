export { createImportHandlers, type ImportHandlers } from './routes.ts';
export { importQueue } from './create-import.ts';
export type { ImportDependencies } from './dependencies.ts';
