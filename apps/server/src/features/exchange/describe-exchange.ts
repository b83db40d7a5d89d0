/** A job as it is shown. */
import type { Actor, Exchange } from '@casebound/contract';
import type { ExchangeDependencies } from './dependencies.ts';
import type { ExchangeJob } from './job-store.ts';
import { progressOf, readProgress } from './progress.ts';

const nameOf = (actor: Actor): string => (actor.kind === 'account' ? actor.name : actor.kind);

export const describeExchange = async (
  dependencies: Pick<ExchangeDependencies, 'sessions' | 'clock'>,
  job: ExchangeJob,
): Promise<Exchange> => {
  // A case that was deleted since has no ledger any more; its jobs are still listed.
  const counts = await readProgress(dependencies, job).catch(() => []);
  const { progress, byStage } = progressOf(job, counts, dependencies.clock.now());
  return {
    jobId: job.jobId,
    sourceCaseId: job.sourceCaseId,
    destinationCaseId: job.destinationCaseId,
    batchId: job.batchId,
    state: job.state,
    endsAs: job.endsAs,
    cancelRequested: job.cancelRequested,
    round: job.round,
    idempotencyKey: job.idempotencyKey,
    request: job.request,
    exhibits: job.counters.exhibits,
    progress,
    byStage,
    failure: job.failure,
    resources: job.resources.map(({ kind, name, address }) => ({ kind, name, address })),
    kept: job.checkpoint.kept ?? [],
    manifestKey: job.manifestKey,
    createdBy: nameOf(job.createdBy),
    createdAt: job.createdAt.toISOString(),
    updatedAt: job.updatedAt.toISOString(),
    finishedAt: job.finishedAt?.toISOString() ?? null,
  };
};
