/**
 * Which statements of one connection have a name, so that the server keeps their plans.
 *
 * - A plan takes the server up to some hundred kilobytes for a long statement, so only texts that come again get a name, and no more
 *   than `maxNamed` of a connection.
 */
import { createHash } from 'node:crypto';

const maxNamed = 300;
const maxSeen = 1_000;

export class NamedStatements {
  readonly #names = new Map<string, string>();
  readonly #seen = new Set<string>();

  /** The name to send the text with; undefined for one that comes for the first time, or when there are enough. */
  nameOf(text: string): string | undefined {
    const known = this.#names.get(text);
    if (known !== undefined || this.#names.size >= maxNamed) return known;
    if (!this.#seen.delete(text)) {
      if (this.#seen.size >= maxSeen) this.#seen.clear();
      this.#seen.add(text);
      return undefined;
    }
    // One name for one text: behind a pooler that tracks names, equal statements then share a plan.
    const name = `s_${createHash('sha256').update(text).digest('base64url').slice(0, 22)}`;
    this.#names.set(text, name);
    return name;
  }
}
