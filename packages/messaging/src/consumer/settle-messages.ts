/**
 * Carries verdicts to the transport, many at once: while one call is under way the next gathers.
 *
 * A transport that fails is asked again, with jitter, for as long as the lease stands. When it is lost the verdict is dropped:
 * the message is delivered again, and its effect is idempotent. So it is when the consumer has stopped: a process that ends does not wait
 * for a transport that is gone.
 */
import type { MessagingCrashPoint } from '../crash-points.ts';
import type { Clock, Log, Queues, ReceivedMessage } from '../ports.ts';
import { fullJitter } from '../full-jitter.ts';
import type { Random } from '../full-jitter.ts';
import type { Verdict } from './judge-delivery.ts';

export interface Settlement {
  readonly message: ReceivedMessage;
  readonly verdict: Verdict;
}

interface Pending extends Settlement {
  /** False: the lease was lost and the verdict had no effect. */
  readonly done: (held: boolean) => void;
}

export interface Settler {
  /** Resolves when the transport has the verdict, or the lease is lost. Never rejects. */
  settle(message: ReceivedMessage, verdict: Verdict): Promise<boolean>;
}

const mostAtOnce = 1000;

export const createSettler = (parts: {
  readonly queues: Pick<Queues, 'acknowledge' | 'release' | 'bury'>;
  readonly holds: (message: ReceivedMessage) => boolean;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly random: Random;
  readonly log: Log;
  readonly crashPoint: MessagingCrashPoint;
  /** Aborts when the consumer has stopped. */
  readonly stopped: AbortSignal;
}): Settler => {
  const { queues, holds, clock, random, log, crashPoint, stopped } = parts;
  const pending: Pending[] = [];
  let running = false;

  const apply = async (batch: readonly Pending[]): Promise<void> => {
    const acknowledged: Pending[] = [];
    const released: {
      readonly item: Pending;
      readonly delayMs: number;
      readonly counted: boolean;
      readonly verdict: Verdict & { kind: 'release' };
    }[] = [];
    const buried: { readonly item: Pending; readonly verdict: Verdict & { kind: 'bury' } }[] = [];
    for (const item of batch) {
      switch (item.verdict.kind) {
        case 'acknowledge':
          acknowledged.push(item);
          break;
        case 'release':
          released.push({ item, delayMs: item.verdict.delayMs, counted: item.verdict.counted, verdict: item.verdict });
          break;
        case 'bury':
          buried.push({ item, verdict: item.verdict });
          break;
        case 'abandon':
          item.done(false);
      }
    }
    if (acknowledged.length > 0) {
      await crashPoint('consumer.before-acknowledge');
      const held = await queues.acknowledge(acknowledged.map(({ message }) => message));
      await crashPoint('consumer.after-acknowledge');
      for (const [index, item] of acknowledged.entries()) item.done(held[index] === true);
    }
    if (released.length > 0) {
      const held = await queues.release(
        released.map(({ item, delayMs, counted, verdict }) => ({
          lease: item.message,
          delayMs,
          counted,
          ...(verdict.failure === undefined ? {} : { failure: verdict.failure }),
        })),
      );
      for (const [index, { item }] of released.entries()) item.done(held[index] === true);
    }
    for (const { item, verdict } of buried) {
      const { code, reason, failure } = verdict;
      item.done(await queues.bury({ message: item.message, code, reason, failure }));
    }
  };

  const run = async (): Promise<void> => {
    let failures = 0;
    while (pending.length > 0) {
      const batch = pending.splice(0, mostAtOnce);
      const open = new Set(batch);
      try {
        await apply(
          batch.map((item) => ({
            ...item,
            done: (held: boolean) => {
              open.delete(item);
              item.done(held);
            },
          })),
        );
        failures = 0;
      } catch (error) {
        failures += 1;
        log.warn('Messages could not be settled; trying again while their leases stand.', {
          component: 'consumer',
          count: open.size,
          attempt: failures,
        });
        log.debug('Settling failed.', {
          component: 'consumer',
          errorCode: error instanceof Error ? error.name : 'unknown',
        });
        for (const item of open) {
          if (holds(item.message) && !stopped.aborted) pending.push(item);
          else item.done(false);
        }
        await clock
          .sleep(Math.max(20, fullJitter({ baseMs: 50, maxMs: 5000 }, failures, random)), stopped)
          .catch(() => undefined);
      }
    }
    running = false;
  };

  return {
    settle: async (message, verdict) =>
      new Promise((resolve) => {
        pending.push({ message, verdict, done: resolve });
        if (running) return;
        running = true;
        // A turn later, so that what finishes in this turn goes in one call.
        setImmediate(() => void run());
      }),
  };
};
