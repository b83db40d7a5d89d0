/**
 * A message (RFC 5322, MIME) as an item, and its attachments as further ones. The message's bytes are read once for its structure;
 * bodies and attachments are spans of them, decoded when they are opened.
 */
import type { Readable } from 'node:stream';
import type { FileType } from '../file-type.ts';
import { bytesOfSpan, readSpan } from '../random-bytes.ts';
import type { RandomBytes } from '../random-bytes.ts';
import type { ParserFlaw } from '../parser-tasks.ts';
import type { AttachmentPlace, Expansion, MailBody, SourceProblem } from '../source-model.ts';
import type { ExpandContext, RandomNode } from '../source-node.ts';
import { itemOf, segmentOf } from '../source-node.ts';
import { completeMail, readMailFacts } from './mail-metadata.ts';
import type { MimePart, MimeStructure } from './mime-structure.ts';
import { scanMimeStructure } from './mime-structure.ts';
import { decodeTransfer, isIdentityEncoding, measureTransfer } from './transfer-decoding.ts';

interface Attachment extends AttachmentPlace {
  readonly part: MimePart;
  readonly fileName: string;
}

interface Contents {
  readonly bodies: readonly { readonly part: MimePart; readonly kind: 'text' | 'html'; readonly section: number }[];
  readonly attachments: readonly Attachment[];
}

const extensionByMime: ReadonlyMap<string, string> = new Map([
  ['message/rfc822', 'eml'],
  ['message/delivery-status', 'txt'],
  ['message/disposition-notification', 'txt'],
  ['text/rfc822-headers', 'txt'],
  ['text/plain', 'txt'],
  ['text/html', 'html'],
  ['text/calendar', 'ics'],
  ['text/vcard', 'vcf'],
  ['text/x-vcard', 'vcf'],
  ['image/png', 'png'],
  ['image/jpeg', 'jpg'],
  ['image/gif', 'gif'],
  ['application/pdf', 'pdf'],
  ['application/rtf', 'rtf'],
  ['application/ms-tnef', 'dat'],
  ['application/pgp-signature', 'asc'],
  ['application/pkcs7-signature', 'p7s'],
  ['application/x-pkcs7-signature', 'p7s'],
  ['application/pkcs7-mime', 'p7m'],
  ['application/x-pkcs7-mime', 'p7m'],
]);

const nameOf = (part: MimePart, disposition: ReturnType<MimePart['headers']['structured']>): string | undefined =>
  disposition?.parameters.get('filename') ?? part.contentType.parameters.get('name');

const isRelated = (part: MimePart): boolean => {
  for (let above = part.parent; above !== null; above = above.parent) {
    if (above.contentType.value === 'multipart/related') return true;
  }
  return false;
};

/** The nearest multipart/alternative around a part, whose parts all say the same. */
const alternativeOf = (part: MimePart): MimePart | null => {
  for (let above = part.parent; above !== null; above = above.parent) {
    if (above.contentType.value === 'multipart/alternative') return above;
  }
  return null;
};

/** The leaves of a message, in order: its own words, and what is attached to them. */
const sortContents = (root: MimePart): Contents => {
  const bodies: { part: MimePart; kind: 'text' | 'html'; section: number }[] = [];
  const attachments: Attachment[] = [];
  const sections = new Map<MimePart, number>();
  let sectionCount = 0;
  const sectionOf = (part: MimePart): number => {
    const alternative = alternativeOf(part);
    const known = alternative === null ? undefined : sections.get(alternative);
    if (known !== undefined) return known;
    const section = ++sectionCount;
    if (alternative !== null) sections.set(alternative, section);
    return section;
  };
  const pending: MimePart[] = [root];
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    const type = part.contentType.value;
    if (part.children.length > 0) {
      for (const child of part.children.toReversed()) pending.push(child);
      continue;
    }
    const disposition = part.headers.structured('content-disposition');
    const name = nameOf(part, disposition);
    const isText = type === 'text/plain' || type === 'text/html';
    // A multipart without parts is what is left of a broken message: its text is its own.
    if ((isText && disposition?.value !== 'attachment' && name === undefined) || type.startsWith('multipart/')) {
      bodies.push({ part, kind: type === 'text/html' ? 'html' : 'text', section: sectionOf(part) });
      continue;
    }
    const number = attachments.length + 1;
    const contentId = part.headers.get('content-id')?.trim() ?? null;
    const shown = type.startsWith('image/') && (isRelated(part) ? contentId !== null : disposition?.value === 'inline');
    attachments.push({
      part,
      number,
      contentId,
      disposition: shown && disposition?.value !== 'attachment' ? 'inline' : 'attachment',
      fileName: fileNameOf(part, name, number),
    });
  }
  return { bodies, attachments };
};

const fileNameOf = (part: MimePart, name: string | undefined, number: number): string => {
  const type = part.contentType.value;
  const extension = extensionByMime.get(type) ?? 'bin';
  const fallback = type === 'message/rfc822' ? `message-${number}.eml` : `attachment-${number}.${extension}`;
  // Some programs put the path of the sender's disk into the name.
  const last = name?.replace(/^.*[\\/]/su, '') ?? '';
  const segment = segmentOf(last === '' ? (name ?? '') : last, fallback);
  return type === 'message/rfc822' && !segment.includes('.') ? `${segment}.eml` : segment;
};

const flawOfType = (part: MimePart): ParserFlaw | undefined => {
  const { value, parameters } = part.contentType;
  if (/^application\/(?:x-)?pkcs7-mime$/u.test(value) && parameters.get('smime-type') !== 'signed-data') {
    return { code: 'encrypted', reason: 'The content is encrypted (S/MIME).' };
  }
  if (part.parent?.contentType.value === 'multipart/encrypted' && value === 'application/octet-stream') {
    return { code: 'encrypted', reason: 'The content is encrypted (PGP).' };
  }
  if (value === 'message/external-body') {
    return { code: 'external_body', reason: 'The attachment is not in the message: it refers to a file elsewhere.' };
  }
  if (value === 'message/partial') {
    return { code: 'truncated', reason: 'The message is one piece of several that belong together.' };
  }
  return undefined;
};

const withPath = (path: string, flaws: readonly ParserFlaw[]): SourceProblem[] =>
  flaws.map(({ code, reason }) => ({ path, code, reason }));

/** The bodies of a message, for extraction: spans of its bytes. */
const bodiesOf = (bytes: RandomBytes, contents: Contents): MailBody[] =>
  contents.bodies.map(({ part, kind, section }) => ({
    kind,
    section,
    charset: part.contentType.parameters.get('charset') ?? null,
    open: async () => decodeTransfer(await bytes.open(part.body), part.encoding),
  }));

export const expandMessage = async function* (
  node: RandomNode,
  type: FileType,
  context: ExpandContext,
): AsyncGenerator<Expansion> {
  const structure = await scanMimeStructure(node.bytes, context.limits);
  const flaws: ParserFlaw[] = [...structure.flaws];
  if (structure.root.headers.fields.length === 0) {
    const reason = 'It has no header: it is taken as a document, not as mail.';
    const problems = withPath(node.path, [{ code: 'mime_broken', reason }]);
    const mime = type.byContent === null ? 'application/octet-stream' : 'text/plain';
    yield itemOf(node, { ...type, mime }, { kind: 'document', problems });
    return;
  }
  const facts = readMailFacts(structure.root.headers, flaws);
  const contents = sortContents(structure.root);
  const rootFlaw = flawOfType(structure.root);
  if (rootFlaw !== undefined) flaws.push(rootFlaw);
  const hasAttachments = contents.attachments.some(({ disposition }) => disposition === 'attachment');
  const mail = completeMail(facts, bodiesOf(node.bytes, contents), hasAttachments);
  yield itemOf(node, type, { kind: 'message', mail, problems: withPath(node.path, flaws) });
  for (const attachment of contents.attachments) yield* expandAttachment(node, attachment, context, structure);
};

const expandAttachment = async function* (
  node: RandomNode,
  attachment: Attachment,
  context: ExpandContext,
  structure: MimeStructure,
): AsyncGenerator<Expansion> {
  const { part, number, fileName, contentId, disposition } = attachment;
  const path = `${node.path}/attachments/${number}-${fileName}`;
  const span = bytesOfSpan(node.bytes, part.body);
  const identity = isIdentityEncoding(part.encoding);
  const measured = await measureTransfer(await span.open(), part.encoding);
  const typeFlaw = part === structure.root ? undefined : flawOfType(part);
  const open = async (): Promise<Readable> => decodeTransfer(await span.open(), part.encoding);
  yield* context.expand({
    path,
    fileName,
    parentPath: node.path,
    sourcePath: node.path,
    depth: node.depth + 1,
    size: measured.size,
    modifiedAt: null,
    statedMime: part.contentType.value,
    attachment: { number, contentId, disposition },
    problems: withPath(path, [...measured.flaws, ...(typeFlaw === undefined ? [] : [typeFlaw])]),
    bytes: identity ? span : null,
    open,
  });
};

/** A message of Apple Mail: its length in bytes on a line, the message, then properties of the program. */
export const expandEmlx = async function* (
  node: RandomNode,
  type: FileType,
  context: ExpandContext,
): AsyncGenerator<Expansion> {
  const head = (await readSpan(node.bytes, { start: 0, end: 64 })).toString('latin1');
  const line = /^\s*(\d{1,15})\s*?\r?\n/u.exec(head);
  const start = line?.[0].length ?? 0;
  const stated = Number(line?.[1] ?? 0);
  const end = Math.min(node.bytes.size, start + stated);
  const problems = [...node.problems];
  if (start + stated > node.bytes.size) {
    const reason = 'The message is shorter than its file says.';
    problems.push({ path: node.path, code: 'truncated', reason });
  }
  // The item's bytes stay the whole file; the message within is read from its span.
  const message = bytesOfSpan(node.bytes, { start, end });
  yield* expandMessage({ ...node, problems, bytes: message, open: () => node.open() }, type, context);
};
