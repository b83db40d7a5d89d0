/**
 * Bodies of JSON, read strictly (RFC 8259, and RFC 7493 where it is stricter). What two parsers could read differently is
 * refused: bytes that are not UTF-8, a member that is there twice, `__proto__`, and nesting without bound.
 */
import { CaseboundError } from '@casebound/contract';

const malformed = (detail: string): CaseboundError => new CaseboundError('malformed_body', detail);

const decode = (bytes: Uint8Array): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw malformed('The body is not UTF-8.');
  }
};

/** V8's own message quotes the text; only the position is taken from it. */
const parse = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    const position = error instanceof Error ? /at position (\d+)/.exec(error.message)?.[1] : undefined;
    throw malformed(
      position === undefined
        ? 'The body is not JSON; it may be cut off.'
        : `The body is not JSON from character ${Number(position) + 1} on.`,
    );
  }
};

/** Where the string that starts at `start` (its quote) ends: the index of its closing quote. */
const endOfString = (text: string, start: number): number => {
  let at = start + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === '\\') backslashes += 1;
    if (backslashes % 2 === 0) return quote;
    at = quote + 1;
  }
};

const decodeKey = (literal: string): string => {
  const key: unknown = literal.includes('\\') ? JSON.parse(literal) : literal.slice(1, -1);
  return String(key);
};

/** Checks, in one pass over text that is known to be JSON, what the parsed value no longer shows. */
const checkStructure = (text: string, maxDepth: number): void => {
  /** Of each open object the keys so far; `undefined` for an array. */
  const open: (Set<string> | undefined)[] = [];
  let atKey = false;
  for (let at = 0; at < text.length; at += 1) {
    switch (text[at]) {
      case '{':
      case '[':
        if (open.length === maxDepth) throw malformed(`The body is nested deeper than ${maxDepth} levels.`);
        atKey = text[at] === '{';
        open.push(atKey ? new Set() : undefined);
        break;
      case '}':
      case ']':
        open.pop();
        break;
      case ',':
        atKey = open.at(-1) !== undefined;
        break;
      case ':':
        atKey = false;
        break;
      case '"': {
        const end = endOfString(text, at);
        const keys = open.at(-1);
        if (atKey && keys !== undefined) {
          const key = decodeKey(text.slice(at, end + 1));
          if (key === '__proto__') throw malformed('The body has a member named "__proto__", which is not allowed.');
          if (keys.has(key)) throw malformed(`The body has the member "${key.slice(0, 64)}" twice in one object.`);
          keys.add(key);
        }
        at = end;
        break;
      }
      default:
        break;
    }
  }
};

/** The value of a body; `undefined` for an empty one. Throws `malformed_body`. */
export const parseJson = (bytes: Uint8Array, maxDepth: number): unknown => {
  if (bytes.length === 0) return undefined;
  const text = decode(bytes);
  const value = parse(text);
  checkStructure(text, maxDepth);
  return value;
};
