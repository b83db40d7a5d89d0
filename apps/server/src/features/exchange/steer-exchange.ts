/** Cancelling, retrying and rolling back: each changes the job's row and wakes who drives it, in one transaction. */
import { CaseboundError, type JobId } from '@casebound/contract';
import type { ExchangeDependencies } from './dependencies.ts';
import { getJob, hasEnded, reopenJob, requestCancel, type ExchangeJob } from './job-store.ts';
import { orchestratorQueue } from './orchestrator/advance-exchange.ts';

type Parts = Pick<ExchangeDependencies, 'control' | 'messaging' | 'sessions'>;

const conflict = (job: ExchangeJob, what: string): CaseboundError =>
  new CaseboundError('exchange_state_conflict', `The exchange ${job.jobId} is ${job.state}; ${what}.`);

const wakeIn = async (
  { messaging }: Parts,
  tx: Parameters<Parameters<Parts['control']['transaction']>[1]>[0],
  job: ExchangeJob,
): Promise<void> =>
  messaging().outbox.send(tx, orchestratorQueue, [
    { body: JSON.stringify({ jobId: job.jobId }), fairnessKey: job.destinationCaseId },
  ]);

/** Cancelling what is being cancelled, or was, changes nothing. @throws CaseboundError `exchange_not_found`, `exchange_state_conflict` */
export const cancelExchange = async (parts: Parts, jobId: JobId): Promise<ExchangeJob> =>
  parts.control.transaction({}, async (tx) => {
    const job = await getJob(tx, jobId, 'FOR UPDATE');
    if (job.state === 'CANCELLED' || job.cancelRequested) return job;
    if (hasEnded(job.state) || job.state === 'COMPENSATING') throw conflict(job, 'only one that runs can be cancelled');
    await requestCancel(tx, jobId);
    await wakeIn(parts, tx, job);
    return getJob(tx, jobId);
  });

/**
 * Opens the failed items again, with what was skipped because of them. The job's row is locked meanwhile: items that were opened for a job
 * that somebody else had opened and sent to work would wait for ever.
 * @throws CaseboundError `exchange_not_found`, `exchange_state_conflict`
 */
export const retryFailed = async (
  parts: Parts,
  jobId: JobId,
): Promise<{ readonly items: number; readonly job: ExchangeJob }> =>
  parts.control.transaction({}, async (tx) => {
    const job = await getJob(tx, jobId, 'FOR UPDATE');
    if (job.state !== 'FINISHED_WITH_ERRORS')
      throw conflict(job, 'only one that finished with errors has items to retry');
    // The items first: a job that is opened again must not find none. Should the job's own change fail, they wait for the next retry.
    const items = await openItems(parts, job);
    const changed = await reopenJob(tx, jobId, ['FINISHED_WITH_ERRORS'], { state: 'INITIATING', nextRound: true });
    if (changed === undefined) throw conflict(job, 'somebody else changed it meanwhile');
    await wakeIn(parts, tx, changed);
    return { items, job: changed };
  });

/** @returns how many exhibits have items to be worked on again */
const openItems = async ({ sessions }: Parts, { jobId, destinationCaseId, createdBy }: ExchangeJob): Promise<number> =>
  sessions.withCase(
    destinationCaseId,
    createdBy,
    async (tx) => {
      const { rows } = await tx.query<{ failed: number }>(
        `WITH broken AS MATERIALIZED (SELECT DISTINCT exhibit_id FROM exchange_item WHERE job_id = $1 AND state IN ('failed', 'pending')),
         opened AS (
           UPDATE exchange_item i SET state = 'pending', updated_at = clock_timestamp() FROM broken
           WHERE i.job_id = $1 AND i.exhibit_id = broken.exhibit_id AND (i.state IN ('failed', 'skipped') OR i.stage = 'search_text') RETURNING i.exhibit_id
         )
         SELECT count(*)::int AS failed FROM broken WHERE EXISTS (SELECT FROM opened)`,
        [jobId],
      );
      return rows[0]?.failed ?? 0;
    },
    { alongside: true },
  );

/** @throws CaseboundError `exchange_not_found`, `exchange_state_conflict` */
export const rollBack = async (parts: Parts, jobId: JobId): Promise<ExchangeJob> =>
  parts.control.transaction({}, async (tx) => {
    const job = await getJob(tx, jobId, 'FOR UPDATE');
    if (job.state === 'ROLLED_BACK' || job.endsAs === 'ROLLED_BACK') return job;
    const changed = await reopenJob(tx, jobId, ['FINISHED', 'FINISHED_WITH_ERRORS'], {
      state: 'COMPENSATING',
      endsAs: 'ROLLED_BACK',
    });
    if (changed === undefined) throw conflict(job, 'only a finished one can be rolled back');
    await wakeIn(parts, tx, changed);
    return changed;
  });
