/**
 * Messages of an Outlook mailbox file (.pst, .ost), one after the other. Runs in the parser thread: the library reads the
 * file synchronously, by blocks, from its path.
 *
 * A folder or message that cannot be read is told and passed over.
 */
import { PSTFile, PSTMessage } from 'pst-extractor';
import type { PSTAttachment, PSTFolder } from 'pst-extractor';
import type {
  ParsedAddress,
  ParsedAttachment,
  ParsedBody,
  ParsedMailboxMessage,
  ParsedStoredMessage,
  ParserFlaw,
} from '../parser-tasks.ts';

const maxFolderDepth = 64;
const maxEmbeddedDepth = 8;
const recipientKinds: ReadonlyMap<number, 'to' | 'cc' | 'bcc'> = new Map([
  [1, 'to'],
  [2, 'cc'],
  [3, 'bcc'],
]);

const orNull = (text: string | undefined | null): string | null =>
  text === undefined || text === null || text === '' ? null : text;

/** A property that the library cannot read throws; the message goes on without it. */
const attempt = <T>(read: () => T, otherwise: T): T => {
  try {
    return read();
  } catch {
    return otherwise;
  }
};

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

const readContent = (attachment: PSTAttachment, maxBytes: number): Uint8Array | null => {
  const stream = attachment.fileInputStream;
  if (stream === null) return null;
  const size = Number(stream.length);
  if (size > maxBytes) return null;
  const content = Buffer.alloc(size);
  stream.readCompletely(content);
  return new Uint8Array(content);
};

class MessageReader {
  readonly #maxAttachmentBytes: number;

  constructor(maxAttachmentBytes: number) {
    this.#maxAttachmentBytes = maxAttachmentBytes;
  }

  read(message: PSTMessage, depth: number): ParsedStoredMessage {
    const flaws: ParserFlaw[] = [];
    const recipients = this.#recipientsOf(message, flaws);
    const sender: ParsedAddress = {
      name: attempt(() => message.senderName, ''),
      address: attempt(() => message.senderEmailAddress, ''),
    };
    const html = attempt(() => message.bodyHTML, '');
    const { attachments, embedded } = this.#attachmentsOf(message, html, depth, flaws);
    return {
      transportHeaders: attempt(() => message.transportMessageHeaders, ''),
      messageId: orNull(attempt(() => message.internetMessageId, '')),
      inReplyTo: orNull(attempt(() => message.inReplyToId, '')),
      topic: orNull(attempt(() => message.conversationTopic, '')),
      subject: orNull(attempt(() => message.subject, '')),
      from: sender.name === '' && sender.address === '' ? [] : [sender],
      ...recipients,
      sentAt: attempt(() => message.clientSubmitTime?.toISOString() ?? null, null),
      receivedAt: attempt(() => message.messageDeliveryTime?.toISOString() ?? null, null),
      bodies: this.#bodiesOf(message, html),
      attachments,
      embedded,
      flaws,
    };
  }

  #bodiesOf(message: PSTMessage, html: string): ParsedBody[] {
    const bodies: ParsedBody[] = [];
    const text = attempt(() => message.body, '');
    if (text.trim() !== '') bodies.push({ kind: 'text', charset: 'utf-8', bytes: utf8(text) });
    if (html !== '') bodies.push({ kind: 'html', charset: 'utf-8', bytes: utf8(html) });
    if (bodies.length === 0) {
      const rtf = attempt(() => message.bodyRTF, '');
      if (rtf !== '') bodies.push({ kind: 'rtf', charset: null, bytes: new Uint8Array(Buffer.from(rtf, 'latin1')) });
    }
    return bodies;
  }

  #recipientsOf(message: PSTMessage, flaws: ParserFlaw[]): Record<'to' | 'cc' | 'bcc', ParsedAddress[]> {
    const found: Record<'to' | 'cc' | 'bcc', ParsedAddress[]> = { to: [], cc: [], bcc: [] };
    const count = attempt(() => message.numberOfRecipients, 0);
    for (let index = 0; index < count; index++) {
      try {
        const recipient = message.getRecipient(index);
        const kind = recipient === null ? undefined : recipientKinds.get(recipient.recipientType);
        if (recipient === null || kind === undefined) continue;
        const address = orNull(recipient.smtpAddress) ?? recipient.emailAddress;
        found[kind].push({ name: recipient.displayName, address });
      } catch {
        flaws.push({ code: 'corrupt', reason: 'A recipient cannot be read.' });
      }
    }
    return found;
  }

  #attachmentsOf(
    message: PSTMessage,
    html: string,
    depth: number,
    flaws: ParserFlaw[],
  ): { readonly attachments: ParsedAttachment[]; readonly embedded: (ParsedStoredMessage | null)[] } {
    const attachments: ParsedAttachment[] = [];
    const embedded: (ParsedStoredMessage | null)[] = [];
    const count = attempt(() => message.numberOfAttachments, 0);
    for (let index = 0; index < count; index++) {
      try {
        const attachment = message.getAttachment(index);
        const inner = attempt(() => attachment.embeddedPSTMessage, null);
        const isMessage = inner !== null && depth < maxEmbeddedDepth;
        const contentId = orNull(attempt(() => attachment.contentId, ''));
        const fileName = orNull(attempt(() => attachment.longFilename, '')) ?? attempt(() => attachment.filename, '');
        attachments.push({
          fileName,
          mime: orNull(attempt(() => attachment.mimeTag, '')),
          contentId,
          isInline: contentId !== null && html.includes(`cid:${contentId}`),
          isMessage,
          bytes: isMessage ? null : readContent(attachment, this.#maxAttachmentBytes),
        });
        embedded.push(isMessage ? this.read(inner, depth + 1) : null);
      } catch {
        flaws.push({ code: 'corrupt', reason: `Attachment ${index + 1} cannot be read.` });
      }
    }
    return { attachments, embedded };
  }
}

export class PstMailbox {
  readonly #messages: Generator<ParsedMailboxMessage>;

  /** @throws what the library throws for a file that is none. */
  constructor(file: string, maxAttachmentBytes: number) {
    const pst = new PSTFile(file);
    this.#messages = walk(pst, pst.getRootFolder(), [], new MessageReader(maxAttachmentBytes));
  }

  /** The next message; null after the last. */
  next(): ParsedMailboxMessage | null {
    const { value, done } = this.#messages.next();
    return done === true ? null : value;
  }
}

const failedAt = (folder: readonly string[], number: number, reason: string): ParsedMailboxMessage => ({
  folder,
  number,
  message: null,
  flaws: [{ code: 'corrupt', reason }],
});

/** Kinds of nodes, in the low five bits of their identifiers (MS-PST, 2.2.2.1). */
const nodeKind = (identifier: number): number => identifier & 0x1f;
const searchFolderNode = 0x03;
const messageNode = 0x04;

const walk = function* (
  pst: PSTFile,
  folder: PSTFolder,
  path: readonly string[],
  reader: MessageReader,
): Generator<ParsedMailboxMessage> {
  // Search folders show messages that lie elsewhere.
  if (nodeKind(Number(folder.descriptorNodeId)) === searchFolderNode) return;
  yield* messagesOf(pst, folder, path, reader);
  if (path.length >= maxFolderDepth) {
    yield failedAt(path, 0, `Folders deeper than ${maxFolderDepth} are not read.`);
    return;
  }
  let subfolders: PSTFolder[];
  try {
    subfolders = folder.getSubFolders();
  } catch {
    // Folders without a table of folders below them are usual where nothing is below.
    if (attempt(() => folder.hasSubfolders, false)) yield failedAt(path, 0, 'The folders below cannot be read.');
    return;
  }
  const names = new Map<string, number>();
  for (const [index, subfolder] of subfolders.entries()) {
    const name = attempt(() => subfolder.displayName, '') || `folder-${index + 1}`;
    const count = (names.get(name) ?? 0) + 1;
    names.set(name, count);
    yield* walk(pst, subfolder, [...path, count === 1 ? name : `${name}~${count}`], reader);
  }
};

const messagesOf = function* (
  pst: PSTFile,
  folder: PSTFolder,
  path: readonly string[],
  reader: MessageReader,
): Generator<ParsedMailboxMessage> {
  const count = attempt(() => folder.contentCount, 0);
  const seen = new Set<number>();
  let number = 0;
  let failed = 0;
  while (number < count) {
    number++;
    try {
      // The library gives any kind of item: a message is the base of all of them.
      const message = folder.getNextChild() as PSTMessage | null;
      if (message === null) {
        number--;
        break;
      }
      seen.add(Number(message.descriptorNodeId));
      yield { folder: path, number, message: reader.read(message, 0), flaws: [] };
    } catch {
      failed++;
      if (!attempt(() => (folder.moveChildCursorTo(number), true), false)) break;
    }
  }
  // The library ends at the first row of the folder's table that has no identifier of its own. The tree of nodes has them all.
  if (number < count || failed > 0) {
    const nodes = attempt(() => pst.getChildDescriptorTree().get(Number(folder.descriptorNodeId)) ?? [], []);
    number = seen.size;
    for (const node of nodes) {
      if (nodeKind(node.descriptorIdentifier) !== messageNode || seen.has(node.descriptorIdentifier)) continue;
      number++;
      try {
        yield { folder: path, number, message: reader.read(new PSTMessage(pst, node), 0), flaws: [] };
      } catch {
        yield failedAt(path, number, 'A message of the mailbox cannot be read.');
      }
    }
  }
  const missing = count - number;
  if (missing > 0) yield failedAt(path, 0, `${missing} of the folder's ${count} messages cannot be read.`);
};
