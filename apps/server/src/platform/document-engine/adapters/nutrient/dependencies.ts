/** What the adapter needs from outside, in the smallest form. The server's clock, secrets and breakers fit. */
import type { PageAnnotation, VerificationReport } from '@casebound/pdf';
import type { Clock } from '../../../clock/Port.ts';
import type { Metrics } from '../../../metrics/Port.ts';
import type { Secrets } from '../../../secrets/Port.ts';

/** A circuit breaker around the engine; that of `@casebound/messaging` fits. Rejects with `circuit_open` without calling. */
export interface EngineBreaker {
  run<T>(call: () => Promise<T>): Promise<T>;
}

/** An independent reading of a PDF that was redacted, against the PDF that it was before. */
export type VerifyPdf = (
  output: Uint8Array,
  original: Uint8Array,
  redactions: readonly PageAnnotation[],
) => Promise<VerificationReport>;

export interface NutrientDependencies {
  readonly clock: Clock;
  readonly secrets: Pick<Secrets, 'get' | 'refresh'>;
  readonly breaker: EngineBreaker;
  readonly verify: VerifyPdf;
  /**
   * Runs work on one document while no other work on it runs. The engine has no conditional writes, so where several processes write,
   * this has to exclude them all. Default: exact within one process.
   */
  readonly exclusively?: <T>(document: string, work: () => Promise<T>) => Promise<T>;
  readonly metrics?: Pick<Metrics, 'counter' | 'histogram'>;
  /** Uniform in [0, 1). Default: `Math.random`. */
  readonly random?: () => number;
}
