/** An installation with cases as the server makes them: record store, tables of the features, objects in a temporary folder. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { CaseId } from '@casebound/contract';
import { createOutbox } from '@casebound/messaging';
import { readMigrations } from '../../../database/index.ts';
import { openTestDatabases, silentLog, type TestDatabases } from '../../../database/testing/open-test-databases.ts';
import { createClock } from '../../../platform/clock/create-clock.ts';
import type { CrashPoint } from '../../../platform/crash-points/Port.ts';
import { objectStoreConfigSchema } from '../../../platform/object-store/config.ts';
import { createObjectStore } from '../../../platform/object-store/create-object-store.ts';
import type { ObjectStore } from '../../../platform/object-store/Port.ts';
import { messagingMigrations } from '../../../run/open-messaging.ts';
import { createCase, type CasesDependencies } from '../../cases/index.ts';
import { caseDependencies } from '../../cases/testing/case-dependencies.ts';
import { createFields, type Fields, type Publish } from '../../fields/index.ts';
import { createCaseRecords, caseSchemaFile, loadModel, type CaseRecords } from '../index.ts';

export const testActor = { kind: 'system', reason: 'test' } as const;

export interface TestCases extends TestDatabases {
  readonly cases: CasesDependencies;
  readonly records: CaseRecords;
  readonly fields: Fields;
  /** States events in the outbox of the case's database. */
  readonly publish: Publish;
  readonly objects: ObjectStore;
  /** Where the objects are. */
  readonly folder: string;
  /** The case is called so and something of its own: a test that is tried again makes another. */
  makeCase(name: string): Promise<CaseId>;
}

const features = path.join(import.meta.dirname, '../..');

/** `sets`: features whose tables each case gets, as in `compose.ts`. */
export const openTestCases = async (
  options: { readonly sets?: readonly string[]; readonly crashPoint?: CrashPoint } = {},
): Promise<TestCases> => {
  const { sets = ['fields', 'audit', 'import'], crashPoint = () => undefined } = options;
  const opened = await openTestDatabases({
    controlMigrations: messagingMigrations.control,
    caseDatabaseMigrations: messagingMigrations.cases,
  });
  const folder = await mkdtemp(path.join(tmpdir(), 'casebound-objects-'));
  const clock = createClock();
  const config = objectStoreConfigSchema.parse({ kind: 'filesystem', fsync: 'never' });
  const objects = await createObjectStore(config, {
    clock,
    log: silentLog,
    crashPoint,
    defaultRoot: folder,
  });
  const records = createCaseRecords({
    sessions: opened.databases.cases,
    model: await loadModel([caseSchemaFile]),
    crashPoint: () => undefined,
  });
  const cases = caseDependencies(opened.databases, {
    provisioners: [records.provision],
    caseMigrations: await readMigrations(
      sets.map((set) => ({ set, folder: path.join(features, set, 'case-migrations') })),
    ),
    crashPoint,
  });
  const outbox = createOutbox();
  const publish: Publish = async (tx, events) => outbox.publish(tx, 'test', events);
  const fields = createFields({
    sessions: opened.databases.cases,
    objects,
    clock,
    cacheBytes: 8 * 1024 * 1024,
    publish,
  });
  return {
    ...opened,
    cases,
    records,
    fields,
    publish,
    objects,
    folder,
    makeCase: async (name) => (await createCase(cases, testActor, { name: `${name} ${randomUUID()}` })).caseId,
    close: async () => {
      await objects.close();
      await opened.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
};
