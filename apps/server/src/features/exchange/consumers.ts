/**
 * What listens to events: the orchestrator, which moves jobs; the ledger, which ends the items of messages that died; and the status of
 * batches.
 *
 * - An event is a reason to look at a job, never the proof of anything: what is so stands in the job's row and the ledger.
 */
import {
  CaseboundError,
  ExchangeRequest,
  JobId,
  parseEvent,
  type ExchangeStage,
  type EventType,
} from '@casebound/contract';
import { each, handleEvents, type BatchHandler, type FilterPolicy } from '@casebound/messaging';
import { z } from 'zod';
import type { ExchangeDependencies } from './dependencies.ts';
import type { Driver } from './orchestrator/advance-exchange.ts';
import { stateBatch } from './batch-record.ts';
import { findJob } from './job-store.ts';
import { endItems, type JobReader } from './processors/process-message.ts';
import { queueName } from './stages.ts';
import { requestExchange } from './request-exchange.ts';

export const ledgerQueue = 'exchange_ledger';
export const requestQueue = 'exchange_requests';

const Tick = z.strictObject({ jobId: JobId, tick: z.number().int().optional() });

const parse = (body: string): unknown => {
  try {
    return JSON.parse(body);
  } catch {
    throw new CaseboundError('message_invalid', 'The body of a message is not JSON.');
  }
};

/** Events that move a job. */
export const orchestratorPolicy: FilterPolicy = {
  eventType: ['PAYLOAD_CONSTRUCTION_FINISHED', 'EXCHANGER_DELETE_INITIATED', 'COPY_FAILED'],
};

/** A tick names a job; an event is of one. */
export const orchestratorHandler = (driver: () => Driver): BatchHandler =>
  each(async ({ body, signal }) => {
    const value = parse(body);
    const tick = Tick.safeParse(value);
    if (tick.success) {
      await driver().advance(tick.data.jobId, signal, tick.data.tick);
      return;
    }
    const event = parseEvent(value);
    if (!('jobId' in event)) throw new CaseboundError('message_invalid', `${event.eventType} is about no job.`);
    await driver().advance(event.jobId, signal);
  });

/** Stated with status ERROR when a message of a stage dies. */
const stageOf: Partial<Record<EventType, ExchangeStage>> = {
  DOCUMENT_COPIED: 'object_copy',
  DOCUMENT_PRE_PROCESSED: 'pre_uploader',
  DOCUMENT_UPLOADED: 'uploader',
  DOCUMENT_TEXT_RECOGNIZED: 're_ocr',
  DOCUMENT_INDEXED: 'search_text',
};

export const ledgerPolicy: FilterPolicy = { eventType: Object.keys(stageOf), status: ['ERROR'] };

const died = async (
  dependencies: ExchangeDependencies,
  readJob: JobReader,
  event: ReturnType<typeof parseEvent>,
): Promise<void> => {
  const stage = stageOf[event.eventType];
  if (stage === undefined || event.status !== 'ERROR' || !('jobId' in event)) return;
  const job = await readJob(event.jobId);
  const { code, message, deadLetterId } = event.eventDetail;
  const outcomes = (event.exhibitIds ?? []).map((exhibitId) => ({
    exhibitId,
    state: 'failed' as const,
    code,
    reason: message,
    ...(deadLetterId === undefined ? {} : { deadLetterId }),
  }));
  await dependencies.sessions.withCase(job.destinationCaseId, job.createdBy, async (tx) => {
    await endItems(dependencies, tx, job, stage, { outcomes });
  });
};

export const statusQueue = 'exchange_status';
export const statusPolicy: FilterPolicy = {
  eventType: ['EXCHANGER_INITIATED', 'EXCHANGER_FINISHED', 'EXCHANGER_FAILED', 'EXCHANGER_ROLLED_BACK'],
};

/** Keeps the record of the batch up with its exchange: with how it stands now, whichever event says that it moved. */
export const statusHandler = (dependencies: ExchangeDependencies): BatchHandler => {
  const handle = async ({ jobId }: { readonly jobId: JobId }): Promise<void> => {
    const job = await dependencies.control.transaction({ readOnly: true }, async (tx) => findJob(tx, jobId));
    if (job !== undefined) await stateBatch(dependencies, job);
  };
  return handleEvents({
    EXCHANGER_INITIATED: handle,
    EXCHANGER_FINISHED: handle,
    EXCHANGER_FAILED: handle,
    EXCHANGER_ROLLED_BACK: handle,
  });
};

export const deadQueue = 'exchange_dead_letters';
export const deadPolicy: FilterPolicy = { eventType: ['MESSAGE_DEAD_LETTERED'] };

/** What died of an event on its way to a stage: the items of its exhibits end as those of a message would. */
export const deadHandler = (dependencies: ExchangeDependencies, readJob: JobReader): BatchHandler =>
  handleEvents({
    MESSAGE_DEAD_LETTERED: async (event) => {
      if (event.status !== 'SUCCESS' || event.exhibitIds === undefined) return;
      const { queue, code, reason, deadLetterId } = event.eventDetail;
      if (!queue.startsWith('doc_exch_')) return;
      const job = await readJob(event.jobId);
      const stage = job.stages.find((one) => queueName(one, job.destinationCaseId, job.batchId) === queue);
      if (stage === undefined) return;
      const outcomes = event.exhibitIds.map((exhibitId) => ({
        exhibitId,
        state: 'failed' as const,
        code,
        reason,
        deadLetterId,
      }));
      await dependencies.sessions.withCase(job.destinationCaseId, job.createdBy, async (tx) => {
        await endItems(dependencies, tx, job, stage, { outcomes });
      });
    },
  });

/** Ends the items of a message that died, so that no exchange waits for them. */
export const ledgerHandler = (dependencies: ExchangeDependencies, readJob: JobReader): BatchHandler => {
  const handle = async (event: ReturnType<typeof parseEvent>): Promise<void> => died(dependencies, readJob, event);
  return handleEvents({
    DOCUMENT_COPIED: handle,
    DOCUMENT_PRE_PROCESSED: handle,
    DOCUMENT_UPLOADED: handle,
    DOCUMENT_TEXT_RECOGNIZED: handle,
    DOCUMENT_INDEXED: handle,
  });
};

const QueuedRequest = z.strictObject({
  idempotencyKey: z
    .string()
    .regex(/^[\x21-\x7e]{1,200}$/)
    .optional(),
  request: ExchangeRequest,
});

/** The third door: a request from a queue, as the system. A refused one is dead-lettered with the reason. */
export const requestHandler = (dependencies: ExchangeDependencies): BatchHandler =>
  each(async ({ body, message, signal }) => {
    const parsed = QueuedRequest.safeParse(parse(body));
    if (!parsed.success)
      throw new CaseboundError(
        'message_invalid',
        `A request for an exchange is not valid: ${parsed.error.issues[0]?.message ?? ''}`,
      );
    const { idempotencyKey = `message:${message.messageId}`, request } = parsed.data;
    await requestExchange(dependencies, { kind: 'system', reason: 'queue' }, request, idempotencyKey, signal);
  });
