/**
 * Messages as mail programs store them: RFC 5322 headers folded at 78 characters, RFC 2047 words where a header is not ASCII, RFC 2231
 * file names, quoted-printable text (RFC 2045, 6.7) and base64 attachments. Lines end with CRLF.
 */
import { Random } from '../random.ts';
import type { Person } from '../story/cast.ts';
import { type Message, plainBody, ownParagraphs, quotedMessages, showTime } from '../story/mail-threads.ts';

export interface MailAttachment {
  readonly fileName: string;
  readonly mimeType: string;
  readonly bytes: Uint8Array;
}

const EOL = '\r\n';
const MAX_LINE = 76;
// eslint-disable-next-line no-control-regex
const isAscii = (text: string): boolean => /^[\u0020-\u007E]*$/u.test(text);

/** Encoded words none of which cuts a character, short enough for lines of 76 with the name of the header (RFC 2047, 2 and 5). */
const encodeWords = (text: string): string => {
  const words: string[] = [];
  let piece = '';
  for (const character of text) {
    // `Subject: =?UTF-8?B?` and `?=` take 21 of 76; base64 makes 4 of 3.
    if (Buffer.byteLength(piece + character) > 39) {
      words.push(piece);
      piece = '';
    }
    piece += character;
  }
  words.push(piece);
  return words.map((word) => `=?UTF-8?B?${Buffer.from(word).toString('base64')}?=`).join(' ');
};

/** Breaks a header between words so that lines stay below 78 characters where they can. */
const fold = (name: string, value: string): string => {
  let line = `${name}:`;
  const lines: string[] = [];
  for (const word of value.split(' ')) {
    if (line.length + 1 + word.length > MAX_LINE && line !== `${name}:`) {
      lines.push(line);
      line = '';
    }
    line += ` ${word}`;
  }
  lines.push(line);
  return lines.join(EOL) + EOL;
};

const unstructured = (text: string): string => (isAscii(text) ? text : encodeWords(text));

const mailbox = ({ name, address }: Person): string => {
  if (!isAscii(name)) return `${encodeWords(name)} <${address}>`;
  return /^[A-Za-z0-9 ]+$/u.test(name)
    ? `${name} <${address}>`
    : `"${name.replaceAll(/["\\]/gu, String.raw`\$&`)}" <${address}>`;
};

const mailboxes = (people: readonly Person[]): string => people.map(mailbox).join(', ');

const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const two = (value: number): string => String(value).padStart(2, '0');

/** `Fri, 04 Mar 2022 15:48:00 +0000` */
const mailDate = (at: number): string => {
  const date = new Date(at);
  return `${days[date.getUTCDay()] ?? ''}, ${two(date.getUTCDate())} ${months[date.getUTCMonth()] ?? ''} ${date.getUTCFullYear()} ${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} +0000`;
};

const hex = (byte: number): string => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;

/** One line of text as quoted-printable, with soft breaks. */
const quotePrintable = (line: string): string => {
  if (line.length <= MAX_LINE && /^[\u0021-\u003C\u003E-\u007E ]*$/u.test(line) && !line.endsWith(' ')) return line;
  const bytes = Buffer.from(line);
  const parts: string[] = [];
  let part = '';
  bytes.forEach((byte, at) => {
    const plain = (byte >= 33 && byte <= 126 && byte !== 61) || (byte === 32 && at < bytes.length - 1);
    const piece = plain ? String.fromCharCode(byte) : hex(byte);
    if (part.length + piece.length > MAX_LINE - 1) {
      parts.push(`${part}=`);
      part = '';
    }
    part += piece;
  });
  return [...parts, part].join(EOL);
};

const quotedText = (text: string): string => text.split('\n').map(quotePrintable).join(EOL);

const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('\n', '<br>');

const htmlBody = (message: Message): string => {
  const own = ownParagraphs(message).map((paragraph) => `<p>${escapeHtml(paragraph)}</p>`);
  const quoted = quotedMessages(message).map(
    (one) =>
      `<blockquote><p>On ${showTime(one.sentAt)} UTC, ${escapeHtml(one.from.name)} wrote:</p>\n${one.paragraphs.map((paragraph) => `<p>${escapeHtml(paragraph)}</p>`).join('\n')}`,
  );
  return [
    '<!DOCTYPE html>',
    '<html><head><meta charset="utf-8"></head><body>',
    ...own,
    ...quoted,
    '</blockquote>'.repeat(quoted.length),
    '</body></html>',
    '',
  ].join('\n');
};

const part = (headers: readonly string[], body: string): string => `${headers.join(EOL)}${EOL}${EOL}${body}`;

const textPart = (kind: 'plain' | 'html', text: string): string =>
  part([`Content-Type: text/${kind}; charset=utf-8`, 'Content-Transfer-Encoding: quoted-printable'], quotedText(text));

const multipart = (kind: string, boundary: string, parts: readonly string[]): string =>
  part(
    [`Content-Type: multipart/${kind};${EOL} boundary="${boundary}"`],
    `${parts.map((one) => `--${boundary}${EOL}${one}${EOL}`).join('')}--${boundary}--${EOL}`,
  );

/** A parameter that may hold any character: plain where it is ASCII, else as in RFC 2231, in pieces that fit a line. */
const fileNameParameter = (name: string): string => {
  if (isAscii(name)) return `filename="${name}"`;
  const encoded = [...Buffer.from(name)].map((byte) =>
    /[A-Za-z0-9.-]/u.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : `%${hex(byte).slice(1)}`,
  );
  const pieces: string[] = [];
  let piece = '';
  for (const one of encoded) {
    if (piece.length + one.length > 50) {
      pieces.push(piece);
      piece = '';
    }
    piece += one;
  }
  pieces.push(piece);
  return pieces.length === 1
    ? `filename*=UTF-8''${piece}`
    : pieces.map((text, at) => `filename*${at}*=${at === 0 ? "UTF-8''" : ''}${text}`).join(`;${EOL} `);
};

const attachmentPart = ({ fileName, mimeType, bytes }: MailAttachment): string => {
  const encoded = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
  return part(
    [
      `Content-Type: ${mimeType}`,
      'Content-Transfer-Encoding: base64',
      `Content-Disposition: attachment;${EOL} ${fileNameParameter(fileName)}`,
    ],
    encoded.replaceAll(/.{76}/gu, `$&${EOL}`),
  );
};

/** The message as a file. */
export const writeEml = (message: Message, attachments: readonly MailAttachment[]): Buffer => {
  const random = new Random(message.messageId, 'boundary');
  const boundary = (): string => `=_${random.text(24, '0123456789abcdef')}`;
  const headers = [
    fold('From', mailbox(message.from)),
    fold('To', mailboxes(message.to)),
    message.cc.length === 0 ? '' : fold('Cc', mailboxes(message.cc)),
    message.bcc.length === 0 ? '' : fold('Bcc', mailboxes(message.bcc)),
    fold('Subject', unstructured(message.subject)),
    fold('Date', mailDate(message.sentAt)),
    fold('Message-ID', message.messageId),
    message.inReplyTo === undefined ? '' : fold('In-Reply-To', message.inReplyTo),
    message.references.length === 0 ? '' : fold('References', message.references.join(' ')),
    message.important ? `Importance: high${EOL}` : '',
    `MIME-Version: 1.0${EOL}`,
  ].join('');
  const plain = textPart('plain', plainBody(message));
  const body = message.html
    ? multipart('alternative', boundary(), [plain, textPart('html', htmlBody(message))])
    : plain;
  const whole =
    attachments.length === 0 ? body : multipart('mixed', boundary(), [body, ...attachments.map(attachmentPart)]);
  return Buffer.from(headers + whole, 'utf8');
};
