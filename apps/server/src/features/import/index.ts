export { createDeadRunFollower } from './follow-dead-runs.ts';
export { createImportHandlers, type ImportHandlers } from './routes.ts';
export { importQueue } from './send-run.ts';
export type { ImportDependencies } from './dependencies.ts';
