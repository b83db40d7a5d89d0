/**
 * The rule of what becomes of a delivery. The one place where failure families, the receive count and retries meet.
 *
 * - Recoverable: released with full jitter; at the last receive dead-lettered. Unknown errors are recoverable.
 * - Permanent: dead-lettered at once, with the reason.
 * - AlreadyDone: acknowledged, and logged.
 * - The circuit is open, or the process stops: released, and the attempt does not count.
 * - The lease was lost: nothing; the message is another's.
 */
import { classifyFailure } from '../classify-failure.ts';
import { fullJitter } from '../full-jitter.ts';
import type { Backoff, Random } from '../full-jitter.ts';
import type { FailedAttempt, ReceivedMessage } from '../ports.ts';
import { hasCode } from '@casebound/contract';

export type Verdict =
  | { readonly kind: 'acknowledge'; readonly because: 'succeeded' | 'already_done' }
  | { readonly kind: 'release'; readonly delayMs: number; readonly counted: boolean; readonly failure?: FailedAttempt }
  | { readonly kind: 'bury'; readonly code: string; readonly reason: string; readonly failure: FailedAttempt }
  | { readonly kind: 'abandon' };

export interface Circumstances {
  readonly retry: Backoff;
  readonly random: Random;
  readonly now: Date;
  readonly worker: string;
}

const outcomeOf = (code: string): FailedAttempt['outcome'] => {
  if (code === 'handler_timeout') return 'timed_out';
  if (code === 'circuit_open') return 'circuit_open';
  return 'failed';
};

/** Milliseconds that a message waits for an open circuit: as long as the breaker says, and a little, so that not all come at once. */
const circuitDelayMs = (error: unknown, random: Random): number => {
  const seconds = hasCode(error, 'circuit_open') ? (error.retryAfterSeconds ?? 1) : 1;
  return Math.min(900_000, Math.ceil(seconds * 1000 * (1 + random())));
};

export const judgeFailure = (error: unknown, message: ReceivedMessage, circumstances: Circumstances): Verdict => {
  const { retry, random, now, worker } = circumstances;
  const { family, code, reason } = classifyFailure(error);
  if (family === 'already_done') return { kind: 'acknowledge', because: 'already_done' };
  if (code === 'lease_lost') return { kind: 'abandon' };
  if (code === 'shutting_down') return { kind: 'release', delayMs: 0, counted: false };
  const failure: FailedAttempt = {
    attempt: message.receiveCount,
    at: now.toISOString(),
    worker,
    outcome: outcomeOf(code),
    code,
    error: reason.slice(0, 2000),
  };
  if (code === 'circuit_open')
    return { kind: 'release', delayMs: circuitDelayMs(error, random), counted: false, failure };
  if (family === 'permanent') return { kind: 'bury', code, reason, failure };
  if (message.receiveCount >= message.maxReceiveCount) {
    return {
      kind: 'bury',
      code: 'receive_count_exceeded',
      reason: `Received ${message.receiveCount} times without success; the last failure: ${reason}`,
      failure,
    };
  }
  return { kind: 'release', delayMs: fullJitter(retry, message.receiveCount, random), counted: true, failure };
};
