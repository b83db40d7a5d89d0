/**
 * The only place where adapters are constructed and parts are put together.
 *
 * Invariants:
 * - What was opened is closed in reverse order, also when a later part fails to open: a start that fails leaves nothing.
 * - Nothing here decides anything for a use case; it only hands over.
 */
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { CaseboundError, jobCatalogue, type Actor, type CaseId, type Handlers, type Status } from '@casebound/contract';
import type { MigrationReport } from './cli/engine.ts';
import { queueSettingsOf, type Messaging } from '@casebound/messaging';
import type { EffectiveConfig } from './config/effective-config.ts';
import type { Config } from './config/schema.ts';
import { secretRequirements } from './config/secret-requirements.ts';
import { startEmbedded } from './database/embedded/index.ts';
import {
  openDatabases,
  parseConnectionUrl,
  readMigrations,
  validateTimeouts,
  type MigrationFolder,
  type Databases,
  type DatabaseConfig,
  type ServerEndpoints,
} from './database/index.ts';
import { acceptLocalToken, createAccess, type Access } from './features/access/index.ts';
import {
  countCases,
  createCaseHandlers,
  migrateCases,
  reconcileCases,
  type CasesDependencies,
} from './features/cases/index.ts';
import { createAnnotationHandlers } from './features/annotations/index.ts';
import { createAuditHandlers, createAuditSealer, type AuditSealer } from './features/audit/index.ts';
import {
  createManifestKeys,
  createExchanges,
  exchangeCaseMigrations,
  exchangeControlMigrations,
  type Exchanges,
} from './features/exchange/index.ts';
import { createExhibitHandlers } from './features/exhibits/index.ts';
import {
  createCaseFollower,
  createExhibitsChanged,
  createFieldHandlers,
  createFindByField,
  createFields,
  type Fields,
  type Publish,
} from './features/fields/index.ts';
import { createDeadRunFollower, createImportHandlers, importQueue } from './features/import/index.ts';
import { indexAnew } from './features/indexing/index.ts';
import { createOperationsHandlers } from './features/operations/index.ts';
import {
  caseSchemaFile,
  createCaseRecords,
  createRecordMetrics,
  loadModel,
  migrateCaseRecords,
  type CaseRecords,
} from './features/records/index.ts';
import { createReadiness, requireReady, type Readiness } from './http/readiness.ts';
import { createClock } from './platform/clock/create-clock.ts';
import type { Clock } from './platform/clock/Port.ts';
import { createCrashPoints } from './platform/crash-points/create-crash-points.ts';
import type { CrashPoint } from './platform/crash-points/Port.ts';
import { createDocumentEngine } from './platform/document-engine/create-document-engine.ts';
import { createPdfWorkers } from './platform/document-engine/pdf-workers/create-pdf-workers.ts';
import type { DocumentEngine, PdfWorkers } from './platform/document-engine/Port.ts';
import { builtinEngineMigrations } from './platform/document-engine/adapters/builtin/migrations.ts';
import type { Log } from './platform/log/Port.ts';
import { createMetrics } from './platform/metrics/create-metrics.ts';
import type { Metrics } from './platform/metrics/Port.ts';
import type { ObjectStoreConfig } from './platform/object-store/config.ts';
import { createObjectStore, type CreateObjectStoreOptions } from './platform/object-store/create-object-store.ts';
import { objectPrefix, type ObjectStore } from './platform/object-store/Port.ts';
import { createOcr } from './platform/ocr/create-ocr.ts';
import { createPageTexts } from './platform/ocr/create-page-texts.ts';
import { createSearchIndex } from './platform/search-index/create-search-index.ts';
import type { SearchIndex } from './platform/search-index/Port.ts';
import { createSecrets } from './platform/secrets/create-secrets.ts';
import type { Secrets, SecretSetting } from './platform/secrets/Port.ts';
import { observeDatabases } from './run/observe-databases.ts';
import { messagingMigrations, openMessaging, type OpenedMessaging } from './run/open-messaging.ts';

export type Role = Status['role'];

export interface SystemOptions {
  readonly effective: EffectiveConfig<Config>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly role: Role;
  readonly version: string;
  readonly log: Log;
  /**
   * What to do about a database that is behind this version: `migrate` it, and put right what crashes left; `require` that it
   * is not (`migration_pending`); or `leave` it, for a process that migrates when told to.
   */
  readonly schema: 'migrate' | 'require' | 'leave';
  readonly progress: (line: string) => void;
}

/** Everything that a process works with, open. */
export interface System {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly secrets: Secrets;
  readonly objects: ObjectStore;
  readonly databases: Databases;
  readonly cases: CasesDependencies;
  readonly records: CaseRecords;
  readonly fields: Fields;
  readonly audit: AuditSealer;
  readonly engine: DocumentEngine;
  readonly index: SearchIndex;
  readonly exchanges: Exchanges;
  readonly pdf: PdfWorkers;
  readonly messaging: Messaging;
  /** Creates the queues that stand for good, then relays and, with `workers`, works. */
  readonly start: (options: { readonly workers: boolean }) => Promise<void>;
  readonly access: Access;
  readonly readiness: Readiness;
  readonly handlers: Handlers;
  /** Takes `localToken` for the owner of the data folder, any other for the account that has it. */
  readonly authenticate: (token: string) => Promise<Actor | undefined>;
  readonly localToken: string;
  readonly status: () => Promise<Status>;
  /** Brings the databases and every case to this version, or says what it would apply. */
  readonly migrate: (dryRun: boolean) => Promise<MigrationReport>;
  close(): Promise<void>;
}

/** Tables that parts of the product keep in every case beside its records, in the order in which they are made. */
const caseMigrationFolders: readonly MigrationFolder[] = [
  ...['fields', 'audit', 'import', 'annotations'].map((feature) => ({
    set: feature,
    folder: path.join(import.meta.dirname, 'features', feature, 'case-migrations'),
  })),
  { set: 'document-engine', folder: fileURLToPath(builtinEngineMigrations) },
  exchangeCaseMigrations,
];

const LOCAL_TOKEN_BYTES = 32;
/** Longer than any transaction and any read. */
const FIELD_SWEEP_GRACE_MS = 24 * 3_600_000;
const FIELD_CACHE_BYTES = 64 * 1024 * 1024;
/** Writing to the object store at each question would be the question's main cost. */
const OBJECT_PROBE_FRESH_MS = 30_000;

const endpointsOf = (
  key: string,
  settings: Pick<Extract<DatabaseConfig, { kind: 'url' }>, 'url' | 'readerUrl' | 'directUrl'>,
  secrets: Secrets,
): ServerEndpoints => {
  const target = (name: string, setting: SecretSetting) => async () =>
    parseConnectionUrl((await secrets.get(setting)).reveal(), `${key}.${name}`);
  return {
    writer: target('url', settings.url),
    ...(settings.readerUrl === undefined ? {} : { reader: target('readerUrl', settings.readerUrl) }),
    ...(settings.directUrl === undefined ? {} : { direct: target('directUrl', settings.directUrl) }),
  };
};

type Servers = Readonly<Record<string, ServerEndpoints>> & { readonly main: ServerEndpoints };

const openServers = async (
  { effective, log, progress }: SystemOptions,
  secrets: Secrets,
  resources: AsyncDisposableStack,
): Promise<Servers> => {
  const { database } = effective.config;
  if (database.kind === 'url') {
    const others = database.caseServers.map((server, index) => [
      server.name,
      endpointsOf(`database.caseServers[${index}]`, server, secrets),
    ]);
    return { ...Object.fromEntries(others), main: endpointsOf('database', database, secrets) };
  }
  progress('Starting the embedded PostgreSQL ...');
  const server = await startEmbedded({
    dataDir: effective.dataFolder,
    maxConnections: database.maxConnections,
    settings: database.settings,
    log,
    ...(database.account === undefined ? {} : { account: database.account }),
    ...(database.port === undefined ? {} : { port: database.port }),
  });
  resources.defer(async () => server.stop());
  return { main: { writer: async () => server.target } };
};

const openObjects = async (
  { effective, log }: SystemOptions,
  { clock, secrets, crashPoint }: { clock: Clock; secrets: Secrets; crashPoint: CrashPoint },
): Promise<ObjectStore> => {
  const config = effective.config.objectStore;
  const reveal = async (setting: SecretSetting): Promise<string> => (await secrets.get(setting)).reveal();
  return createObjectStore(config, {
    clock,
    log,
    crashPoint,
    defaultRoot: path.join(effective.dataFolder, 'objects'),
    ...s3CredentialsOf(config, reveal),
  });
};

const s3CredentialsOf = (
  config: ObjectStoreConfig,
  reveal: (setting: SecretSetting) => Promise<string>,
): Pick<CreateObjectStoreOptions, 's3Credentials'> => {
  if (config.kind !== 's3' || config.accessKeyId === undefined || config.secretAccessKey === undefined) return {};
  const { accessKeyId, secretAccessKey, sessionToken } = config;
  return {
    s3Credentials: async () => ({
      accessKeyId: await reveal(accessKeyId),
      secretAccessKey: await reveal(secretAccessKey),
      ...(sessionToken === undefined ? {} : { sessionToken: await reveal(sessionToken) }),
    }),
  };
};

const openEngine = async (
  { effective }: SystemOptions,
  parts: Pick<System, 'clock' | 'secrets' | 'metrics' | 'objects'> & {
    readonly cases: Databases['cases'];
    readonly workers: PdfWorkers;
    readonly breakers: () => Messaging['breakers'];
  },
): Promise<DocumentEngine> => {
  const config = effective.config.documentEngine;
  return createDocumentEngine(config, {
    cases: parts.cases,
    objects: parts.objects,
    workers: parts.workers,
    ...(config.kind === 'nutrient'
      ? {
          nutrient: () => ({
            clock: parts.clock,
            secrets: parts.secrets,
            metrics: parts.metrics,
            workers: parts.workers,
            // Among those that operators see. Nothing is asked of the engine before messaging is open.
            breaker: {
              run: async (call) => {
                const { breakerThreshold: threshold, breakerOpenMs: openMs } = config;
                return parts.breakers().of('nutrient', { threshold, openMs }).run(call);
              },
            },
          }),
        }
      : {}),
  });
};

const refusePending = async (databases: Databases): Promise<void> => {
  const pending = await databases.pending();
  if (pending.length === 0) return;
  throw new CaseboundError(
    'migration_pending',
    `The database lacks ${pending.length} migrations of this version, the first is ${pending[0]}; run \`casebound migrate\`.`,
  );
};

/** Says nothing of where the store is: whether a server is ready is a public question. */
const checkObjects = (objects: ObjectStore, clock: Clock): (() => Promise<string>) => {
  let last: { readonly atMs: number; readonly found: string } | undefined;
  return async () => {
    if (last === undefined || clock.monotonicMs() - last.atMs > OBJECT_PROBE_FRESH_MS) {
      const { writeMs, readMs } = await objects.probe();
      last = {
        atMs: clock.monotonicMs(),
        found: `A small object was written in ${Math.round(writeMs)} ms, read in ${Math.round(readMs)} ms.`,
      };
    }
    return last.found;
  };
};

/** Opens everything in order: secrets, database, objects, then what stands on them. */
export const openSystem = async (options: SystemOptions): Promise<System> => {
  const { effective, environment, log, role, version } = options;
  const { config } = effective;
  await using resources = new AsyncDisposableStack();
  const clock = createClock();
  const metrics = createMetrics();
  const crashPoint = createCrashPoints(environment);
  validateTimeouts(config.database.timeouts, [{ name: 'http.requestTimeoutMs', ms: config.http.requestTimeoutMs }]);

  const secrets = await createSecrets(config.secrets, {
    clock,
    log,
    environment,
    dataFolder: effective.dataFolder,
    crashPoint,
  });
  resources.defer(async () => secrets.close());
  await secrets.checkAll(secretRequirements(config));
  const closing = new AbortController();
  const watching = secrets.watch(closing.signal);
  resources.defer(async () => {
    closing.abort();
    await watching;
  });

  const servers = await openServers(options, secrets, resources);
  const databases = await openDatabases({
    servers,
    timeouts: config.database.timeouts,
    pool: config.database.pool,
    cases: config.database.cases,
    namedStatements: config.database.namedStatements,
    controlMigrations: [...messagingMigrations.control, exchangeControlMigrations],
    caseDatabaseMigrations: messagingMigrations.cases,
    clock,
    log,
    crashPoint,
  });
  resources.defer(async () => databases.close());
  observeDatabases(metrics, databases);
  if (options.schema === 'migrate') await databases.migrate();
  if (options.schema === 'require') await refusePending(databases);

  const objects = await openObjects(options, { clock, secrets, crashPoint });
  resources.defer(async () => objects.close());

  const index = await createSearchIndex(config.searchIndex, { defaultRoot: path.join(effective.dataFolder, 'search') });
  resources.defer(async () => index.close());

  const records = createCaseRecords({
    sessions: databases.cases,
    model: await loadModel([caseSchemaFile, ...config.records.extensions]),
    metrics: createRecordMetrics(metrics),
  });
  const cases: CasesDependencies = {
    control: databases.control,
    caseDatabases: databases.caseDatabases,
    sessions: databases.cases,
    owner: databases.owner,
    roleContext: databases.roleContext,
    provisioners: [records.provision],
    caseMigrations: await readMigrations(caseMigrationFolders),
    removeObjects: async (prefix, signal) => {
      await objects.deletePrefix(objectPrefix(prefix), signal === undefined ? {} : { signal });
    },
    onCaseDeleted: [async (caseId) => Promise.resolve(records.forget(caseId)), async (caseId) => index.drop(caseId)],
    crashPoint,
    log,
  };
  const audit = createAuditSealer({ sessions: databases.cases, clock, log: log.with({ component: 'audit' }) });
  /** Stated while something is served, and so after messaging was opened. */
  const publish: Publish = async (tx, events) => messaging.outbox.publish(tx, messaging.topic, events);
  const fields = createFields({
    sessions: databases.cases,
    objects,
    clock,
    cacheBytes: FIELD_CACHE_BYTES,
    onAudited: audit.note,
    publish,
    crashPoint,
  });
  const migrateAllCases = async (): Promise<number> => {
    const migrated = await migrateCases(cases);
    const { migrated: stores } = await migrateCaseRecords({ ...databases, model: records.model, log });
    await reconcileCases(cases);
    return migrated + stores;
  };
  if (options.schema === 'migrate') await migrateAllCases();

  const pdf = createPdfWorkers(config.pdfWorkers);
  resources.defer(async () => pdf.close());
  const ocr = await createOcr(config.ocr);
  resources.defer(async () => ocr.close());
  const pageTexts = createPageTexts({ workers: pdf, ocr, config: config.ocr });
  const engine = await openEngine(options, {
    clock,
    secrets,
    metrics,
    cases: databases.cases,
    objects,
    workers: pdf,
    breakers: () => messaging.breakers,
  });
  resources.defer(async () => engine.close());
  const importing = {
    sessions: databases.cases,
    records,
    fields,
    objects,
    engine,
    pdf,
    pageTexts,
    onAudited: audit.note,
    crashPoint,
    log: log.with({ component: 'import' }),
    index,
    chunkRows: config.import.chunkRows,
    sliceMs: config.import.sliceSeconds * 1000,
  };
  const soleProcess = config.database.kind === 'embedded' && options.schema === 'migrate';
  const exchanges = createExchanges({
    control: databases.control,
    caseDatabases: databases.caseDatabases,
    owner: databases.owner,
    sessions: databases.cases,
    records,
    fields,
    objects,
    engine,
    pdf,
    pageTexts,
    index,
    messaging: () => messaging,
    clock,
    log: log.with({ component: 'exchange' }),
    crashPoint,
    config: config.exchange,
    manifestKeys: createManifestKeys(secrets, config.exchange.manifestKey),
    worker: `${process.pid}-${randomBytes(4).toString('hex')}`,
  });
  const putIntoIndex = async (caseId: CaseId, actor: Actor, exhibitIds: readonly number[], signal: AbortSignal) =>
    indexAnew({ sessions: databases.cases, objects, index, fields }, caseId, actor, exhibitIds, signal);
  const follower = createCaseFollower({
    control: databases.control,
    fields,
    indexAnew: putIntoIndex,
    messaging: () => messaging,
  });
  const deadRuns = createDeadRunFollower({
    sessions: databases.cases,
    log: log.with({ component: 'import' }),
    messaging: () => messaging,
  });
  const { messaging, close: closeMessaging }: OpenedMessaging = await openMessaging({
    config: config.messaging,
    databases,
    target: servers.main.writer,
    objects,
    clock,
    log,
    metrics,
    crashPoint,
    ownsQueues: soleProcess,
    handlers: (parts) => ({
      ...exchanges.catalogue(parts),
      ...follower.catalogue(),
      ...deadRuns.catalogue(),
      run_import: {
        handle: async (deliveries, signal) => {
          const { createRunImportHandler } = await import('./features/import/run-import.handler.ts');
          const { outbox, topic } = messaging;
          return createRunImportHandler({ ...importing, outbox, topic })(deliveries, signal);
        },
        handlerTimeoutMs: jobCatalogue.run_import.handlerTimeoutSeconds * 1000,
        reserved: config.import.concurrency,
      },
    }),
  });
  resources.defer(closeMessaging);

  const access = createAccess({ database: databases.control, clock, log, config: config.access });
  const readiness = createReadiness({
    clock,
    log,
    checks: {
      database: async () => `PostgreSQL ${await databases.serverVersion()} answers.`,
      objects: checkObjects(objects, clock),
    },
  });
  const startedAt = clock.now();
  const startedMs = clock.monotonicMs();
  const status = async (): Promise<Status> => {
    const [serverVersion, counts] = await Promise.all([
      databases.serverVersion(),

      countCases(cases),
    ]);
    return {
      version,
      role,
      pid: process.pid,
      startedAt: startedAt.toISOString(),
      uptimeSeconds: Math.round(clock.monotonicMs() - startedMs) / 1000,
      database: { kind: config.database.kind, serverVersion, migration: databases.newestMigration },
      objectStore: { kind: config.objectStore.kind },
      cases: counts,
    };
  };
  const handlers: Handlers = {
    healthLive: async () => ({ live: true }),
    healthReady: async () => requireReady(await readiness.report()),
    getMetrics: async () => metrics.render(),
    getStatus: status,
    ...access.handlers,
    ...createCaseHandlers(cases),
    ...createOperationsHandlers({ ...messaging, clock }),
    ...exchanges.handlers,
    ...createAnnotationHandlers({
      sessions: databases.cases,
      records,
      objects,
      engine,
      pdf,
      index,
      fields,
      publish,
      onAudited: audit.note,
      crashPoint,
    }),
    ...createFieldHandlers({
      sessions: databases.cases,
      records,
      fields,
      publish,
      index,
      indexAnew: putIntoIndex,
      log: log.with({ component: 'fields' }),
      sweepGraceMs: FIELD_SWEEP_GRACE_MS,
    }),
    ...createAuditHandlers({ sessions: databases.cases, control: databases.control, seal: audit.seal }),
    ...createExhibitHandlers({
      sessions: databases.cases,
      records,
      fields,
      objects,
      engine,
      findByField: createFindByField({
        sessions: databases.cases,
        index,
        fields,
        log: log.with({ component: 'fields' }),
      }),
      changed: createExhibitsChanged(publish, 'exhibits'),
      onAudited: audit.note,
    }),
    ...createImportHandlers({
      ...importing,
      clock,
      queues: messaging.queues,
      outbox: messaging.outbox,
      topic: messaging.topic,
      roots: config.import.roots,
      activePerCase: config.import.activePerCase,
    }),
  };
  const start = async (roles: { readonly workers: boolean }): Promise<void> => {
    await messaging.queues.create(queueSettingsOf(importQueue, jobCatalogue.run_import));
    await messaging.start(roles);
    await messaging.fleet.create({
      name: 'imports_worker',
      queue: importQueue,
      handler: 'run_import',
      concurrency: config.import.concurrency,
      batchSize: 1,
      batchWindowMs: 0,
    });
    await exchanges.start({ soleProcess });
    await follower.start();
    await deadRuns.start();
    const listener = await follower.listen();
    opened.defer(async () => listener.close());
  };
  const localToken = randomBytes(LOCAL_TOKEN_BYTES).toString('base64url');
  const opened = resources.move();
  return {
    config,
    clock,
    log,
    metrics,
    secrets,
    objects,
    databases,
    cases,
    records,
    fields,
    audit,
    messaging,
    engine,
    index,
    exchanges,
    pdf,
    start,
    access,
    readiness,
    handlers,
    authenticate: acceptLocalToken(localToken, access.authenticate),
    localToken,
    status,
    migrate: async (dryRun) => {
      const pending = await databases.pending();
      const { newestMigration } = databases;
      if (dryRun) return { applied: [], pending, version: newestMigration, casesMigrated: 0 };
      await databases.migrate();
      const casesMigrated = await migrateAllCases();
      return { applied: pending, pending: [], version: newestMigration, casesMigrated };
    },
    close: async () => opened.disposeAsync(),
  };
};
