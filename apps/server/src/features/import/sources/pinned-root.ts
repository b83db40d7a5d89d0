/**
 * An import root whose load files must be what they were when the import was planned.
 *
 * An import reads its load file several times: for what columns are, for the numbers and families of the whole, for the rows, and again
 * after a crash. Rows of one reading belong to numbers of another by their position alone, so a file that changed in between would give
 * values to wrong numbers or lose rows. `FileBytes` sees a change within a reading; the pins see one between readings.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { CaseboundError } from '@casebound/contract';
import { z } from 'zod';
import type {
  ImportRoot,
  ListEntriesOptions,
  ResolveOptions,
  RootResolution,
  SourceEntry,
  SourceLimits,
} from './source-model.ts';

/** A file below a root and what it was: `BYTES bytes of TIME`, to the nanosecond. Within a zip, that of the zip. */
export const SourcePin = z.object({ path: z.string(), mark: z.string() });
export type SourcePin = z.infer<typeof SourcePin>;

const nanosecondsPerMillisecond = 1_000_000n;

const markOf = async (root: string, file: string): Promise<string> => {
  const found = await stat(root, { bigint: true });
  const { size, mtimeNs } = found.isDirectory() ? await stat(join(root, file), { bigint: true }) : found;
  const time = new Date(Number(mtimeNs / nanosecondsPerMillisecond)).toISOString();
  return `${size} bytes of ${time.replace('Z', `${String(mtimeNs % nanosecondsPerMillisecond).padStart(6, '0')}Z`)}`;
};

/** To be taken before a file is read for the first time. */
export const pinFile = async (root: string, file: string): Promise<SourcePin> => ({
  path: file,
  mark: await markOf(root, file).catch(() => 'absent'),
});

/** Errors: `import_source_invalid` when the file is no longer what it was. */
const checkPin = async (root: string, pin: SourcePin): Promise<void> => {
  const { mark } = await pinFile(root, pin.path);
  if (mark === pin.mark) return;
  throw new CaseboundError(
    'import_source_invalid',
    `${pin.path} changed after the import had begun: it was ${pin.mark}, and is ${mark}. The import is undone; wait until whatever writes it has finished, then import it again.`,
  );
};

export class PinnedRoot implements ImportRoot {
  readonly #root: ImportRoot;
  readonly #path: string;
  readonly #pins: ReadonlyMap<string, SourcePin>;

  /** @param path of the root on the server. */
  constructor(root: ImportRoot, path: string, pins: readonly SourcePin[]) {
    this.#root = root;
    this.#path = path;
    this.#pins = new Map(pins.map((pin) => [pin.path, pin]));
  }

  get kind(): ImportRoot['kind'] {
    return this.#root.kind;
  }

  get limits(): SourceLimits {
    return this.#root.limits;
  }

  list(options?: ListEntriesOptions): AsyncIterable<SourceEntry> {
    return this.#root.list(options);
  }

  /** A pinned file is looked at once it is open: what changes from then on, the reading itself sees. */
  async open(path: string): Promise<Readable> {
    const pin = this.#pins.get(path);
    if (pin === undefined) return this.#root.open(path);
    // Says of a file that is gone that it changed, which tells more than that it cannot be opened.
    await checkPin(this.#path, pin);
    const stream = await this.#root.open(path);
    try {
      await checkPin(this.#path, pin);
      return stream;
    } catch (error) {
      stream.destroy();
      throw error;
    }
  }

  async stat(path: string): Promise<SourceEntry | undefined> {
    return this.#root.stat(path);
  }

  async resolve(loadFilePath: string, options?: ResolveOptions): Promise<RootResolution> {
    return this.#root.resolve(loadFilePath, options);
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
