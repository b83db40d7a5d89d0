/**
 * Tokens of PDF syntax (ISO 32000-2, 7.2), for files and for content streams.
 *
 * - Never reads beyond the bytes, always moves forward: hostile input ends, at worst with odd tokens.
 * - Nesting of arrays and dictionaries is bounded.
 */
import { CaseboundError } from '@casebound/contract';
import type { CosObject } from './objects.ts';

/** A keyword or operator. */
export interface Keyword {
  readonly kind: 'keyword';
  readonly text: string;
}

const MAX_DEPTH = 200;

const WHITE = 1;
const DELIMITER = 2;
const classOf = new Uint8Array(256);
for (const code of [0, 9, 10, 12, 13, 32]) classOf[code] = WHITE;
for (const char of '()<>[]{}/%') classOf[char.charCodeAt(0)] = DELIMITER;

export const isWhite = (code: number | undefined): boolean => code !== undefined && classOf[code] === WHITE;
const isRegular = (code: number | undefined): boolean => code !== undefined && classOf[code] === 0;

const hexValue = (code: number): number => {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 65 && code <= 70) return code - 55;
  if (code >= 97 && code <= 102) return code - 87;
  return -1;
};

const escapes: Readonly<Record<number, number>> = { 110: 10, 114: 13, 116: 9, 98: 8, 102: 12 };

export class Lexer {
  readonly bytes: Uint8Array;
  position: number;

  constructor(bytes: Uint8Array, position = 0) {
    this.bytes = bytes;
    this.position = position;
  }

  skipWhite(): void {
    const { bytes } = this;
    for (;;) {
      const code = bytes[this.position];
      if (code === 37) {
        while (this.position < bytes.length && bytes[this.position] !== 10 && bytes[this.position] !== 13)
          this.position += 1;
      } else if (isWhite(code)) this.position += 1;
      else return;
    }
  }

  /** The next object or keyword; undefined at the end. References are not joined: see `readObject`. */
  next(depth = 0): CosObject | Keyword | undefined {
    if (depth > MAX_DEPTH)
      throw new CaseboundError('pdf_damaged', `Objects are nested deeper than ${MAX_DEPTH} levels.`);
    this.skipWhite();
    const { bytes } = this;
    const code = bytes[this.position];
    if (code === undefined) return undefined;
    if (code === 47) return this.#name();
    if (code === 40) return this.#literal();
    if (code === 60) {
      if (bytes[this.position + 1] === 60) {
        this.position += 2;
        return this.#dict(depth);
      }
      return this.#hex();
    }
    if (code === 91) {
      this.position += 1;
      return this.#array(depth);
    }
    if ((code >= 48 && code <= 57) || code === 43 || code === 45 || code === 46) {
      const number = this.#number();
      if (number !== undefined) return number;
    }
    return this.#keyword();
  }

  /** The next object, with `n g R` joined into a reference. Keywords other than true, false and null read as null. */
  readObject(depth = 0): CosObject {
    const token = this.next(depth);
    if (token === undefined) return null;
    if (typeof token === 'number') return this.#reference(token) ?? token;
    if (typeof token === 'object' && token !== null && token.kind === 'keyword') return keywordValue(token);
    return token;
  }

  #reference(number: number): CosObject | undefined {
    const start = this.position;
    if (!Number.isInteger(number) || number < 0) return undefined;
    this.skipWhite();
    const first = this.bytes[this.position];
    if (first === undefined || first < 48 || first > 57) {
      this.position = start;
      return undefined;
    }
    const generation = this.#number();
    this.skipWhite();
    if (generation !== undefined && this.bytes[this.position] === 82 && !isRegular(this.bytes[this.position + 1])) {
      this.position += 1;
      return { kind: 'ref', number };
    }
    this.position = start;
    return undefined;
  }

  #name(): CosObject {
    const { bytes } = this;
    let at = this.position + 1;
    let text = '';
    for (let code = bytes[at]; isRegular(code); code = bytes[at]) {
      if (code === 35) {
        const high = hexValue(bytes[at + 1] ?? 0);
        const low = hexValue(bytes[at + 2] ?? 0);
        if (high >= 0 && low >= 0) {
          text += String.fromCharCode(high * 16 + low);
          at += 3;
          continue;
        }
      }
      text += String.fromCharCode(code ?? 0);
      at += 1;
    }
    this.position = at;
    return { kind: 'name', name: text };
  }

  #literal(): CosObject {
    const { bytes } = this;
    const out: number[] = [];
    let at = this.position + 1;
    let depth = 1;
    while (at < bytes.length) {
      let code = bytes[at] ?? 0;
      at += 1;
      if (code === 40) depth += 1;
      else if (code === 41) {
        depth -= 1;
        if (depth === 0) break;
      } else if (code === 13) {
        if (bytes[at] === 10) at += 1;
        code = 10;
      } else if (code === 92) {
        code = bytes[at] ?? 0;
        at += 1;
        if (code === 13 || code === 10) {
          if (code === 13 && bytes[at] === 10) at += 1;
          continue;
        }
        if (code >= 48 && code <= 55) {
          let value = code - 48;
          for (let digits = 1; digits < 3; digits += 1) {
            const digit = bytes[at] ?? 0;
            if (digit < 48 || digit > 55) break;
            value = value * 8 + digit - 48;
            at += 1;
          }
          code = value & 255;
        } else code = escapes[code] ?? code;
      }
      out.push(code);
    }
    this.position = at;
    return { kind: 'string', bytes: Uint8Array.from(out) };
  }

  #hex(): CosObject {
    const { bytes } = this;
    const out: number[] = [];
    let at = this.position + 1;
    let high = -1;
    while (at < bytes.length) {
      const code = bytes[at] ?? 0;
      at += 1;
      if (code === 62) break;
      const value = hexValue(code);
      if (value < 0) continue;
      if (high < 0) high = value;
      else {
        out.push(high * 16 + value);
        high = -1;
      }
    }
    if (high >= 0) out.push(high * 16);
    this.position = at;
    return { kind: 'string', bytes: Uint8Array.from(out) };
  }

  #array(depth: number): CosObject {
    const items: CosObject[] = [];
    for (;;) {
      this.skipWhite();
      const code = this.bytes[this.position];
      if (code === undefined) break;
      if (code === 93) {
        this.position += 1;
        break;
      }
      if (code === 62 || code === 41 || code === 125 || code === 123) {
        if (code === 62) break;
        this.position += 1;
        continue;
      }
      items.push(this.readObject(depth + 1));
    }
    return { kind: 'array', items };
  }

  #dict(depth: number): CosObject {
    const entries = new Map<string, CosObject>();
    for (;;) {
      this.skipWhite();
      const code = this.bytes[this.position];
      if (code === undefined) break;
      if (code === 62) {
        this.position += this.bytes[this.position + 1] === 62 ? 2 : 1;
        break;
      }
      if (code !== 47) {
        const before = this.position;
        this.next(depth + 1);
        if (this.position === before) this.position += 1;
        continue;
      }
      const key = this.#name();
      this.skipWhite();
      if (this.bytes[this.position] === 62) continue;
      const value = this.readObject(depth + 1);
      if (typeof key === 'object' && key !== null && key.kind === 'name') entries.set(key.name, value);
    }
    return { kind: 'dict', entries };
  }

  #number(): number | undefined {
    const { bytes } = this;
    const start = this.position;
    let at = start;
    let sign = 1;
    // Real files hold `--5` and `+-3`; readers take the last sign that makes it negative.
    while (bytes[at] === 43 || bytes[at] === 45) {
      if (bytes[at] === 45) sign = -1;
      at += 1;
    }
    let value = 0;
    let digits = 0;
    let code = bytes[at] ?? 0;
    while (code >= 48 && code <= 57) {
      value = value * 10 + code - 48;
      digits += 1;
      at += 1;
      code = bytes[at] ?? 0;
    }
    if (code === 46) {
      at += 1;
      code = bytes[at] ?? 0;
      let scale = 0.1;
      while ((code >= 48 && code <= 57) || (code === 45 && digits > 0)) {
        if (code !== 45) {
          value += (code - 48) * scale;
          scale /= 10;
        }
        digits += 1;
        at += 1;
        code = bytes[at] ?? 0;
      }
    }
    if (digits === 0) {
      if (isRegular(bytes[at])) return undefined;
      // A lone sign or dot reads as zero, as other readers take it.
      this.position = Math.max(at, start + 1);
      return 0;
    }
    this.position = at;
    return sign * value;
  }

  #keyword(): Keyword {
    const start = this.position;
    let at = start;
    while (isRegular(this.bytes[at])) at += 1;
    if (at === start) at += 1;
    this.position = at;
    let text = '';
    for (let index = start; index < at; index += 1) text += String.fromCharCode(this.bytes[index] ?? 0);
    return { kind: 'keyword', text };
  }
}

const keywordValue = ({ text }: Keyword): CosObject => {
  if (text === 'true') return true;
  if (text === 'false') return false;
  return null;
};
