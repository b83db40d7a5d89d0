/** A clock that stands still until a test turns it. Structurally the server's `Clock` port. */

export interface FakeClock {
  now(): Date;
  monotonicMs(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Lets time pass: sleepers whose time has come wake in order, each before the next. */
  advance(ms: number): Promise<void>;
  /** Sets the wall clock alone, as an administrator does; durations do not notice. */
  setWallClock(to: Date): void;
  /** How many sleepers wait; a test can wait for its subject to fall asleep. */
  readonly sleepers: number;
}

interface Sleeper {
  readonly wakeAt: number;
  readonly order: number;
  readonly wake: () => void;
}

export function createFakeClock(start: Date = new Date('2030-01-01T00:00:00.000Z')): FakeClock {
  let monotonic = 0;
  let wallOffset = start.getTime();
  let order = 0;
  const waiting = new Set<Sleeper>();

  const next = (until: number): Sleeper | undefined =>
    [...waiting]
      .filter((sleeper) => sleeper.wakeAt <= until)
      .toSorted((a, b) => a.wakeAt - b.wakeAt || a.order - b.order)[0];

  return {
    now: () => new Date(wallOffset + monotonic),
    monotonicMs: () => monotonic,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => {
          waiting.delete(sleeper);
          reject(toError(signal?.reason));
        };
        const sleeper: Sleeper = {
          wakeAt: monotonic + ms,
          order: (order += 1),
          wake: () => {
            waiting.delete(sleeper);
            signal?.removeEventListener('abort', onAbort);
            resolve();
          },
        };
        waiting.add(sleeper);
        signal?.addEventListener('abort', onAbort, { once: true });
      });
    },
    async advance(ms) {
      const until = monotonic + ms;
      for (let sleeper = next(until); sleeper !== undefined; sleeper = next(until)) {
        monotonic = Math.max(monotonic, sleeper.wakeAt);
        sleeper.wake();
        // What the sleeper does next, a new sleep perhaps, happens before later sleepers wake.
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      }
      monotonic = until;
    },
    setWallClock(to) {
      wallOffset = to.getTime() - monotonic;
    },
    get sleepers() {
      return waiting.size;
    },
  };
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
