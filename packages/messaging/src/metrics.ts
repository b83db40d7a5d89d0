/** What messaging measures. Labels are kinds of work and of outcome, never the name of one queue: there can be thousands. */
import type { Depth } from './ports.ts';

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
});

/** What waits, by kind of work; asked of the transport when the metrics are read, at most every ten seconds. */
export const observeBacklog = (
  registry: MetricsRegistry,
  parts: {
    readonly workers: () => Promise<readonly { readonly queue: string; readonly handler: string }[]>;
    readonly depth: (queues: readonly string[]) => Promise<ReadonlyMap<string, Depth>>;
    readonly deadLetters: () => Promise<number>;
    readonly monotonicMs: () => number;
  },
): void => {
  interface Backlog {
    readonly messages: ReadonlyMap<string, { visible: number; inFlight: number; delayed: number; oldestMs: number }>;
    readonly deadLetters: number;
  }
  let known: { readonly atMs: number; readonly backlog: Promise<Backlog> } | undefined;
  const look = async (): Promise<Backlog> => {
    const workers = await parts.workers();
    const depths = await parts.depth(workers.map(({ queue }) => queue));
    const messages = new Map<string, { visible: number; inFlight: number; delayed: number; oldestMs: number }>();
    for (const { queue, handler } of workers) {
      const sum = messages.get(handler) ?? { visible: 0, inFlight: 0, delayed: 0, oldestMs: 0 };
      const depth = depths.get(queue);
      messages.set(handler, {
        visible: sum.visible + (depth?.visible ?? 0),
        inFlight: sum.inFlight + (depth?.inFlight ?? 0),
        delayed: sum.delayed + (depth?.delayed ?? 0),
        oldestMs: Math.max(sum.oldestMs, depth?.oldestVisibleMs ?? 0),
      });
    }
    return { messages, deadLetters: await parts.deadLetters() };
  };
  const backlog = async (): Promise<Backlog> => {
    const now = parts.monotonicMs();
    if (known === undefined || now - known.atMs > 10_000) {
      known = { atMs: now, backlog: look() };
      // A look that failed is not remembered.
      known.backlog.catch(() => {
        known = undefined;
      });
    }
    return known.backlog;
  };
  registry.gauge({
    name: 'casebound_queue_messages',
    help: 'Messages in the queues of workers, by kind of work and state.',
    labels: ['handler', 'state'],
    collect: async (gauge) => {
      for (const [handler, { visible, inFlight, delayed }] of (await backlog()).messages) {
        gauge.set({ handler, state: 'visible' }, visible);
        gauge.set({ handler, state: 'in_flight' }, inFlight);
        gauge.set({ handler, state: 'delayed' }, delayed);
      }
    },
  });
  registry.gauge({
    name: 'casebound_queue_oldest_seconds',
    help: 'Age of the oldest message that waits, by kind of work.',
    labels: ['handler'],
    collect: async (gauge) => {
      for (const [handler, { oldestMs }] of (await backlog()).messages) gauge.set({ handler }, oldestMs / 1000);
    },
  });
  registry.gauge({
    name: 'casebound_dead_letters',
    help: 'Dead letters that were neither redriven nor purged.',
    collect: async (gauge) => gauge.set({}, (await backlog()).deadLetters),
  });
};
