/**
 * A strict JSON reader for request bodies: what JSON.parse lets pass silently is refused with its place.
 *
 * - Refused: a member named twice, NUL characters and lone surrogates (PostgreSQL can hold neither), numbers that a double cannot
 *   hold exactly as written, more than the allowed depth or number of values.
 * - Iterative in depth by a counter, linear in length; never reads a byte twice.
 */
import { CaseboundError } from '@casebound/contract';

export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };

export interface JsonLimits {
  readonly maxDepth: number;
  /** Values of any kind in one document. */
  readonly maxValues: number;
}

export const defaultJsonLimits: JsonLimits = { maxDepth: 64, maxValues: 200_000 };

const fail = (path: string, message: string): never => {
  throw new CaseboundError('malformed_body', `The body is not acceptable JSON: ${path} ${message}.`, {
    errors: [{ path, message }],
  });
};

// eslint-disable-next-line no-control-regex
const stringEnd = /["\\\u0000-\u001f]/g;
const numberForm = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const blank = /[ \t\n\r]*/y;
const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** Digits of a decimal literal without sign, point, exponent and outer zeros, with the power of ten: equal for equal numbers. */
const significant = (text: string): string => {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().replace('-', '').split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const digits = (whole + fraction).replace(/^0+/, '');
  const trimmed = digits.replace(/0+$/, '');
  if (trimmed === '') return '0';
  return `${trimmed}e${Number(exponent) - fraction.length + (digits.length - trimmed.length)}`;
};

/** Sets a member under any name: plain assignment of `__proto__` would set the prototype instead. */
const setMember = (members: { [key: string]: JsonValue }, name: string, value: JsonValue): void => {
  if (name === '__proto__')
    Object.defineProperty(members, name, { value, enumerable: true, configurable: true, writable: true });
  else members[name] = value;
};

class Reader {
  private at = 0;
  private values = 0;
  private readonly text: string;
  private readonly limits: JsonLimits;

  constructor(text: string, limits: JsonLimits) {
    this.text = text;
    this.limits = limits;
  }

  read(): JsonValue {
    this.skip();
    const value = this.value('$', 0);
    this.skip();
    if (this.at < this.text.length) fail('$', `ends at character ${this.at}, but more text follows`);
    return value;
  }

  private skip(): void {
    blank.lastIndex = this.at;
    blank.test(this.text);
    this.at = blank.lastIndex;
  }

  private value(path: string, depth: number): JsonValue {
    this.values += 1;
    if (this.values > this.limits.maxValues)
      fail(path, `is beyond the ${this.limits.maxValues} values that one document may hold`);
    const first = this.text[this.at];
    if (first === '"') return this.string(path);
    if (first === '{' || first === '[') {
      if (depth >= this.limits.maxDepth) fail(path, `is nested deeper than ${this.limits.maxDepth} levels`);
      return first === '{' ? this.object(path, depth + 1) : this.array(path, depth + 1);
    }
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number(path);
  }

  private number(path: string): number {
    numberForm.lastIndex = this.at;
    const literal = numberForm.exec(this.text)?.[0];
    if (literal === undefined) return fail(path, `has no JSON value at character ${this.at}`);
    this.at += literal.length;
    const value = Number(literal);
    if (
      literal.length > 400 ||
      !Number.isFinite(value) ||
      (literal.length > 15 && significant(literal) !== significant(String(value)))
    ) {
      fail(path, 'is a number that cannot be kept exactly; send fewer digits');
    }
    return Object.is(value, -0) ? 0 : value;
  }

  private string(path: string): string {
    let from = this.at + 1;
    let result = '';
    for (;;) {
      stringEnd.lastIndex = from;
      const match = stringEnd.exec(this.text);
      if (match === null) return fail(path, 'is a string without an end');
      result += this.text.slice(from, match.index);
      if (match[0] === '"') {
        this.at = match.index + 1;
        break;
      }
      if (match[0] !== '\\') fail(path, 'holds a control character that is not escaped');
      const code = this.text[match.index + 1] ?? '';
      const plain = escapes[code];
      if (plain !== undefined) {
        result += plain;
        from = match.index + 2;
      } else {
        const hex = this.text.slice(match.index + 2, match.index + 6);
        if (code !== 'u' || !/^[0-9a-fA-F]{4}$/.test(hex)) fail(path, 'holds an escape that JSON does not have');
        if (hex === '0000') fail(path, 'holds a NUL character');
        result += String.fromCharCode(Number.parseInt(hex, 16));
        from = match.index + 6;
      }
    }
    if (!result.isWellFormed()) fail(path, 'holds half of a surrogate pair');
    return result;
  }

  private array(path: string, depth: number): JsonValue[] {
    const items: JsonValue[] = [];
    this.at += 1;
    this.skip();
    if (this.text[this.at] === ']') {
      this.at += 1;
      return items;
    }
    for (;;) {
      this.skip();
      items.push(this.value(`${path}[${items.length}]`, depth));
      this.skip();
      const next = this.text[this.at];
      this.at += 1;
      if (next === ']') return items;
      if (next !== ',') fail(path, 'is an array without its end or comma');
    }
  }

  private object(path: string, depth: number): { [key: string]: JsonValue } {
    const members: { [key: string]: JsonValue } = {};
    const seen = new Set<string>();
    this.at += 1;
    this.skip();
    if (this.text[this.at] === '}') {
      this.at += 1;
      return members;
    }
    for (;;) {
      this.skip();
      if (this.text[this.at] !== '"') fail(path, `has no member name at character ${this.at}`);
      const name = this.string(path);
      const child = `${path}.${name.length > 100 ? `${name.slice(0, 100)}...` : name}`;
      if (seen.has(name)) fail(child, 'is given twice');
      seen.add(name);
      this.skip();
      if (this.text[this.at] !== ':') fail(child, 'has no colon');
      this.at += 1;
      this.skip();
      const value = this.value(child, depth);
      setMember(members, name, value);
      this.skip();
      const next = this.text[this.at];
      this.at += 1;
      if (next === '}') return members;
      if (next !== ',') fail(path, 'is an object without its end or comma');
    }
  }
}

/**
 * Reads one JSON text.
 * @throws `malformed_body` with the JSON path of the first thing that is wrong
 */
export const parseJson = (text: string, limits: JsonLimits = defaultJsonLimits): JsonValue =>
  new Reader(text, limits).read();

/** The same checks for a value that was never text, for callers in process. */
export const checkJsonValue = (value: unknown, limits: JsonLimits = defaultJsonLimits): JsonValue => {
  let count = 0;
  const walk = (node: unknown, path: string, depth: number): JsonValue => {
    count += 1;
    if (count > limits.maxValues) fail(path, `is beyond the ${limits.maxValues} values that one document may hold`);
    if (depth > limits.maxDepth) fail(path, `is nested deeper than ${limits.maxDepth} levels`);
    if (node === null || typeof node === 'boolean') return node;
    if (typeof node === 'number') return Number.isFinite(node) ? node : fail(path, 'is no finite number');
    if (typeof node === 'string') {
      if (node.includes('\u0000')) fail(path, 'holds a NUL character');
      if (!node.isWellFormed()) fail(path, 'holds half of a surrogate pair');
      return node;
    }
    if (Array.isArray(node)) return node.map((item, index) => walk(item, `${path}[${index}]`, depth + 1));
    if (typeof node === 'object') {
      const members: { [key: string]: JsonValue } = {};
      for (const [name, member] of Object.entries(node)) {
        if (member === undefined) continue;
        if (name.includes('\u0000') || !name.isWellFormed()) fail(path, 'has a member whose name is no text');
        setMember(members, name, walk(member, `${path}.${name}`, depth + 1));
      }
      return members;
    }
    return fail(path, 'is no JSON value');
  };
  return walk(value, '$', 0);
};
