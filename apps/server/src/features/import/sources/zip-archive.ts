/**
 * A zip as an ordered list of members that can be opened in any order. Nothing is extracted to disk.
 *
 * 1. The directory is read once, up to `maxEntries`; of each member only what is needed to open it is kept.
 * 2. Before a byte is inflated, members are refused whose declared sizes or places no honest archive has: a ratio above
 *    `maxRatio`, data that overlaps another member's, sums above the limits.
 * 3. While bytes are inflated, they are counted and summed (CRC-32): more than declared, fewer, or others end in
 *    `source_corrupt`, never in a short file.
 * Format: PKWARE APPNOTE.TXT 6.3.
 */
import { Readable, pipeline } from 'node:stream';
import type { Transform } from 'node:stream';
import { crc32, createInflateRaw, createZstdDecompress } from 'node:zlib';
import { CaseboundError } from '@casebound/contract';
import type { Entry } from 'yauzl';
import { fromRandomAccessReaderPromise, RandomAccessReader } from 'yauzl';
import { comparePaths } from './entry-order.ts';
import { numberedPath, readMemberName } from './member-name.ts';
import type { RandomBytes } from './random-bytes.ts';
import { readSpan } from './random-bytes.ts';
import type { SourceLimits, SourceProblem, SourceProblemCode } from './source-model.ts';

/** What opening a member needs. */
export interface ZipMember {
  /** Below the archive, unique in it. */
  readonly path: string;
  /** Uncompressed, as declared. */
  readonly size: number;
  readonly compressedSize: number;
  readonly modifiedAt: Date | null;
  readonly method: number;
  readonly crc32: number;
  /** Of the local header. */
  readonly offset: number;
}

export interface ZipArchive {
  /** In the order of paths. */
  readonly members: readonly ZipMember[];
  /** Paths are below the archive; '' for the archive itself. */
  readonly problems: readonly SourceProblem[];
  /** @throws CaseboundError `source_corrupt`. The stream ends in it too. */
  open(member: ZipMember): Promise<Readable>;
}

export type ZipLimits = Pick<
  SourceLimits,
  'maxEntries' | 'maxMemberBytes' | 'maxArchiveBytes' | 'maxRatio' | 'ratioFloorBytes'
>;

const stored = 0;
const deflated = 8;
const zstandard = 93;
const localHeaderBytes = 30;
const encryptedFlag = 0x1;
const unixMadeBy = 3;
const fileTypeMask = 0xf000;
const fileTypeOfMode: ReadonlyMap<number, 'file' | 'link' | 'special'> = new Map([
  [0x8000, 'file'],
  [0xa000, 'link'],
  [0x1000, 'special'],
  [0x2000, 'special'],
  [0x6000, 'special'],
  [0xc000, 'special'],
]);

/** The directory lies together at the end: reading it entry by entry costs one read of the file a window. */
class WindowReader extends RandomAccessReader {
  readonly #bytes: RandomBytes;
  #start = 0;
  #window: Buffer = Buffer.alloc(0);

  constructor(bytes: RandomBytes) {
    super();
    this.#bytes = bytes;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    const deliver = (): void => {
      const copied = this.#window.copy(buffer, offset, position - this.#start, position - this.#start + length);
      callback(null, copied);
    };
    if (position >= this.#start && position + length <= this.#start + this.#window.length) {
      deliver();
      return;
    }
    void this.#move(position, length, deliver, callback);
  }

  /** What the parser throws on what it was given is told to it as a failed read, which ends it in order. */
  async #move(
    position: number,
    length: number,
    deliver: () => void,
    callback: (error: Error | null) => void,
  ): Promise<void> {
    try {
      const end = Math.min(this.#bytes.size, position + Math.max(length, 1024 * 1024));
      this.#window = await readSpan(this.#bytes, { start: position, end });
      this.#start = position;
      deliver();
    } catch (error) {
      callback(error instanceof Error ? error : new Error(String(error)));
    }
  }

  override close(callback: (error: Error | null) => void): void {
    callback(null);
  }

  override _readStreamForRange(): Readable {
    return Readable.from([]);
  }
}

const typeOf = (entry: Entry): 'file' | 'link' | 'special' => {
  if (entry.versionMadeBy >>> 8 !== unixMadeBy) return 'file';
  return fileTypeOfMode.get((entry.externalFileAttributes >>> 16) & fileTypeMask) ?? 'file';
};

const dateOf = (entry: Entry): Date | null => {
  if (entry.lastModFileDate === 0 && entry.extraFields.length === 0) return null;
  const date = entry.getLastModDate({ timezone: 'UTC' });
  return Number.isNaN(date.getTime()) ? null : date;
};

class DirectoryReader {
  readonly members: ZipMember[] = [];
  readonly problems: SourceProblem[] = [];
  readonly #limits: ZipLimits;
  readonly #names = new Map<string, number>();
  #total = 0;
  #packed = 0;

  constructor(limits: ZipLimits) {
    this.#limits = limits;
  }

  problem(path: string, code: SourceProblemCode, reason: string): void {
    this.problems.push({ path, code, reason });
  }

  take(entry: Entry): void {
    const name = readMemberName(Buffer.from(entry.fileNameRaw), entry.generalPurposeBitFlag, entry.extraFields);
    if (!name.ok) {
      this.problem(name.shown, 'path_refused', name.reason);
      return;
    }
    if (name.isFolder && entry.uncompressedSize === 0) return;
    const path = this.#uniquePath(name.path);
    if (name.assumed) {
      this.problem(path, 'name_encoding_assumed', 'The name states no encoding; it is read as code page 437.');
    }
    const refusal = this.#refusal(entry);
    if (refusal !== undefined) {
      this.problem(path, ...refusal);
      return;
    }
    this.#total += entry.uncompressedSize;
    this.#packed += entry.compressedSize;
    this.members.push({
      path,
      size: entry.uncompressedSize,
      compressedSize: entry.compressedSize,
      modifiedAt: dateOf(entry),
      method: entry.compressionMethod,
      crc32: entry.crc32,
      offset: entry.relativeOffsetOfLocalHeader,
    });
  }

  #uniquePath(path: string): string {
    const seen = this.#names.get(path) ?? 0;
    this.#names.set(path, seen + 1);
    if (seen === 0) return path;
    let number = seen + 1;
    while (this.#names.has(numberedPath(path, number))) number++;
    const unique = numberedPath(path, number);
    this.#names.set(unique, 1);
    this.problem(unique, 'duplicate_name', 'The archive has more than one member of this name; each is kept.');
    return unique;
  }

  #refusal(entry: Entry): [SourceProblemCode, string] | undefined {
    const { maxMemberBytes, maxArchiveBytes, maxRatio, ratioFloorBytes } = this.#limits;
    const { uncompressedSize: size, compressedSize: packed, compressionMethod: method } = entry;
    const type = typeOf(entry);
    if (type === 'link') return ['symlink', 'The member is a symbolic link.'];
    if (type === 'special') return ['special_file', 'The member is a device, pipe or socket.'];
    if ((entry.generalPurposeBitFlag & encryptedFlag) !== 0) return ['encrypted', 'The member needs a password.'];
    if (method !== stored && method !== deflated && method !== zstandard) {
      return ['unreadable', `The member is compressed by method ${method}, which is not supported.`];
    }
    if (method === stored && size !== packed) return ['corrupt', 'Two sizes of a stored member differ.'];
    if (size > maxMemberBytes) return ['limit_exceeded', `The member has more than ${maxMemberBytes} bytes.`];
    if (size > ratioFloorBytes && size > packed * maxRatio) {
      return ['bomb', `The member unpacks to more than ${maxRatio} times its size.`];
    }
    if (this.#total + size > maxArchiveBytes) {
      return ['limit_exceeded', `The archive unpacks to more than ${maxArchiveBytes} bytes; the rest is refused.`];
    }
    if (this.#total + size > Math.max(ratioFloorBytes, (this.#packed + packed) * maxRatio)) {
      return ['bomb', `The archive unpacks to more than ${maxRatio} times its size.`];
    }
    return undefined;
  }

  /** Refuses every member whose data lies within another's: one kernel of data that is counted many times. */
  refuseOverlaps(): void {
    const byPlace = this.members.toSorted((left, right) => left.offset - right.offset);
    const bad = new Set<ZipMember>();
    let end = 0;
    let last: ZipMember | undefined;
    for (const member of byPlace) {
      if (last !== undefined && member.offset < end) {
        bad.add(member);
        bad.add(last);
      }
      const memberEnd = member.offset + localHeaderBytes + member.compressedSize;
      if (memberEnd > end) {
        end = memberEnd;
        last = member;
      }
    }
    for (const { path } of bad) this.problem(path, 'bomb', 'The data of the member overlaps that of another.');
    const good = this.members.filter((member) => !bad.has(member));
    this.members.length = 0;
    for (const member of good) this.members.push(member);
  }
}

const zipSignature = 0x04034b50;

const explain = async (bytes: RandomBytes, error: unknown): Promise<[SourceProblemCode, string]> => {
  const head = await readSpan(bytes, { start: 0, end: 4 });
  const message = error instanceof Error ? error.message : '';
  if (/strong encryption/iu.test(message)) return ['encrypted', 'The directory of the archive is encrypted.'];
  if (/multi-disk/iu.test(message)) return ['unreadable', 'The archive is one piece of several.'];
  if (head.length === 4 && head.readUInt32LE(0) === zipSignature && /not found|truncated/iu.test(message)) {
    return ['truncated', 'The archive has no directory at its end: it is cut short, or still being written.'];
  }
  return ['corrupt', 'The directory of the archive is broken; members up to there are kept.'];
};

/**
 * Reads the directory of a zip. Whatever is wrong with it is among `problems`.
 * @throws CaseboundError `source_changed`, `source_unreadable`, when the bytes themselves cannot be read.
 */
export const openZipArchive = async (bytes: RandomBytes, limits: ZipLimits): Promise<ZipArchive> => {
  const directory = new DirectoryReader(limits);
  try {
    const zip = await fromRandomAccessReaderPromise(new WindowReader(bytes), bytes.size, {
      autoClose: false,
      decodeStrings: false,
      validateEntrySizes: false,
    });
    let count = 0;
    for await (const entry of zip.eachEntry()) {
      if (++count > limits.maxEntries) {
        directory.problem('', 'limit_exceeded', `The archive has more than ${limits.maxEntries} members.`);
        break;
      }
      directory.take(entry);
    }
    zip.close();
  } catch (error) {
    if (error instanceof CaseboundError) throw error;
    directory.problem('', ...(await explain(bytes, error)));
  }
  directory.refuseOverlaps();
  directory.members.sort((left, right) => comparePaths(left.path, right.path));
  const { members, problems } = directory;
  return { members, problems, open: (member) => openMember(bytes, member) };
};

const corrupt = (member: ZipMember, reason: string, cause?: unknown): CaseboundError =>
  new CaseboundError('source_corrupt', `${member.path}: ${reason}`, cause === undefined ? {} : { cause });

const decompressorOf = (method: number): Transform | undefined => {
  if (method === deflated) return createInflateRaw();
  return method === zstandard ? createZstdDecompress() : undefined;
};

const openMember = async (bytes: RandomBytes, member: ZipMember): Promise<Readable> => {
  const header = await readSpan(bytes, { start: member.offset, end: member.offset + localHeaderBytes });
  if (header.length < localHeaderBytes || header.readUInt32LE(0) !== zipSignature) {
    throw corrupt(member, 'there is no member where the directory of the archive says.');
  }
  const start = member.offset + localHeaderBytes + header.readUInt16LE(26) + header.readUInt16LE(28);
  const end = start + member.compressedSize;
  if (end > bytes.size) throw corrupt(member, 'its data reaches beyond the end of the archive.');
  const packed = await bytes.open({ start, end });
  const decompressor = decompressorOf(member.method);
  let failure: unknown;
  // The end of the chain is read below; an error of an earlier link destroys it and is told there.
  const unpacked = decompressor === undefined ? packed : pipeline(packed, decompressor, (error) => (failure = error));
  return Readable.from(
    checked(member, unpacked, () => failure),
    { objectMode: false, highWaterMark: 256 * 1024 },
  );
};

const checked = async function* (member: ZipMember, stream: Readable, failure: () => unknown): AsyncGenerator<Buffer> {
  let size = 0;
  let sum = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > member.size) throw corrupt(member, 'it unpacks to more bytes than it declares.');
      sum = crc32(chunk, sum);
      yield chunk;
    }
  } catch (error) {
    const cause = failure() ?? error;
    if (cause instanceof CaseboundError) throw cause;
    if (error instanceof CaseboundError) throw error;
    throw corrupt(member, 'its compressed data is broken.', cause);
  } finally {
    stream.destroy();
  }
  if (size !== member.size) throw corrupt(member, `it unpacks to ${size} bytes and declares ${member.size}.`);
  if (sum !== member.crc32) throw corrupt(member, 'its checksum does not hold.');
};
