/** What messaging measures. Labels are kinds of work and of outcome, never the name of one queue: there can be thousands. */
interface Counter<L extends string> {
  add(labels: Readonly<Record<L, string>>, by?: number): void;
}
interface Gauge<L extends string> {
  set(labels: Readonly<Record<L, string>>, value: number): void;
}
interface Histogram<L extends string> {
  observe(labels: Readonly<Record<L, string>>, value: number): void;
}

/** Where metrics are registered; the server's metrics have this shape. */
export interface MetricsRegistry {
  counter<const L extends string = never>(definition: {
    readonly name: string;
    readonly help: string;
    readonly labels?: readonly L[];
  }): Counter<L>;
  gauge<const L extends string = never>(definition: {
    readonly name: string;
    readonly help: string;
    readonly labels?: readonly L[];
    readonly collect?: (gauge: Gauge<L>) => void | Promise<void>;
  }): Gauge<L>;
  histogram<const L extends string = never>(definition: {
    readonly name: string;
    readonly help: string;
    readonly labels?: readonly L[];
    readonly buckets: readonly number[];
  }): Histogram<L>;
}

export interface MessagingMetrics {
  readonly received: Counter<'handler'>;
  /** outcome: acknowledged, already_done, retried, given_back, dead_lettered, lease_lost. */
  readonly settled: Counter<'handler' | 'outcome'>;
  readonly handlerSeconds: Histogram<'handler'>;
  readonly waitSeconds: Histogram<'handler'>;
  readonly inFlight: Gauge<'handler'>;
  /** 0 closed, 1 half-open, 2 open. */
  readonly breakerState: Gauge<'breaker'>;
  readonly breakerChanges: Counter<'breaker' | 'to'>;
  readonly relayed: Counter<never>;
}

const secondsBuckets = [0.005, 0.025, 0.1, 0.5, 2, 10, 60, 300, 900];

export const createMessagingMetrics = (registry: MetricsRegistry): MessagingMetrics => ({
  received: registry.counter({
    name: 'casebound_messages_received_total',
    help: 'Messages received by workers.',
    labels: ['handler'],
  }),
  settled: registry.counter({
    name: 'casebound_messages_settled_total',
    help: 'What became of received messages.',
    labels: ['handler', 'outcome'],
  }),
  handlerSeconds: registry.histogram({
    name: 'casebound_handler_duration_seconds',
    help: 'How long handlers took over a batch.',
    labels: ['handler'],
    buckets: secondsBuckets,
  }),
  waitSeconds: registry.histogram({
    name: 'casebound_message_wait_seconds',
    help: 'How long messages had been in their queue when they were received.',
    labels: ['handler'],
    buckets: [0.1, 1, 10, 60, 600, 3600, 86_400],
  }),
  inFlight: registry.gauge({
    name: 'casebound_messages_in_flight',
    help: 'Messages that this process holds.',
    labels: ['handler'],
  }),
  breakerState: registry.gauge({
    name: 'casebound_breaker_state',
    help: 'Circuit breakers: 0 closed, 1 half-open, 2 open.',
    labels: ['breaker'],
  }),
  breakerChanges: registry.counter({
    name: 'casebound_breaker_changes_total',
    help: 'Changes of circuit breakers.',
    labels: ['breaker', 'to'],
  }),
  relayed: registry.counter({ name: 'casebound_outbox_relayed_total', help: 'Entries that left an outbox.' }),
});
