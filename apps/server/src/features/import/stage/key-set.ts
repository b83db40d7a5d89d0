/**
 * Keys that were met, as hashes of 53 bits in an open table: 11 to 22 bytes a key, whatever its length. Two of ten million keys share a hash
 * once in two hundred sources; who asks must be able to live with a key that is said to be known and is not.
 */
import { hashOf } from '../rows/path-set.ts';

const firstSize = 1_024;
const maxFill = 0.7;

export class KeySet {
  /** 0 is a free place; a power of two of them. */
  #places = new Float64Array(firstSize);
  #size = 0;

  /** Adds a key. @returns whether it is new */
  add(key: string): boolean {
    if (this.#size >= this.#places.length * maxFill) this.#grow();
    const added = this.#put(hashOf(key) || 1);
    if (added) this.#size += 1;
    return added;
  }

  has(key: string): boolean {
    const places = this.#places;
    const hash = hashOf(key) || 1;
    let at = hash & (places.length - 1);
    for (let found = places[at]; found !== 0; found = places[at]) {
      if (found === hash) return true;
      at = at + 1 === places.length ? 0 : at + 1;
    }
    return false;
  }

  #put(hash: number): boolean {
    const places = this.#places;
    let at = hash & (places.length - 1);
    for (let found = places[at]; found !== 0; found = places[at]) {
      if (found === hash) return false;
      at = at + 1 === places.length ? 0 : at + 1;
    }
    places[at] = hash;
    return true;
  }

  #grow(): void {
    const before = this.#places;
    this.#places = new Float64Array(before.length * 2);
    for (const hash of before) if (hash !== 0) this.#put(hash);
  }
}
