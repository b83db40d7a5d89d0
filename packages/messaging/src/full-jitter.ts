/**
 * Full jitter: the delay before a retry is a random time up to an exponentially growing bound, so that messages which failed
 * together do not come back together. Formula from M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export interface Backoff {
  readonly baseMs: number;
  readonly maxMs: number;
}

/** 0 to 1, not 1: `Math.random` or a seeded twin. */
export type Random = () => number;

/** Milliseconds before the retry that follows attempt number `attempt` (1-based): `random(0, min(base * 2^attempt, max))`. */
export const fullJitter = ({ baseMs, maxMs }: Backoff, attempt: number, random: Random): number =>
  Math.floor(random() * Math.min(baseMs * 2 ** Math.min(attempt, 52), maxMs));
