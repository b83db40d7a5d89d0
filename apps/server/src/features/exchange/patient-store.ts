/**
 * The object store as exchanges see it: a call that fails for a reason that may pass is made again, a few times and soon.
 *
 * - An exchange makes a call or more an object, and some of its steps (verification, compensation) make all of theirs in one go: where one
 *   call in a hundred fails, a step of a thousand calls would never end. What fails again and again still fails for the caller.
 * - Calls of the store can be repeated, whatever became of the first: objects are whole or absent. A body that can be read once alone is not.
 */
import { classifyFailure, fullJitter } from '@casebound/messaging';
import type { Clock } from '../../platform/clock/Port.ts';
import type { ObjectStore } from '../../platform/object-store/Port.ts';

const attempts = 5;
const backoff = { baseMs: 20, maxMs: 1_000 };

interface Call {
  readonly signal?: AbortSignal | undefined;
}

export const createPatientStore = (store: ObjectStore, clock: Pick<Clock, 'sleep'>): ObjectStore => {
  const patiently = async <T>(options: Call | undefined, work: () => Promise<T>): Promise<T> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        const { family, code } = classifyFailure(error);
        const mayPass = family === 'recoverable' && code === 'object_store_unavailable';
        if (!mayPass || attempt >= attempts || options?.signal?.aborted === true) throw error;
        await clock.sleep(fullJitter(backoff, attempt, Math.random), options?.signal);
      }
    }
  };
  return {
    kind: store.kind,
    put: async (key, body, options) =>
      body instanceof Uint8Array
        ? patiently(options, async () => store.put(key, body, options))
        : store.put(key, body, options),
    get: async (key, options) => patiently(options, async () => store.get(key, options)),
    head: async (key, options) => patiently(options, async () => store.head(key, options)),
    delete: async (keys, options) => patiently(options, async () => store.delete(keys, options)),
    deletePrefix: async (prefix, options) => patiently(options, async () => store.deletePrefix(prefix, options)),
    copy: async (source, destination, options) =>
      patiently(options, async () => store.copy(source, destination, options)),
    list: (prefix, options) => store.list(prefix, options),
    flush: async () => store.flush(),
    probe: async (options) => store.probe(options),
    sweep: async () => store.sweep(),
    close: async () => store.close(),
  };
};
