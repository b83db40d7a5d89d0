export {
  createTestDatabase,
  urlOf,
  type DatabaseTarget,
  type TestDatabase,
  type TestDatabaseOptions,
} from './create-test-database.ts';
export { noteFailedTry } from './failed-tries.ts';
export { createFakeClock, type FakeClock } from './fake-clock.ts';
export { watchForLeaks, type LeakWatch } from './leak-check.ts';
export { othersCanEnter } from './others-can-enter.ts';
export type { ProvidedPostgres } from './provided.ts';
export { spawnScript, type ScriptEnd, type SpawnedScript } from './spawn-script.ts';
export { createTemporaryFolder, type TemporaryFolder } from './temporary-folder.ts';
