/**
 * The object store as exchanges see it: a call that fails for a reason that may pass is made again, a few times and soon.
 *
 * - An exchange makes a call or more an object, and some of its steps (verification, compensation) make all of theirs in one go: where one
 *   call in a hundred fails, a step of a thousand calls would never end. What fails again and again still fails for the caller.
 * - Calls of the store can be repeated, whatever became of the first: objects are whole or absent. A body that can be read once alone is not.
 */
import { classifyFailure, fullJitter } from '@casebound/messaging';
import type { Clock } from '../../platform/clock/Port.ts';
import type { Each, ObjectStore } from '../../platform/object-store/Port.ts';

const attempts = 5;
const backoff = { baseMs: 20, maxMs: 1_000 };

interface Call {
  readonly signal?: AbortSignal | undefined;
}

const mayPass = (error: unknown): boolean => {
  const { family, code } = classifyFailure(error);
  return family === 'recoverable' && code === 'object_store_unavailable';
};

export const createPatientStore = (store: ObjectStore, clock: Pick<Clock, 'sleep'>): ObjectStore => {
  const patiently = async <T>(options: Call | undefined, work: () => Promise<T>): Promise<T> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        if (!mayPass(error) || attempt >= attempts || options?.signal?.aborted === true) throw error;
        await clock.sleep(fullJitter(backoff, attempt, Math.random), options?.signal);
      }
    }
  };
  /** Calls for many: those of them that may pass are asked again, and no others. */
  const patientlyEach = async <T, R>(
    items: readonly T[],
    options: Call | undefined,
    work: (items: readonly T[]) => Promise<readonly Each<R>[]>,
  ): Promise<readonly Each<R>[]> => {
    const answers = [...(await work(items))];
    for (let attempt = 1; attempt < attempts; attempt += 1) {
      const again = [...answers.keys()].filter((at) => {
        const answer = answers[at];
        return answer?.ok === false && mayPass(answer.error);
      });
      if (again.length === 0) break;
      await clock.sleep(fullJitter(backoff, attempt, Math.random), options?.signal);
      const asked = await work(again.flatMap((at) => items[at] ?? []));
      for (const [index, at] of again.entries()) {
        const answer = asked[index];
        if (answer !== undefined) answers[at] = answer;
      }
    }
    return answers;
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
    copyAll: async (requests, options) =>
      patientlyEach(requests, options, async (some) => store.copyAll(some, options)),
    headAll: async (keys, options) => patientlyEach(keys, options, async (some) => store.headAll(some, options)),
    readAll: async (keys, options) => patientlyEach(keys, options, async (some) => store.readAll(some, options)),
    list: (prefix, options) => store.list(prefix, options),
    flush: async () => store.flush(),
    probe: async (options) => store.probe(options),
    sweep: async () => store.sweep(),
    close: async () => store.close(),
  };
};
