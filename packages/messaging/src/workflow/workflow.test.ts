import { randomInt, randomUUID } from 'node:crypto';
import { CaseboundError } from '@casebound/contract';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Sql } from '../ports.ts';
import { openTestMessaging, realClock, silentLog } from '../test/open-test-messaging.ts';
import type { TestMessaging } from '../test/open-test-messaging.ts';
import { createDriver } from './advance-workflow.ts';
import { defineWorkflow } from './define-workflow.ts';
import type { WorkflowDefinition } from './define-workflow.ts';
import { createWorkflows } from './workflows.ts';
import type { WorkflowRow } from './workflow-store.ts';

/** The process died here: whatever was not committed is gone, and nothing more is done. */
class Death extends Error {
  readonly code = 'DEATH';
}

let messaging: TestMessaging;
const scheduled: string[] = [];
const schedule = async (_tx: Sql, { workflowId }: Pick<WorkflowRow, 'workflowId'>): Promise<void> =>
  void scheduled.push(workflowId);

beforeAll(async () => {
  messaging = await openTestMessaging({ connections: 6 });
  await messaging.pool.query('CREATE TABLE ledger (workflow text NOT NULL, step text NOT NULL)');
});
afterAll(async () => messaging.close());

const workflows = () => createWorkflows({ database: messaging.database, schedule, now: () => new Date() });
const driver = (
  definitions: readonly WorkflowDefinition[],
  crashPoint: (name: string) => void = () => {},
  worker = 'w',
) =>
  createDriver({
    database: messaging.database,
    definitions,
    schedule,
    worker,
    clock: realClock,
    random: Math.random,
    log: silentLog,
    crashPoint,
    budgetMs: 60_000,
    watchMs: 20,
  });
const start = async <I>(
  definition: WorkflowDefinition<I>,
  input: I,
  more: { startKey?: string; maxOpenPerKey?: number; fairnessKey?: number } = {},
) =>
  messaging.database.transaction(async (tx) =>
    workflows().start(tx, definition, input, { startKey: randomUUID(), fairnessKey: 1, ...more }),
  );
const ledger = async (workflowId: string): Promise<string[]> =>
  (await messaging.pool.query('SELECT step FROM ledger WHERE workflow = $1 ORDER BY step', [workflowId])).rows.map(
    ({ step }) => step as string,
  );
const never = new AbortController().signal;

/** Steps that write a row each and take it away when compensated; `fails` fails for good, `flaky` as often as asked. */
const writing = (
  name: string,
  options: {
    steps: number;
    failAt?: number;
    flaky?: ReadonlyMap<number, number>;
    between?: () => void;
    undoFails?: boolean;
  },
) => {
  const tries = new Map<string, number>();
  return defineWorkflow({
    name,
    version: 1,
    input: z.object({}),
    steps: Array.from({ length: options.steps }, (_, n) => ({
      name: `s${n}`,
      retry: { baseMs: 1, maxMs: 2 },
      async run(context) {
        const key = `${context.workflowId}/${n}`;
        const attempt = (tries.get(key) ?? 0) + 1;
        tries.set(key, attempt);
        if (attempt <= (options.flaky?.get(n) ?? 0)) throw new CaseboundError('object_store_unavailable', 'Not now.');
        const result = await messaging.database.transaction(async (tx) =>
          context.once(tx, async () => {
            await tx.query('INSERT INTO ledger VALUES ($1, $2)', [context.workflowId, `s${n}`]);
            return { row: n };
          }),
        );
        options.between?.();
        if (n === options.failAt) throw new CaseboundError('object_corrupt', 'For good.');
        return result;
      },
      async compensate(context) {
        if (options.undoFails === true) throw new CaseboundError('object_corrupt', 'Cannot undo.');
        await messaging.database.transaction(async (tx) =>
          context.undo(tx, async () => {
            await tx.query('DELETE FROM ledger WHERE workflow = $1 AND step = $2', [context.workflowId, `s${n}`]);
          }),
        );
        options.between?.();
      },
    })),
  });
};

test('steps run in order, each once, with their results', async () => {
  const definition = writing('plain', { steps: 3 });
  const { workflow, started } = await start(definition, {});
  expect(started).toBe(true);
  expect(scheduled).toContain(workflow.workflowId);
  await driver([definition]).advance(workflow.workflowId, never);
  expect(await workflows().show(workflow.workflowId)).toMatchObject({
    state: 'succeeded',
    step: 3,
    results: { s0: { row: 0 }, s1: { row: 1 }, s2: { row: 2 } },
    worker: null,
  });
  expect(await ledger(workflow.workflowId)).toEqual(['s0', 's1', 's2']);
});

test('a key starts one workflow, whatever the timing', async () => {
  const definition = writing('same-key', { steps: 1 });
  const startKey = randomUUID();
  const both = await Promise.all(Array.from({ length: 5 }, async () => start(definition, {}, { startKey })));
  expect(new Set(both.map(({ workflow }) => workflow.workflowId)).size).toBe(1);
  expect(both.filter(({ started }) => started)).toHaveLength(1);
});

test('a case has at most so many open; beyond it a start is refused with the time to try again', async () => {
  const definition = writing('admission', { steps: 1 });
  const fairnessKey = randomInt(1000, 2 ** 31);
  const outcomes = await Promise.allSettled(
    Array.from({ length: 6 }, async () => start(definition, {}, { fairnessKey, maxOpenPerKey: 2 })),
  );
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected')
      expect(outcome.reason).toMatchObject({ code: 'too_many_jobs', status: 429, retryAfterSeconds: 30 });
  }
});

test('a step that fails for a while is tried again later; one that fails for good is undone with all before it, in reverse', async () => {
  const flaky = writing('flaky', { steps: 2, flaky: new Map([[1, 2]]) });
  const first = await start(flaky, {});
  for (let round = 0; round < 3; round += 1) await driver([flaky]).advance(first.workflow.workflowId, never);
  expect(await workflows().show(first.workflow.workflowId)).toMatchObject({ state: 'succeeded' });
  const failing = writing('failing', { steps: 3, failAt: 1 });
  const second = await start(failing, {});
  await driver([failing]).advance(second.workflow.workflowId, never);
  const row = await workflows().show(second.workflow.workflowId);
  expect(row).toMatchObject({ state: 'failed', step: -1 });
  expect(row.errors).toEqual([
    expect.objectContaining({ step: 's1', phase: 'run', code: 'object_corrupt', error: 'For good.', worker: 'w' }),
  ]);
  expect(await ledger(second.workflow.workflowId)).toEqual([]);
});

test('tries are bounded', async () => {
  const definition = writing('hopeless', { steps: 1, flaky: new Map([[0, 100]]) });
  const { workflow } = await start(definition, {});
  for (let round = 0; round < 5; round += 1) await driver([definition]).advance(workflow.workflowId, never);
  const row = await workflows().show(workflow.workflowId);
  expect(row.state).toBe('failed');
  expect(row.errors.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
});

test('a compensation that cannot be made leaves the workflow stuck, for an operator to resume', async () => {
  const definition = writing('stuck', { steps: 2, failAt: 1, undoFails: true });
  const { workflow } = await start(definition, {});
  await driver([definition]).advance(workflow.workflowId, never);
  expect(await workflows().show(workflow.workflowId)).toMatchObject({ state: 'stuck' });
  await expect(workflows().cancel(workflow.workflowId)).rejects.toMatchObject({ code: 'workflow_conflict' });
  const mended = writing('stuck', { steps: 2 });
  expect(await workflows().resume(workflow.workflowId)).toMatchObject({ state: 'compensating' });
  await driver([mended]).advance(workflow.workflowId, never);
  expect(await workflows().show(workflow.workflowId)).toMatchObject({ state: 'failed' });
  expect(await ledger(workflow.workflowId)).toEqual([]);
  await expect(workflows().resume(workflow.workflowId)).rejects.toMatchObject({ code: 'workflow_conflict' });
});

test('a cancellation stops a running step and undoes what was done', async () => {
  let entered: () => void = () => {};
  const inStep = new Promise<void>((resolve) => {
    entered = resolve;
  });
  const base = writing('cancelled', { steps: 1 });
  const definition = defineWorkflow({
    name: 'cancelled',
    version: 1,
    input: z.object({}),
    steps: [
      ...base.steps,
      {
        name: 'waits',
        async run({ signal }) {
          entered();
          await realClock.sleep(30_000, signal);
        },
      },
    ],
  });
  const { workflow } = await start(definition, {});
  const driving = driver([definition]).advance(workflow.workflowId, never);
  await inStep;
  await workflows().cancel(workflow.workflowId);
  await driving;
  expect(await workflows().show(workflow.workflowId)).toMatchObject({ state: 'cancelled' });
  expect(await ledger(workflow.workflowId)).toEqual([]);
  expect(await workflows().cancel(workflow.workflowId)).toMatchObject({ state: 'cancelled' });
});

test('a late effect of a driver that was overtaken cannot follow its own undoing', async () => {
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  let first = true;
  const definition = defineWorkflow({
    name: 'overtaken',
    version: 1,
    input: z.object({}),
    steps: [
      {
        name: 'slow',
        attempts: 1,
        async run(context) {
          if (first) {
            first = false;
            entered.resolve();
            await gate.promise; // Deaf to its signal, like a call that cannot be interrupted.
          } else throw new CaseboundError('object_corrupt', 'For good.');
          await messaging.database.transaction(async (tx) =>
            context.once(tx, async () => {
              await tx.query('INSERT INTO ledger VALUES ($1, $2)', [context.workflowId, 'late']);
            }),
          );
        },
        async compensate(context) {
          await messaging.database.transaction(async (tx) =>
            context.undo(
              tx,
              async () => void (await tx.query('DELETE FROM ledger WHERE workflow = $1', [context.workflowId])),
            ),
          );
        },
      },
    ],
  });
  const { workflow } = await start(definition, {});
  const overtaken = driver([definition], undefined, 'old').advance(workflow.workflowId, never);
  const outcome = overtaken.then(
    () => undefined,
    (error: unknown) => error,
  );
  await entered.promise;
  await driver([definition], undefined, 'new').advance(workflow.workflowId, never);
  expect(await workflows().show(workflow.workflowId)).toMatchObject({ state: 'failed' });
  gate.resolve();
  expect(await outcome).toMatchObject({ code: 'lease_lost' });
  expect(await ledger(workflow.workflowId)).toEqual([]);
  expect(await workflows().show(workflow.workflowId)).toMatchObject({ state: 'failed' });
});

describe('crashes', () => {
  test('with deaths anywhere, every workflow ends as it would have without, each effect once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          steps: fc.integer({ min: 1, max: 5 }),
          failAt: fc.option(fc.nat(4), { nil: undefined }),
          cancelAfter: fc.option(fc.integer({ min: 0, max: 6 }), { nil: undefined }),
          // After how many points each process dies.
          deaths: fc.array(fc.nat(6), { maxLength: 12 }),
        }),
        async ({ steps, failAt, cancelAfter, deaths }) => {
          const left = [...deaths];
          let passes = 0;
          let dieAfter = left.shift() ?? Number.POSITIVE_INFINITY;
          const point = (): void => {
            passes += 1;
            if (passes > dieAfter) throw new Death();
          };
          const failing = failAt !== undefined && failAt < steps ? failAt : undefined;
          const definition = writing('property', {
            steps,
            between: point,
            ...(failing === undefined ? {} : { failAt: failing }),
          });
          const { workflow } = await start(definition, {});
          for (let process = 0; process < 60; process += 1) {
            if (process === cancelAfter) {
              await workflows()
                .cancel(workflow.workflowId)
                .catch(() => undefined);
            }
            passes = 0;
            const dying = createMortalDatabase(point);
            await createDriver({
              database: dying.database,
              definitions: [definition],
              schedule,
              worker: `p${process}`,
              clock: realClock,
              random: Math.random,
              log: silentLog,
              crashPoint: point,
              budgetMs: 60_000,
              watchMs: 10_000,
            })
              .advance(workflow.workflowId, never)
              .catch((error: unknown) => {
                if (!(error instanceof Death)) throw error;
              });
            const row = await workflows().show(workflow.workflowId);
            if (!['running', 'compensating'].includes(row.state)) break;
            dieAfter = left.shift() ?? Number.POSITIVE_INFINITY;
          }
          const row = await workflows().show(workflow.workflowId);
          const done = await ledger(workflow.workflowId);
          if (row.state === 'succeeded') expect(done).toEqual(Array.from({ length: steps }, (_, n) => `s${n}`));
          else expect(done).toEqual([]);
          if (cancelAfter === undefined) expect(row.state).toBe(failing === undefined ? 'succeeded' : 'failed');
          else expect(['succeeded', 'failed', 'cancelled']).toContain(row.state);
        },
      ),
      { numRuns: 60 },
    );
  }, 60_000);
});

/** A database whose process may die before each statement of the driver's own; once dead, it stays dead. */
const createMortalDatabase = (point: () => void): { database: TestMessaging['database'] } => {
  let dead = false;
  const alive = (): void => {
    if (dead) throw new Death();
    try {
      point();
    } catch (error) {
      dead = true;
      throw error;
    }
  };
  return {
    database: {
      async query(text, values) {
        alive();
        return messaging.database.query(text, values);
      },
      transaction: async (work) =>
        messaging.database.transaction(async (tx) => {
          const result = await work({
            async query(text, values) {
              alive();
              return tx.query(text, values);
            },
          });
          alive();
          return result;
        }),
    },
  };
};
