/**
 * Which bytes of a string form a character code, and which CID it has (ISO 32000-2, 9.7.5; Adobe Technical Note 5014).
 *
 * - Embedded CMaps are read. Of the predefined ones only the code lengths are known, not the CIDs: their tables are
 *   megabytes, and widths by CID then fall back to the font's default.
 */
import { Lexer } from '../cos/lexer.ts';
import { type CosObject, isKind } from '../cos/objects.ts';

export interface CodeMap {
  readonly vertical: boolean;
  /** The code at `at`: its length in bytes and its CID; -1 when the CID is not known. */
  read(bytes: Uint8Array, at: number): { readonly length: number; readonly cid: number };
}

const twoBytes = (vertical: boolean): CodeMap => ({
  vertical,
  read: (bytes, at) => ({
    length: Math.min(2, bytes.length - at),
    cid: ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0),
  }),
});

/** Mixed one- and two-byte encodings of East Asia: a lead byte is one of the upper half. */
const mixed = (vertical: boolean, isLead: (byte: number) => boolean): CodeMap => ({
  vertical,
  read: (bytes, at) => ({ length: isLead(bytes[at] ?? 0) && at + 1 < bytes.length ? 2 : 1, cid: -1 }),
});

const predefined = (name: string): CodeMap => {
  const vertical = name.endsWith('-V');
  if (name.startsWith('Identity')) return twoBytes(vertical);
  if (/UCS2|UTF16/.test(name))
    return { ...twoBytes(vertical), read: (bytes, at) => ({ length: Math.min(2, bytes.length - at), cid: -1 }) };
  if (/UTF32/.test(name))
    return { vertical, read: (bytes, at) => ({ length: Math.min(4, bytes.length - at), cid: -1 }) };
  if (/RKSJ/.test(name))
    return mixed(vertical, (byte) => (byte >= 0x81 && byte <= 0x9f) || (byte >= 0xe0 && byte <= 0xfc));
  if (/^(H|V)$/.test(name)) return twoBytes(name === 'V');
  return mixed(vertical, (byte) => byte >= 0x81 && byte <= 0xfe);
};

interface Range {
  readonly low: number;
  readonly high: number;
  readonly bytes: number;
  readonly cid: number;
}

const toNumber = (bytes: Uint8Array): number => bytes.reduce((sum, byte) => sum * 256 + byte, 0);

const MAX_RANGES = 200_000;

const parse = (data: Uint8Array, base: CodeMap | undefined, vertical: boolean): CodeMap => {
  const spaces: Range[] = [];
  const cids: Range[] = [];
  const lexer = new Lexer(data);
  let operands: CosObject[] = [];
  let isVertical = vertical;
  for (let token = lexer.next(); token !== undefined; token = lexer.next()) {
    if (typeof token !== 'object' || token === null || token.kind !== 'keyword') {
      operands.push(token);
      continue;
    }
    if (token.text === 'def' && isKind(operands.at(-2), 'name')) {
      const key = operands.at(-2);
      if (isKind(key, 'name') && key.name === 'WMode') isVertical = operands.at(-1) === 1;
    }
    const step =
      token.text === 'endcodespacerange' ? 2 : token.text === 'endcidrange' ? 3 : token.text === 'endcidchar' ? -2 : 0;
    if (step !== 0) {
      const width = Math.abs(step);
      for (let at = 0; at + width <= operands.length; at += width) {
        const low = operands[at];
        const high = step === -2 ? low : operands[at + 1];
        const cid = step === 2 ? 0 : operands[at + width - 1];
        if (!isKind(low, 'string') || !isKind(high, 'string') || typeof cid !== 'number') continue;
        const range = { low: toNumber(low.bytes), high: toNumber(high.bytes), bytes: low.bytes.length, cid };
        const target = step === 2 ? spaces : cids;
        if (target.length < MAX_RANGES) target.push(range);
      }
    }
    operands = [];
  }
  cids.sort((one, other) => one.low - other.low);
  const lookup = (code: number, length: number): number | undefined => {
    let first = 0;
    let last = cids.length - 1;
    while (first <= last) {
      const middle = (first + last) >> 1;
      const range = cids[middle];
      if (range === undefined) return undefined;
      if (code < range.low) last = middle - 1;
      else if (code > range.high) first = middle + 1;
      else return range.bytes === length ? range.cid + code - range.low : undefined;
    }
    return undefined;
  };
  return {
    vertical: isVertical,
    read: (bytes, at) => {
      let code = 0;
      for (let length = 1; length <= 4 && at + length <= bytes.length; length += 1) {
        code = code * 256 + (bytes[at + length - 1] ?? 0);
        if (spaces.some((space) => space.bytes === length && code >= space.low && code <= space.high))
          return { length, cid: lookup(code, length) ?? base?.read(bytes, at).cid ?? 0 };
      }
      return base?.read(bytes, at) ?? { length: Math.min(spaces[0]?.bytes ?? 1, bytes.length - at), cid: 0 };
    },
  };
};

/** The code map of a Type 0 font's `Encoding`: a name, or an embedded CMap with the name or stream it is based on. */
export const readCodeMap = (
  encoding:
    | { readonly name: string }
    | { readonly data: Uint8Array; readonly vertical: boolean; readonly base: CodeMap | undefined },
): CodeMap => ('name' in encoding ? predefined(encoding.name) : parse(encoding.data, encoding.base, encoding.vertical));
