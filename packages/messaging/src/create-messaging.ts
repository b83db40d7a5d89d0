/**
 * Puts the parts together. The one place where adapters are chosen; everything else is given its ports.
 *
 * Nothing runs until `start`. What `start` runs depends on the role: relays and announcements everywhere (they take turns),
 * workers where `workers` is asked for.
 */
import { jobCatalogue } from '@casebound/contract';
import type { JobDeclaration } from '@casebound/contract';
import { z } from 'zod';
import { errorEventOf } from './announce-dead-letters.ts';
import { createBreakers } from './breakers.ts';
import type { Breakers } from './breakers.ts';
import { createClaimChecks } from './claim-check.ts';
import type { ClaimChecks } from './claim-check.ts';
import type { MessagingCrashPoint } from './crash-points.ts';
import { createConsumer } from './consumer/consumer.ts';
import { each } from './consumer/worker-definition.ts';
import type { HandlerCatalogue, WorkerFleet } from './fleet/Port.ts';
import { createPostgresFleet, followFleet } from './fleet/postgres-fleet.ts';
import type { Random } from './full-jitter.ts';
import { createMessagingMetrics, observeBacklog } from './metrics.ts';
import type { MetricsRegistry } from './metrics.ts';
import { createAppendSignal } from './outbox/append-signal.ts';
import { createOutbox } from './outbox/outbox.ts';
import type { Outbox } from './outbox/outbox.ts';
import { createRelay } from './outbox/relay-outbox.ts';
import type { Undeliverable } from './outbox/relay-outbox.ts';
import type { Clock, Log, PayloadStore, Queues, SqlDatabase, Topics } from './ports.ts';
import { createEventLog } from './postgres/event-log.ts';
import type { EventLog } from './postgres/event-log.ts';
import { createPostgresDeadLetters } from './postgres/postgres-dead-letters.ts';
import type { DeadLetters, PutBack } from './postgres/postgres-dead-letters.ts';
import { defaultRetention, sweepCaseDatabase, sweepControl } from './postgres/sweep.ts';
import type { Retention } from './postgres/sweep.ts';
import { queueSettingsOf } from './visibility.ts';
import { createDriver } from './workflow/advance-workflow.ts';
import type { WorkflowDefinition } from './workflow/define-workflow.ts';
import { createWorkflows } from './workflow/workflows.ts';
import type { Workflows } from './workflow/workflows.ts';

/** What an adapter family brings. `transactional`: queues are in the control database and can take part in its transactions. */
export interface Transport {
  readonly queues: Queues;
  readonly topics: Topics;
  readonly putBack: PutBack;
  readonly maxMessageBytes: number;
  readonly transactional?: {
    readonly send: NonNullable<Parameters<typeof createRelay>[0]['inTransaction']>['send'];
    readonly publish: NonNullable<Parameters<typeof createRelay>[0]['inTransaction']>['publish'];
    /** To be called after the commit: receivers of this process look at once. */
    readonly committed: () => void;
  };
  /** In place of the fleet in process. */
  readonly fleet?: WorkerFleet;
}

export interface MessagingOptions {
  /** Holds queues, dead letters, workflows and the log of events. */
  readonly control: SqlDatabase;
  /** Other databases whose outboxes are to be relayed; asked anew every few seconds. Default none. */
  readonly caseDatabases?: () => Promise<readonly { readonly name: string; readonly database: SqlDatabase }[]>;
  readonly transport: (parts: { readonly deadLetters: Pick<DeadLetters, 'add'> }) => Transport;
  readonly payloads: PayloadStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: Random;
  readonly metrics?: MetricsRegistry;
  readonly crashPoint?: MessagingCrashPoint;
  /** Name of this process; unique among those that run. */
  readonly worker: string;
  /** Messages that this process may hold at once. */
  readonly workerTotal: number;
  readonly maxInFlightPerCase?: number;
  /** Default `casebound-events`. */
  readonly topic?: string;
  readonly jobs?: readonly JobDeclaration[];
  /** Given the parts that handlers need; called once. */
  readonly handlers?: (parts: { readonly outbox: Outbox; readonly breakers: Breakers }) => HandlerCatalogue;
  readonly workflows?: readonly WorkflowDefinition[];
  readonly retention?: Retention;
}

export interface Messaging {
  readonly queues: Queues;
  readonly topics: Topics;
  readonly topic: string;
  readonly deadLetters: DeadLetters;
  readonly outbox: Outbox;
  readonly claimChecks: ClaimChecks;
  readonly workflows: Workflows;
  readonly fleet: WorkerFleet;
  readonly breakers: Breakers;
  readonly eventLog: EventLog;
  /** Creates what the system itself needs, then relays, announces, sweeps and, with `workers`, works. */
  start(options: { readonly workers: boolean }): Promise<void>;
  /** Stops receiving, lets handlers finish for up to `deadlineMs`, gives the rest back, ends every loop. */
  stop(deadlineMs: number): Promise<void>;
}

const workflowQueue = 'workflows';
const workflowJob = { handlerTimeoutSeconds: 900, batchWindowSeconds: 0, maxReceiveCount: 1000 };
const workflowRetry = { baseMs: 500, maxMs: 30_000 };
const WorkflowMessage = z.strictObject({ workflowId: z.uuid() });

export const createMessaging = (options: MessagingOptions): Messaging => {
  const {
    control,
    clock,
    log,
    worker,
    workerTotal,
    random = Math.random,
    crashPoint = () => {},
    topic = 'casebound-events',
  } = options;
  const retention = options.retention ?? defaultRetention;
  const metrics = options.metrics === undefined ? undefined : createMessagingMetrics(options.metrics);
  const measured = metrics === undefined ? {} : { metrics };
  const jobs: readonly JobDeclaration[] = options.jobs ?? Object.values(jobCatalogue);
  const appended = createAppendSignal();
  const outbox = createOutbox(appended.notify);
  const eventLog = createEventLog(control);

  // Dead letters and the transport know each other: letters are added by one and put back into the other.
  const putBack: PutBack = async (tx, queue, letters) => transport.putBack(tx, queue, letters);
  const deadLetters = createPostgresDeadLetters({ database: control, putBack });
  const transport = options.transport({ deadLetters });
  const { queues } = transport;
  const topics: Topics =
    transport.transactional !== undefined
      ? transport.topics
      : {
          ...transport.topics,
          async publish(name, events) {
            await transport.topics.publish(name, events);
            await eventLog.append(name, events);
          },
        };
  const claimChecks = createClaimChecks({
    store: options.payloads,
    sql: control,
    log,
    maxMessageBytes: transport.maxMessageBytes,
  });
  const breakers = createBreakers({ database: control, outbox, topic, worker, clock, log, ...measured });

  const schedule = async (
    tx: Parameters<Outbox['send']>[0],
    { workflowId, fairnessKey }: { readonly workflowId: string; readonly fairnessKey: number },
    delayMs: number,
  ) =>
    outbox.send(tx, workflowQueue, [
      { body: JSON.stringify({ workflowId }), fairnessKey, delayMs: Math.round(delayMs) },
    ]);
  const workflows = createWorkflows({ database: control, schedule, now: () => clock.now() });
  const driver = createDriver({
    database: control,
    definitions: options.workflows ?? [],
    schedule,
    worker,
    clock,
    random,
    log,
    crashPoint,
    budgetMs: (workflowJob.handlerTimeoutSeconds * 1000) / 3,
  });

  const handlers = {
    ...options.handlers?.({ outbox, breakers }),
    workflow: {
      handle: each(async ({ body, signal }) =>
        driver.advance(WorkflowMessage.parse(JSON.parse(body)).workflowId, signal),
      ),
      handlerTimeoutMs: workflowJob.handlerTimeoutSeconds * 1000,
      reserved: workerTotal,
      // A workflow paces itself; a message that comes back means that a process died or was overtaken.
      retry: workflowRetry,
    },
  } satisfies HandlerCatalogue;
  const fleet = transport.fleet ?? createPostgresFleet({ sql: control, queues, handlers, workerTotal });
  const consumer = createConsumer({
    queues,
    worker,
    total: workerTotal,
    claimChecks,
    clock,
    log,
    random,
    crashPoint,
    ...measured,
    ...(options.maxInFlightPerCase === undefined ? {} : { maxInFlightPerKey: options.maxInFlightPerCase }),
  });

  const bury = async (entry: Undeliverable): Promise<void> =>
    deadLetters.add({
      queue: entry.destination,
      messageId: `outbox-${entry.outboxId}`,
      fairnessKey: entry.fairnessKey,
      sentAt: clock.now(),
      receiveCount: 0,
      code: entry.code,
      reason: entry.reason,
      body: entry.body,
      attributes: {},
      history: [],
    });
  const relayOf = (database: SqlDatabase, sharesDatabase: boolean) =>
    createRelay({
      database,
      queues,
      topics,
      bury,
      claimChecks,
      clock,
      log,
      random,
      crashPoint,
      appended,
      ...(sharesDatabase && transport.transactional !== undefined
        ? { inTransaction: transport.transactional, onCommitted: transport.transactional.committed }
        : {}),
    });

  if (options.metrics !== undefined) {
    observeBacklog(options.metrics, {
      workers: async () => [...(await fleet.list()), { queue: workflowQueue, handler: 'workflow' }],
      depth: async (names) => queues.depth(names),
      deadLetters: async () => deadLetters.count({}),
      monotonicMs: () => clock.monotonicMs(),
    });
  }

  const ending = new AbortController();
  const loops = new Set<Promise<void>>();
  const repeat = (what: string, everyMs: number, work: () => Promise<number | void>): void => {
    const loop = (async () => {
      while (!ending.signal.aborted) {
        let again = false;
        try {
          again = ((await work()) ?? 0) > 0;
        } catch (error) {
          if (!ending.signal.aborted)
            log.error('A task of messaging failed; it is repeated.', { component: what }, error);
        }
        if (!again) await clock.sleep(everyMs, ending.signal).catch(() => undefined);
      }
    })();
    loops.add(loop);
  };

  const relaying = new Set<string>();
  const relayCaseDatabases = async (): Promise<void> => {
    for (const { name, database } of (await options.caseDatabases?.()) ?? []) {
      if (relaying.has(name)) continue;
      relaying.add(name);
      loops.add(relayOf(database, false).run(ending.signal));
    }
  };

  const sweep = async (): Promise<void> => {
    await sweepControl(control, retention);
    await sweepCaseDatabase(control, retention);
    for (const { database } of (await options.caseDatabases?.()) ?? []) await sweepCaseDatabase(database, retention);
    await claimChecks.sweep(100);
  };

  return {
    queues,
    topics,
    topic,
    deadLetters,
    outbox,
    claimChecks,
    workflows,
    fleet,
    breakers,
    eventLog,
    async start({ workers }) {
      await queues.create(queueSettingsOf(workflowQueue, workflowJob));
      loops.add(relayOf(control, true).run(ending.signal));
      repeat('relay', 1000, relayCaseDatabases);
      repeat('dead-letters', 1000, async () =>
        deadLetters.announce(async (tx, letters) => {
          for (const letter of letters) await outbox.publish(tx, topic, [errorEventOf(letter, jobs)]);
        }, 100),
      );
      repeat('sweep', 60_000, sweep);
      if (!workers) return;
      const workflowWorker = {
        name: workflowQueue,
        queue: workflowQueue,
        handler: 'workflow',
        batchSize: 1,
        batchWindowMs: 0,
      };
      if (transport.fleet !== undefined) {
        await fleet.create({ ...workflowWorker, concurrency: 2 });
        return;
      }
      // Not in the table of workers: how many workflows a process drives follows from its own settings.
      consumer.add({
        ...workflowWorker,
        ...handlers.workflow,
        retry: workflowRetry,
        concurrency: Math.min(16, workerTotal),
      });
      consumer.start();
      loops.add(followFleet({ sql: control, consumer, handlers, clock, log, signal: ending.signal }));
    },
    async stop(deadlineMs) {
      await consumer.stop(deadlineMs);
      ending.abort();
      await Promise.allSettled(loops);
    },
  };
};
