/**
 * Works on items in their order, some at once. When one fails no other is begun, and those that are under way have ended when its failure is
 * thrown: whoever undoes what was done finds all of it.
 */
export const workAtOnce = async <T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> => {
  const waiting = items.toReversed();
  const run = async (): Promise<void> => {
    for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) {
      try {
        await work(item);
      } catch (error) {
        waiting.length = 0;
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(atOnce, items.length) }, run));
  for (const one of ended) if (one.status === 'rejected') throw one.reason;
};
