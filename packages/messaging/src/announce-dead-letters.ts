/**
 * A dead letter publishes an error event that names the job and the item, so that no job hangs on a message that died.
 *
 * What died may be a job's message, an event on its way to a consumer, or unreadable. The first two tell their job, case and
 * batch; a job that declares a `failureEvent` has that stated with status ERROR, anything else is MESSAGE_DEAD_LETTERED. What
 * cannot be read is STRAY_MESSAGE_DEAD_LETTERED.
 */
import { createHash, randomBytes } from 'node:crypto';
import { EventEnvelope, eventCatalogue, JobContext } from '@casebound/contract';
import type { AnyEvent, EventId, EventType, JobDeclaration } from '@casebound/contract';
import { z } from 'zod';
import type { DeadLetter } from './postgres/postgres-dead-letters.ts';

const DeadJob = z.object({ job: z.string(), context: JobContext });

const parseBody = (body: string): unknown => {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
};

/** The same dead letter always states the same event: a repeated announcement is recognized by its id. UUIDv8 (RFC 9562, section 5.8). */
const eventIdOf = (letter: DeadLetter): EventId => {
  const hash = createHash('sha256')
    .update(`dead-letter/${letter.deadLetterId}/${letter.diedAt.toISOString()}`)
    .digest('hex');
  // Shaped as a UUID here; the brand says no more.
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(13, 16)}-a${hash.slice(17, 20)}-${hash.slice(20, 32)}` as EventId;
};

/** The error event of a dead letter. `jobs`: the declarations that this build knows. */
export const errorEventOf = (letter: DeadLetter, jobs: readonly JobDeclaration[]): AnyEvent => {
  const value = parseBody(letter.body);
  const asJob = DeadJob.safeParse(value);
  const asEvent = EventEnvelope.safeParse(value);
  const declaration = asJob.success ? jobs.find(({ name }) => name === asJob.data.job) : undefined;
  const about = asJob.success ? asJob.data.context : asEvent.success ? JobContext.parse(asEvent.data) : undefined;
  const base = { id: eventIdOf(letter), source: 'messaging', timestamp: letter.diedAt.toISOString() };
  const detail = {
    queue: letter.queue,
    messageId: letter.messageId,
    job: asJob.success ? asJob.data.job : null,
    attempts: letter.receiveCount,
    code: letter.code,
    reason: letter.reason.slice(0, 2000),
    deadLetterId: letter.deadLetterId,
  };
  if (about === undefined) {
    return {
      ...base,
      traceparent: `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`,
      eventType: 'STRAY_MESSAGE_DEAD_LETTERED',
      version: eventCatalogue.STRAY_MESSAGE_DEAD_LETTERED.version,
      status: 'SUCCESS',
      eventDetail: detail,
    };
  }
  const failureEvent: EventType | undefined = declaration?.failureEvent;
  if (failureEvent !== undefined && eventCatalogue[failureEvent].scope === 'job') {
    return {
      ...base,
      ...about,
      eventType: failureEvent,
      version: eventCatalogue[failureEvent].version,
      status: 'ERROR',
      eventDetail: { code: letter.code, message: letter.reason.slice(0, 2000), deadLetterId: letter.deadLetterId },
    };
  }
  return {
    ...base,
    ...about,
    eventType: 'MESSAGE_DEAD_LETTERED',
    version: eventCatalogue.MESSAGE_DEAD_LETTERED.version,
    status: 'SUCCESS',
    eventDetail: detail,
  };
};
