/** Writes audit rows in the transaction that makes the changes: one statement, however many records changed. */
import { arrayLiteral } from '@casebound/records';
import type { Queryable } from '../../database/index.ts';

/** Field -> [old value, new value]; null for none. */
export type Changes = Readonly<Record<string, readonly [unknown, unknown]>>;

export interface ChangedRecord {
  readonly recordId: number;
  /** Natural identity as people know it. */
  readonly recordKey: string;
  readonly changes: Changes;
}

export interface ChangeOrigin {
  /** Account id, or `system`. */
  readonly actor: string;
  readonly requestId?: string;
  /** `import {job}`, `overlay {job}`, ... for what a job did. */
  readonly origin?: string;
}

/** Transaction and time are asked for once, not for each row. `resource` is the endpoint of the case model, `exhibits`. */
export const recordChanges = async (
  tx: Queryable,
  by: ChangeOrigin,
  resource: string,
  records: readonly ChangedRecord[],
): Promise<void> => {
  if (records.length === 0) return;
  await tx.query(
    `INSERT INTO model_audit (xid, at_us, actor, request_id, origin, resource, record_id, record_key, changes)
     SELECT (SELECT pg_current_xact_id()), (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), $1, $2, $3, $4,
            unnest($5::bigint[]), unnest($6::text[]), unnest($7::jsonb[])`,
    [
      by.actor,
      by.requestId ?? null,
      by.origin ?? null,
      resource,
      arrayLiteral(records.map((record) => record.recordId)),
      arrayLiteral(records.map((record) => record.recordKey)),
      arrayLiteral(records.map((record) => JSON.stringify(record.changes))),
    ],
  );
};
