/** A parsed message of Outlook as an item, and its attachments as further ones. */
import type { FileType } from '../file-type.ts';
import type { ParsedOutlookMessage, ParserFlaw } from '../parser-tasks.ts';
import { bytesOfBuffer } from '../random-bytes.ts';
import type { Expansion, MailBody, MailMetadata, MailTime, SourceProblem } from '../source-model.ts';
import type { ExpandContext, SourceNode } from '../source-node.ts';
import { itemOf, segmentOf } from '../source-node.ts';
import { HeaderBlock, parseHeaderLines } from './header-block.ts';
import type { MailFacts } from './mail-metadata.ts';
import { completeMail, readMailFacts } from './mail-metadata.ts';
import { readMessageId } from './message-id.ts';

const timeOf = (iso: string | null): MailTime | null => {
  if (iso === null) return null;
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? null : { utc: date.toISOString(), offsetMinutes: 0 };
};

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const firstOf = <T>(properties: readonly T[], headers: readonly T[]): readonly T[] =>
  properties.length > 0 ? properties : headers;

/**
 * Properties of the message win: they are what its owner saw. Headers of the delivery add what properties lack: the time zone of
 * sending, references, the Message-ID.
 */
export const outlookFacts = (message: ParsedOutlookMessage, flaws: ParserFlaw[]): MailFacts => {
  const { fields } = parseHeaderLines(message.transportHeaders.split(/\r\n|\r|\n/u).filter((line) => line !== ''));
  const headers = readMailFacts(new HeaderBlock(fields), flaws);
  const sentAt = timeOf(message.sentAt);
  return {
    messageId: readMessageId(message.messageId ?? undefined) ?? headers.messageId,
    inReplyTo: readMessageId(message.inReplyTo ?? undefined) ?? headers.inReplyTo,
    references: headers.references,
    threadTopic: message.topic ?? headers.threadTopic,
    threadIndex: headers.threadIndex,
    from: firstOf(message.from, headers.from),
    to: firstOf(message.to, headers.to),
    cc: firstOf(message.cc, headers.cc),
    bcc: firstOf(message.bcc, headers.bcc),
    subject: message.subject ?? headers.subject,
    sentAt: headers.sentAt ?? sentAt,
    receivedAt: timeOf(message.receivedAt) ?? headers.receivedAt,
  };
};

const outlookMail = (message: ParsedOutlookMessage, flaws: ParserFlaw[]): MailMetadata => {
  const bodies: MailBody[] = message.bodies.map(({ kind, charset, bytes }) => ({
    kind,
    section: 1,
    charset,
    open: () => bytesOfBuffer(bufferOf(bytes)).open(),
  }));
  const hasAttachments = message.attachments.some(({ isInline }) => !isInline);
  return completeMail(outlookFacts(message, flaws), bodies, hasAttachments);
};

/** Where the attachments that are files stand among all of a message, when some are messages that come from elsewhere. */
export interface AmongOthers {
  /** The number of each attachment; its position when not stated. */
  readonly numbers: readonly number[];
  readonly hasMore: boolean;
}

export const expandOutlookMessage = async function* (
  node: SourceNode,
  type: FileType,
  message: ParsedOutlookMessage,
  context: ExpandContext,
  among: AmongOthers = { numbers: [], hasMore: false },
): AsyncGenerator<Expansion> {
  const flaws: ParserFlaw[] = [...message.flaws];
  const parsed = outlookMail(message, flaws);
  const mail = { ...parsed, hasAttachments: parsed.hasAttachments || among.hasMore };
  const problems: SourceProblem[] = flaws.map(({ code, reason }) => ({ path: node.path, code, reason }));
  yield itemOf(node, type, { kind: 'message', mail, problems });
  for (const [index, attachment] of message.attachments.entries()) {
    const number = among.numbers[index] ?? index + 1;
    const fallback = attachment.isMessage ? `message-${number}.msg` : `attachment-${number}.bin`;
    const fileName = segmentOf(attachment.fileName, fallback);
    const path = `${node.path}/attachments/${number}-${fileName}`;
    if (attachment.bytes === null) {
      const reason = 'The attachment is not in the message: it refers to a file elsewhere, or cannot be read.';
      yield { type: 'problem', problem: { path, code: 'external_body', reason } };
      continue;
    }
    const bytes = bytesOfBuffer(bufferOf(attachment.bytes));
    yield* context.expand({
      path,
      fileName,
      parentPath: node.path,
      sourcePath: node.path,
      depth: node.depth + 1,
      size: bytes.size,
      modifiedAt: null,
      statedMime: attachment.mime,
      attachment: {
        disposition: attachment.isInline ? 'inline' : 'attachment',
        contentId: attachment.contentId,
        number,
      },
      problems: [],
      bytes,
      open: () => bytes.open(),
    });
  }
};
