/** The message that makes a worker take an import up, or carry it on. */
import { type BatchId, type CaseId, jobCatalogue, type JobId } from '@casebound/contract';
import { jobMessage, type Outbox } from '@casebound/messaging';

export const importQueue = 'imports';

/** One trace for all of a job: its id has the digits of a trace's. */
export const traceparentOf = (jobId: string): `00-${string}` => {
  const digits = jobId.replaceAll('-', '');
  return `00-${digits}-${digits.slice(16)}-01`;
};

export const sendRun = async (
  tx: Parameters<Outbox['send']>[0],
  outbox: Outbox,
  job: { readonly jobId: string; readonly caseId: CaseId; readonly batchId: number },
): Promise<void> => {
  const { body, fairnessKey } = jobMessage(
    jobCatalogue.run_import,
    {
      // Stored as they were when they were made.
      jobId: job.jobId as JobId,
      caseId: job.caseId,
      batchId: job.batchId as BatchId,
      traceparent: traceparentOf(job.jobId),
    },
    {},
  );
  await outbox.send(tx, importQueue, [{ body, ...(fairnessKey === undefined ? {} : { fairnessKey }) }]);
};
