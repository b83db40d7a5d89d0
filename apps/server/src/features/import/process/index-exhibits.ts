/**
 * Puts the exhibits of an import into the search index of its case, from what stands there now.
 *
 * - In sets in the order of their ids, each with a checkpoint; a set that was interrupted is put again, which replaces it.
 * - A set is read while the one before it is written; none is written before the checkpoint of the one before.
 * - What somebody changed after it was read is put again before the checkpoint.
 */
import type { CaseId } from '@casebound/contract';
import type { IndexDocument } from '../../../platform/search-index/Port.ts';
import {
  buildIndexDocuments,
  documentOf,
  indexChanged,
  readCoreFields,
  readCustomFields,
  readPages,
  readRevisions,
  type Revisions,
} from '../../indexing/index.ts';
import { chunkOptions, HandedOn, type HeldImport } from '../held-import.ts';

/** Exhibits that are put together: a write of the index waits for the disk once. */
const setSize = 500;
/** UTF-16 code units of text that one write takes. */
const maxTextPerWrite = 4 * 1024 * 1024;

interface Indexable {
  readonly exhibitId: number;
  readonly controlNumber: string;
  readonly documentKey: string;
  readonly batchId: number;
}

const readSet = async (held: HeldImport, after: number) =>
  held.transaction(
    async (tx) => {
      const { rows } = await tx.query<{
        exhibit_id: string;
        control_number: string;
        document_key: string;
        batch_id: string;
      }>(
        `SELECT exhibit.document_id AS exhibit_id, exhibit.control_number, d.document_key, exhibit.batch_document_id AS batch_id
         FROM exhibit JOIN source_document AS d ON d.document_id = exhibit.document_document_id
         WHERE exhibit.document_id > $1 AND ${
           held.job.request.overlay === undefined
             ? 'exhibit.batch_document_id = $2'
             : 'exhibit.document_id IN (SELECT exhibit_id FROM import_overlaid WHERE job_id = $2::uuid)'
         } ORDER BY exhibit.document_id LIMIT $3`,
        [after, held.job.request.overlay === undefined ? held.job.batch_id : held.job.job_id, setSize],
      );
      const exhibits = rows.map((row): Indexable => ({
        exhibitId: Number(row.exhibit_id),
        controlNumber: row.control_number,
        documentKey: row.document_key,
        batchId: Number(row.batch_id),
      }));
      const ids = exhibits.map((it) => it.exhibitId);
      return {
        exhibits,
        revisions: await readRevisions(tx, ids),
        core: await readCoreFields(tx, ids),
        pages: await readPages(tx, ids),
      };
    },
    { ...chunkOptions, readOnly: true },
  );

type ReadSet = Awaited<ReturnType<typeof readSet>>;

/** The index documents of a set, in parts that one write takes. */
async function* buildParts(
  { parts, caseId, job, signal }: HeldImport,
  { exhibits, core, pages }: ReadSet,
): AsyncGenerator<readonly IndexDocument[]> {
  const custom = await readCustomFields(
    parts.fields,
    caseId,
    job.actor,
    exhibits.map((it) => it.exhibitId),
    signal,
  );
  const toIndex = exhibits.map((it) => ({
    ...it,
    pages: pages.get(it.exhibitId) ?? [],
    fields: { ...core.get(it.exhibitId), ...custom.get(it.exhibitId) },
  }));
  let waiting: IndexDocument[] = [];
  let size = 0;
  for await (const part of buildIndexDocuments(parts.objects, caseId, toIndex, signal)) {
    signal.throwIfAborted();
    const built = part.map(documentOf);
    waiting.push(...built);
    size += built.reduce((sum, it) => sum + it.pages.reduce((texts, page) => texts + page.text.length, 0), 0);
    if (size < maxTextPerWrite) continue;
    yield waiting;
    waiting = [];
    size = 0;
  }
  if (waiting.length > 0) yield waiting;
}

/** When a set is in the index. Throws `HandedOn` when the slice is over. */
const checkpoint = async (
  held: HeldImport,
  put: Promise<void>,
  revisions: Revisions,
  exhibits: number,
  last: number,
): Promise<void> => {
  await put;
  await indexChanged(held.parts, held.caseId, held.job.actor, revisions, held.signal);
  const isLast = held.isSliceOver;
  await held.transaction(async (tx) => {
    await held.advance(tx, ['indexing'], 'indexed_to = $4, indexed = indexed + $5', [last, exhibits]);
    await held.publishProgress(tx);
    if (isLast) await held.handOn(tx);
  });
  if (isLast) throw new HandedOn();
  held.parts.crashPoint('import.set.indexed');
};

/** Begins the step, with the number of exhibits that it has to put. */
const begin = async (held: HeldImport): Promise<void> => {
  const { job } = held;
  if (job.state === 'indexing') return;
  const [counted, of] =
    job.request.overlay === undefined
      ? ['exhibit WHERE batch_document_id = $4 AND document_id > indexed_to', [job.batch_id]]
      : ['import_overlaid AS it WHERE it.job_id = $1 AND exhibit_id > indexed_to', []];
  await held.transaction(async (tx) => {
    await held.advance(
      tx,
      ['processing'],
      `state = 'indexing', step_started_at = now(), indexed = 0, to_index = (SELECT count(*) FROM ${counted})`,
      of,
    );
    await held.publishProgress(tx);
  });
  held.became({ state: 'indexing' });
};

/** Indexes what is left. Throws `HandedOn` when the slice is over first. */
export const indexExhibits = async (held: HeldImport): Promise<void> => {
  const { index } = held.parts;
  await begin(held);
  let writing = Promise.resolve();
  /** It is waited for before the next write and at the end; until then its failure is nobody's. */
  const write = (next: Promise<void>): void => {
    writing = next;
    writing.catch(() => undefined);
  };
  try {
    for (let after = held.job.indexed_to; ;) {
      const set = await readSet(held, after);
      const last = set.exhibits.at(-1);
      if (last === undefined) return await writing;
      for await (const part of buildParts(held, set)) {
        await writing;
        write(index.put(held.caseId, part));
      }
      write(checkpoint(held, writing, set.revisions, set.exhibits.length, last.exhibitId));
      after = last.exhibitId;
    }
  } finally {
    // Nothing of this goes on after a failure.
    await Promise.allSettled([writing]);
  }
};

/** Takes out of the index what an import put there. */
export const removeFromIndex = async (held: HeldImport, caseId: CaseId): Promise<void> => {
  if (held.job.request.overlay === undefined) await held.parts.index.removeBatch(caseId, held.job.batch_id);
  // What the overlay changed is as it was before; exhibits of a batch that others refer to are left.
  held.became({ indexed_to: 0 });
  for (let after = 0; ;) {
    const set = await readSet(held, after);
    const last = set.exhibits.at(-1);
    if (last === undefined) return;
    for await (const part of buildParts(held, set)) await held.parts.index.put(caseId, part);
    await indexChanged(held.parts, caseId, held.job.actor, set.revisions, held.signal);
    after = last.exhibitId;
  }
};
