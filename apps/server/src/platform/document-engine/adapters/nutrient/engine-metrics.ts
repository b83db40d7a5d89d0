/** What is counted of the calls of the engine. */
import { CaseboundError } from '@casebound/contract';
import type { Metrics } from '../../../metrics/Port.ts';

export interface EngineMetrics {
  /** One try of a request. `error` is what it threw; undefined when it succeeded. */
  tried(operation: string, seconds: number, error: unknown): void;
  repeated(operation: string): void;
}

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

export const createEngineMetrics = (metrics: Pick<Metrics, 'counter' | 'histogram'> | undefined): EngineMetrics => {
  if (metrics === undefined) return { tried: () => undefined, repeated: () => undefined };
  const tries = metrics.histogram({
    name: 'casebound_document_engine_request_seconds',
    help: 'Duration of requests to the remote document engine, each try by itself, by what was asked and how it ended.',
    labels: ['operation', 'outcome'],
    buckets: seconds,
  });
  const repeats = metrics.counter({
    name: 'casebound_document_engine_repeats_total',
    help: 'Requests to the remote document engine that were made again after a failure.',
    labels: ['operation'],
  });
  return {
    tried: (operation, duration, error) => {
      const outcome = error === undefined ? 'success' : error instanceof CaseboundError ? error.code : 'aborted';
      tries.observe({ operation, outcome }, duration);
    },
    repeated: (operation) => repeats.add({ operation }),
  };
};
