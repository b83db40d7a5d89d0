/**
 * One worker's place in the process: what it may still take, what waits to be a full batch, what runs.
 *
 * - At most `concurrency` batches run; what is received beyond that waits for a batch and is counted as taken.
 * - While a breaker is open nothing is taken; while it is half-open one message is.
 */
import type { Clock } from '../ports.ts';
import type { Held } from './held-messages.ts';
import type { WorkerDefinition } from './worker-definition.ts';

export class WorkerSlots {
  readonly definition: WorkerDefinition;
  paused = false;
  running = 0;
  /** Judged, but not yet taken by the transport. */
  unsettled = 0;
  #waiting: { readonly held: Held; readonly since: number }[] = [];
  readonly #clock: Pick<Clock, 'monotonicMs'>;

  constructor(definition: WorkerDefinition, clock: Pick<Clock, 'monotonicMs'>) {
    this.definition = definition;
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Messages that are this worker's: waiting, with a handler, or being settled. */
  inFlight = 0;

  /** Messages that may be received now. */
  get free(): number {
    if (this.paused) return 0;
    const { concurrency, batchSize, breaker } = this.definition;
    // A slow transport must not let judged messages pile up without bound.
    const backlog = Math.max(0, this.unsettled - concurrency * batchSize);
    const places = (concurrency - this.running) * batchSize - this.#waiting.length - backlog;
    const allowed = breaker === undefined ? Number.POSITIVE_INFINITY : this.#breakerPlaces(breaker.capacity);
    return Math.max(0, Math.min(places, allowed));
  }

  /** A half-open breaker lets one message in, if nothing is under way already. */
  #breakerPlaces(capacity: number): number {
    if (capacity !== 1) return capacity;
    return this.running + this.#waiting.length > 0 ? 0 : 1;
  }

  offer(held: Held): void {
    this.#waiting.push({ held, since: this.#clock.monotonicMs() });
  }

  /** Messages that were received but not begun, for giving back. */
  takeWaiting(): readonly Held[] {
    const all = this.#waiting.map(({ held }) => held);
    this.#waiting = [];
    return all;
  }

  /** The next batch to run now, if there is one: full, or waited for long enough. What lost its lease meanwhile is left out. */
  nextBatch(): readonly Held[] | undefined {
    this.#waiting = this.#waiting.filter(({ held }) => !held.signal.aborted);
    const { concurrency, batchSize, batchWindowMs } = this.definition;
    const [oldest] = this.#waiting;
    if (oldest === undefined || this.running >= concurrency) return undefined;
    const ripe = this.#waiting.length >= batchSize || this.#clock.monotonicMs() - oldest.since >= batchWindowMs;
    return ripe ? this.#waiting.splice(0, batchSize).map(({ held }) => held) : undefined;
  }

  /** Milliseconds until a waiting batch is ripe; undefined when none waits or none could run. */
  get ripeInMs(): number | undefined {
    const [oldest] = this.#waiting;
    if (oldest === undefined || this.running >= this.definition.concurrency) return undefined;
    return Math.max(0, oldest.since + this.definition.batchWindowMs - this.#clock.monotonicMs());
  }
}
