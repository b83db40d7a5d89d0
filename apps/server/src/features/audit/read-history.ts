/** What the audit trail says of one record, in the order in which it was written. */
import type { Queryable } from '../../database/index.ts';

export interface HistoryEntry {
  readonly auditId: number;
  readonly at: string;
  readonly actor: string;
  readonly requestId: string | null;
  readonly origin: string | null;
  readonly resource: string;
  readonly recordId: number;
  readonly recordKey: string;
  readonly changes: Readonly<Record<string, readonly [unknown, unknown]>>;
  /** Stands in a block of the chain. */
  readonly sealed: boolean;
}

interface EntryRow {
  readonly audit_id: string;
  readonly at_us: string;
  readonly actor: string;
  readonly request_id: string | null;
  readonly origin: string | null;
  readonly resource: string;
  readonly record_id: string;
  readonly record_key: string;
  readonly changes: Readonly<Record<string, readonly [unknown, unknown]>>;
  readonly sealed: boolean;
}

/** Entries about a record, in the order in which they were made, after `after`. */
export const readHistory = async (
  tx: Queryable,
  recordId: number,
  page: { readonly after: number; readonly limit: number; readonly field?: string | undefined },
): Promise<{ readonly entries: readonly HistoryEntry[]; readonly next: number | null }> => {
  const { rows } = await tx.query<EntryRow & Record<string, unknown>>(
    `SELECT audit_id, at_us, actor, request_id, origin, resource, record_id, record_key, changes,
            coalesce((xid < last.end_xid AND audit_id > last.floor_id) OR audit_id <= coalesce(last.ceil_id, last.floor_id), false) AS sealed
     FROM model_audit LEFT JOIN LATERAL (SELECT * FROM audit_block ORDER BY block_no DESC LIMIT 1) AS last ON true
     WHERE record_id = $1 AND audit_id > $2 AND ($4::text IS NULL OR changes ? $4) ORDER BY audit_id LIMIT $3`,
    [recordId, page.after, page.limit + 1, page.field ?? null],
  );
  const entries = rows.slice(0, page.limit).map((row): HistoryEntry => ({
    auditId: Number(row.audit_id),
    at: new Date(Number(row.at_us) / 1000).toISOString(),
    actor: row.actor,
    requestId: row.request_id,
    origin: row.origin,
    resource: row.resource,
    recordId: Number(row.record_id),
    recordKey: row.record_key,
    changes: row.changes,
    sealed: row.sealed,
  }));
  return { entries, next: rows.length > page.limit ? (entries.at(-1)?.auditId ?? null) : null };
};
