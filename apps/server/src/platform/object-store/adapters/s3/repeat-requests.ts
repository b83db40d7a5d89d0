/**
 * Repeating what is safe to repeat.
 *
 * Done here and not by the SDK, whose budget of retries runs dry in an outage and then leaves single failures after it unrepeated. Every
 * request qualifies: bodies are in memory, and all writes give the same result twice (conditional ones know their own object again).
 */
import { describeEndpointError, isTransient } from './s3-errors.ts';

const firstPauseMs = 100;
const throttledPauseMs = 400;
const longestPauseMs = 10_000;

/** Pause before the next try: full jitter, that is evenly from nothing to a bound that doubles (AWS Architecture Blog, "Exponential Backoff And Jitter"). */
export const pauseMs = (attempt: number, throttled: boolean, random: number): number =>
  random * Math.min(longestPauseMs, (throttled ? throttledPauseMs : firstPauseMs) * 2 ** (attempt - 1));

const isThrottling = (error: unknown): boolean => {
  const { name, status } = describeEndpointError(error);
  return status === 429 || status === 503 || name === 'SlowDown';
};

/** Runs a request until it succeeds, fails for good, or was tried `maxAttempts` times. */
export const repeatRequest = async <T>(maxAttempts: number, request: () => Promise<T>): Promise<T> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await request();
    } catch (error) {
      if (attempt >= maxAttempts || !isTransient(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs(attempt, isThrottling(error), Math.random())));
    }
  }
};
