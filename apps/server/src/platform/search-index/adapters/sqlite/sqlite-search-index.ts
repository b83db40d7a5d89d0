/**
 * One SQLite file a case, with full text by FTS5, used by two threads of each process.
 *
 * - One thread writes and one reads, so that a search does not wait for what an import writes; both start when they are needed.
 * - A put is one transaction of SQLite: a crash leaves the old documents or the new ones. Several processes write in turn.
 * - The full-text tables keep no text, only what finds it; texts lie in the object store.
 * - What is under way to the writer is bounded; further puts wait in the calling thread.
 */
import { mkdir } from 'node:fs/promises';
import { CaseboundError, type CaseId } from '@casebound/contract';
import type { SearchIndex } from '../../Port.ts';
import type { IndexFilesOptions } from './index-files.ts';
import { IndexThread } from './index-thread.ts';
import { Allowance, partsOf } from './put-parts.ts';

/** UTF-16 code units of documents that are with the writer. */
const defaultUnderWay = 32 * 1024 * 1024;

export interface SqliteSearchIndexOptions extends IndexFilesOptions {
  readonly underWay?: number;
}

export const openSqliteSearchIndex = async ({
  underWay = defaultUnderWay,
  ...options
}: SqliteSearchIndexOptions): Promise<SearchIndex> => {
  await mkdir(options.root, { recursive: true });
  const writer = new IndexThread(options);
  const reader = new IndexThread(options);
  const allowance = new Allowance(underWay);
  const calls = new Set<Promise<unknown>>();
  /** Cases whose files are being removed: no thread may open one meanwhile. */
  const drops = new Map<CaseId, Promise<void>>();
  let isClosed = false;

  /** Every call: refused after `close`, which waits for those that came before. */
  const begin = async <T>(caseId: CaseId, work: () => Promise<T>): Promise<T> => {
    if (isClosed) throw new CaseboundError('search_index_unavailable', 'The search index is closed.');
    const call = (async () => {
      const drop = drops.get(caseId);
      if (drop !== undefined) await Promise.allSettled([drop]);
      return work();
    })();
    calls.add(call);
    try {
      return await call;
    } finally {
      calls.delete(call);
    }
  };

  return {
    kind: 'sqlite',
    async put(caseId, documents) {
      if (documents.length === 0) return;
      await begin(caseId, async () => {
        const { parts, size } = partsOf(documents);
        await allowance.use(size, async () => writer.put(caseId, parts));
      });
    },
    async remove(caseId, exhibitIds) {
      if (exhibitIds.length === 0) return;
      await begin(caseId, async () => writer.call('remove', caseId, { exhibitIds }));
    },
    removeBatch: async (caseId, batchId) => begin(caseId, async () => writer.call('removeBatch', caseId, { batchId })),
    search: async (caseId, query, { after = 0, limit }) =>
      begin(caseId, async () => reader.call('search', caseId, { query, after, limit })),
    digests: async (caseId, exhibitIds) => begin(caseId, async () => reader.call('digests', caseId, { exhibitIds })),
    count: async (caseId) => begin(caseId, async () => reader.call('count', caseId, {})),
    drop: async (caseId) =>
      begin(caseId, async () => {
        const drop = (async () => {
          await reader.shut(caseId);
          await writer.call('drop', caseId, {});
        })();
        drops.set(caseId, drop);
        try {
          await drop;
        } finally {
          drops.delete(caseId);
        }
      }),
    async close() {
      isClosed = true;
      await Promise.allSettled(calls);
      // The reader first: the last one to close a file puts what is left of its log into it.
      await reader.close();
      await writer.close();
    },
  };
};
