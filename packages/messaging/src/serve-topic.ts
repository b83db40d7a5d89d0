/** A queue that all processes share, which hears of events of the topic and is served by one worker at a time. */
import type { Messaging } from './create-messaging.ts';
import type { FilterPolicy } from './filter-policy.ts';
import { visibilityTimeoutMs } from './visibility.ts';

export interface ServedQueue {
  /** Also the name of its handler. */
  readonly queue: string;
  readonly policy: FilterPolicy;
  readonly handlerTimeoutMs: number;
  readonly maxReceiveCount: number;
}

/** Makes the queue, its subscription and its worker. Done again, it changes nothing. */
export const serveTopic = async (
  { queues, topics, topic, fleet }: Pick<Messaging, 'queues' | 'topics' | 'topic' | 'fleet'>,
  { queue, policy, handlerTimeoutMs, maxReceiveCount }: ServedQueue,
): Promise<void> => {
  await queues.create({
    name: queue,
    visibilityTimeoutMs: visibilityTimeoutMs({ handlerTimeoutMs, batchWindowMs: 0 }),
    maxReceiveCount,
  });
  await topics.subscribe(topic, queue, policy);
  await fleet.create({
    name: `${queue}_worker`,
    queue,
    handler: queue,
    concurrency: 1,
    batchSize: 1,
    batchWindowMs: 0,
  });
};
