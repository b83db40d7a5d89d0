import { randomUUID } from 'node:crypto';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { SNSClient } from '@aws-sdk/client-sns';
import { SQSClient } from '@aws-sdk/client-sqs';
import { CaseboundError } from '@casebound/contract';
import { startFauxqs } from 'fauxqs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCircuitBreaker } from '../circuit-breaker.ts';
import { createClaimChecks } from '../claim-check.ts';
import { each } from '../consumer/worker-definition.ts';
import type { Delivery } from '../consumer/worker-definition.ts';
import type { HandlerCatalogue, WorkerFleet } from '../fleet/Port.ts';
import { createPostgresDeadLetters } from '../postgres/postgres-dead-letters.ts';
import type { DeadLetters } from '../postgres/postgres-dead-letters.ts';
import { openTestMessaging, realClock, silentLog } from '../test/open-test-messaging.ts';
import { createAwsTransport } from './aws-transport.ts';
import { createLambdaFleet, workerOfEnvironment } from './lambda-fleet.ts';
import { createLambdaHandler } from './lambda-handler.ts';
import { putBackIntoSqs } from './put-back-into-sqs.ts';
import type { SqsQueues } from './sqs-queues.ts';
import { startLambdaTestServer } from './testing/lambda-test-server.ts';
import type { LambdaTestServer } from './testing/lambda-test-server.ts';

let queues: SqsQueues;
let fleet: WorkerFleet;
let deadLetters: DeadLetters;
let lambda: LambdaTestServer;
const closing: (() => Promise<unknown> | void)[] = [];
const deliveries: { readonly body: string; readonly receiveCount: number }[] = [];
const breaker = createCircuitBreaker({ name: 'engine', openMs: 1000, clock: realClock });

/** What the handler does is said by the message. */
const handle = each(async ({ body, message }: Delivery) => {
  deliveries.push({ body, receiveCount: message.receiveCount });
  if (body.startsWith('poison')) throw new CaseboundError('object_corrupt', 'The hash differs.');
  if (body.startsWith('once') && message.receiveCount === 1)
    throw new CaseboundError('object_store_unavailable', 'Not now.');
  if (body.startsWith('closed') && message.fencingToken === 1)
    throw new CaseboundError('circuit_open', 'Down.', { retryAfterSeconds: 1 });
});
const handlers: HandlerCatalogue = {
  uploader: { handle, handlerTimeoutMs: 10_000, reserved: 10, breaker, retry: { baseMs: 10, maxMs: 100 } },
};

beforeAll(async () => {
  const messaging = await openTestMessaging();
  const sqsServer = await startFauxqs({ port: 0, logger: false });
  const access = { region: 'us-east-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };
  const endpoint = `http://127.0.0.1:${sqsServer.port}`;
  const [sqs, sns] = [new SQSClient({ ...access, endpoint }), new SNSClient({ ...access, endpoint })];
  deadLetters = createPostgresDeadLetters({
    database: messaging.database,
    putBack: async (tx, queue, letters) => putBackIntoSqs(queues)(tx, queue, letters),
  });
  const transport = createAwsTransport({
    sqs,
    sns,
    control: messaging.database,
    clock: realClock,
    deadLetters,
    fairQueues: false,
  });
  queues = transport.queues;
  const claimChecks = createClaimChecks({
    store: { put: async () => {}, get: async () => Promise.reject(new Error('none')), delete: async () => {} },
    sql: messaging.pool,
    log: silentLog,
    maxMessageBytes: transport.maxMessageBytes,
  });
  lambda = await startLambdaTestServer(sqs, (environment) => {
    const worker = workerOfEnvironment(environment);
    const handler = handlers[worker.handler];
    if (handler === undefined) throw new Error('An unknown handler was deployed.');
    return createLambdaHandler({
      name: worker.name,
      handler,
      queues,
      claimChecks,
      clock: realClock,
      log: silentLog,
      random: Math.random,
    });
  });
  const client = new LambdaClient({ ...access, endpoint: lambda.endpoint });
  fleet = createLambdaFleet({
    client,
    queues,
    handlers,
    clock: realClock,
    workerTotal: 20,
    code: {
      bucket: 'code',
      key: 'casebound.zip',
      handler: 'worker.handler',
      roleArn: 'arn:aws:iam::000000000000:role/worker',
      memoryMb: 512,
    },
  });
  closing.push(
    async () => lambda.stop(),
    () => client.destroy(),
    () => sqs.destroy(),
    () => sns.destroy(),
    async () => sqsServer.stop(),
    async () => messaging.close(),
  );
});
afterAll(async () => {
  for (const close of closing) await close();
});

const worker = (name: string, more = {}) => ({
  name,
  queue: name,
  handler: 'uploader',
  concurrency: 5,
  batchSize: 10,
  batchWindowMs: 0,
  ...more,
});
const newQueue = async (name: string): Promise<void> =>
  void (await queues.create({ name, visibilityTimeoutMs: 40_000, maxReceiveCount: 5 }));
const received = (body: string) =>
  deliveries.filter((delivery) => delivery.body === body).map(({ receiveCount }) => receiveCount);

test('a batch ends as each of its messages deserves: done, tried again, dead, or given back uncounted', async () => {
  const name = `mixed-${randomUUID()}`;
  const bodies = ['good', 'once', 'poison', 'closed'].map((kind) => `${kind} ${name}`);
  await newQueue(name);
  await queues.send(
    name,
    bodies.map((body) => ({ body, fairnessKey: 4 })),
  );
  expect(await fleet.create(worker(name))).toBe(`arn:aws:lambda:us-east-1:000000000000:function:${name}`);
  await expect.poll(() => bodies.map(received), { timeout: 15_000 }).toEqual([[1], [1, 2], [1], [1, 1]]);
  await expect
    .poll(async () => (await queues.depth([name])).get(name), { timeout: 5000 })
    .toMatchObject({ visible: 0, inFlight: 0, delayed: 0 });
  const [letter] = await deadLetters.list({ queue: name }, { limit: 5 });
  expect(letter).toMatchObject({ code: 'object_corrupt', fairnessKey: 4, receiveCount: 1 });
}, 40_000);

test('a worker is made once, paused, resumed and deleted', async () => {
  const name = `steered-${randomUUID()}`;
  const body = `while paused ${name}`;
  await newQueue(name);
  const [first, second] = [await fleet.create(worker(name)), await fleet.create(worker(name))];
  expect(second).toBe(first);
  expect([...lambda.mappings.values()].filter(({ FunctionName }) => FunctionName === name)).toHaveLength(1);
  expect(await fleet.list()).toContainEqual(worker(name));
  await fleet.pause(name);
  await queues.send(name, [{ body }]);
  await realClock.sleep(300);
  expect(received(body)).toEqual([]);
  expect(await fleet.inFlight(name)).toBe(0);
  await fleet.resume(name);
  await expect.poll(() => received(body), { timeout: 10_000 }).toEqual([1]);
  await fleet.delete(name);
  await fleet.delete(name);
  expect(lambda.functions.has(name)).toBe(false);
  expect(await queues.find(name)).toBeDefined();
}, 30_000);

test.each([
  ['too little concurrency for a mapping', { concurrency: 1 }, 'queue_settings_invalid', '1'],
  ['more than is reserved', { concurrency: 11 }, 'queue_settings_invalid', '11'],
  ['a handler that is not known', { handler: 'other' }, 'queue_settings_invalid', 'other'],
  ['a queue that is not there', { queue: 'nowhere' }, 'queue_not_found', 'nowhere'],
  ['a batch window that outlives the lease', { batchWindowMs: 300_000 }, 'queue_settings_invalid', '340000'],
  ['a name that Lambda refuses', { name: 'a b' }, 'queue_settings_invalid', 'a b'],
])('%s is refused', async (_what, more, code, detail) => {
  await newQueue('refused');
  await expect(fleet.create(worker('refused', more))).rejects.toMatchObject({
    code,
    message: expect.stringContaining(detail),
  });
});
