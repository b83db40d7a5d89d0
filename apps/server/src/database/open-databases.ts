/**
 * Composition of everything that speaks to PostgreSQL: one pool, the control database, the case databases, the sessions of
 * cases. Whoever opens it closes it.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { CaseboundError } from '@casebound/contract';
import type { Clock } from '../platform/clock/Port.ts';
import type { CrashPoint } from '../platform/crash-points/Port.ts';
import type { Log } from '../platform/log/Port.ts';
import { createCaseDatabases, type CaseDatabases } from './case-databases.ts';
import type { CaseRoleContext } from './case-roles.ts';
import { createCaseSessions, type CaseSessions } from './case-sessions.ts';
import { checkServer } from './check-server.ts';
import type { CaseDatabasesSettings, PoolSettings, Timeouts } from './config.ts';
import { ConnectionPool } from './connection-pool.ts';
import { clientConfig, type ConnectionTarget } from './connection-target.ts';
import type { Database, OwnerDatabase, PoolStatistics } from './Database.ts';
import { listPending, migrate, readMigrations, type MigrationFolder } from './migrations.ts';
import { PgDatabase, type DatabaseCounters, type Engine } from './pg-database.ts';
import { quoteIdentifier } from './quote-identifier.ts';
import type { RetryPolicy } from './retry-on-conflict.ts';

/** How to reach one server. Functions, so that a rotated secret is taken up at the next connect. */
export interface ServerEndpoints {
  /** The writer; may be a pooler in transaction mode. */
  readonly writer: () => Promise<ConnectionTarget>;
  readonly reader?: () => Promise<ConnectionTarget>;
  /** The writer without a pooler. Default: `writer`. */
  readonly direct?: () => Promise<ConnectionTarget>;
}

export interface OpenDatabasesOptions {
  /** `main` holds the control database, which its targets name. */
  readonly servers: Readonly<Record<string, ServerEndpoints>> & { readonly main: ServerEndpoints };
  readonly timeouts: Timeouts;
  readonly pool: PoolSettings;
  readonly cases: CaseDatabasesSettings;
  readonly namedStatements: boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly crashPoint: CrashPoint;
  /** Migrations that packages bring for the control database, after the server's own (`core`). */
  readonly controlMigrations?: readonly MigrationFolder[];
  /** Migrations that packages bring for each database that holds cases, after the server's own (`casebound`). */
  readonly caseDatabaseMigrations?: readonly MigrationFolder[];
  readonly retryPolicy?: RetryPolicy;
  /** Evenly from [0, 1). Default `Math.random`. */
  readonly random?: () => number;
}

export interface Databases {
  /** Cases, accounts, queues: what is not within a case. */
  readonly control: Database;
  readonly caseDatabases: CaseDatabases;
  readonly cases: CaseSessions;
  /** A case database as its owner: to make, migrate and drop cases. */
  readonly owner: (server: string, databaseName: string) => OwnerDatabase;
  readonly roleContext: () => Promise<CaseRoleContext>;
  /**
   * Checks version and privileges, then applies the migrations of the control database and of every case database.
   * @returns the number of the newest migration of the set `core`. Errors: `database_unreachable`, `database_denied`,
   * `database_unsupported`, `migration_drift`, `data_folder_too_new`.
   */
  readonly migrate: () => Promise<number>;
  /**
   * Checks version and privileges, then names the migrations of the control database (`set/file`) that `migrate` would
   * apply, and changes nothing. Errors: as `migrate`.
   */
  readonly pending: () => Promise<string[]>;
  /** Number of the newest migration of the set `core` in this version. */
  readonly newestMigration: number;
  readonly serverVersion: () => Promise<string>;
  readonly statistics: () => PoolStatistics & Readonly<DatabaseCounters>;
  /** Waits for transactions in progress, at most `deadlineMs` (default 10,000), then closes every connection. */
  readonly close: (deadlineMs?: number) => Promise<void>;
}

/** Cases that one backend of the owner makes, migrates or drops before it is replaced. */
const ownerUses = 20;

/** Opens nothing yet: connections are made when they are needed. */
export async function openDatabases(options: OpenDatabasesOptions): Promise<Databases> {
  const engine: Engine = {
    pool: new ConnectionPool(options.pool, options.timeouts.connectTimeoutMs),
    timeouts: options.timeouts,
    namedStatements: options.namedStatements,
    clock: options.clock,
    log: options.log,
    random: options.random ?? Math.random,
    counters: { transactions: 0, conflicts: 0, reconnects: 0 },
    nesting: new AsyncLocalStorage(),
    ...(options.retryPolicy === undefined ? {} : { retryPolicy: options.retryPolicy }),
  };
  const controlName = (await options.servers.main.writer()).database;
  if (!/^[a-z_][a-z0-9_]{0,39}$/.test(controlName)) {
    throw new CaseboundError(
      'config_invalid',
      `The database ${JSON.stringify(controlName)} of database.url cannot be used, because roles and databases are named after it; use lower-case letters, digits and underscores, at most 40.`,
    );
  }
  const databases = new Map<string, PgDatabase>();
  const endpointsOf = (server: string): ServerEndpoints => {
    const endpoints = options.servers[server];
    if (endpoints !== undefined) return endpoints;
    throw new CaseboundError(
      'config_invalid',
      `Cases lie on the server ${server}, which database.caseServers does not name.`,
    );
  };
  const open = (server: string, databaseName: string): PgDatabase => {
    const id = `${server}/${databaseName}`;
    let database = databases.get(id);
    if (database === undefined) {
      const { writer, reader, direct = writer } = endpointsOf(server);
      const enter = (target: () => Promise<ConnectionTarget>) => async () =>
        clientConfig({ ...(await target()), database: databaseName }, 'casebound');
      const keyFor = (endpoint: string, target: () => Promise<ConnectionTarget>) => ({
        id: `${id}//${endpoint}`,
        maxConnections: options.pool.maxConnections,
        // The owner of a case database goes from case to case.
        ...(databaseName === controlName ? {} : { maxUses: ownerUses }),
        connect: enter(target),
      });
      database = new PgDatabase(engine, {
        writer: keyFor('writer', writer),
        reader: reader === undefined ? undefined : keyFor('reader', reader),
        direct: enter(direct),
      });
      databases.set(id, database);
    }
    return database;
  };
  const control = open('main', controlName);
  const roleContext = rememberRoleContext(control, controlName);
  const controlMigrations = await readMigrations([
    { set: 'core', folder: path.join(import.meta.dirname, 'migrations') },
    ...(options.controlMigrations ?? []),
  ]);
  const caseDatabases = createCaseDatabases({
    control,
    controlName,
    settings: options.cases,
    migrations: await readMigrations([
      { set: 'casebound', folder: path.join(import.meta.dirname, 'case-database-migrations') },
      ...(options.caseDatabaseMigrations ?? []),
    ]),
    owner: open,
    onServer: async (server, text) => {
      const { database } = await endpointsOf(server).writer();
      await open(server, database).outsideTransaction(text);
    },
    crashPoint: options.crashPoint,
  });
  const newestMigration = controlMigrations.findLast((migration) => migration.set === 'core')?.number ?? 0;
  const inControl = { schema: 'core', where: 'The control database' };
  const checkServers = async (): Promise<void> => {
    for (const server of Object.keys(options.servers)) {
      const { database } = await endpointsOf(server).writer();
      await checkServer(open(server, database), server);
    }
  };
  return {
    control,
    caseDatabases,
    owner: open,
    roleContext,
    cases: createCaseSessions({
      engine,
      control,
      roleContext,
      maxConnectionsPerCase: options.pool.maxConnectionsPerCase,
      owner: open,
      async clientConfigAs(server, databaseName, endpoint, role) {
        const endpoints = endpointsOf(server);
        const target = await (endpoint === 'reader' ? (endpoints.reader ?? endpoints.writer) : endpoints.writer)();
        return clientConfig({ ...target, ...role, database: databaseName }, 'casebound case');
      },
    }),
    newestMigration,
    async migrate() {
      await checkServers();
      await migrate(control, controlMigrations, inControl);
      await closeToOthers(control, controlName);
      await caseDatabases.settle();
      return newestMigration;
    },
    async pending() {
      await checkServers();
      const lacking = await listPending(control, controlMigrations, inControl);
      return lacking.map(({ set, name }) => `${set}/${name}`);
    },
    async serverVersion() {
      const { rows } = await control.transaction({ readOnly: true }, async (tx) =>
        tx.query<{ version: string }>(`SELECT current_setting('server_version') AS version`),
      );
      return rows[0]?.version ?? 'unknown';
    },
    statistics: () => ({ ...engine.pool.statistics(), ...engine.counters }),
    async close(deadlineMs) {
      await Promise.all([...databases.values()].map(async (database) => database.close()));
      await engine.pool.close(deadlineMs);
    },
  };
}

/** The roles of cases have no business in the control database, and could enter it by a right that everybody has. */
async function closeToOthers(control: Database, controlName: string): Promise<void> {
  await control.transaction({}, async (tx) => {
    const { rows } = await tx.query<{ open: boolean }>(
      `SELECT bool_or(grantee = 0) AS open FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
       WHERE datname = $1`,
      [controlName],
    );
    if (rows[0]?.open !== true) return;
    const name = quoteIdentifier(controlName);
    await tx.script(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC`);
  });
}

function rememberRoleContext(control: Database, controlName: string): () => Promise<CaseRoleContext> {
  let known: CaseRoleContext | undefined;
  return async () => {
    known ??= { control: controlName, caseRoleKey: await readCaseRoleKey(control) };
    return known;
  };
}

/** Made by whoever needs it first; the row is there once. */
async function readCaseRoleKey(control: Database): Promise<string> {
  return control.transaction({ alongside: true }, async (tx) => {
    await tx.query('INSERT INTO core.installation (case_role_key) VALUES ($1) ON CONFLICT DO NOTHING', [
      randomBytes(32).toString('hex'),
    ]);
    const { rows } = await tx.query<{ case_role_key: string }>('SELECT case_role_key FROM core.installation');
    const key = rows[0]?.case_role_key;
    if (key === undefined) throw new CaseboundError('internal', 'core.installation is empty.');
    return key;
  });
}
