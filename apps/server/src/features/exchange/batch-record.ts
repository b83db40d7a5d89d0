/**
 * The record of the batch that an exchange brings into the destination. Made once, by its name; a batch that somebody else makes by that
 * name in the same moment is neither taken nor written over.
 */
import { BatchId, CaseboundError, hasCode } from '@casebound/contract';
import { deleteDocument, putDocument, upsertDocument } from '@casebound/records';
import { caseResource } from '../records/index.ts';
import type { ExchangeDependencies } from './dependencies.ts';
import { type ExchangeJob, findJob, hasEnded } from './job-store.ts';
import { batchName } from './record-copy.ts';

type Parts = Pick<ExchangeDependencies, 'records' | 'sessions'>;

/**
 * States in the batch's record how its exchange stands. A batch that is gone is left gone. Done again, it changes nothing.
 *
 * - Several may do so at once, each with the job as it read it. Who has stated it looks again, so that whoever is last states how it ended.
 */
export const stateBatch = async (
  parts: Parts & Pick<ExchangeDependencies, 'control'>,
  job: ExchangeJob,
): Promise<void> => {
  for (let stated = job; ;) {
    await state(parts, stated);
    const now = await parts.control.transaction({ readOnly: true }, async (tx) => findJob(tx, job.jobId));
    if (now === undefined || !isStale(stated, now)) return;
    stated = now;
  }
};

/** States between the ends are told by whichever event comes. */
const isStale = (stated: ExchangeJob, now: ExchangeJob): boolean =>
  (hasEnded(stated.state) || hasEnded(now.state)) &&
  (stated.state !== now.state || stated.finishedAt?.getTime() !== now.finishedAt?.getTime());

const state = async ({ records, sessions }: Parts, job: ExchangeJob): Promise<void> => {
  const { batchId, destinationCaseId, createdBy } = job;
  if (batchId === null) return;
  const { rows } = await sessions.withCase(
    destinationCaseId,
    createdBy,
    async (tx) =>
      tx.query<{ uuid: string }>('SELECT document_uuid AS uuid FROM document WHERE document_id = $1', [batchId]),
    { readOnly: true },
  );
  const [row] = rows;
  if (row === undefined) return;
  const store = await records.open(destinationCaseId, createdBy);
  try {
    await putDocument(store, caseResource(store.model, 'batches'), row.uuid, {
      ...describeBatch(job),
      state: job.state,
      ...(job.finishedAt === null ? {} : { finishedAt: job.finishedAt.toISOString() }),
    });
  } catch (error) {
    if (!hasCode(error, 'record_not_found')) throw error;
  }
};

const describeBatch = (job: ExchangeJob) => ({
  name: batchName(job),
  kind: 'exchange',
  jobId: job.jobId,
  source: `case ${job.sourceCaseId}`,
  startedAt: job.createdAt.toISOString(),
  createdBy: job.createdBy.kind === 'account' ? job.createdBy.name : 'Casebound',
});

/** @throws CaseboundError `exchange_conflict` when the name is that of another batch. */
export const ensureBatch = async (
  { records, sessions }: Parts,
  job: ExchangeJob,
  signal: AbortSignal,
): Promise<BatchId> => {
  const { createdBy, destinationCaseId } = job;
  const name = batchName(job);
  return sessions.withCase(
    destinationCaseId,
    createdBy,
    async (tx) => {
      const { rows } = await tx.query<{ job_id: string | null }>('SELECT job_id FROM batch WHERE name = $1', [name]);
      if (rows.some((row) => row.job_id !== job.jobId))
        throw new CaseboundError(
          'exchange_conflict',
          `The destination has another batch named ${JSON.stringify(name)}.`,
        );
      const store = await records.within(destinationCaseId, tx);
      const written = await upsertDocument(store, caseResource(store.model, 'batches'), describeBatch(job));
      // The next try finds whose it is.
      if (rows.length === 0 && written.outcome !== 'created')
        throw new CaseboundError(
          'conflict_retries_exhausted',
          'Somebody made a batch of that name in the same moment.',
          {
            retryAfterSeconds: 1,
          },
        );
      return BatchId.parse(written.documentId);
    },
    { signal },
  );
};

/** Removes the batch when nothing refers to it; says whether it is gone. */
export const removeBatch = async (
  { records, sessions }: Parts,
  job: ExchangeJob,
  signal: AbortSignal,
): Promise<boolean> => {
  const { createdBy, destinationCaseId, batchId } = job;
  if (batchId === null) return true;
  const { rows } = await sessions.withCase(destinationCaseId, createdBy, async (tx) =>
    tx.query<{ uuid: string; used: boolean }>(
      `SELECT document_uuid AS uuid, EXISTS (SELECT FROM reference_edge WHERE child_document_id = $1) AS used FROM document WHERE document_id = $1`,
      [batchId],
    ),
  );
  const [row] = rows;
  if (row === undefined) return true;
  if (row.used) return false;
  const store = await records.open(destinationCaseId, createdBy, signal);
  await deleteDocument(store, caseResource(store.model, 'batches'), row.uuid);
  return true;
};
