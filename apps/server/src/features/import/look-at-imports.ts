/** Imports of a case as people look at them, and cancelling one. */
import {
  CaseboundError,
  type Actor,
  type CaseId,
  type ImportJob,
  type ImportProblem,
  type JobId,
} from '@casebound/contract';
import { z } from 'zod';
import type { ImportDependencies } from './dependencies.ts';
import { sendRun } from './send-run.ts';
import { findImport, isEnded, listStoredImports, toImportJob } from './store.ts';

const readOnly = { readOnly: true } as const;

const notFound = (jobId: string): CaseboundError =>
  new CaseboundError('import_not_found', `There is no import ${jobId} in the case.`);

export const listImports = async (
  { sessions }: Pick<ImportDependencies, 'sessions'>,
  actor: Actor,
  caseId: CaseId,
): Promise<{ imports: ImportJob[] }> => {
  const stored = await sessions.withCase(caseId, actor, listStoredImports, readOnly);
  return { imports: stored.map((row) => toImportJob(caseId, row)) };
};

export const getImport = async (
  { sessions }: Pick<ImportDependencies, 'sessions'>,
  actor: Actor,
  caseId: CaseId,
  jobId: JobId,
): Promise<ImportJob> => {
  const stored = await sessions.withCase(caseId, actor, async (tx) => findImport(tx, jobId), readOnly);
  if (stored === undefined) throw notFound(jobId);
  return toImportJob(caseId, stored);
};

const ProblemRow = z.object({
  problem_id: z.coerce.number(),
  severity: z.enum(['note', 'warning', 'error']),
  code: z.string(),
  row_no: z.coerce.number().nullable(),
  line: z.coerce.number().nullable(),
  path: z.string().nullable(),
  field: z.string().nullable(),
  value: z.string().nullable(),
  reason: z.string(),
  rejected: z.boolean(),
});

export const listImportProblems = async (
  { sessions }: Pick<ImportDependencies, 'sessions'>,
  actor: Actor,
  caseId: CaseId,
  jobId: JobId,
  query: { readonly after: number; readonly limit: number; readonly code?: string | undefined },
): Promise<{ problems: ImportProblem[]; counts: { code: string; count: number }[]; next: number | null }> =>
  sessions.withCase(
    caseId,
    actor,
    async (tx) => {
      if ((await findImport(tx, jobId)) === undefined) throw notFound(jobId);
      const { rows } = await tx.query(
        `SELECT problem_id, severity, code, row_no, line, path, field, value, reason, rejected FROM import_problem
         WHERE job_id = $1 AND problem_id > $2 AND ($3::text IS NULL OR code = $3) ORDER BY problem_id LIMIT $4`,
        [jobId, query.after, query.code ?? null, query.limit + 1],
      );
      const counted = await tx.query<{ code: string; count: string }>(
        'SELECT code, count(*) FROM import_problem WHERE job_id = $1 GROUP BY code ORDER BY count(*) DESC, code',
        [jobId],
      );
      const problems = rows.slice(0, query.limit).map((raw): ImportProblem => {
        const { problem_id: problemId, row_no: row, ...rest } = ProblemRow.parse(raw);
        return { problemId, row, ...rest };
      });
      return {
        problems,
        counts: counted.rows.map(({ code, count }) => ({ code, count: Number(count) })),
        next: rows.length > query.limit ? (problems.at(-1)?.problemId ?? null) : null,
      };
    },
    readOnly,
  );

/** Sends the message that carries an import on once more: for one whose message died. Errors: as `cancelImport`. */
export const resumeImport = async (
  { sessions, outbox }: Pick<ImportDependencies, 'sessions' | 'outbox'>,
  actor: Actor,
  caseId: CaseId,
  jobId: JobId,
): Promise<ImportJob> =>
  sessions.withCase(caseId, actor, async (tx) => {
    const found = await findImport(tx, jobId);
    if (found === undefined) throw notFound(jobId);
    if (isEnded(found.state)) throw new CaseboundError('import_busy', `The import has ended (${found.state}).`);
    await sendRun(tx, outbox, { jobId, caseId, batchId: found.batch_id });
    return toImportJob(caseId, found);
  });

/** Errors: `import_not_found`, `import_busy` for one that has ended. */
export const cancelImport = async (
  { sessions, outbox }: Pick<ImportDependencies, 'sessions' | 'outbox'>,
  actor: Actor,
  caseId: CaseId,
  jobId: JobId,
): Promise<ImportJob> =>
  sessions.withCase(caseId, actor, async (tx) => {
    const found = await findImport(tx, jobId);
    if (found === undefined) throw notFound(jobId);
    if (isEnded(found.state)) throw new CaseboundError('import_busy', `The import has ended (${found.state}).`);
    if (found.state !== 'cancelling') {
      // The fence moves on: what the present worker is about to commit fails.
      await tx.query(
        `UPDATE import_job SET state = 'cancelling', fence = fence + 1, updated_at = now() WHERE job_id = $1`,
        [jobId],
      );
      await sendRun(tx, outbox, { jobId, caseId, batchId: found.batch_id });
    }
    return toImportJob(caseId, { ...found, state: 'cancelling' });
  });
