/** A database with messaging's tables for a test file, and what its parts ask for. */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createTestDatabase } from '@casebound/test-kit';
import type { TestDatabase } from '@casebound/test-kit';
import type { Clock, Log } from '../ports.ts';
import { caseDatabaseMigrations, controlMigrations } from '../postgres/migrations.ts';
import { createPoolDatabase } from '../postgres/pool-database.ts';

export const silentLog: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export const realClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal }),
};

export const applyMigrations = async (client: { query(text: string): Promise<unknown> }): Promise<void> => {
  for (const folder of [controlMigrations, caseDatabaseMigrations]) {
    for (const file of (await readdir(folder)).sort())
      await client.query(await readFile(new URL(file, folder), 'utf8'));
  }
};

export interface TestMessaging {
  readonly pool: pg.Pool;
  readonly url: string;
  readonly database: ReturnType<typeof createPoolDatabase>;
  close(): Promise<void>;
}

export const openTestMessaging = async (options: { readonly connections?: number } = {}): Promise<TestMessaging> => {
  const made: TestDatabase = await createTestDatabase({
    template: 'messaging',
    prepare: async (target) => {
      const client = new pg.Client({ ...target });
      await client.connect();
      await applyMigrations(client);
      await client.end();
    },
  });
  const pool = new pg.Pool({ ...made.target, max: options.connections ?? 8 });
  pool.on('error', () => undefined); // A broken idle connection also fails the next query.
  return {
    pool,
    url: made.url,
    database: createPoolDatabase(pool, { random: Math.random, sleep: async (ms) => sleep(ms) }),
    async close() {
      await pool.end();
      await made.drop();
    },
  };
};
