/**
 * Reads the values that pointers lead to.
 *
 * - Ranges of one object that lie close together are read with one request; what lies between is thrown away.
 * - The cache is keyed by object, offset and length: what a pointer leads to never changes, so an entry is never stale.
 */
import type { ObjectStore } from '../../platform/object-store/Port.ts';
import { objectKey } from '../../platform/object-store/Port.ts';
import { decodeValues, type ExhibitValues } from './field-values.ts';
import type { Pointer } from './store.ts';

export interface StoredValues extends ExhibitValues {
  readonly version: number;
}

/** Bytes between two lines that are read along rather than asked for again. */
const worthReadingAlong = 64 * 1024;
const maxRange = 8 * 1024 * 1024;
/** Requests at once. */
const concurrency = 8;

/** Least recently used values, bounded by the bytes of their lines. */
export class ValueCache {
  readonly #entries = new Map<string, ExhibitValues>();
  readonly #sizes = new Map<string, number>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(key: string): ExhibitValues | undefined {
    const found = this.#entries.get(key);
    if (found !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, found);
    }
    return found;
  }

  set(key: string, value: ExhibitValues, size: number): void {
    if (size > this.#maxBytes / 10 || this.#entries.has(key)) return;
    this.#entries.set(key, value);
    this.#sizes.set(key, size);
    this.#bytes += size;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#entries.delete(oldest);
      this.#bytes -= this.#sizes.get(oldest) ?? 0;
      this.#sizes.delete(oldest);
    }
  }
}

const cacheKey = (pointer: Pointer): string => `${pointer.objectKey}#${pointer.offset}+${pointer.length}`;

interface Range {
  readonly objectKey: string;
  readonly start: number;
  end: number;
  readonly pointers: Pointer[];
}

/** Pointers must be ordered by object and offset. */
const rangesOf = (pointers: readonly Pointer[]): readonly Range[] => {
  const ranges: Range[] = [];
  for (const pointer of pointers) {
    const last = ranges.at(-1);
    const end = pointer.offset + pointer.length;
    if (
      last?.objectKey === pointer.objectKey &&
      pointer.offset - last.end <= worthReadingAlong &&
      end - last.start <= maxRange
    ) {
      last.end = Math.max(last.end, end);
      last.pointers.push(pointer);
    } else ranges.push({ objectKey: pointer.objectKey, start: pointer.offset, end, pointers: [pointer] });
  }
  return ranges;
};

const readRange = async (objects: ObjectStore, range: Range, signal: AbortSignal | undefined): Promise<Buffer> => {
  const { body } = await objects.get(objectKey(range.objectKey), {
    range: { start: range.start, end: range.end },
    ...(signal === undefined ? {} : { signal }),
  });
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

/** Values by exhibit. Errors: `object_not_found`, `object_corrupt`, `object_store_unavailable`. */
export const readStoredValues = async (
  objects: ObjectStore,
  cache: ValueCache,
  pointers: readonly Pointer[],
  signal?: AbortSignal,
): Promise<Map<number, StoredValues>> => {
  const found = new Map<number, StoredValues>();
  const missing: Pointer[] = [];
  for (const pointer of pointers) {
    const known = cache.get(cacheKey(pointer));
    if (known === undefined) missing.push(pointer);
    else found.set(pointer.exhibitId, { ...known, version: pointer.version });
  }
  const waiting = [...rangesOf(missing)].toReversed();
  const work = async (): Promise<void> => {
    for (let range = waiting.pop(); range !== undefined; range = waiting.pop()) {
      const bytes = await readRange(objects, range, signal);
      for (const pointer of range.pointers) {
        const from = pointer.offset - range.start;
        const values = decodeValues(bytes.toString('utf8', from, from + pointer.length), pointer.exhibitId);
        cache.set(cacheKey(pointer), values, pointer.length);
        found.set(pointer.exhibitId, { ...values, version: pointer.version });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, waiting.length) }, work));
  return found;
};
