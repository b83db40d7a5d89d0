/** The calls themselves, within a thread. */
import type { CaseId } from '@casebound/contract';
import { FactWriter } from './fact-terms.ts';
import { countExhibits, findDigests, findExhibits } from './find-exhibits.ts';
import { IndexFiles, type IndexFilesOptions } from './index-files.ts';
import { deleteRows, idsOfBatch, putDocuments } from './put-documents.ts';
import type { IndexCallName, IndexCalls } from './thread-messages.ts';

type Handlers = {
  readonly [Name in IndexCallName]: (caseId: CaseId, input: IndexCalls[Name]['input']) => IndexCalls[Name]['output'];
};

export interface CallRunner {
  run<Name extends IndexCallName>(name: Name, caseId: CaseId, input: IndexCalls[Name]['input']): unknown;
  close(): void;
}

export const createCallRunner = (options: IndexFilesOptions): CallRunner => {
  const files = new IndexFiles(options);
  const facts = new FactWriter();
  const handlers: Handlers = {
    put: (caseId, { documents }) => files.change(caseId, (file) => putDocuments(file, documents, facts)),
    remove: (caseId, { exhibitIds }) => files.change(caseId, (file) => deleteRows(file, exhibitIds)),
    removeBatch: (caseId, { batchId }) =>
      files.change(caseId, (file) => {
        const exhibitIds = idsOfBatch(file, batchId);
        deleteRows(file, exhibitIds);
        return exhibitIds.length;
      }),
    search: (caseId, { query, after, limit }) => files.read(caseId, (file) => findExhibits(file, query, after, limit)),
    digests: (caseId, { exhibitIds }) => files.read(caseId, (file) => findDigests(file, exhibitIds)),
    count: (caseId) => files.read(caseId, countExhibits),
    shut: (caseId) => files.shut(caseId),
    drop: (caseId) => files.drop(caseId),
  };
  return {
    run: (name, caseId, input) => handlers[name](caseId, input),
    close: () => files.close(),
  };
};
