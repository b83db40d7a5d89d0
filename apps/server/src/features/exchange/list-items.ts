/** The ledger in pages: what became of each exhibit's records, and how each of its stages ended. */
import { ExchangeItem, type ExchangeItemState, type JobId } from '@casebound/contract';
import { z } from 'zod';
import type { ExchangeDependencies } from './dependencies.ts';
import { getJob } from './job-store.ts';

export interface ItemFilter {
  readonly state?: ExchangeItemState | undefined;
  readonly stage?: ExchangeItem['stage'] | undefined;
  /** `ordinal.stage` of the last item of the page before. */
  readonly after?: string | undefined;
  readonly limit: number;
}

const Row = z.object({
  ordinal: z.coerce.number(),
  exhibit_id: z.coerce.number().nullable(),
  source_exhibit_id: z.coerce.number(),
  source_control_number: z.string(),
  control_number: z.string().nullable(),
  stage: ExchangeItem.shape.stage,
  state: ExchangeItem.shape.state,
  attempts: z.number(),
  code: z.string().nullable(),
  reason: z.string().nullable(),
  dead_letter_id: z.string().nullable(),
  detail: z.record(z.string(), z.unknown()).nullable(),
  updated_at: z.date().nullable(),
});

/** Errors: `exchange_not_found`, those of `withCase`. */
export const listItems = async (
  { control, sessions }: Pick<ExchangeDependencies, 'control' | 'sessions'>,
  jobId: JobId,
  { state, stage, after, limit }: ItemFilter,
): Promise<{ readonly items: ExchangeItem[]; readonly next: string | null }> => {
  const job = await control.transaction({ readOnly: true }, async (tx) => getJob(tx, jobId));
  const [ordinal = '0', lastStage = ''] = (after ?? '0.').split('.');
  const { rows } = await sessions.withCase(
    job.destinationCaseId,
    job.createdBy,
    async (tx) =>
      tx.query(
        `SELECT * FROM (
           SELECT e.ordinal, e.exhibit_id, e.source_exhibit_id, e.source_control_number, e.control_number, 'records' AS stage,
                  CASE e.action WHEN 'selected' THEN 'pending' WHEN 'missing' THEN 'failed' WHEN 'inserted' THEN 'done' WHEN 'overlaid' THEN 'done' ELSE 'skipped' END AS state,
                  0 AS attempts, CASE WHEN e.action IN ('selected', 'inserted') THEN NULL ELSE e.action END AS code,
                  CASE e.action WHEN 'skipped' THEN 'The destination has an exhibit of this number.' WHEN 'duplicate' THEN 'The destination has a document with this hash.'
                    WHEN 'missing' THEN 'The exhibit was gone from the source.' END AS reason,
                  NULL AS dead_letter_id, NULL::jsonb AS detail, NULL::timestamptz AS updated_at
           FROM exchange_exhibit e WHERE e.job_id = $1 AND e.ordinal >= $2
           UNION ALL
           SELECT e.ordinal, e.exhibit_id, e.source_exhibit_id, e.source_control_number, e.control_number, i.stage, i.state, i.attempts, i.code, i.reason, i.dead_letter_id, i.detail, i.updated_at
           FROM exchange_item i JOIN exchange_exhibit e ON e.job_id = i.job_id AND e.exhibit_id = i.exhibit_id WHERE i.job_id = $1 AND e.ordinal >= $2
         ) AS item
         WHERE (ordinal, stage) > ($2::bigint, $3) AND ($4::text IS NULL OR state = $4) AND ($5::text IS NULL OR stage = $5)
         ORDER BY ordinal, stage LIMIT $6`,
        [jobId, Number(ordinal) || 0, lastStage, state ?? null, stage ?? null, limit],
      ),
    { readOnly: true },
  );
  const found = rows.map((row) => Row.parse(row));
  const last = found.at(-1);
  return {
    items: found.map((row) =>
      ExchangeItem.parse({
        exhibitId: row.exhibit_id,
        sourceExhibitId: row.source_exhibit_id,
        sourceControlNumber: row.source_control_number,
        controlNumber: row.control_number,
        stage: row.stage,
        state: row.state,
        attempts: row.attempts,
        code: row.code,
        reason: row.reason,
        deadLetterId: row.dead_letter_id,
        detail: row.detail,
        updatedAt: row.updated_at?.toISOString() ?? null,
      }),
    ),
    next: found.length === limit && last !== undefined ? `${last.ordinal}.${last.stage}` : null,
  };
};
