/**
 * A message file (RFC 5322, MIME) from the properties of a stored message that has no bytes of its own. The same properties
 * make the same bytes. Attachments are not in it: they are files beside it.
 */
import { createHash } from 'node:crypto';
import type { ParsedBody, ParsedOutlookMessage } from '../parser-tasks.ts';
import type { MailAddress } from '../source-model.ts';
import type { MailFacts } from './mail-metadata.ts';

const lineBreak = '\r\n';

/** Encoded words of at most 75 characters (RFC 2047), each of whole characters. */
const encodeText = (text: string): string => {
  const plain = text.replaceAll(/[\r\n\0]+/gu, ' ').toWellFormed();
  if (/^[\x20-\x7e]*$/u.test(plain) && !plain.includes('=?')) return plain;
  const words: string[] = [];
  let piece = '';
  const flush = (): void => {
    if (piece !== '') words.push(`=?utf-8?B?${Buffer.from(piece, 'utf8').toString('base64')}?=`);
    piece = '';
  };
  for (const char of plain) {
    if (Buffer.byteLength(piece + char, 'utf8') > 42) flush();
    piece += char;
  }
  flush();
  return words.join(`${lineBreak} `);
};

const encodeAddress = ({ name, address }: MailAddress): string => {
  const mailbox = `<${address.replaceAll(/[\r\n\0<>]+/gu, '')}>`;
  if (name === '' || name === address) return mailbox;
  const safe = /^[\x20-\x7e]*$/u.test(name) && !name.includes('=?');
  return `${safe ? `"${name.replaceAll(/["\\]/gu, '\\$&')}"` : encodeText(name)} ${mailbox}`;
};

const encodeBody = (bytes: Uint8Array): string =>
  Buffer.from(bytes).toString('base64').replaceAll(/.{76}/gu, `$&${lineBreak}`).trimEnd();

const typeOfBody: Readonly<Record<ParsedBody['kind'], string>> = {
  text: 'text/plain',
  html: 'text/html',
  rtf: 'application/rtf',
};

const partOf = (body: ParsedBody): string[] => [
  `Content-Type: ${typeOfBody[body.kind]}${body.charset === null ? '' : `; charset=${body.charset}`}`,
  'Content-Transfer-Encoding: base64',
  '',
  encodeBody(body.bytes),
];

/** Headers that say how the original body was built. */
const structural = /^(?:content-[\w-]+|mime-version)[ \t]*:/iu;

/** Headers of the delivery as they stand, without those of the body's structure. */
const deliveryHeaders = (text: string): string[] => {
  const kept: string[] = [];
  let keep = true;
  for (const line of text.split(/\r\n|\r|\n/u)) {
    if (line === '') continue;
    if (!/^[ \t]/u.test(line)) keep = /^[\x21-\x39\x3b-\x7e]+[ \t]*:/u.test(line) && !structural.test(line);
    if (keep) kept.push(line);
  }
  return kept;
};

const factHeaders = (facts: MailFacts): string[] => {
  const lines: string[] = [];
  const addresses = (name: string, values: readonly MailAddress[]): void => {
    if (values.length > 0) lines.push(`${name}: ${values.map(encodeAddress).join(`,${lineBreak} `)}`);
  };
  if (facts.messageId !== null) lines.push(`Message-ID: ${facts.messageId}`);
  if (facts.sentAt !== null) lines.push(`Date: ${new Date(facts.sentAt.utc).toUTCString().replace('GMT', '+0000')}`);
  addresses('From', facts.from);
  addresses('To', facts.to);
  addresses('Cc', facts.cc);
  addresses('Bcc', facts.bcc);
  if (facts.subject !== null) lines.push(`Subject: ${encodeText(facts.subject)}`);
  if (facts.inReplyTo !== null) lines.push(`In-Reply-To: ${facts.inReplyTo}`);
  return lines;
};

export const buildMessageFile = (message: ParsedOutlookMessage, facts: MailFacts): Buffer => {
  const delivered = deliveryHeaders(message.transportHeaders);
  const lines = [...(delivered.length > 0 ? delivered : factHeaders(facts)), 'MIME-Version: 1.0'];
  const [first, ...others] = message.bodies;
  if (first === undefined) lines.push('Content-Type: text/plain; charset=utf-8', '', '');
  else if (others.length === 0) lines.push(...partOf(first), '');
  else {
    const hash = createHash('sha256');
    for (const { bytes } of message.bodies) hash.update(bytes);
    const boundary = `=_${hash.digest('hex').slice(0, 32)}`;
    lines.push(`Content-Type: multipart/alternative; boundary="${boundary}"`, '');
    for (const body of message.bodies) lines.push(`--${boundary}`, ...partOf(body));
    lines.push(`--${boundary}--`, '');
  }
  return Buffer.from(lines.join(lineBreak), 'utf8');
};
