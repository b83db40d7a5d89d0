/**
 * A record store by itself over HTTP, over any API schema.
 *
 * 1. Serving without accounts is for loopback only; another address is refused.
 * 2. The store is provisioned when it is missing and never migrated by serving it: a schema that differs is refused.
 * 3. The watchdog runs always; only a store on the embedded database may go without.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { CaseboundError } from '@casebound/contract';
import {
  type CacheMode,
  countWaitingBumps,
  createWatchdog,
  defaultLimits,
  defaultWatchdog,
  type Incident,
  openStore,
  parseAuthorization,
  provisionStore,
  requireCustomViews,
  requireHealthy,
  startDeferredBumps,
  type StoreContext,
  type StoreLimits,
  type Watchdog,
  type WatchdogOptions,
} from '@casebound/records';
import { fastify, type FastifyInstance } from 'fastify';
import type { Metrics } from '../../platform/metrics/Port.ts';
import { createRecordMetrics } from './record-metrics.ts';
import { loadModel, openDatabase, type RecordsSource } from './record-source.ts';
import { recordsPlugin, sendProblem } from './records-plugin.ts';

/** How the watchdog of a served store works. */
export type WatchdogSettings = Pick<WatchdogOptions, 'intervalMs' | 'sampleSize' | 'commitShare' | 'onDamage'>;

export interface ServeOptions extends RecordsSource {
  readonly port: number;
  readonly host: string;
  readonly prefix: string;
  readonly cacheMode: CacheMode;
  /** File of a claim-set document; requests then name their claims in `x-casebound-claims`, as JSON. */
  readonly claimSetFile?: string;
  /** Null for none, on the embedded database only. */
  readonly watchdog: WatchdogSettings | null;
  readonly cascade?: Partial<StoreLimits['cascade']>;
  /** Where figures are declared; shown at `/metrics`. Once a process and store. */
  readonly metrics?: Metrics;
  readonly crashPoint?: (name: string) => void;
  /** Damage that the watchdog found. */
  readonly onIncident?: (incident: Incident) => void;
  readonly onInternalError: (error: unknown, requestId: string) => void;
}

export interface RunningRecords {
  readonly address: string;
  readonly resources: number;
  readonly provisioned: 'created' | 'present';
  /** Milliseconds from the call: schema derived, database open, store provisioned and opened, listening. */
  readonly timings: Readonly<Record<'derive' | 'database' | 'provision' | 'open' | 'listen', number>>;
  stop(): Promise<void>;
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.');

const readClaims = (
  raw: string | string[] | undefined,
): { claimSet: string; namespacePrefixes: string[]; groupDocumentIds: number[] } => {
  let value: unknown;
  try {
    value = JSON.parse(typeof raw === 'string' ? raw : '');
  } catch {
    throw new CaseboundError(
      'unauthenticated',
      'The header x-casebound-claims must hold JSON in a store with authorization rules.',
    );
  }
  const { claimSet, namespacePrefixes, groupDocumentIds } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return {
    claimSet: typeof claimSet === 'string' ? claimSet : '',
    namespacePrefixes: Array.isArray(namespacePrefixes)
      ? namespacePrefixes.filter((item) => typeof item === 'string')
      : [],
    groupDocumentIds: Array.isArray(groupDocumentIds)
      ? groupDocumentIds.filter((item) => Number.isSafeInteger(item))
      : [],
  };
};

const readJson = async (file: string): Promise<unknown> => {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new CaseboundError('config_invalid', `The file ${path.basename(file)} cannot be read as JSON.`, {
      cause: error,
    });
  }
};

/** Addresses that are no addresses, and those outside of the store, get problem documents too. */
const createApp = (options: Pick<ServeOptions, 'onInternalError'>): FastifyInstance => {
  const app = fastify({
    logger: false,
    bodyLimit: bodyLimitBytes,
    // A bulk body is read as fast as it is written, for as long as it takes; who sends it is on this machine.
    requestTimeout: 0,
    // Ids and names longer than any are answered as absent by the store.
    routerOptions: { maxParamLength: 1_000 },
    frameworkErrors: (_error, request, reply) => {
      const malformed = new CaseboundError('malformed_request', 'The address is not valid percent-encoded UTF-8.');
      void sendProblem(malformed, request, reply, options);
    },
  });
  const nothing = new CaseboundError('resource_not_found', 'There is nothing at this address.');
  app.setNotFoundHandler((request, reply) => sendProblem(nothing, request, reply, options));
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, options));
  return app;
};

const exposeMetrics = (app: FastifyInstance, metrics: Metrics, store: StoreContext, watchdog: Watchdog): void => {
  metrics.gauge({
    name: 'casebound_records_healthy',
    help: '0 after damage that was not repaired.',
    collect: (gauge) => gauge.set({}, watchdog.isHealthy() ? 1 : 0),
  });
  metrics.gauge({
    name: 'casebound_records_bumps_waiting',
    help: 'Etags of referrers that changes of identity have left to the background.',
    collect: async (gauge) => gauge.set({}, await countWaitingBumps(store)),
  });
  app.get('/metrics', async (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await metrics.render()),
  );
};

/** Serves a bare store over HTTP. Throws `schema_invalid`, `schema_mismatch`, `port_in_use`, ... */
export const runRecordsServe = async (options: ServeOptions): Promise<RunningRecords> => {
  if (!isLoopback(options.host))
    throw new CaseboundError(
      'config_invalid',
      'A bare record store has no accounts and is served on loopback addresses only.',
    );
  const marks: number[] = [performance.now()];
  const lap = (): number => {
    const now = performance.now();
    const spent = now - (marks.at(-1) ?? now);
    marks.push(now);
    return Math.round(spent);
  };
  const model = await loadModel(options.schemaFiles);
  const derive = lap();
  const opened = await openDatabase(options);
  const databaseMs = lap();
  try {
    if (options.watchdog === null && !opened.isEmbedded)
      throw new CaseboundError('config_invalid', 'The watchdog can be switched off on the embedded database only.');
    const provisioned = await provisionStore(opened.database.patient, model, options.store);
    const provisionMs = lap();
    const authorization =
      options.claimSetFile === undefined ? null : parseAuthorization(await readJson(options.claimSetFile));
    const watchdog = createWatchdog({
      ...(options.watchdog ?? defaultWatchdog),
      onIncident: (incident) => {
        options.onIncident?.(incident);
        options.log?.warn('records damage', {
          operation: incident.kind,
          component: incident.resource,
          documentId: incident.documentId,
        });
      },
      onFailure: (error) => options.log?.error('records watchdog failed', {}, error),
    });
    const store = await openStore({
      model,
      database: opened.database,
      schema: options.store,
      cacheMode: options.cacheMode,
      authorization,
      afterCommit: watchdog.afterCommit,
      limits: { ...defaultLimits, cascade: { ...defaultLimits.cascade, ...options.cascade } },
      ...(options.metrics === undefined ? {} : { metrics: createRecordMetrics(options.metrics) }),
      ...(options.crashPoint === undefined ? {} : { crashPoint: options.crashPoint }),
    });
    await requireCustomViews(store);
    const openMs = lap();
    const app = createApp(options);
    if (options.metrics !== undefined) exposeMetrics(app, options.metrics, store, watchdog);
    await app.register(recordsPlugin, {
      prefix: options.prefix,
      store: () => {
        requireHealthy(watchdog);
        return store;
      },
      claims: (request) => (authorization === null ? null : readClaims(request.headers['x-casebound-claims'])),
      bodyLimitBytes,
      onInternalError: options.onInternalError,
    });
    const address = await app.listen({ port: options.port, host: options.host }).catch((error: unknown) => {
      const code = (error as { readonly code?: unknown }).code;
      throw code === 'EADDRINUSE' ? new CaseboundError('port_in_use', `The port ${options.port} is taken.`) : error;
    });
    // Nothing works in the background of a store that could not be served.
    if (options.watchdog !== null) watchdog.start(store);
    const onFailure = (error: unknown): void => options.log?.error('records background work failed', {}, error);
    const bumps = startDeferredBumps(store, { intervalMs: 1_000, onFailure });
    const timings = { derive, database: databaseMs, provision: provisionMs, open: openMs, listen: lap() };
    return {
      address,
      resources: model.resources.size,
      provisioned,
      timings,
      stop: async () => {
        await app.close();
        await watchdog.stop();
        await bumps.stop();
        await opened.close();
      },
    };
  } catch (error) {
    await opened.close();
    throw error;
  }
};

/** Bodies larger than this are refused before they are read. */
const bodyLimitBytes = 8 * 1024 * 1024;
