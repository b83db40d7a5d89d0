/**
 * One SQLite file a case, with full text by FTS5.
 *
 * - A put is one transaction of SQLite: a crash leaves the old documents or the new ones. Several processes write in turn.
 * - The full-text tables keep no text, only what finds it; texts lie in the object store.
 * - SQLite runs in the calling thread: a put holds it for the time of its write, so callers put in parts (`exchange.indexBulkBytes`).
 */
import { mkdir } from 'node:fs/promises';
import { CaseboundError } from '@casebound/contract';
import type { SearchIndex } from '../../Port.ts';
import { FactWriter } from './fact-terms.ts';
import { countExhibits, findDigests, findExhibits } from './find-exhibits.ts';
import { IndexFiles, type IndexFilesOptions } from './index-files.ts';
import { deleteRows, putDocuments } from './put-documents.ts';

export const openSqliteSearchIndex = async (options: IndexFilesOptions): Promise<SearchIndex> => {
  await mkdir(options.root, { recursive: true });
  const files = new IndexFiles(options);
  const facts = new FactWriter();
  let isClosed = false;
  const open = (): IndexFiles => {
    if (isClosed) throw new CaseboundError('search_index_unavailable', 'The search index is closed.');
    return files;
  };
  return {
    kind: 'sqlite',
    async put(caseId, documents) {
      if (documents.length === 0) return;
      open().change(caseId, (file) => putDocuments(file, documents, facts));
    },
    async remove(caseId, exhibitIds) {
      if (exhibitIds.length === 0) return;
      open().change(caseId, (file) => deleteRows(file, exhibitIds));
    },
    removeBatch: async (caseId, batchId) =>
      open().change(caseId, (file) => {
        const rows = file.prepare('SELECT exhibit_id FROM exhibit WHERE batch_id = ?').all(batchId);
        const exhibitIds = rows.map((row) => Number(row['exhibit_id']));
        deleteRows(file, exhibitIds);
        return exhibitIds.length;
      }),
    search: async (caseId, query, { after = 0, limit }) =>
      open().read(caseId, (file) => findExhibits(file, query, after, limit)),
    digests: async (caseId, exhibitIds) => open().read(caseId, (file) => findDigests(file, exhibitIds)),
    count: async (caseId) => open().read(caseId, countExhibits),
    drop: async (caseId) => open().drop(caseId),
    async close() {
      isClosed = true;
      files.close();
    },
  };
};
