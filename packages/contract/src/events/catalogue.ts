/**
 * All events. An event that is not declared here can be neither published nor received.
 *
 * - Names are unique over all maps; a test proves it.
 * - A change that an old consumer cannot read takes a new `version`.
 * - `docs/events.md` is generated from this; a test fails when it is stale.
 */
import type { z } from 'zod';
import type { CancelledDetail, ErrorDetail, EventDeclaration } from './declare-event.ts';
import type { CaseEventEnvelope, EventEnvelope, SystemEventEnvelope } from './envelope.ts';
import { caseEvents } from './case-events.ts';
import { exchangeEvents } from './exchange-events.ts';
import { importEvents } from './import-events.ts';
import { messagingEvents } from './messaging-events.ts';

export const eventCatalogue = {
  ...exchangeEvents,
  ...importEvents,
  ...caseEvents,
  ...messagingEvents,
} as const satisfies Record<string, EventDeclaration>;

type Catalogue = typeof eventCatalogue;
export type EventType = keyof Catalogue;

interface Envelopes {
  readonly job: EventEnvelope;
  readonly case: CaseEventEnvelope;
  readonly system: SystemEventEnvelope;
}

type Base<T extends EventType> = Omit<Envelopes[Catalogue[T]['scope']], 'eventType' | 'status' | 'eventDetail'>;

/** An event of type T, discriminated by `status`. */
export type EventOf<T extends EventType> = {
  [K in T]: Base<K> &
    (
      | { eventType: K; status: 'SUCCESS'; eventDetail: z.output<Catalogue[K]['detail']> }
      | { eventType: K; status: 'ERROR'; eventDetail: ErrorDetail }
      | { eventType: K; status: 'CANCELLED'; eventDetail: CancelledDetail }
    );
}[T];

/** Any event. */
export type AnyEvent = EventOf<EventType>;

/** True for a name of the catalogue. */
export const isEventType = (name: string): name is EventType => Object.hasOwn(eventCatalogue, name);

/** All names of the catalogue. */
export const eventTypes = Object.keys(eventCatalogue).filter((name): name is EventType => isEventType(name));
