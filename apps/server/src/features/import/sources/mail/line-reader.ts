/**
 * Lines of a byte stream with their positions, in memory that a long line does not enlarge, and fast skipping of what is
 * between the lines one looks for.
 */
import type { Readable } from 'node:stream';

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

export interface Line {
  /** Without its line break, cut at the reader's limit. */
  readonly bytes: Buffer;
  /** Position of its first byte. */
  readonly start: number;
  /** Position of its line break (of the carriage return of a pair), or of the end of the stream. */
  readonly textEnd: number;
  /** Position after its line break. */
  readonly end: number;
}

export class LineReader {
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #maxLineBytes: number;
  #buffer: Buffer = Buffer.alloc(0);
  /** Of the first byte of `#buffer` in the stream. */
  #base = 0;
  /** In `#buffer`. */
  #position = 0;
  #ended = false;
  /** The last two bytes before `#buffer`, to tell how the line before ended. */
  #before: Buffer = Buffer.alloc(0);

  constructor(stream: Readable, maxLineBytes: number) {
    this.#chunks = (stream as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
    this.#maxLineBytes = maxLineBytes;
  }

  /** Of the next byte to be read. */
  get position(): number {
    return this.#base + this.#position;
  }

  /** Where the text before the current position ends: without the one line break that precedes it. */
  get endOfTextBefore(): number {
    const last = this.#byteBefore(1);
    if (last !== lineFeed) return this.position;
    return this.position - (this.#byteBefore(2) === carriageReturn ? 2 : 1);
  }

  #byteBefore(distance: number): number | undefined {
    const at = this.#position - distance;
    return at >= 0 ? this.#buffer[at] : this.#before[this.#before.length + at];
  }

  async #fill(): Promise<boolean> {
    if (this.#ended) return false;
    const next = await this.#chunks.next();
    if (next.done === true) {
      this.#ended = true;
      return false;
    }
    const done = Buffer.concat([this.#before, this.#buffer.subarray(0, this.#position)]);
    this.#before = Buffer.from(done.subarray(Math.max(0, done.length - 2)));
    const rest = this.#buffer.subarray(this.#position);
    this.#base += this.#position;
    this.#position = 0;
    this.#buffer = rest.length === 0 ? next.value : Buffer.concat([rest, next.value]);
    return true;
  }

  /** The next line, or undefined at the end. */
  async next(): Promise<Line | undefined> {
    const start = this.position;
    let kept: Buffer | undefined;
    let searched = 0;
    for (;;) {
      const found = this.#buffer.indexOf(lineFeed, this.#position + searched);
      if (found >= 0) return this.#take(start, kept, found, found + 1);
      searched = this.#buffer.length - this.#position;
      if (kept === undefined && searched > this.#maxLineBytes) {
        kept = Buffer.from(this.#buffer.subarray(this.#position, this.#position + this.#maxLineBytes));
      }
      if (kept !== undefined) {
        // Of a line that is too long only its end is still looked for; the last byte may be half of a line break.
        this.#position = Math.max(this.#position, this.#buffer.length - 1);
        searched = this.#buffer.length - this.#position;
      }
      if (await this.#fill()) continue;
      if (this.position === this.#base + this.#buffer.length && kept === undefined) return undefined;
      return this.#take(start, kept, this.#buffer.length, this.#buffer.length);
    }
  }

  #take(start: number, kept: Buffer | undefined, textEnd: number, end: number): Line {
    let stop = textEnd;
    if (end > textEnd && (textEnd > 0 ? this.#buffer[textEnd - 1] : this.#before.at(-1)) === carriageReturn) stop--;
    const bytes = kept ?? this.#buffer.subarray(this.#position, Math.max(this.#position, stop));
    const line = { bytes, start, textEnd: Math.max(start, this.#base + stop), end: this.#base + end };
    this.#position = end;
    return line;
  }

  /**
   * Skips to the next line that starts with `prefix`; the current position must be the start of a line. False at the end.
   */
  async skipTo(prefix: Buffer): Promise<boolean> {
    const marked = Buffer.concat([Buffer.of(lineFeed), prefix]);
    while (this.#buffer.length - this.#position < prefix.length) {
      if (!(await this.#fill())) {
        this.#position = this.#buffer.length;
        return false;
      }
    }
    if (this.#buffer.subarray(this.#position, this.#position + prefix.length).equals(prefix)) return true;
    for (;;) {
      const found = this.#buffer.indexOf(marked, this.#position);
      if (found >= 0) {
        this.#position = found + 1;
        return true;
      }
      this.#position = Math.max(this.#position, this.#buffer.length - marked.length + 1);
      if (!(await this.#fill())) {
        this.#position = this.#buffer.length;
        return false;
      }
    }
  }

  /** Up to `length` bytes that come next, left where they are. */
  async peek(length: number): Promise<Buffer> {
    while (this.#buffer.length - this.#position < length && (await this.#fill()));
    return this.#buffer.subarray(this.#position, this.#position + length);
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
