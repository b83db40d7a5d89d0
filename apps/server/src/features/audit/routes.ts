/** Thin: from the contract's operations to the use cases. */
import { type Handlers, hasCode } from '@casebound/contract';
import type { AuditSealer } from './audit-sealer.ts';
import { readHistory } from './read-history.ts';
import { type CustodyParts, traceCustody } from './trace-custody.ts';
import { verifyAudit } from './verify-audit.ts';

export type AuditHandlers = Pick<Handlers, 'verifyAudit' | 'readAuditHistory' | 'getChainOfCustody'>;
export interface AuditHandlerParts extends CustodyParts {
  /** Seals what can be sealed of a case now. */
  readonly seal: AuditSealer['seal'];
}

/** A trail of millions of rows is walked in one state of the database. */
const verificationTimeoutMs = 1_800_000;

export const createAuditHandlers = (parts: AuditHandlerParts): AuditHandlers => ({
  verifyAudit: async ({ actor, params, body, signal }) => {
    // Where no server runs, nobody else seals. A case that is archived takes no blocks; it is verified as it is.
    await parts.seal(params.caseId).catch((error: unknown) => {
      if (!hasCode(error, 'case_archived')) throw error;
    });
    const found = await parts.sessions.withCase(params.caseId, actor, async (tx) => verifyAudit(tx, body.head), {
      readOnly: true,
      isolation: 'repeatable read',
      transactionTimeoutMs: verificationTimeoutMs,
      signal,
    });
    return { ...found, findings: [...found.findings] };
  },
  readAuditHistory: async ({ actor, params, query }) => {
    const { entries, next } = await parts.sessions.withCase(
      params.caseId,
      actor,
      async (tx) => readHistory(tx, params.exhibitId, query),
      { readOnly: true, readsWithBegin: true },
    );
    return {
      next,
      entries: entries.map((entry) => ({
        ...entry,
        changes: Object.fromEntries(
          Object.entries(entry.changes).map(([field, [old, now]]): [string, [unknown, unknown]] => [field, [old, now]]),
        ),
      })),
    };
  },
  getChainOfCustody: async ({ actor, params }) => traceCustody(parts, actor, params.caseId, params.exhibitId),
});
