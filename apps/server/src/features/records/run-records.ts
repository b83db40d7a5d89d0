/**
 * The record store by itself: `casebound records ...` over any API schema.
 *
 * 1. Serving without accounts is for loopback only; another address is refused.
 * 2. The store is provisioned when it is missing and never migrated by serving it: a schema that differs is refused.
 * 3. The watchdog runs always; only a store on the embedded database may go without.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { CaseboundError } from '@casebound/contract';
import {
  auditDocuments,
  auditStore,
  type AuditSummary,
  type CacheMode,
  createWatchdog,
  type Damage,
  defaultWatchdog,
  deriveModel,
  emitDdl,
  loadSchema,
  locateDocuments,
  migrateStore,
  type Model,
  openStore,
  parseAuthorization,
  provisionStore,
  requireHealthy,
} from '@casebound/records';
import { fastify } from 'fastify';
import { parseConnectionUrl } from '../../database/index.ts';
import { startEmbedded } from '../../database/embedded/index.ts';
import type { Log } from '../../platform/log/Port.ts';
import { openRecordDatabase, type OpenRecordDatabase } from './record-database.ts';
import { recordsPlugin } from './records-plugin.ts';

export interface RecordsSource {
  /** API schema files: one core project and its extensions. */
  readonly schemaFiles: readonly string[];
  /** PostgreSQL schema of the store. */
  readonly store: string;
  /** `postgres://...`; without it the embedded server of `dataDir` is started. */
  readonly databaseUrl?: string;
  readonly dataDir: string;
  readonly log?: Log;
}

const storeNameForm = /^[a-z_][a-z0-9_]{0,62}$/;

/** Reads and derives schema files. Throws `schema_invalid` naming the file that cannot be read. */
export const loadModel = async (files: readonly string[]): Promise<Model> => {
  const inputs = await Promise.all(
    files.map(async (file): Promise<unknown> => {
      try {
        return JSON.parse(await readFile(file, 'utf8'));
      } catch (error) {
        throw new CaseboundError('schema_invalid', `The API schema ${path.basename(file)} cannot be read as JSON.`, {
          cause: error,
        });
      }
    }),
  );
  return deriveModel(loadSchema(inputs));
};

interface OpenedDatabase {
  readonly database: OpenRecordDatabase;
  readonly isEmbedded: boolean;
  close(): Promise<void>;
}

const openDatabase = async (source: RecordsSource): Promise<OpenedDatabase> => {
  if (!storeNameForm.test(source.store))
    throw new CaseboundError('validation_failed', 'The name of a store holds a-z, 0-9 and _ and begins with a letter.');
  const settings = { maxConnections: 20, namedStatements: true, lockTimeoutMs: 10_000, statementTimeoutMs: 60_000 };
  if (source.databaseUrl !== undefined) {
    parseConnectionUrl(source.databaseUrl, '--database-url');
    const database = openRecordDatabase({ ...settings, connection: { connectionString: source.databaseUrl } });
    return { database, isEmbedded: false, close: async () => database.close() };
  }
  const server = await startEmbedded({
    dataDir: source.dataDir,
    command: 'casebound records',
    ...(source.log === undefined ? {} : { log: source.log }),
  });
  const { host, port, user, password, database: name } = server.target;
  const database = openRecordDatabase({ ...settings, connection: { host, port, user, password, database: name } });
  return {
    database,
    isEmbedded: true,
    close: async () => {
      await database.close();
      await server.stop();
    },
  };
};

const withDatabase = async <T>(
  source: RecordsSource,
  fn: (opened: OpenedDatabase, model: Model) => Promise<T>,
): Promise<T> => {
  const model = await loadModel(source.schemaFiles);
  const opened = await openDatabase(source);
  try {
    return await fn(opened, model);
  } finally {
    await opened.close();
  }
};

/** The DDL of a store as one SQL script. */
export const ddlEmit = async (
  source: Pick<RecordsSource, 'schemaFiles' | 'store'>,
  edgePartitions = 1,
): Promise<string> => {
  const model = await loadModel(source.schemaFiles);
  return `${emitDdl(model, source.store, { edgePartitions }).join(';\n')};\n`;
};

/** Makes the store. Returns whether it was there already. */
export const provision = async (source: RecordsSource): Promise<'created' | 'present'> =>
  withDatabase(source, async ({ database }, model) => provisionStore(database.patient, model, source.store));

/** Brings the store to the schema of the files; returns the changes in words. */
export const migrate = async (
  source: RecordsSource,
  options: { readonly accept: readonly string[]; readonly dryRun: boolean },
): Promise<readonly string[]> =>
  withDatabase(source, async ({ database }, model) =>
    migrateStore(database.patient, database, model, source.store, options),
  );

export interface AuditRequest {
  readonly repair: boolean;
  /** UUIDs or ids; empty for the whole store. */
  readonly documents: readonly string[];
  readonly cascade: boolean;
  readonly restart: boolean;
  readonly onDamage: (damage: Damage) => void;
}

/** Audits the store, or some documents of it. */
export const audit = async (source: RecordsSource, request: AuditRequest): Promise<AuditSummary> =>
  withDatabase(source, async ({ database }, model) => {
    const store = await openStore({ model, database: database.patient, schema: source.store });
    if (request.documents.length === 0)
      return auditStore(store, { repair: request.repair, resume: !request.restart, onDamage: request.onDamage });
    const located = await locateDocuments(store, request.documents, request.cascade);
    const damages = await auditDocuments(store, located, request.repair);
    for (const damage of damages) request.onDamage(damage);
    const byKind: Record<string, number> = {};
    for (const damage of damages) byKind[damage.kind] = (byKind[damage.kind] ?? 0) + 1;
    const repaired = request.repair ? damages.filter((damage) => damage.repairable).length : 0;
    return { checked: located.length, damages: damages.length, repaired, byKind };
  });

export interface ServeOptions extends RecordsSource {
  readonly port: number;
  readonly host: string;
  readonly prefix: string;
  readonly cacheMode: CacheMode;
  /** File of a claim-set document; requests then name their claims in `x-casebound-claims`, as JSON. */
  readonly claimSetFile?: string;
  readonly watchdog: boolean;
  readonly crashPoint?: (name: string) => void;
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
    if (!options.watchdog && !opened.isEmbedded)
      throw new CaseboundError('config_invalid', 'The watchdog can be switched off on the embedded database only.');
    const provisioned = await provisionStore(opened.database.patient, model, options.store);
    const provisionMs = lap();
    const authorization =
      options.claimSetFile === undefined
        ? null
        : parseAuthorization(JSON.parse(await readFile(options.claimSetFile, 'utf8')));
    const watchdog = createWatchdog({
      ...defaultWatchdog,
      onIncident: (incident) =>
        options.log?.warn('records damage', {
          operation: incident.kind,
          component: incident.resource,
          documentId: incident.documentId,
        }),
      onFailure: (error) => options.log?.error('records watchdog failed', {}, error),
    });
    const store = await openStore({
      model,
      database: opened.database,
      schema: options.store,
      cacheMode: options.cacheMode,
      authorization,
      afterCommit: watchdog.afterCommit,
      ...(options.crashPoint === undefined ? {} : { crashPoint: options.crashPoint }),
    });
    const openMs = lap();
    if (options.watchdog) watchdog.start(store);
    const app = fastify({ logger: false, bodyLimit: bodyLimitBytes, requestTimeout: 120_000 });
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
    const timings = { derive, database: databaseMs, provision: provisionMs, open: openMs, listen: lap() };
    return {
      address,
      resources: model.resources.size,
      provisioned,
      timings,
      stop: async () => {
        await app.close();
        await watchdog.stop();
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
