/**
 * A duplicate brings no exhibit: its custodians and its path are added to the document it is the same as.
 *
 * - In sets, after all rows are in; adding again adds nothing, so an interrupted run is run again.
 * - What is added is in the audit of the original, by which an undo takes it back, and is told to the search index.
 */
import { type BulkRow, bulkWrite, type JsonValue, type StoreContext } from '@casebound/records';
import type { Transaction } from '../../../database/index.ts';
import { insertProblems, problem, type RowProblem } from '../import-problem.ts';
import type { StoredImport } from '../store.ts';
import { requireNew, SharedRecords } from './shared-records.ts';
import { type Body, changeExhibits, type ChangeParts, type ExhibitState } from './change-exhibits.ts';

type Transact = <T>(fn: (tx: Transaction) => Promise<T>) => Promise<T>;

type OriginalsJob = Pick<StoredImport, 'job_id' | 'batch_id'>;

interface Addition {
  readonly row: number;
  /** Null where the row that it is the same as was refused. */
  readonly exhibitId: number | null;
  readonly original: number | null;
  readonly custodian: string | null;
  readonly path: string | null;
}

const setSize = 500;

/**
 * Duplicates are the same as a document of the case, or as an earlier row; which may be a duplicate itself, of a document of the case.
 */
const readAdditions = async (
  tx: Transaction,
  { job_id: jobId, batch_id: batchId }: OriginalsJob,
  after: number,
): Promise<Addition[]> => {
  const { rows } = await tx.query<{
    row_no: string;
    exhibit_id: string | null;
    same_as_row: string | null;
    custodian: string | null;
    path: string | null;
  }>(
    `WITH twin AS (
       SELECT twin.row_no, twin.same_as_row, twin.custodian, twin.path, coalesce(twin.same_as_document, first.same_as_document) AS same_as_document,
              CASE WHEN first.fate = 'pending' THEN first.control_number END AS control_number
       FROM import_row AS twin LEFT JOIN import_row AS first ON first.job_id = $1 AND first.row_no = twin.same_as_row
       WHERE twin.job_id = $1 AND twin.fate = 'duplicate' AND twin.row_no > $2 AND (twin.same_as_row IS NOT NULL OR twin.same_as_document IS NOT NULL)
       ORDER BY twin.row_no LIMIT $3
     )
     SELECT twin.row_no, twin.same_as_row, twin.custodian, twin.path, exhibit.document_id AS exhibit_id
     FROM twin LEFT JOIN exhibit ON (exhibit.control_number = twin.control_number AND exhibit.batch_document_id = $4) OR exhibit.document_document_id = twin.same_as_document
     ORDER BY twin.row_no`,
    [jobId, after, setSize, batchId],
  );
  return rows.map((row) => ({
    row: Number(row.row_no),
    exhibitId: row.exhibit_id === null ? null : Number(row.exhibit_id),
    original: row.same_as_row === null ? null : Number(row.same_as_row),
    custodian: row.custodian,
    path: row.path,
  }));
};

const listOf = (value: JsonValue | undefined): readonly JsonValue[] => (Array.isArray(value) ? value : []);

const nameOf = (entry: JsonValue): unknown =>
  typeof entry === 'object' && entry !== null && !Array.isArray(entry)
    ? (entry['custodianReference'] as Body | undefined)?.['name']
    : undefined;

const withCustodian = (exhibit: Body, name: string): Body => {
  const held = listOf(exhibit['custodians']);
  return held.some((entry) => nameOf(entry) === name)
    ? exhibit
    : { ...exhibit, custodians: [...held, { custodianReference: { name } }] };
};

const withPath = (document: Body, path: string): Body => {
  const paths = listOf(document['allPaths']);
  return paths.includes(path) ? document : { ...document, allPaths: [...paths, path] };
};

const add = (state: ExhibitState, additions: readonly Addition[]): ExhibitState => {
  let { exhibit, document } = state;
  for (const { custodian, path } of additions) {
    if (custodian !== null) exhibit = withCustodian(exhibit, custodian);
    if (path !== null) document = withPath(document, path);
  }
  return { ...state, exhibit, document };
};

/** Under which additions are in the audit. */
export const originOfAdditions = (jobId: string): string => `import ${jobId} duplicates`;

export interface AddParts extends ChangeParts {
  readonly within: (tx: Transaction) => Promise<StoreContext>;
  /** Called in the transaction that changes exhibits. */
  readonly onChanged: (tx: Transaction, exhibitIds: readonly number[]) => Promise<void>;
}

export const addToOriginals = async (
  parts: AddParts,
  job: OriginalsJob & Pick<StoredImport, 'duplicates'>,
  transact: Transact,
): Promise<void> => {
  if (job.duplicates === 0) return;
  // Those of a run that was interrupted are told again.
  await transact(async (tx) =>
    tx.query(`DELETE FROM import_problem WHERE job_id = $1 AND stage = 'linking'`, [job.job_id]),
  );
  for (let after = 0; ;) {
    const last = await transact(async (tx) => addSet(tx, parts, job, after));
    if (last === null) return;
    after = last;
  }
};

/** What a duplicate holds is nowhere in the case when the row that it is the same as was refused. */
const withoutOriginal = ({ row, original, path }: Addition): RowProblem =>
  problem(
    'error',
    'original_missing',
    `It was left out as a duplicate of row ${original ?? 0}, which was refused: what it holds is not in the case. Import it again.`,
    { row, path },
  );

const addSet = async (tx: Transaction, parts: AddParts, job: OriginalsJob, after: number): Promise<number | null> => {
  const additions = await readAdditions(tx, job, after);
  const last = additions.at(-1);
  if (last === undefined) return null;
  const byExhibit = new Map<number, Addition[]>();
  for (const it of additions) {
    if (it.exhibitId === null) continue;
    const list = byExhibit.get(it.exhibitId);
    if (list === undefined) byExhibit.set(it.exhibitId, [it]);
    else list.push(it);
  }
  const problems = additions.filter((it) => it.exhibitId === null).map(withoutOriginal);
  const store = await parts.within(tx);
  await bulkWrite(store, await custodiansOf(tx, parts, byExhibit), { onRow: requireNew });
  const { changed, refused } = await changeExhibits(tx, store, parts, {
    exhibitIds: [...byExhibit.keys()],
    segment: `${job.job_id}-originals/${after}`,
    origin: originOfAdditions(job.job_id),
    change: (exhibitId, state) => add(state, byExhibit.get(exhibitId) ?? []),
  });
  for (const [exhibitId, error] of refused)
    for (const { row, path } of byExhibit.get(exhibitId) ?? [])
      problems.push(problem('error', error.code, `Its original takes no more: ${error.message}`, { row, path }));
  await insertProblems(tx, job.job_id, 'linking', problems);
  await parts.onChanged(tx, changed);
  return last.row;
};

/** Custodians that duplicates bring and the case does not have. */
const custodiansOf = async (
  tx: Transaction,
  { model }: AddParts,
  byExhibit: ReadonlyMap<number, readonly Addition[]>,
): Promise<readonly BulkRow[]> => {
  const names = new Set([...byExhibit.values()].flatMap((list) => list.flatMap((it) => it.custodian ?? [])));
  return names.size === 0 ? [] : new SharedRecords(model).rowsFor(tx, new Map([['custodian', [...names]]]));
};
