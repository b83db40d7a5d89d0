/**
 * A duplicate brings no exhibit: its custodians and its path are added to the document it is the same as.
 *
 * - In sets, after all rows are in; adding again adds nothing, so an interrupted run is run again.
 */
import { type CaseId, CaseboundError } from '@casebound/contract';
import { bulkWrite, type JsonValue, readMany } from '@casebound/records';
import type { Transaction } from '../../../database/index.ts';
import { type CaseRecords, caseResource } from '../../records/index.ts';
import type { StoredImport } from '../store.ts';

type Transact = <T>(fn: (tx: Transaction) => Promise<T>) => Promise<T>;

interface Addition {
  readonly row: number;
  readonly exhibitId: number;
  readonly documentId: number;
  readonly custodian: string | null;
  readonly path: string | null;
}

const setSize = 500;

const readAdditions = async (tx: Transaction, jobId: string, after: number): Promise<Addition[]> => {
  const { rows } = await tx.query<{
    row_no: string;
    exhibit_id: string;
    document_id: string;
    custodian: string | null;
    path: string | null;
  }>(
    `SELECT twin.row_no, exhibit.document_id AS exhibit_id, exhibit.document_document_id AS document_id, twin.custodian, twin.path
     FROM import_row AS twin
     LEFT JOIN import_row AS first ON first.job_id = $1 AND first.row_no = twin.same_as_row
     JOIN exhibit ON exhibit.control_number = first.control_number OR (first.row_no IS NULL AND exhibit.document_document_id = twin.same_as_document)
     WHERE twin.job_id = $1 AND twin.fate = 'duplicate' AND twin.row_no > $2 AND (twin.same_as_row IS NOT NULL OR twin.same_as_document IS NOT NULL)
     ORDER BY twin.row_no LIMIT $3`,
    [jobId, after, setSize],
  );
  return rows.map((row) => ({
    row: Number(row.row_no),
    exhibitId: Number(row.exhibit_id),
    documentId: Number(row.document_id),
    custodian: row.custodian,
    path: row.path,
  }));
};

type Body = { [key: string]: JsonValue };

const parse = (body: string): Body => {
  const { id: _id, _etag, _lastModifiedDate, ...document } = JSON.parse(body) as Body;
  return document;
};

const listOf = (value: JsonValue | undefined): JsonValue[] => (Array.isArray(value) ? [...value] : []);

const nameOf = (entry: JsonValue): unknown =>
  typeof entry === 'object' && entry !== null && !Array.isArray(entry)
    ? (entry['custodianReference'] as Body | undefined)?.['name']
    : undefined;

export const addToOriginals = async (
  records: CaseRecords,
  caseId: CaseId,
  job: Pick<StoredImport, 'job_id' | 'duplicates'>,
  transact: Transact,
): Promise<void> => {
  if (job.duplicates === 0) return;
  for (let after = 0; ;) {
    const last = await transact(async (tx) => addSet(tx, records, caseId, await readAdditions(tx, job.job_id, after)));
    if (last === null) return;
    after = last;
  }
};

const addSet = async (
  tx: Transaction,
  records: CaseRecords,
  caseId: CaseId,
  additions: readonly Addition[],
): Promise<number | null> => {
  const last = additions.at(-1);
  if (last === undefined) return null;
  const store = await records.within(caseId, tx);
  const [exhibits, documents, custodians] = ['exhibits', 'documents', 'custodians'].map((endpoint) =>
    caseResource(records.model, endpoint),
  );
  if (exhibits === undefined || documents === undefined || custodians === undefined) return null;
  const bodies = async (resource: typeof exhibits, ids: readonly number[]): Promise<Map<number, Body>> =>
    new Map([...(await readMany(store, tx, resource, ids))].map(([id, found]) => [id, parse(found.body)]));
  const exhibitBodies = await bodies(
    exhibits,
    additions.map((it) => it.exhibitId),
  );
  const documentBodies = await bodies(
    documents,
    additions.map((it) => it.documentId),
  );
  for (const { exhibitId, documentId, custodian, path } of additions) {
    const exhibit = exhibitBodies.get(exhibitId);
    const held = listOf(exhibit?.['custodians']);
    if (exhibit !== undefined && custodian !== null && !held.some((entry) => nameOf(entry) === custodian)) {
      exhibit['custodians'] = [...held, { custodianReference: { name: custodian } }];
    }
    const document = documentBodies.get(documentId);
    const paths = listOf(document?.['allPaths']);
    if (document !== undefined && path !== null && !paths.includes(path)) document['allPaths'] = [...paths, path];
  }
  const names = [...new Set(additions.flatMap((it) => it.custodian ?? []))];
  await bulkWrite(
    store,
    [
      ...names.map((name) => ({ resource: custodians, document: { name } })),
      ...[...exhibitBodies.values()].map((document) => ({ resource: exhibits, document })),
      ...[...documentBodies.values()].map((document) => ({ resource: documents, document })),
    ],
    {
      onRow: (outcome) => {
        if (outcome.outcome === 'failed') throw outcome.error;
      },
    },
  );
  if (exhibitBodies.size === 0) throw new CaseboundError('internal', 'The originals of duplicates are gone.');
  return last.row;
};
