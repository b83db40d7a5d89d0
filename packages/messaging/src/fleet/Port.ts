/**
 * The worker fleet: which queues are worked on, by what, with how much at once. Workers come and go while the system runs (an
 * exchange has its own); handlers are known by name, so that any process that knows the handler can be the worker.
 */
import type { CircuitBreaker } from '../circuit-breaker.ts';
import type { BatchHandler } from '../consumer/worker-definition.ts';
import type { Backoff } from '../full-jitter.ts';

/** How a kind of work is done. */
export interface HandlerDefinition {
  readonly handle: BatchHandler;
  readonly handlerTimeoutMs: number;
  readonly retry?: Backoff;
  readonly breaker?: CircuitBreaker;
  /** Batches of this kind that may run at once in one process. */
  readonly reserved: number;
}

export type HandlerCatalogue = Readonly<Record<string, HandlerDefinition>>;

export interface FleetWorker {
  /** Unique, e.g. `doc_exch_uploader_worker_4_7`; 1 to 64 letters, digits, hyphens and underscores, the limit of Lambda. */
  readonly name: string;
  readonly queue: string;
  /** A name of the handler catalogue. */
  readonly handler: string;
  /** Batches at once: per process in process, over all on AWS. At least 2 there. */
  readonly concurrency: number;
  readonly batchSize: number;
  readonly batchWindowMs: number;
}

export interface WorkerFleet {
  /** Creates the worker, or finds it. Answers its address: an ARN on AWS. @throws CaseboundError `queue_settings_invalid`, `queue_not_found` */
  create(worker: FleetWorker): Promise<string>;
  /** Nothing more is received for it, by any process, when this has returned. */
  pause(name: string): Promise<void>;
  resume(name: string): Promise<void>;
  /** Messages that were received and are not settled, over all processes. */
  inFlight(name: string): Promise<number>;
  list(): Promise<readonly FleetWorker[]>;
  /** Deletes the worker; its queue stays. Deleting what is not there succeeds. */
  delete(name: string): Promise<void>;
}
