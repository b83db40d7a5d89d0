/**
 * Repeats whole transactions that lost a race.
 *
 * - Full jitter (a uniform wait between 0 and a doubling bound), at most `attempts` tries; then `conflict_retries_exhausted`.
 * - Only failures that leave nothing behind and may end otherwise the next time are repeated.
 */
import { CaseboundError } from '@casebound/contract';
import { guardSqlState } from './ddl/infrastructure.ts';
import { type RecordDatabase, type RecordTransaction, sqlFailureOf } from './session.ts';

export interface RetryOptions {
  readonly attempts: number;
  readonly baseMs: number;
  readonly maxMs: number;
}

export const defaultRetry: RetryOptions = { attempts: 5, baseMs: 10, maxMs: 500 };

export interface RetryObserver {
  onRetry(reason: string): void;
  onExhausted(reason: string): void;
}

const retryable: Readonly<Record<string, string>> = {
  '40001': 'serialization_failure',
  '40P01': 'deadlock',
  '55P03': 'lock_timeout',
  [guardSqlState]: 'changed_meanwhile',
};

/** Failures that a repetition turns into a clear answer: the next look-up finds the row that won, or misses the one that went. */
const raceWithWriter: Readonly<Record<string, string>> = {
  '23505': 'unique_violation',
  '23503': 'foreign_key_violation',
};

/** A failure that a repetition does not change, whatever its cause looks like. */
export class FinalFailure extends Error {}

/** Why a failed transaction is worth repeating; null when it is not. */
export const retryReason = (error: unknown, includeRaces: boolean): string | null => {
  if (error instanceof FinalFailure) return null;
  const state = sqlFailureOf(error)?.sqlState;
  if (state === undefined) return null;
  return retryable[state] ?? (includeRaces ? (raceWithWriter[state] ?? null) : null);
};

const pause = async (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs `fn` in transactions until one commits. `attempt` counts from 1. Throws what `fn` throws when it is not worth repeating. */
export const transactionWithRetry = async <T>(
  database: RecordDatabase,
  options: RetryOptions,
  observer: RetryObserver,
  fn: (tx: RecordTransaction, attempt: number) => Promise<T>,
): Promise<T> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await database.transaction((tx) => fn(tx, attempt));
    } catch (error) {
      const lastRace = attempt >= options.attempts;
      const reason = retryReason(error, !lastRace);
      if (reason === null) throw error;
      if (lastRace) {
        observer.onExhausted(reason);
        throw new CaseboundError('conflict_retries_exhausted', `The transaction lost ${attempt} races (${reason}).`, {
          retryAfterSeconds: 1,
          cause: error,
        });
      }
      observer.onRetry(reason);
      await pause(Math.random() * Math.min(options.maxMs, options.baseMs * 2 ** attempt));
    }
  }
};
