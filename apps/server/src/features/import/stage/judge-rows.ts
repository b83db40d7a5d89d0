/** Writes a problem for each staged row that a condition finds, in one statement. */
import type { Transaction } from '../../../database/index.ts';

export interface Judgement {
  /** Over `import_row` as `row`; `$1` is the job. */
  readonly where: string;
  readonly code: string;
  /** Expressions of SQL, as is `value`. */
  readonly reason: string;
  readonly field: string;
  readonly value: string;
  /** Takes the row out of the import as well. */
  readonly reject: boolean;
  readonly severity: 'error' | 'warning';
}

/** @returns how many rows it found */
export const judge = async (tx: Transaction, jobId: string, found: Judgement): Promise<number> => {
  const select = `SELECT row.job_id, 'staging', '${found.severity}', '${found.code}', row.row_no, row.line, row.path, $2::text, left(${found.value}, 200), ${found.reason}, ${String(found.reject)}`;
  const insert = `INSERT INTO import_problem (job_id, stage, severity, code, row_no, line, path, field, value, reason, rejected)`;
  const { rowCount } = await tx.query(
    found.reject
      ? `WITH row AS (UPDATE import_row AS row SET fate = 'rejected' WHERE row.job_id = $1 AND row.fate = 'pending' AND ${found.where} RETURNING row.*)
         ${insert} ${select} FROM row ORDER BY row.row_no`
      : `${insert} ${select} FROM import_row AS row WHERE row.job_id = $1 AND row.fate = 'pending' AND ${found.where} ORDER BY row.row_no`,
    [jobId, found.field],
  );
  return rowCount;
};
