/**
 * One worker process of the chaos run: three queues, each handler writing its effect and handing on to the next queue in one
 * transaction. It dies by SIGKILL at a crash point: now and then, as its own seed has it, or at a named one.
 *
 * Environment: CHAOS_URL, CHAOS_WORKER, CHAOS_SEED, CHAOS_DEATH (probability of death at a crash point), CHAOS_CRASH_AT (name
 * of the point at which it dies when it first comes there).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import {
  createClaimChecks,
  createConsumer,
  createOutbox,
  createPoolDatabase,
  createPostgresTransport,
  createRelay,
  each,
  idempotent,
} from '@casebound/messaging';
import type { Clock, CrashPointName, Log } from '@casebound/messaging';
import { createNamedDeath } from './named-death.ts';
import { createRandom } from './seeded-random.ts';
import { queueOf, stages } from './stages.ts';
import type { HandlerPoint } from './stages.ts';

const {
  CHAOS_URL: url = '',
  CHAOS_WORKER: worker = '',
  CHAOS_SEED: seed = '1',
  CHAOS_DEATH: death = '0',
} = process.env;
const random = createRandom(Number(seed));
const clock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal }),
};
const log: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const dieAt = createNamedDeath(process.env);
const crashPoint = (name: CrashPointName | HandlerPoint): void => {
  dieAt(name);
  if (random() < Number(death)) process.kill(process.pid, 'SIGKILL');
};

const pool = new pg.Pool({ connectionString: url, max: 8, connectionTimeoutMillis: 20_000, query_timeout: 10_000 });
pool.on('error', () => undefined); // The database is killed on purpose; the next query fails too, and is retried.
const database = createPoolDatabase(pool, { random: Math.random, sleep: async (ms) => sleep(ms) });
const transport = createPostgresTransport({ control: database, clock, worker, pollMs: 100 });
const outbox = createOutbox();
const claimChecks = createClaimChecks({
  store: { put: async () => {}, get: async () => Promise.reject(new Error('none')), delete: async () => {} },
  sql: database,
  log,
  maxMessageBytes: transport.maxMessageBytes,
});

const consumer = createConsumer({
  queues: transport.queues,
  worker,
  total: 200,
  claimChecks,
  clock,
  log,
  random: Math.random,
  crashPoint,
  maxInFlightPerKey: 150,
  receiveWaitMs: 500,
});

for (const [stage, name] of stages.entries()) {
  consumer.add({
    name: `worker-${name}`,
    queue: queueOf(stage),
    handler: name,
    concurrency: 50,
    batchSize: 1,
    batchWindowMs: 0,
    handlerTimeoutMs: 10_000,
    retry: { baseMs: 20, maxMs: 500 },
    handle: each(async ({ body, message }) => {
      const { item } = JSON.parse(body) as { item: number };
      await database.transaction(async (tx) => {
        await idempotent(tx, `chaos/${name}/${item}`, message.fencingToken, async () => {
          await tx.query('INSERT INTO chaos_effect (stage, item, worker) VALUES ($1, $2, $3)', [stage, item, worker]);
          crashPoint('handler.after-effect');
          if (stage + 1 < stages.length)
            await outbox.send(tx, queueOf(stage + 1), [
              { body: JSON.stringify({ item }), fairnessKey: message.fairnessKey },
            ]);
        });
        crashPoint('handler.before-commit');
      });
      crashPoint('handler.after-commit');
    }),
  });
}

const ending = new AbortController();
const relay = createRelay({
  database,
  queues: transport.queues,
  topics: transport.topics,
  ...(transport.transactional === undefined ? {} : { inTransaction: transport.transactional }),
  claimChecks,
  bury: async () => Promise.reject(new Error('Nothing may be undeliverable here.')),
  clock,
  log,
  random: Math.random,
  crashPoint,
  pollMs: 50,
});

consumer.start();
const relaying = relay.run(ending.signal);
process.once('SIGTERM', () => {
  void (async () => {
    await consumer.stop(5000);
    ending.abort();
    await relaying;
    await pool.end();
  })();
});
console.log('ready');
