/**
 * Control numbers: `ABC-000123.0004` is prefix `ABC-`, number 123 padded to 6 digits, suffix `.0004`.
 *
 * The number is the last run of digits before the suffix; a suffix starts with `.` or `_` and holds a page or a version.
 */

export interface ControlNumber {
  readonly text: string;
  readonly prefix: string;
  /** As a bigint, because some productions number with 20 digits. */
  readonly number: bigint;
  /** Digits the number is written with, leading zeros included. */
  readonly width: number;
  /** What follows the number, separator included; empty if nothing does. */
  readonly suffix: string;
}

const maxLength = 200;
const shape = /^(.*?)(\d+)((?:[._][\p{L}\p{N}]+)*)$/u;

/** Takes a control number apart; undefined for a text that holds none. */
export const parseControlNumber = (text: string): ControlNumber | undefined => {
  const trimmed = text.trim();
  if (trimmed.length > maxLength || /[\r\n]/u.test(trimmed)) return undefined;
  const match = shape.exec(trimmed);
  if (match === null) return undefined;
  const [, prefix = '', digits = '', suffix = ''] = match;
  return { text: trimmed, prefix, number: BigInt(digits), width: digits.length, suffix };
};

/** Writes a control number with another number, padded as the first. */
export const formatControlNumber = (like: ControlNumber, number: bigint): string =>
  `${like.prefix}${String(number).padStart(like.width, '0')}${like.suffix}`;

/** Prefixes are compared without case: `abc001` lies in the range of `ABC001`. */
const samePrefix = (a: ControlNumber, b: ControlNumber): boolean => a.prefix.toLowerCase() === b.prefix.toLowerCase();

/**
 * Orders two control numbers: by prefix, then by number, then by suffix (numeric where both are), then by text.
 * A total order: 0 only for the same text without regard to case.
 */
export const compareControlNumbers = (a: ControlNumber, b: ControlNumber): number => {
  const prefixes = compareText(a.prefix.toLowerCase(), b.prefix.toLowerCase());
  if (prefixes !== 0) return prefixes;
  if (a.number !== b.number) return a.number < b.number ? -1 : 1;
  const suffixes = compareSuffixes(a.suffix.toLowerCase(), b.suffix.toLowerCase());
  return suffixes === 0 ? compareText(a.text.toLowerCase(), b.text.toLowerCase()) : suffixes;
};

const compareText = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);

const compareSuffixes = (a: string, b: string): number => {
  const left = a.split(/[._]/u);
  const right = b.split(/[._]/u);
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const l = left[index] ?? '';
    const r = right[index] ?? '';
    if (l === r) continue;
    const numeric = /^\d+$/u.test(l) && /^\d+$/u.test(r);
    if (numeric && BigInt(l) !== BigInt(r)) return BigInt(l) < BigInt(r) ? -1 : 1;
    if (!numeric) return compareText(l, r);
  }
  return 0;
};

export interface ControlNumberRange {
  readonly first: ControlNumber;
  readonly last: ControlNumber;
}

export type RangeRefusal = 'not-a-control-number' | 'different-prefixes' | 'reversed';

/** A range from its two ends. */
export const rangeOf = (first: string, last: string): ControlNumberRange | RangeRefusal => {
  const from = parseControlNumber(first);
  const to = parseControlNumber(last);
  if (from === undefined || to === undefined) return 'not-a-control-number';
  if (!samePrefix(from, to)) return 'different-prefixes';
  if (compareControlNumbers(from, to) > 0) return 'reversed';
  return { first: from, last: to };
};

/**
 * A range written in one cell: `ABC001 - ABC004`, `ABC001-ABC004`, `ABC001;ABC004`, `ABC001 to ABC004` or one number alone.
 * A hyphen within the prefix is told from the one between the ends by trying each.
 */
export const parseRange = (text: string): ControlNumberRange | RangeRefusal => {
  const trimmed = text.trim();
  if (trimmed.length > 2 * maxLength) return 'not-a-control-number';
  const spaced = /^(\S.*?)(?:\s+(?:-|–|—|to|through)\s+|\s*[;~]\s*|\s*[–—]\s*)(\S.*)$/iu.exec(trimmed);
  if (spaced !== null) return rangeOf(spaced[1] ?? '', spaced[2] ?? '');
  for (let at = trimmed.indexOf('-'); at >= 0; at = trimmed.indexOf('-', at + 1)) {
    const range = rangeOf(trimmed.slice(0, at), trimmed.slice(at + 1));
    if (typeof range !== 'string') return range;
  }
  return rangeOf(trimmed, trimmed);
};

/** True when a control number lies within a range, ends included; a last end without a suffix includes all of its own. */
export const isInRange = (number: ControlNumber, { first, last }: ControlNumberRange): boolean =>
  samePrefix(number, first) &&
  compareControlNumbers(number, first) >= 0 &&
  (compareControlNumbers(number, last) <= 0 || (last.suffix === '' && number.number === last.number));
