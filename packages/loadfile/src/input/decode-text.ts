/**
 * Bytes to text, chunk by chunk, with nothing lost on the borders and every doubtful line named.
 *
 * - Text is decoded before it is split: a delimiter is a character, never a byte.
 * - UTF-8 is strict. A line with an invalid sequence is Windows-1252. If nothing but ASCII came before it, the whole file
 *   is (ASCII is the same in both, so nothing has to be read again); otherwise that line alone is, and is reported.
 * - The result depends on the bytes alone, not on chunk borders: lines are decided on as a whole, and lines longer than
 *   `maxLineBytes` in pieces counted from their start.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';
import type { ProblemCode } from '../problems.ts';
import { decodeWindows1252 } from './windows-1252.ts';

/** Something doubtful in a piece of text; `line` counts the line breaks before it within the piece. */
export interface DecodingFlaw {
  readonly code: ProblemCode;
  readonly line: number;
  readonly message: string;
}

export interface DecodedText {
  readonly text: string;
  readonly flaws: readonly DecodingFlaw[];
}

export interface ByteDecoder {
  /** The encoding as known so far: `utf-8` may have become `windows-1252`. */
  readonly encoding: string;
  /** Decodes what can be decided on; the rest waits for the next call, or comes with `final`. */
  decode(bytes: Buffer, final: boolean): DecodedText;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

const countBreaks = (text: string, lineBreak: string, end: number): number => {
  let count = 0;
  for (let at = text.indexOf(lineBreak); at >= 0 && at < end; at = text.indexOf(lineBreak, at + 1)) count++;
  return count;
};

/** Names the lines of `text` on which `mark` stands, each once. */
const flawsAt = (
  text: string,
  mark: string | RegExp,
  lineBreak: string,
  flaw: Omit<DecodingFlaw, 'line'>,
): DecodingFlaw[] => {
  const flaws: DecodingFlaw[] = [];
  text.split(lineBreak).forEach((line, index) => {
    if (typeof mark === 'string' ? line.includes(mark) : mark.test(line)) flaws.push({ ...flaw, line: index });
  });
  return flaws;
};

class Utf8Decoder implements ByteDecoder {
  encoding: string;
  readonly #fixed: boolean;
  readonly #lineByte: number;
  readonly #maxLineBytes: number;
  #carried: Buffer[] = [];
  #carriedBytes = 0;
  #sawMultibyte = false;

  constructor(options: {
    readonly encoding: string;
    readonly fixed: boolean;
    readonly lineByte: number;
    readonly maxLineBytes: number;
  }) {
    this.encoding = options.encoding;
    this.#fixed = options.fixed;
    this.#lineByte = options.lineByte;
    this.#maxLineBytes = options.maxLineBytes;
  }

  decode(bytes: Buffer, final: boolean): DecodedText {
    if (this.encoding === 'windows-1252' && this.#fixed) return { text: decodeWindows1252(bytes), flaws: [] };
    const flaws: DecodingFlaw[] = [];
    let text = '';
    let rest = bytes;
    const take = (ready: Buffer): void => {
      const before = countBreaks(text, String.fromCharCode(this.#lineByte), text.length);
      const piece = this.#decodeLines(ready);
      for (const flaw of piece.flaws) flaws.push({ ...flaw, line: flaw.line + before });
      text += piece.text;
    };
    for (;;) {
      const firstBreak = rest.indexOf(this.#lineByte);
      const lineBytes = this.#carriedBytes + (firstBreak < 0 ? rest.length : firstBreak);
      if (lineBytes <= this.#maxLineBytes) break;
      const joined = this.#join(rest);
      const cut = sequenceStart(joined, this.#maxLineBytes);
      take(joined.subarray(0, cut));
      rest = joined.subarray(cut);
    }
    const end = final ? rest.length : rest.lastIndexOf(this.#lineByte) + 1;
    if (end > 0 || final) {
      take(this.#join(rest.subarray(0, end)));
      rest = rest.subarray(end);
    }
    if (rest.length > 0) {
      this.#carried.push(rest);
      this.#carriedBytes += rest.length;
    }
    return { text, flaws };
  }

  #join(more: Buffer): Buffer {
    if (this.#carriedBytes === 0) return more;
    const joined = Buffer.concat([...this.#carried, more]);
    this.#carried = [];
    this.#carriedBytes = 0;
    return joined;
  }

  #decodeLines(bytes: Buffer): DecodedText {
    if (this.encoding === 'utf-8' && isUtf8(bytes)) {
      this.#sawMultibyte ||= !isAscii(bytes);
      return { text: bytes.toString('utf8'), flaws: [] };
    }
    if (isAscii(bytes)) return { text: bytes.toString('latin1'), flaws: [] };
    const flaws: DecodingFlaw[] = [];
    const texts: string[] = [];
    for (let start = 0, line = 0; start < bytes.length; line++) {
      const next = bytes.indexOf(this.#lineByte, start);
      const end = next < 0 ? bytes.length : next + 1;
      texts.push(this.#decodeLine(bytes.subarray(start, end), line, flaws));
      start = end;
    }
    return { text: texts.join(''), flaws };
  }

  #decodeLine(bytes: Buffer, line: number, flaws: DecodingFlaw[]): string {
    if (isAscii(bytes)) return bytes.toString('latin1');
    if (isUtf8(bytes)) {
      if (this.encoding === 'utf-8') this.#sawMultibyte = true;
      else
        flaws.push({
          code: 'mixed_encoding',
          line,
          message: 'This line is UTF-8; the lines before it are Windows-1252.',
        });
      return bytes.toString('utf8');
    }
    if (this.encoding === 'utf-8') {
      if (this.#fixed || this.#sawMultibyte) {
        flaws.push({
          code: 'mixed_encoding',
          line,
          message: 'This line is not valid UTF-8; it is read as Windows-1252.',
        });
      } else {
        this.encoding = 'windows-1252';
        const message =
          'The file has no byte-order mark and is not valid UTF-8 from this line on; it is read as Windows-1252.';
        flaws.push({ code: 'encoding_assumed', line, message });
      }
    }
    return decodeWindows1252(bytes);
  }
}

/** The start of the character that `position` falls into, so that a cut there splits none. */
export const sequenceStart = (bytes: Buffer, position: number): number => {
  let start = position;
  for (let back = 0; back < 3 && start > 1; back++) {
    if (((bytes[start] ?? 0) & 0xc0) !== 0x80) return start;
    start--;
  }
  return ((bytes[start] ?? 0) & 0xc0) === 0x80 ? position : start;
};

class Utf16Decoder implements ByteDecoder {
  readonly encoding: string;
  readonly #lineBreak: string;
  #carried = Buffer.alloc(0);

  constructor(encoding: 'utf-16le' | 'utf-16be', lineBreak: string) {
    this.encoding = encoding;
    this.#lineBreak = lineBreak;
  }

  decode(bytes: Buffer, final: boolean): DecodedText {
    const data = this.#carried.length > 0 ? Buffer.concat([this.#carried, bytes]) : bytes;
    const bigEndian = this.encoding === 'utf-16be';
    let end = data.length - (data.length % 2);
    const highByte = data[bigEndian ? end - 2 : end - 1] ?? 0;
    if (!final && end >= 2 && highByte >= 0xd8 && highByte <= 0xdb) end -= 2;
    this.#carried = Buffer.from(data.subarray(end));
    const whole = data.subarray(0, end);
    const text = (bigEndian ? Buffer.from(whole).swap16() : whole).toString('utf16le');
    const flaws: DecodingFlaw[] = text.isWellFormed()
      ? []
      : flawsAt(text, /\p{Surrogate}/u, this.#lineBreak, {
          code: 'lone_surrogate',
          message: 'Half of a surrogate pair stands here; it is replaced by U+FFFD.',
        });
    if (!final || this.#carried.length === 0) return { text: text.toWellFormed(), flaws };
    const line = countBreaks(text, this.#lineBreak, text.length);
    const message = 'The file has an odd number of bytes; its last byte is half a character.';
    return { text: `${text.toWellFormed()}\uFFFD`, flaws: [...flaws, { code: 'truncated_character', line, message }] };
  }
}

/** Any other encoding of the WHATWG standard, by the platform's decoder. */
class LabelDecoder implements ByteDecoder {
  readonly encoding: string;
  readonly #decoder: TextDecoder;
  readonly #lineBreak: string;

  constructor(encoding: string, lineBreak: string) {
    this.encoding = encoding;
    this.#decoder = new TextDecoder(encoding, { ignoreBOM: true });
    this.#lineBreak = lineBreak;
  }

  decode(bytes: Buffer, final: boolean): DecodedText {
    const text = this.#decoder.decode(bytes, { stream: !final });
    if (!text.includes('\uFFFD')) return { text, flaws: [] };
    const message = `This line has bytes that mean nothing in ${this.encoding}.`;
    return { text, flaws: flawsAt(text, '\uFFFD', this.#lineBreak, { code: 'undecodable_bytes', message }) };
  }
}

/**
 * Opens a decoder.
 * @param lineBreak the character that ends lines; lines are the unit that is decided on.
 * @param maxLineBytes how much of a line is held back at most.
 */
export const createByteDecoder = (options: {
  readonly encoding: string;
  readonly fixed: boolean;
  readonly lineBreak: '\n' | '\r';
  readonly maxLineBytes: number;
}): ByteDecoder => {
  const { encoding, fixed, lineBreak, maxLineBytes } = options;
  if (encoding === 'utf-16le' || encoding === 'utf-16be') return new Utf16Decoder(encoding, lineBreak);
  if (encoding === 'utf-8' || encoding === 'windows-1252') {
    return new Utf8Decoder({ encoding, fixed, lineByte: lineBreak === '\n' ? lineFeed : carriageReturn, maxLineBytes });
  }
  return new LabelDecoder(encoding, lineBreak);
};
