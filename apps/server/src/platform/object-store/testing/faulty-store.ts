/**
 * A store whose calls fail as a test wants: some of them, all of them, or those that write. A real store lies beneath.
 *
 * - Every other failed call was done before it failed: an answer that is lost on its way looks like that.
 */
import { CaseboundError } from '@casebound/contract';
import { oneByOne } from '../one-by-one.ts';
import type { ObjectStore } from '../Port.ts';

interface Faults {
  /** Share of calls that fail, 0 to 1. */
  rate: number;
  /** `object_store_full` fails calls that write, and does nothing before. */
  code: 'object_store_unavailable' | 'object_store_full';
}

export interface FaultyStore {
  readonly store: ObjectStore;
  /** Changed by the test at any time. */
  readonly faults: Faults;
  failed(): number;
}

export const createFaultyStore = (beneath: ObjectStore, random: () => number = Math.random): FaultyStore => {
  const faults: Faults = { rate: 0, code: 'object_store_unavailable' };
  let failed = 0;
  const fails = (writes: boolean): boolean =>
    (faults.code === 'object_store_unavailable' || writes) && random() < faults.rate;
  const call = async <T>(writes: boolean, work: () => Promise<T>): Promise<T> => {
    if (!fails(writes)) return work();
    failed += 1;
    if (faults.code === 'object_store_full')
      throw new CaseboundError('object_store_full', 'The disk beneath the store is full.');
    if (failed % 2 === 0) await work();
    throw new CaseboundError('object_store_unavailable', 'The store does not answer.');
  };
  const single: Pick<ObjectStore, 'get' | 'head' | 'copy'> = {
    get: async (...args) => {
      // A body that nobody reads would keep its file open.
      if (!fails(false)) return beneath.get(...args);
      failed += 1;
      throw new CaseboundError('object_store_unavailable', 'The store does not answer.');
    },
    head: async (...args) => call(false, async () => beneath.head(...args)),
    copy: async (...args) => call(true, async () => beneath.copy(...args)),
  };
  const store: ObjectStore = {
    kind: beneath.kind,
    put: async (...args) => call(true, async () => beneath.put(...args)),
    ...single,
    ...oneByOne(single),
    async *list(...args) {
      if (fails(false)) throw new CaseboundError('object_store_unavailable', 'The store does not answer.');
      yield* beneath.list(...args);
    },
    delete: async (...args) => call(false, async () => beneath.delete(...args)),
    deletePrefix: async (...args) => call(false, async () => beneath.deletePrefix(...args)),
    flush: async () => beneath.flush(),
    probe: async (...args) => beneath.probe(...args),
    sweep: async () => beneath.sweep(),
    close: async () => beneath.close(),
  };
  return { store, faults, failed: () => failed };
};
