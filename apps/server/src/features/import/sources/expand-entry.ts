/**
 * An entry and everything inside it, as a stream of items: a file delivers itself; a message itself and its attachments; a
 * container itself and its members; each of those again.
 *
 * 1. An item is delivered before what is inside it. The order follows from the bytes alone.
 * 2. What goes wrong in one branch ends that branch with a problem; its siblings go on.
 * 3. One item's bytes, and what was spooled to read it, are held while its inside is walked; then they are let go of.
 */
import { detectFileType, headBytes, mimeOfName } from './file-type.ts';
import type { FileType } from './file-type.ts';
import { expandMailbox } from './expand-mailbox.ts';
import { expandMbox } from './expand-mbox.ts';
import { expandMsg } from './expand-msg.ts';
import { expandZip, officeTypeOf } from './expand-zip.ts';
import { FolderRoot } from './folder-root.ts';
import { expandEmlx, expandMessage } from './mail/expand-message.ts';
import type { OpenedRoot } from './open-import-root.ts';
import { readHead, readSpan } from './random-bytes.ts';
import type { RandomBytes } from './random-bytes.ts';
import type { ExpandOptions, Expansion, SourceEntry, SourceProblem } from './source-model.ts';
import type { ExpandContext, RandomNode, SourceNode } from './source-node.ts';
import { itemOf, problemAt, problemOfError } from './source-node.ts';
import { openZipArchive } from './zip-archive.ts';

/** Ends the walk of an entry that has more items than allowed. */
class TooManyItems extends Error {}

const mboxMime = 'application/mbox';
const mailMime = 'message/rfc822';
const emlxMime = 'message/x-emlx';
const msgMime = 'application/vnd.ms-outlook';
const pstMime = 'application/vnd.ms-outlook-pst';
const zipMime = 'application/zip';
const pdfMime = 'application/pdf';

const expandable = new Set([mboxMime, mailMime, emlxMime, msgMime, pstMime, zipMime]);
const closedArchives = new Set([
  'application/x-7z-compressed',
  'application/x-rar-compressed',
  'application/gzip',
  'application/x-tar',
  'application/x-bzip2',
  'application/x-xz',
]);

const isCompound = (head: Buffer): boolean =>
  head.length >= 8 && head.readUInt32LE(0) === 0xe011cfd0 && head.readUInt32LE(4) === 0xe11ab1a1;
const isZip = (head: Buffer): boolean => head.length >= 4 && head.readUInt32LE(0) === 0x04034b50;
const isTnef = (head: Buffer): boolean => head.length >= 4 && head.readUInt32LE(0) === 0x223e9f78;

class Expander implements ExpandContext {
  readonly workspace;
  readonly limits;
  readonly #signal: AbortSignal | undefined;
  #items = 0;
  #budget: number;

  constructor(root: OpenedRoot, entry: SourceEntry, signal: AbortSignal | undefined) {
    this.workspace = root.workspace;
    this.limits = root.limits;
    this.#signal = signal;
    this.#budget = Math.max(this.limits.ratioFloorBytes, entry.size * this.limits.maxRatio);
  }

  spend(bytes: number): boolean {
    this.#budget -= bytes;
    return this.#budget >= 0;
  }

  async *expand(node: SourceNode): AsyncGenerator<Expansion> {
    this.#signal?.throwIfAborted();
    if (++this.#items > this.limits.maxItemsPerEntry) throw new TooManyItems();
    try {
      yield* this.#look(node);
    } catch (error) {
      const problem = problemOfError(node.path, error);
      if (problem === undefined) throw error;
      yield { type: 'problem', problem };
    }
  }

  async *#look(node: SourceNode): AsyncGenerator<Expansion> {
    const head =
      node.bytes === null
        ? await readHead(await node.open(), headBytes)
        : await readSpan(node.bytes, { start: 0, end: headBytes });
    if (head.length === 0) {
      const empty = await detectFileType(node.fileName, head, null);
      yield* this.#deliver(node, head, empty, null);
      return;
    }
    const first = await detectFileType(node.fileName, head, node.bytes);
    const mustReach =
      expandable.has(first.mime) || first.mime === 'multipart/related' || isCompound(head) || isZip(head);
    if (!mustReach || (node.bytes === null && first.byContent !== zipMime && isZip(head))) {
      yield* this.#deliver(node, head, first, node.bytes);
      return;
    }
    if (node.bytes !== null) {
      yield* this.#inside({ ...node, bytes: node.bytes, open: node.open }, head, first);
      return;
    }
    await using spooled = await this.workspace.spool.take(await node.open(), node.path);
    const { bytes } = spooled;
    const random = { ...node, bytes, size: bytes.size, open: () => bytes.open() };
    const type = isCompound(head) ? await detectFileType(node.fileName, head, bytes) : first;
    yield* this.#inside(random, head, type);
  }

  async *#inside(node: RandomNode, head: Buffer, type: FileType): AsyncGenerator<Expansion> {
    if (!expandable.has(type.mime) && !isZip(head)) {
      yield* this.#deliver(node, head, type, node.bytes);
      return;
    }
    if (node.depth >= this.limits.maxDepth) {
      const problems = [
        ...(await this.#flawsOf(node, head, type, node.bytes)),
        {
          path: node.path,
          code: 'too_deep' as const,
          reason: `It is nested ${node.depth} deep; its inside is not read.`,
        },
      ];
      yield itemOf(node, type, { kind: 'document', problems });
      return;
    }
    switch (type.mime) {
      case mailMime:
        yield* expandMessage(node, type, this);
        return;
      case emlxMime:
        yield* expandEmlx(node, type, this);
        return;
      case msgMime:
        yield* expandMsg(node, type, this);
        return;
      case mboxMime:
        yield* expandMbox(node, type, this);
        return;
      case pstMime:
        yield* expandMailbox(node, type, this);
        return;
      default:
        yield* this.#insideZip(node, head, type);
    }
  }

  async *#insideZip(node: RandomNode, head: Buffer, type: FileType): AsyncGenerator<Expansion> {
    if (type.byContent !== zipMime && type.byContent !== type.byName) {
      // The content itself says which kind of file in a zip it is (epub, jar, Office).
      yield* this.#deliver(node, head, type, node.bytes);
      return;
    }
    const archive = await openZipArchive(node.bytes, this.limits);
    const office = await officeTypeOf(archive);
    if (office !== null) {
      yield* this.#deliver(node, head, { ...type, mime: office, byContent: office }, node.bytes);
      return;
    }
    const zip = { ...type, mime: zipMime, byContent: zipMime };
    yield* expandZip(node, zip, archive, this, mismatchOf(node.path, zip));
  }

  async *#deliver(
    node: SourceNode,
    head: Buffer,
    type: FileType,
    bytes: RandomBytes | null,
  ): AsyncGenerator<Expansion> {
    const stated = node.statedMime;
    const known =
      type.byContent === null && type.byName === null && stated !== null && stated !== ''
        ? { ...type, mime: stated }
        : type;
    yield itemOf(node, known, { kind: 'document', problems: await this.#flawsOf(node, head, known, bytes) });
  }

  async #flawsOf(node: SourceNode, head: Buffer, type: FileType, bytes: RandomBytes | null): Promise<SourceProblem[]> {
    const { path } = node;
    if (head.length === 0) return [{ path, code: 'empty', reason: 'The file holds no bytes.' }];
    const problems = mismatchOf(path, type);
    if (type.byName === mailMime && type.mime === 'text/plain') {
      problems.push({ path, code: 'mime_broken', reason: 'It has no header of a message: it is taken as text.' });
    }
    if (type.encrypted) problems.push({ path, code: 'encrypted', reason: 'The document needs a password.' });
    if (closedArchives.has(type.mime)) {
      problems.push({
        path,
        code: 'no_extractor',
        reason: `An archive of type ${type.mime} is kept whole, not opened.`,
      });
    }
    if (isTnef(head) || type.mime === 'application/ms-tnef') {
      problems.push({
        path,
        code: 'tnef',
        reason: 'A winmail.dat (TNEF) is kept whole; attachments in it are not taken out.',
      });
    }
    if (type.byContent === pdfMime && bytes !== null) problems.push(...(await pdfFlaws(path, bytes)));
    return problems;
  }
}

/** What tells from the end of a PDF alone; the document engine says the rest. */
const pdfFlaws = async (path: string, bytes: RandomBytes): Promise<SourceProblem[]> => {
  const tail = (await readSpan(bytes, { start: Math.max(0, bytes.size - 65_536), end: bytes.size })).toString('latin1');
  const problems: SourceProblem[] = [];
  if (/\/Encrypt\s+\d+\s+\d+\s+R/u.test(tail)) {
    problems.push({ path, code: 'encrypted', reason: 'The PDF is encrypted; it may need a password.' });
  }
  if (!tail.includes('%%EOF')) {
    problems.push({
      path,
      code: 'truncated',
      reason: 'The PDF has no end mark: it is cut short, or still being written.',
    });
  }
  return problems;
};

const textLike = /^(?:text\/|message\/|multipart\/|application\/(?:mbox|json|yaml|xml|xhtml\+xml|rtf)|image\/svg)/u;
const officeFamily = (mime: string): string | undefined =>
  /word|excel|spreadsheet|powerpoint|presentation/u
    .exec(mime)?.[0]
    .replace('spreadsheet', 'excel')
    .replace('presentation', 'powerpoint');

const agree = (left: string, right: string): boolean => {
  if (left === right || left === 'application/x-cfb' || (textLike.test(left) && textLike.test(right))) return true;
  if (left.startsWith('audio/') || left.startsWith('video/')) return /^(?:audio|video)\//u.test(right);
  const family = officeFamily(left);
  return family !== undefined && family === officeFamily(right);
};

const mismatchOf = (path: string, { byContent, byName }: FileType): SourceProblem[] =>
  byContent === null || byName === null || agree(byContent, byName)
    ? []
    : [{ path, code: 'content_mismatch', reason: `The name says ${byName}, the content is ${byContent}.` }];

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/**
 * The entry and what is inside it. Nothing about content is thrown.
 * @throws the reason of an aborted signal; errors of the temporary folder.
 */
export const expandEntry = async function* (
  root: OpenedRoot,
  entry: SourceEntry,
  options: ExpandOptions = {},
): AsyncGenerator<Expansion> {
  const expander = new Expander(root, entry, options.signal);
  const { path, modifiedAt } = entry;
  const common = {
    path,
    fileName: baseName(path),
    parentPath: null,
    sourcePath: null,
    depth: 0,
    modifiedAt,
    statedMime: mimeOfName(path),
    attachment: null,
    problems: [],
  };
  try {
    if (!(root instanceof FolderRoot)) {
      yield* expander.expand({ ...common, size: entry.size, bytes: null, open: () => root.open(path) });
      return;
    }
    const bytes = await root.openBytes(path);
    try {
      yield* expander.expand({ ...common, size: bytes.size, bytes, open: () => bytes.open() });
    } finally {
      await bytes.close();
    }
  } catch (error) {
    if (error instanceof TooManyItems) {
      const limit = root.limits.maxItemsPerEntry;
      yield problemAt(path, 'limit_exceeded', `It has more than ${limit} items inside; the rest is not read.`);
      return;
    }
    const problem = problemOfError(path, error);
    if (problem === undefined) throw error;
    yield { type: 'problem', problem };
  }
};
