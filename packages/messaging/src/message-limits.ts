/** Limits that hold on every transport, so that what works on one works on the other. Source: Amazon SQS quotas. */
import { CaseboundError } from '@casebound/contract';
import type { OutgoingMessage } from './ports.ts';

export const maxDelayMs = 900_000;
/** SQS carries ten; one is the transport's own. */
const maxAttributes = 9;
/** A message whose key was seen within this time is not enqueued again: the window of SQS. */
export const dedupeWindowMs = 300_000;

/** Bytes of body and attributes as SQS counts them. */
export const messageBytes = (message: Pick<OutgoingMessage, 'body' | 'attributes'>): number => {
  let bytes = Buffer.byteLength(message.body);
  for (const [name, value] of Object.entries(message.attributes ?? {})) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 'String'.length;
  }
  return bytes;
};

/** @throws CaseboundError `message_invalid`, `message_too_large` */
export const checkMessage = (queue: string, message: OutgoingMessage, maxBytes: number): void => {
  const { delayMs = 0, fairnessKey = 0, attributes = {}, dedupeKey } = message;
  if (!Number.isInteger(delayMs) || delayMs < 0 || delayMs > maxDelayMs) {
    throw new CaseboundError(
      'message_invalid',
      `A message for ${queue} has a delay of ${delayMs} ms; it can be 0 to ${maxDelayMs}.`,
    );
  }
  if (!Number.isSafeInteger(fairnessKey) || fairnessKey < 0) {
    throw new CaseboundError(
      'message_invalid',
      `A message for ${queue} has the fairness key ${fairnessKey}; it must be a whole number from 0.`,
    );
  }
  if (Object.keys(attributes).length > maxAttributes) {
    throw new CaseboundError('message_invalid', `A message for ${queue} has more than ${maxAttributes} attributes.`);
  }
  if (dedupeKey !== undefined && !/^[\x21-\x7e]{1,128}$/.test(dedupeKey)) {
    throw new CaseboundError(
      'message_invalid',
      `A message for ${queue} has a dedupe key that is not 1 to 128 printable ASCII characters.`,
    );
  }
  if (message.body.includes('\0')) {
    throw new CaseboundError(
      'message_invalid',
      `A message for ${queue} holds the character U+0000, which no transport carries.`,
    );
  }
  const bytes = messageBytes(message);
  if (bytes > maxBytes) {
    throw new CaseboundError(
      'message_too_large',
      `A message for ${queue} has ${bytes} bytes; the transport carries ${maxBytes}.`,
    );
  }
};
