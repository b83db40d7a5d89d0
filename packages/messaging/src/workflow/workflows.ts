/** Starting, watching, cancelling and resuming workflows. */
import { randomUUID } from 'node:crypto';
import { CaseboundError } from '@casebound/contract';
import type { Sql, SqlDatabase } from '../ports.ts';
import { integer } from '../postgres/rows.ts';
import type { WorkflowDefinition } from './define-workflow.ts';
import { readWorkflow, workflowColumns } from './workflow-store.ts';
import type { WorkflowRow, WorkflowState } from './workflow-store.ts';

export interface StartOptions {
  /** A second start of the workflow with this key finds the first. */
  readonly startKey: string;
  /** The tenant, for fairness and admission; 0 for none. */
  readonly fairnessKey: number;
  /** How many workflows of the tenant may be open at once; beyond it `too_many_jobs`. */
  readonly maxOpenPerKey?: number;
}

export interface Workflows {
  /**
   * Starts a workflow, as part of the caller's transaction. `started: false`: the key was used before; that workflow is answered.
   * @throws CaseboundError `too_many_jobs` with the time after which to try again
   */
  start<I>(
    tx: Sql,
    definition: WorkflowDefinition<I>,
    input: I,
    options: StartOptions,
  ): Promise<{ readonly workflow: WorkflowRow; readonly started: boolean }>;
  /** @throws CaseboundError `workflow_not_found` */
  show(workflowId: string): Promise<WorkflowRow>;
  /** Newest first, before `before` (a workflow's id). */
  list(filter: {
    readonly state?: WorkflowState;
    readonly name?: string;
    readonly before?: string;
    readonly limit: number;
  }): Promise<readonly WorkflowRow[]>;
  /** Asks for cancellation: what was done is compensated. Asking twice changes nothing. @throws CaseboundError `workflow_conflict` when it has ended otherwise. */
  cancel(workflowId: string): Promise<WorkflowRow>;
  /** Goes on with a stuck workflow, or wakes one that nobody drives. @throws CaseboundError `workflow_conflict` when it has ended. */
  resume(workflowId: string): Promise<WorkflowRow>;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** UUIDv7 (RFC 9562, section 5.7), so that newer workflows sort after older ones. */
const newWorkflowId = (now: Date): string => {
  const time = now.getTime().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
};

export const createWorkflows = (parts: {
  readonly database: SqlDatabase;
  readonly schedule: (
    tx: Sql,
    workflow: Pick<WorkflowRow, 'workflowId' | 'fairnessKey'>,
    delayMs: number,
  ) => Promise<void>;
  readonly now: () => Date;
}): Workflows => {
  const { database, schedule, now } = parts;

  const find = async (sql: Sql, workflowId: string, lock = ''): Promise<WorkflowRow> => {
    const { rows } = uuid.test(workflowId)
      ? await sql.query(`SELECT ${workflowColumns} FROM messaging.workflow WHERE workflow_id = $1 ${lock}`, [
          workflowId,
        ])
      : { rows: [] };
    const [row] = rows;
    if (row === undefined)
      throw new CaseboundError(
        'workflow_not_found',
        `There is no workflow ${JSON.stringify(workflowId.slice(0, 60))}.`,
      );
    return readWorkflow(row);
  };

  const admit = async (tx: Sql, fairnessKey: number, most: number): Promise<void> => {
    await tx.query('SELECT pg_advisory_xact_lock(1128350534, hashint8($1::bigint))', [fairnessKey]);
    const { rows } = await tx.query(
      `SELECT count(*) AS open FROM messaging.workflow WHERE fairness_key = $1::bigint AND state IN ('running', 'compensating', 'stuck')`,
      [fairnessKey],
    );
    const open = rows[0] === undefined ? 0 : integer(rows[0], 'open');
    if (open >= most) {
      throw new CaseboundError('too_many_jobs', `Case ${fairnessKey} has ${open} jobs running; at most ${most} may.`, {
        retryAfterSeconds: 30,
      });
    }
  };

  return {
    async start(tx, definition, input, { startKey, fairnessKey, maxOpenPerKey }) {
      const earlier = await tx.query(
        `SELECT ${workflowColumns} FROM messaging.workflow WHERE name = $1 AND start_key = $2`,
        [definition.name, startKey],
      );
      const [known] = earlier.rows;
      if (known !== undefined) return { workflow: readWorkflow(known), started: false };
      if (maxOpenPerKey !== undefined) await admit(tx, fairnessKey, maxOpenPerKey);
      const { rows } = await tx.query(
        `INSERT INTO messaging.workflow (workflow_id, name, version, fairness_key, start_key, state, input)
         VALUES ($1, $2, $3, $4, $5, 'running', $6::jsonb) ON CONFLICT (name, start_key) DO NOTHING RETURNING ${workflowColumns}`,
        [
          newWorkflowId(now()),
          definition.name,
          definition.version,
          fairnessKey,
          startKey,
          JSON.stringify(definition.input.parse(input)),
        ],
      );
      const [inserted] = rows;
      if (inserted === undefined) {
        // Another transaction started it while this one waited.
        const { rows: found } = await tx.query(
          `SELECT ${workflowColumns} FROM messaging.workflow WHERE name = $1 AND start_key = $2`,
          [definition.name, startKey],
        );
        const [row] = found;
        if (row === undefined)
          throw new CaseboundError(
            'workflow_conflict',
            `The workflow ${definition.name} was started and removed at the same time.`,
          );
        return { workflow: readWorkflow(row), started: false };
      }
      const workflow = readWorkflow(inserted);
      await schedule(tx, workflow, 0);
      return { workflow, started: true };
    },
    show: async (workflowId) => find(database, workflowId),
    async list({ state, name, before, limit }) {
      if (before !== undefined) await find(database, before);
      const { rows } = await database.query(
        `SELECT ${workflowColumns} FROM messaging.workflow
         WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR name = $2) AND ($3::uuid IS NULL OR workflow_id < $3)
         ORDER BY workflow_id DESC LIMIT $4`,
        [state ?? null, name ?? null, before ?? null, limit],
      );
      return rows.map(readWorkflow);
    },
    cancel: async (workflowId) =>
      database.transaction(async (tx) => {
        const row = await find(tx, workflowId, 'FOR UPDATE');
        if (row.state === 'cancelled' || (row.cancelRequested && row.state !== 'succeeded')) return row;
        if (row.state !== 'running') {
          throw new CaseboundError(
            'workflow_conflict',
            `The workflow ${workflowId} is ${row.state}; only a running one can be cancelled.`,
          );
        }
        await tx.query(
          'UPDATE messaging.workflow SET cancel_requested = true, updated_at = clock_timestamp() WHERE workflow_id = $1',
          [workflowId],
        );
        // Who drives it sees the request itself; one that waits is woken.
        if (row.worker === null) await schedule(tx, row, 0);
        return find(tx, workflowId);
      }),
    resume: async (workflowId) =>
      database.transaction(async (tx) => {
        const row = await find(tx, workflowId, 'FOR UPDATE');
        if (row.state === 'stuck') {
          await tx.query(
            `UPDATE messaging.workflow SET state = 'compensating', attempt = 0, updated_at = clock_timestamp() WHERE workflow_id = $1`,
            [workflowId],
          );
        } else if (row.state !== 'running' && row.state !== 'compensating') {
          throw new CaseboundError('workflow_conflict', `The workflow ${workflowId} has ended: it is ${row.state}.`);
        }
        await schedule(tx, row, 0);
        return find(tx, workflowId);
      }),
  };
};
