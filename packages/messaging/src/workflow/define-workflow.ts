/** How a workflow is defined: named steps, what undoes each, and how often each is tried. */
import { CaseboundError } from '@casebound/contract';
import type { z } from 'zod';
import type { Backoff } from '../full-jitter.ts';
import type { Recordable } from '../idempotent.ts';
import type { Sql } from '../ports.ts';

export interface StepContext<I> {
  readonly workflowId: string;
  readonly input: I;
  /** Results of the steps before, by name. */
  readonly results: Readonly<Record<string, Recordable>>;
  /** 1 for the first try. */
  readonly attempt: number;
  /** Grows whenever another process takes the workflow over; pass it to whatever compares tokens. */
  readonly fencingToken: number;
  /** Aborts when the workflow is cancelled, taken over or the process stops. */
  readonly signal: AbortSignal;
}

export interface RunContext<I> extends StepContext<I> {
  /**
   * Makes the step's effect once in the given transaction, whatever is repeated. Late effects of a process that was overtaken
   * are refused. `part` tells several effects of one step apart.
   */
  once<T extends Recordable | void>(tx: Sql, effect: () => Promise<T>, part?: string): Promise<T>;
}

export interface UndoContext<I> extends StepContext<I> {
  /** What the step returned; undefined when it did not finish. */
  readonly result: Recordable | undefined;
  /**
   * Undoes, once, what `once` made in the same database. When that was never made it is made impossible instead, so that an
   * effect under way elsewhere cannot follow its own undoing.
   */
  undo(tx: Sql, effect: () => Promise<void>, part?: string): Promise<void>;
}

export interface Step<I> {
  /** Unique in its workflow. */
  readonly name: string;
  /** Idempotent: it runs again when a process dies after its effect and before its result is stored. */
  run(context: RunContext<I>): Promise<Recordable | void>;
  /** Undoes what `run` did, wholly, partly or not at all. Idempotent too. */
  compensate?(context: UndoContext<I>): Promise<void>;
  readonly attempts: number;
  readonly retry: Backoff;
}

export interface WorkflowDefinition<I = unknown> {
  readonly name: string;
  /** A running workflow goes on under the version it was started with; other versions are left to processes that know them. */
  readonly version: number;
  readonly input: z.ZodType<I>;
  readonly steps: readonly Step<I>[];
}

/** Three tries, 30 s, doubling, jittered. */
const defaults = { attempts: 3, retry: { baseMs: 15_000, maxMs: 900_000 } };

export interface StepDefinition<I> extends Pick<Step<I>, 'name' | 'run' | 'compensate'> {
  readonly attempts?: number;
  readonly retry?: Backoff;
}

/** Checks the definition and fills in defaults. @throws CaseboundError `queue_settings_invalid` */
export const defineWorkflow = <I>(definition: {
  readonly name: string;
  readonly version: number;
  readonly input: z.ZodType<I>;
  readonly steps: readonly StepDefinition<I>[];
}): WorkflowDefinition<I> => {
  const { name, steps } = definition;
  const refuse = (why: string): never => {
    throw new CaseboundError('queue_settings_invalid', `Workflow ${name}: ${why}.`);
  };
  if (!/^[a-z][a-z0-9-]{0,60}$/.test(name)) refuse('its name must be lower-case letters, digits and hyphens');
  if (steps.length === 0) refuse('it has no steps');
  const names = new Set<string>();
  for (const step of steps) {
    if (!/^[a-z][a-z0-9_-]{0,60}$/.test(step.name)) refuse(`the step name ${JSON.stringify(step.name)} is not allowed`);
    if (names.has(step.name)) refuse(`it has two steps ${step.name}`);
    names.add(step.name);
    if (step.attempts !== undefined && (!Number.isInteger(step.attempts) || step.attempts < 1))
      refuse(`step ${step.name} has ${step.attempts} attempts`);
  }
  return { ...definition, steps: steps.map((step) => ({ ...defaults, ...step })) };
};
