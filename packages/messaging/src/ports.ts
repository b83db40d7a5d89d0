/**
 * The seams of messaging. Semantics are those of SQS and SNS, so that one consumer runs on every adapter: at-least-once
 * delivery, a visibility timeout as lease, a receive count, delay, topics that fan out through filter policies.
 *
 * - A lease is (queue, message, token). Every change of a received message names it, and does nothing when it was lost.
 * - `conformance.ts` says the same in tests; every adapter passes it.
 */
import type { FilterPolicy } from './filter-policy.ts';

/** A connection or a transaction of PostgreSQL; `pg`'s clients and pools have this shape. */
export interface Sql {
  query(text: string, values?: readonly unknown[]): Promise<{ readonly rows: readonly Record<string, unknown>[] }>;
}

/** A database: single statements, and transactions that are retried on conflicts as the server's own are. */
export interface SqlDatabase extends Sql {
  transaction<T>(work: (tx: Sql) => Promise<T>): Promise<T>;
}

/** Where payloads go that a message cannot carry. */
export interface PayloadStore {
  put(key: string, bytes: Uint8Array): Promise<void>;
  get(key: string): Promise<Uint8Array>;
  /** Deleting what is not there succeeds. */
  delete(key: string): Promise<void>;
}

export interface Clock {
  now(): Date;
  monotonicMs(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface LogFields {
  readonly caseId?: number;
  readonly jobId?: string;
  readonly eventType?: string;
  readonly attempt?: number;
  readonly component?: string;
  readonly queue?: string;
  readonly worker?: string;
  readonly errorCode?: string;
  readonly durationMs?: number;
  readonly count?: number;
  readonly state?: string;
  readonly step?: string;
}

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields, error?: unknown): void;
}

/** Called between steps by name; a chaos test makes it end the process there. */
export type CrashPoint = (name: string) => void | Promise<void>;

export interface QueueSettings {
  /** 1 to 80 letters, digits, hyphens and underscores. */
  readonly name: string;
  /** How long a receiver has a message to itself, in milliseconds; see `visibilityTimeoutMs`. */
  readonly visibilityTimeoutMs: number;
  /** At least 5, unless `fewerReceivesBecause` says why not. */
  readonly maxReceiveCount: number;
  readonly fewerReceivesBecause?: string;
}

export interface QueueDescription extends QueueSettings {
  /** The transport's own address: a queue URL on SQS, `postgres:{id}` here. Stored by owners, never rebuilt from the name. */
  readonly address: string;
}

export interface OutgoingMessage {
  readonly body: string;
  /** The tenant whose share the message takes; 0 or absent for none. Casebound uses the case id. */
  readonly fairnessKey?: number;
  /** 0 to 900,000: the most that SQS can delay. */
  readonly delayMs?: number;
  /** A second message with the same key within five minutes is not enqueued. */
  readonly dedupeKey?: string;
  readonly attributes?: MessageAttributes;
}

/** Small facts beside the body. A message carries at most nine: SQS has ten, one of them ours. */
export type MessageAttributes = Readonly<Record<string, string>>;

export interface Lease {
  readonly queue: string;
  readonly messageId: string;
  /** Names this one delivery to the transport. */
  readonly token: string;
}

export interface ReceivedMessage extends Lease {
  /** Grows with every delivery of the message, on every transport. */
  readonly fencingToken: number;
  /** How often the message was received, this time included; releases that do not count are taken off. */
  readonly receiveCount: number;
  readonly maxReceiveCount: number;
  readonly fairnessKey: number;
  readonly sentAt: Date;
  readonly body: string;
  readonly attributes: MessageAttributes;
  /** Length of the lease in milliseconds. */
  readonly leaseMs: number;
  /** Steady time of the adapter's clock before the call that received it: the lease runs out no earlier than this plus its length. */
  readonly receivedAtMs: number;
}

/** One attempt that failed, as the history of a dead letter shows it. */
export interface FailedAttempt {
  readonly attempt: number;
  /** ISO 8601. */
  readonly at: string;
  readonly worker: string;
  readonly outcome: 'failed' | 'timed_out' | 'lease_expired' | 'circuit_open' | 'dead_lettered' | 'interrupted';
  readonly code: string;
  readonly error: string;
}

export interface Release {
  readonly lease: Lease;
  readonly delayMs: number;
  /** false: the attempt is given back, as when an engine was known to be down. */
  readonly counted: boolean;
  readonly failure?: FailedAttempt;
}

export interface Burial {
  readonly message: ReceivedMessage;
  readonly code: string;
  readonly reason: string;
  readonly failure: FailedAttempt;
}

export interface ReceiveRequest {
  readonly queues: readonly { readonly name: string; readonly max: number }[];
  /** Of all queues together. */
  readonly total: number;
  /** How long to wait when there is nothing. */
  readonly waitMs: number;
  /** How many messages of one fairness key may be in flight, over all queues and workers; where the transport can tell. */
  readonly maxInFlightPerKey?: number;
  readonly signal?: AbortSignal;
}

export interface Depth {
  readonly visible: number;
  readonly inFlight: number;
  readonly delayed: number;
  /** Age of the oldest visible message; null when there is none, or the transport does not tell. */
  readonly oldestVisibleMs: number | null;
}

export interface Queues {
  /** Creates the queue, or finds it with the same settings. @throws CaseboundError `queue_settings_invalid` when it exists with others. */
  create(settings: QueueSettings): Promise<QueueDescription>;
  /** `onlyIfEmpty`: not while a message is in the queue, in flight or underway in a transaction. */
  delete(name: string, options?: { readonly onlyIfEmpty?: boolean }): Promise<'deleted' | 'missing' | 'not_empty'>;
  find(name: string): Promise<QueueDescription | undefined>;
  list(): Promise<readonly QueueDescription[]>;
  /** Ids in order; null for what its dedupe key held back. @throws CaseboundError `queue_not_found`, `message_too_large`. */
  send(queue: string, messages: readonly OutgoingMessage[]): Promise<readonly (string | null)[]>;
  receive(request: ReceiveRequest): Promise<readonly ReceivedMessage[]>;
  /** For each lease, whether it was still held. */
  acknowledge(leases: readonly Lease[]): Promise<readonly boolean[]>;
  release(releases: readonly Release[]): Promise<readonly boolean[]>;
  /** Leases anew from now for `leaseMs` milliseconds. */
  extend(leases: readonly { readonly lease: Lease; readonly leaseMs: number }[]): Promise<readonly boolean[]>;
  /** Dead-letters a held message with its reason and history. False when the lease was lost. */
  bury(burial: Burial): Promise<boolean>;
  /** Of the named queues; what is missing is left out. */
  depth(names: readonly string[]): Promise<ReadonlyMap<string, Depth>>;
  /** Deletes all messages. */
  purge(name: string): Promise<void>;
}

export interface OutgoingEvent {
  /** UUID; what the log of events calls it. */
  readonly id: string;
  readonly type: string;
  readonly body: string;
  /** A claim check that travels in place of the body, where that is too large. */
  readonly claim?: string;
  /** What filter policies see. */
  readonly attributes: EventAttributes;
  readonly fairnessKey: number;
  readonly delayMs?: number;
}

export type EventAttributes = Readonly<Record<string, string | number>>;

export interface Topics {
  /** Delivers events of the topic that match the policy to the queue. Subscribing again replaces the policy. */
  subscribe(topic: string, queue: string, policy: FilterPolicy): Promise<void>;
  /** When it has returned, no publisher still delivers to the queue. */
  unsubscribe(topic: string, queue: string): Promise<void>;
  /** A queue that is deleted meanwhile gets nothing; the others do. */
  publish(topic: string, events: readonly OutgoingEvent[]): Promise<void>;
}
