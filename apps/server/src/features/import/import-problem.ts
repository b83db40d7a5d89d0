/** What was wrong with one place of a source. Collected while reading, written with the stage or chunk that found it. */
import type { Queryable } from '../../database/index.ts';

export interface RowProblem {
  readonly severity: 'note' | 'warning' | 'error';
  /** Lower-case words with underscores: codes of load files (docs/load-files.md), of sources, and of the import itself. */
  readonly code: string;
  readonly row: number | null;
  readonly line: number | null;
  readonly path: string | null;
  readonly field: string | null;
  /** At most 200 characters of it. */
  readonly value: string | null;
  readonly reason: string;
  /** The row is not in the case because of it. */
  readonly rejected: boolean;
}

export const problem = (
  severity: RowProblem['severity'],
  code: string,
  reason: string,
  at: Partial<Omit<RowProblem, 'severity' | 'code' | 'reason'>> = {},
): RowProblem => ({
  severity,
  code,
  reason,
  row: null,
  line: null,
  path: null,
  field: null,
  rejected: false,
  ...at,
  value: at.value === undefined || at.value === null ? null : at.value.slice(0, 200).replaceAll('\0', '\uFFFD'),
});

/** Of a folder or zip without a file. A load file without rows says so itself: `header_only`. */
export const emptySource = (path: string): RowProblem =>
  problem('warning', 'source_empty', 'There is no file in it that could be imported.', { path });

const perStatement = 5_000;

/** Writes problems in the caller's transaction. */
export const insertProblems = async (
  tx: Queryable,
  jobId: string,
  stage: string,
  problems: readonly RowProblem[],
): Promise<void> => {
  for (let from = 0; from < problems.length; from += perStatement) {
    const part = problems.slice(from, from + perStatement);
    await tx.query(
      `INSERT INTO import_problem (job_id, stage, severity, code, row_no, line, path, field, value, reason, rejected)
       SELECT $1, $2, p.* FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::boolean[])
         AS p (severity, code, row_no, line, path, field, value, reason, rejected)`,
      [
        jobId,
        stage,
        part.map((it) => it.severity),
        part.map((it) => it.code),
        part.map((it) => it.row),
        part.map((it) => it.line),
        part.map((it) => it.path),
        part.map((it) => it.field),
        part.map((it) => it.value),
        part.map((it) => it.reason),
        part.map((it) => it.rejected),
      ],
    );
  }
};
