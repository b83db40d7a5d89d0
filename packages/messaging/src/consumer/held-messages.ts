/**
 * The messages that this process holds, and their heartbeat.
 *
 * 1. While a message is held, its lease is extended every third of its length; all that are due go in one call.
 * 2. A message whose lease is lost is told at once: its signal aborts with `lease_lost`. It is lost when the transport says so,
 *    or when its time has passed on this process's own steady clock, counted from before the call that set it. Wall clocks do
 *    not matter.
 * 3. A message that comes again while it is still held here means that the first lease was lost.
 */
import { CaseboundError } from '@casebound/contract';
import type { Clock, Log, Queues, ReceivedMessage } from '../ports.ts';

export interface Held {
  readonly message: ReceivedMessage;
  readonly signal: AbortSignal;
}

interface Entry {
  readonly message: ReceivedMessage;
  readonly abort: AbortController;
  extendedAt: number;
}

const idOf = (message: { readonly queue: string; readonly messageId: string }): string =>
  `${message.queue}/${message.messageId}`;

export class HeldMessages {
  readonly #entries = new Map<string, Entry>();
  #nextBeatAt = Number.POSITIVE_INFINITY;
  /** Aborts when a message arrives whose lease is due before the next beat. */
  #earlier = new AbortController();
  readonly #queues: Pick<Queues, 'extend'>;
  readonly #clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly #log: Log;
  readonly #onLost: (message: ReceivedMessage) => void;

  constructor(parts: {
    readonly queues: Pick<Queues, 'extend'>;
    readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
    readonly log: Log;
    readonly onLost: (message: ReceivedMessage) => void;
  }) {
    this.#queues = parts.queues;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#onLost = parts.onLost;
  }

  get size(): number {
    return this.#entries.size;
  }

  add(message: ReceivedMessage): Held {
    const earlier = this.#entries.get(idOf(message));
    if (earlier !== undefined) this.#lose(earlier);
    const entry: Entry = { message, abort: new AbortController(), extendedAt: message.receivedAtMs };
    this.#entries.set(idOf(message), entry);
    if (message.receivedAtMs + message.leaseMs / 3 < this.#nextBeatAt) this.#earlier.abort();
    return { message, signal: entry.abort.signal };
  }

  /** The message was settled, or abandoned. */
  remove(message: ReceivedMessage): void {
    if (this.#entries.get(idOf(message))?.message === message) this.#entries.delete(idOf(message));
  }

  /** True while nothing says that the lease is lost. */
  holds(message: ReceivedMessage): boolean {
    return this.#entries.get(idOf(message))?.message === message;
  }

  /** Beats until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#earlier = new AbortController();
      const restMs = this.#restMs();
      this.#nextBeatAt = this.#clock.monotonicMs() + restMs;
      await this.#clock.sleep(restMs, AbortSignal.any([signal, this.#earlier.signal])).catch(() => undefined);
      if (!signal.aborted) await this.beat();
    }
  }

  /** Extends what is due and drops what is lost. Never throws: a transport that fails is asked again at the next beat. */
  async beat(): Promise<void> {
    const now = this.#clock.monotonicMs();
    const due = [...this.#entries.values()].filter((entry) => now - entry.extendedAt >= entry.message.leaseMs / 3);
    if (due.length > 0) {
      try {
        const held = await this.#queues.extend(
          due.map(({ message }) => ({ lease: message, leaseMs: message.leaseMs })),
        );
        for (const [index, entry] of due.entries()) {
          if (held[index] === true) entry.extendedAt = now;
          else this.#lose(entry);
        }
      } catch (error) {
        this.#log.warn('Leases could not be extended; trying again.', { component: 'heartbeat', count: due.length });
        this.#log.debug('The heartbeat failed.', {
          component: 'heartbeat',
          errorCode: error instanceof CaseboundError ? error.code : 'internal',
        });
      }
    }
    const after = this.#clock.monotonicMs();
    for (const entry of this.#entries.values())
      if (after - entry.extendedAt >= entry.message.leaseMs) this.#lose(entry);
  }

  #lose(entry: Entry): void {
    if (this.#entries.get(idOf(entry.message)) !== entry) return;
    this.#entries.delete(idOf(entry.message));
    this.#onLost(entry.message);
    entry.abort.abort(
      new CaseboundError(
        'lease_lost',
        `The lease of message ${entry.message.messageId} of ${entry.message.queue} was lost.`,
      ),
    );
  }

  /** Until the next extension is due, between 20 ms and 1 s. */
  #restMs(): number {
    let dueAt = Number.POSITIVE_INFINITY;
    for (const { extendedAt, message } of this.#entries.values())
      dueAt = Math.min(dueAt, extendedAt + message.leaseMs / 3);
    return Math.min(1000, Math.max(20, dueAt - this.#clock.monotonicMs()));
  }
}
