import { text as readText } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createClock } from '../platform/clock/create-clock.ts';
import { databaseConfigSchema } from './config.ts';
import { ConnectionPool } from './connection-pool.ts';
import { clientConfig } from './connection-target.ts';
import type { Database, OwnerTransaction } from './Database.ts';
import { openDatabases, type Databases, type OpenDatabasesOptions } from './open-databases.ts';
import { silentLog } from './testing/open-test-databases.ts';
import { startProxy, type Proxy } from './testing/tcp-proxy.ts';

let test: TestDatabase;
let admin: pg.Client;
let proxy: Proxy;
let databases: Databases;
let db: Database;

const config = databaseConfigSchema.parse({ kind: 'url', url: 'secret://unused' });

async function open(changes: Partial<OpenDatabasesOptions> = {}): Promise<Databases> {
  return openDatabases({
    servers: { main: { writer: async () => Promise.resolve({ ...test.target, port: proxy.port }) } },
    timeouts: config.timeouts,
    pool: config.pool,
    cases: config.cases,
    namedStatements: false,
    clock: createClock(),
    log: silentLog,
    crashPoint: () => undefined,
    ...changes,
  });
}

beforeAll(async () => {
  test = await createTestDatabase({
    template: 'transactions',
    prepare: async (target) => {
      const client = new pg.Client({ ...target });
      await client.connect();
      await client.query(`CREATE TABLE public.account (id int PRIMARY KEY, balance int NOT NULL)`);
      await client.end();
    },
  });
  admin = new pg.Client({ ...test.superuserTarget });
  await admin.connect();
});
afterAll(async () => {
  await admin.end();
  await test.drop();
});
beforeEach(async () => {
  await admin.query(
    `TRUNCATE public.account; INSERT INTO public.account SELECT i, 100 FROM generate_series(1, 10) AS i`,
  );
  proxy = await startProxy(test.target.port);
  databases = await open();
  db = databases.control;
});
afterEach(async () => {
  await databases.close();
  await proxy.close();
});

const balance = async (id: number): Promise<number> =>
  (await admin.query<{ balance: number }>('SELECT balance FROM public.account WHERE id = $1', [id])).rows[0]?.balance ??
  NaN;
const set = async (tx: OwnerTransaction, id: number, to: number): Promise<unknown> =>
  tx.query('UPDATE public.account SET balance = $2 WHERE id = $1', [id, to]);

describe('transaction', () => {
  it('commits what it did, and rolls back what failed', async () => {
    await db.transaction({}, async (tx) => set(tx, 1, 1));
    await expect(
      db.transaction({}, async (tx) => {
        await set(tx, 2, 2);
        throw new Error('as arranged');
      }),
    ).rejects.toThrow('as arranged');
    expect([await balance(1), await balance(2)]).toEqual([1, 100]);
    expect(databases.statistics()).toMatchObject({ open: 1, inUse: 0 });
  });

  it('sets its timeouts and search path for itself alone', async () => {
    const read = async (tx: OwnerTransaction): Promise<unknown> =>
      (
        await tx.query(`SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement,
          current_setting('transaction_timeout') AS whole, current_setting('idle_in_transaction_session_timeout') AS idle,
          current_setting('search_path') AS path, current_setting('transaction_isolation') AS isolation,
          current_setting('transaction_read_only') AS readonly`)
      ).rows[0];
    const own = await db.transaction(
      {
        lockTimeoutMs: 11,
        statementTimeoutMs: 2200,
        transactionTimeoutMs: 3300,
        isolation: 'serializable',
        readOnly: true,
      },
      read,
    );
    expect(own).toEqual({
      lock: '11ms',
      statement: '2200ms',
      whole: '3300ms',
      idle: '10s',
      path: '"pg_temp"'.replaceAll('"', ''),
      isolation: 'serializable',
      readonly: 'on',
    });
    // Sessions of the test before are gone a moment after they are closed.
    await expect
      .poll(
        async () => {
          const sessions = await admin.query(
            `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'casebound'`,
          );
          return sessions.rows;
        },
        { timeout: 10_000 },
      )
      .toEqual([{ n: 1 }]);
  });

  it('costs two round trips beside its statements', async () => {
    const statements: string[] = [];
    await db.transaction({}, async (tx) => tx.query('SELECT 1'));
    const before = proxy.messagesFromClient();
    await db.transaction({ onStatement: (text) => statements.push(text) }, async (tx) => tx.query('SELECT 1'));
    expect(proxy.messagesFromClient() - before).toBe(3);
    expect(statements).toEqual(['SELECT 1']);
  });

  it('sends what is not awaited together, and runs it in order', async () => {
    await db.transaction({}, async (tx) => tx.query('SELECT 1'));
    const before = proxy.messagesFromClient();
    const results = await db.transaction({}, async (tx) =>
      Promise.all(
        Array.from({ length: 20 }, async () =>
          tx.query<{ balance: number }>(
            'UPDATE public.account SET balance = balance + 1 WHERE id = 1 RETURNING balance',
          ),
        ),
      ),
    );
    expect(results.map(({ rows }) => rows[0]?.balance)).toEqual(Array.from({ length: 20 }, (_, index) => 101 + index));
    expect(proxy.messagesFromClient() - before).toBe(3);
  });

  it('reads and writes in two round trips where BEGIN and COMMIT need none of their own', async () => {
    const write = async (): Promise<unknown> =>
      db.transaction({ readsWithBegin: true }, async (tx) => {
        const [first] = await Promise.all([
          tx.query<{ balance: number }>('SELECT balance FROM public.account WHERE id = 1'),
          tx.query('SELECT balance FROM public.account WHERE id = 2'),
        ]);
        const sent = Promise.all([set(tx, 1, (first.rows[0]?.balance ?? 0) + 1), set(tx, 2, 0)]);
        tx.sendCommit();
        await expect(tx.query('SELECT 1')).rejects.toThrow(/COMMIT has been sent/);
        await sent;
      });
    await write();
    const before = proxy.messagesFromClient();
    await write();
    expect(proxy.messagesFromClient() - before).toBe(2);
    expect([await balance(1), await balance(2)]).toEqual([102, 0]);
  });

  it('keeps all but reads back until BEGIN has succeeded', async () => {
    const refused = db.transaction({ readsWithBegin: true, isolation: 'no such level' as 'serializable' }, async (tx) =>
      Promise.allSettled([
        tx.query('SELECT 1'),
        set(tx, 1, 1),
        tx.query('SELECT 1'),
        pipeline(Readable.from(['500\t1\n']), tx.copyFrom('COPY public.account FROM STDIN')),
      ]).then((results) => results.map(({ status }) => status)),
    );
    await expect(refused).rejects.toMatchObject({ sqlState: '42601' });
    expect([await balance(1), await balance(500)]).toEqual([100, NaN]);
    expect(databases.statistics()).toMatchObject({ open: 0, inUse: 0 });
  });

  it('rolls back when a statement before a COMMIT that was sent already fails, and keeps the connection', async () => {
    const failing = db.transaction({}, async (tx) => {
      const sent = Promise.all([set(tx, 1, 1), tx.query('SELECT 1/0')]);
      tx.sendCommit();
      await sent;
    });
    await expect(failing).rejects.toMatchObject({ sqlState: '22012' });
    expect(await balance(1)).toBe(100);
    expect(databases.statistics()).toMatchObject({ open: 1, inUse: 0 });
  });

  it('does not know the outcome when the connection breaks under statements that have COMMIT behind them', async () => {
    let attempts = 0;
    const unsure = db.transaction({}, async (tx) => {
      attempts += 1;
      await tx.query('SELECT 1');
      proxy.swallowNextAnswer('COMMIT');
      const sent = set(tx, 1, 1);
      tx.sendCommit();
      await sent;
    });
    await expect(unsure).rejects.toMatchObject({ code: 'commit_unknown' });
    expect(attempts).toBe(1);
    expect(await balance(1)).toBe(1);
  });

  it('names the statements that come again, where that is allowed', async () => {
    const named = await open({ namedStatements: true });
    const prepared = async (): Promise<string[]> =>
      named.control.transaction({}, async (tx) => {
        for (let round = 0; round < 3; round += 1) await set(tx, 1, round);
        await tx.query('SELECT 1 AS once');
        const { rows } = await tx.query<{ statement: string }>('SELECT statement FROM pg_prepared_statements');
        return rows.map((row) => row.statement);
      });
    expect(await prepared()).toEqual([expect.stringContaining('UPDATE public.account')]);
    await expect(named.control.transaction({}, async (tx) => tx.query('SELECT $1::int / 0', [1]))).rejects.toThrow();
    expect(await prepared()).toHaveLength(3); // Now all of them have come twice.
    await named.close();
  });

  it('streams and queries in the order of the calls', async () => {
    const counts = await db.transaction({}, async (tx) => {
      const count = async (): Promise<number | undefined> =>
        (await tx.query<{ n: number }>('SELECT count(*)::int AS n FROM public.account')).rows[0]?.n;
      const before = count();
      const copied = pipeline(Readable.from(['500\t1\n', '501\t1\n']), tx.copyFrom('COPY public.account FROM STDIN'));
      const after = count();
      const text = readText(tx.copyTo('COPY (SELECT id FROM public.account WHERE id >= 500 ORDER BY id) TO STDOUT'));
      await tx.savepoint(async (inner) => inner.query('DELETE FROM public.account WHERE id = 500'));
      await copied;
      return [await before, await after, await text, await count()];
    });
    expect(counts).toEqual([10, 12, '500\n501\n', 11]);
  });

  it('runs again, as a whole, after a deadlock', async () => {
    let attempts = 0;
    let locked = 0;
    const bothLocked = Promise.withResolvers<void>();
    const both = async (first: number, second: number): Promise<void> =>
      db.transaction({}, async (tx) => {
        attempts += 1;
        await tx.query('UPDATE public.account SET balance = balance + 1 WHERE id = $1', [first]);
        locked += 1;
        if (locked === 2) bothLocked.resolve();
        await bothLocked.promise;
        await tx.query('UPDATE public.account SET balance = balance + 1 WHERE id = $1', [second]);
      });
    await Promise.all([both(1, 2), both(2, 1)]);
    expect([await balance(1), await balance(2)]).toEqual([102, 102]);
    expect(attempts).toBe(3);
    expect(databases.statistics().conflicts).toBe(1);
  });

  it('gives up after its attempts, with a time to come back', async () => {
    const impatient = await open({ retryPolicy: { attempts: 3, baseMs: 1, maxMs: 2 } });
    await admin.query('BEGIN; UPDATE public.account SET balance = 0 WHERE id = 1');
    const refused = impatient.control.transaction({ lockTimeoutMs: 20 }, async (tx) => set(tx, 1, 5));
    await expect(refused).rejects.toMatchObject({ code: 'conflict_retries_exhausted', retryAfterSeconds: 1 });
    await admin.query('ROLLBACK');
    expect(impatient.statistics()).toMatchObject({ conflicts: 2, transactions: 3, inUse: 0 });
    await impatient.close();
  });

  it('spreads the retries of transactions that collided over the whole interval', async () => {
    const pauses: number[] = [];
    const clock = { ...createClock(), sleep: async (ms: number) => void pauses.push(ms) };
    const other = await open({ clock, random: Math.random, retryPolicy: { attempts: 2, baseMs: 500, maxMs: 1000 } });
    await admin.query('BEGIN; LOCK TABLE public.account');
    await Promise.allSettled(
      Array.from({ length: 60 }, async () =>
        other.control.transaction({ lockTimeoutMs: 5 }, async (tx) => set(tx, 1, 1)),
      ),
    );
    await admin.query('ROLLBACK');
    expect(pauses).toHaveLength(60);
    const quarters = [0, 0, 0, 0];
    for (const ms of pauses) quarters[Math.floor(ms / 250)] = (quarters[Math.floor(ms / 250)] ?? 0) + 1;
    for (const count of quarters) expect(count).toBeGreaterThan(2);
    await other.close();
  });

  it('runs again on a new connection when its own broke before the commit', async () => {
    let attempts = 0;
    await db.transaction({}, async (tx) => {
      attempts += 1;
      await set(tx, 1, attempts);
      if (attempts === 1) {
        await admin.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'casebound'`,
        );
      }
      await set(tx, 2, attempts);
    });
    expect([attempts, await balance(1), await balance(2)]).toEqual([2, 2, 2]);
    expect(databases.statistics()).toMatchObject({ open: 1, inUse: 0, reconnects: 1 });
  });

  it('says that it does not know when the connection breaks during the commit, and does not run again', async () => {
    let attempts = 0;
    const unsure = db.transaction({}, async (tx) => {
      attempts += 1;
      await set(tx, 1, 1);
      proxy.swallowNextAnswer();
    });
    await expect(unsure).rejects.toMatchObject({ code: 'commit_unknown' });
    expect(attempts).toBe(1);
    expect(await balance(1)).toBe(1); // The server had committed; only its answer was lost.
    expect(databases.statistics()).toMatchObject({ open: 0, inUse: 0 });
  });

  it('gives a server up that does not answer long after it should have, and does not run again', async () => {
    let attempts = 0;
    const unanswered = db.transaction({ statementTimeoutMs: 100 }, async (tx) => {
      attempts += 1;
      proxy.vanish();
      await set(tx, 1, 1);
    });
    await expect(unanswered).rejects.toMatchObject({
      code: 'database_unreachable',
      message: expect.stringContaining('5100 ms'),
    });
    expect(attempts).toBe(1);
    expect(databases.statistics()).toMatchObject({ open: 0, inUse: 0 });
  }, 15_000);

  it('refuses a commit that PostgreSQL would silently turn into a rollback', async () => {
    const swallowing = db.transaction({}, async (tx) => {
      await set(tx, 1, 1);
      await tx.query('SELECT 1/0').catch(() => undefined);
    });
    await expect(swallowing).rejects.toThrow(/failure was not passed on/);
    expect(await balance(1)).toBe(100);
  });

  it('is ended by the server when it sits idle for too long, and does not commit', async () => {
    const quick = await open({ timeouts: { ...config.timeouts, idleInTransactionTimeoutMs: 100 } });
    const paused = quick.control.transaction({}, async (tx) => {
      await set(tx, 1, 1);
      await sleep(400);
    });
    await expect(paused).rejects.toMatchObject({ code: expect.stringMatching(/commit_unknown|database_unreachable/) });
    expect(await balance(1)).toBe(100);
    await quick.close();
  });

  it('stops the running statement when the caller gives up, and keeps the connection', async () => {
    const controller = new AbortController();
    const reason = new Error('the client went away');
    const started = performance.now();
    const slow = db.transaction({ signal: controller.signal }, async (tx) => {
      setTimeout(() => {
        controller.abort(reason);
      }, 50);
      await tx.query('SELECT pg_sleep(20)');
    });
    await expect(slow).rejects.toBe(reason);
    expect(performance.now() - started).toBeLessThan(5000);
    expect(databases.statistics()).toMatchObject({ open: 1, inUse: 0 });
    await db.transaction({}, async (tx) => set(tx, 1, 7));
    expect(await balance(1)).toBe(7);
  });

  it('refuses another transaction within it, unless that is said to be on purpose', async () => {
    const nested = async (alongside: boolean): Promise<unknown> =>
      db.transaction({}, async () => db.transaction({ alongside }, async (tx) => tx.query('SELECT 1')));
    await expect(nested(false)).rejects.toThrow(/within another one/);
    await nested(true);
    // What was started within it and goes on after it is not within it.
    let later: Promise<unknown> | undefined;
    await db.transaction({}, async () => {
      later = sleep(50).then(async () => db.transaction({}, async (tx) => tx.query('SELECT 1')));
    });
    await later;
  });

  it('refuses statements after its end', async () => {
    let escaped: OwnerTransaction | undefined;
    await db.transaction({}, async (tx) => {
      escaped = tx;
    });
    await expect(escaped?.query('SELECT 1')).rejects.toThrow(/`await` is missing/);
  });

  it('goes on after a savepoint that failed, and refuses the outer handle while one is open', async () => {
    await db.transaction({}, async (tx) => {
      await set(tx, 1, 1);
      await expect(
        tx.savepoint(async (inner) => {
          await set(inner, 2, 2);
          await expect(tx.query('SELECT 1')).rejects.toThrow(/innermost/);
          await inner.query('SELECT 1/0');
        }),
      ).rejects.toMatchObject({ sqlState: '22012' });
      await tx.savepoint(async (inner) => set(inner, 3, 3));
    });
    expect([await balance(1), await balance(2), await balance(3)]).toEqual([1, 100, 3]);
  });

  it('streams with COPY in both directions', async () => {
    const rows = Array.from({ length: 50_000 }, (_, index) => `${index + 100}\t${index}\n`);
    const copied = await db.transaction({}, async (tx) => {
      await pipeline(Readable.from(rows), tx.copyFrom('COPY public.account FROM STDIN'));
      const out = await readText(
        tx.copyTo('COPY (SELECT balance FROM public.account WHERE id >= 100 ORDER BY id) TO STDOUT'),
      );
      return out.split('\n').length - 1;
    });
    expect(copied).toBe(50_000);
  });

  it('keeps nothing of a COPY that failed in the middle', async () => {
    const failing = db.transaction({}, async (tx) =>
      pipeline(Readable.from(['100\t1\n', 'not a number\t1\n']), tx.copyFrom('COPY public.account FROM STDIN')),
    );
    await expect(failing).rejects.toThrow();
    await db.transaction({}, async (tx) => {
      expect((await tx.query('SELECT FROM public.account')).rowCount).toBe(10);
    });
    expect(databases.statistics().inUse).toBe(0);
  });

  it('keeps values out of its errors', async () => {
    const secret = 'privileged and confidential';
    for (const statement of [`SELECT '${secret}'::int`, `INSERT INTO public.account VALUES (1, length('${secret}'))`]) {
      const error: unknown = await db
        .transaction({}, async (tx) => tx.query(statement))
        .catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(Error);
      expect(`${String(error)} ${error instanceof Error ? error.stack : ''}`).not.toContain(secret);
    }
  });

  it('takes one statement at a time, so that text led astray brings no second', async () => {
    await expect(
      db.transaction({}, async (tx) => tx.query('SELECT 1; DROP TABLE public.account')),
    ).rejects.toMatchObject({
      sqlState: '42601',
    });
  });

  it('reads at the reader endpoint only what is read-only', async () => {
    await expect(db.transaction({ endpoint: 'reader' }, async (tx) => tx.query('SELECT 1'))).rejects.toThrow(
      /read-only/,
    );
    await expect(
      db.transaction({ endpoint: 'reader', readOnly: true }, async (tx) => set(tx, 1, 1)),
    ).rejects.toMatchObject({ sqlState: '25006' });
  });
});

describe('the pool', () => {
  const small = { ...config.pool, maxConnections: 4, acquireTimeoutMs: 2000 };

  it('never opens more than its bound, and keeps a quarter for those who hold one', async () => {
    const bounded = await open({ pool: { ...small, acquireTimeoutMs: 5000 } });
    let most = 0;
    await Promise.all(
      Array.from({ length: 30 }, async () =>
        bounded.control.transaction({}, async () =>
          bounded.control.transaction({ alongside: true }, async (tx) => {
            most = Math.max(most, bounded.statistics().open);
            await tx.query('SELECT pg_sleep(0.005)');
          }),
        ),
      ),
    );
    expect(most).toBeLessThanOrEqual(4);
    await bounded.close();
  });

  it('refuses as overloaded when none gets free in time', async () => {
    const bounded = await open({ pool: small });
    const free = Promise.withResolvers<void>();
    const hold = Array.from({ length: 3 }, async () => bounded.control.transaction({}, async () => free.promise));
    await expect.poll(() => bounded.statistics().inUse, { timeout: 5000 }).toBe(3);
    await expect(bounded.control.transaction({}, async (tx) => tx.query('SELECT 1'))).rejects.toMatchObject({
      code: 'overloaded',
      retryAfterSeconds: 2,
    });
    free.resolve();
    await Promise.all(hold);
    await bounded.close();
  });

  it('serves first who came first, also before whoever comes as a connection gets free', async () => {
    const pool = new ConnectionPool(config.pool, 5000);
    const key = {
      id: 'one',
      maxConnections: 1,
      connect: async () => Promise.resolve(clientConfig(test.target, 'line')),
    };
    const order: string[] = [];
    const take = async (name: string): Promise<void> => {
      const lease = await pool.acquire(key);
      order.push(name);
      lease.release(false);
    };
    const held = await pool.acquire(key);
    const [first, second] = [take('first'), take('second')];
    held.release(false);
    await Promise.all([first, second, take('late')]);
    expect(order).toEqual(['first', 'second', 'late']);
    await pool.close();
  });

  it('closes connections that nobody uses', async () => {
    const brief = await open({ pool: { ...config.pool, idleMs: 100 } });
    await brief.control.transaction({}, async (tx) => tx.query('SELECT 1'));
    expect(brief.statistics().open).toBe(1);
    await expect.poll(() => brief.statistics().open, { timeout: 5000 }).toBe(0);
    await brief.close();
  });

  it('waits for work in progress when it is closed, and takes no more', async () => {
    const closing = await open();
    let finished = false;
    const begun = Promise.withResolvers<void>();
    const work = closing.control.transaction({}, async (tx) => {
      begun.resolve();
      await tx.query('SELECT pg_sleep(0.2)');
      finished = true;
    });
    await begun.promise;
    await closing.close();
    expect(finished).toBe(true);
    await work;
    await expect(closing.control.transaction({}, async (tx) => tx.query('SELECT 1'))).rejects.toMatchObject({
      code: 'shutting_down',
    });
  });

  it('closes at its deadline though a server vanished under a statement', async () => {
    const closing = await open();
    const vanished = Promise.withResolvers<void>();
    const work = closing.control.transaction({}, async (tx) => {
      await tx.query('SELECT 1');
      proxy.vanish();
      vanished.resolve();
      await tx.query('SELECT 2');
    });
    const failure = work.catch((error: unknown) => error);
    await vanished.promise;
    await closing.close(50);
    expect(await failure).toMatchObject({ code: 'shutting_down' });
    expect(closing.statistics()).toMatchObject({ open: 0, inUse: 0 });
  });
});

describe('listen', () => {
  it('hears notifications, also after its connection broke', async () => {
    const heard: string[] = [];
    let connected = 0;
    const listener = await db.listen(
      'work "quoted"',
      (payload) => heard.push(payload),
      () => {
        connected += 1;
      },
    );
    await admin.query(`SELECT pg_notify('work "quoted"', 'one')`);
    await expect.poll(() => heard, { timeout: 5000 }).toEqual(['one']);
    await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`,
    );
    await expect.poll(() => connected, { timeout: 10_000 }).toBe(2);
    await admin.query(`SELECT pg_notify('work "quoted"', 'two')`);
    await expect.poll(() => heard, { timeout: 5000 }).toEqual(['one', 'two']);
    await listener.close();
  });
});
