/** Messaging on the server's own parts: the control database, the object store, and the transport that the configuration names. */
import { hostname } from 'node:os';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import {
  caseDatabaseMigrations,
  controlMigrations,
  createMessaging,
  createPostgresTransport,
  releaseAbandoned,
  type Messaging,
  type MessagingOptions,
  type PayloadStore,
  type SqlDatabase,
  type Transport,
} from '@casebound/messaging';
import pg from 'pg';
import { clientConfig } from '../database/connection-target.ts';
import type { ConnectionTarget, Database, Databases, MigrationFolder } from '../database/index.ts';
import type { MessagingConfig } from '../features/operations/index.ts';
import type { Clock } from '../platform/clock/Port.ts';
import type { CrashPoint } from '../platform/crash-points/Port.ts';
import type { Log } from '../platform/log/Port.ts';
import type { Metrics } from '../platform/metrics/Port.ts';
import { objectKey, type ObjectStore } from '../platform/object-store/Port.ts';
import { readBytes } from '../platform/object-store/read-bytes.ts';

/** Payloads that a message cannot carry are far smaller than this; it bounds what a damaged claim can make us read. */
const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;

const effects: MigrationFolder = { set: 'messaging-effects', folder: fileURLToPath(caseDatabaseMigrations) };

/** Tables of messaging for the control database, where handlers have effects too, and for each database with cases. */
export const messagingMigrations: {
  readonly control: readonly MigrationFolder[];
  readonly cases: readonly MigrationFolder[];
} = { control: [{ set: 'messaging', folder: fileURLToPath(controlMigrations) }, effects], cases: [effects] };

/** A `Database` as messaging asks for it. Its work may be called from within another transaction, of a handler for one. */
const asSqlDatabase = (database: Database): SqlDatabase => ({
  query: async (text, values) => database.transaction({ alongside: true }, async (tx) => tx.query(text, values)),
  transaction: async (work) => database.transaction({ alongside: true }, work),
});

/**
 * The control database with single statements of one round trip, on a few connections of their own: a queue sends, receives and
 * acknowledges with one statement each, and BEGIN and COMMIT around it would triple its cost. Transactions stay the server's own,
 * with their timeouts and retries. A statement alone sets nothing for its session, so a transaction-mode pooler may stand between.
 */
const openQueueConnections = async (
  { config, databases, target }: Pick<OpenMessagingOptions, 'config' | 'databases' | 'target'>,
  log: Log,
): Promise<{ readonly control: SqlDatabase; readonly close: () => Promise<void> }> => {
  const pool = new pg.Pool({
    ...clientConfig(await target(), 'casebound messaging'),
    // Asked at each connect, so that a rotated password is taken up.
    password: async () => (await target()).password,
    max: config.connections,
    idleTimeoutMillis: 10_000,
    maxLifetimeSeconds: 1_800,
    connectionTimeoutMillis: 10_000,
    query_timeout: config.statementTimeoutMs,
    keepAlive: true,
  });
  let isClosing = false;
  pool.on('error', (error: Error & { readonly code?: string }) => {
    // One that was still being opened when the pool was closed is ended by the server's own end, which is no news.
    if (!isClosing) log.warn('A connection of messaging broke', { errorCode: error.code ?? error.name });
  });
  return {
    control: {
      query: async (text, values) => pool.query(text, values === undefined ? undefined : [...values]),
      transaction: async (work) => databases.control.transaction({ alongside: true }, work),
    },
    close: async () => {
      isClosing = true;
      await pool.end();
    },
  };
};

const asPayloadStore = (objects: ObjectStore): PayloadStore => ({
  put: async (key, bytes) => {
    await objects.put(objectKey(key), bytes);
  },
  get: async (key) => readBytes(objects, objectKey(key), { maxBytes: MAX_PAYLOAD_BYTES }),
  delete: async (key) => objects.delete(objectKey(key)),
});

type TransportParts = Parameters<MessagingOptions['transport']>[0];

interface TransportOptions {
  readonly config: MessagingConfig['transport'];
  readonly control: SqlDatabase;
  readonly clock: Clock;
  readonly worker: string;
}

interface ChosenTransport {
  readonly open: (parts: TransportParts) => Transport;
  readonly close: () => void;
}

/** The AWS SDK is loaded only when it is asked for. */
const chooseTransport = async ({ config, control, clock, worker }: TransportOptions): Promise<ChosenTransport> => {
  switch (config.kind) {
    case 'postgres':
      return {
        open: () => createPostgresTransport({ control, clock, worker, pollMs: config.pollMs }),
        close: () => undefined,
      };
    case 'aws': {
      const { createAwsTransport, createSdkClients } = await import('@casebound/messaging/aws');
      const { namePrefix, region, endpoint, connectTimeoutMs, requestTimeoutMs } = config;
      const clients = createSdkClients({
        connectTimeoutMs,
        requestTimeoutMs,
        ...(region === undefined ? {} : { region }),
        ...(endpoint === undefined ? {} : { endpoint }),
      });
      const { sqs, sns, close } = clients;
      return {
        open: ({ deadLetters }) => createAwsTransport({ sqs, sns, control, clock, deadLetters, namePrefix }),
        close,
      };
    }
  }
};

export interface OpenMessagingOptions {
  readonly config: MessagingConfig;
  readonly databases: Databases;
  /** Where the control database is now. */
  readonly target: () => Promise<ConnectionTarget>;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly crashPoint: CrashPoint;
  /** How each kind of work is done. */
  readonly handlers?: NonNullable<MessagingOptions['handlers']>;
  /** Nobody else works on these queues: what dead processes held is given back at once. */
  readonly ownsQueues: boolean;
}

export interface OpenedMessaging {
  readonly messaging: Messaging;
  /** Lets handlers finish within the configured deadline, then ends every loop and connection. */
  readonly close: () => Promise<void>;
}

/** Opens nothing that runs: `messaging.start` does. */
export const openMessaging = async (options: OpenMessagingOptions): Promise<OpenedMessaging> => {
  const { config, databases, objects, clock, log, metrics, crashPoint } = options;
  const { control, close: closeConnections } = await openQueueConnections(options, log);
  const worker = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
  if (options.ownsQueues && config.transport.kind === 'postgres') await releaseAbandoned(control);
  const transport = await chooseTransport({ config: config.transport, control, clock, worker });
  const messaging = createMessaging({
    control,
    caseDatabases: async () =>
      (await databases.caseDatabases.list()).map(({ server, databaseName }) => ({
        name: `${server}/${databaseName}`,
        database: asSqlDatabase(databases.owner(server, databaseName)),
      })),
    transport: transport.open,
    payloads: asPayloadStore(objects),
    clock,
    log: log.with({ component: 'messaging' }),
    metrics,
    crashPoint,
    worker,
    workerTotal: config.workerTotal,
    ...(options.handlers === undefined ? {} : { handlers: options.handlers }),
    ...(config.maxInFlightPerCase === undefined ? {} : { maxInFlightPerCase: config.maxInFlightPerCase }),
  });
  return {
    messaging,
    close: async () => {
      await messaging.stop(config.shutdownDeadlineMs);
      transport.close();
      await closeConnections();
    },
  };
};
