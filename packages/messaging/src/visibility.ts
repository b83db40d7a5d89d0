/**
 * The arithmetic between timeouts and between concurrency limits. All of it is computed or checked when a worker starts;
 * nothing here is typed in elsewhere.
 */
import { CaseboundError } from '@casebound/contract';
import type { QueueSettings } from './ports.ts';
import { checkQueueName } from './queue-name.ts';

const marginMs = 30_000;
const leastReceives = 5;
/** The longest visibility timeout of SQS: 12 hours. */
const longestVisibilityMs = 12 * 3600 * 1000;

/** How long a message stays hidden: the handler's time, the time a batch may gather, and 30 s (900 + 60 + 30 = 990 s). */
export const visibilityTimeoutMs = (times: {
  readonly handlerTimeoutMs: number;
  readonly batchWindowMs: number;
}): number => times.handlerTimeoutMs + times.batchWindowMs + marginMs;

/** The settings of a job's queue, computed from the job's declaration. */
export const queueSettingsOf = (
  name: string,
  job: {
    readonly handlerTimeoutSeconds: number;
    readonly batchWindowSeconds: number;
    readonly maxReceiveCount: number;
    readonly fewerReceivesBecause?: string;
  },
): QueueSettings => ({
  name,
  visibilityTimeoutMs: visibilityTimeoutMs({
    handlerTimeoutMs: job.handlerTimeoutSeconds * 1000,
    batchWindowMs: job.batchWindowSeconds * 1000,
  }),
  maxReceiveCount: job.maxReceiveCount,
  ...(job.fewerReceivesBecause === undefined ? {} : { fewerReceivesBecause: job.fewerReceivesBecause }),
});

const refuse = (detail: string): never => {
  throw new CaseboundError('queue_settings_invalid', detail);
};

/** @throws CaseboundError `queue_name_invalid`, `queue_settings_invalid` */
export const checkQueueSettings = (settings: QueueSettings): QueueSettings => {
  checkQueueName(settings.name);
  const { name, maxReceiveCount, fewerReceivesBecause } = settings;
  if (!Number.isInteger(maxReceiveCount) || maxReceiveCount < 1 || maxReceiveCount > 1000) {
    refuse(`Queue ${name}: maxReceiveCount is ${maxReceiveCount}; it must be a whole number from 1 to 1000.`);
  }
  if (maxReceiveCount < leastReceives && (fewerReceivesBecause ?? '').trim() === '') {
    refuse(
      `Queue ${name}: maxReceiveCount is ${maxReceiveCount}; fewer than ${leastReceives} need a reason in fewerReceivesBecause.`,
    );
  }
  if (
    !Number.isInteger(settings.visibilityTimeoutMs) ||
    settings.visibilityTimeoutMs < 1 ||
    settings.visibilityTimeoutMs > longestVisibilityMs
  ) {
    refuse(
      `Queue ${name}: the visibility timeout is ${settings.visibilityTimeoutMs} ms; it must be from 1 to ${longestVisibilityMs} ms.`,
    );
  }
  return settings;
};

/** @throws CaseboundError `queue_settings_invalid` when a handler could outlive the lease of its messages. */
export const checkVisibility = (
  queue: QueueSettings,
  worker: { readonly name: string; readonly handlerTimeoutMs: number; readonly batchWindowMs: number },
): void => {
  const needed = visibilityTimeoutMs(worker);
  if (queue.visibilityTimeoutMs < needed) {
    refuse(
      `Worker ${worker.name}: the visibility timeout of ${queue.name} is ${queue.visibilityTimeoutMs} ms; handler timeout ` +
        `${worker.handlerTimeoutMs} + batch window ${worker.batchWindowMs} + ${marginMs} need ${needed} ms.`,
    );
  }
};

export interface ConcurrencyPlan {
  /** Handlers that the whole process may run at once. */
  readonly workerTotal: number;
  readonly handlers: readonly {
    readonly handler: string;
    /** Handlers of this kind that may run at once. */
    readonly reserved: number;
    readonly queues: readonly { readonly name: string; readonly maximum: number }[];
  }[];
}

/** Per-queue maximum <= reserved for the handler <= worker total. @throws CaseboundError `queue_settings_invalid` with the numbers. */
export const checkConcurrency = (plan: ConcurrencyPlan): void => {
  for (const { handler, reserved, queues } of plan.handlers) {
    if (reserved > plan.workerTotal) {
      refuse(`Handler ${handler} reserves ${reserved} of ${plan.workerTotal} that the worker has in total.`);
    }
    for (const queue of queues) {
      if (!Number.isInteger(queue.maximum) || queue.maximum < 1) {
        refuse(`Queue ${queue.name}: its maximum of ${queue.maximum} must be a whole number of at least 1.`);
      }
      if (queue.maximum > reserved) {
        refuse(
          `Queue ${queue.name}: its maximum of ${queue.maximum} exceeds the ${reserved} reserved for handler ${handler}.`,
        );
      }
    }
  }
};
