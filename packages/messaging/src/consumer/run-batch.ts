/**
 * Runs a handler over a batch, within its time.
 *
 * A handler is told by its signal that time is up; whether it listens or not, its messages are judged then, and what it does
 * afterwards no longer counts: their leases are given back. `finished` resolves when the handler itself has ended, so that a
 * caller does not start more than it may.
 */
import { CaseboundError } from '@casebound/contract';
import { judgeFailure } from './judge-delivery.ts';
import type { Circumstances, Verdict } from './judge-delivery.ts';
import type { Delivery, WorkerDefinition } from './worker-definition.ts';

export interface BatchRun {
  /** A verdict for each delivery, in order. */
  readonly verdicts: Promise<readonly Verdict[]>;
  readonly finished: Promise<void>;
}

export const runBatch = (
  worker: Pick<WorkerDefinition, 'name' | 'handle' | 'handlerTimeoutMs' | 'retry'>,
  deliveries: readonly Delivery[],
  circumstances: () => Omit<Circumstances, 'retry'>,
  interrupted: AbortSignal,
): BatchRun => {
  const over = new AbortController();
  const onInterrupt = (): void => over.abort(interrupted.reason);
  if (interrupted.aborted) onInterrupt();
  interrupted.addEventListener('abort', onInterrupt, { once: true });
  const timer = setTimeout(() => {
    over.abort(
      new CaseboundError(
        'handler_timeout',
        `The handler of ${worker.name} did not finish within ${worker.handlerTimeoutMs} ms.`,
      ),
    );
  }, worker.handlerTimeoutMs);

  const handled = (async () =>
    worker.handle(
      deliveries.map((delivery) => ({ ...delivery, signal: AbortSignal.any([delivery.signal, over.signal]) })),
      over.signal,
    ))();
  const cutOff = new Promise<never>((_resolve, reject) => {
    over.signal.addEventListener('abort', () => reject(over.signal.reason as Error), { once: true });
    if (over.signal.aborted) reject(over.signal.reason as Error);
  });

  const judge = (delivery: Delivery, error: unknown): Verdict =>
    judgeFailure(delivery.signal.aborted ? delivery.signal.reason : error, delivery.message, {
      ...circumstances(),
      retry: worker.retry,
    });

  const verdicts = (async (): Promise<readonly Verdict[]> => {
    try {
      const failures = new Map((await Promise.race([handled, cutOff])).map((failure) => [failure.messageId, failure]));
      return deliveries.map((delivery) => {
        const failure = failures.get(delivery.message.messageId);
        return failure === undefined ? { kind: 'acknowledge', because: 'succeeded' } : judge(delivery, failure.error);
      });
    } catch (error) {
      return deliveries.map((delivery) => judge(delivery, error));
    } finally {
      clearTimeout(timer);
      interrupted.removeEventListener('abort', onInterrupt);
    }
  })();

  return {
    verdicts,
    finished: handled.then(
      () => undefined,
      () => undefined,
    ),
  };
};
