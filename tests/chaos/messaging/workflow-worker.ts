/**
 * One process that drives workflows, put together as the server does it: one workflow that succeeds, and one whose last step
 * fails, so that the steps before it are undone. Leases are short, so that the next process need not wait for long.
 *
 * Environment: CHAOS_URL, CHAOS_WORKER, CHAOS_CRASH_AT (name of the point at which it dies when it first comes there).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createMessaging, createPoolDatabase, createPostgresTransport } from '@casebound/messaging';
import type { Clock, Log } from '@casebound/messaging';
import { createNamedDeath } from './named-death.ts';
import { createTrips } from './trips.ts';

const { CHAOS_URL: url = '', CHAOS_WORKER: worker = '' } = process.env;
const clock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal }),
};
const log: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const pool = new pg.Pool({ connectionString: url, max: 6, connectionTimeoutMillis: 20_000, query_timeout: 10_000 });
pool.on('error', () => undefined); // The next query fails too.
const database = createPoolDatabase(pool, { random: Math.random, sleep: async (ms) => sleep(ms) });
const trips = createTrips(database);
const messaging = createMessaging({
  control: database,
  transport: () => {
    const transport = createPostgresTransport({ control: database, clock, worker, pollMs: 100 });
    const { queues } = transport;
    return {
      ...transport,
      queues: { ...queues, create: async (settings) => queues.create({ ...settings, visibilityTimeoutMs: 1500 }) },
    };
  },
  payloads: { put: async () => {}, get: async () => Promise.reject(new Error('none')), delete: async () => {} },
  clock,
  log,
  crashPoint: createNamedDeath(process.env),
  worker,
  workerTotal: 4,
  workflows: [trips.succeeding, trips.failing],
});

await messaging.start({ workers: true });
// With the same keys: the second process finds the workflows of the first.
for (const trip of [trips.succeeding, trips.failing]) {
  await database.transaction(async (tx) =>
    messaging.workflows.start(tx, trip, {}, { startKey: 'only', fairnessKey: 1 }),
  );
}
process.once('SIGTERM', () => {
  void (async () => {
    await messaging.stop(5000);
    await pool.end();
  })();
});
console.log('ready');
