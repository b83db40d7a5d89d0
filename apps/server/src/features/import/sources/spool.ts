/**
 * A bounded place for bytes that must be read from any position but come as a stream: members of archives that are archives
 * or mail themselves, encoded attachments that are mail.
 *
 * 1. Small ones stay in memory, larger ones lie in one temporary folder; together they take at most `spoolDiskBytes` of disk.
 * 2. The folder is removed with the spool. A process that was killed leaves its folder behind; the next spool on the same
 *    machine removes it, since its name says which process it was of.
 */
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CaseboundError } from '@casebound/contract';
import type { RandomBytes } from './random-bytes.ts';
import { bytesOfBuffer, FileBytes } from './random-bytes.ts';
import type { SourceLimits } from './source-model.ts';

/** Bytes that were set aside, until they are let go of. */
export interface SpooledBytes extends AsyncDisposable {
  readonly bytes: RandomBytes;
}

const folderPrefix = 'casebound-import-';

const ownPrefix = (): string => `${folderPrefix}${hostname().replaceAll(/[^a-z0-9]/giu, '_')}-`;

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
};

const removeAbandoned = async (parent: string): Promise<void> => {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(ownPrefix())) continue;
    const pid = Number.parseInt(name.slice(ownPrefix().length), 10);
    if (Number.isSafeInteger(pid) && pid > 0 && !isAlive(pid)) {
      await rm(join(parent, name), { recursive: true, force: true });
    }
  }
};

export class Spool {
  readonly #parent: string;
  readonly #limits: Pick<SourceLimits, 'spoolMemoryBytes' | 'spoolDiskBytes'>;
  #folder: Promise<string> | undefined;
  #count = 0;
  #usedBytes = 0;

  /** @param parent an existing or new folder in which the temporary one is made, when it is needed. */
  constructor(parent: string, limits: Pick<SourceLimits, 'spoolMemoryBytes' | 'spoolDiskBytes'>) {
    this.#parent = parent;
    this.#limits = limits;
  }

  /** Bytes on disk now. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /**
   * Takes a stream to its end.
   * @throws CaseboundError `source_limit_exceeded` when there is no room; and whatever the stream ends with.
   */
  async take(stream: Readable, shown: string): Promise<SpooledBytes> {
    const head: Buffer[] = [];
    let size = 0;
    const chunks = (stream as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
    for (;;) {
      const next = await chunks.next();
      if (next.done === true) {
        const release = (): Promise<void> => Promise.resolve();
        return { bytes: bytesOfBuffer(Buffer.concat(head)), [Symbol.asyncDispose]: release };
      }
      head.push(next.value);
      size += next.value.length;
      if (size > this.#limits.spoolMemoryBytes) break;
    }
    try {
      return await this.#toDisk(head, chunks, shown);
    } finally {
      stream.destroy();
    }
  }

  /** As `take`, but always into a file, for libraries that open files themselves. */
  async takeToFile(stream: Readable, shown: string): Promise<SpooledBytes> {
    try {
      return await this.#toDisk([], (stream as AsyncIterable<Buffer>)[Symbol.asyncIterator](), shown);
    } finally {
      stream.destroy();
    }
  }

  /** The temporary folder itself, for programs that write files of their own; it is removed with the spool. */
  folder(): Promise<string> {
    this.#folder ??= this.#createFolder();
    return this.#folder;
  }

  async #toDisk(head: Buffer[], rest: AsyncIterator<Buffer>, shown: string): Promise<SpooledBytes> {
    const folder = await this.folder();
    const file = join(folder, `${++this.#count}`);
    let written = 0;
    const count = (chunk: Buffer): Buffer => {
      if (this.#usedBytes + chunk.length > this.#limits.spoolDiskBytes) {
        const detail = `${shown}: it needs more temporary space than \`spoolDiskBytes\` (${this.#limits.spoolDiskBytes}).`;
        throw new CaseboundError('source_limit_exceeded', detail);
      }
      this.#usedBytes += chunk.length;
      written += chunk.length;
      return chunk;
    };
    const release = async (): Promise<void> => {
      await rm(file, { force: true });
      this.#usedBytes -= written;
      written = 0;
    };
    try {
      await pipeline(
        async function* () {
          while (head.length > 0) {
            const chunk = head.shift();
            if (chunk !== undefined) yield count(chunk);
          }
          for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield count(next.value);
        },
        createWriteStream(file, { mode: 0o600 }),
      );
      const bytes = await FileBytes.open(folder, file, shown);
      const dispose = async (): Promise<void> => {
        await bytes.close();
        await release();
      };
      return { bytes, [Symbol.asyncDispose]: dispose };
    } catch (error) {
      await release();
      throw error;
    }
  }

  async #createFolder(): Promise<string> {
    await mkdir(this.#parent, { recursive: true });
    await removeAbandoned(this.#parent);
    return realpath(await mkdtemp(join(this.#parent, `${ownPrefix()}${process.pid}-`)));
  }

  async close(): Promise<void> {
    const folder = await this.#folder?.catch(() => undefined);
    this.#folder = undefined;
    this.#usedBytes = 0;
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}
