/** What a worker is: which queue it serves, with what, and within which limits. */
import type { CircuitBreaker } from '../circuit-breaker.ts';
import type { Backoff } from '../full-jitter.ts';
import type { ReceivedMessage } from '../ports.ts';

/** A message in the hands of a handler. */
export interface Delivery {
  readonly message: ReceivedMessage;
  /** The body, fetched from the object store where the message held only a claim check. */
  readonly body: string;
  /** Aborts when the lease is lost, time is up or the process stops; `reason` is a CaseboundError. */
  readonly signal: AbortSignal;
}

/** One message of a batch that failed, with why. Those not named succeeded. */
export interface DeliveryFailure {
  readonly messageId: string;
  readonly error: unknown;
}

/**
 * Handles a batch. Answers the deliveries that failed (partial batch failure); when it throws, all have failed. An effect must
 * be idempotent: any message can be delivered again.
 */
export type BatchHandler = (
  deliveries: readonly Delivery[],
  signal: AbortSignal,
) => Promise<readonly DeliveryFailure[]>;

export interface WorkerDefinition {
  /** Unique in the fleet, e.g. `doc_exch_uploader_worker_4_7`. */
  readonly name: string;
  readonly queue: string;
  /** The kind of work, for metrics: a job's name. Few values. */
  readonly handler: string;
  readonly handle: BatchHandler;
  /** Batches that run at once. */
  readonly concurrency: number;
  readonly batchSize: number;
  /** How long a batch may wait to be full. */
  readonly batchWindowMs: number;
  readonly handlerTimeoutMs: number;
  readonly retry: Backoff;
  /** Of the remote engine that the handler calls: while it is open, nothing is taken from the queue. */
  readonly breaker?: CircuitBreaker;
}

/** The defaults of retries: 2 s doubling up to 15 minutes, jittered. */
export const defaultRetry: Backoff = { baseMs: 1000, maxMs: 900_000 };

/** A batch handler from one that takes a single delivery; deliveries of a batch run at once. */
export const each =
  (handle: (delivery: Delivery) => Promise<unknown>): BatchHandler =>
  async (deliveries) => {
    const [only] = deliveries;
    if (deliveries.length === 1 && only !== undefined) {
      await handle(only);
      return [];
    }
    const outcomes = await Promise.allSettled(deliveries.map(async (delivery) => handle(delivery)));
    return outcomes.flatMap((outcome, index) => {
      const delivery = deliveries[index];
      if (outcome.status === 'fulfilled' || delivery === undefined) return [];
      return [{ messageId: delivery.message.messageId, error: outcome.reason as unknown }];
    });
  };
