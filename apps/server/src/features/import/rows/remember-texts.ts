/** What texts that come again from row to row mean, found once. */

/** Texts whose parts are remembered: folders and labels come again from row to row. */
const maxRemembered = 2_000;

/** A text of its own: a part of another, as cells are, would keep the whole chunk of the file. */
const copyOf = (text: string): string => Buffer.from(text, 'utf16le').toString('utf16le');

export const remembering = <T>(make: (text: string) => T): ((text: string) => T) => {
  const known = new Map<string, T>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    const copy = copyOf(text);
    const made = make(copy);
    if (known.size >= maxRemembered) known.clear();
    known.set(copy, made);
    return made;
  };
};

const maxKnownCells = 64;
const maxKnownLength = 80;

/** What cells of one column become, while there are few different ones: choices, names, yes and no. */
export class KnownCells {
  #known: Map<string, string> | undefined = new Map();

  get(cell: string): string | undefined {
    return this.#known === undefined || cell.length > maxKnownLength ? undefined : this.#known.get(cell);
  }

  set(cell: string, meaning: string): void {
    if (this.#known === undefined || cell.length > maxKnownLength) return;
    if (this.#known.size < maxKnownCells) this.#known.set(copyOf(cell), meaning);
    else this.#known = undefined;
  }
}
