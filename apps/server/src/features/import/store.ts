/** The SQL of imports. Rows in, values out; no decisions. */
import {
  Actor,
  type BatchId,
  type CaseId,
  type ImportJob,
  ImportRequest,
  ImportState,
  type JobId,
} from '@casebound/contract';
import { arrayLiteral } from '@casebound/records';
import { z } from 'zod';
import type { Queryable } from '../../database/index.ts';
import { ImportPlan } from './plan/import-plan.ts';
import type { ImageDocument } from './source-row.ts';

const count = z.coerce.number();

const JobRow = z.object({
  job_id: z.string(),
  batch_id: count,
  batch_name: z.string(),
  state: ImportState,
  request: ImportRequest,
  plan: ImportPlan.nullable(),
  fence: count,
  row_done: count,
  rows: count,
  imported: count,
  duplicates: count,
  overlaid: count,
  rejected: count,
  files: count,
  bytes: count,
  processed: count,
  to_process: count,
  indexed_to: count,
  indexed: count,
  to_index: count,
  problems: count,
  created_by: z.string(),
  actor: Actor,
  created_at: z.date(),
  started_at: z.date().nullable(),
  updated_at: z.date(),
  finished_at: z.date().nullable(),
  error_code: z.string().nullable(),
  error_detail: z.string().nullable(),
  step_started_at: z.date().nullable(),
  stopped_in: ImportState.nullable(),
  stopped_code: z.string().nullable(),
  stopped_reason: z.string().nullable(),
  cancelled_by: Actor.nullable(),
});
export type StoredImport = z.infer<typeof JobRow>;

const columns = `import_job.*, (SELECT count(*) FROM import_problem WHERE import_problem.job_id = import_job.job_id) AS problems`;

export const isEnded = (state: ImportState): boolean =>
  ['finished', 'finished_with_errors', 'failed', 'cancelled'].includes(state);

/** How far the step is that an import is in, or stopped in. */
const progressOf = (row: StoredImport): ImportJob['progress'] => {
  const step = row.stopped_in ?? row.state;
  const counted = { failed: row.rejected };
  if (isEnded(step)) {
    const done = row.imported + row.overlaid + row.rejected + row.duplicates;
    return {
      ...counted,
      done,
      total: row.rows,
      perSecond: rateOf(done, row.started_at, row.finished_at),
      etaSeconds: null,
    };
  }
  const [done, all] = numbersOf(step, row);
  const perSecond = rateOf(done, row.step_started_at ?? row.started_at, row.updated_at);
  const etaSeconds = perSecond > 0 && row.stopped_in === null ? Math.round(Math.max(0, all - done) / perSecond) : null;
  return { ...counted, done, total: row.rows === 0 ? null : all, perSecond, etaSeconds };
};

const numbersOf = (step: ImportState, row: StoredImport): readonly [done: number, total: number] => {
  switch (step) {
    case 'processing':
      return [row.processed, row.to_process];
    case 'indexing':
      return [row.indexed, row.to_index];
    default:
      return [row.row_done, row.rows];
  }
};

/** A second, to a tenth. */
const rateOf = (done: number, from: Date | null, to: Date | null): number => {
  const seconds = from === null || to === null ? 0 : (to.getTime() - from.getTime()) / 1000;
  return seconds > 0 ? Math.round((done / seconds) * 10) / 10 : 0;
};

const errorOf = (row: StoredImport): ImportJob['error'] => {
  if (row.stopped_in !== null) return { code: row.stopped_code ?? 'internal', detail: row.stopped_reason ?? '' };
  return row.error_code === null ? null : { code: row.error_code, detail: row.error_detail ?? '' };
};

export const toImportJob = (caseId: CaseId, row: StoredImport): ImportJob => ({
  jobId: row.job_id as JobId,
  caseId,
  batchId: row.batch_id as BatchId,
  batch: row.batch_name,
  state: row.state,
  source: row.request.path,
  counts: {
    rows: row.rows,
    imported: row.imported,
    duplicates: row.duplicates,
    overlaid: row.overlaid,
    rejected: row.rejected,
    problems: row.problems,
    files: row.files,
    bytes: row.bytes,
  },
  progress: progressOf(row),
  createdBy: row.created_by,
  createdAt: row.created_at.toISOString(),
  startedAt: row.started_at?.toISOString() ?? null,
  finishedAt: row.finished_at?.toISOString() ?? null,
  error: errorOf(row),
  resumable: row.stopped_in !== null,
  stalled: null,
});

export const insertImport = async (
  tx: Queryable,
  job: {
    readonly jobId: string;
    readonly batchId: number;
    readonly batchName: string;
    readonly request: ImportRequest;
    readonly createdBy: string;
    readonly actor: Actor;
  },
): Promise<void> => {
  await tx.query(
    `INSERT INTO import_job (job_id, batch_id, batch_name, state, request, created_by, actor) VALUES ($1, $2, $3, 'accepted', $4, $5, $6)`,
    [job.jobId, job.batchId, job.batchName, JSON.stringify(job.request), job.createdBy, JSON.stringify(job.actor)],
  );
};

export const findImport = async (tx: Queryable, jobId: string): Promise<StoredImport | undefined> => {
  const { rows } = await tx.query(`SELECT ${columns} FROM import_job WHERE job_id = $1`, [jobId]);
  return rows[0] === undefined ? undefined : JobRow.parse(rows[0]);
};

/** The import as it is until the transaction ends: whoever would change it waits. */
export const lockImport = async (tx: Queryable, jobId: string): Promise<StoredImport | undefined> => {
  const { rows } = await tx.query(`SELECT ${columns} FROM import_job WHERE job_id = $1 FOR UPDATE`, [jobId]);
  return rows[0] === undefined ? undefined : JobRow.parse(rows[0]);
};

export const listStoredImports = async (tx: Queryable): Promise<StoredImport[]> => {
  const { rows } = await tx.query(`SELECT ${columns} FROM import_job ORDER BY created_at DESC, job_id LIMIT 500`);
  return rows.map((row) => JobRow.parse(row));
};

/** What an import that stopped forgets when it is taken up again. */
const goesOn = 'stopped_in = NULL, stopped_code = NULL, stopped_reason = NULL, finished_at = NULL, updated_at = now()';

/** Takes the import for this worker: from now on every other worker's commits fail. Undefined when there is nothing to do. */
export const claimImport = async (tx: Queryable, jobId: string): Promise<StoredImport | undefined> => {
  const { rowCount } = await tx.query(
    `UPDATE import_job SET fence = fence + 1, started_at = coalesce(started_at, now()), step_started_at = coalesce(step_started_at, now()),
            state = CASE coalesce(stopped_in, state) WHEN 'accepted' THEN 'planning' ELSE coalesce(stopped_in, state) END, ${goesOn}
     WHERE job_id = $1 AND (stopped_in IS NOT NULL OR state IN ('accepted', 'planning', 'staging', 'importing', 'processing', 'indexing', 'cancelling'))`,
    [jobId],
  );
  return rowCount === 1 ? findImport(tx, jobId) : undefined;
};

/**
 * Ends an import whose message died at `diedAt`; the fence moves on. One that was taken up or resumed since is carried on by another message.
 * @returns whether it was ended
 */
export const stopImport = async (
  tx: Queryable,
  jobId: string,
  death: { readonly code: string; readonly reason: string; readonly diedAt: Date },
): Promise<boolean> => {
  const { rowCount } = await tx.query(
    `UPDATE import_job SET stopped_in = state, stopped_code = $2, stopped_reason = $3, state = 'failed', fence = fence + 1,
            finished_at = now(), updated_at = now()
     WHERE job_id = $1 AND state IN ('accepted', 'planning', 'staging', 'importing', 'processing', 'indexing', 'cancelling')
       AND date_trunc('milliseconds', updated_at) <= $4`,
    [jobId, death.code, death.reason, death.diedAt],
  );
  return rowCount === 1;
};

/** Puts an import that stopped back to where it stood; marks any other as looked after, so that no death from before ends it. */
export const restartImport = async (tx: Queryable, jobId: string): Promise<void> => {
  await tx.query(`UPDATE import_job SET state = coalesce(stopped_in, state), ${goesOn} WHERE job_id = $1`, [jobId]);
};

/** The fence moves on: what the present worker is about to commit fails. */
export const markCancelling = async (tx: Queryable, jobId: string, by: Actor): Promise<void> => {
  await tx.query(
    `UPDATE import_job SET state = 'cancelling', fence = fence + 1, step_started_at = now(), cancelled_by = $2, ${goesOn} WHERE job_id = $1`,
    [jobId, JSON.stringify(by)],
  );
};

/** Sets columns of an import that is still this worker's. @returns whether it was. */
export const updateHeld = async (
  tx: Queryable,
  held: Pick<StoredImport, 'job_id' | 'fence'>,
  from: readonly ImportState[],
  assignments: string,
  values: readonly unknown[] = [],
): Promise<boolean> => {
  const { rowCount } = await tx.query(
    `UPDATE import_job SET updated_at = now(), ${assignments} WHERE job_id = $1 AND fence = $2 AND state = ANY ($3)`,
    [held.job_id, held.fence, from, ...values],
  );
  return rowCount === 1;
};

/** What the stage says of a row. */
export interface StagedRow {
  readonly row: number;
  readonly fate: 'pending' | 'rejected' | 'duplicate';
  /** Of a loose file. */
  readonly path: string | null;
  readonly parentRow: number | null;
  readonly rootRow: number | null;
  readonly parentControl: string | null;
  readonly rootControl: string | null;
  readonly controlNumber: string | null;
  /** As the row was judged by; of a load file, as it states it. */
  readonly sha256: string | null;
  /** What the file of a loose document was then. */
  readonly mark: string | null;
  /** The exhibit that the row of an overlay changes, with where its document's files lie. */
  readonly match: { readonly exhibitId: number; readonly documentKey: string; readonly batchId: number } | null;
}

/** As the driver gives it: bigint as text. */
interface RawStaged {
  readonly row_no: string;
  readonly fate: StagedRow['fate'];
  readonly path: string | null;
  readonly parent_row: string | null;
  readonly root_row: string | null;
  readonly parent_control: string | null;
  readonly root_control: string | null;
  readonly control_number: string | null;
  readonly sha256: string | null;
  readonly source_mark: string | null;
  /** Of an overlay. */
  readonly match_exhibit?: string | null;
  readonly document_key?: string | null;
  readonly batch_id?: string | null;
}

const numberOrNull = (text: string | null): number | null => (text === null ? null : Number(text));

const matchOf = ({
  match_exhibit: exhibit = null,
  document_key: documentKey = null,
  batch_id: batch = null,
}: RawStaged): StagedRow['match'] =>
  exhibit === null || documentKey === null || batch === null
    ? null
    : { exhibitId: Number(exhibit), documentKey, batchId: Number(batch) };

const toStaged = (row: RawStaged): StagedRow => ({
  row: Number(row.row_no),
  fate: row.fate,
  path: row.path,
  parentRow: numberOrNull(row.parent_row),
  rootRow: numberOrNull(row.root_row),
  parentControl: row.parent_control,
  rootControl: row.root_control,
  controlNumber: row.control_number,
  sha256: row.sha256,
  mark: row.source_mark,
  match: matchOf(row),
});

/** Staged rows of a stretch, by row. */
export const readStaged = async (
  tx: Queryable,
  jobId: string,
  first: number,
  last: number,
  isOverlay: boolean,
): Promise<Map<number, StagedRow>> => {
  const match = isOverlay
    ? {
        columns: ', exhibit.document_id AS match_exhibit, document.document_key, exhibit.batch_document_id AS batch_id',
        joins: `LEFT JOIN exhibit ON exhibit.document_id = row.match_exhibit
     LEFT JOIN source_document AS document ON document.document_id = exhibit.document_document_id`,
      }
    : { columns: '', joins: '' };
  const { rows } = await tx.query<RawStaged>(
    `SELECT row.row_no, row.fate, row.path, row.parent_row, row.root_row, row.control_number, row.sha256, row.source_mark,
            parent.control_number AS parent_control, root.control_number AS root_control${match.columns}
     FROM import_row AS row ${match.joins}
     LEFT JOIN import_row AS parent ON parent.job_id = $1 AND parent.row_no = row.parent_row
     LEFT JOIN import_row AS root ON root.job_id = $1 AND root.row_no = row.root_row
     WHERE row.job_id = $1 AND row.row_no BETWEEN $2 AND $3`,
    [jobId, first, last],
  );
  return new Map(rows.map((row) => [Number(row.row_no), toStaged(row)]));
};

/** Documents that only the image list names, after a row. */
export const readImageDocuments = async (
  tx: Queryable,
  jobId: string,
  after: number,
  limit: number,
): Promise<ImageDocument[]> => {
  const { rows } = await tx.query<{ row_no: string; line: string | null; doc_key: string; path: string }>(
    `SELECT row.row_no, row.line, page.doc_key, page.path FROM import_row AS row
     CROSS JOIN LATERAL (SELECT doc_key, path FROM import_page WHERE job_id = $1 AND doc_key = row.control_number
       ORDER BY position = 0, position LIMIT 1) AS page
     WHERE row.job_id = $1 AND row.origin = 'image' AND row.row_no > $2 ORDER BY row.row_no LIMIT $3`,
    [jobId, after, limit],
  );
  return rows.map((row) => ({
    row: Number(row.row_no),
    line: row.line === null ? null : Number(row.line),
    docKey: row.doc_key,
    firstImage: row.path,
  }));
};

export interface StagedImage {
  readonly docKey: string;
  readonly position: number;
  readonly pageId: string;
  readonly path: string;
  readonly line: number;
}

/** Page images of documents, in order. */
export const readStagedPages = async (
  tx: Queryable,
  jobId: string,
  docKeys: readonly string[],
): Promise<StagedImage[]> => {
  const { rows } = await tx.query<{ doc_key: string; position: number; page_id: string; path: string; line: string }>(
    `SELECT doc_key, position, page_id, path, line FROM import_page WHERE job_id = $1 AND doc_key = ANY ($2::text[]) ORDER BY doc_key, position`,
    [jobId, docKeys],
  );
  return rows.map((row) => ({
    docKey: row.doc_key,
    position: row.position,
    pageId: row.page_id,
    path: row.path,
    line: Number(row.line),
  }));
};

/** Control numbers that exhibits of the case have, of those given. */
export const readTaken = async (tx: Queryable, controlNumbers: readonly string[]): Promise<ReadonlySet<string>> => {
  const { rows } = await tx.query<{ control_number: string }>(
    'SELECT control_number FROM exhibit WHERE control_number = ANY ($1::text[])',
    [arrayLiteral(controlNumbers)],
  );
  return new Set(rows.map((row) => row.control_number));
};

/** Imports under way. Two that ask at once are one after the other. */
export const countActive = async (tx: Queryable): Promise<number> => {
  await tx.query(`SELECT pg_advisory_xact_lock(hashtextextended('imports ' || current_schema(), 0))`);
  const { rows } = await tx.query<{ count: string }>(
    `SELECT count(*) FROM import_job WHERE state NOT IN ('finished', 'finished_with_errors', 'failed', 'cancelled')`,
  );
  return Number(rows[0]?.count ?? 0);
};

/** Whether an import is being undone or was, and has no exhibits: none will come again. */
export const isUndone = async (
  tx: Queryable,
  { job_id: jobId, batch_id: batchId }: Pick<StoredImport, 'job_id' | 'batch_id'>,
): Promise<boolean> => {
  const { rowCount } = await tx.query(
    `SELECT FROM import_job WHERE job_id = $1 AND (state IN ('cancelling', 'cancelled') OR error_code IS NOT NULL)
       AND NOT EXISTS (SELECT FROM exhibit WHERE batch_document_id = $2)`,
    [jobId, batchId],
  );
  return rowCount === 1;
};

export const isStaged = async (tx: Queryable, jobId: string): Promise<boolean> => {
  const { rows } = await tx.query<{ there: boolean }>(
    'SELECT EXISTS (SELECT FROM import_row WHERE job_id = $1) AS there',
    [jobId],
  );
  return rows[0]?.there === true;
};

export const dropStage = async (tx: Queryable, jobId: string): Promise<void> => {
  await tx.query('DELETE FROM import_row WHERE job_id = $1', [jobId]);
  await tx.query('DELETE FROM import_page WHERE job_id = $1', [jobId]);
};
