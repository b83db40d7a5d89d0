/**
 * What follows when an item ends: which stages of the exhibit hear of it.
 *
 * - However a stage ended, the next one gets the exhibit and finds out from what is there what is left to do: an exhibit cannot wait for
 *   a message that will not come.
 * - The PDF goes to the uploader from the stage that brings it, what stands in the engine goes on to be read anew, and the index
 *   comes last, when nothing else of the exhibit is pending.
 */
import { CaseboundError, DocumentId, jobCatalogue, type ExchangeStage, type ExhibitId } from '@casebound/contract';
import { jobMessage } from '@casebound/messaging';
import type { Queryable } from '../../database/index.ts';
import type { ExchangeDependencies } from './dependencies.ts';
import { onlyPendingIn, type Outcome } from './ledger.ts';
import type { RunningJob } from './processors/process-message.ts';

type Parts = Pick<ExchangeDependencies, 'messaging' | 'config'>;

interface Addressed {
  readonly exhibitId: number;
  readonly documentId: number;
}

/** The queue that was made for a stage. */
const queueOf = (job: RunningJob, stage: ExchangeStage): string => {
  const found = job.resources.find((resource) => resource.kind === 'queue' && resource.stage === stage);
  if (found === undefined) throw new CaseboundError('internal', `The exchange ${job.jobId} has no queue for ${stage}.`);
  return found.name;
};

/** Making a PDF anew takes a hundred times what handing one on takes. */
const documentsPerMessage = ({ messageDocuments }: ExchangeDependencies['config'], stage: ExchangeStage): number =>
  stage === 'pre_uploader' || stage === 're_ocr' ? Math.ceil(messageDocuments / 10) : messageDocuments;

/** Sends exhibits to a stage, `perMessage` documents at a time, as part of the transaction. Answers how many messages that were. */
export const sendStage = async (
  { messaging, config }: Parts,
  tx: Queryable,
  job: RunningJob,
  stage: ExchangeStage,
  exhibits: readonly Addressed[],
  perMessage: number = documentsPerMessage(config, stage),
): Promise<number> => {
  const messages = [];
  for (let at = 0; at < exhibits.length; at += perMessage) {
    const part = exhibits.slice(at, at + perMessage);
    // Ids of the ledger, which were ids of records.
    const exhibitIds = part.map(({ exhibitId }) => exhibitId as ExhibitId);
    messages.push(
      jobMessage(
        jobCatalogue[stage],
        {
          jobId: job.jobId,
          caseId: job.destinationCaseId,
          batchId: job.batchId,
          exhibitIds,
          traceparent: job.traceparent,
        },
        {
          documents: part.map(({ documentId, exhibitId }) => ({
            documentId: DocumentId.parse(documentId),
            exhibitIds: [exhibitId as ExhibitId],
          })),
        },
      ),
    );
  }
  await messaging().outbox.send(tx, queueOf(job, stage), messages);
  return messages.length;
};

const documentsOf = async (tx: Queryable, job: RunningJob, exhibitIds: readonly number[]): Promise<Addressed[]> => {
  if (exhibitIds.length === 0) return [];
  const { rows } = await tx.query<{ exhibit_id: string; document_id: string }>(
    'SELECT exhibit_id, document_id FROM exchange_exhibit WHERE job_id = $1 AND exhibit_id = ANY ($2::bigint[]) ORDER BY ordinal',
    [job.jobId, exhibitIds],
  );
  return rows.map((row) => ({ exhibitId: Number(row.exhibit_id), documentId: Number(row.document_id) }));
};

/** The stage that brings the PDF. */
const bringsPdf = (stages: readonly ExchangeStage[]): ExchangeStage =>
  stages.includes('pre_uploader') ? 'pre_uploader' : 'object_copy';

/** Whose end hands an exhibit on to the stage, or comes before who does. */
export const stagesBefore = (stages: readonly ExchangeStage[], stage: ExchangeStage): readonly ExchangeStage[] => {
  switch (stage) {
    case 'object_copy':
    case 'pre_uploader':
      return [];
    case 'uploader':
      return [bringsPdf(stages)];
    case 're_ocr':
      return [bringsPdf(stages), 'uploader'];
    case 'search_text':
      return stages.filter((one) => one !== stage);
  }
};

/** `outcomes` are those of the exhibits whose items were ended now. */
export const handOn = async (
  parts: Parts,
  tx: Queryable,
  job: RunningJob,
  stage: ExchangeStage,
  outcomes: readonly Outcome[],
): Promise<void> => {
  const ids = outcomes.map(({ exhibitId }) => exhibitId);
  if (stage === bringsPdf(job.stages)) await sendStage(parts, tx, job, 'uploader', await documentsOf(tx, job, ids));
  if (stage === 'uploader' && job.stages.includes('re_ocr')) {
    // What was uploaded is stated by DOCUMENT_UPLOADED, to which the stage that reads text anew is subscribed.
    const rest = outcomes.filter(({ state }) => state !== 'done').map(({ exhibitId }) => exhibitId);
    await sendStage(parts, tx, job, 're_ocr', await documentsOf(tx, job, rest));
  }
  if (stage !== 'search_text') {
    const ready = await onlyPendingIn(tx, job.jobId, 'search_text', ids);
    await sendStage(parts, tx, job, 'search_text', await documentsOf(tx, job, ready));
  }
};
