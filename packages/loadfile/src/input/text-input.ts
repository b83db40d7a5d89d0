/**
 * A source of bytes as text: encoding decided on the first bytes, byte-order mark dropped, then decoded chunk by chunk.
 */
import type { LoadFileLimits } from '../limits.ts';
import type { ByteSource } from './byte-input.ts';
import { ByteInput } from './byte-input.ts';
import type { ByteDecoder, DecodedText } from './decode-text.ts';
import { createByteDecoder, sequenceStart } from './decode-text.ts';
import type { EncodingGuess } from './sniff-encoding.ts';
import { encodingOfLabel, sniffEncoding } from './sniff-encoding.ts';

export interface TextSample {
  readonly guess: EncodingGuess;
  /** The beginning of the file as text; it may end within a line. */
  readonly text: string;
  /** True when `text` is the whole file. */
  readonly complete: boolean;
  /** The character that ends lines: carriage return only where no line feed is in sight. */
  readonly lineBreak: '\n' | '\r';
  /** The encoding of the sample; a later byte may still turn `utf-8` into `windows-1252`. */
  readonly encoding: string;
}

const lineBreakIn = (text: string): '\n' | '\r' => (!text.includes('\n') && text.includes('\r') ? '\r' : '\n');

export class TextInput {
  readonly #bytes: ByteInput;
  readonly #limits: LoadFileLimits;
  #stated: string | undefined;
  #decoder: ByteDecoder | undefined;
  #sample: TextSample | undefined;

  /** @param stated an encoding label that overrides detection. */
  constructor(source: ByteSource, limits: LoadFileLimits, stated?: string) {
    this.#bytes = new ByteInput(source, limits.chunkBytes);
    this.#limits = limits;
    this.#stated = stated;
  }

  get bytesRead(): number {
    return this.#bytes.bytesRead;
  }

  /** The encoding as known so far. */
  get encoding(): string {
    return this.#decoder?.encoding ?? this.#sample?.encoding ?? 'utf-8';
  }

  /**
   * Takes back what was detected in favour of what the file itself declares. False for a label that is not known.
   * Possible until the first piece is read.
   */
  restate(label: string): boolean {
    try {
      this.#stated = encodingOfLabel(label);
    } catch {
      return false;
    }
    this.#sample = undefined;
    return true;
  }

  /** Looks at the beginning without taking it. */
  async sample(): Promise<TextSample> {
    if (this.#sample !== undefined) return this.#sample;
    const { bytes, complete } = await this.#bytes.peek(this.#limits.sniffBytes);
    const guess = sniffEncoding(bytes, this.#stated);
    const body = bytes.subarray(guess.bomBytes);
    const lineBreak = lineBreakIn(
      guess.encoding.startsWith('utf-16')
        ? this.#createDecoder(guess, '\n').decode(body, complete).text
        : body.toString('latin1'),
    );
    const decoder = this.#createDecoder(guess, lineBreak);
    let { text } = decoder.decode(body, complete);
    // One line longer than the sample: its end may be half a character, which must not count against the encoding.
    let { encoding } = decoder;
    if (text === '' && body.length > 1 && !complete) {
      const whole = this.#createDecoder(guess, lineBreak);
      text = whole.decode(body.subarray(0, sequenceStart(body, body.length - 1)), true).text;
      encoding = whole.encoding;
    }
    this.#sample = { guess, text, complete, lineBreak, encoding };
    return this.#sample;
  }

  #createDecoder(guess: EncodingGuess, lineBreak: '\n' | '\r'): ByteDecoder {
    const maxLineBytes = Math.max(this.#limits.maxRecordChars, this.#limits.chunkBytes);
    return createByteDecoder({ encoding: guess.encoding, fixed: guess.fixed, lineBreak, maxLineBytes });
  }

  /**
   * The text of the file, in pieces. Lets go of the source when it ends or the caller stops.
   * @param lineBreak as the sample says, unless the caller knows better.
   */
  async *pieces(lineBreak?: '\n' | '\r'): AsyncGenerator<DecodedText & { readonly final: boolean }> {
    try {
      const sample = await this.sample();
      await this.#bytes.skip(sample.guess.bomBytes);
      const decoder = this.#createDecoder(sample.guess, lineBreak ?? sample.lineBreak);
      this.#decoder = decoder;
      for (let chunk = await this.#bytes.next(); chunk !== undefined; chunk = await this.#bytes.next()) {
        const piece = decoder.decode(chunk, false);
        if (piece.text !== '' || piece.flaws.length > 0) yield { ...piece, final: false };
      }
      yield { ...decoder.decode(Buffer.alloc(0), true), final: true };
    } finally {
      await this.#bytes.close();
    }
  }

  async close(): Promise<void> {
    await this.#bytes.close();
  }
}
