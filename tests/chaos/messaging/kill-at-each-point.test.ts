/**
 * SIGKILL between each pair of steps: for every crash point one process that dies there, when it first comes there, and a second
 * that finishes. From the tables: each item had one effect in each stage, each workflow ended as it should, nothing is left.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { crashPointNames, createPostgresQueues } from '@casebound/messaging';
import { describe, expect, test } from 'vitest';
import { openTestMessaging, realClock } from '../../../packages/messaging/src/test/open-test-messaging.ts';
import type { TestMessaging } from '../../../packages/messaging/src/test/open-test-messaging.ts';
import { spawnScript } from '../../../packages/test-kit/src/spawn-script.ts';
import { handlerPoints, queueOf, stages } from './stages.ts';
import { tripTable } from './trips.ts';

const items = 12;
const leftSql = `SELECT (SELECT count(*) FROM messaging.message) + (SELECT count(*) FROM messaging.outbox)
  + (SELECT count(*) FROM messaging.workflow WHERE state IN ('running', 'compensating', 'stuck')) AS n`;

const numberOf = async ({ pool }: TestMessaging, text: string): Promise<number> =>
  Number((await pool.query<{ n: string }>(text)).rows[0]?.n);

/** One process dies at the point and leaves work behind; another does it. */
const dieAndFinish = async (messaging: TestMessaging, file: string, point: string): Promise<void> => {
  const script = fileURLToPath(new URL(file, import.meta.url));
  const start = (worker: string, env: Readonly<Record<string, string>>) =>
    spawnScript(script, { env: { CHAOS_URL: messaging.url, CHAOS_WORKER: worker, ...env }, timeoutMs: 80_000 });

  const first = start('first', { CHAOS_CRASH_AT: point });
  // Ends a process that never comes to the point: what it wrote last tells the one death from the other.
  const overdue = setTimeout(() => first.signal('SIGTERM'), 40_000);
  const death = await first.ended;
  clearTimeout(overdue);
  expect(death).toMatchObject({ signal: 'SIGKILL', stderr: '' });
  expect(death.stdout.trimEnd().split('\n').at(-1)).toBe(`dying at ${point}`);
  expect(await numberOf(messaging, leftSql)).toBeGreaterThan(0);

  const second = start('second', { CHAOS_CRASH_AT: '' });
  try {
    await second.waitForLine(/^ready$/, 40_000);
    for (const deadline = performance.now() + 40_000; performance.now() < deadline; await sleep(50))
      if ((await numberOf(messaging, leftSql)) === 0) break;
    second.signal('SIGTERM');
    expect(await second.ended).toMatchObject({ exitCode: 0, stderr: '' });
  } finally {
    await second.kill();
  }
  expect(await numberOf(messaging, leftSql)).toBe(0);
  expect(await numberOf(messaging, 'SELECT count(*) AS n FROM messaging.dead_letter')).toBe(0);
};

/** Every effect as `stage item`, in order. */
const runItems = async (messaging: TestMessaging, point: string): Promise<readonly string[]> => {
  const { pool, database } = messaging;
  await pool.query('CREATE TABLE chaos_effect (stage int NOT NULL, item int NOT NULL, worker text NOT NULL)');
  const queues = createPostgresQueues({ sql: database, clock: realClock, worker: 'test' });
  for (const stage of stages.keys())
    await queues.create({ name: queueOf(stage), visibilityTimeoutMs: 1500, maxReceiveCount: 20 });
  await queues.send(
    queueOf(0),
    Array.from({ length: items }, (_, item) => ({ body: JSON.stringify({ item }), fairnessKey: 1 + (item % 3) })),
  );
  await dieAndFinish(messaging, 'chaos-worker.ts', point);
  const { rows } = await pool.query<{ stage: number; item: number }>(
    'SELECT stage, item FROM chaos_effect ORDER BY stage, item',
  );
  return rows.map(({ stage, item }) => `${stage} ${item}`);
};
const itemEffects = [...stages.keys()].flatMap((stage) =>
  Array.from({ length: items }, (_, item) => `${stage} ${item}`),
);

/** For each workflow what its steps did, in order, and how it ended. */
const runWorkflows = async (messaging: TestMessaging, point: string): Promise<readonly string[]> => {
  const { pool } = messaging;
  await pool.query(tripTable);
  await dieAndFinish(messaging, 'workflow-worker.ts', point);
  const { rows } = await pool.query<{ note: string }>(
    `SELECT workflow || ': ' || step || ' ' || what AS note, workflow, at FROM chaos_trip
     UNION ALL SELECT name || ': ' || state, name, NULL FROM messaging.workflow ORDER BY workflow, at NULLS LAST`,
  );
  return rows.map(({ note }) => note);
};
const workflowEffects = [
  'trip-that-fails: reserve made',
  'trip-that-fails: copy made',
  'trip-that-fails: copy undone',
  'trip-that-fails: reserve undone',
  'trip-that-fails: failed',
  'trip-that-succeeds: reserve made',
  'trip-that-succeeds: copy made',
  'trip-that-succeeds: settle made',
  'trip-that-succeeds: succeeded',
];

describe.concurrent('a process that is killed', () => {
  test.each([...crashPointNames, ...handlerPoints])(
    'at %s is followed by one that finishes, with every effect made once',
    async (point) => {
      const messaging = await openTestMessaging({ connections: 2 });
      try {
        const [run, effects] = point.startsWith('workflow.')
          ? [runWorkflows, workflowEffects]
          : [runItems, itemEffects];
        expect(await run(messaging, point)).toEqual(effects);
      } finally {
        await messaging.close();
      }
    },
    150_000,
  );
});
