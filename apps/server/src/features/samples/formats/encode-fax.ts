/**
 * Group 4 facsimile coding (ITU-T T.6), the usual coding of page images in productions. Runs are shorter than 1,792 pixels, so pages may be up to
 * 1,791 pixels wide.
 */
import { CaseboundError } from '@casebound/contract';
import type { PageBitmap } from './draw-page.ts';

/** Code words of T.4, tables 2 and 3: runs of 0 to 63, then of 64, 128 ... 1728. */
const whiteWords =
  '00110101 000111 0111 1000 1011 1100 1110 1111 10011 10100 00111 01000 001000 000011 110100 110101 101010 101011 0100111 0001100 0001000 0010111 0000011 0000100 0101000 0101011 0010011 0100100 0011000 00000010 00000011 00011010 00011011 00010010 00010011 00010100 00010101 00010110 00010111 00101000 00101001 00101010 00101011 00101100 00101101 00000100 00000101 00001010 00001011 01010010 01010011 01010100 01010101 00100100 00100101 01011000 01011001 01011010 01011011 01001010 01001011 00110010 00110011 00110100 11011 10010 010111 0110111 00110110 00110111 01100100 01100101 01101000 01100111 011001100 011001101 011010010 011010011 011010100 011010101 011010110 011010111 011011000 011011001 011011010 011011011 010011000 010011001 010011010 011000 010011011';
const blackWords =
  '0000110111 010 11 10 011 0011 0010 00011 000101 000100 0000100 0000101 0000111 00000100 00000111 000011000 0000010111 0000011000 0000001000 00001100111 00001101000 00001101100 00000110111 00000101000 00000010111 00000011000 000011001010 000011001011 000011001100 000011001101 000001101000 000001101001 000001101010 000001101011 000011010010 000011010011 000011010100 000011010101 000011010110 000011010111 000001101100 000001101101 000011011010 000011011011 000001010100 000001010101 000001010110 000001010111 000001100100 000001100101 000001010010 000001010011 000000100100 000000110111 000000111000 000000100111 000000101000 000001011000 000001011001 000000101011 000000101100 000001011010 000001100110 000001100111 0000001111 000011001000 000011001001 000001011011 000000110011 000000110100 000000110101 0000001101100 0000001101101 0000001001010 0000001001011 0000001001100 0000001001101 0000001110010 0000001110011 0000001110100 0000001110101 0000001110110 0000001110111 0000001010010 0000001010011 0000001010100 0000001010101 0000001011010 0000001011011 0000001100100 0000001100101';

interface CodeWord {
  readonly bits: number;
  readonly length: number;
}

const word = (text: string): CodeWord => ({ bits: Number.parseInt(text, 2), length: text.length });
const white = whiteWords.split(' ').map(word);
const black = blackWords.split(' ').map(word);
const pass = word('0001');
const horizontal = word('001');
/** From three pixels to the left up to three to the right. */
const vertical = ['0000010', '000010', '010', '1', '011', '000011', '0000011'].map(word);
const endOfLine = word('000000000001');

const MAX_WIDTH = 1791;

class BitWriter {
  #bytes = new Uint8Array(16_384);
  #length = 0;
  #pending = 0;
  #count = 0;

  put({ bits, length }: CodeWord): void {
    this.#pending = (this.#pending << length) | bits;
    this.#count += length;
    while (this.#count >= 8) {
      this.#count -= 8;
      if (this.#length === this.#bytes.length) {
        const grown = new Uint8Array(2 * this.#bytes.length);
        grown.set(this.#bytes);
        this.#bytes = grown;
      }
      this.#bytes[this.#length] = this.#pending >> this.#count;
      this.#length += 1;
      this.#pending &= (1 << this.#count) - 1;
    }
  }

  finish(): Uint8Array {
    if (this.#count > 0) this.put({ bits: 0, length: 8 - this.#count });
    return this.#bytes.slice(0, this.#length);
  }
}

/**
 * Writes where the colour changes in a row to `changes`, first to black, closed by three times the width; returns the number of changes.
 */
const findChanges = (bits: Uint8Array, start: number, width: number, changes: Int32Array): number => {
  const end = start + ((width + 7) >> 3);
  let count = 0;
  /** What a byte without a change looks like. */
  let plain = 255;
  for (let at = start; at < end; at += 1) {
    let different = (bits[at] ?? 255) ^ plain;
    while (different !== 0) {
      const bit = Math.clz32(different) - 24;
      const x = (at - start) * 8 + bit;
      if (x >= width) break;
      changes[count] = x;
      count += 1;
      plain ^= 255;
      // What is left of the byte is compared with the other colour.
      different = (different ^ 255) & (255 >> bit);
    }
  }
  changes.fill(width, count, count + 3);
  return count;
};

const putRun = (out: BitWriter, words: readonly CodeWord[], run: number): void => {
  const long = words[63 + (run >> 6)];
  if (run >= 64 && long !== undefined) out.put(long);
  const rest = words[run & 63];
  if (rest !== undefined) out.put(rest);
};

const encodeRow = (out: BitWriter, own: Int32Array, above: Int32Array, width: number): void => {
  let from = 0;
  let started = false;
  /** 0 is white, 1 black; also the parity of the change that ends a run of the colour. */
  let color = 0;
  let ownAt = 0;
  let aboveAt = 0;
  while (from < width) {
    // The first change above to the right of here that is to the other colour (b1).
    while (aboveAt > 0 && (above[aboveAt - 1] ?? 0) > from) aboveAt -= 1;
    while (
      (above[aboveAt] ?? width) < width &&
      ((started ? (above[aboveAt] ?? 0) <= from : false) || (aboveAt & 1) !== color)
    )
      aboveAt += 1;
    const firstAbove = above[aboveAt] ?? width;
    const secondAbove = firstAbove === width ? width : (above[aboveAt + 1] ?? width);
    const next = own[ownAt] ?? width;
    if (secondAbove < next) {
      out.put(pass);
      from = secondAbove;
    } else {
      const shift = vertical[next - firstAbove + 3];
      if (shift !== undefined) {
        out.put(shift);
        from = next;
        color ^= 1;
        ownAt += 1;
      } else {
        const after = next === width ? width : (own[ownAt + 1] ?? width);
        out.put(horizontal);
        putRun(out, color === 0 ? white : black, next - from);
        putRun(out, color === 0 ? black : white, after - next);
        from = after;
        ownAt += 2;
      }
    }
    started = true;
  }
};

/** Codes a page; white is what has a bit of 1. */
export const encodeFax = ({ width, height, bits }: PageBitmap): Uint8Array => {
  if (width > MAX_WIDTH)
    throw new CaseboundError(
      'internal',
      `A page image of a sample is ${width} pixels wide; the limit is ${MAX_WIDTH}.`,
    );
  const stride = (width + 7) >> 3;
  const out = new BitWriter();
  let own = new Int32Array(width + 4);
  let above = new Int32Array(width + 4).fill(width);
  for (let row = 0; row < height; row += 1) {
    findChanges(bits, row * stride, width, own);
    encodeRow(out, own, above, width);
    [own, above] = [above, own];
  }
  out.put(endOfLine);
  out.put(endOfLine);
  return out.finish();
};
