/**
 * Puts the feature together: its operations, the handlers of its queues, and what is set up once when a process starts.
 */
import { jobCatalogue, type ExchangeStage } from '@casebound/contract';
import { visibilityTimeoutMs, type Breakers, type HandlerCatalogue } from '@casebound/messaging';
import {
  deadHandler,
  deadPolicy,
  deadQueue,
  ledgerHandler,
  ledgerPolicy,
  ledgerQueue,
  orchestratorHandler,
  orchestratorPolicy,
  requestHandler,
  requestQueue,
  statusHandler,
  statusPolicy,
  statusQueue,
} from './consumers.ts';
import { clearLeases, listOpenJobs } from './job-store.ts';
import { createDriver, orchestratorQueue, type Driver } from './orchestrator/advance-exchange.ts';
import { createSteps, type StepDependencies } from './orchestrator/steps.ts';
import { createPatientStore } from './patient-store.ts';
import { createObjectCopy } from './processors/object-copy.ts';
import { createPreUploader } from './processors/pre-uploader.ts';
import { createJobReader, stageHandler, type Processor } from './processors/process-message.ts';
import { createReOcr } from './processors/re-ocr.ts';
import { createSearchText } from './processors/search-text.ts';
import { createUploader } from './processors/uploader.ts';
import { createExchangeHandlers, type ExchangeHandlers } from './routes.ts';
import { handlerName } from './stages.ts';

export interface Exchanges {
  readonly handlers: ExchangeHandlers;
  /** For `createMessaging`; called once. */
  readonly catalogue: (parts: { readonly breakers: Breakers }) => HandlerCatalogue;
  /**
   * Makes the queues that all exchanges share, and wakes those that a process left. Done again, it changes nothing. `soleProcess`: no other
   * process drives exchanges, so that none needs to be waited for.
   */
  readonly start: (options: { readonly soleProcess: boolean }) => Promise<void>;
  readonly driver: Driver;
}

/** Permanent queues have settings of their own, so that a changed configuration does not meet other ones. */
const permanent = { handlerTimeoutMs: 900_000, maxReceiveCount: 1_000 };

export const createExchanges = (given: StepDependencies): Exchanges => {
  const dependencies = { ...given, objects: createPatientStore(given.objects, given.clock) };
  const { config, messaging, control } = dependencies;
  const driver = createDriver(dependencies, createSteps(dependencies));
  const readJob = createJobReader(dependencies);

  const catalogue: Exchanges['catalogue'] = ({ breakers }) => {
    const breaker = breakers.of('document-engine', {
      threshold: config.breakerThreshold,
      openMs: config.breakerOpenMs,
    });
    const stage = (name: ExchangeStage, processor: Processor) => ({
      handle: stageHandler(dependencies, readJob, name, processor),
      handlerTimeoutMs: config.handlerTimeoutMs,
      reserved: config.concurrency,
    });
    const shared = { handlerTimeoutMs: permanent.handlerTimeoutMs, retry: { baseMs: 500, maxMs: 30_000 } };
    return {
      [handlerName('object_copy')]: stage('object_copy', createObjectCopy(dependencies)),
      [handlerName('pre_uploader')]: stage('pre_uploader', createPreUploader(dependencies)),
      [handlerName('re_ocr')]: stage('re_ocr', createReOcr(dependencies)),
      [handlerName('uploader')]: { ...stage('uploader', createUploader({ ...dependencies, breaker })), breaker },
      [handlerName('search_text')]: stage('search_text', createSearchText(dependencies)),
      [orchestratorQueue]: { ...shared, handle: orchestratorHandler(() => driver), reserved: 4 },
      [ledgerQueue]: { ...shared, handle: ledgerHandler(dependencies, readJob), reserved: 2 },
      [statusQueue]: { ...shared, handle: statusHandler(dependencies), reserved: 1 },
      [deadQueue]: { ...shared, handle: deadHandler(dependencies, readJob), reserved: 1 },
      [requestQueue]: { ...shared, handle: requestHandler(dependencies), reserved: 1 },
    };
  };

  const start: Exchanges['start'] = async ({ soleProcess }) => {
    const { queues, topics, topic, fleet, outbox } = messaging();
    const shared = [
      {
        name: orchestratorQueue,
        concurrency: 4,
        maxReceiveCount: permanent.maxReceiveCount,
        policy: orchestratorPolicy,
      },
      { name: ledgerQueue, concurrency: 2, maxReceiveCount: permanent.maxReceiveCount, policy: ledgerPolicy },
      { name: statusQueue, concurrency: 1, maxReceiveCount: permanent.maxReceiveCount, policy: statusPolicy },
      { name: deadQueue, concurrency: 1, maxReceiveCount: permanent.maxReceiveCount, policy: deadPolicy },
      {
        name: requestQueue,
        concurrency: 1,
        maxReceiveCount: jobCatalogue.object_copy.maxReceiveCount,
        policy: undefined,
      },
    ];
    for (const { name, concurrency, maxReceiveCount, policy } of shared) {
      await queues.create({
        name,
        visibilityTimeoutMs: visibilityTimeoutMs({ handlerTimeoutMs: permanent.handlerTimeoutMs, batchWindowMs: 0 }),
        maxReceiveCount,
      });
      if (policy !== undefined) await topics.subscribe(topic, name, policy);
      await fleet.create({
        name: `${name}_worker`,
        queue: name,
        handler: name,
        concurrency,
        batchSize: 1,
        batchWindowMs: 0,
      });
    }
    // The message of a process that died is hidden for as long as it might have lived; its jobs are woken at once instead.
    await control.transaction({}, async (tx) => {
      if (soleProcess) await clearLeases(tx, dependencies.worker);
      const open = await listOpenJobs(tx);
      await outbox.send(
        tx,
        orchestratorQueue,
        open.map((jobId) => ({ body: JSON.stringify({ jobId }), delayMs: 0 })),
      );
    });
  };

  return { handlers: createExchangeHandlers(dependencies), catalogue, start, driver };
};
