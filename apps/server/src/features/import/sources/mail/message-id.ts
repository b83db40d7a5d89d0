/** Identity of messages: the Message-ID, its EDRM hash, and what holds a thread together. */
import { createHash } from 'node:crypto';

const messageIdPattern = /<[^<>\s]{1,998}>/gu;

/** The first Message-ID of a value, with its angle brackets; one without brackets gets none and is as written. */
export const readMessageId = (value: string | undefined): string | null => {
  if (value === undefined) return null;
  const [found] = value.match(messageIdPattern) ?? [];
  if (found !== undefined) return found;
  const bare = value.replaceAll(/[\s\0]+/gu, ' ').trim();
  return bare === '' ? null : bare.slice(0, 998);
};

/** All Message-IDs of References, oldest first, at most 1,000. */
export const readReferences = (value: string | undefined): string[] =>
  (value?.match(messageIdPattern) ?? []).slice(0, 1000);

/** EDRM MIH: MD5 of the Message-ID with its angle brackets, as bytes of UTF-8, lower-case hexadecimal (edrm.net, "Message ID Hash"). */
export const hashMessageId = (messageId: string): string => createHash('md5').update(messageId, 'utf8').digest('hex');

const prefix = /^\s*(?:(?:re|fw|fwd|aw|wg|sv|vs|antw|tr|rv|ref|res|enc)(?:\s*\[\d+\]|\s*\(\d+\))?\s*[:：]\s*)+/iu;

/** A subject without the prefixes of replies and forwards; null when nothing is left. */
export const conversationTopic = (subject: string | null): string | null => {
  const topic = subject?.replace(prefix, '').trim() ?? '';
  return topic === '' ? null : topic;
};

/** The thread's own part of a Thread-Index: its first 22 bytes (MS-OXOMSG, 2.2.1.3). */
export const rootOfThreadIndex = (index: string | null): string | null => {
  if (index === null) return null;
  const bytes = Buffer.from(index, 'base64');
  return bytes.length < 22 ? null : bytes.subarray(0, 22).toString('hex');
};
