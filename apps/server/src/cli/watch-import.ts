/** Follows an import to its end, and says how it stands. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type CaseId, CaseboundError, type ImportJob, type ImportProblem, type JobId } from '@casebound/contract';
import type { CliContext } from './command.ts';
import type { Connection } from './engine.ts';
import { type Output, table } from './output.ts';

const LOOK_EVERY_MS = 500;
/** A message that is tried again stands for a moment as if nobody would take it. */
const STALLED_MS = 10_000;
export const SHOWN_PROBLEMS = 20;

/** What a script would take for a success otherwise: an import that failed, and one that found nothing to import. */
const EXIT_WITHOUT_RESULT = 1;

export const exitForImport = (context: Pick<CliContext, 'setExitCode'>, { state, counts }: ImportJob): void => {
  if (state === 'failed' || (state.startsWith('finished') && counts.rows === 0))
    context.setExitCode(EXIT_WITHOUT_RESULT);
};

export const describeImport = (job: ImportJob): string => {
  const { counts } = job;
  const lines = [
    `Import ${job.jobId} into case ${job.caseId}, batch "${job.batch}": ${job.state}`,
    `${counts.rows} rows = ${counts.imported} imported + ${counts.duplicates} duplicates + ${counts.overlaid} overlaid + ${counts.rejected} rejected; ${counts.files} files, ${counts.bytes} bytes, ${counts.problems} problems`,
  ];
  if (job.error !== null) lines.push(`Error: ${job.error.detail} (${job.error.code})`);
  if (job.resumable)
    lines.push(
      `It stands where it stopped: once the cause is mended, \`casebound import resume ${job.jobId} --case ${job.caseId}\` carries it on; \`casebound import cancel ${job.jobId} --case ${job.caseId}\` undoes it.`,
    );
  if (job.stalled !== null) lines.push(`It stands still: ${job.stalled}`);
  return lines.join('\n');
};

const isEnded = (job: ImportJob): boolean =>
  ['finished', 'finished_with_errors', 'failed', 'cancelled'].includes(job.state);

/** What a step counts, where it is not rows. */
const counted: Partial<Record<ImportJob['state'], string>> = { processing: 'documents', indexing: 'exhibits' };

export const progressLine = ({ state, progress, counts }: ImportJob): string => {
  const total = progress.total === null ? '?' : String(progress.total);
  const eta = progress.etaSeconds === null ? '' : `, ${progress.etaSeconds} s left`;
  return `${state}: ${progress.done} of ${total} ${counted[state] ?? 'rows'}, ${progress.perSecond}/s${eta}${counts.rejected === 0 ? '' : `, ${counts.rejected} rejected`}`;
};

/**
 * Follows an import to its end, a line of progress for each change. Ctrl-C leaves it running.
 * @throws CaseboundError `import_stalled` when nothing carries it on.
 */
export const watchImport = async (
  connection: Connection,
  context: CliContext,
  output: Output,
  caseId: CaseId,
  jobId: JobId,
): Promise<ImportJob> => {
  let last = '';
  let stalledFrom: number | undefined;
  for (;;) {
    const job = await connection.client.getImport({ params: { caseId, jobId } });
    const line = progressLine(job);
    if (line !== last) output.note(line);
    last = line;
    stalledFrom = job.stalled === null ? undefined : (stalledFrom ?? performance.now());
    if (stalledFrom !== undefined && performance.now() - stalledFrom > STALLED_MS)
      throw new CaseboundError('import_stalled', `The import stands still. ${job.stalled ?? ''}`);
    if (isEnded(job) || context.interrupted.aborted) return job;
    await sleep(LOOK_EVERY_MS, undefined, { signal: context.interrupted }).catch(() => undefined);
  }
};

/** Where a problem is: a line of a load file, a file, or a row by its number. */
export const placeOf = ({ line, path: file, row }: ImportProblem): string =>
  line === null ? (file ?? (row === null ? '' : `row ${row}`)) : `line ${line}`;

export const reportImport = async (
  connection: Connection,
  output: Output,
  caseId: CaseId,
  job: ImportJob,
): Promise<void> => {
  const { problems, counts } = await connection.client.listImportProblems({
    params: { caseId, jobId: job.jobId },
    query: { limit: SHOWN_PROBLEMS },
  });
  const lines = problems.map((it) => [it.severity, it.code, placeOf(it), it.field ?? '', it.reason]);
  output.result(
    { ...job, problemCounts: counts, problems },
    [
      describeImport(job),
      ...(lines.length === 0 ? [] : [table(['severity', 'code', 'place', 'field', 'reason'], lines)]),
      ...(job.counts.problems > problems.length
        ? [`All ${job.counts.problems}: casebound import problems ${job.jobId} --case ${caseId}`]
        : []),
    ].join('\n'),
  );
};
