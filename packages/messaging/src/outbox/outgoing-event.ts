/** How an event travels: its envelope as JSON, and the attributes that filter policies see. */
import { parseEvent } from '@casebound/contract';
import type { AnyEvent } from '@casebound/contract';
import type { OutgoingEvent } from '../ports.ts';

/** @throws CaseboundError `event_invalid` */
export const outgoingEventOf = (value: AnyEvent, delayMs = 0): OutgoingEvent => {
  const event = parseEvent(value);
  const common = { eventType: event.eventType, status: event.status, source: event.source };
  return {
    id: event.id,
    type: event.eventType,
    body: JSON.stringify(event),
    attributes:
      'jobId' in event ? { ...common, jobId: event.jobId, caseId: event.caseId, batchId: event.batchId } : common,
    fairnessKey: 'caseId' in event ? event.caseId : 0,
    ...(delayMs > 0 ? { delayMs } : {}),
  };
};
