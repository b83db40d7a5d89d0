/**
 * The row of a workflow. Every change names the fencing token under which its author took the workflow; when another process
 * has taken it since, nothing changes and `lease_lost` is thrown.
 */
import { CaseboundError } from '@casebound/contract';
import type { Recordable } from '../idempotent.ts';
import type { Sql } from '../ports.ts';
import { boolean, integer, nullable, text, time } from '../postgres/rows.ts';
import type { Row } from '../postgres/rows.ts';

export const workflowStates = ['running', 'compensating', 'succeeded', 'failed', 'cancelled', 'stuck'] as const;
/** `stuck`: a compensation failed as often as it may; an operator mends the cause and resumes. */
export type WorkflowState = (typeof workflowStates)[number];

export interface StepError {
  readonly step: string;
  readonly phase: 'run' | 'compensate';
  readonly attempt: number;
  /** ISO 8601. */
  readonly at: string;
  readonly worker: string;
  readonly code: string;
  readonly error: string;
}

export interface WorkflowRow {
  readonly workflowId: string;
  readonly name: string;
  readonly version: number;
  readonly fairnessKey: number;
  readonly startKey: string;
  readonly state: WorkflowState;
  /** Index of the step that is next to run or to compensate. */
  readonly step: number;
  /** Tries of that step that failed. */
  readonly attempt: number;
  readonly fencingToken: number;
  readonly cancelRequested: boolean;
  readonly input: unknown;
  readonly results: Readonly<Record<string, Recordable>>;
  readonly errors: readonly StepError[];
  readonly worker: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export const workflowColumns =
  'workflow_id, name, version, fairness_key, start_key, state, step, attempt, fencing_token, cancel_requested, input, results, errors, worker, created_at, updated_at';

const stateOf = (row: Row): WorkflowState => {
  const state = workflowStates.find((known) => known === row['state']);
  if (state === undefined) throw new TypeError('A workflow has a state that this version does not know.');
  return state;
};

export const readWorkflow = (row: Row): WorkflowRow => ({
  workflowId: text(row, 'workflow_id'),
  name: text(row, 'name'),
  version: integer(row, 'version'),
  fairnessKey: integer(row, 'fairness_key'),
  startKey: text(row, 'start_key'),
  state: stateOf(row),
  step: integer(row, 'step'),
  attempt: integer(row, 'attempt'),
  fencingToken: integer(row, 'fencing_token'),
  cancelRequested: boolean(row, 'cancel_requested'),
  input: row['input'],
  // Written below alone, from values of these types.
  results: row['results'] as Readonly<Record<string, Recordable>>,
  errors: row['errors'] as readonly StepError[],
  worker: nullable(text, row, 'worker'),
  createdAt: time(row, 'created_at'),
  updatedAt: time(row, 'updated_at'),
});

/** Takes the workflow over: whoever had it before is fenced off. Undefined when it has ended, is stuck or is unknown. */
export const takeWorkflow = async (sql: Sql, workflowId: string, worker: string): Promise<WorkflowRow | undefined> => {
  const { rows } = await sql.query(
    `UPDATE messaging.workflow SET fencing_token = fencing_token + 1, worker = $2, updated_at = clock_timestamp()
     WHERE workflow_id = $1 AND state IN ('running', 'compensating') RETURNING ${workflowColumns}`,
    [workflowId, worker],
  );
  return rows.map(readWorkflow)[0];
};

export interface WorkflowChange {
  readonly state?: WorkflowState;
  readonly step?: number;
  readonly attempt?: number;
  readonly result?: { readonly step: string; readonly value: Recordable };
  readonly error?: StepError;
  /** The author lets go of it. */
  readonly idle?: boolean;
}

/** @throws CaseboundError `lease_lost` */
export const changeWorkflow = async (
  sql: Sql,
  row: Pick<WorkflowRow, 'workflowId' | 'fencingToken'>,
  change: WorkflowChange,
): Promise<WorkflowRow> => {
  const { rows } = await sql.query(
    `UPDATE messaging.workflow
     SET state = coalesce($3, state), step = coalesce($4::int, step), attempt = coalesce($5::int, attempt),
         results = CASE WHEN $6::text IS NULL THEN results ELSE results || jsonb_build_object($6::text, $7::jsonb) END,
         errors = CASE WHEN $8::jsonb IS NULL THEN errors WHEN jsonb_array_length(errors) >= 100 THEN (errors - 0) || $8::jsonb ELSE errors || $8::jsonb END,
         worker = CASE WHEN $9 THEN NULL ELSE worker END, updated_at = clock_timestamp()
     WHERE workflow_id = $1 AND fencing_token = $2::bigint RETURNING ${workflowColumns}`,
    [
      row.workflowId,
      row.fencingToken,
      change.state ?? null,
      change.step ?? null,
      change.attempt ?? null,
      change.result?.step ?? null,
      change.result === undefined ? null : JSON.stringify(change.result.value),
      change.error === undefined ? null : JSON.stringify(change.error),
      change.idle ?? false,
    ],
  );
  const [changed] = rows.map(readWorkflow);
  if (changed === undefined)
    throw new CaseboundError('lease_lost', `The workflow ${row.workflowId} was taken over by another process.`);
  return changed;
};

/** What a driver looks at while a step runs. */
export const peekWorkflow = async (
  sql: Sql,
  row: Pick<WorkflowRow, 'workflowId' | 'fencingToken'>,
): Promise<{ readonly mine: boolean; readonly cancelRequested: boolean }> => {
  const { rows } = await sql.query(
    'SELECT fencing_token, cancel_requested FROM messaging.workflow WHERE workflow_id = $1',
    [row.workflowId],
  );
  const [now] = rows;
  if (now === undefined) return { mine: false, cancelRequested: false };
  return {
    mine: integer(now, 'fencing_token') === row.fencingToken,
    cancelRequested: boolean(now, 'cancel_requested'),
  };
};
