/**
 * Verification of an exchange, between the take-down of its queues and its end.
 *
 * - Answers how many items failed, whether source and destination agree, and where the signed manifest lies, if one was made. It changes
 *   nothing and can be repeated.
 */
import type { ExchangeDependencies } from '../dependencies.ts';
import type { ExchangeJob } from '../job-store.ts';

export interface Verification {
  readonly items: number;
  readonly failedItems: number;
  readonly agrees: boolean;
  readonly manifestKey: string | null;
}

/** Compares what the ledger says was brought with what stands in the destination. */
export const verifyExchange = async (
  { sessions }: Pick<ExchangeDependencies, 'sessions'>,
  job: ExchangeJob,
  signal: AbortSignal,
): Promise<Verification> =>
  sessions.withCase(
    job.destinationCaseId,
    job.createdBy,
    async (tx) => {
      const { rows } = await tx.query<{ items: number; failed: number; absent: number; unproved: number }>(
        `SELECT (SELECT count(*)::int FROM exchange_exhibit WHERE job_id = $1) AS items,
                (SELECT count(DISTINCT exhibit_id)::int FROM exchange_item WHERE job_id = $1 AND state = 'failed')
                  + (SELECT count(*)::int FROM exchange_exhibit WHERE job_id = $1 AND action = 'missing') AS failed,
                (SELECT count(*)::int FROM exchange_exhibit e WHERE job_id = $1 AND action IN ('inserted', 'overlaid')
                   AND NOT EXISTS (SELECT FROM exhibit x WHERE x.document_id = e.exhibit_id AND x.document_document_id = e.document_id)) AS absent,
                (SELECT count(*)::int FROM exchange_exhibit e JOIN exchange_item i ON i.job_id = e.job_id AND i.exhibit_id = e.exhibit_id
                   WHERE e.job_id = $1 AND i.state = 'pending') AS unproved`,
        [job.jobId],
      );
      const [row] = rows;
      return {
        items: row?.items ?? 0,
        failedItems: row?.failed ?? 0,
        agrees: row?.absent === 0 && row.unproved === 0,
        manifestKey: null,
      };
    },
    { readOnly: true, signal, statementTimeoutMs: 600_000, transactionTimeoutMs: 1_800_000 },
  );
