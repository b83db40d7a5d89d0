/**
 * Queues, workers and subscriptions of one exchange. Each creation finds what an earlier try made; what was made is kept in the job's row
 * by its real name and address.
 */
import { CaseboundError, jobCatalogue, type ExchangeStage } from '@casebound/contract';
import { queueSettingsOf } from '@casebound/messaging';
import type { ExchangeDependencies } from '../dependencies.ts';
import type { ExchangeJob, Resource } from '../job-store.ts';
import { handlerName, queueName, stagesOf, workerName } from '../stages.ts';

type Parts = Pick<ExchangeDependencies, 'messaging' | 'config'>;

const batchOf = (job: ExchangeJob): NonNullable<ExchangeJob['batchId']> => {
  if (job.batchId === null) throw new CaseboundError('internal', `The exchange ${job.jobId} has no batch yet.`);
  return job.batchId;
};

const merge = (job: ExchangeJob, made: readonly Resource[]): readonly Resource[] => [
  ...job.resources.filter((known) => !made.some(({ kind, name }) => kind === known.kind && name === known.name)),
  ...made,
];

/** The settings of a stage's queue. */
const settingsOf = (name: string, stage: ExchangeStage, { config }: Parts) =>
  queueSettingsOf(name, {
    ...jobCatalogue[stage],
    handlerTimeoutSeconds: config.handlerTimeoutMs / 1000,
    batchWindowSeconds: config.batchWindowMs / 1000,
  });

export const createQueues = async (parts: Parts, job: ExchangeJob): Promise<readonly Resource[]> => {
  const { queues } = parts.messaging();
  const made: Resource[] = [];
  for (const stage of stagesOf(job.request)) {
    const name = queueName(stage, job.destinationCaseId, batchOf(job));
    const { address } = await queues.create(settingsOf(name, stage, parts));
    made.push({ kind: 'queue', name, address, stage });
  }
  return merge(job, made);
};

export const createWorkers = async (parts: Parts, job: ExchangeJob): Promise<readonly Resource[]> => {
  const { fleet } = parts.messaging();
  const { concurrency, batchWindowMs } = parts.config;
  const made: Resource[] = [];
  for (const { name: queue, stage } of job.resources.filter(({ kind }) => kind === 'queue')) {
    const known = stagesOf(job.request).find((one) => one === stage);
    if (known === undefined) continue;
    const name = workerName(known, job.destinationCaseId, batchOf(job));
    const address = await fleet.create({
      name,
      queue,
      handler: handlerName(known),
      concurrency: known === 'search_text' ? 1 : concurrency,
      batchSize: 1,
      batchWindowMs,
    });
    made.push({ kind: 'worker', name, address, stage });
  }
  return merge(job, made);
};

/** What was uploaded by this exchange goes on to be read anew. */
export const createSubscriptions = async (parts: Parts, job: ExchangeJob): Promise<readonly Resource[]> => {
  const { topics, topic } = parts.messaging();
  const made: Resource[] = [];
  for (const { name, address, stage } of job.resources.filter(({ kind }) => kind === 'queue')) {
    if (stage !== 're_ocr') continue;
    await topics.subscribe(topic, name, {
      eventType: ['DOCUMENT_UPLOADED'],
      status: ['SUCCESS'],
      caseId: [job.destinationCaseId],
      batchId: [batchOf(job)],
    });
    made.push({ kind: 'subscription', name, address, stage });
  }
  return merge(job, made);
};
