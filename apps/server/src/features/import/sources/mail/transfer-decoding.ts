/**
 * Content transfer encodings (RFC 2045, section 6) as byte streams, tolerant and measuring: characters that do not belong are
 * skipped and counted, since half of an attachment is better than none, but must be told.
 */
import { Readable } from 'node:stream';
import type { ParserFlaw } from '../parser-tasks.ts';

export interface TransferDecoder {
  /** Decodes what is complete. */
  push(chunk: Buffer): Buffer;
  /** What was left over. */
  end(): Buffer;
  /** Known after `end`. */
  readonly flaws: readonly ParserFlaw[];
}

const isBase64 = new Uint8Array(256);
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/') {
  isBase64[char.charCodeAt(0)] = 1;
}
const space = new Uint8Array(256);
for (const char of ' \t\r\n\0') space[char.charCodeAt(0)] = 1;
const equals = 0x3d;

class Base64Decoder implements TransferDecoder {
  readonly flaws: ParserFlaw[] = [];
  #carried = Buffer.alloc(0);
  #strays = 0;
  #broken = false;

  push(chunk: Buffer): Buffer {
    let kept = Buffer.allocUnsafe(this.#carried.length + chunk.length);
    this.#carried.copy(kept);
    let length = this.#carried.length;
    const decoded: Buffer[] = [];
    for (let index = 0; index < chunk.length; index++) {
      const byte = chunk[index] ?? 0;
      if (isBase64[byte] === 1) kept[length++] = byte;
      else if (byte === equals) {
        // Padding ends a quantum; encoded pieces that were put one after the other each have theirs.
        decoded.push(this.#decode(kept.subarray(0, length)));
        kept = Buffer.allocUnsafe(chunk.length - index);
        length = 0;
      } else if (space[byte] !== 1) this.#strays++;
    }
    const whole = length - (length % 4);
    this.#carried = Buffer.from(kept.subarray(whole, length));
    decoded.push(this.#decode(kept.subarray(0, whole)));
    return decoded.length === 1 ? (decoded[0] ?? Buffer.alloc(0)) : Buffer.concat(decoded);
  }

  #decode(text: Buffer): Buffer {
    if (text.length % 4 === 1) this.#broken = true;
    return Buffer.from(text.toString('latin1'), 'base64');
  }

  end(): Buffer {
    const rest = this.#decode(this.#carried);
    if (this.#strays > 0) {
      this.flaws.push({ code: 'corrupt', reason: `${this.#strays} bytes of the encoded content are no base64.` });
    }
    if (this.#broken) this.flaws.push({ code: 'truncated', reason: 'The encoded content ends within a byte.' });
    return rest;
  }
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

const hexValue = (byte: number | undefined): number => {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
};

class QuotedPrintableDecoder implements TransferDecoder {
  readonly flaws: ParserFlaw[] = [];
  #carried = Buffer.alloc(0);
  #strays = 0;

  push(chunk: Buffer): Buffer {
    const data = this.#carried.length === 0 ? chunk : Buffer.concat([this.#carried, chunk]);
    // Up to four bytes decide what an equals sign means: `=`, spaces, carriage return, line feed.
    const { decoded, used } = this.#decode(data, false);
    this.#carried = Buffer.from(data.subarray(used));
    return decoded;
  }

  end(): Buffer {
    const { decoded } = this.#decode(this.#carried, true);
    if (this.#strays > 0) {
      const reason = `${this.#strays} escapes of the encoded content mean nothing and stand as they are.`;
      this.flaws.push({ code: 'corrupt', reason });
    }
    return decoded;
  }

  #decode(data: Buffer, final: boolean): { readonly decoded: Buffer; readonly used: number } {
    const out = Buffer.allocUnsafe(data.length);
    let length = 0;
    let index = 0;
    while (index < data.length) {
      const byte = data[index] ?? 0;
      if (byte !== equals) {
        out[length++] = byte;
        index++;
        continue;
      }
      const high = hexValue(data[index + 1]);
      const low = hexValue(data[index + 2]);
      if (high >= 0 && low >= 0) {
        out[length++] = high * 16 + low;
        index += 3;
        continue;
      }
      const skipped = this.#softBreak(data, index, final);
      if (skipped === 'more') break;
      if (skipped > 0) index += skipped;
      else {
        this.#strays++;
        out[length++] = byte;
        index++;
      }
    }
    return { decoded: out.subarray(0, length), used: index };
  }

  /** Length of a soft line break that starts here; 0 when it is none; `more` when that cannot be told yet. */
  #softBreak(data: Buffer, start: number, final: boolean): number | 'more' {
    let index = start + 1;
    while (index - start < 80 && (data[index] === 0x20 || data[index] === 0x09)) index++;
    if (data[index] === carriageReturn) index++;
    if (index >= data.length) return final ? index - start : 'more';
    if (data[index] === lineFeed) return index + 1 - start;
    if (data[index - 1] === carriageReturn) return index - start;
    return !final && index === start + 1 && data.length - start < 3 ? 'more' : 0;
  }
}

class IdentityDecoder implements TransferDecoder {
  readonly flaws: readonly ParserFlaw[];

  constructor(flaws: readonly ParserFlaw[]) {
    this.flaws = flaws;
  }

  push(chunk: Buffer): Buffer {
    return chunk;
  }

  end(): Buffer {
    return Buffer.alloc(0);
  }
}

const identities = new Set(['7bit', '8bit', 'binary', '']);

export const isIdentityEncoding = (encoding: string): boolean =>
  encoding !== 'base64' && encoding !== 'quoted-printable';

/** A decoder of the encoding; of one that is not known, the bytes stay as they are, and that is told. */
export const createTransferDecoder = (encoding: string): TransferDecoder => {
  if (encoding === 'base64') return new Base64Decoder();
  if (encoding === 'quoted-printable') return new QuotedPrintableDecoder();
  if (identities.has(encoding)) return new IdentityDecoder([]);
  const reason = `The transfer encoding ${JSON.stringify(encoding.slice(0, 40))} is not known; the content stays encoded.`;
  return new IdentityDecoder([{ code: 'mime_broken', reason }]);
};

const decodeAll = async function* (stream: Readable, decoder: TransferDecoder): AsyncGenerator<Buffer> {
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const decoded = decoder.push(chunk);
    if (decoded.length > 0) yield decoded;
  }
  const rest = decoder.end();
  if (rest.length > 0) yield rest;
};

/** The decoded bytes of a stream. */
export const decodeTransfer = (stream: Readable, encoding: string): Readable =>
  identities.has(encoding)
    ? stream
    : Readable.from(decodeAll(stream, createTransferDecoder(encoding)), { objectMode: false });

/** Decodes for size and flaws alone. */
export const measureTransfer = async (
  stream: Readable,
  encoding: string,
): Promise<{ readonly size: number; readonly flaws: readonly ParserFlaw[] }> => {
  const decoder = createTransferDecoder(encoding);
  let size = 0;
  for await (const chunk of decodeAll(stream, decoder)) size += chunk.length;
  return { size, flaws: decoder.flaws };
};
