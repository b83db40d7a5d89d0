/** Time as a dependency, so that tests can turn it. */
export interface Clock {
  /** Wall-clock time. Goes back when the system's clock is set back: for timestamps, never for measuring. */
  now(): Date;
  /** Milliseconds from an arbitrary start; never goes back. For durations and deadlines. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
