/** Events of an exchange: facts about one job, with its case, batch and trace. */
import { randomUUID } from 'node:crypto';
import {
  CaseboundError,
  eventCatalogue,
  parseEvent,
  type AnyEvent,
  type EventType,
  type ExhibitId,
} from '@casebound/contract';
import type { ExchangeJob } from './job-store.ts';

export type JobFacts = Pick<ExchangeJob, 'jobId' | 'destinationCaseId' | 'batchId' | 'traceparent'>;

interface Facts {
  readonly type: EventType;
  readonly source: string;
  readonly status?: 'SUCCESS' | 'ERROR' | 'CANCELLED';
  readonly exhibitIds?: readonly ExhibitId[];
  readonly detail: Readonly<Record<string, unknown>>;
}

/** The event, checked against its declaration. */
export const exchangeEvent = (
  job: JobFacts,
  { type, source, status = 'SUCCESS', exhibitIds, detail }: Facts,
): AnyEvent => {
  if (job.batchId === null) throw new CaseboundError('internal', `The exchange ${job.jobId} has no batch yet.`);
  return parseEvent({
    id: randomUUID(),
    source,
    jobId: job.jobId,
    caseId: job.destinationCaseId,
    batchId: job.batchId,
    ...(exhibitIds === undefined ? {} : { exhibitIds }),
    eventType: type,
    version: eventCatalogue[type].version,
    status,
    eventDetail: detail,
    timestamp: new Date().toISOString(),
    traceparent: job.traceparent,
  });
};
