/**
 * Drives one exchange from state to state.
 *
 * 1. The job's row is the only memory. It is taken under a lease and a fencing token; a process that died is followed by whoever gets the
 *    job's next message, one that was overtaken changes nothing more.
 * 2. A step's result, the move to the next state and the events that state it are one transaction. A step that ran without that
 *    transaction runs again: steps are idempotent.
 * 3. A wait is a message with a delay, written in the transaction that lets go of the job: no timer dies with a process.
 * 4. What fails for good, and what is cancelled, goes to COMPENSATING, which undoes whatever was done, in one order for all.
 */
import { hasCode, type AnyEvent, type ExchangeState, type JobId } from '@casebound/contract';
import { classifyFailure, fullJitter } from '@casebound/messaging';
import type { OwnerTransaction } from '../../../database/index.ts';
import type { ExchangeDependencies } from '../dependencies.ts';
import { exchangeEvent } from '../exchange-event.ts';
import { crashAt } from './crash-at.ts';
import { changeJob, findJob, hasEnded, renewLease, takeJob, type ExchangeJob, type JobChange } from '../job-store.ts';

/** The queue whose messages make a job move. */
export const orchestratorQueue = 'exchange_orchestrator';

export type StepResult =
  | { readonly kind: 'next'; readonly state: ExchangeState; readonly change?: JobChange; readonly events?: Announce }
  | {
      readonly kind: 'wait';
      readonly ms: number;
      readonly change?: JobChange;
      readonly events?: Announce;
      /** The events are published with the wait's delay; the consumer of one of them is the one that wakes the job. */
      readonly wakes?: boolean;
    }
  /** Stay in the state and go on at once, with what was changed. */
  | { readonly kind: 'again'; readonly change: JobChange; readonly events?: Announce };
/** Events of the job as it is after the change. */
type Announce = (job: ExchangeJob) => readonly AnyEvent[];

export interface StepContext {
  readonly job: ExchangeJob;
  /** Aborts when the job is cancelled, overtaken, or the process stops. */
  readonly signal: AbortSignal;
  /** A long step stops at a checkpoint after this and goes on with a new message. */
  readonly overtime: () => boolean;
}
export type Step = (context: StepContext) => Promise<StepResult>;

export interface StepDefinition {
  readonly run: Step;
  /** Tries before the failure counts as one for good. */
  readonly attempts: number;
  readonly retry: { readonly baseMs: number; readonly maxMs: number };
}

/** A step for each state that is not an end. */
export type Steps = Readonly<Record<Exclude<ExchangeState, (typeof ends)[number]>, StepDefinition>>;
const ends = ['FINISHED', 'FINISHED_WITH_ERRORS', 'FAILED', 'CANCELLED', 'ROLLED_BACK'] as const;

const budgetMs = 240_000;

class Cancelled extends Error {}

export const createDriver = (dependencies: ExchangeDependencies, steps: Steps) => {
  const { control, clock, log, config, worker, crashPoint } = dependencies;

  /** Stores the result. Answers the job to go on with, or undefined when it was let go. */
  const store = async (job: ExchangeJob, result: StepResult): Promise<ExchangeJob | undefined> => {
    const messaging = dependencies.messaging();
    const { outbox, topic } = messaging;
    const publish = async (tx: OwnerTransaction, changed: ExchangeJob, delayMs: number): Promise<void> => {
      const events = result.events?.(changed) ?? [];
      await outbox.publish(tx, topic, events, delayMs === 0 ? {} : { delayMs });
    };
    return control.transaction({}, async (tx) => {
      switch (result.kind) {
        case 'next': {
          const ended = hasEnded(result.state);
          const changed = await changeJob(tx, job, { ...result.change, state: result.state, attempt: 0, idle: ended });
          // Whoever asked for it was told that it will be.
          if (ended && changed.cancelRequested && job.state !== 'COMPENSATING') throw new Cancelled();
          await publish(tx, changed, 0);
          return ended ? undefined : changed;
        }
        case 'again': {
          const changed = await changeJob(tx, job, { ...result.change, attempt: 0 });
          await publish(tx, changed, 0);
          return changed;
        }
        case 'wait': {
          const changed = await changeJob(tx, job, { ...result.change, idle: true });
          const delayMs = Math.round(Math.min(900_000, Math.max(0, result.ms)));
          await publish(tx, changed, result.wakes === true ? delayMs : 0);
          if (result.wakes !== true) await wake(tx, changed, delayMs, changed.tick);
          return undefined;
        }
      }
    });
  };

  const wake = async (
    tx: OwnerTransaction,
    job: Pick<ExchangeJob, 'jobId' | 'destinationCaseId'>,
    delayMs: number,
    tick?: number,
  ): Promise<void> =>
    dependencies.messaging().outbox.send(tx, orchestratorQueue, [
      {
        body: JSON.stringify({ jobId: job.jobId, ...(tick === undefined ? {} : { tick }) }),
        fairnessKey: job.destinationCaseId,
        delayMs,
      },
    ]);

  const afterFailure = async (
    job: ExchangeJob,
    step: StepDefinition,
    thrown: unknown,
  ): Promise<ExchangeJob | undefined> => {
    const { family, code, reason } = classifyFailure(thrown);
    const failure = { step: job.state, code, reason: reason.slice(0, 2000) };
    log.warn('A step of an exchange failed', {
      jobId: job.jobId,
      step: job.state,
      attempt: job.attempt + 1,
      errorCode: code,
    });
    if (code === 'internal')
      log.error('An unexpected failure in a step of an exchange', { jobId: job.jobId, step: job.state }, thrown);
    const attempt = job.attempt + 1;
    // Whoever had the job before works on in the copy until it notices that it was overtaken: what it leaves is looked at again.
    const isShared = code === 'copy_state_invalid';
    const retryable = family === 'recoverable' || isShared || job.state === 'COMPENSATING';
    if (retryable && (attempt < step.attempts || job.state === 'COMPENSATING')) {
      const ms = fullJitter(step.retry, Math.min(attempt, 30), Math.random);
      return store(job, { kind: 'wait', ms, change: { attempt, failure } });
    }
    const copying = job.state === 'COPYING_RECORDS' || job.state === 'POLICIES_APPLIED';
    return store(job, {
      kind: 'next',
      state: 'COMPENSATING',
      change: { endsAs: 'FAILED', failure },
      events: (changed) =>
        copying
          ? [
              exchangeEvent(changed, {
                type: 'COPY_FAILED',
                source: 'exchange.record-copy',
                status: 'SUCCESS',
                detail: { attempts: attempt, chunk: null },
              }),
            ]
          : [],
    });
  };

  /** Runs a step under the lease, which is renewed meanwhile. */
  const leased = async (
    job: ExchangeJob,
    outer: AbortSignal,
    step: StepDefinition,
    startedAt: number,
  ): Promise<StepResult> => {
    const unwanted = new AbortController();
    const ended = new AbortController();
    const renew = async (): Promise<void> => {
      for (;;) {
        await clock.sleep(Math.max(500, config.leaseMs / 4), ended.signal);
        const found = await control
          .transaction({ alongside: true }, async (tx) => renewLease(tx, job, config.leaseMs))
          .catch(() => ({ mine: true, cancelRequested: false }));
        if (!found.mine) unwanted.abort(new Overtaken());
        else if (found.cancelRequested && job.state !== 'COMPENSATING') unwanted.abort(new Cancelled());
      }
    };
    const renewing = renew().catch(() => undefined);
    try {
      return await step.run({
        job,
        signal: AbortSignal.any([outer, unwanted.signal]),
        overtime: () => clock.monotonicMs() - startedAt > budgetMs,
      });
    } catch (error) {
      throw unwanted.signal.aborted ? unwanted.signal.reason : error;
    } finally {
      ended.abort();
      await renewing;
    }
  };

  return {
    wake,
    /**
     * Takes the job and drives it until it ends, waits, or its time is up. Does nothing while another process drives it, and for a tick of
     * a wait that something else has ended.
     */
    async advance(jobId: JobId, signal: AbortSignal, tick?: number): Promise<void> {
      let job = await control.transaction({}, async (tx) => {
        const taken = await takeJob(tx, jobId, worker, config.leaseMs, tick);
        if (taken !== undefined) return taken;
        // Somebody drives it, or died driving it: looked at again when that shows.
        const held = await findJob(tx, jobId);
        const isCurrent = tick === undefined || held?.tick === tick;
        if (held !== undefined && !hasEnded(held.state) && isCurrent) await wake(tx, held, config.leaseMs, tick);
        return undefined;
      });
      const startedAt = clock.monotonicMs();
      while (job !== undefined) {
        const current: ExchangeJob = job;
        if (hasEnded(current.state)) return;
        // The ends were left out above; the record has a step for each other state.
        const step = steps[current.state as keyof Steps];
        try {
          if (signal.aborted) {
            await store(current, { kind: 'wait', ms: 0 });
            return;
          }
          if (current.cancelRequested && current.state !== 'COMPENSATING') throw new Cancelled();
          crashAt(crashPoint, current.state, 'begin');
          const result: StepResult =
            clock.monotonicMs() - startedAt > budgetMs
              ? { kind: 'wait', ms: 0 }
              : await leased(current, signal, step, startedAt);
          crashAt(crashPoint, current.state, 'done');
          job = await store(current, result);
        } catch (error) {
          if (error instanceof Overtaken || hasCode(error, 'lease_lost')) return;
          if (error instanceof Cancelled) {
            job = await store(current, { kind: 'next', state: 'COMPENSATING', change: { endsAs: 'CANCELLED' } });
          } else if (signal.aborted) {
            await store(current, { kind: 'wait', ms: 0 });
            return;
          } else job = await afterFailure(current, step, error);
        }
      }
    },
  };
};
export type Driver = ReturnType<typeof createDriver>;

/** Another process has the job now. */
class Overtaken extends Error {}
