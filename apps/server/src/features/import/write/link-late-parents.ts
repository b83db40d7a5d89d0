/**
 * Links documents whose parent stands after them in the source, or was written in another chunk at the same time: their rows were written
 * before the parent was there.
 *
 * - In sets, after all rows are in; linking again changes nothing.
 * - An exhibit that has the number of a row and came another way is none of the import's: it is neither linked nor linked to.
 * - The exhibits are locked before they are read, so that nobody's change is lost; what somebody linked meanwhile stays.
 */
import type { CaseId } from '@casebound/contract';
import { bulkWrite, type JsonValue, readMany } from '@casebound/records';
import type { Transaction } from '../../../database/index.ts';
import { type CaseRecords, caseResource } from '../../records/index.ts';
import type { StoredImport } from '../store.ts';
import { lockExhibits } from './change-exhibits.ts';
import { documentKeyOf } from './import-chunk.ts';

type Transact = <T>(fn: (tx: Transaction) => Promise<T>) => Promise<T>;
type Body = { [key: string]: JsonValue };

const setSize = 500;

type LateJob = Pick<StoredImport, 'job_id' | 'batch_id'>;

interface Late {
  readonly row: number;
  readonly exhibitId: number;
  readonly documentId: number;
  readonly parent: string;
  readonly root: string;
  readonly rootRow: number;
}

const readLate = async (
  tx: Transaction,
  { job_id: jobId, batch_id: batchId }: LateJob,
  after: number,
  among: readonly number[] | null,
): Promise<Late[]> => {
  const { rows } = await tx.query<{
    row_no: string;
    exhibit_id: string;
    document_id: string;
    parent: string;
    root: string;
    root_row: string;
  }>(
    `SELECT child.row_no, exhibit.document_id AS exhibit_id, exhibit.document_document_id AS document_id,
            parent.control_number AS parent, root.control_number AS root, root.row_no AS root_row
     FROM import_row AS child
     JOIN import_row AS parent ON parent.job_id = $1 AND parent.row_no = child.parent_row
     JOIN import_row AS root ON root.job_id = $1 AND root.row_no = child.root_row
     JOIN exhibit ON exhibit.control_number = child.control_number AND exhibit.batch_document_id = $4
     WHERE child.job_id = $1 AND child.fate = 'pending' AND child.row_no > $2 ${among === null ? '' : 'AND child.row_no = ANY ($5::bigint[])'}
       AND child.parent_row IS NOT NULL
       AND (exhibit.parent_exhibit_document_id IS NULL OR exhibit.family_document_id IS NULL)
       AND EXISTS (SELECT FROM exhibit AS there WHERE there.control_number = parent.control_number AND there.batch_document_id = $4)
       AND EXISTS (SELECT FROM exhibit AS there WHERE there.control_number = root.control_number AND there.batch_document_id = $4)
     ORDER BY child.row_no LIMIT $3`,
    [jobId, after, setSize, batchId, ...(among === null ? [] : [among])],
  );
  return rows.map((row) => ({
    row: Number(row.row_no),
    exhibitId: Number(row.exhibit_id),
    documentId: Number(row.document_id),
    parent: row.parent,
    root: row.root,
    rootRow: Number(row.root_row),
  }));
};

const parse = (body: string): Body => {
  const { id: _id, _etag, _lastModifiedDate, ...document } = JSON.parse(body) as Body;
  return document;
};

/** `among`: the rows that may be late; null when that is not known. */
export const linkLateParents = async (
  records: CaseRecords,
  caseId: CaseId,
  job: LateJob,
  among: readonly number[] | null,
  transact: Transact,
): Promise<void> => {
  if (among?.length === 0) return;
  const exhibits = caseResource(records.model, 'exhibits');
  const documents = caseResource(records.model, 'documents');
  for (let after = 0; ;) {
    const last = await transact(async (tx) => {
      const late = await readLate(tx, job, after, among);
      if (late.length === 0) return null;
      await lockExhibits(
        tx,
        late.map((it) => it.exhibitId),
      );
      const store = await records.within(caseId, tx);
      const exhibitBodies = await readMany(
        store,
        tx,
        exhibits,
        late.map((it) => it.exhibitId),
      );
      const documentBodies = await readMany(
        store,
        tx,
        documents,
        late.map((it) => it.documentId),
      );
      await bulkWrite(
        store,
        late.flatMap((it) => {
          const exhibit = exhibitBodies.get(it.exhibitId);
          const document = documentBodies.get(it.documentId);
          return [
            ...(document === undefined
              ? []
              : [
                  {
                    resource: documents,
                    document: {
                      familyRootReference: { documentKey: documentKeyOf(job.job_id, it.rootRow) },
                      ...parse(document.body),
                    },
                  },
                ]),
            ...(exhibit === undefined
              ? []
              : [
                  {
                    resource: exhibits,
                    document: {
                      parentExhibitReference: { controlNumber: it.parent },
                      familyReference: { controlNumber: it.root },
                      ...parse(exhibit.body),
                    },
                  },
                ]),
          ];
        }),
        {
          onRow: (outcome) => {
            if (outcome.outcome === 'failed') throw outcome.error;
          },
        },
      );
      return late.at(-1)?.row ?? null;
    });
    if (last === null) return;
    after = last;
  }
};
