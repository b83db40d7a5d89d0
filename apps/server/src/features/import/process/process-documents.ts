/**
 * Processes the documents of an import, set by set: each set is worked on by as many workers as there are, then written in one
 * transaction with its checkpoint. A set that was interrupted is done again.
 */
import type { CaseId } from '@casebound/contract';
import { bulkWrite, type JsonValue, readMany } from '@casebound/records';
import type { Transaction } from '../../../database/index.ts';
import { type CaseRecords, caseResource } from '../../records/index.ts';
import { insertProblems } from '../import-problem.ts';
import type { StoredImport } from '../store.ts';
import { type Processed, processDocument, type ProcessParts } from './process-document.ts';
import { markProcessed, type Processable, readPending } from './processing-store.ts';

type Transact = <T>(fn: (tx: Transaction) => Promise<T>) => Promise<T>;
type Body = { [key: string]: JsonValue };

export interface ProcessingOptions {
  readonly parts: ProcessParts;
  readonly records: CaseRecords;
  readonly caseId: CaseId;
  readonly job: Pick<StoredImport, 'job_id' | 'batch_id'>;
  readonly ocr: boolean;
  readonly transact: Transact;
  /** In the transaction of each set: moves the job's checkpoint on. */
  readonly advance: (tx: Transaction, documents: number) => Promise<void>;
  readonly signal: AbortSignal;
}

const setSize = 100;
const concurrency = 4;

const parse = (body: string): Body => {
  const { id: _id, _etag, _lastModifiedDate, ...document } = JSON.parse(body) as Body;
  return document;
};

/** Two exhibits of one document are of one mind about it: the last of the set says. */
const withoutNulls = (document: Body): Body =>
  Object.fromEntries(Object.entries(document).filter(([, value]) => value !== null));

const processSet = async (
  options: ProcessingOptions,
  set: readonly Processable[],
  pairs: ReadonlyMap<number, { readonly document: Body; readonly exhibit: Body }>,
): Promise<ReadonlyMap<number, Processed>> => {
  const { parts, caseId, job, ocr, signal } = options;
  const results = new Map<number, Processed>();
  const waiting = set.toReversed();
  const work = async (): Promise<void> => {
    for (let it = waiting.pop(); it !== undefined; it = waiting.pop()) {
      signal.throwIfAborted();
      const pair = pairs.get(it.exhibitId);
      // Removed by somebody since.
      if (pair === undefined) continue;
      results.set(it.exhibitId, await processDocument(parts, caseId, job.batch_id, it, pair, ocr, signal));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  return results;
};

/** Processes what is left. */
export const processDocuments = async (options: ProcessingOptions): Promise<void> => {
  const { records, caseId, job, transact, parts } = options;
  const exhibits = caseResource(records.model, 'exhibits');
  const documents = caseResource(records.model, 'documents');
  for (;;) {
    const { set, pairs } = await transact(async (tx) => {
      const pending = await readPending(tx, job.job_id, setSize);
      const store = await records.within(caseId, tx);
      const exhibitBodies = await readMany(
        store,
        tx,
        exhibits,
        pending.map((it) => it.exhibitId),
      );
      const documentBodies = await readMany(
        store,
        tx,
        documents,
        pending.map((it) => it.documentId),
      );
      return {
        set: pending,
        pairs: new Map(
          pending.flatMap((it) => {
            const exhibit = exhibitBodies.get(it.exhibitId);
            const document = documentBodies.get(it.documentId);
            return exhibit === undefined || document === undefined
              ? []
              : [[it.exhibitId, { exhibit: parse(exhibit.body), document: parse(document.body) }] as const];
          }),
        ),
      };
    });
    if (set.length === 0) return;
    const results = await processSet(options, set, pairs);
    await parts.objects.flush();
    await transact(async (tx) => {
      const store = await records.within(caseId, tx);
      await bulkWrite(
        store,
        [...results.values()].flatMap(({ document, exhibit }) => [
          ...(document === null ? [] : [{ resource: documents, document: withoutNulls({ ...document }) }]),
          ...(exhibit === null ? [] : [{ resource: exhibits, document: { ...exhibit } }]),
        ]),
        {
          onRow: (outcome) => {
            if (outcome.outcome === 'failed') throw outcome.error;
          },
        },
      );
      await insertProblems(
        tx,
        job.job_id,
        'processing',
        [...results.values()].flatMap((it) => it.problems),
      );
      await markProcessed(
        tx,
        job.job_id,
        set.map((it) => it.exhibitId),
      );
      await options.advance(tx, set.length);
    });
  }
};
