/**
 * The record store's database port over the transactions of a case.
 *
 * 1. Every statement runs as the case's own role, in its schema: the store can reach nothing else.
 * 2. A write is two round trips: its reads travel with BEGIN, its COMMIT with the last statement.
 * 3. The store repeats transactions by itself, so they are not repeated here.
 */
import type { Actor, CaseId } from '@casebound/contract';
import type { RecordDatabase } from '@casebound/records';
import type { CaseSessions, TransactionOptions } from '../../database/index.ts';

/** Opens nothing: each transaction takes a connection for its time. `options` are those of every transaction. */
export const caseRecordDatabase = (
  sessions: Pick<CaseSessions, 'withCase'>,
  caseId: CaseId,
  actor: Actor,
  options: Omit<TransactionOptions, 'retryOnConflict' | 'readsWithBegin' | 'isolation'> = {},
): RecordDatabase => ({
  transaction: async (fn) =>
    sessions.withCase(caseId, actor, async (tx) => fn(tx), {
      ...options,
      retryOnConflict: false,
      readsWithBegin: true,
    }),
});
