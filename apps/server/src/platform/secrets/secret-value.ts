/**
 * The only form in which a secret travels.
 *
 * - The text is in a private field: no enumeration, spread, JSON, template or inspector reaches it.
 * - `reveal()` is the one way out; call it where the text leaves the process (a driver, a signer), never earlier.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';

/** What stands where a secret would have been printed. */
export const maskedSecret = '[secret]';

const digest = (text: string): Buffer => createHash('sha256').update(text, 'utf8').digest();

export class SecretValue {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
    Object.freeze(this);
  }

  /** The secret itself. */
  reveal(): string {
    return this.#text;
  }

  /** Whether both hold the same text; takes as long for a near miss as for a far one. */
  equals(other: SecretValue): boolean {
    return timingSafeEqual(digest(this.#text), digest(other.#text));
  }

  toString(): string {
    return maskedSecret;
  }

  toJSON(): string {
    return maskedSecret;
  }

  [Symbol.toPrimitive](): string {
    return maskedSecret;
  }

  [inspect.custom](): string {
    return maskedSecret;
  }
}
