/**
 * What all processors share: a message is read, the exhibits whose items are still pending are worked on, and how each ended is written with
 * what follows from it in one transaction of the destination.
 *
 * 1. Effects outside of the database come first and can be repeated; the ledger's change from `pending` decides, once, whose rows, hand-ons
 *    and events count.
 * 2. A document that fails for a reason that may pass is sent again alone, so that it holds up no other; alone, its failure is the message's.
 * 3. A document that fails for good ends its item, and never the exchange.
 */
import {
  CaseboundError,
  jobCatalogue,
  type AnyEvent,
  type EventType,
  type ExchangeStage,
  type ExhibitId,
  type JobId,
} from '@casebound/contract';
import {
  classifyFailure,
  handleEvents,
  handleJob,
  type BatchHandler,
  type Delivery,
  type JobDelivery,
} from '@casebound/messaging';
import type { Queryable } from '../../../database/index.ts';
import type { ExchangeDependencies } from '../dependencies.ts';
import { exchangeEvent } from '../exchange-event.ts';
import { handOn, sendStage } from '../hand-on.ts';
import { findJob, type ExchangeJob } from '../job-store.ts';
import { pendingExhibits, settleItems, type LedgerExhibit, type Outcome } from '../ledger.ts';
import { stagesOf } from '../stages.ts';

/** The facts of a job that do not change while its messages travel. */
export type RunningJob = ExchangeJob & {
  readonly batchId: NonNullable<ExchangeJob['batchId']>;
  readonly stages: readonly ExchangeStage[];
};

export interface Work {
  readonly job: RunningJob;
  readonly exhibits: readonly LedgerExhibit[];
  readonly signal: AbortSignal;
}

export interface Result {
  readonly outcomes: readonly Outcome[];
  /** Exhibits that failed for a reason that may pass. */
  readonly retry?: readonly { readonly exhibitId: number; readonly error: unknown }[];
  /** Rows that stand with the outcomes of the exhibits that were settled by this call. */
  readonly apply?: (tx: Queryable, settled: ReadonlySet<number>) => Promise<void>;
  readonly events?: (settled: ReadonlySet<number>) => readonly Stated[];
  /** What is to follow the commit. It may be lost with the process: what it does must be missed by nobody. */
  readonly afterCommit?: () => Promise<void>;
}

export interface Stated {
  readonly type: EventType;
  readonly status?: 'SUCCESS' | 'ERROR';
  readonly exhibitIds: readonly number[];
  readonly detail: Readonly<Record<string, unknown>>;
}

export type Processor = (work: Work) => Promise<Result>;

const rememberedJobs = 1_000;

/** Jobs by id. What changes in a job (state, counters) is not read from here. */
export const createJobReader = ({ control }: Pick<ExchangeDependencies, 'control'>) => {
  const known = new Map<JobId, RunningJob>();
  return async (jobId: JobId): Promise<RunningJob> => {
    const found = known.get(jobId);
    if (found !== undefined) return found;
    const job = await control.transaction({ readOnly: true }, async (tx) => findJob(tx, jobId));
    if (job === undefined) throw new CaseboundError('exchange_not_found', `There is no exchange ${jobId}.`);
    if (job.batchId === null) throw new CaseboundError('internal', `The exchange ${jobId} has no batch yet.`);
    const [oldest] = known.keys();
    if (known.size >= rememberedJobs && oldest !== undefined) known.delete(oldest);
    const running: RunningJob = { ...job, batchId: job.batchId, stages: stagesOf(job.request) };
    known.set(jobId, running);
    return running;
  };
};
export type JobReader = ReturnType<typeof createJobReader>;

/** The outcome of a failure that will not pass; undefined for one that may. */
export const permanentOutcome = (exhibitId: number, error: unknown): Outcome | undefined => {
  const { family, code, reason } = classifyFailure(error);
  return family === 'permanent' ? { exhibitId, state: 'failed', code, reason } : undefined;
};

/**
 * Works on exhibits, a few at once; each either ends or is to be tried again, or nothing is said of it. What aborts the message is thrown.
 */
export const eachExhibit = async (
  { exhibits, signal }: Pick<Work, 'exhibits' | 'signal'>,
  concurrency: number,
  work: (exhibit: LedgerExhibit) => Promise<Outcome | undefined>,
): Promise<{ readonly outcomes: Outcome[]; readonly retry: { exhibitId: number; error: unknown }[] }> => {
  const outcomes: Outcome[] = [];
  const retry: { exhibitId: number; error: unknown }[] = [];
  let next = 0;
  const run = async (): Promise<void> => {
    for (let exhibit = exhibits[next]; exhibit !== undefined; exhibit = exhibits[next]) {
      next += 1;
      signal.throwIfAborted();
      try {
        const outcome = await work(exhibit);
        if (outcome !== undefined) outcomes.push(outcome);
      } catch (error) {
        signal.throwIfAborted();
        const ended = permanentOutcome(exhibit.exhibitId, error);
        if (ended === undefined) retry.push({ exhibitId: exhibit.exhibitId, error });
        else outcomes.push(ended);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, exhibits.length) }, run));
  return { outcomes, retry };
};

/** Ends items and does what follows, in the caller's transaction. Answers whose items it ended. */
export const endItems = async (
  dependencies: Pick<ExchangeDependencies, 'messaging' | 'config'>,
  tx: Queryable,
  job: RunningJob,
  stage: ExchangeStage,
  result: Pick<Result, 'outcomes' | 'apply' | 'events'>,
): Promise<ReadonlySet<number>> => {
  const settled = await settleItems(tx, job, stage, result.outcomes);
  if (settled.size === 0) return settled;
  const { outbox, topic } = dependencies.messaging();
  await result.apply?.(tx, settled);
  await handOn(
    dependencies,
    tx,
    job,
    stage,
    result.outcomes.filter(({ exhibitId }) => settled.has(exhibitId)),
  );
  const events = (result.events?.(settled) ?? [])
    .filter(({ exhibitIds }) => exhibitIds.length > 0)
    .map(({ type, status, exhibitIds, detail }): AnyEvent =>
      exchangeEvent(job, {
        type,
        source: `exchange.${stage.replaceAll('_', '-')}`,
        ...(status === undefined ? {} : { status }),
        // Ids of the ledger, which were ids of records.
        exhibitIds: exhibitIds as readonly ExhibitId[],
        detail,
      }),
    );
  await outbox.publish(tx, topic, events);
  return settled;
};

/**
 * The handler of a stage's queue. Exhibits come in messages of the stage's job, or in an event that states the end of the stage before: an
 * event has no item of its own to die for, so what fails in it is sent again as messages of the job.
 */
export const stageHandler = (
  dependencies: Pick<ExchangeDependencies, 'sessions' | 'messaging' | 'config' | 'crashPoint' | 'log'>,
  readJob: JobReader,
  stage: ExchangeStage,
  processor: Processor,
): BatchHandler => {
  const work = createStageWork(dependencies, readJob, stage, processor);
  const ofJob = handleJob(
    jobCatalogue[stage],
    async ({ context, payload, signal }: JobDelivery<{ documents: { exhibitIds: ExhibitId[] }[] }>) =>
      work(
        context.jobId,
        payload.documents.flatMap(({ exhibitIds }) => exhibitIds),
        signal,
      ),
  );
  const ofEvent = handleEvents({
    DOCUMENT_UPLOADED: async ({ jobId, exhibitIds = [] }, { signal }) => {
      try {
        await work(jobId, exhibitIds, signal);
      } catch (error) {
        signal.throwIfAborted();
        const job = await readJob(jobId);
        dependencies.log.info('An event of a stage is worked on in messages', {
          jobId,
          step: stage,
          errorCode: classifyFailure(error).code,
        });
        await dependencies.sessions.withCase(job.destinationCaseId, job.createdBy, async (tx) => {
          const exhibits = await pendingExhibits(tx, jobId, stage, exhibitIds);
          await sendStage(dependencies, tx, job, stage, exhibits, 1);
        });
      }
    },
  });
  return async (deliveries, signal) => {
    const events = deliveries.filter(isEvent);
    const messages = deliveries.filter((delivery) => !isEvent(delivery));
    return [
      ...(events.length === 0 ? [] : await ofEvent(events, signal)),
      ...(messages.length === 0 ? [] : await ofJob(messages, signal)),
    ];
  };
};

/** What its kind is called stands in an event, and in no message of a job. */
const isEvent = ({ message }: Delivery): boolean => message.attributes['eventType'] !== undefined;

/** The work of a stage on exhibits that were read from a message. */
const createStageWork =
  (
    dependencies: Pick<ExchangeDependencies, 'sessions' | 'messaging' | 'config' | 'crashPoint' | 'log'>,
    readJob: JobReader,
    stage: ExchangeStage,
    processor: Processor,
  ) =>
  async (jobId: JobId, exhibitIds: readonly number[], signal: AbortSignal): Promise<void> => {
    const { sessions, crashPoint, log } = dependencies;
    const job = await readJob(jobId);
    const exhibits = await sessions.withCase(
      job.destinationCaseId,
      job.createdBy,
      async (tx) => pendingExhibits(tx, jobId, stage, exhibitIds),
      { signal },
    );
    if (exhibits.length === 0) return;
    const result = await processor({ job, exhibits, signal });
    const retry = result.retry ?? [];
    const [alone] = retry;
    crashPoint('exchange.processor.worked');
    await sessions.withCase(
      job.destinationCaseId,
      job.createdBy,
      async (tx) => {
        await endItems(dependencies, tx, job, stage, result);
        if (exhibits.length > 1 && retry.length > 0) {
          const again = exhibits.filter(({ exhibitId }) => retry.some((one) => one.exhibitId === exhibitId));
          await sendStage(dependencies, tx, job, stage, again, 1);
        }
      },
      { signal },
    );
    crashPoint('exchange.processor.settled');
    await result.afterCommit?.();
    if (exhibits.length === 1 && alone !== undefined) throw alone.error;
    if (alone !== undefined)
      log.info('Documents of a message are tried again alone', { jobId, step: stage, count: retry.length });
  };
