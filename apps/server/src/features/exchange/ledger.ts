/**
 * The ledger of an exchange, in the destination case: which exhibits travel, and how far each is in each stage.
 *
 * 1. An item leaves `pending` once. `settleItems` says which items it was that took it out; the others were ended before, by
 *    another delivery, and must have no second effect.
 * 2. Items of one exhibit that end in different stages at once meet at the exhibit's row, so that the last of them knows that it is.
 */
import type { ExchangeStage, ExhibitId, JobId } from '@casebound/contract';
import type { Queryable } from '../../database/index.ts';
import { firstStages } from './stages.ts';

export type ItemEnd = 'done' | 'failed' | 'skipped';

export interface Outcome {
  readonly exhibitId: number;
  readonly state: ItemEnd;
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly code?: string;
  readonly reason?: string;
  readonly deadLetterId?: string;
}

/** An exhibit that was copied, with what processors need to know of both ends. */
export interface LedgerExhibit {
  readonly exhibitId: ExhibitId;
  readonly documentId: number;
  readonly documentKey: string;
  readonly controlNumber: string;
  readonly sourceExhibitId: number;
  readonly sourceDocumentId: number;
  readonly sourceDocumentKey: string;
  readonly sourceBatchId: number;
}

interface ExhibitRow {
  readonly exhibit_id: string;
  readonly document_id: string;
  readonly document_key: string;
  readonly control_number: string;
  readonly source_exhibit_id: string;
  readonly source_document_id: string;
  readonly source_document_key: string;
  readonly source_batch_id: string;
}

/** Those of the exhibits whose item of the stage is still pending. */
export const pendingExhibits = async (
  tx: Queryable,
  jobId: JobId,
  stage: ExchangeStage,
  exhibitIds: readonly number[],
): Promise<LedgerExhibit[]> => {
  const { rows } = await tx.query<ExhibitRow>(
    `SELECT e.exhibit_id, e.document_id, e.document_key, e.control_number, e.source_exhibit_id, e.source_document_id, e.source_document_key, e.source_batch_id
     FROM exchange_item i JOIN exchange_exhibit e ON e.job_id = i.job_id AND e.exhibit_id = i.exhibit_id
     WHERE i.job_id = $1 AND i.stage = $2 AND i.exhibit_id = ANY ($3::bigint[]) AND i.state = 'pending' ORDER BY e.ordinal`,
    [jobId, stage, exhibitIds],
  );
  return rows.map((row) => ({
    // Written from the record store's ids, which the contract bounds.
    exhibitId: Number(row.exhibit_id) as ExhibitId,
    documentId: Number(row.document_id),
    documentKey: row.document_key,
    controlNumber: row.control_number,
    sourceExhibitId: Number(row.source_exhibit_id),
    sourceDocumentId: Number(row.source_document_id),
    sourceDocumentKey: row.source_document_key,
    sourceBatchId: Number(row.source_batch_id),
  }));
};

/**
 * Ends items of a stage, and says of which exhibits it was this call that did. Where stages of one exhibit run side by side, it locks the exhibits
 * first: whoever ends another stage of the same exhibit waits, and then sees this one's end. Where each stage begins with the end of the one
 * before, there is nobody to wait for.
 */
export const settleItems = async (
  tx: Queryable,
  { jobId, stages }: { readonly jobId: JobId; readonly stages: readonly ExchangeStage[] },
  stage: ExchangeStage,
  outcomes: readonly Outcome[],
): Promise<ReadonlySet<number>> => {
  if (outcomes.length === 0) return new Set();
  const ids = outcomes.map(({ exhibitId }) => exhibitId);
  if (firstStages(stages).length > 1)
    await tx.query(
      'SELECT exhibit_id FROM exchange_exhibit WHERE job_id = $1 AND exhibit_id = ANY ($2::bigint[]) ORDER BY exhibit_id FOR NO KEY UPDATE',
      [jobId, ids],
    );
  const { rows } = await tx.query<{ exhibit_id: string }>(
    `UPDATE exchange_item i
     SET state = o.state, detail = o.detail::jsonb, code = o.code, reason = o.reason, dead_letter_id = o.dead_letter_id, attempts = attempts + 1, updated_at = clock_timestamp()
     FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) AS o (exhibit_id, state, detail, code, reason, dead_letter_id)
     WHERE i.job_id = $1 AND i.stage = $2 AND i.exhibit_id = o.exhibit_id AND i.state = 'pending' RETURNING i.exhibit_id`,
    [
      jobId,
      stage,
      ids,
      outcomes.map(({ state }) => state),
      outcomes.map(({ detail }) => (detail === undefined ? null : JSON.stringify(detail))),
      outcomes.map(({ code }) => code ?? null),
      outcomes.map(({ reason }) => reason?.slice(0, 2000) ?? null),
      outcomes.map(({ deadLetterId }) => deadLetterId ?? null),
    ],
  );
  return new Set(rows.map((row) => Number(row.exhibit_id)));
};

/** Of the exhibits, those whose only pending item is that of the stage. */
export const onlyPendingIn = async (
  tx: Queryable,
  jobId: JobId,
  stage: ExchangeStage,
  exhibitIds: readonly number[],
): Promise<number[]> => {
  // Exhibit by exhibit, so that the cost does not hang on what the planner believes of a job that is a minute old.
  const { rows } = await tx.query<{ exhibit_id: string }>(
    `SELECT e.exhibit_id FROM unnest($3::bigint[]) AS e (exhibit_id) CROSS JOIN LATERAL (
       SELECT count(*) AS pending, bool_and(stage = $2) AS is_it FROM exchange_item i
       WHERE i.job_id = $1 AND i.exhibit_id = e.exhibit_id AND i.state = 'pending'
     ) i WHERE i.pending = 1 AND i.is_it ORDER BY 1`,
    [jobId, stage, exhibitIds],
  );
  return rows.map((row) => Number(row.exhibit_id));
};

export interface StageCount {
  readonly stage: string;
  readonly state: string;
  readonly count: number;
}

export const countItems = async (tx: Queryable, jobId: JobId): Promise<StageCount[]> => {
  const { rows } = await tx.query<StageCount>(
    'SELECT stage, state, count(*)::int AS count FROM exchange_item WHERE job_id = $1 GROUP BY stage, state',
    [jobId],
  );
  return rows;
};

export const hasPending = async (tx: Queryable, jobId: JobId): Promise<boolean> => {
  const { rows } = await tx.query<{ pending: boolean }>(
    `SELECT EXISTS (SELECT FROM exchange_item WHERE job_id = $1 AND state = 'pending') AS pending`,
    [jobId],
  );
  return rows[0]?.pending === true;
};
