/** What a single value looks like. Cheap by design: it runs on every cell of a file, and most are decided by few characters. */
import type { ParsedDate } from './parse-date.ts';
import { isTime, parseDate } from './parse-date.ts';

export type ValueType =
  | 'integer'
  | 'decimal'
  | 'date'
  | 'datetime'
  | 'time'
  | 'boolean'
  | 'path'
  | 'md5'
  | 'sha1'
  | 'sha256'
  | 'control-number'
  | 'email-addresses'
  | 'text';

export interface Classified {
  readonly type: ValueType;
  /** Only for `date` and `datetime`. */
  readonly date?: ParsedDate;
}

const simple: Readonly<Record<Exclude<ValueType, 'date' | 'datetime'>, Classified>> = {
  integer: { type: 'integer' },
  decimal: { type: 'decimal' },
  time: { type: 'time' },
  boolean: { type: 'boolean' },
  path: { type: 'path' },
  md5: { type: 'md5' },
  sha1: { type: 'sha1' },
  sha256: { type: 'sha256' },
  'control-number': { type: 'control-number' },
  'email-addresses': { type: 'email-addresses' },
  text: { type: 'text' },
};

const integer = /^[+-]?\d{1,3}(?:,\d{3})+$|^[+-]?\d+$/u;
const decimal = /^[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)?\.\d+(?:e[+-]?\d+)?$/iu;
const boolean = /^(?:y|n|yes|no|true|false|t|f)$/iu;
const hex = /^[0-9a-f]+$/iu;
const pathShape = /^(?:\.{0,2}[\\/]|[a-z]:[\\/])?(?:[^\\/:*?"<>|\r\n]+[\\/])+[^\\/:*?"<>|\r\n]*$/iu;
const controlNumber = /^[\p{L}][\p{L}\p{N} ._-]{0,40}?\d{3,}(?:[._][\p{L}\p{N}]+)*$/u;
const address = /^(?:[^@<>;,]*<[^\s@<>]+@[^\s@<>]+>|[^\s@<>;,]+@[^\s@<>;,]+)$/u;

/** Every part an address, or a name, and at least one an address. */
const areAddresses = (value: string): boolean => {
  if (value.length > 20_000) return false;
  let found = false;
  for (const part of value.split(/[;\n]/u)) {
    const trimmed = part.trim();
    if (trimmed === '') continue;
    if (address.test(trimmed)) found = true;
    else if (trimmed.includes('@') && !trimmed.split(',').every((piece) => address.test(piece.trim()))) return false;
    else if (trimmed.includes('@')) found = true;
    else if (trimmed.length > 100) return false;
  }
  return found;
};

/** Three digits in a row somewhere; asked before the costlier pattern. */
const hasThreeDigits = (value: string): boolean => {
  let run = 0;
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index);
    run = code >= 0x30 && code <= 0x39 ? run + 1 : 0;
    if (run === 3) return true;
  }
  return false;
};

/** Classifies one value that is not empty. */
export const classifyValue = (value: string): Classified => {
  const { length } = value;
  if (length > 300) return value.includes('@') && areAddresses(value) ? simple['email-addresses'] : simple.text;
  const first = value.charCodeAt(0);
  const startsWithDigit = first >= 0x30 && first <= 0x39;
  if ((length === 32 || length === 40 || length === 64) && hex.test(value)) {
    if (length === 32) return simple.md5;
    return length === 40 ? simple.sha1 : simple.sha256;
  }
  if (startsWithDigit || first === 0x2b || first === 0x2d || first === 0x2e) {
    if (length === 8 && startsWithDigit) {
      // Eight digits are a date where they are one in the last two centuries, otherwise a number.
      const date = value.startsWith('19') || value.startsWith('20') ? parseDate(value) : undefined;
      if (date !== undefined) return { type: 'date', date };
    }
    if (integer.test(value)) return simple.integer;
    if (decimal.test(value)) return simple.decimal;
  }
  if (length <= 5 && boolean.test(value)) return simple.boolean;
  if (length <= 64) {
    const date = parseDate(value);
    if (date !== undefined) return { type: date.hasTime ? 'datetime' : 'date', date };
    if (startsWithDigit && isTime(value)) return simple.time;
  }
  if (value.includes('@')) return areAddresses(value) ? simple['email-addresses'] : simple.text;
  if ((value.includes('\\') || value.includes('/')) && pathShape.test(value)) return simple.path;
  return length <= 60 && hasThreeDigits(value) && controlNumber.test(value) ? simple['control-number'] : simple.text;
};
