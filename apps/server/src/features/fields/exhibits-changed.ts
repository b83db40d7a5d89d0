/** States that exhibits changed, in the transaction that changes them; the search index follows. */
import { randomBytes } from 'node:crypto';
import { type AnyEvent, type CaseId, eventCatalogue, ExhibitId, parseEvent } from '@casebound/contract';
import { v7 } from 'uuid';
import type { Queryable } from '../../database/index.ts';

/** Writes events into the outbox of the transaction's database. */
export type Publish = (tx: Queryable, events: readonly AnyEvent[]) => Promise<void>;

export type ExhibitsChanged = (
  tx: Queryable,
  caseId: CaseId,
  exhibitIds: readonly number[],
  /** What changed of them. */
  fields: readonly string[],
) => Promise<void>;

const exhibitsPerEvent = 1_000;
const namedFields = 100;

const traceparent = (): string => `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`;

const caseEvent = (
  type: 'EXHIBITS_CHANGED' | 'FIELD_DEFINITIONS_CHANGED',
  caseId: CaseId,
  rest: { readonly source: string; readonly exhibitIds?: readonly number[]; readonly detail: object },
): AnyEvent =>
  parseEvent({
    id: v7(),
    source: rest.source,
    caseId,
    ...(rest.exhibitIds === undefined ? {} : { exhibitIds: rest.exhibitIds.map((id) => ExhibitId.parse(id)) }),
    eventType: type,
    version: eventCatalogue[type].version,
    status: 'SUCCESS',
    eventDetail: rest.detail,
    timestamp: new Date().toISOString(),
    traceparent: traceparent(),
  });

/** One statement, however many exhibits. `source` names the part that changed them. */
export const createExhibitsChanged =
  (publish: Publish, source: string): ExhibitsChanged =>
  async (tx, caseId, exhibitIds, fields) => {
    const events: AnyEvent[] = [];
    for (let at = 0; at < exhibitIds.length; at += exhibitsPerEvent) {
      events.push(
        caseEvent('EXHIBITS_CHANGED', caseId, {
          source,
          exhibitIds: exhibitIds.slice(at, at + exhibitsPerEvent),
          detail: { fields: fields.length > namedFields ? [] : fields },
        }),
      );
    }
    if (events.length > 0) await publish(tx, events);
  };

/** That custom fields were added or changed. */
export const definitionsChanged = (caseId: CaseId, titles: readonly string[]): AnyEvent =>
  caseEvent('FIELD_DEFINITIONS_CHANGED', caseId, { source: 'fields', detail: { titles } });
