/**
 * The steps of an exchange: what is done in each state, and which state follows.
 *
 * - Each may run again after it was done, and then finds its own work.
 * - A state names what has been reached; its step makes what is next.
 */
import type { ExchangeDependencies } from '../dependencies.ts';
import { ensureBatch } from '../batch-record.ts';
import { copyFieldValues } from '../copy-field-values.ts';
import { exchangeEvent } from '../exchange-event.ts';
import type { PageTexts } from '../../../platform/ocr/Port.ts';
import type { Fields } from '../../fields/index.ts';
import { hasPending } from '../ledger.ts';
import { progressOf, readProgress } from '../progress.ts';
import { copyJobRecords, prepareRecords } from '../record-copy.ts';
import { verifyExchange } from '../verification/verify-exchange.ts';
import type { Step, StepDefinition, Steps } from './advance-exchange.ts';
import { compensate } from './compensate.ts';
import { constructPart } from './construct-payload.ts';
import { createQueues, createSubscriptions, createWorkers } from './create-resources.ts';
import { takeDown } from './take-down.ts';

export type StepDependencies = ExchangeDependencies & { readonly fields: Fields; readonly pageTexts: PageTexts };

const patient = { attempts: 12, retry: { baseMs: 500, maxMs: 60_000 } };
/** Record copy: 3 attempts, 30 s, doubling, with jitter. */
const copying = { attempts: 3, retry: { baseMs: 15_000, maxMs: 120_000 } };
const lasting = { attempts: 100, retry: { baseMs: 1_000, maxMs: 300_000 } };

const source = 'exchange.orchestrator';

/** Progress is counted once a second at most, and takes a twentieth of the time at most. */
const leastBetweenCountsMs = 1_000;
const countShare = 20;
const rememberedJobs = 1_000;

export const createSteps = (dependencies: StepDependencies): Steps => {
  const { config, clock, sessions } = dependencies;

  const initiate: Step = async ({ job, signal }) => {
    const batchId = job.batchId ?? (await ensureBatch(dependencies, job, signal));
    const resources = await createQueues(dependencies, { ...job, batchId });
    return { kind: 'next', state: 'QUEUES_CREATED', change: { batchId, resources } };
  };

  const createTheWorkers: Step = async ({ job }) => ({
    kind: 'next',
    state: 'WORKERS_CREATED',
    change: { resources: await createWorkers(dependencies, job) },
  });

  const subscribe: Step = async ({ job }) => ({
    kind: 'next',
    state: 'POLICIES_APPLIED',
    change: { resources: await createSubscriptions(dependencies, job) },
  });

  const prepare: Step = async ({ job, signal }) => {
    // A retry works on what was copied in its first round.
    if (job.round > 0) return { kind: 'next', state: 'PROCESSING' };
    const { exhibits } = await prepareRecords(dependencies, job, signal);
    return { kind: 'next', state: 'COPY_STARTED', change: { counters: { exhibits } } };
  };

  const announce: Step = async () => ({
    kind: 'next',
    state: 'INITIATED',
    events: (job) => [
      exchangeEvent(job, {
        type: 'EXCHANGER_INITIATED',
        source,
        detail: {
          sourceCaseId: job.sourceCaseId,
          destinationCaseId: job.destinationCaseId,
          exhibits: job.counters.exhibits,
        },
      }),
    ],
  });

  const beginCopy: Step = async () => ({ kind: 'next', state: 'COPYING_RECORDS' });

  const copy: Step = async ({ job, signal }) => {
    const summary = await copyJobRecords(dependencies, job, signal);
    await copyFieldValues(dependencies, job, signal);
    const byResource = Object.fromEntries(
      Object.entries(summary.resources).map(([name, { inserted, overlaid }]) => [name, inserted + overlaid]),
    );
    return {
      kind: 'next',
      state: 'PROCESSING',
      change: { counters: { records: byResource } },
      events: (changed) => [
        exchangeEvent(changed, {
          type: 'DB_COPY_FINISHED',
          source: 'exchange.record-copy',
          detail: { records: Object.values(byResource).reduce((sum, one) => sum + one, 0), byResource },
        }),
      ],
    };
  };

  /** When the progress of a running exchange is counted next: the ledger is as large as the exchange, and counting it must not become its work. */
  const progressDue = new Map<string, number>();
  const progressIsDue = (jobId: string): boolean => (progressDue.get(jobId) ?? 0) <= clock.monotonicMs();
  const progressWasRead = (jobId: string, tookMs: number): void => {
    if (progressDue.size >= rememberedJobs) progressDue.clear();
    progressDue.set(jobId, clock.monotonicMs() + Math.max(leastBetweenCountsMs, tookMs * countShare));
  };

  const process: Step = async ({ job, signal }) => {
    if (job.checkpoint.payloadDone !== true) {
      const checkpoint = await constructPart(dependencies, job, signal);
      const { payloadDocuments: documents = 0, payloadMessages: messages = 0 } = checkpoint;
      return {
        kind: 'again',
        change: { checkpoint },
        events: (changed) =>
          checkpoint.payloadDone === true
            ? [
                exchangeEvent(changed, {
                  type: 'PAYLOAD_CONSTRUCTION_FINISHED',
                  source: 'exchange.payload-construction',
                  detail: { documents, messages },
                }),
              ]
            : [],
      };
    }
    const read = { readOnly: true, signal };
    const pending = await sessions.withCase(
      job.destinationCaseId,
      job.createdBy,
      async (tx) => hasPending(tx, job.jobId),
      read,
    );
    if (!pending) {
      progressDue.delete(job.jobId);
      return {
        kind: 'next',
        state: 'DE_ORCHESTRATING',
        change: { checkpoint: { teardownRound: 0 } },
        events: (changed) => [
          exchangeEvent(changed, {
            type: 'EXCHANGER_DELETE_INITIATED',
            source: 'exchange.ledger',
            detail: { round: 0 },
          }),
        ],
      };
    }
    if (!progressIsDue(job.jobId)) return { kind: 'wait', ms: config.pollMs };
    const began = clock.monotonicMs();
    const { progress, byStage } = progressOf(job, await readProgress(dependencies, job), clock.now());
    progressWasRead(job.jobId, clock.monotonicMs() - began);
    return {
      kind: 'wait',
      ms: config.pollMs,
      events: (changed) => [
        exchangeEvent(changed, {
          type: 'EXCHANGER_PROGRESSED',
          source: 'exchange.ledger',
          detail: { progress, byStage },
        }),
      ],
    };
  };

  const deOrchestrate: Step = async ({ job, signal }) => {
    const taken = await takeDown(dependencies, job, signal);
    if (taken.kind === 'gone') return { kind: 'next', state: 'VERIFYING', change: { resources: [] } };
    const round = (job.checkpoint.teardownRound ?? 0) + 1;
    return {
      kind: 'wait',
      ms: config.teardownDelayMs,
      wakes: true,
      change: { resources: taken.resources, checkpoint: { teardownRound: round } },
      events: (changed) => [exchangeEvent(changed, { type: 'EXCHANGER_DELETE_INITIATED', source, detail: { round } })],
    };
  };

  const verify: Step = async ({ job, signal }) => {
    const { items, failedItems, agrees, manifestKey } = await verifyExchange(dependencies, job, signal);
    const well = agrees && failedItems === 0;
    return {
      kind: 'next',
      state: well ? 'FINISHED' : 'FINISHED_WITH_ERRORS',
      change: {
        failure: agrees
          ? null
          : {
              step: 'VERIFYING',
              code: 'verification_failed',
              reason: 'The destination does not hold what the ledger says was brought; see the manifest.',
            },
        ...(manifestKey === null ? {} : { manifestKey }),
      },
      events: (changed) => [
        exchangeEvent(changed, { type: 'EXCHANGER_FINISHED', source, detail: { items, failedItems, manifestKey } }),
      ],
    };
  };

  const of = (run: Step, how: Omit<StepDefinition, 'run'>): StepDefinition => ({ run, ...how });
  return {
    INITIATING: of(initiate, patient),
    QUEUES_CREATED: of(createTheWorkers, patient),
    WORKERS_CREATED: of(subscribe, patient),
    POLICIES_APPLIED: of(prepare, copying),
    COPY_STARTED: of(announce, patient),
    INITIATED: of(beginCopy, patient),
    COPYING_RECORDS: of(copy, copying),
    PROCESSING: of(process, lasting),
    DE_ORCHESTRATING: of(deOrchestrate, lasting),
    VERIFYING: of(verify, patient),
    COMPENSATING: of(async (context) => compensate(dependencies, context), lasting),
  };
};
