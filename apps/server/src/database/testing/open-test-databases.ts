/** A migrated installation of its own for a test file: control database, room for cases, everything as in production. */
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import { createClock } from '../../platform/clock/create-clock.ts';
import type { Log } from '../../platform/log/Port.ts';
import { databaseConfigSchema } from '../config.ts';
import { openDatabases, type Databases, type OpenDatabasesOptions } from '../open-databases.ts';

export interface TestDatabases {
  readonly databases: Databases;
  readonly database: TestDatabase;
  /** Closes and drops everything; fails when something leaks. */
  readonly close: () => Promise<void>;
  /** A second process's view of the same installation. The caller closes it. */
  readonly openAnother: (changes?: Partial<OpenDatabasesOptions>) => Promise<Databases>;
}

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => silentLog,
};

/** Makes the installation from a template that has the server's migrations. */
export async function openTestDatabases(changes: Partial<OpenDatabasesOptions> = {}): Promise<TestDatabases> {
  const database = await createTestDatabase({
    template: 'server migrations',
    prepare: async (target) => {
      const databases = await openDatabases(testOptions(target, {}));
      await databases.migrate();
      await databases.close();
    },
  });
  const openAnother = async (more: Partial<OpenDatabasesOptions> = {}): Promise<Databases> =>
    openDatabases(testOptions(database.target, { ...changes, ...more }));
  const databases = await openAnother();
  await databases.migrate();
  return {
    databases,
    database,
    openAnother,
    close: async () => {
      await databases.close();
      await database.drop();
    },
  };
}

/** The settings of a server, for the given database. */
export function testOptions(
  target: TestDatabase['target'],
  changes: Partial<OpenDatabasesOptions>,
): OpenDatabasesOptions {
  const config = databaseConfigSchema.parse({ kind: 'url', url: 'secret://unused' });
  const writer = async (): Promise<TestDatabase['target']> => Promise.resolve(target);
  return {
    servers: { main: { writer } },
    timeouts: config.timeouts,
    pool: config.pool,
    cases: config.cases,
    namedStatements: false,
    clock: createClock(),
    log: silentLog,
    crashPoint: () => undefined,
    ...changes,
  };
}
