/**
 * Seals the audit trails of cases, about a second behind their writers.
 *
 * - A case is sealed when this process wrote to its trail, and every case once in a while, for what processes that died left.
 * - A failure to seal delays a seal and nothing else; it is logged and tried again.
 */
import { hasCode, type CaseId } from '@casebound/contract';
import type { CaseSessions } from '../../database/index.ts';
import type { Clock } from '../../platform/clock/Port.ts';
import type { Log } from '../../platform/log/Port.ts';
import { sealAudit } from './seal-audit.ts';

export interface AuditSealer {
  /** The trail of the case has grown. */
  note(caseId: CaseId): void;
  /** Seals what can be sealed now. @returns how many rows */
  seal(caseId: CaseId): Promise<number>;
  /** Seals noted cases every second, and all of `cases` every few minutes, until the signal aborts. */
  run(cases: () => Promise<readonly CaseId[]>, signal: AbortSignal): Promise<void>;
}

export interface AuditSealerOptions {
  readonly sessions: Pick<CaseSessions, 'withCase'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly everyMs?: number;
  readonly allEveryMs?: number;
}

const system = { kind: 'system', reason: 'audit' } as const;
/** Rounds in which a case is looked at again, because a transaction still ran when it was sealed. */
const rounds = 10;

export const createAuditSealer = ({
  sessions,
  clock,
  log,
  everyMs = 1_000,
  allEveryMs = 600_000,
}: AuditSealerOptions): AuditSealer => {
  const noted = new Map<CaseId, number>();
  const seal = async (caseId: CaseId): Promise<number> => sessions.withCase(caseId, system, sealAudit);
  const sealQuietly = async (caseId: CaseId): Promise<void> => {
    try {
      await seal(caseId);
    } catch (error) {
      const isGone = hasCode(error, 'case_not_found') || hasCode(error, 'case_archived') || hasCode(error, 'case_busy');
      if (!isGone) log.warn('the audit trail of a case could not be sealed; it is tried again', { caseId });
    }
  };
  return {
    note(caseId) {
      noted.set(caseId, rounds);
    },
    seal,
    async run(cases, signal) {
      let allAt = clock.monotonicMs() + allEveryMs;
      while (!signal.aborted) {
        await clock.sleep(everyMs, signal).catch(() => undefined);
        if (signal.aborted) return;
        const due = [...noted];
        for (const [caseId, left] of due) {
          if (left <= 1) noted.delete(caseId);
          else noted.set(caseId, left - 1);
          await sealQuietly(caseId);
        }
        if (clock.monotonicMs() < allAt) continue;
        allAt = clock.monotonicMs() + allEveryMs;
        for (const caseId of await cases().catch(() => [])) {
          if (signal.aborted) return;
          await sealQuietly(caseId);
        }
      }
    },
  };
};
