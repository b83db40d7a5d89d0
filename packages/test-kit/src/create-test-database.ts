/**
 * A database of its own for a test file, in tens of milliseconds.
 *
 * 1. A template is prepared once per run: the first test file that asks does it under an advisory lock, the others wait.
 *    It gets its name only when it is complete, so a preparation that failed is done again by the next.
 * 2. Each test file works on a clone, which it drops at the end; a connection that is still open then is a leak and fails, unless a try of a
 *    test failed before it could close it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { inject } from 'vitest';
import { hasFailedTry } from './failed-tries.ts';
import './provided.ts';

export interface DatabaseTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export interface TestDatabase {
  /** Connection as the application's role, which owns the database. */
  readonly target: DatabaseTarget;
  /** The same as `postgres://user:password@host:port/database`. */
  readonly url: string;
  /** Connection to the same database as a superuser, for arranging and inspecting. */
  readonly superuserTarget: DatabaseTarget;
  /**
   * Drops the database, and the databases and roles whose names begin with its own and an underscore. Fails when a connection
   * to one of them is still open five seconds later: then a pool leaks.
   */
  readonly drop: () => Promise<void>;
}

export interface TestDatabaseOptions {
  /** Names the template. Test files that name the same one share it, so give the same `prepare` with it. */
  readonly template: string;
  /** Fills the template: migrations, mostly. Must close its connections. Default: leave it empty. */
  readonly prepare?: (target: DatabaseTarget) => Promise<void>;
  /** Runs on every clone, for what must differ between clones. */
  readonly personalise?: (target: DatabaseTarget) => Promise<void>;
}

/** Makes the database. Call it in `beforeAll`, and `drop` in `afterAll`. */
export async function createTestDatabase(options: TestDatabaseOptions): Promise<TestDatabase> {
  const server = inject('postgres');
  const targetOf = (role: { user: string; password: string }, database: string): DatabaseTarget => ({
    host: server.host,
    port: server.port,
    ...role,
    database,
  });
  const template = `template_${createHash('sha256').update(options.template).digest('hex').slice(0, 16)}`;
  const name = `test_${randomBytes(8).toString('hex')}`;
  const maintenance = targetOf(server.superuser, 'postgres');
  await withClient(maintenance, async (client) => {
    await ensureTemplate(client, template, options, (database) => targetOf(server.application, database));
    await create(client, name, `TEMPLATE ${template} STRATEGY FILE_COPY OWNER`, server.application.user);
  });
  const target = targetOf(server.application, name);
  await options.personalise?.(target);
  return {
    target,
    url: urlOf(target),
    superuserTarget: targetOf(server.superuser, name),
    drop: async () => withClient(maintenance, async (client) => drop(client, name)),
  };
}

/** `postgres://…` of a target. */
export function urlOf(target: DatabaseTarget): string {
  const user = encodeURIComponent(target.user);
  const password = encodeURIComponent(target.password);
  return `postgres://${user}:${password}@${target.host}:${target.port}/${encodeURIComponent(target.database)}`;
}

async function ensureTemplate(
  client: pg.Client,
  template: string,
  options: TestDatabaseOptions,
  targetOf: (database: string) => DatabaseTarget,
): Promise<void> {
  // A session lock: this connection is direct, lives for this call alone, and loses the lock when the process dies.
  await client.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [template]);
  try {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [template]);
    if (rowCount !== 0) return;
    const building = `${template}_building`;
    await client.query(`DROP DATABASE IF EXISTS ${building} WITH (FORCE)`);
    const target = targetOf(building);
    await create(client, building, 'TEMPLATE template0 OWNER', target.user);
    await options.prepare?.(target);
    await waitForNoConnections(client, building, `the prepare function of the template ${options.template}`);
    await client.query(`ALTER DATABASE ${building} RENAME TO ${template}`);
  } finally {
    await client.query('SELECT pg_advisory_unlock(hashtextextended($1, 0))', [template]);
  }
}

async function create(client: pg.Client, name: string, how: string, owner: string): Promise<void> {
  await client.query(`CREATE DATABASE ${name} ${how} ${pg.escapeIdentifier(owner)}`);
}

async function drop(client: pg.Client, name: string): Promise<void> {
  let leak: Error | undefined;
  try {
    await waitForNoConnections(client, name, 'the test file');
  } catch (error) {
    leak = error instanceof Error ? error : new Error(String(error));
  }
  const databases = await client.query<{ datname: string }>(
    `SELECT datname FROM pg_database WHERE datname = $1 OR starts_with(datname, $1 || '_')`,
    [name],
  );
  for (const { datname } of databases.rows) {
    await client.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(datname)} WITH (FORCE)`);
  }
  const roles = await client.query<{ rolname: string }>(
    `SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1 || '_')`,
    [name],
  );
  const names = roles.rows.map(({ rolname }) => pg.escapeIdentifier(rolname));
  if (names.length > 0) await client.query(`DROP ROLE ${names.join(', ')}`);
  if (leak !== undefined && !hasFailedTry()) throw leak;
}

async function waitForNoConnections(client: pg.Client, database: string, who: string): Promise<void> {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const { rows } = await client.query<{ application_name: string; state: string | null; usename: string }>(
      `SELECT application_name, state, usename FROM pg_stat_activity
       WHERE (datname = $1 OR starts_with(datname, $1 || '_')) AND backend_type = 'client backend'`,
      [database],
    );
    if (rows.length === 0) return;
    if (performance.now() > deadline) {
      const open = rows.map((row) => `${row.usename}/${row.application_name}/${row.state ?? '?'}`).join(', ');
      throw new Error(`${who} leaks ${rows.length} database connection(s): ${open}`);
    }
    await sleep(20);
  }
}

async function withClient<T>(target: DatabaseTarget, fn: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ ...target, application_name: 'casebound test-kit' });
  client.on('error', () => undefined); // A broken connection also fails the query that waits on it.
  await client.connect();
  try {
    return await fn(client);
  } finally {
    await client.end();
  }
}
