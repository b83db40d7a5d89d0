/**
 * A mailbox file of Outlook (.pst, .ost) as a container. Its messages have no bytes of their own: each is delivered as a
 * message file rebuilt from its properties; attachments are items beside it, as in every other message.
 */
import type { FileType } from './file-type.ts';
import { buildMessageFile } from './mail/build-message-file.ts';
import { expandOutlookMessage, outlookFacts } from './mail/expand-outlook.ts';
import type { ParsedMailboxMessage, ParsedStoredMessage } from './parser-tasks.ts';
import { ParserThread } from './parser-thread.ts';
import { bytesOfBuffer, readSpan } from './random-bytes.ts';
import type { RandomBytes } from './random-bytes.ts';
import type { AttachmentPlace, Expansion } from './source-model.ts';
import type { ExpandContext, RandomNode, SourceNode } from './source-node.ts';
import { itemOf, parentOfMembers, problemAt, segmentOf } from './source-node.ts';

const mailType: FileType = { mime: 'message/rfc822', byContent: null, byName: 'message/rfc822', encrypted: false };
const numberDigits = 6;

export const expandMailbox = async function* (
  node: RandomNode,
  type: FileType,
  context: ExpandContext,
): AsyncGenerator<Expansion> {
  const { path } = node;
  if (node.bytes.file === null) {
    // The library opens files by path: bytes in memory, or within another file, are put into one.
    await using spooled = await context.workspace.spool.takeToFile(await node.open(), path);
    yield* expandMailbox({ ...node, bytes: spooled.bytes }, type, context);
    return;
  }
  if (await isStronglyEncrypted(node.bytes)) {
    const problems = [
      { path, code: 'encrypted' as const, reason: 'The mailbox is encrypted by a key that is not in it.' },
    ];
    yield itemOf(node, type, { kind: 'document', problems });
    return;
  }
  const parser = new ParserThread(context.limits);
  try {
    const file = node.bytes.file;
    const opened = await parser.run('openMailbox', { file, maxAttachmentBytes: context.limits.maxWholeFileBytes });
    if (!opened.ok) {
      const reason = `The mailbox cannot be opened: ${opened.reason}`;
      yield itemOf(node, type, { kind: 'document', problems: [{ path, code: 'corrupt', reason }] });
      return;
    }
    yield itemOf(node, type, { kind: 'container' });
    for (;;) {
      const next = await parser.run('nextMessage', {});
      if (!next.ok) {
        yield problemAt(path, next.code, `The mailbox breaks off here: ${next.reason}`);
        return;
      }
      if (next.value === null) return;
      yield* expandStored(node, next.value, context);
    }
  } finally {
    await parser.close();
  }
};

const firstUnicodeVersion = 20;
const cyclicEncryption = 2;

/** Format and encryption of a mailbox file (MS-PST, 2.2.2.6): the other methods only hide the text and need no key. */
const isStronglyEncrypted = async (bytes: RandomBytes): Promise<boolean> => {
  const header = await readSpan(bytes, { start: 0, end: 520 });
  if (header.length < 520) return false;
  return header[header.readUInt16LE(10) >= firstUnicodeVersion ? 513 : 461] === cyclicEncryption;
};

const expandStored = async function* (
  mailbox: RandomNode,
  { folder, number, message, flaws }: ParsedMailboxMessage,
  context: ExpandContext,
): AsyncGenerator<Expansion> {
  const segments = folder.map((name, index) => segmentOf(name, `folder-${index + 1}`));
  const name = `${number}`.padStart(numberDigits, '0');
  const path = [mailbox.path, ...segments, ...(number === 0 ? [] : [name])].join('/');
  for (const { code, reason } of flaws) yield problemAt(path, code, reason);
  if (message === null) return;
  yield* expandRebuilt(mailbox, message, context, {
    path,
    fileName: `${name}.eml`,
    parentPath: parentOfMembers(mailbox),
    sourcePath: mailbox.path,
    depth: mailbox.depth + 1,
    attachment: null,
  });
};

type Place = Pick<SourceNode, 'path' | 'fileName' | 'parentPath' | 'sourcePath' | 'depth'> & {
  readonly attachment: AttachmentPlace | null;
};

/** One message with its attachments; messages attached to it are rebuilt in turn. */
const expandRebuilt = async function* (
  mailbox: RandomNode,
  message: ParsedStoredMessage,
  context: ExpandContext,
  place: Place,
): AsyncGenerator<Expansion> {
  const bytes = bytesOfBuffer(buildMessageFile(message, outlookFacts(message, [])));
  const node: SourceNode = {
    ...place,
    size: bytes.size,
    modifiedAt: null,
    statedMime: mailType.mime,
    problems: [],
    bytes,
    open: () => bytes.open(),
  };
  const isStored = (index: number): boolean => (message.embedded[index] ?? null) !== null;
  const files = message.attachments.filter((_, index) => !isStored(index));
  const numbers = message.attachments.flatMap((_, index) => (isStored(index) ? [] : [index + 1]));
  yield* expandOutlookMessage(node, mailType, { ...message, attachments: files }, context, {
    numbers,
    hasMore: files.length < message.attachments.length,
  });
  for (const [index, inner] of message.embedded.entries()) {
    if (inner === null) continue;
    const fileName = segmentOf(inner.subject ?? '', `message-${index + 1}`);
    yield* expandRebuilt(mailbox, inner, context, {
      path: `${place.path}/attachments/${index + 1}-${fileName}`,
      fileName: `${fileName}.eml`,
      parentPath: place.path,
      sourcePath: place.path,
      depth: place.depth + 1,
      attachment: { disposition: 'attachment', contentId: null, number: index + 1 },
    });
  }
};
