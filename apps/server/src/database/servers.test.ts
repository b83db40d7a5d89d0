import { randomBytes } from 'node:crypto';
import { execFile, spawn } from 'node:child_process';
import { access, chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { createTemporaryFolder, createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { caseDependencies, systemActor } from '../features/cases/testing/case-dependencies.ts';
import { createCase, deleteCase } from '../features/cases/index.ts';
import { parseConnectionUrl, type ConnectionTarget } from './connection-target.ts';
import { findFreePort } from './embedded/free-port.ts';
import { openDatabases, type OpenDatabasesOptions } from './open-databases.ts';
import { defaultRetryPolicy } from './retry-on-conflict.ts';
import { openTestDatabases, testOptions } from './testing/open-test-databases.ts';

const run = promisify(execFile);
const isRoot = process.geteuid?.() === 0;

let test: TestDatabase;
beforeAll(async () => {
  test = await createTestDatabase({ template: 'empty' });
});
afterAll(async () => test.drop());

/** What a start says of a server. */
async function startOn(target: ConnectionTarget, changes: Partial<OpenDatabasesOptions> = {}): Promise<void> {
  const options = testOptions(target, {});
  const databases = await openDatabases({
    ...options,
    timeouts: { ...options.timeouts, connectTimeoutMs: 300 },
    retryPolicy: { attempts: 2, baseMs: 1, maxMs: 2 },
    ...changes,
  });
  try {
    await databases.migrate();
  } finally {
    await databases.close();
  }
}

describe('a server that cannot be used', () => {
  it('refuses the connection', async () => {
    const port = await findFreePort(undefined);
    const target = parseConnectionUrl(`postgres://u:hunter2@127.0.0.1:${port}/casebound`, 'database.url');
    await expect(startOn(target)).rejects.toMatchObject({
      code: 'database_unreachable',
      message: `The database of database.url at 127.0.0.1:${port} refused the connection (ECONNREFUSED); check host and port, and that it runs.`,
    });
  });

  it('does not answer', async () => {
    let connections = 0;
    const silent = net.createServer(() => {
      connections += 1;
    });
    const port = await findFreePort(undefined);
    await new Promise<void>((resolve) => {
      silent.listen(port, '127.0.0.1', resolve);
    });
    await expect(startOn({ ...test.target, port }, { retryPolicy: defaultRetryPolicy })).rejects.toMatchObject({
      code: 'database_unreachable',
      message: expect.stringContaining(
        `127.0.0.1:${port} did not answer within database.timeouts.connectTimeoutMs (300 ms)`,
      ),
    });
    expect(connections).toBe(1); // One attempt, not eight.
    silent.close();
  });

  it('does not know the password, and the answer does not repeat it', async () => {
    const error: unknown = await startOn({ ...test.target, password: 'hunter2' }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'database_denied' });
    expect(String(error)).not.toContain('hunter2');
  });

  it('does not have the database', async () => {
    await expect(startOn({ ...test.target, database: 'absent' })).rejects.toMatchObject({
      sqlState: '3D000',
      message: expect.stringContaining('"absent"'),
    });
  });

  it('does not let the role make roles', async () => {
    const client = new pg.Client({ ...test.superuserTarget });
    await client.connect();
    const role = `${test.target.database}_weak_${randomBytes(4).toString('hex')}`;
    await client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'weak'`);
    await client.end();
    await expect(startOn({ ...test.target, user: role, password: 'weak' })).rejects.toMatchObject({
      code: 'database_denied',
      message: expect.stringContaining('CREATEROLE'),
    });
  });

  it('is too old', async (context) => {
    const bin = '/usr/lib/postgresql/15/bin';
    const isThere = await access(path.join(bin, 'postgres')).then(
      () => true,
      () => false,
    );
    context.skip(!isThere || !isRoot, 'there is no PostgreSQL 15 on this machine');
    await using folder = await createTemporaryFolder();
    await chmod(folder.path, 0o755);
    const { stdout } = await run('id', ['-u', 'postgres']);
    const uid = Number(stdout);
    const dataDir = path.join(folder.path, 'old');
    await mkdir(dataDir, { mode: 0o700 });
    await chown(dataDir, uid, uid);
    const asPostgres = { uid, cwd: folder.path };
    await run(path.join(bin, 'initdb'), ['-D', dataDir, '-U', 'old', '-A', 'trust', '--no-sync'], asPostgres);
    const port = await findFreePort(undefined);
    const server = spawn(
      path.join(bin, 'postgres'),
      ['-D', dataDir, '-c', `port=${port}`, '-c', 'unix_socket_directories=', '-c', 'listen_addresses=127.0.0.1'],
      { ...asPostgres, stdio: 'ignore' },
    );
    const target = { host: '127.0.0.1', port, user: 'old', password: '', database: 'postgres' };
    try {
      await expect
        .poll(async () => startOn(target).catch((error: unknown) => String(error)), { timeout: 10_000 })
        .toMatch(/16 or older; Casebound supports 17 and 18/);
    } finally {
      server.kill('SIGQUIT');
      await new Promise((resolve) => {
        server.once('exit', resolve);
      });
    }
  });

  it('may not create databases, and uses those that were made by hand', async () => {
    const client = new pg.Client({ ...test.superuserTarget });
    await client.connect();
    const own = await createTestDatabase({ template: 'empty' });
    const role = `${own.target.database}_modest`;
    const made = `${own.target.database}_by_hand`;
    await client.query(`CREATE ROLE ${role} LOGIN CREATEROLE PASSWORD 'modest'`);
    await client.query(`ALTER DATABASE ${own.target.database} OWNER TO ${role}`);
    await client.query(`CREATE DATABASE ${made} OWNER ${role}`);
    await client.end();
    const modest = { ...own.target, user: role, password: 'modest' };
    const open = async (existing: OpenDatabasesOptions['cases']['existing']): Promise<string> => {
      const databases = await openDatabases({
        ...testOptions(modest, {}),
        cases: { casesPerDatabase: 10, create: true, existing },
      });
      try {
        await databases.migrate();
        return (await createCase(caseDependencies(databases), systemActor, { name: 'One' })).database;
      } finally {
        await databases.close();
      }
    };
    await expect(open([])).rejects.toMatchObject({
      code: 'database_denied',
      message: expect.stringContaining('CREATEDB'),
    });
    // The refused opening stays reserved; an administrator makes that very database, or names others.
    const admin = new pg.Client({ ...own.superuserTarget });
    await admin.connect();
    await admin.query(`DELETE FROM core.case_database`);
    await admin.end();
    expect(await open([{ server: 'main', database: made }])).toBe(made);
    await own.drop();
  });
});

describe('parseConnectionUrl', () => {
  it('reads what a URL says', () => {
    expect(
      parseConnectionUrl('postgres://us%40er:p%3Aw@db.example:6432/casebound?sslmode=verify-full', 'database.url'),
    ).toEqual({
      host: 'db.example',
      port: 6432,
      user: 'us@er',
      password: 'p:w',
      database: 'casebound',
      setting: 'database.url',
      tls: 'verify',
    });
  });

  it.each([
    ['localhost', 'off'],
    ['127.8.9.10', 'off'],
    ['[::1]', 'off'],
    ['db', 'verify'],
    ['127.example.com', 'verify'],
    ['10.0.0.7', 'verify'],
    ['[fd00::1]', 'verify'],
  ])('asks for a valid certificate unless the server is on this machine: %s', (host, tls) => {
    expect(parseConnectionUrl(`postgres://u:p@${host}/d`, 'database.url').tls).toBe(tls);
    expect(parseConnectionUrl(`postgres://u:p@${host}/d?sslmode=disable`, 'database.url').tls).toBe('off');
  });

  it.each([
    'mysql://u:hunter2@h/d',
    'postgres://u:hunter2@h',
    'postgres://u:hunter2@h/d?sslmode=sometimes',
    'postgres://u:hunter2@h/d?options=-c%20role=x',
    'not a url hunter2',
  ])('refuses what it cannot follow, and does not repeat the password: %s', (url) => {
    expect(() => parseConnectionUrl(url, 'database.url')).toThrow(/^database\.url (?!.*hunter2)/);
  });
});

describe('a pooler in transaction mode', () => {
  it('serves transactions, cases and exchanges', async (context) => {
    const pgbouncer = await run('sh', ['-c', 'command -v pgbouncer']).then(
      ({ stdout }) => stdout.trim(),
      () => undefined,
    );
    context.skip(pgbouncer === undefined, 'pgbouncer is not installed');
    await using folder = await createTemporaryFolder();
    await chmod(folder.path, 0o777);
    const direct = await openTestDatabases();
    const port = await findFreePort(undefined);
    const { superuser } = inject('postgres');
    await writeFile(path.join(folder.path, 'users.txt'), `"${superuser.user}" "${superuser.password}"\n`);
    await writeFile(
      path.join(folder.path, 'pgbouncer.ini'),
      `[databases]
* = host=127.0.0.1 port=${direct.database.target.port} auth_user=${superuser.user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${path.join(folder.path, 'users.txt')}
auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename = $1
pool_mode = transaction
default_pool_size = 2
max_client_conn = 200
`,
    );
    const identity = isRoot ? { uid: Number((await run('id', ['-u', 'nobody'])).stdout) } : {};
    const pooler = spawn(pgbouncer ?? '', ['-q', path.join(folder.path, 'pgbouncer.ini')], {
      ...identity,
      stdio: 'ignore',
    });
    try {
      const through = { ...direct.database.target, port };
      const pooled = await direct.openAnother({
        servers: {
          main: {
            writer: async () => Promise.resolve(through),
            direct: async () => Promise.resolve(direct.database.target),
          },
        },
      });
      await expect.poll(async () => pooled.serverVersion().catch(String), { timeout: 10_000 }).toMatch(/^1\d\./);
      const cases = caseDependencies(pooled, {
        provisioners: [async (tx) => tx.script('CREATE TABLE exhibit (title text)')],
      });
      const one = await createCase(cases, systemActor, { name: 'Pooled one' });
      const two = await createCase(cases, systemActor, { name: 'Pooled two' });
      // Many clients share two server connections, so each transaction may run on another one than the last.
      await Promise.all(
        Array.from({ length: 60 }, async (_, index) =>
          pooled.cases.withCase(index % 2 === 0 ? one.caseId : two.caseId, systemActor, async (tx) => {
            await tx.query('INSERT INTO exhibit VALUES ($1)', [`exhibit ${index % 2}`]);
            const { rows } = await tx.query<{ title: string; lock: string }>(
              `SELECT DISTINCT title, current_setting('lock_timeout') AS lock FROM exhibit`,
            );
            expect(rows).toEqual([{ title: `exhibit ${index % 2}`, lock: '5s' }]);
          }),
        ),
      );
      const copied = await pooled.cases.withTwoCases(one.caseId, two.caseId, systemActor, async (tx) =>
        tx.query(`INSERT INTO exhibit SELECT * FROM "${tx.sourceSchema}".exhibit`),
      );
      expect(copied.rowCount).toBe(30);
      await expect(
        pooled.cases.withCase(one.caseId, systemActor, async (tx) =>
          tx.query(`SELECT * FROM case_${two.caseId}.exhibit`),
        ),
      ).rejects.toMatchObject({ sqlState: '42501' });
      const heard: string[] = [];
      const listener = await pooled.control.listen('pooled', (payload) => heard.push(payload));
      await pooled.control.transaction({}, async (tx) => tx.query(`SELECT pg_notify('pooled', 'through')`));
      await expect.poll(() => heard, { timeout: 5000 }).toEqual(['through']);
      await listener.close();
      await deleteCase(cases, systemActor, one.caseId);
      await pooled.close();
    } finally {
      pooler.kill('SIGKILL');
    }
    await direct.close();
  }, 60_000);
});
