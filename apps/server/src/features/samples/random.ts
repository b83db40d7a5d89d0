/**
 * Random numbers that are the same on every machine: integer arithmetic only (sfc32, Chris Doty-Humphrey, PractRand), seeded by text.
 *
 * - Two generators made of the same parts give the same numbers; what one thing draws never changes what another one gets, because each
 *   thing has a generator of its own, made of the seed and its name.
 */

/** Four words from text (MurmurHash3's mixing steps, one lane each). */
const mix = (text: string): [number, number, number, number] => {
  let a = 1_779_033_703;
  let b = 3_144_134_277;
  let c = 1_013_904_242;
  let d = 2_773_480_762;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    a = b ^ Math.imul(a ^ code, 597_399_067);
    b = c ^ Math.imul(b ^ code, 2_869_860_233);
    c = d ^ Math.imul(c ^ code, 951_274_213);
    d = a ^ Math.imul(d ^ code, 2_716_044_179);
  }
  return [a | 0, b | 0, c | 0, d | 0];
};

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** A generator for one thing, named by its parts. */
  constructor(...name: readonly (string | number)[]) {
    [this.#a, this.#b, this.#c, this.#d] = mix(name.join('\u001F'));
    for (let round = 0; round < 12; round += 1) this.word();
  }

  /** 32 random bits, as an unsigned number. */
  word(): number {
    const t = (((this.#a + this.#b) | 0) + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + t) | 0;
    return t >>> 0;
  }

  /** From 0 up to, not including, `limit`. */
  below(limit: number): number {
    return Math.floor((this.word() / 4_294_967_296) * limit);
  }

  /** From `first` to `last`, both included. */
  between(first: number, last: number): number {
    return first + this.below(last - first + 1);
  }

  /** True in `share` of the cases, 0 to 1. */
  chance(share: number): boolean {
    return this.word() < share * 4_294_967_296;
  }

  pick<T>(list: readonly [T, ...T[]]): T {
    return list[this.below(list.length)] ?? list[0];
  }

  /** The elements in random order. */
  shuffle<T>(list: readonly T[]): T[] {
    const rest = [...list];
    const order: T[] = [];
    while (rest.length > 0) order.push(...rest.splice(this.below(rest.length), 1));
    return order;
  }

  /** `count` decimal digits. */
  digits(count: number): string {
    let text = '';
    while (text.length < count) text += String(this.below(10));
    return text;
  }

  /** `count` characters of `alphabet`. */
  text(count: number, alphabet: string): string {
    let text = '';
    while (text.length < count) text += alphabet.charAt(this.below(alphabet.length));
    return text;
  }
}
