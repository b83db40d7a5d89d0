/**
 * Ends imports whose message died: nothing would carry them on, and whoever watches one would wait for ever.
 *
 * - Nothing is undone: what killed the message may be mended, and the import then goes on after its last checkpoint, by `resume` or when its
 *   dead letter is put back.
 */
import { type CaseId, hasCode, type JobId } from '@casebound/contract';
import { handleEvents, type HandlerCatalogue, type Messaging, serveTopic } from '@casebound/messaging';
import type { CaseSessions } from '../../database/index.ts';
import type { Log } from '../../platform/log/Port.ts';
import { stopImport } from './store.ts';

export interface DeadRunParts {
  readonly sessions: CaseSessions;
  readonly log: Log;
  readonly messaging: () => Messaging;
}

const queue = 'import_dead_letters';
/** What imports state of themselves has another source. */
const policy = { eventType: ['IMPORT_FAILED'], source: ['messaging'] };
const handlerTimeoutMs = 60_000;
const maxReceiveCount = 20;
const system = { kind: 'system', reason: 'import' } as const;

interface Death {
  readonly caseId: CaseId;
  readonly jobId: JobId;
  readonly code: string;
  readonly reason: string;
  readonly diedAt: Date;
}

const stop = async ({ sessions, log }: DeadRunParts, { caseId, jobId, ...death }: Death): Promise<void> => {
  try {
    if (await sessions.withCase(caseId, system, async (tx) => stopImport(tx, jobId, death)))
      log.warn('The message of an import died; the import can be resumed', { caseId, jobId, errorCode: death.code });
  } catch (error) {
    if (!hasCode(error, 'case_not_found')) throw error;
  }
};

export const createDeadRunFollower = (parts: DeadRunParts) => ({
  /** For `createMessaging`; called once. */
  catalogue: (): HandlerCatalogue => ({
    [queue]: {
      handlerTimeoutMs,
      retry: { baseMs: 500, maxMs: 60_000 },
      reserved: 1,
      handle: handleEvents({
        IMPORT_FAILED: async ({ caseId, jobId, timestamp, ...event }) => {
          if (event.status !== 'ERROR') return;
          const { code, message: reason } = event.eventDetail;
          await stop(parts, { caseId, jobId, code, reason, diedAt: new Date(timestamp) });
        },
      }),
    },
  }),
  /** Makes the queue that all processes share. Done again, it changes nothing. */
  async start(): Promise<void> {
    await serveTopic(parts.messaging(), { queue, policy, handlerTimeoutMs, maxReceiveCount });
  },
});
