/** Maps a stream while the mapping of what comes next is under way: who takes a result does not wait for the next one to begin. */

/** Results in order. At most `ahead` are worked on beyond the one that was given out. */
export async function* mapAhead<T, R>(
  source: AsyncIterable<T>,
  ahead: number,
  map: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const running: Promise<R>[] = [];
  try {
    for await (const item of source) {
      const result = map(item);
      // Whoever waits for it hears of it; until then it is nobody's.
      result.catch(() => undefined);
      running.push(result);
      const first = running.length > ahead ? running.shift() : undefined;
      if (first !== undefined) yield await first;
    }
    for (let first = running.shift(); first !== undefined; first = running.shift()) yield await first;
  } finally {
    await Promise.allSettled(running);
  }
}
