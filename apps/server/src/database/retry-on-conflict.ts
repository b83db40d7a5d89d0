/**
 * Runs a whole transaction again after it met another one, or after its connection broke before the commit.
 *
 * The pause is drawn evenly from zero to an exponential bound ("full jitter",
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/): transactions that collided do not collide again in step.
 */
import { CaseboundError } from '@casebound/contract';
import type { Clock } from '../platform/clock/Port.ts';
import { classifyError, failureKind, withoutValues } from './classify-error.ts';

export interface RetryPolicy {
  readonly attempts: number;
  readonly baseMs: number;
  readonly maxMs: number;
}

/** Eight attempts wait 2.5 s in the mean: longer than a restart of the database takes. */
export const defaultRetryPolicy: RetryPolicy = { attempts: 8, baseMs: 20, maxMs: 2000 };

export interface RetryDependencies {
  readonly clock: Pick<Clock, 'sleep'>;
  /** Evenly from [0, 1). */
  readonly random: () => number;
  readonly onRetry?: (reason: 'conflict' | 'broken') => void;
}

/**
 * Errors: `conflict_retries_exhausted` with `retryAfterSeconds`; `database_unreachable`; `commit_unknown`, which is never
 * retried; what `attempt` throws otherwise.
 */
export async function retryOnConflict<T>(
  policy: RetryPolicy,
  dependencies: RetryDependencies,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let number = 1; ; number += 1) {
    try {
      return await attempt();
    } catch (error) {
      const kind = failureKind(error);
      if ((kind !== 'conflict' && kind !== 'broken') || isOverlong(error)) throw classifyError(error);
      if (number >= policy.attempts) throw exhausted(kind, error, number);
      dependencies.onRetry?.(kind);
      const bound = Math.min(policy.baseMs * 2 ** number, policy.maxMs);
      await dependencies.clock.sleep(Math.floor(dependencies.random() * bound), signal);
    }
  }
}

/** A transaction that the server ended because it took too long would take too long again. */
function isOverlong(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === '25P03' || error.code === '25P04');
}

function exhausted(kind: 'conflict' | 'broken', error: unknown, attempts: number): unknown {
  if (kind === 'broken') return classifyError(error);
  return new CaseboundError(
    'conflict_retries_exhausted',
    `The transaction met others that hold the same rows, ${attempts} times in a row; try again.`,
    // A caller that repeats transactions by itself tells one conflict from another by the SQLSTATE.
    { retryAfterSeconds: 1 + Math.floor(attempts / 4), cause: withoutValues(error) },
  );
}
