import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventId, messagingOperations, type Actor } from '@casebound/contract';
import {
  caseDatabaseMigrations,
  controlMigrations,
  createMessaging,
  createPoolDatabase,
  createPostgresTransport,
  defineWorkflow,
  type Clock,
  type Messaging,
  type ReceivedMessage,
} from '@casebound/messaging';
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { createOperationsHandlers, type OperationsHandlers } from './index.ts';

const clock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal }),
};
const request = {
  actor: { kind: 'system', reason: 'test' } satisfies Actor,
  requestId: 'r',
  signal: new AbortController().signal,
  params: undefined,
  query: undefined,
  body: undefined,
};
const workflow = defineWorkflow({
  name: 'never-ends',
  version: 1,
  input: z.object({}),
  steps: [{ name: 'waits', run: async ({ signal }) => clock.sleep(60_000, signal) }],
});

let made: TestDatabase;
let pool: pg.Pool;
let messaging: Messaging;
let handlers: OperationsHandlers;
beforeAll(async () => {
  made = await createTestDatabase({
    template: 'messaging-operations',
    prepare: async (target) => {
      const client = new pg.Client({ ...target });
      await client.connect();
      for (const folder of [controlMigrations, caseDatabaseMigrations]) {
        for (const file of (await readdir(folder)).sort())
          await client.query(await readFile(new URL(file, folder), 'utf8'));
      }
      await client.end();
    },
  });
  pool = new pg.Pool({ ...made.target, max: 8 });
  const control = createPoolDatabase(pool, { random: Math.random, sleep: async (ms) => sleep(ms) });
  messaging = createMessaging({
    control,
    transport: () => createPostgresTransport({ control, clock, worker: 'w', pollMs: 100 }),
    payloads: { put: async () => {}, get: async () => Promise.reject(new Error('none')), delete: async () => {} },
    clock,
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    worker: 'w',
    workerTotal: 4,
    workflows: [workflow],
  });
  await messaging.start({ workers: true });
  handlers = createOperationsHandlers({ ...messaging, clock });
  await messaging.queues.create({ name: 'work', visibilityTimeoutMs: 60_000, maxReceiveCount: 5 });
});
afterAll(async () => {
  await messaging.stop(100);
  await pool.end();
  await made.drop();
});

const receive = async (max: number): Promise<readonly ReceivedMessage[]> =>
  messaging.queues.receive({ queues: [{ name: 'work', max }], total: max, waitMs: 0 });
const bury = async (count: number, code: string, fairnessKey: number): Promise<void> => {
  await messaging.queues.send(
    'work',
    Array.from({ length: count }, (_, n) => ({ body: `${code}-${n}`, fairnessKey })),
  );
  for (const message of await receive(count)) {
    const failure = {
      attempt: 1,
      at: new Date().toISOString(),
      worker: 'w',
      outcome: 'failed' as const,
      code,
      error: 'It failed.',
    };
    await messaging.queues.bury({ message, code, reason: 'It failed.', failure });
  }
};

test('queues are listed and shown with depth, age and dead letters, and emptied', async () => {
  await messaging.queues.send('work', [{ body: 'a' }, { body: 'b', delayMs: 60_000 }]);
  const { queues } = await handlers.listQueues(request);
  expect(queues.map(({ name }) => name)).toEqual(['work', 'workflows']);
  const shown = await handlers.getQueue({ ...request, params: { queue: 'work' } });
  expect(messagingOperations.getQueue.success.body.parse(shown)).toMatchObject({
    visible: 1,
    delayed: 1,
    inFlight: 0,
    deadLetters: 0,
  });
  expect(shown.oldestVisibleMs).toBeGreaterThanOrEqual(0);
  await handlers.purgeQueue({ ...request, params: { queue: 'work' } });
  expect(await handlers.getQueue({ ...request, params: { queue: 'work' } })).toMatchObject({ visible: 0, delayed: 0 });
  await expect(handlers.getQueue({ ...request, params: { queue: 'none' } })).rejects.toMatchObject({
    code: 'queue_not_found',
  });
});

test('dead letters are listed by filter and page, shown with their history, redriven at a rate, purged', async () => {
  const all = messagingOperations.purgeDeadLetters.body.parse({ all: true });
  // What an earlier try left.
  await handlers.purgeDeadLetters({ ...request, body: all });
  await handlers.purgeQueue({ ...request, params: { queue: 'work' } });
  await bury(6, 'object_corrupt', 4);
  await bury(2, 'other', 5);
  const query = messagingOperations.listDeadLetters.query.parse({ queue: 'work', caseId: '4', limit: '4' });
  const first = await handlers.listDeadLetters({ ...request, query });
  expect(first).toMatchObject({ total: 6, next: first.deadLetters[3]?.deadLetterId });
  const second = await handlers.listDeadLetters({ ...request, query: { ...query, after: first.next ?? undefined } });
  expect([second.deadLetters.length, second.next]).toEqual([2, null]);
  const deadLetterId = first.deadLetters[0]?.deadLetterId ?? '';
  const shown = await handlers.getDeadLetter({ ...request, params: { deadLetterId } });
  expect(messagingOperations.getDeadLetter.success.body.parse(shown)).toMatchObject({
    caseId: 4,
    body: 'object_corrupt-0',
    history: [{ attempt: 1, worker: 'w', error: 'It failed.' }],
  });

  const startedAt = performance.now();
  const slow = messagingOperations.redriveDeadLetters.body.parse({ filter: { code: 'object_corrupt' }, perSecond: 5 });
  expect(await handlers.redriveDeadLetters({ ...request, body: slow })).toEqual({ redriven: 6, remaining: 0 });
  expect(performance.now() - startedAt).toBeGreaterThan(900);
  expect((await receive(10)).map(({ receiveCount }) => receiveCount)).toEqual([1, 1, 1, 1, 1, 1]);

  expect(await handlers.purgeDeadLetters({ ...request, body: all })).toEqual({ purged: 2 });
  await expect(handlers.getDeadLetter({ ...request, params: { deadLetterId } })).rejects.toMatchObject({
    code: 'dead_letter_not_found',
  });
});

test.each([{}, { filter: {} }, { ids: ['1'], all: true }, { ids: ['x'] }])(
  'what changes many must say which: %j is refused',
  (body) => {
    expect(messagingOperations.purgeDeadLetters.body.safeParse(body).success).toBe(false);
  },
);

test('a reader that waits gets events as they are published, from where it was', async () => {
  const event = {
    id: EventId.parse('01890a5d-ac96-774b-bcce-b302099a8057'),
    source: 'messaging',
    eventType: 'CIRCUIT_BREAKER_CHANGED' as const,
    version: 1,
    status: 'SUCCESS' as const,
    timestamp: new Date().toISOString(),
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    eventDetail: {
      breaker: 'engine',
      from: 'closed' as const,
      to: 'open' as const,
      consecutiveFailures: 5,
      worker: 'w',
    },
  };
  const query = messagingOperations.readEvents.query.parse({ waitSeconds: '20', type: 'CIRCUIT_BREAKER_CHANGED' });
  const waiting = handlers.readEvents({ ...request, query });
  await sleep(300);
  const client = await pool.connect();
  await messaging.outbox.publish(client, messaging.topic, [event]);
  client.release();
  const { events, next } = await waiting;
  expect(events).toEqual([expect.objectContaining({ sequence: next, event })]);
  expect(await handlers.readEvents({ ...request, query: { ...query, after: next, waitSeconds: 0 } })).toEqual({
    events: [],
    next,
  });
  expect(messagingOperations.readEvents.query.safeParse({ type: 'NO_SUCH' }).success).toBe(false);
}, 30_000);

test('workflows are listed, shown, cancelled, and refuse what their state does not allow', async () => {
  const client = await pool.connect();
  const { workflow: started } = await messaging.workflows.start(
    client,
    workflow,
    {},
    { startKey: randomUUID(), fairnessKey: 4 },
  );
  client.release();
  const params = { workflowId: started.workflowId };
  await expect
    .poll(async () => (await handlers.getWorkflow({ ...request, params })).worker, { timeout: 10_000 })
    .toBe('w');
  const query = messagingOperations.listWorkflows.query.parse({ state: 'running' });
  expect((await handlers.listWorkflows({ ...request, query })).workflows.map(({ workflowId }) => workflowId)).toEqual([
    started.workflowId,
  ]);
  await handlers.cancelWorkflow({ ...request, params });
  await expect
    .poll(async () => (await handlers.getWorkflow({ ...request, params })).state, { timeout: 10_000 })
    .toBe('cancelled');
  await expect(handlers.resumeWorkflow({ ...request, params })).rejects.toMatchObject({ code: 'workflow_conflict' });
}, 30_000);

test('circuit breakers are listed by engine and process', async () => {
  const breaker = messaging.breakers.of('engine', { threshold: 1 });
  await breaker.run(async () => Promise.reject(new Error('down'))).catch(() => undefined);
  await expect
    .poll(async () => (await handlers.listBreakers(request)).breakers, { timeout: 5000 })
    .toEqual([expect.objectContaining({ name: 'engine', worker: 'w', state: 'open', consecutiveFailures: 1 })]);
});
