/**
 * A circuit breaker around one remote engine.
 *
 * - closed -> open after `threshold` consecutive failures; open for `openMs`, rejecting at once; then half-open: exactly one
 *   call is let through as a trial, all others are still rejected. Its success closes the breaker, its failure opens it anew.
 * - Only failures of the engine count. A permanent answer ("no such document") shows that the engine is up.
 * - `capacity` tells an intake how many calls would be let through now, without spending the trial.
 */
import { CaseboundError } from '@casebound/contract';
import { classifyFailure } from './classify-failure.ts';
import type { Clock } from './ports.ts';

export type BreakerState = 'closed' | 'open' | 'half_open';

export interface BreakerChange {
  readonly breaker: string;
  readonly from: BreakerState;
  readonly to: BreakerState;
  readonly consecutiveFailures: number;
}

export interface BreakerSettings {
  readonly name: string;
  /** Consecutive failures that open it. */
  readonly threshold?: number;
  readonly openMs?: number;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly onChange?: (change: BreakerChange) => void;
}

export interface CircuitBreaker {
  readonly name: string;
  readonly state: BreakerState;
  /** Calls that would be let through now. */
  readonly capacity: number;
  /** Milliseconds until the next call can be let through; 0 when it can now. */
  readonly retryInMs: number;
  /** @throws CaseboundError `circuit_open` without calling, or what `call` throws. */
  run<T>(call: () => Promise<T>): Promise<T>;
}

export const createCircuitBreaker = (settings: BreakerSettings): CircuitBreaker => {
  const { name, threshold = 5, openMs = 30_000, clock, onChange } = settings;
  let state: BreakerState = 'closed';
  let failures = 0;
  let openedAt = 0;
  let trialRuns = false;
  /** Calls that started before the last change say nothing about the engine now. */
  let era = 0;

  const change = (to: BreakerState): void => {
    const from = state;
    state = to;
    era += 1;
    trialRuns = false;
    if (to === 'open') openedAt = clock.monotonicMs();
    if (to === 'closed') failures = 0;
    onChange?.({ breaker: name, from, to, consecutiveFailures: failures });
  };

  const settle = (): void => {
    if (state === 'open' && clock.monotonicMs() - openedAt >= openMs) change('half_open');
  };

  const retryInMs = (): number => (state === 'open' ? Math.max(0, openedAt + openMs - clock.monotonicMs()) : 0);

  const failed = (): void => {
    failures += 1;
    if (state === 'half_open' || failures >= threshold) change('open');
  };

  const succeeded = (): void => {
    if (state === 'half_open') change('closed');
    failures = 0;
  };

  return {
    name,
    get state() {
      settle();
      return state;
    },
    get capacity() {
      settle();
      if (state === 'closed') return Number.POSITIVE_INFINITY;
      return state === 'half_open' && !trialRuns ? 1 : 0;
    },
    get retryInMs() {
      settle();
      return retryInMs();
    },
    async run(call) {
      settle();
      if (state === 'open' || (state === 'half_open' && trialRuns)) {
        throw new CaseboundError(
          'circuit_open',
          `The circuit breaker of ${name} is open after ${failures} failures in a row.`,
          {
            retryAfterSeconds: Math.max(1, Math.ceil(retryInMs() / 1000)),
          },
        );
      }
      if (state === 'half_open') trialRuns = true;
      const startedIn = era;
      try {
        const result = await call();
        if (startedIn === era) succeeded();
        return result;
      } catch (error) {
        if (startedIn === era) {
          if (classifyFailure(error).family === 'recoverable') failed();
          else succeeded();
        }
        throw error;
      }
    },
  };
};
