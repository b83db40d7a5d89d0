/**
 * Processes the documents of an import, set by set: each set is worked on by as many workers as there are, then written in one
 * transaction with its checkpoint. A set that was interrupted is done again.
 *
 * - Working takes a while in which people change exhibits: what they changed is read again, under a lock, before the results are written
 *   into it.
 * - What was worked on may have been replaced meanwhile, by an overlay: an exhibit whose files or pages are others now is left to be done
 *   again.
 */
import { type JsonValue, bulkWrite, readMany } from '@casebound/records';
import { availableParallelism } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import type { Transaction } from '../../../database/index.ts';
import { caseResource } from '../../records/index.ts';
import { HandedOn, type HeldImport } from '../held-import.ts';
import { insertProblems } from '../import-problem.ts';
import { lockExhibits, parseBody } from '../write/change-exhibits.ts';
import { workAtOnce } from '../work-at-once.ts';
import { type Processed, processDocument } from './process-document.ts';
import { markProcessed, type Processable, readPending } from './processing-store.ts';

type Body = { [key: string]: JsonValue };
type Pairs = ReadonlyMap<number, { readonly document: Body; readonly exhibit: Body }>;

const setSize = 200;
/** Documents at once: enough to keep the workers busy while files are read and written. */
const concurrency = Math.max(4, availableParallelism() * 2);

const readPairs = async (held: HeldImport, tx: Transaction, set: readonly Processable[]): Promise<Pairs> => {
  const { parts, caseId } = held;
  const { model } = parts.records;
  const store = await parts.records.within(caseId, tx);
  const bodies = async (endpoint: string, ids: readonly number[]) =>
    readMany(store, tx, caseResource(model, endpoint), ids);
  const exhibits = await bodies(
    'exhibits',
    set.map((it) => it.exhibitId),
  );
  const documents = await bodies(
    'documents',
    set.map((it) => it.documentId),
  );
  return new Map(
    set.flatMap((it) => {
      const exhibit = exhibits.get(it.exhibitId);
      const document = documents.get(it.documentId);
      return exhibit === undefined || document === undefined
        ? []
        : [[it.exhibitId, { exhibit: parseBody(exhibit.body), document: parseBody(document.body) }] as const];
    }),
  );
};

const processSet = async (
  { parts, caseId, job, signal }: HeldImport,
  set: readonly Processable[],
  pairs: Pairs,
): Promise<ReadonlyMap<number, Processed>> => {
  const results = new Map<number, Processed>();
  const { ocr, overlay } = job.request;
  const options = { ocr: ocr === 'auto', overlay: overlay === undefined ? undefined : job.job_id };
  await workAtOnce(set, concurrency, async (it) => {
    signal.throwIfAborted();
    const pair = pairs.get(it.exhibitId);
    // Removed by somebody since.
    if (pair === undefined) return;
    results.set(it.exhibitId, await processDocument(parts, caseId, it, pair, options, signal));
  });
  return results;
};

/** Whether the files and pages that a result was made of are still those of the exhibit; of one that is gone, nothing is left to be done. */
const isCurrent = (before: Pairs, now: Pairs, exhibitId: number): boolean => {
  const [was, is] = [before.get(exhibitId), now.get(exhibitId)];
  if (was === undefined || is === undefined) return true;
  return (
    isDeepStrictEqual(was.document['variants'], is.document['variants']) &&
    isDeepStrictEqual(was.exhibit['pages'], is.exhibit['pages'])
  );
};

const writeSet = async (
  held: HeldImport,
  set: readonly Processable[],
  before: Pairs,
  results: ReadonlyMap<number, Processed>,
  isLast: boolean,
): Promise<void> => {
  const { parts, caseId, job } = held;
  const { model } = parts.records;
  const resources = { documents: caseResource(model, 'documents'), exhibits: caseResource(model, 'exhibits') };
  await held.transaction(async (tx) => {
    await lockExhibits(
      tx,
      set.map((it) => it.exhibitId),
    );
    const now = await readPairs(held, tx, set);
    const done = set.filter((it) => isCurrent(before, now, it.exhibitId));
    await bulkWrite(
      await parts.records.within(caseId, tx),
      done.flatMap(({ exhibitId }) => {
        const [pair, result] = [now.get(exhibitId), results.get(exhibitId)];
        if (pair === undefined || result === undefined) return [];
        const { document, exhibit } = result;
        return [
          ...(document === null
            ? []
            : [{ resource: resources.documents, document: { ...pair.document, ...document } }]),
          ...(exhibit === null ? [] : [{ resource: resources.exhibits, document: { ...pair.exhibit, ...exhibit } }]),
        ];
      }),
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
      done.flatMap((it) => results.get(it.exhibitId)?.problems ?? []),
    );
    await markProcessed(
      tx,
      job.job_id,
      done.map((it) => it.exhibitId),
    );
    await held.advance(tx, ['processing'], 'processed = processed + $4', [done.length]);
    await held.publishProgress(tx);
    parts.crashPoint('import.set.processed');
    if (isLast) await held.handOn(tx);
  });
};

/** Processes what is left. Throws `HandedOn` when the slice is over first. */
export const processDocuments = async (held: HeldImport): Promise<void> => {
  for (;;) {
    const { set, pairs } = await held.transaction(async (tx) => {
      const pending = await readPending(tx, held.job.job_id, setSize);
      return { set: pending, pairs: pending.length === 0 ? new Map() : await readPairs(held, tx, pending) };
    });
    if (set.length === 0) return;
    const results = await processSet(held, set, pairs);
    await held.parts.objects.flush();
    const isLast = held.isSliceOver;
    await writeSet(held, set, pairs, results, isLast);
    if (isLast) throw new HandedOn();
  }
};
