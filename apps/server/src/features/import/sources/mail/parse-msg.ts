/** A .msg file as a parsed message. Runs in the parser thread: the library is synchronous and holds the file whole. */
import type { FieldsData } from '@kenjiuno/msgreader';
import msgReader from '@kenjiuno/msgreader';
import { charsetOfCodePage } from '../charset.ts';
import type { ParsedAddress, ParsedAttachment, ParsedBody, ParsedOutlookMessage, ParserFlaw } from '../parser-tasks.ts';
import { decompressRtf } from './decompress-rtf.ts';

const present = (...texts: readonly (string | undefined)[]): string | null =>
  texts.find((text) => text !== undefined && text !== '') ?? null;

const isoOf = (text: string | undefined): string | null => {
  if (text === undefined) return null;
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
};

/** Of the addresses a person has here, one of the Internet rather than one of a directory. */
const addressOf = (name: string | undefined, ...addresses: readonly (string | undefined)[]): ParsedAddress => ({
  name: name ?? '',
  address: addresses.find((address) => address?.includes('@')) ?? present(...addresses) ?? '',
});

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

const bodiesOf = (fields: FieldsData, flaws: ParserFlaw[]): ParsedBody[] => {
  const bodies: ParsedBody[] = [];
  if (fields.body !== undefined && fields.body.trim() !== '') {
    bodies.push({ kind: 'text', charset: 'utf-8', bytes: utf8(fields.body) });
  }
  if (fields.bodyHtml !== undefined && fields.bodyHtml !== '') {
    bodies.push({ kind: 'html', charset: 'utf-8', bytes: utf8(fields.bodyHtml) });
  } else if (fields.html !== undefined && fields.html.length > 0) {
    const charset = fields.internetCodepage === undefined ? null : charsetOfCodePage(fields.internetCodepage);
    bodies.push({ kind: 'html', charset, bytes: Uint8Array.from(fields.html) });
  }
  if (fields.compressedRtf !== undefined && fields.compressedRtf.length > 0) {
    const rtf = decompressRtf(fields.compressedRtf);
    if (rtf === null) flaws.push({ code: 'corrupt', reason: 'The compressed body cannot be unpacked.' });
    else bodies.push({ kind: 'rtf', charset: null, bytes: rtf });
  }
  return bodies;
};

const isShownInBody = (attachment: FieldsData, html: string): boolean =>
  attachment.attachmentHidden === true ||
  (attachment.pidContentId !== undefined &&
    attachment.pidContentId !== '' &&
    html.includes(`cid:${attachment.pidContentId}`));

export const parseMsg = (bytes: Uint8Array): ParsedOutlookMessage => {
  const start = bytes.byteOffset;
  const whole = bytes.buffer.slice(start, start + bytes.byteLength);
  const reader = new msgReader.default(whole instanceof ArrayBuffer ? whole : Uint8Array.from(bytes).buffer);
  const fields = reader.getFileData();
  if (fields.error !== undefined) throw new Error('not a message');
  const flaws: ParserFlaw[] = [];
  const bodies = bodiesOf(fields, flaws);
  const html = bodies
    .filter(({ kind }) => kind === 'html')
    .map((body) => Buffer.from(body.bytes).toString('latin1'))
    .join('');
  const attachments = (fields.attachments ?? []).map((attachment): ParsedAttachment => {
    const isMessage = attachment.innerMsgContent === true;
    let content: Uint8Array | null = null;
    let fileName = present(attachment.fileName, attachment.fileNameShort, attachment.name) ?? '';
    try {
      const data = reader.getAttachment(attachment);
      content = Uint8Array.from(data.content);
      if (isMessage && fileName === '') fileName = data.fileName;
    } catch {
      flaws.push({ code: 'corrupt', reason: 'An attachment cannot be read.' });
    }
    return {
      fileName: isMessage && !/\.msg$/iu.test(fileName) && fileName !== '' ? `${fileName}.msg` : fileName,
      mime: attachment.attachMimeTag ?? null,
      contentId: attachment.pidContentId ?? null,
      isInline: !isMessage && isShownInBody(attachment, html),
      isMessage,
      bytes: content,
    };
  });
  const recipients = (type: 'to' | 'cc' | 'bcc'): ParsedAddress[] =>
    (fields.recipients ?? [])
      .filter(({ recipType }) => recipType === type)
      .map(({ name, smtpAddress, email }) => addressOf(name, smtpAddress, email));
  const sender = addressOf(
    fields.senderName,
    fields.senderSmtpAddress,
    fields.sentRepresentingSmtpAddress,
    fields.creatorSMTPAddress,
    fields.senderEmail,
  );
  return {
    transportHeaders: fields.headers ?? '',
    messageId: present(fields.messageId),
    inReplyTo: null,
    topic: present(fields.conversationTopic),
    subject: present(fields.subject),
    from: sender.name === '' && sender.address === '' ? [] : [sender],
    to: recipients('to'),
    cc: recipients('cc'),
    bcc: recipients('bcc'),
    sentAt: isoOf(fields.clientSubmitTime),
    receivedAt: isoOf(fields.messageDeliveryTime),
    bodies,
    attachments,
    flaws,
  };
};
