import { CaseboundError } from '@casebound/contract';
import { expect, test } from 'vitest';
import { type RetryOptions, transactionWithRetry } from './retry.ts';
import type { RecordDatabase } from './session.ts';

const failure = (sqlState: string): Error => Object.assign(new Error('failed'), { code: sqlState });

/** A database whose transactions fail as told, one after another, and then succeed. */
const failing = (...states: readonly string[]): RecordDatabase & { tries: number } => {
  const database = {
    tries: 0,
    transaction: async <T>(fn: (tx: never) => Promise<T>): Promise<T> => {
      const state = states[database.tries];
      database.tries += 1;
      if (state !== undefined) throw failure(state);
      return fn(undefined as never);
    },
  };
  return database;
};

const options: RetryOptions = { attempts: 5, baseMs: 1, maxMs: 4 };
const run = async (database: RecordDatabase) => {
  const told: string[] = [];
  const outcome = await transactionWithRetry(
    database,
    options,
    { onRetry: (reason) => void told.push(reason), onExhausted: (reason) => void told.push(`exhausted ${reason}`) },
    async () => Promise.resolve('done'),
  ).catch((error: unknown) => error);
  return { outcome, told };
};

test('what lost a race is repeated, each kind under its own name', async () => {
  const states = ['40001', '40P01', '55P03', 'CB001'];
  const database = failing(...states);
  expect(await run(database)).toEqual({
    outcome: 'done',
    told: ['serialization_failure', 'deadlock', 'lock_timeout', 'changed_meanwhile'],
  });
  expect(database.tries).toBe(5);
});

test('five tries and no more; then a 503 that says when to come again', async () => {
  const database = failing('40P01', '40P01', '40P01', '40P01', '40P01', '40P01');
  const { outcome, told } = await run(database);
  expect(database.tries).toBe(5);
  expect(told).toEqual(['deadlock', 'deadlock', 'deadlock', 'deadlock', 'exhausted deadlock']);
  expect(outcome).toBeInstanceOf(CaseboundError);
  expect(outcome).toMatchObject({ code: 'conflict_retries_exhausted', status: 503, retryAfterSeconds: 1 });
});

test('a violated constraint is repeated, because the next look-up finds who won; at the last try it is what it is', async () => {
  expect(await run(failing('23505', '23503'))).toEqual({
    outcome: 'done',
    told: ['unique_violation', 'foreign_key_violation'],
  });
  const { outcome, told } = await run(failing('23505', '23505', '23505', '23505', '23505'));
  expect(outcome).toMatchObject({ code: '23505' });
  expect(told).toHaveLength(4);
});

test('anything else is not repeated', async () => {
  for (const state of ['22003', '42P01', '57014', '08006', '53200']) {
    const database = failing(state);
    expect(await run(database)).toMatchObject({ outcome: { code: state }, told: [] });
    expect(database.tries).toBe(1);
  }
});
