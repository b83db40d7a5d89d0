/**
 * What follows from events about a case: exhibits that changed are put into the search index, and definitions that changed are forgotten by
 * every process.
 *
 * - An event comes to one process. That of definitions is passed on to all by a notification of the control database, which each listens to;
 *   one that was not connected forgets everything when it is again.
 */
import { CaseId, hasCode, type Actor } from '@casebound/contract';
import { handleEvents, serveTopic, type HandlerCatalogue, type Messaging } from '@casebound/messaging';
import type { Database, Listener } from '../../database/index.ts';
import type { Fields } from './create-fields.ts';
import type { StorageParts } from './migrate-storage.ts';

export interface FollowParts {
  readonly control: Database;
  readonly fields: Fields;
  readonly indexAnew: StorageParts['indexAnew'];
  readonly messaging: () => Messaging;
}

const queue = 'case_changes';
const channel = 'casebound_fields';
const policy = { eventType: ['EXHIBITS_CHANGED', 'FIELD_DEFINITIONS_CHANGED'] };
const handlerTimeoutMs = 300_000;
const maxReceiveCount = 20;
const system: Actor = { kind: 'system', reason: 'index' };

/** A case that is deleted has nothing to follow. */
const unlessGone = async (work: () => Promise<void>): Promise<void> => {
  try {
    await work();
  } catch (error) {
    if (!hasCode(error, 'case_not_found')) throw error;
  }
};

export const createCaseFollower = ({ control, fields, indexAnew, messaging }: FollowParts) => ({
  /** For `createMessaging`; called once. */
  catalogue: (): HandlerCatalogue => ({
    [queue]: {
      handlerTimeoutMs,
      retry: { baseMs: 500, maxMs: 60_000 },
      reserved: 1,
      handle: handleEvents({
        EXHIBITS_CHANGED: async (event) => {
          const ids = event.exhibitIds ?? [];
          await unlessGone(async () => indexAnew(event.caseId, system, ids, AbortSignal.timeout(handlerTimeoutMs)));
        },
        FIELD_DEFINITIONS_CHANGED: async ({ caseId }) => {
          await control.transaction({ alongside: true }, async (tx) =>
            tx.query('SELECT pg_notify($1, $2)', [channel, String(caseId)]),
          );
        },
      }),
    },
  }),
  /** Makes the queue that all processes share. Done again, it changes nothing. */
  async start(): Promise<void> {
    await serveTopic(messaging(), { queue, policy, handlerTimeoutMs, maxReceiveCount });
  },
  /** Forgets definitions that changed anywhere. The caller closes it. */
  listen: async (): Promise<Listener> =>
    control.listen(
      channel,
      (payload) => {
        const caseId = CaseId.safeParse(Number(payload));
        if (caseId.success) fields.forget(caseId.data);
      },
      () => fields.forget(),
    ),
});
