/**
 * Values of fields as terms of a full-text table: equal values are equal terms, and terms of one field sort as its values do.
 *
 * A term is 12 hexadecimal digits of the field's name, `n` and a number or `t` and a text. A number is its 64 bits, so turned that they sort as
 * numbers do. A text is its UTF-8 in hexadecimal digits; of more than 200 bytes these 200, `z`, and its SHA-256: such texts are equal when the
 * whole of them is, and sort by their first 200 bytes.
 */
import { hash } from 'node:crypto';
import type { FieldValue, IndexFilter } from '../../Port.ts';
import { IndexError } from './index-error.ts';

const wholeBytes = 200;
/** 12 digits, a letter, 200 bytes in digits, `z`, 64 digits. */
const maxTermBytes = 12 + 1 + 2 * wholeBytes + 1 + 64;
const digits = Buffer.from('0123456789abcdef');
/** ASCII. */
const [space, number, text, more] = [32, 110, 116, 122] as const;
/** Names whose digits are kept; beyond, they are worked out anew. */
const maxNames = 10_000;

const valuesOf = (value: FieldValue): readonly (string | number)[] =>
  typeof value === 'string' || typeof value === 'number' ? [value] : value;

/** Writes the terms of one document after the other into memory of its own. */
export class FactWriter {
  readonly #names = new Map<string, Buffer>();
  readonly #bits = new DataView(new ArrayBuffer(8));
  #bytes = Buffer.allocUnsafe(65_536);
  #length = 0;

  /** Adds the terms of a field, each after a space. */
  add(field: string, value: FieldValue): void {
    for (const one of valuesOf(value)) this.#addOne(field, one);
  }

  /** What was added since the last time. Good until the next `add`. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return taken;
  }

  #addOne(field: string, value: string | number): void {
    if (this.#length + maxTermBytes + 1 > this.#bytes.length)
      this.#bytes = Buffer.concat([this.#bytes], this.#bytes.length * 2);
    this.#bytes[this.#length] = space;
    this.#length += 1;
    const name = this.#nameOf(field);
    this.#bytes.set(name, this.#length);
    this.#length += name.length;
    if (typeof value === 'number' && !Number.isNaN(value)) this.#addNumber(value);
    else this.#addText(String(value));
  }

  #addNumber(value: number): void {
    this.#bytes[this.#length] = number;
    this.#length += 1;
    // Zero has two signs and is one number.
    this.#bits.setFloat64(0, value === 0 ? 0 : value);
    const isNegative = this.#bits.getUint8(0) > 127;
    for (let at = 0; at < 8; at += 1) {
      const byte = this.#bits.getUint8(at);
      this.#addByte(isNegative ? ~byte & 255 : at === 0 ? byte | 128 : byte);
    }
  }

  #addText(value: string): void {
    this.#bytes[this.#length] = text;
    this.#length += 1;
    const start = this.#length;
    if (value.length <= wholeBytes && this.#addAscii(value)) return;
    this.#length = start;
    const bytes = Buffer.from(value);
    for (const byte of bytes.subarray(0, wholeBytes)) this.#addByte(byte);
    if (bytes.length <= wholeBytes) return;
    this.#bytes[this.#length] = more;
    this.#length += 1;
    this.#length += this.#bytes.write(hash('sha256', bytes, 'hex'), this.#length, 'latin1');
  }

  /** False at the first character that is more than one byte. */
  #addAscii(value: string): boolean {
    for (let at = 0; at < value.length; at += 1) {
      const code = value.charCodeAt(at);
      if (code > 127) return false;
      this.#addByte(code);
    }
    return true;
  }

  #addByte(byte: number): void {
    this.#bytes[this.#length] = digits[byte >> 4] ?? 0;
    this.#bytes[this.#length + 1] = digits[byte & 15] ?? 0;
    this.#length += 2;
  }

  #nameOf(field: string): Buffer {
    const known = this.#names.get(field);
    if (known !== undefined) return known;
    if (this.#names.size >= maxNames) this.#names.clear();
    const name = Buffer.from(hash('sha256', field, 'hex').slice(0, 12));
    this.#names.set(field, name);
    return name;
  }
}

const termOf = (field: string, value: string | number): string => {
  const writer = new FactWriter();
  writer.add(field, value);
  return Buffer.from(writer.take()).toString('latin1').trim();
};

/** Where the terms of a field begin that have the type of this one. */
const familyOf = (term: string): string => term.slice(0, 13);
/** Sorts after all terms that begin so: no digit and no letter of a term is as great. */
const afterAll = (start: string): string => `${start}~`;

/** Of a text of more than 200 bytes: what all texts with the same 200 first ones share. */
const sharedOf = (term: string): string => (term.length > 13 + 2 * wholeBytes ? term.slice(0, -65) : term);

export interface TermRange {
  /** Inclusive. */
  readonly from: string;
  /** Inclusive. */
  readonly to: string;
}

/** What a filter asks for: any one of some terms, and a range of terms. */
export interface FactCondition {
  readonly anyOf: readonly string[] | undefined;
  readonly range: TermRange | undefined;
}

const anyOf = ({ field, equals }: IndexFilter): readonly string[] | undefined => {
  if (equals === undefined) return undefined;
  const terms = [termOf(field, equals)];
  // A number is found by its text, too.
  if (typeof equals === 'string' && String(Number(equals)) === equals) terms.push(termOf(field, Number(equals)));
  return terms;
};

const rangeOf = ({ field, from, to }: IndexFilter): TermRange | undefined => {
  const first = from === undefined ? undefined : termOf(field, from);
  const last = to === undefined ? undefined : termOf(field, to);
  const family = familyOf(first ?? last ?? '');
  if (family === '') return undefined;
  const isCut = last !== undefined && sharedOf(last) !== last;
  return {
    from: first === undefined ? family : sharedOf(first),
    to: last === undefined ? afterAll(family) : isCut ? afterAll(sharedOf(last)) : last,
  };
};

/** Throws `search_query_invalid`. */
export const conditionOf = (filter: IndexFilter): FactCondition => {
  const given = [filter.equals, filter.from, filter.to].filter((value) => value !== undefined);
  const name = JSON.stringify(filter.field);
  if (given.length === 0) throw new IndexError('search_query_invalid', `The filter on ${name} names no value.`);
  if (new Set(given.map((value) => typeof value)).size > 1)
    throw new IndexError('search_query_invalid', `The filter on ${name} mixes numbers and text.`);
  return { anyOf: anyOf(filter), range: rangeOf(filter) };
};
