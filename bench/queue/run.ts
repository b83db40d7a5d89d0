/**
 * Queues: the consumer against bare pg-boss calls on the same server, and against a bare client loop on the SQS test server.
 *
 * node bench/queue/run.ts [--rounds 3] [--items 4000] [--backlog 1000000]
 *
 * Prints ratios and writes bench/results/queue.json. The server is durable: every commit waits for the disk.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { SNSClient } from '@aws-sdk/client-sns';
import { startFauxqs } from 'fauxqs';
import pg from 'pg';
import { PgBoss } from 'pg-boss';
import {
  caseDatabaseMigrations,
  controlMigrations,
  createClaimChecks,
  createConsumer,
  createPoolDatabase,
  createPostgresQueues,
  each,
  idempotent,
} from '@casebound/messaging';
import { createAwsTransport } from '@casebound/messaging/aws';
import type { BatchHandler, Clock, Consumer, Log, Queues } from '@casebound/messaging';
import { startEmbedded } from '../../apps/server/src/database/embedded/index.ts';
import { inTurns, ratio } from './measure.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    items: { type: 'string', default: '4000' },
    backlog: { type: 'string', default: '1000000' },
  },
});
const [rounds, items, backlog] = [Number(values.rounds), Number(values.items), Number(values.backlog)];
const clock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal }),
};
const log: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const body = JSON.stringify({
  job: 'object_copy',
  context: { caseId: 4, batchId: 7 },
  payload: { documents: [{ documentId: 1, exhibitIds: [1, 2, 3] }], pad: 'x'.repeat(200) },
});

const dataDir = await mkdtemp(path.join(tmpdir(), 'casebound-bench-'));
const server = await startEmbedded({
  dataDir,
  command: 'bench queue',
  settings: { shared_buffers: '256MB', max_wal_size: '4GB' },
});
const pool = new pg.Pool({ ...server.target, max: 8 });
const database = createPoolDatabase(pool, { random: Math.random, sleep: async (ms) => sleep(ms) });
let statements = 0;
const sql = {
  query: async (text: string, given?: readonly unknown[]) => {
    statements += 1;
    return pool.query(text, given as unknown[]);
  },
};
for (const folder of [controlMigrations, caseDatabaseMigrations]) {
  for (const file of (await readdir(folder)).sort()) await pool.query(await readFile(new URL(file, folder), 'utf8'));
}
await pool.query('CREATE TABLE bench_effect (id uuid PRIMARY KEY)');
const queues = createPostgresQueues({ sql, clock, worker: 'bench' });
const claimChecks = createClaimChecks({
  store: { put: async () => {}, get: async () => Promise.reject(new Error('none')), delete: async () => {} },
  sql,
  log,
  maxMessageBytes: 1024 * 1024,
});

const boss = new PgBoss({
  db: { executeSql: async (text: string, given?: unknown[]) => pool.query(text, given) },
  schedule: false,
  supervise: false,
});
boss.on('error', (error) => console.error(error));
await boss.start();
await boss.createQueue('bench');

const newQueue = async (on: Queues = queues): Promise<string> => {
  const name = `bench-${Math.random().toString(36).slice(2)}`;
  await on.create({ name, visibilityTimeoutMs: 60_000, maxReceiveCount: 5 });
  return name;
};
const fill = async (name: string, count: number, keys = 1): Promise<void> => {
  await pool.query(
    `INSERT INTO messaging.message (queue_id, fairness_key, visible_at, sent_at, body)
     SELECT queue_id, 1 + n % $3::int, clock_timestamp(), clock_timestamp(), $4 FROM messaging.queue, generate_series(1, $2::int) AS n WHERE name = $1`,
    [name, count, keys, body],
  );
};

/** Consumes what the queues hold; resolves when `count` messages are acknowledged. */
const consume = async (
  names: readonly string[],
  count: number,
  concurrency: number,
  handle: BatchHandler,
  on: Queues = queues,
  maxInFlightPerKey?: number,
): Promise<number> => {
  const consumer: Consumer = createConsumer({
    queues: on,
    worker: 'bench',
    total: concurrency,
    claimChecks,
    clock,
    log,
    random: Math.random,
    crashPoint: () => {},
    ...(maxInFlightPerKey === undefined ? {} : { maxInFlightPerKey }),
  });
  for (const name of names) {
    consumer.add({
      name,
      queue: name,
      handler: 'bench',
      handle,
      concurrency,
      batchSize: 1,
      batchWindowMs: 0,
      handlerTimeoutMs: 30_000,
      retry: { baseMs: 1000, maxMs: 1000 },
    });
  }
  let done = 0;
  const finished = Promise.withResolvers<void>();
  counted = () => {
    done += 1;
    if (done >= count) finished.resolve();
  };
  consumer.start();
  await finished.promise;
  await consumer.stop(10_000);
  return done;
};
let counted = (): void => {};
const plain = each(async () => counted());
const transactional = each(async ({ message }) => {
  await database.transaction(async (tx) =>
    idempotent(tx, `bench/${message.queue}/${message.messageId}`, message.fencingToken, async () => {}),
  );
  counted();
});

const bossSend = async (count: number, batch: number): Promise<number> => {
  for (let sent = 0; sent < count; sent += batch) {
    if (batch === 1) await boss.send('bench', JSON.parse(body) as object);
    else
      await boss.insert(
        'bench',
        Array.from({ length: batch }, () => ({ data: JSON.parse(body) as object })),
      );
  }
  return count;
};
const bossReceive = async (count: number, batch: number): Promise<number> => {
  for (let done = 0; done < count;) {
    const jobs = await boss.fetch('bench', { batchSize: batch });
    await boss.complete(
      'bench',
      jobs.map(({ id }) => id),
    );
    done += jobs.length;
  }
  return count;
};
const oursSend = async (name: string, count: number, batch: number): Promise<number> => {
  for (let sent = 0; sent < count; sent += batch)
    await queues.send(
      name,
      Array.from({ length: batch }, () => ({ body, fairnessKey: 1 })),
    );
  return count;
};

const results: Record<string, unknown> = {};
const show = (name: string, value: unknown): void => {
  results[name] = value;
  console.log(name, JSON.stringify(value));
};

try {
  const few = Math.max(300, Math.round(items / 8));
  const sink = await newQueue();
  const send = await inTurns(rounds, {
    'pg-boss send, batch 1': async () => bossSend(few, 1),
    'ours send, batch 1': async () => oursSend(sink, few, 1),
    'pg-boss send, batch 100': async () => bossSend(items, 100),
    'ours send, batch 100': async () => oursSend(sink, items, 100),
  });
  show('send', {
    figures: Object.values(send),
    batch1: ratio(send['ours send, batch 1'], send['pg-boss send, batch 1']),
    batch100: ratio(send['ours send, batch 100'], send['pg-boss send, batch 100']),
  });

  await bossSend(rounds * (2 * items + few), 100);
  const queueWith = async (count: number, keys = 1): Promise<string> => {
    const name = await newQueue();
    await fill(name, count, keys);
    return name;
  };
  const receive = await inTurns(rounds, {
    'pg-boss, batch 1': async () => bossReceive(few, 1),
    'consumer, concurrency 1': async () => consume([await queueWith(few)], few, 1, plain),
    'pg-boss, batch 100': async () => bossReceive(items, 100),
    'consumer, concurrency 100': async () => consume([await queueWith(items)], items, 100, plain),
    'consumer, 100, idempotent': async () => consume([await queueWith(items)], items, 100, transactional),
    'pg-boss, batch 100, an effect each': async () => {
      for (let done = 0; done < items;) {
        const jobs = await boss.fetch('bench', { batchSize: 100 });
        await Promise.all(
          jobs.map(async ({ id }) =>
            database.transaction(async (tx) => tx.query('INSERT INTO bench_effect VALUES ($1)', [id])),
          ),
        );
        await boss.complete(
          'bench',
          jobs.map(({ id }) => id),
        );
        done += jobs.length;
      }
      return items;
    },
    'consumer, 100, 50 cases': async () => consume([await queueWith(items, 50)], items, 100, plain),
    'consumer, 100, 50 cases, cap 40': async () => consume([await queueWith(items, 50)], items, 100, plain, queues, 40),
  });
  const against = receive['pg-boss, batch 100'];
  show('receive and acknowledge', {
    figures: Object.values(receive),
    batch1: ratio(receive['consumer, concurrency 1'], receive['pg-boss, batch 1']),
    batch100: ratio(receive['consumer, concurrency 100'], against),
    idempotent: ratio(receive['consumer, 100, idempotent'], receive['pg-boss, batch 100, an effect each']),
    fairness50Cases: ratio(receive['consumer, 100, 50 cases'], against),
    fairness50CasesCapped: ratio(receive['consumer, 100, 50 cases, cap 40'], against),
  });

  const spread: Record<string, number> = {};
  for (const count of [1, 10, 1000]) {
    const names = await Promise.all(Array.from({ length: count }, async () => newQueue()));
    for (const name of names) await fill(name, Math.ceil(items / count));
    const total = Math.ceil(items / count) * count;
    const startedAt = performance.now();
    await consume(names, total, 100, plain);
    spread[`${count} queues`] = Math.round((total / (performance.now() - startedAt)) * 1000);
  }
  show('queues: items a second', spread);

  const idleNames = await Promise.all(Array.from({ length: 1000 }, async () => newQueue()));
  const idle = createConsumer({
    queues,
    worker: 'idle',
    total: 100,
    claimChecks,
    clock,
    log,
    random: Math.random,
    crashPoint: () => {},
  });
  for (const name of idleNames)
    idle.add({
      name,
      queue: name,
      handler: 'bench',
      handle: plain,
      concurrency: 1,
      batchSize: 1,
      batchWindowMs: 0,
      handlerTimeoutMs: 1000,
      retry: { baseMs: 1, maxMs: 1 },
    });
  idle.start();
  await sleep(3000);
  statements = 0;
  await sleep(10_000);
  show('idle worker, 1,000 queues: statements a second', Math.round(statements / 1) / 10);
  await idle.stop(1000);

  const deep = await newQueue();
  const shallow = await newQueue();
  await fill(deep, backlog, 20);
  await fill(shallow, items * rounds * 2, 20);
  await pool.query('VACUUM ANALYZE messaging.message');
  globalThis.gc?.();
  const heapBefore = process.memoryUsage().rss;
  const growth = await inTurns(rounds, {
    [`queue of ${items * rounds * 2}`]: async () => consume([shallow], items, 100, plain),
    [`queue of ${backlog}`]: async () => consume([deep], items, 100, plain),
  });
  const [small, large] = Object.values(growth);
  show('backlog', {
    figures: [small, large],
    ratio: ratio(large, small),
    residentGrowthMb: Math.round((process.memoryUsage().rss - heapBefore) / 1_048_576),
  });
  const plan = await pool.query<{ 'QUERY PLAN': string }>(
    `EXPLAIN SELECT ctid FROM messaging.message WHERE queue_id = 1 AND fairness_key = 1 AND visible_at <= now() AND visible_at >= '-infinity' ORDER BY visible_at LIMIT 100 FOR UPDATE SKIP LOCKED`,
  );
  show(
    'plan of a receive',
    plan.rows.map((row) => row['QUERY PLAN'].trim()),
  );

  const sqsServer = await startFauxqs({ port: 0, logger: false });
  const access = {
    endpoint: `http://127.0.0.1:${sqsServer.port}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
  };
  const [sqs, sns] = [new SQSClient(access), new SNSClient(access)];
  const transport = createAwsTransport({
    sqs,
    sns,
    control: database,
    clock,
    deadLetters: { add: async () => {} },
    fairQueues: false,
  });
  const count = Math.min(items, 1000);
  const onSqs = await inTurns(rounds, {
    'bare SQS client loop, batch 10': async () => {
      const name = await newQueue(transport.queues);
      const { url: QueueUrl } = await transport.queues.locate(name);
      for (let sent = 0; sent < count; sent += 10) {
        await sqs.send(
          new SendMessageBatchCommand({
            QueueUrl,
            Entries: Array.from({ length: 10 }, (_, n) => ({ Id: String(n), MessageBody: body })),
          }),
        );
      }
      for (let done = 0; done < count;) {
        const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
        await sqs.send(
          new DeleteMessageBatchCommand({
            QueueUrl,
            Entries: Messages.map(({ ReceiptHandle }, n) => ({ Id: String(n), ReceiptHandle })),
          }),
        );
        done += Messages.length;
      }
      return count;
    },
    'consumer on SQS, concurrency 100': async () => {
      const name = await newQueue(transport.queues);
      await transport.queues.send(
        name,
        Array.from({ length: count }, () => ({ body })),
      );
      return consume([name], count, 100, plain, transport.queues);
    },
  });
  show('SQS test server: send, receive, delete', {
    figures: Object.values(onSqs),
    ratio: ratio(onSqs['consumer on SQS, concurrency 100'], onSqs['bare SQS client loop, batch 10']),
  });
  sqs.destroy();
  sns.destroy();
  await sqsServer.stop();

  await mkdir(new URL('../results/', import.meta.url), { recursive: true });
  await writeFile(
    new URL('../results/queue.json', import.meta.url),
    `${JSON.stringify({ bench: 'queue', at: new Date().toISOString(), machine: { cpus: cpus().length, model: cpus()[0]?.model, node: process.version }, rounds, items, backlog, results }, undefined, 2)}\n`,
  );
} finally {
  await boss.stop({ graceful: false });
  await pool.end();
  await server.stop();
  await rm(dataDir, { recursive: true, force: true });
}
