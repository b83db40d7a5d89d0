/** A whole installation for tests of exchanges: databases, objects, engine, index, messaging that works, and nothing replaced. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CaseId, type JobId, type Actor, type ExchangeRequest } from '@casebound/contract';
import {
  createMessaging,
  createPostgresTransport,
  releaseAbandoned,
  type Messaging,
  type SqlDatabase,
} from '@casebound/messaging';
import { createTemporaryFolder, type DatabaseTarget } from '@casebound/test-kit';
import { openDatabases, type Database, type Databases, type OpenDatabasesOptions } from '../../../database/index.ts';
import { databaseConfigSchema } from '../../../database/config.ts';
import { readMigrations } from '../../../database/index.ts';
import {
  openTestDatabases,
  silentLog,
  testOptions,
  type TestDatabases,
} from '../../../database/testing/open-test-databases.ts';
import { createClock } from '../../../platform/clock/create-clock.ts';
import { builtinEngineMigrations } from '../../../platform/document-engine/adapters/builtin/migrations.ts';
import { pdfWorkersConfigSchema } from '../../../platform/document-engine/config.ts';
import { createDocumentEngine } from '../../../platform/document-engine/create-document-engine.ts';
import { createPdfWorkers } from '../../../platform/document-engine/pdf-workers/create-pdf-workers.ts';
import type { CrashPoint } from '../../../platform/crash-points/Port.ts';
import type { Log } from '../../../platform/log/Port.ts';
import type { ObjectStore } from '../../../platform/object-store/Port.ts';
import { createObjectStore } from '../../../platform/object-store/create-object-store.ts';
import { testDependencies } from '../../../platform/object-store/testing/test-dependencies.ts';
import { ocrConfigSchema } from '../../../platform/ocr/config.ts';
import { createOcr } from '../../../platform/ocr/create-ocr.ts';
import { createPageTexts } from '../../../platform/ocr/create-page-texts.ts';
import { searchIndexConfigSchema } from '../../../platform/search-index/config.ts';
import { createSearchIndex } from '../../../platform/search-index/create-search-index.ts';
import { messagingMigrations } from '../../../run/open-messaging.ts';
import { createCase } from '../../cases/index.ts';
import { caseDependencies } from '../../cases/testing/case-dependencies.ts';
import { createFields } from '../../fields/index.ts';
import { caseSchemaFile, createCaseRecords, loadModel } from '../../records/index.ts';
import { exchangeConfigSchema, type ExchangeConfig } from '../config.ts';
import { createExchanges, type Exchanges } from '../create-exchanges.ts';
import { getJob, hasEnded, type ExchangeJob } from '../job-store.ts';
import { exchangeCaseMigrations, exchangeControlMigrations } from '../migrations.ts';
import type { StepDependencies } from '../orchestrator/steps.ts';
import { requestExchange } from '../request-exchange.ts';
import { publicKeyText, signingKey } from '../verification/manifest-format.ts';
import type { ManifestKeys } from '../verification/manifest-keys.ts';

export const testActor: Actor = { kind: 'system', reason: 'test' };

const asSql = (database: Database): SqlDatabase => ({
  query: async (text, values) => database.transaction({ alongside: true }, async (tx) => tx.query(text, values)),
  transaction: async (work) => database.transaction({ alongside: true }, work),
});

/** Where an installation of a test is, so that other processes can join it. */
export interface TestPlace {
  readonly target: DatabaseTarget;
  readonly folder: string;
}

export interface JoinedExchange extends AsyncDisposable {
  readonly databases: Databases;
  readonly place: TestPlace;
  readonly parts: StepDependencies;
  readonly exchanges: Exchanges;
  readonly messaging: Messaging;
  /** The case is called so and something of its own: a test that is tried again makes another. */
  createCase(name: string): Promise<CaseId>;
  /** Starts an exchange and waits for its end. */
  run(request: ExchangeRequest, key?: string): Promise<ExchangeJob>;
  settled(jobId: JobId): Promise<ExchangeJob>;
}

export interface TestExchange extends JoinedExchange {
  readonly test: TestDatabases;
}

export interface TestExchangeOptions {
  readonly config?: Partial<ExchangeConfig>;
  readonly workers?: boolean;
  readonly casesPerDatabase?: number;
  /** Nothing runs by itself: neither workers nor relays. */
  readonly still?: boolean;
  readonly log?: Log;
  readonly change?: (parts: StepDependencies) => StepDependencies;
  readonly crashPoint?: CrashPoint;
  /** Stands between everything and the object store. */
  readonly wrapStore?: (store: ObjectStore) => ObjectStore;
  readonly settleMs?: number;
  /** Nobody else works on the queues: what dead processes held is given back at once. */
  readonly ownsQueues?: boolean;
}

/** A key of the test's own. */
const testManifestKeys = (): ManifestKeys => {
  const key = signingKey('42'.repeat(32));
  return { signing: async () => Promise.resolve(key), publicKey: async () => Promise.resolve(publicKeyText(key)) };
};

const featureFolder = (name: string): string =>
  fileURLToPath(new URL(`../../${name}/case-migrations/`, import.meta.url));

const databaseOptions = (options: TestExchangeOptions): Partial<OpenDatabasesOptions> => ({
  controlMigrations: [...messagingMigrations.control, exchangeControlMigrations],
  caseDatabaseMigrations: messagingMigrations.cases,
  ...(options.casesPerDatabase === undefined
    ? {}
    : {
        cases: databaseConfigSchema.parse({
          kind: 'url',
          url: 'secret://unused',
          cases: { casesPerDatabase: options.casesPerDatabase },
        }).cases,
      }),
  ...(options.crashPoint === undefined ? {} : { crashPoint: options.crashPoint }),
});

export const openTestExchange = async (options: TestExchangeOptions = {}): Promise<TestExchange> => {
  await using resources = new AsyncDisposableStack();
  const test = await openTestDatabases(databaseOptions(options));
  resources.defer(async () => test.close());
  const folder = await createTemporaryFolder();
  resources.defer(async () => folder[Symbol.asyncDispose]());
  const place = { target: test.database.target, folder: folder.path };
  const joined = await assemble(test.databases, place, options);
  resources.use(joined);
  const opened = resources.move();
  return { ...joined, test, [Symbol.asyncDispose]: async () => opened.disposeAsync() };
};

/** A process of an installation that is there. The first one migrates it. */
export const joinTestExchange = async (
  place: TestPlace,
  options: TestExchangeOptions = {},
): Promise<JoinedExchange> => {
  await using resources = new AsyncDisposableStack();
  const databases = await openDatabases(testOptions(place.target, databaseOptions(options)));
  resources.defer(async () => databases.close());
  await databases.migrate();
  const joined = await assemble(databases, place, options);
  resources.use(joined);
  const opened = resources.move();
  return { ...joined, [Symbol.asyncDispose]: async () => opened.disposeAsync() };
};

const assemble = async (
  databases: Databases,
  place: TestPlace,
  options: TestExchangeOptions,
): Promise<JoinedExchange> => {
  await using resources = new AsyncDisposableStack();
  const { log = silentLog, crashPoint = () => undefined } = options;
  const clock = createClock();
  const store = await createObjectStore(
    {
      kind: 'filesystem',
      fsync: 'never',
      flushIntervalMs: 1_000,
      copies: 'hardlink',
      groupReadable: false,
      sweepAfterSeconds: 86_400,
    },
    { defaultRoot: `${place.folder}/objects`, ...testDependencies({ crashPoint }) },
  );
  resources.defer(async () => store.close());
  const objects = options.wrapStore?.(store) ?? store;
  const records = createCaseRecords({ sessions: databases.cases, model: await loadModel([caseSchemaFile]) });
  const fields = createFields({ sessions: databases.cases, objects, clock, cacheBytes: 1_000_000 });
  const workers = createPdfWorkers(pdfWorkersConfigSchema.parse({ workers: 1 }));
  resources.defer(async () => workers.close());
  const ocrConfig = ocrConfigSchema.parse({});
  const ocr = await createOcr(ocrConfig);
  resources.defer(async () => ocr.close());
  const engine = await createDocumentEngine({ kind: 'builtin' }, { cases: databases.cases, objects, workers });
  resources.defer(async () => engine.close());
  const index = await createSearchIndex(searchIndexConfigSchema.parse(undefined), {
    defaultRoot: `${place.folder}/search`,
  });
  resources.defer(async () => index.close());
  const cases = caseDependencies(databases, {
    provisioners: [records.provision],
    caseMigrations: await readMigrations([
      { set: 'fields', folder: featureFolder('fields') },
      { set: 'audit', folder: featureFolder('audit') },
      { set: 'annotations', folder: featureFolder('annotations') },
      { set: 'document-engine', folder: fileURLToPath(builtinEngineMigrations) },
      exchangeCaseMigrations,
    ]),
  });
  const config = exchangeConfigSchema.parse({
    teardownDelayMs: 200,
    pollMs: 200,
    leaseMs: 3_000,
    handlerTimeoutMs: 30_000,
    copyParallel: 2,
    ...options.config,
  });
  const base: StepDependencies = {
    control: databases.control,
    caseDatabases: databases.caseDatabases,
    owner: databases.owner,
    sessions: databases.cases,
    records,
    fields,
    objects,
    engine,
    pdf: workers,
    pageTexts: createPageTexts({ workers, ocr, config: ocrConfig }),
    index,
    messaging: () => messaging,
    clock,
    log,
    crashPoint,
    config,
    worker: `test-${process.pid}-${randomUUID()}`,
    manifestKeys: testManifestKeys(),
  };
  const parts = options.change?.(base) ?? base;
  const exchanges = createExchanges(parts);
  const control = asSql(databases.control);
  const worker = `w-${process.pid}-${randomUUID().slice(0, 8)}`;
  const messaging: Messaging = createMessaging({
    control,
    caseDatabases: async () =>
      (await databases.caseDatabases.list()).map(({ server, databaseName }) => ({
        name: `${server}/${databaseName}`,
        database: asSql(databases.owner(server, databaseName)),
      })),
    transport: () => createPostgresTransport({ control, clock, worker, pollMs: 50 }),
    payloads: { put: async () => {}, get: async () => Promise.reject(new Error('none')), delete: async () => {} },
    clock,
    log,
    worker,
    crashPoint,
    workerTotal: 16,
    handlers: exchanges.catalogue,
  });
  if (options.ownsQueues === true) await releaseAbandoned(control);
  if (options.still !== true) await messaging.start({ workers: options.workers ?? true });
  resources.defer(async () => messaging.stop(5_000));
  await exchanges.start({ soleProcess: true });

  const settled = async (jobId: JobId): Promise<ExchangeJob> => {
    const deadline = performance.now() + (options.settleMs ?? 60_000);
    for (;;) {
      const job = await databases.control.transaction({ readOnly: true }, async (tx) => getJob(tx, jobId));
      if (hasEnded(job.state)) return job;
      if (performance.now() > deadline)
        throw new Error(`The exchange hangs in ${job.state}: ${JSON.stringify(job.failure)}`);
      await sleep(50);
    }
  };
  const opened = resources.move();
  return {
    databases,
    place,
    parts,
    exchanges,
    messaging,
    createCase: async (name) =>
      CaseId.parse((await createCase(cases, testActor, { name: `${name} ${randomUUID()}` })).caseId),
    settled,
    async run(request, key) {
      const { job } = await requestExchange(parts, testActor, request, key);
      return settled(job.jobId);
    },
    [Symbol.asyncDispose]: async () => opened.disposeAsync(),
  };
};
