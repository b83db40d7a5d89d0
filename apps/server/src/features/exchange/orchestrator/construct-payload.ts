/**
 * Payload construction: gives every copied exhibit its items in the ledger and sends it to the stages that begin, in parts.
 *
 * - Items and messages of a part are one transaction. A part that is repeated after a crash makes no second item; its messages find
 *   the items ended, or end them.
 * - Memory is one part, whatever the size of the exchange.
 */
import type { ExchangeDependencies } from '../dependencies.ts';
import { sendStage, stagesBefore } from '../hand-on.ts';
import type { Checkpoint, ExchangeJob } from '../job-store.ts';
import type { RunningJob } from '../processors/process-message.ts';
import { firstStages, stagesOf } from '../stages.ts';

type Parts = Pick<ExchangeDependencies, 'sessions' | 'messaging' | 'config'>;

const exhibitsPerPart = 2_000;

/** Constructs one part; the checkpoint says where the next begins, or that it is done. */
export const constructPart = async (parts: Parts, job: ExchangeJob, signal: AbortSignal): Promise<Checkpoint> => {
  const { payloadAfter = 0, payloadMessages = 0, payloadDocuments = 0 } = job.checkpoint;
  if (job.batchId === null) return { payloadDone: true };
  const running: RunningJob = { ...job, batchId: job.batchId, stages: stagesOf(job.request) };
  const first = firstStages(running.stages);
  return parts.sessions.withCase(
    job.destinationCaseId,
    job.createdBy,
    async (tx) => {
      const { rows } = await tx.query<{ ordinal: string; exhibit_id: string; document_id: string }>(
        `SELECT ordinal, exhibit_id, document_id FROM exchange_exhibit
         WHERE job_id = $1 AND ordinal > $2 AND action IN ('inserted', 'overlaid') ORDER BY ordinal LIMIT $3`,
        [job.jobId, payloadAfter, exhibitsPerPart],
      );
      const last = rows.at(-1);
      if (last === undefined) return { payloadDone: true, payloadMessages, payloadDocuments };
      await tx.query(
        `INSERT INTO exchange_item (job_id, stage, exhibit_id)
         SELECT $1, stage, exhibit_id FROM unnest($2::text[]) AS s (stage) CROSS JOIN unnest($3::bigint[]) AS e (exhibit_id)
         ON CONFLICT DO NOTHING`,
        [job.jobId, running.stages, rows.map((row) => row.exhibit_id)],
      );
      const exhibits = rows.map((row) => ({ exhibitId: Number(row.exhibit_id), documentId: Number(row.document_id) }));
      let messages = 0;
      for (const stage of first) {
        const pending = job.round === 0 ? exhibits : await stillPending(tx, job, stage, exhibits);
        messages += await sendStage(parts, tx, running, stage, pending);
      }
      if (job.round > 0) messages += await sendLater(parts, tx, running, exhibits);
      return {
        payloadAfter: Number(last.ordinal),
        payloadMessages: payloadMessages + messages,
        payloadDocuments: payloadDocuments + exhibits.length,
      };
    },
    { signal },
  );
};

interface Addressed {
  readonly exhibitId: number;
  readonly documentId: number;
}
type Transaction = Parameters<typeof sendStage>[1];

const stillPending = async (
  tx: Transaction,
  job: ExchangeJob,
  stage: string,
  exhibits: readonly Addressed[],
): Promise<readonly Addressed[]> => {
  const { rows } = await tx.query<{ exhibit_id: string }>(
    `SELECT exhibit_id FROM exchange_item WHERE job_id = $1 AND stage = $2 AND state = 'pending' AND exhibit_id = ANY ($3::bigint[])`,
    [job.jobId, stage, exhibits.map(({ exhibitId }) => exhibitId)],
  );
  const pending = new Set(rows.map((row) => Number(row.exhibit_id)));
  return exhibits.filter(({ exhibitId }) => pending.has(exhibitId));
};

/**
 * In a retry the stages before may have ended already: what is pending in a later stage is sent there itself, when nothing before it is
 * pending that would hand it on.
 */
const sendLater = async (
  parts: Parts,
  tx: Transaction,
  job: RunningJob,
  exhibits: readonly Addressed[],
): Promise<number> => {
  let messages = 0;
  const order = job.stages;
  for (const stage of order.filter((one) => !firstStages(order).includes(one))) {
    const { rows } = await tx.query<{ exhibit_id: string }>(
      `SELECT e.exhibit_id FROM unnest($3::bigint[]) AS e (exhibit_id) CROSS JOIN LATERAL (
         SELECT bool_or(stage = $2) AS is_it, bool_or(stage = ANY ($4)) AS is_before FROM exchange_item i
         WHERE i.job_id = $1 AND i.exhibit_id = e.exhibit_id AND i.state = 'pending'
       ) i WHERE i.is_it AND NOT i.is_before`,
      [job.jobId, stage, exhibits.map(({ exhibitId }) => exhibitId), stagesBefore(order, stage)],
    );
    const pending = new Set(rows.map((row) => Number(row.exhibit_id)));
    messages += await sendStage(
      parts,
      tx,
      job,
      stage,
      exhibits.filter(({ exhibitId }) => pending.has(exhibitId)),
    );
  }
  return messages;
};
