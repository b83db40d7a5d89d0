/**
 * Events are checked on both ends: a publisher cannot state, and a consumer does not act on, what its declaration does not
 * describe. Unknown type, other version or unknown members of the detail are errors.
 */
import { z } from 'zod';
import { CaseboundError } from '../casebound-error.ts';
import { eventCatalogue, isEventType } from './catalogue.ts';
import type { AnyEvent, EventOf, EventType } from './catalogue.ts';
import { CancelledDetail, ErrorDetail } from './declare-event.ts';
import { CaseEventEnvelope, EventEnvelope, SystemEventEnvelope } from './envelope.ts';

const envelopes = { job: EventEnvelope, case: CaseEventEnvelope, system: SystemEventEnvelope };

const Typed = z.object({ eventType: z.string() });

const refuse = (what: string, error: z.ZodError): CaseboundError =>
  new CaseboundError('event_invalid', `${what} does not match its declaration: ${firstIssue(error)}`, {
    errors: error.issues.map((issue) => ({ path: jsonPath(issue.path), message: issue.message })),
  });

const jsonPath = (path: readonly PropertyKey[]): string =>
  path.reduce<string>((text, part) => text + (typeof part === 'number' ? `[${part}]` : `.${String(part)}`), '$');

const firstIssue = (error: z.ZodError): string => {
  const issue = error.issues[0];
  return issue === undefined ? 'it is not valid.' : `${jsonPath(issue.path)}: ${issue.message}`;
};

/**
 * Checks a value from outside and gives it its type.
 * @throws CaseboundError `event_invalid` with the JSON path of every fault; values are not repeated in it.
 */
export const parseEvent = (value: unknown): AnyEvent => {
  const typed = Typed.safeParse(value);
  if (!typed.success) throw refuse('An event', typed.error);
  const { eventType } = typed.data;
  if (!isEventType(eventType)) {
    throw new CaseboundError(
      'event_invalid',
      `There is no event type ${JSON.stringify(eventType.slice(0, 80))} in the catalogue.`,
    );
  }
  const declaration = eventCatalogue[eventType];
  const envelope = envelopes[declaration.scope].strict().safeParse(value);
  if (!envelope.success) throw refuse(`The envelope of ${eventType}`, envelope.error);
  if (envelope.data.version !== declaration.version) {
    throw new CaseboundError(
      'event_invalid',
      `${eventType} arrived in version ${envelope.data.version}; this build reads version ${declaration.version}.`,
    );
  }
  const schema = {
    SUCCESS: declaration.detail.strict(),
    ERROR: ErrorDetail.strict(),
    CANCELLED: CancelledDetail.strict(),
  }[envelope.data.status];
  const detail = schema.safeParse(envelope.data.eventDetail);
  if (!detail.success) throw refuse(`The detail of ${eventType} with status ${envelope.data.status}`, detail.error);
  // The parsed boundary: type, scope, status and detail have just been checked against the declaration of this type.
  return { ...envelope.data, eventType, eventDetail: detail.data } as AnyEvent;
};

/** As `parseEvent`, of one of the types a consumer subscribed to. @throws CaseboundError `event_invalid` for another type. */
export const parseEventOf = <T extends EventType>(types: readonly T[], value: unknown): EventOf<T> => {
  const event = parseEvent(value);
  if (!types.some((type) => type === event.eventType)) {
    throw new CaseboundError(
      'event_invalid',
      `${event.eventType} arrived where only ${types.join(', ')} are expected.`,
    );
  }
  return event as EventOf<T>;
};
