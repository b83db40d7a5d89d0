/**
 * Puts dead letters back at a limited rate, so that what killed them once does not meet all of them at once.
 *
 * Each batch is its own transaction: a request that is cut off has moved whole batches, and can be repeated.
 */
import type { DeadLetterFilter } from '@casebound/messaging';
import type { OperationsDependencies } from './dependencies.ts';

/** Longest that one request goes on. */
const budgetMs = 30_000;
const batchesPerSecond = 10;
/** Before letters that others held are asked for again. */
const heldRestMs = 100;

export interface Redriven {
  readonly redriven: number;
  readonly remaining: number;
}

/** @throws CaseboundError `queue_not_found` when the queue of one is gone; those before it are back. */
export async function redriveDeadLetters(
  { deadLetters, clock }: Pick<OperationsDependencies, 'deadLetters' | 'clock'>,
  filter: DeadLetterFilter,
  perSecond: number,
  signal: AbortSignal,
): Promise<Redriven> {
  const startedAt = clock.monotonicMs();
  // What dies again meanwhile is left dead: it died after the start.
  const before = new Date();
  const meant = {
    ...filter,
    diedBefore: filter.diedBefore !== undefined && filter.diedBefore < before ? filter.diedBefore : before,
  };
  const batch = Math.max(1, Math.ceil(perSecond / batchesPerSecond));
  let redriven = 0;
  while (clock.monotonicMs() - startedAt < budgetMs && !signal.aborted) {
    const moved = await deadLetters.redriveBatch(meant, batch);
    redriven += moved;
    // Letters that others hold for a moment, as when they are announced, are passed over and come with a later batch.
    if (moved < batch && (await deadLetters.count(meant)) === 0) break;
    const dueAt = startedAt + (redriven / perSecond) * 1000;
    const restMs = Math.max(dueAt - clock.monotonicMs(), moved < batch ? heldRestMs : 0);
    if (restMs > 0) await clock.sleep(Math.min(restMs, budgetMs), signal).catch(() => undefined);
  }
  return { redriven, remaining: await deadLetters.count(meant) };
}
