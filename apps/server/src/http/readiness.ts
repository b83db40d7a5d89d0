/**
 * Can the server do its work? Checks are run when somebody asks, but at most once a second however many ask, because the
 * question is public.
 */
import { CaseboundError } from '@casebound/contract';
import type { Readiness as ReadinessReport } from '@casebound/contract';
import type { Clock } from '../platform/clock/Port.ts';
import type { Log } from '../platform/log/Port.ts';

/** Returns what was found, or throws: a `CaseboundError` says why in its detail. */
export type ReadinessCheck = (signal: AbortSignal) => Promise<string>;

export interface Readiness {
  /** All checks; never rejects. */
  report(): Promise<ReadinessReport>;
  /** From now on the server is not ready. */
  beginShutdown(): void;
}

interface Dependencies {
  readonly checks: Readonly<Record<string, ReadinessCheck>>;
  readonly clock: Clock;
  readonly log: Log;
  /** For each check; 3,000 by default. */
  readonly timeoutMs?: number;
}

const FRESH_FOR_MS = 1000;

export const createReadiness = ({ checks, clock, log, timeoutMs = 3000 }: Dependencies): Readiness => {
  let shuttingDown = false;
  let last: { readonly atMs: number; readonly report: Promise<ReadinessReport> } | undefined;

  const runCheck = async (name: string, check: ReadinessCheck): Promise<ReadinessReport['checks'][number]> => {
    const limit = new AbortController();
    const settled = new AbortController();
    const timeout = clock.sleep(timeoutMs, settled.signal).then(
      () => {
        const late = new CaseboundError('operation_timeout', `No result within ${timeoutMs} ms.`);
        limit.abort(late);
        throw late;
      },
      () => '',
    );
    try {
      return { name, ok: true, detail: await Promise.race([check(limit.signal), timeout]) };
    } catch (error) {
      log.warn('A readiness check failed', {
        component: name,
        ...(error instanceof CaseboundError ? { errorCode: error.code } : {}),
      });
      const detail = error instanceof CaseboundError ? error.message : 'It failed for a reason that was not foreseen.';
      return { name, ok: false, detail };
    } finally {
      settled.abort();
    }
  };

  const runChecks = async (): Promise<ReadinessReport> => {
    const results = await Promise.all(Object.entries(checks).map(async ([name, check]) => runCheck(name, check)));
    return { ready: results.every(({ ok }) => ok), checks: results };
  };

  return {
    async report() {
      if (shuttingDown) {
        return { ready: false, checks: [{ name: 'server', ok: false, detail: 'The server is shutting down.' }] };
      }
      const nowMs = clock.monotonicMs();
      if (last === undefined || nowMs - last.atMs >= FRESH_FOR_MS) last = { atMs: nowMs, report: runChecks() };
      return last.report;
    },
    beginShutdown() {
      shuttingDown = true;
    },
  };
};

/** The answer of `/health/ready`: the report, or `not_ready` with the checks that failed. */
export const requireReady = (report: ReadinessReport): ReadinessReport => {
  if (report.ready) return report;
  const failed = report.checks.filter(({ ok }) => !ok);
  throw new CaseboundError('not_ready', `Not ready: ${failed.map(({ name }) => name).join(', ')}.`, {
    errors: failed.map(({ name, detail }) => ({ path: name, message: detail })),
    retryAfterSeconds: 5,
  });
};
