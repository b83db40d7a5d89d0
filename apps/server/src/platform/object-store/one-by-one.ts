/** Calls for many objects, made of the calls for one. */
import { forEachConcurrently } from './limit-concurrency.ts';
import type { Each, ObjectStore } from './Port.ts';
import { readBytes } from './read-bytes.ts';

const atOnce = 8;

/** Answers in the order of the items. Rejects with the signal's reason when it aborts. */
export const each = async <T, R>(
  items: readonly T[],
  signal: AbortSignal | undefined,
  work: (item: T) => Promise<R>,
): Promise<Each<R>[]> => {
  const answers: Each<R>[] = Array.from({ length: items.length });
  await forEachConcurrently(items.keys(), atOnce, async (at) => {
    signal?.throwIfAborted();
    const item = items[at];
    if (item === undefined) return;
    try {
      answers[at] = { ok: true, value: await work(item) };
    } catch (error) {
      signal?.throwIfAborted();
      answers[at] = { ok: false, error };
    }
  });
  return answers;
};

/** For stores that gain nothing by doing many at once. */
export const oneByOne = (
  store: Pick<ObjectStore, 'copy' | 'head' | 'get'>,
): Pick<ObjectStore, 'copyAll' | 'headAll' | 'readAll'> => ({
  copyAll: async (requests, options = {}) =>
    each(requests, options.signal, async ({ source, destination, expected }) =>
      store.copy(source, destination, { ...options, ...(expected === undefined ? {} : { expected }) }),
    ),
  headAll: async (keys, options = {}) => each(keys, options.signal, async (key) => store.head(key, options)),
  readAll: async (keys, options) => each(keys, options.signal, async (key) => readBytes(store, key, options)),
});
