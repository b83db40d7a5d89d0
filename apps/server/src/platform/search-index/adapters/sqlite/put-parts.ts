/** How documents go to a thread: in parts that are copied in a millisecond or two, and no more at once than memory is set aside for. */
import type { FieldValue, IndexDocument } from '../../Port.ts';
import type { SentDocument } from './thread-messages.ts';

/** UTF-16 code units and documents of one part. Copying takes some 10 us a document of 50 fields. */
const partText = 512 * 1024;
const partDocuments = 250;

interface Sized {
  readonly document: SentDocument;
  /** UTF-16 code units, and some for what holds them. */
  readonly size: number;
}

const toSized = (document: IndexDocument): Sized => {
  const fields: FieldValue[] = [];
  let size = 500;
  for (const name of Object.keys(document.fields)) {
    const value = document.fields[name] ?? '';
    fields.push(name, value);
    size += 50;
    if (typeof value === 'string') size += value.length;
    else if (typeof value === 'object') for (const one of value) size += one.length;
  }
  for (const { text } of document.pages) size += text.length + 100;
  const { exhibitId, batchId, controlNumber, pages } = document;
  return { document: { exhibitId, batchId, controlNumber, fields, pages }, size };
};

export interface PutParts {
  readonly parts: readonly (readonly SentDocument[])[];
  readonly size: number;
}

export const partsOf = (documents: readonly IndexDocument[]): PutParts => {
  const parts: SentDocument[][] = [];
  let part: SentDocument[] = [];
  let [size, partSize] = [0, 0];
  for (const { document, size: own } of documents.map(toSized)) {
    if (part.length > 0 && (part.length >= partDocuments || partSize + own > partText)) {
      parts.push(part);
      [part, partSize] = [[], 0];
    }
    part.push(document);
    partSize += own;
    size += own;
  }
  return { parts: [...parts, part], size };
};

/** So much may be under way; who comes later waits, in order. What is larger than all of it goes alone. */
export class Allowance {
  readonly #limit: number;
  readonly #waiting: { readonly size: number; readonly enter: () => void }[] = [];
  #taken = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  async use<T>(size: number, work: () => Promise<T>): Promise<T> {
    if (this.#waiting.length > 0 || !this.#fits(size))
      await new Promise<void>((enter) => {
        this.#waiting.push({ size, enter });
      });
    else this.#taken += size;
    try {
      return await work();
    } finally {
      this.#taken -= size;
      this.#admit();
    }
  }

  #fits(size: number): boolean {
    return this.#taken === 0 || this.#taken + size <= this.#limit;
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#fits(next.size); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#taken += next.size;
      next.enter();
    }
  }
}
