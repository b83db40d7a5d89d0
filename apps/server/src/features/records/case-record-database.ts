/** The record store's database port over the transactions of a case. The store repeats transactions itself, and counts them. */
import type { Actor, CaseId } from '@casebound/contract';
import type { RecordDatabase } from '@casebound/records';
import type { CaseSessions, TransactionOptions } from '../../database/index.ts';

export const caseRecordDatabase = (
  sessions: CaseSessions,
  caseId: CaseId,
  actor: Actor,
  options: TransactionOptions = {},
): RecordDatabase => ({
  transaction: async (fn) => sessions.withCase(caseId, actor, fn, { ...options, retryOnConflict: false }),
});
