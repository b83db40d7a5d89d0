import { randomUUID } from 'node:crypto';
import { BatchId, CaseboundError, CaseId, EventId, JobId, jobCatalogue } from '@casebound/contract';
import type { EventType } from '@casebound/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { handleEvents, handleJob, jobMessage } from './consumer/typed-handlers.ts';
import { createMessaging } from './create-messaging.ts';
import type { Messaging } from './create-messaging.ts';
import { createPostgresTransport } from './postgres/postgres-transport.ts';
import { openTestMessaging, realClock, silentLog } from './test/open-test-messaging.ts';
import type { TestMessaging } from './test/open-test-messaging.ts';
import { expectIdempotent } from './testing/expect-idempotent.ts';
import { idempotent } from './idempotent.ts';
import { queueSettingsOf } from './visibility.ts';
import { defineWorkflow } from './workflow/define-workflow.ts';

let base: TestMessaging;
let messaging: Messaging;
const seen: string[] = [];
const objects = new Map<string, Uint8Array>();
const context = {
  jobId: JobId.parse('01890a5d-ac96-774b-bcce-b302099a8058'),
  caseId: CaseId.parse(4),
  batchId: BatchId.parse(7),
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
};
/** Keeps what is measured: `name{labels}` -> value. */
const measured = new Map<string, number>();
const collectors: (() => Promise<void>)[] = [];
const definition = (of: { readonly name: string; readonly collect?: (gauge: never) => void | Promise<void> }) => {
  const key = (labels: object): string => `${of.name}${JSON.stringify(labels)}`;
  const metric = {
    add: (labels: object, by = 1) => void measured.set(key(labels), (measured.get(key(labels)) ?? 0) + by),
    set: (labels: object, value: number) => void measured.set(key(labels), value),
    observe: (labels: object) => void measured.set(key(labels), (measured.get(key(labels)) ?? 0) + 1),
  };
  const { collect } = of;
  if (collect !== undefined) collectors.push(async () => collect(metric as never));
  return metric;
};
const finished = () => ({
  ...context,
  id: EventId.parse(randomUUID()),
  source: 'exchange',
  eventType: 'EXCHANGER_FAILED' as const,
  version: 1,
  status: 'SUCCESS' as const,
  eventDetail: { step: 'COPYING_RECORDS' },
  timestamp: new Date().toISOString(),
});
const workflow = defineWorkflow({
  name: 'two-steps',
  version: 1,
  input: z.object({ n: z.number() }),
  steps: [
    { name: 'first', run: async ({ input }) => ({ doubled: input.n * 2 }) },
    { name: 'second', run: async ({ results }) => results['first'] ?? null },
  ],
});

beforeAll(async () => {
  base = await openTestMessaging({ connections: 12 });
  const worker = `w-${randomUUID()}`;
  messaging = createMessaging({
    control: base.database,
    transport: () =>
      createPostgresTransport({ control: base.database, clock: realClock, worker, maxMessageBytes: 4096, pollMs: 100 }),
    payloads: {
      put: async (key, bytes) => void objects.set(key, bytes),
      get: async (key) => objects.get(key) ?? Promise.reject(new CaseboundError('object_not_found', 'None.')),
      delete: async (key) => void objects.delete(key),
    },
    clock: realClock,
    log: silentLog,
    worker,
    workerTotal: 20,
    metrics: { counter: definition, gauge: definition, histogram: definition },
    workflows: [workflow],
    handlers: () => ({
      object_copy: {
        handle: handleJob(jobCatalogue.object_copy, async ({ payload }) => {
          if (payload.documents.length === 13) throw new CaseboundError('object_corrupt', 'The hash differs.');
          seen.push(`copied ${payload.documents.length}`);
        }),
        handlerTimeoutMs: 900_000,
        reserved: 10,
      },
      status: {
        handle: handleEvents({
          EXCHANGER_FAILED: async (event) => void seen.push(`${event.eventType} ${event.status}`),
          DOCUMENT_COPIED: async (event) =>
            void seen.push(
              `${event.eventType} ${event.status} ${event.status === 'ERROR' ? event.eventDetail.code : ''}`,
            ),
        }),
        handlerTimeoutMs: 900_000,
        reserved: 10,
      },
    }),
  });
  await messaging.start({ workers: true });
  for (const [queue, handler] of [
    ['copies', 'object_copy'],
    ['status', 'status'],
  ] as const) {
    await messaging.queues.create(queueSettingsOf(queue, jobCatalogue.object_copy));
    await messaging.fleet.create({
      name: `${queue}-worker`,
      queue,
      handler,
      concurrency: 4,
      batchSize: 1,
      batchWindowMs: 0,
    });
  }
  await messaging.topics.subscribe(messaging.topic, 'status', {
    eventType: ['EXCHANGER_FAILED', 'DOCUMENT_COPIED'],
    caseId: [4],
  });
});
afterAll(async () => {
  await messaging.stop(5000);
  await base.close();
});

/** The log stays behind the oldest transaction that runs on the server, which may be one of another test. */
const logged = async (type: EventType, of: { readonly jobId?: string } = {}) =>
  messaging.eventLog.read({ after: 0, limit: 1000, type, ...of });

const documents = (count: number) => ({
  documents: Array.from({ length: count }, (_, n) => ({ documentId: n + 1, exhibitIds: [n + 1] })),
});

test('what was written with a change is delivered after its commit; what was rolled back never', async () => {
  const before = seen.length;
  await base.database.transaction(async (tx) => {
    await messaging.outbox.publish(tx, messaging.topic, [finished()]);
    await messaging.outbox.send(tx, 'copies', [jobMessage(jobCatalogue.object_copy, context, documents(2))]);
  });
  await expect(
    base.database.transaction(async (tx) => {
      await messaging.outbox.send(tx, 'copies', [jobMessage(jobCatalogue.object_copy, context, documents(3))]);
      throw new Error('rolled back');
    }),
  ).rejects.toThrow('rolled back');
  await expect
    .poll(() => seen.slice(before).sort(), { timeout: 10_000 })
    .toEqual(['EXCHANGER_FAILED SUCCESS', 'copied 2']);
});

test('a message of a job that dies states the job’s own event with status ERROR, to the consumers of that job', async () => {
  const before = seen.length;
  const jobId = JobId.parse(randomUUID());
  await messaging.queues.send('copies', [jobMessage(jobCatalogue.object_copy, { ...context, jobId }, documents(13))]);
  await expect.poll(() => seen.slice(before), { timeout: 10_000 }).toContain('DOCUMENT_COPIED ERROR object_corrupt');
  await expect
    .poll(async () => logged('DOCUMENT_COPIED', { jobId }), { timeout: 15_000 })
    .toMatchObject([
      {
        event: {
          jobId,
          caseId: 4,
          batchId: 7,
          status: 'ERROR',
          eventDetail: { code: 'object_corrupt', message: 'The hash differs.' },
        },
      },
    ]);
});

test('garbage is dead-lettered with the place of its fault, and said to be astray', async () => {
  const lettersOf = async (code: string) => messaging.deadLetters.list({ code }, { limit: 100 });
  const [messages, events] = [(await lettersOf('message_invalid')).length, (await lettersOf('event_invalid')).length];
  await messaging.queues.send('copies', [
    { body: '{"job":"object_copy","context":{},"payload":{}}' },
    { body: 'not JSON' },
  ]);
  await messaging.queues.send('status', [{ body: JSON.stringify({ ...finished(), eventType: 'NO_SUCH_EVENT' }) }]);
  await expect
    .poll(async () => (await lettersOf('message_invalid')).slice(messages).map(({ reason }) => reason), {
      timeout: 10_000,
    })
    .toEqual(expect.arrayContaining([expect.stringContaining('$.context.jobId'), expect.stringContaining('not JSON')]));
  await expect.poll(async () => (await lettersOf('event_invalid')).slice(events), { timeout: 10_000 }).toHaveLength(1);
  const astray = (await lettersOf('message_invalid')).slice(messages).map(({ deadLetterId }) => deadLetterId);
  expect(astray).toHaveLength(2);
  await expect
    .poll(async () => (await logged('STRAY_MESSAGE_DEAD_LETTERED')).map((it) => it.event.eventDetail), {
      timeout: 15_000,
    })
    .toEqual(expect.arrayContaining(astray.map((deadLetterId) => expect.objectContaining({ deadLetterId }))));
});

test('an entry of the outbox for a queue that is gone dies without holding up the others', async () => {
  const [before, buried] = [seen.length, await messaging.deadLetters.count({ queue: 'never-created' })];
  await base.database.transaction(async (tx) => {
    await messaging.outbox.send(tx, 'never-created', [{ body: 'lost' }]);
    await messaging.outbox.send(tx, 'copies', [jobMessage(jobCatalogue.object_copy, context, documents(5))]);
  });
  await expect.poll(() => seen.slice(before), { timeout: 10_000 }).toContain('copied 5');
  await expect
    .poll(async () => (await messaging.deadLetters.list({ queue: 'never-created' }, { limit: 9 })).slice(buried), {
      timeout: 10_000,
    })
    .toEqual([expect.objectContaining({ code: 'queue_not_found' })]);
});

test('an event too large for the transport reaches its consumers through the object store', async () => {
  const event = { ...finished(), eventDetail: { step: 'x'.repeat(10_000) } };
  const [before, kept] = [seen.length, objects.size];
  await base.database.transaction(async (tx) => messaging.outbox.publish(tx, messaging.topic, [event]));
  await expect.poll(() => seen.slice(before), { timeout: 10_000 }).toEqual(['EXCHANGER_FAILED SUCCESS']);
  expect(objects.size - kept).toBe(1);
  await expect
    .poll(async () => (await logged('EXCHANGER_FAILED')).map((it) => it.event.id), { timeout: 15_000 })
    .toContain(event.id);
});

test('an event that does not match its declaration cannot be published', async () => {
  const wrong = { ...finished(), eventDetail: { stage: 'x' } } as unknown as ReturnType<typeof finished>;
  await expect(
    base.database.transaction(async (tx) => messaging.outbox.publish(tx, messaging.topic, [wrong])),
  ).rejects.toMatchObject({ code: 'event_invalid' });
});

test('metrics tell what was received, what became of it, and what waits', async () => {
  for (const collect of collectors) await collect();
  const buried = await messaging.deadLetters.count({ queue: 'copies' });
  expect(buried).toBeGreaterThan(2);
  expect(measured.get('casebound_messages_received_total{"handler":"object_copy"}')).toBeGreaterThan(3);
  expect(measured.get('casebound_messages_settled_total{"handler":"object_copy","outcome":"dead_lettered"}')).toBe(
    buried,
  );
  expect(measured.get('casebound_messages_settled_total{"handler":"status","outcome":"acknowledged"}')).toBeGreaterThan(
    1,
  );
  expect(measured.get('casebound_handler_duration_seconds{"handler":"object_copy"}')).toBeGreaterThan(3);
  expect(measured.get('casebound_queue_messages{"handler":"object_copy","state":"visible"}')).toBe(0);
  expect(measured.get('casebound_dead_letters{}')).toBe(await messaging.deadLetters.count({}));
});

test('a workflow runs from its start to its end by itself', async () => {
  const { workflow: started } = await base.database.transaction(async (tx) =>
    messaging.workflows.start(tx, workflow, { n: 21 }, { startKey: randomUUID(), fairnessKey: 4 }),
  );
  await expect
    .poll(async () => (await messaging.workflows.show(started.workflowId)).state, { timeout: 10_000 })
    .toBe('succeeded');
  expect((await messaging.workflows.show(started.workflowId)).results).toEqual({
    first: { doubled: 42 },
    second: { doubled: 42 },
  });
});

test('expectIdempotent accepts a handler that is, and says of one that is not how and where', async () => {
  const world = (careful: boolean) => async () => {
    const own = await openTestMessaging();
    await own.pool.query('CREATE SCHEMA app CREATE TABLE tally (item text NOT NULL)');
    return {
      sql: own.pool,
      schemas: ['app'],
      close: own.close,
      handler: (crashPoint: (name: string) => void | Promise<void>) =>
        handleJob(jobCatalogue.object_copy, async ({ context: { jobId }, fencingToken }) => {
          const effect = async (tx: { query(text: string, values?: readonly unknown[]): Promise<unknown> }) => {
            await tx.query('INSERT INTO app.tally VALUES ($1)', [jobId]);
            await crashPoint('in-transaction');
          };
          await own.database.transaction(async (tx) =>
            careful ? idempotent(tx, `tally/${jobId}`, fencingToken, async () => effect(tx)) : effect(tx),
          );
          await crashPoint('after-commit');
        }),
    };
  };
  const { body } = jobMessage(jobCatalogue.object_copy, context, documents(1));
  await expectIdempotent({ world: world(true), body });
  await expect(expectIdempotent({ world: world(false), body })).rejects.toThrow(/delivered twice.*app\.tally/s);
}, 60_000);
