/** A crash point at the beginning and at the end of each step, so that a test can end the process in every state. */
import type { ExchangeState } from '@casebound/contract';
import type { CrashPoint } from '../../../platform/crash-points/Port.ts';

/** `begin`: nothing of the step was done. `done`: all of it was, and the row does not say so yet. */
export const crashAt = (crashPoint: CrashPoint, state: ExchangeState, when: 'begin' | 'done'): void => {
  const isBegin = when === 'begin';
  switch (state) {
    case 'INITIATING':
      if (isBegin) crashPoint('exchange.initiating.begin');
      else crashPoint('exchange.initiating.done');
      break;
    case 'QUEUES_CREATED':
      if (isBegin) crashPoint('exchange.queues-created.begin');
      else crashPoint('exchange.queues-created.done');
      break;
    case 'WORKERS_CREATED':
      if (isBegin) crashPoint('exchange.workers-created.begin');
      else crashPoint('exchange.workers-created.done');
      break;
    case 'POLICIES_APPLIED':
      if (isBegin) crashPoint('exchange.policies-applied.begin');
      else crashPoint('exchange.policies-applied.done');
      break;
    case 'COPY_STARTED':
      if (isBegin) crashPoint('exchange.copy-started.begin');
      else crashPoint('exchange.copy-started.done');
      break;
    case 'INITIATED':
      if (isBegin) crashPoint('exchange.initiated.begin');
      else crashPoint('exchange.initiated.done');
      break;
    case 'COPYING_RECORDS':
      if (isBegin) crashPoint('exchange.copying-records.begin');
      else crashPoint('exchange.copying-records.done');
      break;
    case 'PROCESSING':
      if (isBegin) crashPoint('exchange.processing.begin');
      else crashPoint('exchange.processing.done');
      break;
    case 'DE_ORCHESTRATING':
      if (isBegin) crashPoint('exchange.de-orchestrating.begin');
      else crashPoint('exchange.de-orchestrating.done');
      break;
    case 'VERIFYING':
      if (isBegin) crashPoint('exchange.verifying.begin');
      else crashPoint('exchange.verifying.done');
      break;
    case 'COMPENSATING':
      if (isBegin) crashPoint('exchange.compensating.begin');
      else crashPoint('exchange.compensating.done');
      break;
    case 'FINISHED':
    case 'FINISHED_WITH_ERRORS':
    case 'FAILED':
    case 'CANCELLED':
    case 'ROLLED_BACK':
      break;
  }
};
