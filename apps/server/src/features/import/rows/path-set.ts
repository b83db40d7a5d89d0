/**
 * Paths that a source names, as hashes of 53 bits: eight bytes a path, so that millions fit. Two of ten million paths share a hash once in
 * two hundred sources, and then one file that nothing names is not told of.
 */
import { resolveLoadPath } from '@casebound/loadfile';

const firstSize = 1_024;

/** FNV-1a over UTF-16 code units, twice with different seeds; a whole number of 53 bits. */
export const hashOf = (text: string): number => {
  let [low, high] = [0x811c9dc5, 0x9e3779b9];
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    low = Math.imul(low ^ code, 0x01000193);
    high = Math.imul(high ^ code, 0x85ebca6b) ^ (high >>> 13);
  }
  return (high >>> 11) * 2 ** 32 + (low >>> 0);
};

export class PathSet {
  #hashes = new Float64Array(firstSize);
  #size = 0;
  #isSorted = false;

  /** Adds a path as a load file writes it; one that is refused names no file. */
  addWritten(written: string): void {
    const trimmed = written.trim();
    if (trimmed === '') return;
    const path = resolveLoadPath(trimmed, { rooted: 'strip' });
    if (!path.ok) return;
    if (this.#size === this.#hashes.length) {
      const grown = new Float64Array(this.#size * 2);
      grown.set(this.#hashes);
      this.#hashes = grown;
    }
    this.#hashes[this.#size] = hashOf(path.segments.join('/').toLowerCase());
    this.#size += 1;
    this.#isSorted = false;
  }

  /** Whether the path, with `/` and whatever its case, was added. */
  has(path: string): boolean {
    if (!this.#isSorted) {
      this.#hashes.subarray(0, this.#size).sort();
      this.#isSorted = true;
    }
    const wanted = hashOf(path.toLowerCase());
    let [from, to] = [0, this.#size];
    while (from < to) {
      const middle = (from + to) >>> 1;
      const found = this.#hashes[middle] ?? 0;
      if (found === wanted) return true;
      if (found < wanted) from = middle + 1;
      else to = middle;
    }
    return false;
  }
}
