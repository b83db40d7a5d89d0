/**
 * Whether anything carries an import on that stands where it stood.
 *
 * - Told only of what is certain: no message is in the queue at all, or no worker holds one. A worker that reads a large source is at it for
 *   long without a checkpoint, and its message is in flight meanwhile.
 */
import type { CaseId, ImportJob } from '@casebound/contract';
import type { ImportDependencies } from './dependencies.ts';
import { importQueue } from './send-run.ts';
import { isEnded, type StoredImport, toImportJob } from './store.ts';

/** Longer than a message is on its way to its queue. */
const quietMs = 30_000;

export const sayWhatStalls = async (
  { queues, clock }: Pick<ImportDependencies, 'queues' | 'clock'>,
  caseId: CaseId,
  stored: readonly StoredImport[],
): Promise<ImportJob[]> => {
  const now = clock.now().getTime();
  const isQuiet = (row: StoredImport): boolean => !isEnded(row.state) && now - row.updated_at.getTime() > quietMs;
  const jobs = stored.map((row) => toImportJob(caseId, row));
  if (!stored.some(isQuiet)) return jobs;
  const depth = (await queues.depth([importQueue])).get(importQueue);
  if (depth === undefined || depth.inFlight > 0) return jobs;
  const { visible, delayed, oldestVisibleMs } = depth;
  const reasonFor = (jobId: string): string | null => {
    if (visible + delayed === 0)
      return `No message carries it on: the queue \`${importQueue}\` is empty. \`casebound import resume ${jobId} --case ${caseId}\` sends one.`;
    if (visible > 0 && (oldestVisibleMs ?? 0) > quietMs)
      return `No worker takes messages of the queue \`${importQueue}\`: start a server that works, with \`casebound up\` or \`casebound up --role worker\`.`;
    return null;
  };
  return jobs.map((job, at) => {
    const row = stored[at];
    return row !== undefined && isQuiet(row) ? { ...job, stalled: reasonFor(job.jobId) } : job;
  });
};
