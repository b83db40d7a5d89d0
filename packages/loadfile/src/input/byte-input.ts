/**
 * A source of bytes with a look ahead.
 *
 * - The chunks handed out depend on the bytes alone, not on how the source happened to cut them.
 * - At most `chunkBytes` plus one chunk of the source are held, and what was peeked at.
 */

/** Anything that yields bytes: a file stream, an object of the store, a fetch body, an array of buffers. */
export type ByteSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

const openIterator = (source: ByteSource): AsyncIterator<Uint8Array> | Iterator<Uint8Array> =>
  Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();

export class ByteInput {
  readonly #iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  readonly #chunkBytes: number;
  #parts: Uint8Array[] = [];
  #held = 0;
  #ended = false;
  #read = 0;

  constructor(source: ByteSource, chunkBytes: number) {
    this.#iterator = openIterator(source);
    this.#chunkBytes = chunkBytes;
  }

  /** Bytes taken from the source so far. */
  get bytesRead(): number {
    return this.#read;
  }

  async #fill(wanted: number): Promise<void> {
    while (this.#held < wanted && !this.#ended) {
      const next = await this.#iterator.next();
      if (next.done === true) {
        this.#ended = true;
      } else if (next.value.length > 0) {
        this.#parts.push(next.value);
        this.#held += next.value.length;
        this.#read += next.value.length;
      }
    }
  }

  #join(): Buffer {
    const [only] = this.#parts;
    const whole =
      this.#parts.length === 1 && only !== undefined
        ? Buffer.from(only.buffer, only.byteOffset, only.byteLength)
        : Buffer.concat(this.#parts, this.#held);
    this.#parts = [whole];
    return whole;
  }

  /** The first `count` bytes of what is left, or fewer when the source ends before; they stay in the input. */
  async peek(count: number): Promise<{ readonly bytes: Buffer; readonly complete: boolean }> {
    await this.#fill(count + 1);
    const whole = this.#join();
    return { bytes: whole.subarray(0, count), complete: this.#ended && whole.length <= count };
  }

  /** Takes the next chunk of exactly `chunkBytes`, or what is left at the end; undefined after that. */
  async next(): Promise<Buffer | undefined> {
    await this.#fill(this.#chunkBytes);
    if (this.#held === 0) return undefined;
    const whole = this.#join();
    const chunk = whole.subarray(0, this.#chunkBytes);
    const rest = whole.subarray(chunk.length);
    this.#parts = rest.length > 0 ? [rest] : [];
    this.#held = rest.length;
    return chunk;
  }

  /** Drops bytes at the front, such as a byte-order mark that was peeked at. */
  async skip(count: number): Promise<void> {
    await this.#fill(count);
    const rest = this.#join().subarray(count);
    this.#parts = rest.length > 0 ? [rest] : [];
    this.#held = rest.length;
  }

  /** Lets go of the source, whether or not it was read to its end. */
  async close(): Promise<void> {
    this.#parts = [];
    this.#held = 0;
    if (!this.#ended) {
      this.#ended = true;
      await this.#iterator.return?.();
    }
  }
}
