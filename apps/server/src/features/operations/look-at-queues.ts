/** Queues as people see them: settings, depth, dead letters. */
import { CaseboundError, type Queue } from '@casebound/contract';
import type { Depth, QueueDescription } from '@casebound/messaging';
import type { OperationsDependencies } from './dependencies.ts';

type Parts = Pick<OperationsDependencies, 'queues' | 'deadLetters'>;

const describe = async ({ deadLetters }: Parts, queue: QueueDescription, depth: Depth): Promise<Queue> => ({
  name: queue.name,
  address: queue.address,
  visibilityTimeoutMs: queue.visibilityTimeoutMs,
  maxReceiveCount: queue.maxReceiveCount,
  fewerReceivesBecause: queue.fewerReceivesBecause ?? null,
  ...depth,
  deadLetters: await deadLetters.count({ queue: queue.name }),
});

export async function listQueues(parts: Parts): Promise<Queue[]> {
  const found = await parts.queues.list();
  const depths = await parts.queues.depth(found.map(({ name }) => name));
  // One that was deleted in between has no depth any more.
  const there = found.flatMap((queue) => {
    const depth = depths.get(queue.name);
    return depth === undefined ? [] : [{ queue, depth }];
  });
  const described: Queue[] = [];
  for (const { queue, depth } of there) described.push(await describe(parts, queue, depth));
  return described;
}

/** @throws CaseboundError `queue_not_found` */
export async function getQueue(parts: Parts, name: string): Promise<Queue> {
  const queue = await parts.queues.find(name);
  const depth = queue === undefined ? undefined : (await parts.queues.depth([name])).get(name);
  if (queue === undefined || depth === undefined)
    throw new CaseboundError('queue_not_found', `There is no queue ${JSON.stringify(name)}.`);
  return describe(parts, queue, depth);
}
