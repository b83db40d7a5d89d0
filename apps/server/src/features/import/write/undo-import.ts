/**
 * Removes what an import wrote: exhibits and documents of its batch, pointers, objects.
 *
 * - In sets of a thousand, leaves of families first; each set is a transaction, and an interrupted undo is done again.
 * - What others have come to refer to is left and reported: nobody's work is deleted with it.
 * - The audit trail is append-only: what it says of the import stays, and each exhibit that is removed gets an entry that says so, with who
 *   asked for it, in the transaction that removes it. The batch gets one with their number.
 * - Shared records (custodians, labels, folders) stay: they may be in use, and an empty one harms nobody.
 */
import { type Actor, BatchId, type CaseId, DocumentId, ExhibitId } from '@casebound/contract';
import type { Transaction } from '../../../database/index.ts';
import { type DocumentEngine, formatDocumentId } from '../../../platform/document-engine/Port.ts';
import { objectPrefix, type ObjectStore } from '../../../platform/object-store/Port.ts';
import { recordChanges } from '../../audit/index.ts';
import type { CrashPoint } from '../../../platform/crash-points/Port.ts';
import { unlinkExhibits } from '../../fields/index.ts';
import { insertProblems, problem } from '../import-problem.ts';
import type { StoredImport } from '../store.ts';
import { actorName } from './change-exhibits.ts';

type Transact = <T>(fn: (tx: Transaction) => Promise<T>) => Promise<T>;

const setSize = 1_000;

/** Exhibits of the batch that none of the batch is attached to, and that nothing else refers to. */
const leaves = `SELECT document_id, document_document_id, control_number FROM exhibit
  WHERE batch_document_id = $1 AND NOT EXISTS (
    SELECT FROM reference_edge WHERE child_document_id = exhibit.document_id AND parent_document_id <> exhibit.document_id)
  ORDER BY document_id LIMIT $2`;

export const undoImport = async (
  parts: { readonly objects: ObjectStore; readonly engine: DocumentEngine; readonly crashPoint: CrashPoint },
  caseId: CaseId,
  job: Pick<StoredImport, 'job_id' | 'batch_id'>,
  actor: Actor,
  transact: Transact,
): Promise<void> => {
  const { objects, engine, crashPoint } = parts;
  for (;;) {
    const removed = await transact(async (tx) => {
      const { rows } = await tx.query<{ document_id: string; document_document_id: string; control_number: string }>(
        leaves,
        [job.batch_id, setSize],
      );
      const exhibits = rows.map((row) => Number(row.document_id));
      if (exhibits.length === 0) return 0;
      await unlinkExhibits(tx, exhibits);
      await removeRecords(tx, exhibits);
      await removeUnused(
        tx,
        rows.map((row) => Number(row.document_document_id)),
      );
      await recordChanges(
        tx,
        { actor: actorName(actor), origin: originOf(job) },
        'exhibits',
        rows.map((row) => ({
          recordId: Number(row.document_id),
          recordKey: row.control_number,
          changes: { imported: [row.control_number, null] },
        })),
      );
      return exhibits.length;
    });
    if (removed === 0) break;
    crashPoint('import.set.undone');
  }
  // Documents that are left without an exhibit: theirs are the objects below the batch.
  for (;;) {
    const removed = await transact(async (tx) => {
      const { rows } = await tx.query<{ document_id: string }>(
        `SELECT document_id FROM source_document AS candidate
         WHERE EXISTS (SELECT FROM source_document__variants WHERE root_document_id = candidate.document_id AND starts_with(object_key, $1))
           AND NOT EXISTS (SELECT FROM reference_edge WHERE child_document_id = candidate.document_id)
         LIMIT $2`,
        [`case_${caseId}/processed-files/${job.batch_id}/`, setSize],
      );
      await removeRecords(
        tx,
        rows.map((row) => Number(row.document_id)),
      );
      return rows.length;
    });
    if (removed === 0) break;
  }
  await clearEngine(engine, caseId, job, transact);
  const left = await transact(async (tx) => {
    const { rows } = await tx.query<{ control_number: string }>(
      'SELECT control_number FROM exhibit WHERE batch_document_id = $1 ORDER BY control_number LIMIT 1000',
      [job.batch_id],
    );
    await insertProblems(
      tx,
      job.job_id,
      'undo',
      rows.map((row) =>
        problem('warning', 'exhibit_in_use', 'The exhibit is left, because other records refer to it.', {
          value: row.control_number,
        }),
      ),
    );
    return rows.length;
  });
  if (left > 0) return;
  // Values and files of exhibits that are left lie among those of the others; a sweep removes segments that nothing points at.
  await objects.deletePrefix(objectPrefix(`case_${caseId}/custom-fields/segments/${job.job_id}/`));
  await removeFiles(objects, caseId, job);
};

/** Removes the files of an import that has no exhibits. */
export const removeFiles = async (
  objects: ObjectStore,
  caseId: CaseId,
  job: Pick<StoredImport, 'batch_id'>,
): Promise<void> => {
  await objects.deletePrefix(objectPrefix(`case_${caseId}/processed-files/${job.batch_id}/`));
};

const originOf = (job: Pick<StoredImport, 'job_id'>): string => `import ${job.job_id} undone`;

/** Says in the audit of the batch how many records were undone, by whom, and why. For the transaction that ends the import. */
export const recordUndone = async (tx: Transaction, job: StoredImport, actor: Actor, why: string): Promise<void> => {
  const isOverlay = job.request.overlay !== undefined;
  const { rows } = await tx.query<{ done: string; left: string }>(
    `SELECT ${isOverlay ? 'overlaid' : 'imported'} AS done, (SELECT count(*) FROM exhibit WHERE batch_document_id = $2) AS left
     FROM import_job WHERE job_id = $1`,
    [job.job_id, job.batch_id],
  );
  const done = Number(rows[0]?.done ?? 0);
  if (done === 0) return;
  await recordChanges(
    tx,
    { actor: actorName(actor), origin: isOverlay ? `overlay ${job.job_id} undone` : originOf(job) },
    'batches',
    [
      {
        recordId: job.batch_id,
        recordKey: job.batch_name,
        changes: { [isOverlay ? 'overlaid' : 'exhibits']: [done, Number(rows[0]?.left ?? 0)], undone: [null, why] },
      },
    ],
  );
};

/** Takes documents with annotations of exhibits that are gone out of the engine, in sets. Those that never got there are no error. */
const clearEngine = async (
  engine: DocumentEngine,
  caseId: CaseId,
  job: Pick<StoredImport, 'job_id' | 'batch_id'>,
  transact: Transact,
): Promise<void> => {
  for (let after = 0; ;) {
    const rows = await transact(async (tx) => {
      const found = await tx.query<{ exhibit_id: string; document_id: string }>(
        `SELECT exhibit_id, document_id FROM import_processing AS it WHERE job_id = $1 AND has_annotations AND exhibit_id > $2
           AND NOT EXISTS (SELECT FROM exhibit WHERE document_id = it.exhibit_id) ORDER BY exhibit_id LIMIT $3`,
        [job.job_id, after, setSize],
      );
      return found.rows;
    });
    for (const row of rows) {
      await engine.deleteDocument(
        formatDocumentId({
          caseId,
          batchId: BatchId.parse(job.batch_id),
          documentId: DocumentId.parse(Number(row.document_id)),
          exhibitId: ExhibitId.parse(Number(row.exhibit_id)),
        }),
      );
    }
    const last = rows.at(-1);
    if (last === undefined) break;
    after = Number(last.exhibit_id);
  }
  await transact(async (tx) => tx.query('DELETE FROM import_processing WHERE job_id = $1', [job.job_id]));
};

/** Deletes those that nothing refers to any more. Children of a family go before its root, which they refer to. */
const removeUnused = async (tx: Transaction, documentIds: readonly number[]): Promise<void> => {
  const { rows } = await tx.query<{ document_id: string }>(
    `SELECT document_id FROM source_document AS candidate WHERE document_id = ANY ($1::bigint[])
       AND NOT EXISTS (SELECT FROM reference_edge WHERE child_document_id = candidate.document_id AND parent_document_id <> candidate.document_id)`,
    [documentIds],
  );
  await removeRecords(
    tx,
    rows.map((row) => Number(row.document_id)),
  );
};

/** Deletes records with what they refer by. */
export const removeRecords = async (tx: Transaction, documentIds: readonly number[]): Promise<void> => {
  if (documentIds.length === 0) return;
  await tx.query('DELETE FROM reference_edge WHERE parent_document_id = ANY ($1::bigint[])', [documentIds]);
  await tx.query('DELETE FROM document WHERE document_id = ANY ($1::bigint[])', [documentIds]);
};
