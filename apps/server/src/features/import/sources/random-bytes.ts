/**
 * Bytes that can be read from any position, as often as needed: a file on disk, a buffer, a range of either.
 *
 * A file is what it was when it was first looked at: every read compares size and time of change before and after, so
 * that a file that is still being written is never taken for whole.
 */
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, realpath, stat } from 'node:fs/promises';
import { sep } from 'node:path';
import { Readable } from 'node:stream';
import { CaseboundError } from '@casebound/contract';

/** `start` inclusive, `end` exclusive, in bytes. */
export interface ByteSpan {
  readonly start: number;
  readonly end: number;
}

export interface RandomBytes {
  readonly size: number;
  /** Ends only when all bytes of the span were delivered and the source is what it was. */
  open(span?: ByteSpan): Promise<Readable>;
  /** Where the same bytes lie for libraries that open files themselves; null when only in memory or a part of a file. */
  readonly file: string | null;
}

const chunkBytes = 256 * 1024;

/** Codes of the system that mean: not there. */
const absentCodes = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);

export const systemCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

export const isAbsent = (error: unknown): boolean => absentCodes.has(systemCode(error) ?? '');

interface FileState {
  readonly size: number;
  readonly modifiedNs: bigint;
  readonly inode: bigint;
  readonly device: bigint;
}

const stateOf = async (handle: FileHandle): Promise<FileState & { readonly isFile: boolean; readonly mtime: Date }> => {
  const found = await handle.stat({ bigint: true });
  return {
    size: Number(found.size),
    modifiedNs: found.mtimeNs,
    inode: found.ino,
    device: found.dev,
    isFile: found.isFile(),
    mtime: found.mtime,
  };
};

const sameState = (left: FileState, right: FileState): boolean =>
  left.size === right.size &&
  left.modifiedNs === right.modifiedNs &&
  left.inode === right.inode &&
  left.device === right.device;

/** True when `inner` is `outer` or lies below it; both are real paths. */
export const isWithin = (outer: string, inner: string): boolean =>
  inner === outer || inner.startsWith(outer.endsWith(sep) ? outer : `${outer}${sep}`);

const unreadable = (shown: string, reason: string, cause?: unknown): CaseboundError =>
  new CaseboundError('source_unreadable', `${shown}: ${reason}`, cause === undefined ? {} : { cause });

const changed = (shown: string): CaseboundError =>
  new CaseboundError('source_changed', `${shown}: the file changed while it was read; it may still be being written.`);

/**
 * Opens a regular file whose real path lies below `root` (a real path). Neither the last segment nor one before it leads
 * out of the root by a link, and a pipe or device does not block.
 */
const openWithin = async (root: string, path: string, shown: string): Promise<FileHandle> => {
  let handle: FileHandle;
  let real: string;
  try {
    real = await realpath(path);
    if (!isWithin(root, real)) throw unreadable(shown, 'it is a link that leads out of the import root.');
    handle = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (error instanceof CaseboundError) throw error;
    if (isAbsent(error)) throw unreadable(shown, 'no such file.', error);
    throw unreadable(shown, `the system refuses to open it (${systemCode(error) ?? 'unknown'}).`, error);
  }
  try {
    const state = await stateOf(handle);
    if (!state.isFile) throw unreadable(shown, 'it is no regular file.');
    // Between the look and the opening a folder on the way may have become a link: what the path means now must be what was opened.
    const again = await realpath(path);
    const now = await stat(again, { bigint: true });
    if (!isWithin(root, again) || now.ino !== state.inode || now.dev !== state.device) throw changed(shown);
    return handle;
  } catch (error) {
    await handle.close();
    if (error instanceof CaseboundError) throw error;
    throw changed(shown);
  }
};

/**
 * A file below an import root, as it was when it was opened. It stays open until it is closed, so that reading many small spans
 * costs a read and a look each; a file that is replaced by another of its name meanwhile is read on as it was.
 */
export class FileBytes implements RandomBytes {
  readonly size: number;
  readonly modifiedAt: Date;
  readonly file: string;
  readonly #handle: FileHandle;
  readonly #shown: string;
  readonly #state: FileState;

  private constructor(options: {
    readonly handle: FileHandle;
    readonly path: string;
    readonly shown: string;
    readonly state: FileState;
    readonly modifiedAt: Date;
  }) {
    this.#handle = options.handle;
    this.file = options.path;
    this.#shown = options.shown;
    this.#state = options.state;
    this.size = options.state.size;
    this.modifiedAt = options.modifiedAt;
  }

  /**
   * @param root real path of the import root. @param path on disk. @param shown the path for messages.
   * @throws CaseboundError `source_unreadable`, `source_changed`.
   */
  static async open(root: string, path: string, shown: string): Promise<FileBytes> {
    const handle = await openWithin(root, path, shown);
    const state = await stateOf(handle);
    return new FileBytes({ handle, path, shown, state, modifiedAt: state.mtime });
  }

  open(span: ByteSpan = { start: 0, end: this.size }): Promise<Readable> {
    return Promise.resolve(Readable.from(this.#read(span), { objectMode: false, highWaterMark: chunkBytes }));
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async *#read(span: ByteSpan): AsyncGenerator<Buffer> {
    let position = span.start;
    while (position < span.end) {
      const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, span.end - position));
      const bytesRead = await this.#readOnce(buffer, position);
      if (bytesRead === 0) throw changed(this.#shown);
      position += bytesRead;
      if (position >= span.end && !sameState(await stateOf(this.#handle), this.#state)) throw changed(this.#shown);
      yield bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead);
    }
  }

  async #readOnce(buffer: Buffer, position: number): Promise<number> {
    try {
      return (await this.#handle.read(buffer, 0, buffer.length, position)).bytesRead;
    } catch (error) {
      throw unreadable(this.#shown, `the system cannot read it (${systemCode(error) ?? 'unknown'}).`, error);
    }
  }
}

/** The whole of a file as a stream that closes it at its end. */
export const readAndClose = async (bytes: FileBytes): Promise<Readable> => {
  const stream = await bytes.open();
  const pass = async function* (): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) yield chunk;
    } finally {
      stream.destroy();
      await bytes.close();
    }
  };
  const guarded = Readable.from(pass(), { objectMode: false, highWaterMark: chunkBytes });
  // A generator that was never started runs no `finally`: a stream that is destroyed unread must still close its file.
  guarded.once('close', () => void bytes.close().catch(() => undefined));
  return guarded;
};

const slices = function* (buffer: Buffer): Generator<Buffer> {
  for (let start = 0; start < buffer.length; start += chunkBytes) yield buffer.subarray(start, start + chunkBytes);
};

/** A buffer as bytes. */
export const bytesOfBuffer = (buffer: Buffer): RandomBytes => ({
  size: buffer.length,
  file: null,
  open: (span = { start: 0, end: buffer.length }) =>
    Promise.resolve(Readable.from(slices(buffer.subarray(span.start, span.end)), { objectMode: false })),
});

/** A part of other bytes. */
export const bytesOfSpan = (bytes: RandomBytes, { start, end }: ByteSpan): RandomBytes => ({
  size: end - start,
  file: null,
  open: (span = { start: 0, end: end - start }) => bytes.open({ start: start + span.start, end: start + span.end }),
});

/** Reads a span whole; for small ones. */
export const readSpan = async (bytes: RandomBytes, span: ByteSpan): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  const end = Math.min(span.end, bytes.size);
  if (end <= span.start) return Buffer.alloc(0);
  for await (const chunk of await bytes.open({ start: span.start, end })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

/** The first bytes of a stream, which is then let go of. */
export const readHead = async (stream: Readable, length: number): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= length) break;
  }
  return Buffer.concat(chunks).subarray(0, length);
};
