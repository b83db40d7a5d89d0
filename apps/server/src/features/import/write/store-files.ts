/**
 * Brings the files of one row into the object store.
 *
 * - Each file is read once: hashed, recognised and stored in one pass. Putting a file again replaces it by the same bytes.
 * - A file that cannot be taken is a problem of its row; the row is imported without it.
 */
import { CaseboundError } from '@casebound/contract';
import type { Readable } from 'node:stream';
import type { JsonValue } from '@casebound/records';
import type { ObjectKey, ObjectStore } from '../../../platform/object-store/Port.ts';
import { problem, type RowProblem } from '../import-problem.ts';
import type { RowFile, RowHashes, SourceRow } from '../source-row.ts';
import { detectFileType, headBytes } from '../sources/file-type.ts';
import { type Digests, hashBytes } from '../sources/hash-bytes.ts';
import { imageTypeOf } from './image-type.ts';
import { decodeText } from './decode-text.ts';
import { annotationsKey, type DocumentPlace, imageKey, nativeKey, pageTextKey, storedTextKey } from './object-keys.ts';

/** A page image that an image list names, resolved or not. */
export interface ListedPage {
  readonly position: number;
  readonly pageId: string;
  readonly line: number;
  readonly file: RowFile | { readonly refused: string; readonly code: string };
}

export interface StoredFiles {
  /** Members of `Document.variants`. */
  readonly variants: readonly Readonly<Record<string, JsonValue>>[];
  /** Members of `Exhibit.pages`. */
  readonly pages: readonly Readonly<Record<string, JsonValue>>[];
  /** Of the native; null without one. */
  readonly digests: Digests | null;
  readonly mime: string | null;
  readonly hasAnnotations: boolean;
  readonly problems: readonly RowProblem[];
  readonly files: number;
  readonly bytes: number;
}

export interface StoreOptions {
  readonly signal: AbortSignal;
  /** Where `listed` pages stand, for what is wrong with them. */
  readonly imageList: string | null;
}

/** Lets the beginning of a stream be looked at while it passes. */
const withHead = (source: Readable): { readonly body: AsyncIterable<Uint8Array>; head(): Buffer } => {
  const kept: Buffer[] = [];
  let held = 0;
  return {
    body: (async function* () {
      for await (const chunk of source) {
        const bytes = chunk as Buffer;
        if (held < headBytes) {
          kept.push(bytes.subarray(0, headBytes - held));
          held += Math.min(bytes.length, headBytes - held);
        }
        yield bytes;
      }
    })(),
    head: () => Buffer.concat(kept),
  };
};

interface Stored {
  readonly key: ObjectKey;
  readonly digests: Digests;
  readonly head: Buffer;
}

const isOfContent = (error: unknown): error is CaseboundError =>
  error instanceof CaseboundError && ['source_unreadable', 'source_changed', 'source_corrupt'].includes(error.code);

class RowStorer {
  readonly variants: Record<string, JsonValue>[] = [];
  readonly problems: RowProblem[] = [];
  files = 0;
  bytes = 0;
  digests: Digests | null = null;
  mime: string | null = null;
  hasAnnotations = false;
  readonly #objects: ObjectStore;
  readonly #row: SourceRow;
  readonly #place: DocumentPlace;
  readonly #options: StoreOptions;

  constructor(objects: ObjectStore, row: SourceRow, place: DocumentPlace, options: StoreOptions) {
    this.#objects = objects;
    this.#row = row;
    this.#place = place;
    this.#options = options;
  }

  report(
    severity: RowProblem['severity'],
    code: string,
    reason: string,
    at: { field?: string; value?: string; line?: number; path?: string | null } = {},
  ): void {
    const { row, line, path, listedIn } = this.#row;
    this.problems.push(problem(severity, code, reason, { row, line, path: path ?? listedIn, ...at }));
  }

  async #put(file: RowFile, key: ObjectKey, field: string): Promise<Stored | undefined> {
    try {
      const { body, head } = withHead(await file.open());
      const hashed = hashBytes(body);
      await this.#objects.put(key, hashed.body, { signal: this.#options.signal });
      const digests = hashed.digests();
      this.files += 1;
      this.bytes += digests.size;
      return { key, digests, head: head() };
    } catch (error) {
      if (!isOfContent(error)) throw error;
      this.report('error', error.code, `The file cannot be taken: ${error.message}`, { field, value: file.path });
      return undefined;
    }
  }

  #variant(type: string, position: number, stored: Stored, mimeType: string | null, fileName: string | null): void {
    this.variants.push({
      type,
      position,
      objectKey: stored.key,
      size: stored.digests.size,
      sha256: stored.digests.sha256,
      ...(mimeType === null ? {} : { mimeType }),
      ...(fileName === null ? {} : { fileName: fileName.slice(0, 4_000) }),
    });
  }

  async native(): Promise<void> {
    const file = this.#row.native;
    if (file === null) return;
    const stored = await this.#put(file, nativeKey(this.#place), 'native');
    if (stored === undefined) return;
    this.digests = stored.digests;
    this.mime = (await detectFileType(file.name, stored.head, null)).mime;
    this.#variant('native', 1, stored, this.mime, file.name);
    if (stored.digests.size === 0)
      this.report('warning', 'empty_native', 'The native file is empty.', { value: file.path });
    this.#compareHashes(stored.digests, file.path);
  }

  #compareHashes(found: Digests, path: string): void {
    const stated: RowHashes = this.#row.hashes;
    for (const name of ['md5', 'sha1', 'sha256'] as const) {
      if (stated[name] === null || stated[name] === found[name]) continue;
      this.report(
        'error',
        'hash_mismatch',
        `The native ${path} has the ${name.toUpperCase()} ${found[name]}, and the load file states ${stated[name]}; the exhibit has the file's own hash.`,
        { field: `${name}Hash`, value: stated[name] },
      );
    }
  }

  async image(position: number, file: RowFile, listedLine: number | null): Promise<boolean> {
    const stored = await this.#put(file, imageKey(this.#place, position), 'image');
    if (stored === undefined) return false;
    const type = imageTypeOf(stored.head);
    if (type === undefined) {
      await this.#objects.delete(stored.key);
      this.report(
        'error',
        'image_invalid',
        `The page image ${file.path} is not an image (its content is ${(await detectFileType('', stored.head, null)).mime}); the page has none.`,
        {
          field: 'image',
          value: file.path,
          ...(listedLine === null ? {} : { line: listedLine, path: this.#options.imageList }),
        },
      );
      return false;
    }
    this.#variant('image', position, stored, type, file.name);
    return true;
  }

  async annotations(): Promise<void> {
    const file = this.#row.annotations;
    if (file === null) return;
    const stored = await this.#put(file, annotationsKey(this.#place), 'annotations');
    this.hasAnnotations = stored !== undefined;
  }

  /** Page texts as the source has them, with where they came from; null when it has none. */
  async texts(): Promise<readonly string[] | null> {
    const file = this.#row.text;
    if (file === null) return this.#row.pageTexts;
    try {
      const decoded = await decodeText(await file.open());
      if (decoded.problem !== null)
        this.report('warning', 'text_encoding', decoded.problem, { field: 'text', value: file.path });
      return decoded.text.split('\f');
    } catch (error) {
      if (!isOfContent(error)) throw error;
      this.report('error', error.code, `The text cannot be taken: ${error.message}`, {
        field: 'text',
        value: file.path,
      });
      return this.#row.pageTexts;
    }
  }

  async pageText(position: number, text: string): Promise<{ readonly size: number; readonly sha256: string }> {
    const key = pageTextKey(this.#place, position);
    const put = { contentType: 'text/plain; charset=utf-8' };
    const { size, sha256 } = await this.#objects.put(
      storedTextKey(this.#place, position),
      Buffer.from(text, 'utf8'),
      put,
    );
    this.files += 1;
    this.bytes += size;
    this.variants.push({ type: 'text', position, objectKey: key, size, sha256, mimeType: 'text/plain' });
    return { size, sha256 };
  }
}

/** Texts by page: trailing empty ones are dropped, and what goes beyond the pages is kept with the last. */
const fitToPages = (texts: readonly string[], pages: number): readonly string[] => {
  const trimmed = texts.slice(0, texts.findLastIndex((text) => text.trim() !== '') + 1);
  if (pages === 0 || trimmed.length <= pages) return trimmed;
  return [...trimmed.slice(0, pages - 1), trimmed.slice(pages - 1).join('\f')];
};

export const noFiles: StoredFiles = {
  variants: [],
  pages: [],
  digests: null,
  mime: null,
  hasAnnotations: false,
  problems: [],
  files: 0,
  bytes: 0,
};

/** Whether a row brings anything that is stored, pages of an image list aside. */
export const hasFiles = (row: SourceRow): boolean =>
  row.native !== null ||
  row.text !== null ||
  row.pageTexts !== null ||
  row.pages.length > 0 ||
  row.annotations !== null;

/** Stores native, images, text and annotations of a row. `listed` are its pages of an image list. */
export const storeFiles = async (
  objects: ObjectStore,
  row: SourceRow,
  place: DocumentPlace,
  listed: readonly ListedPage[],
  options: StoreOptions,
): Promise<StoredFiles> => {
  if (listed.length === 0 && !hasFiles(row)) return noFiles;
  const storer = new RowStorer(objects, row, place, options);
  await storer.native();
  const pageIds: (string | null)[] = [];
  // A file of several pages is named once for each of its pages: it is one image.
  const taken = new Set<string>();
  for (const page of listed) {
    pageIds[page.position - 1] = page.pageId === '' ? null : page.pageId;
    if ('refused' in page.file) {
      storer.report(
        'error',
        page.file.code === 'missing' ? 'image_missing' : page.file.code,
        `The page image cannot be taken: ${page.file.refused}`,
        {
          field: 'image',
          value: page.pageId,
          line: page.line,
          path: options.imageList,
        },
      );
    } else if (!taken.has(page.file.path)) {
      taken.add(page.file.path);
      await storer.image(page.position, page.file, page.line);
    }
  }
  if (listed.length === 0) {
    for (const [index, page] of row.pages.entries()) {
      pageIds[index] = page.pageId;
      if (page.image !== null) await storer.image(index + 1, page.image, null);
    }
  }
  await storer.annotations();
  const given = await storer.texts();
  const texts = given === null ? [] : fitToPages(given, pageIds.length);
  const pages: Record<string, JsonValue>[] = [];
  for (let index = 0; index < Math.max(pageIds.length, texts.length); index += 1) {
    const pageId = pageIds[index] ?? null;
    const text = texts[index];
    const stored = text === undefined ? undefined : await storer.pageText(index + 1, text);
    pages.push({
      ...(pageId === null ? {} : { batesNumber: pageId.slice(0, 255) }),
      textSource: stored === undefined ? 'none' : 'load_file',
      ...(stored === undefined ? {} : { textSize: stored.size, textSha256: stored.sha256 }),
    });
  }
  const { variants, digests, mime, hasAnnotations, problems, files, bytes } = storer;
  return { variants, pages, digests, mime, hasAnnotations, problems, files, bytes };
};
