/** Runs at most so many tasks at once; the others wait in the order in which they came. */
export type Limit = <T>(task: () => Promise<T>) => Promise<T>;

export const limitConcurrency = (most: number): Limit => {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (task) => {
    if (running < most) running += 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      // The slot passes on without becoming free, so a newcomer cannot overtake.
      else next();
    }
  };
};

/** Calls `task` for every item, at most `most` at once. The first failure rejects, after the running ones have ended. */
export const forEachConcurrently = async <T>(
  items: Iterable<T>,
  most: number,
  task: (item: T) => Promise<void>,
): Promise<void> => {
  const iterator = items[Symbol.iterator]();
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (let step = iterator.next(); step.done !== true && failures.length === 0; step = iterator.next()) {
      try {
        await task(step.value);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: most }, worker));
  if (failures.length > 0) throw failures[0];
};
