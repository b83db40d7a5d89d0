import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { CaseboundError } from '@casebound/contract';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createCircuitBreaker } from '../circuit-breaker.ts';
import { createClaimChecks } from '../claim-check.ts';
import { idempotent } from '../idempotent.ts';
import type { Clock, OutgoingMessage, PayloadStore, Queues } from '../ports.ts';
import { createPostgresDeadLetters, putBackIntoPostgres } from '../postgres/postgres-dead-letters.ts';
import { createPostgresQueues } from '../postgres/postgres-queues.ts';
import { openTestMessaging, realClock, silentLog } from '../test/open-test-messaging.ts';
import type { TestMessaging } from '../test/open-test-messaging.ts';
import { createConsumer } from './consumer.ts';
import type { Consumer, ConsumerOptions } from './consumer.ts';
import { each } from './worker-definition.ts';
import type { WorkerDefinition } from './worker-definition.ts';

let messaging: TestMessaging;
let queues: Queues;
const consumers: Consumer[] = [];
const objects = new Map<string, Uint8Array>();
const store: PayloadStore = {
  put: async (key, bytes) => void objects.set(key, bytes),
  get: async (key) => objects.get(key) ?? Promise.reject(new CaseboundError('object_not_found', 'None.')),
  delete: async (key) => void objects.delete(key),
};

beforeAll(async () => {
  messaging = await openTestMessaging({ connections: 12 });
  queues = queuesOf('sender');
  await messaging.pool.query('CREATE TABLE effect_log (effect text NOT NULL)');
});
afterEach(async () => {
  for (const consumer of consumers.splice(0)) await consumer.stop(5000);
});
afterAll(async () => messaging.close());

const queuesOf = (worker: string, more: { readonly maxMessageBytes?: number; readonly clock?: Clock } = {}) =>
  createPostgresQueues({ sql: messaging.pool, clock: realClock, worker, pollMs: 20, ...more });

const newQueue = async (visibilityTimeoutMs = 60_000): Promise<string> => {
  const name = `q-${randomUUID()}`;
  await queues.create({ name, visibilityTimeoutMs, maxReceiveCount: 5 });
  return name;
};

const run = (more: Partial<ConsumerOptions> = {}): Consumer => {
  const worker = `worker-${randomUUID()}`;
  const consumer = createConsumer({
    queues: queuesOf(worker),
    worker,
    total: 100,
    claimChecks: createClaimChecks({ store, sql: messaging.pool, log: silentLog, maxMessageBytes: 1024 * 1024 }),
    clock: realClock,
    log: silentLog,
    random: Math.random,
    crashPoint: () => {},
    ...more,
  });
  consumers.push(consumer);
  consumer.start();
  return consumer;
};

const workerFor = (
  queue: string,
  handle: WorkerDefinition['handle'],
  more: Partial<WorkerDefinition> = {},
): WorkerDefinition => ({
  name: `w-${queue}`,
  queue,
  handler: 'test',
  handle,
  concurrency: 10,
  batchSize: 1,
  batchWindowMs: 0,
  handlerTimeoutMs: 30_000,
  retry: { baseMs: 5, maxMs: 50 },
  ...more,
});

const texts = (count: number, more: Partial<OutgoingMessage> = {}): OutgoingMessage[] =>
  Array.from({ length: count }, (_, n) => ({ body: `m${n}`, ...more }));
const effects = async (like: string): Promise<number> =>
  Number((await messaging.pool.query('SELECT count(*) AS n FROM effect_log WHERE effect LIKE $1', [like])).rows[0].n);
const depth = async (queue: string) => (await queues.depth([queue])).get(queue);
const isEmpty = async (queue: string): Promise<boolean> => {
  const now = await depth(queue);
  return now !== undefined && now.visible + now.inFlight + now.delayed === 0;
};

test('every message is handled and acknowledged; failures come back and succeed', async () => {
  const queue = await newQueue();
  const tries = new Map<string, number>();
  run().add(
    workerFor(
      queue,
      each(async ({ body }) => {
        tries.set(body, (tries.get(body) ?? 0) + 1);
        if (body.endsWith('3') && tries.get(body) === 1)
          throw new CaseboundError('object_store_unavailable', 'Not now.');
      }),
    ),
  );
  await queues.send(queue, texts(200));
  await expect.poll(async () => isEmpty(queue), { timeout: 10_000 }).toBe(true);
  expect(tries.size).toBe(200);
  expect([...tries].filter(([, count]) => count === 2)).toHaveLength(20);
});

test('a batch handler answers what failed; only that comes back', async () => {
  const queue = await newQueue();
  const sizes: number[] = [];
  const seen: string[] = [];
  run().add(
    workerFor(
      queue,
      async (deliveries) => {
        sizes.push(deliveries.length);
        seen.push(...deliveries.map(({ body }) => body));
        return deliveries
          .filter(({ body, message }) => body === 'm7' && message.receiveCount === 1)
          .map(({ message }) => ({ messageId: message.messageId, error: new Error('x') }));
      },
      { batchSize: 10, batchWindowMs: 200, concurrency: 2 },
    ),
  );
  await queues.send(queue, texts(20));
  await expect.poll(async () => isEmpty(queue), { timeout: 10_000 }).toBe(true);
  expect(seen).toHaveLength(21);
  expect(seen.filter((body) => body === 'm7')).toHaveLength(2);
  expect(Math.max(...sizes)).toBe(10);
});

test('a permanent failure dies at once; a poison message after five receives, with every attempt in its history', async () => {
  const queue = await newQueue();
  run().add(
    workerFor(
      queue,
      each(async ({ body }) => {
        throw body === 'm0' ? new CaseboundError('object_corrupt', 'The hash differs.') : new TypeError('poison');
      }),
    ),
  );
  await queues.send(queue, texts(2));
  const letters = createPostgresDeadLetters({ database: messaging.database, putBack: putBackIntoPostgres });
  await expect.poll(async () => letters.count({ queue }), { timeout: 10_000 }).toBe(2);
  const [first, second] = await Promise.all(
    (await letters.list({ queue }, { limit: 5 })).map(async ({ deadLetterId }) => letters.show(deadLetterId)),
  );
  expect(first).toMatchObject({ body: 'm0', code: 'object_corrupt', reason: 'The hash differs.', receiveCount: 1 });
  expect(first?.history).toHaveLength(1);
  expect(second).toMatchObject({ body: 'm1', code: 'receive_count_exceeded', receiveCount: 5 });
  expect(
    second?.history.map(({ attempt, worker, outcome }) => [attempt, worker.startsWith('worker-'), outcome]),
  ).toEqual([1, 2, 3, 4, 5].map((attempt) => [attempt, true, 'failed']));
});

test('the heartbeat keeps the lease of a handler that runs longer than the visibility timeout', async () => {
  const queue = await newQueue(1000);
  let runs = 0;
  run().add(
    workerFor(
      queue,
      each(async () => {
        runs += 1;
        await sleep(3500);
      }),
    ),
  );
  await queues.send(queue, texts(1));
  await expect.poll(async () => isEmpty(queue), { timeout: 10_000 }).toBe(true);
  expect(runs).toBe(1);
});

test('a handler that sleeps past its lease is told, is fenced off, and its effect is made once', async () => {
  const queue = await newQueue(300);
  const told: unknown[] = [];
  const results: string[] = [];
  let first = true;
  const frozen = Promise.withResolvers<void>();
  const handle = each(async ({ message, signal }) => {
    if (first) {
      first = false;
      signal.addEventListener('abort', () => told.push(signal.reason));
      await frozen.promise;
    }
    await messaging.database
      .transaction(async (tx) =>
        idempotent(tx, `fenced/${queue}`, message.fencingToken, async () => {
          await tx.query('INSERT INTO effect_log VALUES ($1)', [`fenced/${queue}`]);
        }),
      )
      .then(
        () => results.push(`made ${message.receiveCount}`),
        (error: unknown) =>
          results.push(`refused ${message.receiveCount} ${error instanceof CaseboundError ? error.code : ''}`),
      );
  });
  // A process whose heartbeat is cut off, as when it is paused by the system.
  const cutOff = queuesOf('cut-off');
  run({ worker: 'cut-off', queues: { ...cutOff, extend: async () => Promise.reject(new Error('cut off')) } }).add(
    workerFor(queue, handle),
  );
  await queues.send(queue, texts(1));
  await expect.poll(() => first, { timeout: 5000 }).toBe(false);
  run().add(workerFor(queue, handle));
  await expect.poll(() => results, { timeout: 5000 }).toEqual(['made 2']);
  // The first process is told by its own clock, which the second does not wait for.
  await expect.poll(() => told, { timeout: 5000 }).toEqual([expect.objectContaining({ code: 'lease_lost' })]);
  frozen.resolve();
  await expect.poll(() => results, { timeout: 5000 }).toEqual(['made 2', 'refused 1 lease_lost']);
  expect(await effects(`fenced/${queue}`)).toBe(1);
  await expect.poll(async () => isEmpty(queue), { timeout: 5000 }).toBe(true);
});

test('workers whose clocks differ by hours share a queue without a message handled twice', async () => {
  const queue = await newQueue(2000);
  const handled: string[] = [];
  const skewed = (hours: number): Clock => ({
    ...realClock,
    now: () => new Date(Date.now() + hours * 3_600_000),
    monotonicMs: () => performance.now() + hours * 3_600_000,
  });
  for (const hours of [-5, 0, 7]) {
    run({
      clock: skewed(hours),
      worker: `skewed-${hours}`,
      queues: queuesOf(`skewed-${hours}`, { clock: skewed(hours) }),
    }).add(
      workerFor(
        queue,
        each(async ({ body }) => {
          handled.push(body);
          await sleep(5);
        }),
      ),
    );
  }
  await queues.send(queue, texts(300));
  await expect.poll(async () => isEmpty(queue), { timeout: 10_000 }).toBe(true);
  expect(handled).toHaveLength(300);
  expect(new Set(handled).size).toBe(300);
});

test('ten messages of one case do not wait for 100,000 of another', async () => {
  const queue = await newQueue();
  await messaging.pool.query(
    `INSERT INTO messaging.message (queue_id, fairness_key, visible_at, sent_at, body)
     SELECT queue_id, 1, now(), now(), 'bulk' FROM messaging.queue, generate_series(1, 100000) WHERE name = $1`,
    [queue],
  );
  let bulk = 0;
  const small: number[] = [];
  run({ total: 20 }).add(
    workerFor(
      queue,
      each(async ({ body }) => {
        if (body === 'bulk') bulk += 1;
        else small.push(bulk);
        await sleep(2);
      }),
      { concurrency: 20 },
    ),
  );
  await expect.poll(() => bulk, { timeout: 10_000 }).toBeGreaterThan(200);
  const before = bulk;
  await queues.send(queue, texts(10, { fairnessKey: 2 }));
  await expect.poll(() => small.length, { timeout: 10_000 }).toBe(10);
  // Its turn comes with the next look (250 ms) and it then gets half: a few hundred of the other's go first, not 100,000.
  expect((small.at(-1) ?? 0) - before).toBeLessThan(5000);
  await queues.purge(queue);
});

test('what is in flight of one case stays within the cap, over all processes', async () => {
  const queue = await newQueue();
  let [running, most] = [0, 0];
  const handle = each(async () => {
    running += 1;
    most = Math.max(most, running);
    await sleep(5);
    running -= 1;
  });
  for (let n = 0; n < 3; n += 1) run({ maxInFlightPerKey: 4 }).add(workerFor(queue, handle));
  await queues.send(queue, texts(150, { fairnessKey: 8 }));
  await expect.poll(async () => isEmpty(queue), { timeout: 15_000 }).toBe(true);
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(4);
});

test('an open circuit pauses the intake of its queue, gives back what is held without counting, and lets one trial through', async () => {
  const queue = await newQueue();
  const other = await newQueue();
  const breaker = createCircuitBreaker({ name: 'engine', openMs: 4000, clock: realClock });
  let [up, entered, calls, others] = [false, 0, 0, 0];
  const consumer = run();
  consumer.add(
    workerFor(
      queue,
      each(async () => {
        entered += 1;
        await breaker.run(async () => {
          calls += 1;
          await sleep(1);
          if (!up) throw new CaseboundError('object_store_unavailable', 'Down.');
        });
      }),
      { breaker, concurrency: 20, retry: { baseMs: 10_000, maxMs: 10_000 } },
    ),
  );
  consumer.add(
    workerFor(
      other,
      each(async () => void (others += 1)),
    ),
  );
  await queues.send(queue, texts(50));
  await expect.poll(() => breaker.state, { timeout: 5000 }).toBe('open');
  await sleep(100);
  const [callsThen, enteredThen] = [calls, entered];
  await queues.send(queue, texts(10));
  await queues.send(other, texts(5));
  await expect.poll(() => others, { timeout: 3000 }).toBe(5);
  expect(breaker.state).toBe('open');
  expect(calls).toBe(callsThen);
  // Nothing is even taken from the queue, though there is work in it.
  await sleep(300);
  expect(breaker.state).toBe('open');
  expect(entered).toBe(enteredThen);
  expect((await depth(queue))?.visible).toBeGreaterThan(9);
  // Before one that failed comes again, which counts.
  const { rows } = await messaging.pool.query(
    `SELECT max(receive_count) AS most, count(*) FILTER (WHERE receive_count = 0 AND history IS NOT NULL) AS given_back
     FROM messaging.message JOIN messaging.queue USING (queue_id) WHERE name = $1`,
    [queue],
  );
  expect(Number(rows[0].most)).toBeLessThanOrEqual(1);
  up = true;
  await expect.poll(() => breaker.state, { timeout: 15_000 }).toBe('closed');
});

test('a handler that runs out of time is aborted, and its message retried and said to have timed out', async () => {
  const queue = await newQueue();
  let attempt = 0;
  run().add(
    workerFor(
      queue,
      each(async ({ signal }) => {
        attempt += 1;
        if (attempt === 1) await sleep(10_000, undefined, { signal });
      }),
      { handlerTimeoutMs: 100 },
    ),
  );
  await queues.send(queue, texts(1));
  await expect.poll(async () => isEmpty(queue), { timeout: 5000 }).toBe(true);
  expect(attempt).toBe(2);
});

test('a stop waits for handlers, then interrupts them, and gives back the rest without counting', async () => {
  const queue = await newQueue();
  let [started, finished] = [0, 0];
  const consumer = run();
  consumer.add(
    workerFor(
      queue,
      each(async ({ body, signal }) => {
        started += 1;
        await sleep(body === 'm0' ? 150 : 20_000, undefined, { signal });
        finished += 1;
      }),
      { concurrency: 3 },
    ),
  );
  await queues.send(queue, texts(6));
  await expect.poll(() => started, { timeout: 5000 }).toBe(3);
  const begun = performance.now();
  await consumer.stop(400);
  expect(performance.now() - begun).toBeLessThan(3500);
  expect(finished).toBe(1);
  expect(await depth(queue)).toMatchObject({ visible: 5, inFlight: 0 });
  const { rows } = await messaging.pool.query(
    'SELECT receive_count FROM messaging.message JOIN messaging.queue USING (queue_id) WHERE name = $1',
    [queue],
  );
  expect(rows.map(({ receive_count: count }) => count as number)).toEqual([0, 0, 0, 0, 0]);
});

test('a payload that the transport cannot carry goes through the object store, and is gone when the message is done', async () => {
  const queue = await newQueue();
  const checks = async () => (await messaging.pool.query('SELECT FROM messaging.claim_check')).rowCount;
  const before = [objects.size, await checks()];
  const claimChecks = createClaimChecks({ store, sql: messaging.pool, log: silentLog, maxMessageBytes: 1000 });
  const body = JSON.stringify({ text: 'é'.repeat(5000) });
  const message = await claimChecks.check({ body, fairnessKey: 3 });
  expect(message.body.length).toBeLessThan(1000);
  expect(objects.size - Number(before[0])).toBe(1);
  await queues.send(queue, [message]);
  const got: string[] = [];
  run({ claimChecks }).add(
    workerFor(
      queue,
      each(async (delivery) => void got.push(delivery.body)),
    ),
  );
  await expect.poll(() => got, { timeout: 5000 }).toEqual([body]);
  await expect.poll(async () => [objects.size, await checks()], { timeout: 5000 }).toEqual(before);
});

test('a payload that is missing or altered is an error of the message, not of the consumer', async () => {
  const queue = await newQueue();
  const claimChecks = createClaimChecks({ store, sql: messaging.pool, log: silentLog, maxMessageBytes: 100 });
  const [altered, missing] = [
    await claimChecks.check({ body: 'a'.repeat(500) }),
    await claimChecks.check({ body: 'b'.repeat(500) }),
  ];
  const keyOf = ({ body }: OutgoingMessage): string => (JSON.parse(body) as { key: string }).key;
  objects.set(keyOf(altered), Buffer.from('c'.repeat(500)));
  objects.delete(keyOf(missing));
  await queues.send(queue, [altered, missing, { body: 'plain' }]);
  const got: string[] = [];
  run({ claimChecks }).add(
    workerFor(
      queue,
      each(async ({ body }) => void got.push(body)),
    ),
  );
  const letters = createPostgresDeadLetters({ database: messaging.database, putBack: putBackIntoPostgres });
  await expect
    .poll(async () => (await letters.list({ queue }, { limit: 5 })).map(({ code }) => code).sort(), { timeout: 5000 })
    .toEqual(['object_corrupt', 'object_not_found']);
  await expect.poll(() => got, { timeout: 5000 }).toEqual(['plain']);
});

test('workers are added, paused, resumed and removed while others go on', async () => {
  const [a, b] = [await newQueue(), await newQueue()];
  const consumer = run();
  let handled = 0;
  const count = each(async () => void (handled += 1));
  consumer.add(workerFor(a, count));
  consumer.add(workerFor(b, count));
  consumer.pause(`w-${a}`);
  await queues.send(a, texts(3));
  await queues.send(b, texts(3));
  await expect.poll(() => handled, { timeout: 5000 }).toBe(3);
  await sleep(100);
  expect(handled).toBe(3);
  consumer.resume(`w-${a}`);
  await expect.poll(() => handled, { timeout: 5000 }).toBe(6);
  await consumer.remove(`w-${a}`);
  await queues.send(a, texts(1));
  await queues.send(b, texts(1));
  await expect.poll(() => handled, { timeout: 5000 }).toBe(7);
  await sleep(100);
  expect(handled).toBe(7);
  expect(consumer.workers).toEqual([`w-${b}`]);
});

test('an idle consumer with 1,000 queues asks the database a bounded number of times a second', async () => {
  const names = await Promise.all(Array.from({ length: 1000 }, async () => newQueue()));
  let statements = 0;
  const sql = {
    query: async (text: string, values?: readonly unknown[]) => {
      statements += 1;
      return messaging.pool.query(text, values as unknown[]);
    },
  };
  const consumer = run({ queues: createPostgresQueues({ sql, clock: realClock, worker: 'idle', pollMs: 1000 }) });
  for (const name of names)
    consumer.add(
      workerFor(
        name,
        each(async () => {}),
      ),
    );
  await sleep(2500);
  statements = 0;
  await sleep(3000);
  expect(statements).toBeGreaterThan(0);
  expect(statements).toBeLessThanOrEqual(6);
}, 30_000);
