/**
 * Operators of a content stream with their operands and the bytes that they occupy (ISO 32000-2, 7.8.2).
 *
 * - `start` to `end` of consecutive operators cover the stream without overlap, so that what is not changed can be copied as it is.
 * - An inline image (8.9.7) is one operator, `BI`, with its dictionary and data.
 */
import { isWhite, Lexer } from '../cos/lexer.ts';
import { type CosDict, type CosObject, isKind } from '../cos/objects.ts';

export interface Operator {
  readonly operator: string;
  readonly operands: readonly CosObject[];
  readonly start: number;
  readonly end: number;
  readonly inlineImage: { readonly dict: CosDict; readonly data: Uint8Array } | undefined;
}

const E = 69;
const I = 73;

/** Components of a colour space that an inline image may name without resources; 0 when it cannot be told. */
const componentsOf = (space: CosObject | undefined): number => {
  if (isKind(space, 'array')) return isKind(space.items[0], 'name') && /^I(ndexed)?$/.test(space.items[0].name) ? 1 : 0;
  if (!isKind(space, 'name')) return 0;
  if (space.name === 'G' || space.name === 'DeviceGray' || space.name === 'CalGray') return 1;
  if (space.name === 'RGB' || space.name === 'DeviceRGB' || space.name === 'CalRGB') return 3;
  return space.name === 'CMYK' || space.name === 'DeviceCMYK' ? 4 : 0;
};

/** The length of unfiltered data, which may hold any bytes, `EI` included. */
const plainLength = (dict: CosDict): number | undefined => {
  const get = (long: string, short: string): CosObject | undefined => dict.entries.get(long) ?? dict.entries.get(short);
  if (get('Filter', 'F') !== undefined) return undefined;
  const width = get('Width', 'W');
  const height = get('Height', 'H');
  const mask = get('ImageMask', 'IM') === true;
  const bits = mask ? 1 : get('BitsPerComponent', 'BPC');
  const components = mask ? 1 : componentsOf(get('ColorSpace', 'CS'));
  if (typeof width !== 'number' || typeof height !== 'number' || typeof bits !== 'number' || components === 0)
    return undefined;
  return Math.ceil((width * bits * components) / 8) * height;
};

/** True when `at` is an `EI` that ends an image: white space before, and after it syntax instead of data. */
const endsImage = (bytes: Uint8Array, at: number): boolean => {
  if (bytes[at] !== E || bytes[at + 1] !== I || !isWhite(bytes[at - 1])) return false;
  const after = bytes[at + 2];
  if (after !== undefined && !isWhite(after)) return false;
  for (let index = at + 2; index < Math.min(at + 12, bytes.length); index += 1) {
    const code = bytes[index] ?? 0;
    if (!isWhite(code) && (code < 32 || code > 126)) return false;
  }
  return true;
};

const readInlineImage = (lexer: Lexer): { dict: CosDict; data: Uint8Array } => {
  const { bytes } = lexer;
  const entries = new Map<string, CosObject>();
  for (;;) {
    const key = lexer.next();
    if (key === undefined) return { dict: { kind: 'dict', entries }, data: new Uint8Array(0) };
    if (typeof key === 'object' && key !== null && key.kind === 'keyword' && key.text === 'ID') break;
    if (!isKind(key as CosObject, 'name')) continue;
    const value = lexer.readObject();
    if (typeof key === 'object' && key !== null && key.kind === 'name') entries.set(key.name, value);
  }
  const dict: CosDict = { kind: 'dict', entries };
  const start = lexer.position + (isWhite(bytes[lexer.position]) ? 1 : 0);
  const known = plainLength(dict);
  let at = known === undefined ? start : Math.min(start + known, bytes.length);
  // The marker follows the data, after white space.
  while (at < bytes.length && !endsImage(bytes, at)) at += 1;
  const data = bytes.subarray(
    start,
    known === undefined ? Math.max(start, at - 1) : Math.min(start + known, bytes.length),
  );
  lexer.position = Math.min(at + 2, bytes.length);
  return { dict, data };
};

/** Yields the operators of `bytes` in order; trailing operands without an operator are the last one, with an empty name. */
export function* readOperators(bytes: Uint8Array): Generator<Operator> {
  const lexer = new Lexer(bytes);
  let operands: CosObject[] = [];
  let start = 0;
  for (;;) {
    const token = lexer.next();
    if (token === undefined) break;
    if (typeof token !== 'object' || token === null || token.kind !== 'keyword') {
      operands.push(token);
      continue;
    }
    if (token.text === 'true' || token.text === 'false' || token.text === 'null') {
      operands.push(token.text === 'null' ? null : token.text === 'true');
      continue;
    }
    const inlineImage = token.text === 'BI' ? readInlineImage(lexer) : undefined;
    yield { operator: token.text, operands, start, end: lexer.position, inlineImage };
    operands = [];
    start = lexer.position;
  }
  if (start < bytes.length) yield { operator: '', operands, start, end: bytes.length, inlineImage: undefined };
}
