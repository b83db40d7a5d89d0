/**
 * Drives one workflow: steps forward, or compensations in reverse.
 *
 * 1. State is one row, changed by compare-and-set under the fencing token. A process that died is continued by whoever gets the
 *    workflow's message next, at the step where it was; a process that was overtaken changes nothing more.
 * 2. A step's result and the move to the next step are one change. A step that ran without that change runs again: steps are
 *    idempotent, and `once` makes them so.
 * 3. A wait is a message with a delay, written in the transaction that stores the failed try: no timer dies with a process.
 * 4. After a failure for good, or a cancellation, every step that may have had an effect is compensated, last first, the failing
 *    one included.
 */
import { CaseboundError } from '@casebound/contract';
import { classifyFailure } from '../classify-failure.ts';
import { fullJitter } from '../full-jitter.ts';
import type { Random } from '../full-jitter.ts';
import { idempotent } from '../idempotent.ts';
import type { Recordable } from '../idempotent.ts';
import type { MessagingCrashPoint } from '../crash-points.ts';
import type { Clock, Log, Sql, SqlDatabase } from '../ports.ts';
import { boolean } from '../postgres/rows.ts';
import type { RunContext, Step, StepContext, UndoContext, WorkflowDefinition } from './define-workflow.ts';
import { changeWorkflow, peekWorkflow, takeWorkflow } from './workflow-store.ts';
import type { StepError, WorkflowChange, WorkflowRow } from './workflow-store.ts';

export interface DriverOptions {
  readonly database: SqlDatabase;
  readonly definitions: readonly WorkflowDefinition[];
  /** Has the workflow looked at again after the delay, as part of the transaction. */
  readonly schedule: (
    tx: Sql,
    workflow: Pick<WorkflowRow, 'workflowId' | 'fairnessKey'>,
    delayMs: number,
  ) => Promise<void>;
  readonly worker: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly crashPoint: MessagingCrashPoint;
  /** After this long a driver hands over to a new message, so that no handler runs without end. */
  readonly budgetMs: number;
  /** How often a running step looks whether it is still wanted. Default 1,000. */
  readonly watchMs?: number;
}

const effectKey = (row: WorkflowRow, step: string, part: string | undefined): string =>
  `workflow/${row.workflowId}/${step}${part === undefined ? '' : `/${part}`}`;

const runContext = (base: StepContext<unknown>, row: WorkflowRow, step: string): RunContext<unknown> => ({
  ...base,
  once: async (tx, effect, part) => idempotent(tx, effectKey(row, step, part), row.fencingToken, effect),
});

const undoContext = (base: StepContext<unknown>, row: WorkflowRow, step: string): UndoContext<unknown> => ({
  ...base,
  result: row.results[step],
  async undo(tx, effect, part) {
    const key = effectKey(row, step, part);
    const { rows } = await tx.query('SELECT fresh, result FROM messaging.claim_effect($1, $2::bigint, true)', [
      key,
      row.fencingToken,
    ]);
    const [claim] = rows;
    // Without a result it was ruled out, by this compensation when it ran before.
    if (claim === undefined || boolean(claim, 'fresh') || claim['result'] === null) return;
    await idempotent(tx, `${key}/undo`, row.fencingToken, effect);
  },
});

export const createDriver = (options: DriverOptions) => {
  const { database, worker, clock, random, log, crashPoint, budgetMs, watchMs = 1000 } = options;

  /** Runs one step with a signal that follows cancellation and takeover. */
  const watched = async <T>(
    row: WorkflowRow,
    outer: AbortSignal,
    heedCancel: boolean,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const ended = new AbortController();
    const unwanted = new AbortController();
    const watch = async (): Promise<void> => {
      for (;;) {
        await clock.sleep(watchMs, ended.signal);
        const { mine, cancelRequested } = await peekWorkflow(database, row).catch(() => ({
          mine: true,
          cancelRequested: false,
        }));
        if (!mine)
          unwanted.abort(
            new CaseboundError('lease_lost', `The workflow ${row.workflowId} was taken over by another process.`),
          );
        else if (cancelRequested && heedCancel)
          unwanted.abort(new CaseboundError('workflow_conflict', `The workflow ${row.workflowId} is being cancelled.`));
      }
    };
    const watching = watch().catch(() => undefined);
    try {
      return await work(AbortSignal.any([outer, unwanted.signal]));
    } catch (error) {
      throw unwanted.signal.aborted ? unwanted.signal.reason : error;
    } finally {
      ended.abort();
      await watching;
    }
  };

  const contextOf = (row: WorkflowRow, input: unknown, signal: AbortSignal): StepContext<unknown> => ({
    workflowId: row.workflowId,
    input,
    results: row.results,
    attempt: row.attempt + 1,
    fencingToken: row.fencingToken,
    signal,
  });

  const errorOf = (
    row: WorkflowRow,
    step: string,
    phase: StepError['phase'],
    code: string,
    reason: string,
  ): StepError => ({
    step,
    phase,
    attempt: row.attempt + 1,
    at: clock.now().toISOString(),
    worker,
    code,
    error: reason.slice(0, 2000),
  });

  /** Stores a failed try; answers the row to go on with, or undefined when a later message will. */
  const afterFailure = async (
    row: WorkflowRow,
    step: Step<unknown>,
    phase: StepError['phase'],
    thrown: unknown,
  ): Promise<WorkflowRow | undefined> => {
    const { family, code, reason } = classifyFailure(thrown);
    if (code === 'lease_lost' || code === 'shutting_down') throw thrown;
    log.warn('A step of a workflow failed.', {
      component: 'workflow',
      step: step.name,
      attempt: row.attempt + 1,
      errorCode: code,
    });
    const error = errorOf(row, step.name, phase, code, reason);
    if (family === 'recoverable' && row.attempt + 1 < step.attempts) {
      await database.transaction(async (tx) => {
        await changeWorkflow(tx, row, { attempt: row.attempt + 1, error, idle: true });
        await options.schedule(tx, row, Math.min(900_000, fullJitter(step.retry, row.attempt + 1, random)));
      });
      return undefined;
    }
    const change: WorkflowChange =
      phase === 'run'
        ? { state: 'compensating', attempt: 0, error }
        : { state: 'stuck', attempt: 0, error, idle: true };
    const changed = await changeWorkflow(database, row, change);
    return phase === 'run' ? changed : undefined;
  };

  const forward = async (
    row: WorkflowRow,
    definition: WorkflowDefinition,
    input: unknown,
    signal: AbortSignal,
  ): Promise<WorkflowRow | undefined> => {
    if (row.cancelRequested || (await peekWorkflow(database, row)).cancelRequested) {
      return changeWorkflow(database, row, { state: 'compensating', attempt: 0 });
    }
    const step = definition.steps[row.step];
    if (step === undefined) {
      await changeWorkflow(database, row, { state: 'succeeded', idle: true });
      return undefined;
    }
    let value: Recordable;
    try {
      await crashPoint('workflow.before-step');
      value =
        (await watched(row, signal, true, async (wanted) =>
          step.run(runContext(contextOf(row, input, wanted), row, step.name)),
        )) ?? null;
    } catch (error) {
      return afterFailure(row, step, 'run', error);
    }
    await crashPoint('workflow.after-step');
    return changeWorkflow(database, row, { step: row.step + 1, attempt: 0, result: { step: step.name, value } });
  };

  const backward = async (
    row: WorkflowRow,
    definition: WorkflowDefinition,
    input: unknown,
    signal: AbortSignal,
  ): Promise<WorkflowRow | undefined> => {
    if (row.step < 0) {
      const { cancelRequested } = await peekWorkflow(database, row);
      await changeWorkflow(database, row, { state: cancelRequested ? 'cancelled' : 'failed', idle: true });
      return undefined;
    }
    const step = definition.steps[row.step];
    try {
      await crashPoint('workflow.before-compensation');
      await watched(row, signal, false, async (wanted) =>
        step?.compensate?.(undoContext(contextOf(row, input, wanted), row, step.name)),
      );
    } catch (error) {
      if (step === undefined) throw error;
      return afterFailure(row, step, 'compensate', error);
    }
    await crashPoint('workflow.after-compensation');
    return changeWorkflow(database, row, { step: row.step - 1, attempt: 0 });
  };

  return {
    /**
     * Takes the workflow and drives it until it ends, waits, or the budget is spent.
     * @throws CaseboundError `lease_lost` when another process took it over, `shutting_down`; `workflow_not_found` for an unknown definition.
     */
    async advance(workflowId: string, signal: AbortSignal): Promise<void> {
      let row = await takeWorkflow(database, workflowId, worker);
      if (row === undefined) return;
      const startedAt = clock.monotonicMs();
      const { name, version } = row;
      const definition = options.definitions.find((known) => known.name === name && known.version === version);
      if (definition === undefined) {
        throw new CaseboundError(
          'overloaded',
          `This process does not know version ${version} of the workflow ${name}; another may.`,
        );
      }
      const input = definition.input.parse(row.input);
      while (row !== undefined) {
        signal.throwIfAborted();
        if (clock.monotonicMs() - startedAt >= budgetMs) {
          const current: WorkflowRow = row;
          await database.transaction(async (tx) => {
            await changeWorkflow(tx, current, { idle: true });
            await options.schedule(tx, current, 0);
          });
          return;
        }
        row = await (row.state === 'compensating' ? backward : forward)(row, definition, input, signal);
      }
    },
  };
};
