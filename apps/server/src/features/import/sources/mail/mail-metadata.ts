/** Headers of a message as metadata. */
import { addressParser } from 'postal-mime';
import type { ParserFlaw } from '../parser-tasks.ts';
import type { MailAddress, MailBody, MailMetadata, MailTime } from '../source-model.ts';
import type { HeaderBlock } from './header-block.ts';
import { decodeHeaderText, unknownCharsets } from './header-block.ts';
import { parseMailDate } from './mail-date.ts';
import { conversationTopic, hashMessageId, readMessageId, readReferences, rootOfThreadIndex } from './message-id.ts';

/** What every source of mail knows, before the hash and the conversation follow from it. */
export interface MailFacts {
  readonly messageId: string | null;
  readonly inReplyTo: string | null;
  readonly references: readonly string[];
  readonly threadTopic: string | null;
  readonly threadIndex: string | null;
  readonly from: readonly MailAddress[];
  readonly to: readonly MailAddress[];
  readonly cc: readonly MailAddress[];
  readonly bcc: readonly MailAddress[];
  readonly subject: string | null;
  readonly sentAt: MailTime | null;
  readonly receivedAt: MailTime | null;
}

export const completeMail = (facts: MailFacts, bodies: readonly MailBody[], hasAttachments: boolean): MailMetadata => ({
  messageId: facts.messageId,
  messageIdHash: facts.messageId === null ? null : hashMessageId(facts.messageId),
  inReplyTo: facts.inReplyTo,
  references: facts.references,
  conversation: {
    topic: facts.threadTopic ?? conversationTopic(facts.subject),
    rootId: rootOfThreadIndex(facts.threadIndex) ?? facts.references[0] ?? facts.inReplyTo ?? facts.messageId,
    index: facts.threadIndex,
  },
  from: facts.from,
  to: facts.to,
  cc: facts.cc,
  bcc: facts.bcc,
  subject: facts.subject,
  sentAt: facts.sentAt,
  receivedAt: facts.receivedAt,
  hasAttachments,
  bodies,
});

const maxAddressChars = 1024 * 1024;

/** Addresses of all fields of one name, groups flattened. */
export const readAddresses = (values: readonly string[]): MailAddress[] =>
  values.flatMap((value) =>
    addressParser(value.slice(0, maxAddressChars), { flatten: true }).map(({ name, address }) => ({
      name: decodeHeaderText(name),
      address: decodeHeaderText(address ?? ''),
    })),
  );

const emptyToNull = (text: string | undefined): string | null => (text === undefined || text === '' ? null : text);

const readDate = (text: string | undefined, what: string, flaws: ParserFlaw[]): MailTime | null => {
  if (text === undefined || text.trim() === '') return null;
  const time = parseMailDate(text);
  if (time === null) flaws.push({ code: 'date_invalid', reason: `The ${what} is no date that can be.` });
  return time;
};

/** Reads headers; what is wrong with them is added to `flaws`. */
export const readMailFacts = (headers: HeaderBlock, flaws: ParserFlaw[]): MailFacts => {
  for (const label of unknownCharsets(headers.fields)) {
    flaws.push({
      code: 'charset_unknown',
      reason: `A header is in the charset ${JSON.stringify(label)}, which is not known.`,
    });
  }
  const [received] = headers.getAll('received');
  const receivedDate = received?.slice(received.lastIndexOf(';') + 1);
  return {
    messageId: readMessageId(headers.get('message-id')),
    inReplyTo: readMessageId(headers.get('in-reply-to')),
    references: readReferences(headers.get('references')),
    threadTopic: emptyToNull(headers.text('thread-topic')),
    threadIndex: emptyToNull(headers.get('thread-index')?.replaceAll(/\s+/gu, '')),
    from: readAddresses(headers.getAll('from')),
    to: readAddresses(headers.getAll('to')),
    cc: readAddresses(headers.getAll('cc')),
    bcc: readAddresses(headers.getAll('bcc')),
    subject: emptyToNull(headers.text('subject')),
    sentAt: readDate(headers.get('date'), 'Date header', flaws),
    receivedAt:
      received === undefined || !received.includes(';')
        ? null
        : readDate(receivedDate, 'date of the last delivery', flaws),
  };
};
