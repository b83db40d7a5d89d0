/**
 * A file that is read by its descriptor.
 *
 * Opening and reading go through the thread pool, because they may wait for a disk. Describing and closing do not wait, and a way through the pool costs ten
 * times what they do.
 */
import { closeSync, fstatSync, open, read, type Stats } from 'node:fs';
import { promisify } from 'node:util';

const openDescriptor = promisify(open);
const readDescriptor = promisify(read);

export class OpenFile {
  readonly #descriptor: number;
  #reading = 0;
  #isClosing = false;
  #isClosed = false;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  static async open(path: string, flags: number): Promise<OpenFile> {
    return new OpenFile(await openDescriptor(path, flags));
  }

  stats(): Stats {
    return fstatSync(this.#descriptor);
  }

  /** Bytes read, 0 at the end of the file. */
  async read(buffer: Buffer, offset: number, length: number, position: number): Promise<number> {
    if (this.#isClosing) throw new Error('The file is closed.');
    this.#reading += 1;
    try {
      return (await readDescriptor(this.#descriptor, buffer, offset, length, position)).bytesRead;
    } finally {
      this.#reading -= 1;
      this.#closeWhenIdle();
    }
  }

  /** The descriptor is given back when the reads under way have ended: nobody else may get its number before. Done again, it does nothing. */
  close(): void {
    this.#isClosing = true;
    this.#closeWhenIdle();
  }

  #closeWhenIdle(): void {
    if (!this.#isClosing || this.#isClosed || this.#reading > 0) return;
    this.#isClosed = true;
    closeSync(this.#descriptor);
  }
}
