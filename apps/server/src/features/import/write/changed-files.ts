/**
 * Loose files that were overwritten between the reading that decided about duplicates and the one that stores them.
 *
 * - An exhibit has the hash of the bytes that are stored. What was decided by the bytes of before does not hold any more: the exhibit may be
 *   a duplicate that was not seen, and what was left out as its duplicates may be nowhere in the case. Each is a problem of its row.
 * - Files that a load file names are read once, and have a hash of before only where the load file states one: `hash_mismatch`.
 */
import type { Queryable } from '../../../database/index.ts';
import { problem, type RowProblem } from '../import-problem.ts';
import type { SourceRow } from '../source-row.ts';
import type { StagedRow } from '../store.ts';
import type { StoredFiles } from './store-files.ts';

/** Whether the bytes that were stored of a row are others than those that it was judged by. */
export const isOverwritten = (row: SourceRow, staged: StagedRow, { digests }: StoredFiles): boolean =>
  row.mark !== undefined && staged.sha256 !== null && digests !== null && digests.sha256 !== staged.sha256;

export const overwritten = ({ row, path }: SourceRow): RowProblem =>
  problem(
    'error',
    'source_changed',
    'The file was overwritten after the import had begun. The exhibit is of what it is now; whether that is a duplicate was not looked at.',
    { row, path },
  );

/** A duplicate is not read again: whether it is still what it was is seen by its size and time. Undefined when it is. */
export const overwrittenDuplicate = (row: SourceRow, staged: StagedRow): RowProblem | undefined =>
  staged.fate !== 'duplicate' || row.parentKey !== null || row.mark === undefined || row.mark === staged.mark
    ? undefined
    : problem(
        'error',
        'source_changed',
        'The file was overwritten after the import had begun and had left it out as a duplicate: what it holds now is not in the case. Import it again.',
        { row: row.row, path: row.path },
      );

/** States of rows that were left out as duplicates of overwritten ones that their content may be nowhere. */
export const insertLostDuplicates = async (tx: Queryable, jobId: string, rows: readonly number[]): Promise<void> => {
  if (rows.length === 0) return;
  await tx.query(
    `INSERT INTO import_problem (job_id, stage, severity, code, row_no, path, value, reason, rejected)
     SELECT $1, 'importing', 'error', 'source_changed', twin.row_no, twin.path, left(first.path, 200),
            'It was left out as a duplicate of a file that was overwritten before it was stored: what it holds may not be in the case. Import it again.', false
     FROM import_row AS twin JOIN import_row AS first ON first.job_id = $1 AND first.row_no = twin.same_as_row
     WHERE twin.job_id = $1 AND twin.fate = 'duplicate' AND twin.same_as_row = ANY ($2::bigint[]) ORDER BY twin.row_no`,
    [jobId, rows],
  );
};
