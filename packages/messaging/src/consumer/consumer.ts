/**
 * The consumer: takes messages from many queues and brings each to a verdict, which the transport gets. Every consumer rule is
 * kept here or in a neighbour that is used here alone:
 *
 * 1. failure families, jitter, dead letters ......... judge-delivery.ts
 * 2. heartbeat, loss of a lease ..................... held-messages.ts
 * 3. time limit of a handler ........................ run-batch.ts
 * 4. concurrency and breaker ........................ worker-slots.ts, `visibility.ts` at start
 * 5. verdicts reach the transport, or are dropped with the lease ... settle-messages.ts
 * 6. fairness between keys .......................... the transport's `receive`, one call for all queues
 * 7. graceful stop .................................. `stop` below
 *
 * One loop receives for all workers; handlers run beside it.
 */
import { CaseboundError } from '@casebound/contract';
import type { MessagingCrashPoint } from '../crash-points.ts';
import type { Clock, Log, Queues, ReceivedMessage } from '../ports.ts';
import type { ClaimChecks } from '../claim-check.ts';
import type { Random } from '../full-jitter.ts';
import { fullJitter } from '../full-jitter.ts';
import type { MessagingMetrics } from '../metrics.ts';
import { HeldMessages } from './held-messages.ts';
import type { Held } from './held-messages.ts';
import type { Verdict } from './judge-delivery.ts';
import { judgeFailure } from './judge-delivery.ts';
import { runBatch } from './run-batch.ts';
import { createSettler } from './settle-messages.ts';
import type { Delivery, WorkerDefinition } from './worker-definition.ts';
import { WorkerSlots } from './worker-slots.ts';

export interface ConsumerOptions {
  readonly queues: Queues;
  /** Name of this process in histories and leases. */
  readonly worker: string;
  /** Messages that the process may hold at once. */
  readonly total: number;
  /** Messages of one fairness key in flight over all processes, where the transport can tell. */
  readonly maxInFlightPerKey?: number;
  readonly claimChecks: ClaimChecks;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly crashPoint: MessagingCrashPoint;
  readonly metrics?: MessagingMetrics;
  /** How long one call waits for messages. Default 20 s, the longest that SQS can. */
  readonly receiveWaitMs?: number;
}

export interface Consumer {
  /** Adds a worker. The queue must exist by the time messages are to flow. */
  add(definition: WorkerDefinition): void;
  /** Takes nothing more from the queue; what is held goes on. */
  pause(name: string): void;
  resume(name: string): void;
  /** Messages of the worker that this process holds. */
  inFlight(name: string): number;
  /** Removes a worker when what it holds is settled. */
  remove(name: string): Promise<void>;
  readonly workers: readonly string[];
  start(): void;
  /**
   * Stops receiving; lets handlers finish for up to `deadlineMs`, then interrupts them; gives back what was not finished,
   * without counting the attempt. Resolves when all is settled.
   */
  stop(deadlineMs: number): Promise<void>;
}

/** How long after an interruption handlers may still end by themselves. */
const graceMs = 2000;

export const createConsumer = (options: ConsumerOptions): Consumer => {
  const {
    queues,
    worker,
    total,
    claimChecks,
    clock,
    log,
    random,
    crashPoint,
    metrics,
    receiveWaitMs = 20_000,
  } = options;
  const slots = new Map<string, WorkerSlots>();
  const byQueue = new Map<string, WorkerSlots>();
  const stopping = new AbortController();
  const interrupting = new AbortController();
  const stopped = new AbortController();
  const idleWaiters = new Set<() => void>();
  /** Room was made, or the set of workers changed. */
  let roomMade = new AbortController();
  let workersChanged = new AbortController();
  let loops: Promise<unknown> | undefined;
  let held = 0;

  const heldMessages = new HeldMessages({
    queues,
    clock,
    log,
    onLost: (message) => {
      metrics?.settled.add({
        handler: byQueue.get(message.queue)?.definition.handler ?? 'unknown',
        outcome: 'lease_lost',
      });
      log.warn('The lease of a message was lost; its handler was told.', {
        queue: message.queue,
        attempt: message.receiveCount,
      });
    },
  });
  const settler = createSettler({
    queues,
    // Once stopped, what could not be settled is left to its lease: the transport may be closed by now.
    holds: (message) => !stopped.signal.aborted && heldMessages.holds(message),
    clock,
    random,
    log,
    crashPoint,
    stopped: stopped.signal,
  });

  const wake = (): void => {
    roomMade.abort();
    for (const waiter of idleWaiters) waiter();
  };

  const finish = async (slot: WorkerSlots, message: ReceivedMessage, verdict: Verdict): Promise<void> => {
    slot.unsettled += 1;
    const applied = await settler.settle(message, verdict);
    heldMessages.remove(message);
    slot.unsettled -= 1;
    slot.inFlight -= 1;
    held -= 1;
    const { handler } = slot.definition;
    metrics?.inFlight.set({ handler }, slot.inFlight);
    if (applied) metrics?.settled.add({ handler, outcome: outcomeOf(verdict) });
    if (verdict.kind === 'acknowledge') {
      if (verdict.because === 'already_done')
        log.info('A message had been done already.', { queue: message.queue, attempt: message.receiveCount });
      if (applied) await claimChecks.discard(message);
    } else if (verdict.kind === 'bury' && applied) {
      log.warn('A message was dead-lettered.', {
        queue: message.queue,
        attempt: message.receiveCount,
        errorCode: verdict.code,
      });
    }
    wake();
  };

  /** Fetches claim-checked bodies. What cannot be fetched is judged like a failed handler. */
  const open = async (slot: WorkerSlots, batch: readonly Held[]): Promise<readonly Delivery[]> => {
    const deliveries: Delivery[] = [];
    for (const { message, signal } of batch) {
      try {
        deliveries.push({
          message,
          signal,
          body: claimChecks.isCheck(message) ? await claimChecks.redeem(message) : message.body,
        });
      } catch (error) {
        void finish(
          slot,
          message,
          judgeFailure(error, message, { retry: slot.definition.retry, random, now: clock.now(), worker }),
        );
      }
    }
    return deliveries;
  };

  const runOne = async (slot: WorkerSlots, batch: readonly Held[]): Promise<void> => {
    const { definition } = slot;
    slot.running += 1;
    const startedAt = clock.monotonicMs();
    try {
      const deliveries = await open(slot, batch);
      if (deliveries.length === 0) return;
      await crashPoint('consumer.before-handle');
      const run = runBatch(definition, deliveries, () => ({ random, now: clock.now(), worker }), interrupting.signal);
      const verdicts = await run.verdicts;
      await crashPoint('consumer.after-handle');
      metrics?.handlerSeconds.observe({ handler: definition.handler }, (clock.monotonicMs() - startedAt) / 1000);
      for (const [index, { message }] of deliveries.entries()) {
        const verdict = verdicts[index];
        if (verdict !== undefined) void finish(slot, message, verdict);
      }
      await run.finished;
    } finally {
      slot.running -= 1;
      dispatch(slot);
      wake();
    }
  };

  const dispatch = (slot: WorkerSlots): void => {
    if (stopping.signal.aborted) return;
    for (let batch = slot.nextBatch(); batch !== undefined; batch = slot.nextBatch()) void runOne(slot, batch);
    const ripeInMs = slot.ripeInMs;
    if (ripeInMs !== undefined && ripeInMs > 0) {
      void clock.sleep(ripeInMs, stopping.signal).then(
        () => dispatch(slot),
        () => undefined,
      );
    }
  };

  const giveBackWaiting = (slot: WorkerSlots): void => {
    for (const { message } of slot.takeWaiting())
      void finish(slot, message, { kind: 'release', delayMs: 0, counted: false });
  };

  const accept = (messages: readonly ReceivedMessage[]): void => {
    const touched = new Set<WorkerSlots>();
    for (const message of messages) {
      const slot = byQueue.get(message.queue);
      if (slot === undefined) {
        // Its worker was removed meanwhile.
        void settler.settle(message, { kind: 'release', delayMs: 0, counted: false });
        continue;
      }
      slot.inFlight += 1;
      held += 1;
      slot.offer(heldMessages.add(message));
      touched.add(slot);
      metrics?.received.add({ handler: slot.definition.handler });
      metrics?.waitSeconds.observe(
        { handler: slot.definition.handler },
        Math.max(0, clock.now().getTime() - message.sentAt.getTime()) / 1000,
      );
    }
    for (const slot of touched) {
      metrics?.inFlight.set({ handler: slot.definition.handler }, slot.inFlight);
      if (stopping.signal.aborted || slot.paused) giveBackWaiting(slot);
      else dispatch(slot);
    }
  };

  const rest = async (ms: number, ...wakers: AbortSignal[]): Promise<void> =>
    clock.sleep(ms, AbortSignal.any([stopping.signal, ...wakers])).catch(() => undefined);

  /** What may be received now. A worker that is full or cut off stays in the list with 0, so that the transport sees one set of queues. */
  const survey = () => {
    const active = [...slots.values()].filter(({ paused }) => !paused);
    const places = active.map((slot) => ({ name: slot.definition.queue, max: slot.free }));
    const wanted = places.reduce((sum, { max }) => sum + max, 0);
    const reopensInMs = Math.min(
      ...active.map(({ definition }) => definition.breaker?.retryInMs || Number.POSITIVE_INFINITY),
      receiveWaitMs,
    );
    return {
      places,
      free: Math.min(total - held, wanted),
      saturated: wanted > total - held || places.some(({ max }) => max === 0),
      reopensInMs,
    };
  };

  const intake = async (): Promise<void> => {
    let failures = 0;
    while (!stopping.signal.aborted) {
      roomMade = new AbortController();
      workersChanged = new AbortController();
      let now = survey();
      if (now.free <= 0) {
        await rest(Math.min(1000, now.reopensInMs), roomMade.signal, workersChanged.signal);
        continue;
      }
      if (now.saturated && now.free < held) {
        // Where one handler ended more are about to: one call for all of them.
        await rest(2);
        now = survey();
      }
      try {
        await crashPoint('consumer.before-receive');
        const messages = await queues.receive({
          queues: now.places,
          total: now.free,
          waitMs: now.reopensInMs,
          // A full worker that gets room must not wait for the queues of the others.
          signal: AbortSignal.any([
            stopping.signal,
            workersChanged.signal,
            ...(now.saturated ? [roomMade.signal] : []),
          ]),
          ...(options.maxInFlightPerKey === undefined ? {} : { maxInFlightPerKey: options.maxInFlightPerKey }),
        });
        await crashPoint('consumer.after-receive');
        failures = 0;
        accept(messages);
      } catch (error) {
        if (stopping.signal.aborted) return;
        failures += 1;
        log.error('Messages could not be received; trying again.', { component: 'consumer', attempt: failures }, error);
        await rest(Math.max(50, fullJitter({ baseMs: 100, maxMs: 10_000 }, failures, random)));
      }
    }
  };

  const whenIdle = async (idle: () => boolean, withinMs: number): Promise<boolean> => {
    const deadline = clock.monotonicMs() + withinMs;
    while (!idle()) {
      const leftMs = deadline - clock.monotonicMs();
      if (leftMs <= 0) return false;
      const changed = new AbortController();
      const notice = (): void => changed.abort();
      idleWaiters.add(notice);
      await clock.sleep(Math.min(leftMs, 1000), changed.signal).catch(() => undefined);
      idleWaiters.delete(notice);
    }
    return true;
  };

  const slotOf = (name: string): WorkerSlots => {
    const slot = slots.get(name);
    if (slot === undefined)
      throw new CaseboundError('queue_settings_invalid', `There is no worker ${name} in this process.`);
    return slot;
  };

  return {
    get workers() {
      return [...slots.keys()];
    },
    add(definition) {
      if (slots.has(definition.name) || byQueue.has(definition.queue)) {
        throw new CaseboundError(
          'queue_settings_invalid',
          `The worker ${definition.name}, or another for ${definition.queue}, runs in this process already.`,
        );
      }
      const slot = new WorkerSlots(definition, clock);
      slots.set(definition.name, slot);
      byQueue.set(definition.queue, slot);
      workersChanged.abort();
    },
    pause(name) {
      const slot = slotOf(name);
      slot.paused = true;
      giveBackWaiting(slot);
      workersChanged.abort();
    },
    resume(name) {
      slotOf(name).paused = false;
      workersChanged.abort();
    },
    inFlight: (name) => slots.get(name)?.inFlight ?? 0,
    async remove(name) {
      const slot = slots.get(name);
      if (slot === undefined) return;
      slot.paused = true;
      giveBackWaiting(slot);
      workersChanged.abort();
      await whenIdle(() => slot.inFlight === 0 && slot.running === 0, Number.POSITIVE_INFINITY);
      slots.delete(name);
      byQueue.delete(slot.definition.queue);
    },
    start() {
      loops ??= Promise.all([intake(), heldMessages.run(stopped.signal)]);
    },
    async stop(deadlineMs) {
      stopping.abort(new CaseboundError('shutting_down', 'The worker is stopping.'));
      for (const slot of slots.values()) giveBackWaiting(slot);
      const idle = (): boolean => held === 0;
      if (!(await whenIdle(idle, deadlineMs))) {
        interrupting.abort(new CaseboundError('shutting_down', 'The worker is stopping; the deadline has passed.'));
        await whenIdle(idle, graceMs);
      }
      stopped.abort();
      await loops;
    },
  };
};

const outcomeOf = (verdict: Verdict): string => {
  switch (verdict.kind) {
    case 'acknowledge':
      return verdict.because === 'succeeded' ? 'acknowledged' : 'already_done';
    case 'release':
      return verdict.counted ? 'retried' : 'given_back';
    case 'bury':
      return 'dead_lettered';
    case 'abandon':
      return 'lease_lost';
  }
};
