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
import {
  findImport,
  isEnded,
  listStoredImports,
  lockImport,
  markCancelling,
  restartImport,
  type StoredImport,
  toImportJob,
} from './store.ts';
import { sayWhatStalls } from './stalled-imports.ts';

const readOnly = { readOnly: true } as const;

const notFound = (jobId: string): CaseboundError =>
  new CaseboundError('import_not_found', `There is no import ${jobId} in the case.`);

export const listImports = async (
  parts: Pick<ImportDependencies, 'sessions' | 'queues' | 'clock'>,
  actor: Actor,
  caseId: CaseId,
): Promise<{ imports: ImportJob[] }> => {
  const stored = await parts.sessions.withCase(caseId, actor, listStoredImports, readOnly);
  return { imports: await sayWhatStalls(parts, caseId, stored) };
};

export const getImport = async (
  parts: Pick<ImportDependencies, 'sessions' | 'queues' | 'clock'>,
  actor: Actor,
  caseId: CaseId,
  jobId: JobId,
): Promise<ImportJob> => {
  const stored = await parts.sessions.withCase(caseId, actor, async (tx) => findImport(tx, jobId), readOnly);
  const [job] = stored === undefined ? [] : await sayWhatStalls(parts, caseId, [stored]);
  if (job === undefined) throw notFound(jobId);
  return job;
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

/** Throws for an import that is at its end, with nothing left to carry on or to undo. */
const requireOpen = (found: StoredImport | undefined, jobId: string): StoredImport => {
  if (found === undefined) throw notFound(jobId);
  if (isEnded(found.state) && found.stopped_in === null)
    throw new CaseboundError('import_busy', `The import has ended (${found.state}).`);
  return found;
};

/**
 * Sends the message that carries an import on once more: for one whose message died, or is nowhere. Errors: as `cancelImport`.
 */
export const resumeImport = async (
  { sessions, outbox }: Pick<ImportDependencies, 'sessions' | 'outbox'>,
  actor: Actor,
  caseId: CaseId,
  jobId: JobId,
): Promise<ImportJob> =>
  sessions.withCase(caseId, actor, async (tx) => {
    const found = requireOpen(await lockImport(tx, jobId), jobId);
    await restartImport(tx, jobId);
    await sendRun(tx, outbox, { jobId, caseId, batchId: found.batch_id });
    return toImportJob(caseId, requireOpen(await findImport(tx, jobId), jobId));
  });

/** Errors: `import_not_found`, `import_busy` for one that has ended. */
export const cancelImport = async (
  { sessions, outbox }: Pick<ImportDependencies, 'sessions' | 'outbox'>,
  actor: Actor,
  caseId: CaseId,
  jobId: JobId,
): Promise<ImportJob> =>
  sessions.withCase(caseId, actor, async (tx) => {
    const found = requireOpen(await lockImport(tx, jobId), jobId);
    if (found.state === 'cancelling') return toImportJob(caseId, found);
    await markCancelling(tx, jobId, actor);
    await sendRun(tx, outbox, { jobId, caseId, batchId: found.batch_id });
    return toImportJob(caseId, requireOpen(await findImport(tx, jobId), jobId));
  });
