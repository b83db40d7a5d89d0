/** What the adapter needs from outside, in the smallest form. The server's clock, secrets, breakers and PDF workers fit. */
import type { Clock } from '../../../clock/Port.ts';
import type { Metrics } from '../../../metrics/Port.ts';
import type { Secrets } from '../../../secrets/Port.ts';
import type { PdfWorkers } from '../../pdf-workers/pdf-tasks.ts';

/** A circuit breaker around the engine; that of `@casebound/messaging` fits. Rejects with `circuit_open` without calling. */
export interface EngineBreaker {
  run<T>(call: () => Promise<T>): Promise<T>;
}

export interface NutrientDependencies {
  readonly clock: Clock;
  readonly secrets: Pick<Secrets, 'get' | 'refresh'>;
  readonly breaker: EngineBreaker;
  /** Prove what the engine redacted by a reading of their own. */
  readonly workers: Pick<PdfWorkers, 'verify'>;
  /**
   * Runs work on one document while no other work on it runs. The engine has no conditional writes, so where several processes write,
   * this has to exclude them all. Default: exact within one process.
   */
  readonly exclusively?: <T>(document: string, work: () => Promise<T>) => Promise<T>;
  readonly metrics?: Pick<Metrics, 'counter' | 'histogram'>;
  /** Uniform in [0, 1). Default: `Math.random`. */
  readonly random?: () => number;
}
