/**
 * What is made of one document after its row is in: a PDF of its page images or of the image that it is, its pages with sizes and text, and its annotations in the
 * document engine.
 *
 * - Objects and the engine's document are written under names that are known before, so doing it again gives the same.
 * - What a file does not allow (damaged, encrypted, no image at all) is a problem of its row and ends nothing else.
 */
import { BatchId, CaseboundError, DocumentId, ExhibitId, type CaseId } from '@casebound/contract';
import { type InstantJson, kindOf, parseInstantJson } from '@casebound/pdf';
import type { JsonValue } from '@casebound/records';
import { type DocumentEngine, formatDocumentId, type PdfWorkers } from '../../../platform/document-engine/Port.ts';
import { objectKey, type ObjectStore } from '../../../platform/object-store/Port.ts';
import { readBytes } from '../../../platform/object-store/read-bytes.ts';
import type { PageTexts } from '../../../platform/ocr/Port.ts';
import { problem, type RowProblem } from '../import-problem.ts';
import { isPageImage } from '../write/image-type.ts';
import { annotationsKey, type DocumentPlace, pageTextKey, pdfKey } from '../write/object-keys.ts';
import type { Processable } from './processing-store.ts';

export interface ProcessParts {
  readonly objects: ObjectStore;
  readonly engine: DocumentEngine;
  readonly pdf: PdfWorkers;
  readonly pageTexts: PageTexts;
}

/** The document and its exhibit as the record store has them. */
export interface StoredPair {
  readonly document: { readonly [key: string]: JsonValue };
  readonly exhibit: { readonly [key: string]: JsonValue };
}

export interface Processed {
  /** Members that are put in the place of those of now; null when nothing changes. */
  readonly document: { readonly [key: string]: JsonValue } | null;
  readonly exhibit: { readonly [key: string]: JsonValue } | null;
  readonly problems: readonly RowProblem[];
}

type Page = Awaited<ReturnType<PdfWorkers['pageInfo']>>['pages'][number];

/** A PDF in memory. */
interface Found {
  /** What it was found in, for what is wrong with it. */
  readonly field: string;
  readonly bytes: Uint8Array;
  /** Makes it a variant of the document. */
  keep(): Promise<Variant>;
}

/** Largest PDF or image that is taken into memory. */
const maxBytes = 1024 * 1024 * 1024;
const maxAnnotationBytes = 64 * 1024 * 1024;

interface Variant {
  readonly type: string;
  readonly position: number;
  readonly objectKey: string;
  readonly size: number;
  readonly sha256: string;
  readonly mimeType?: string;
  readonly fileName?: string;
}

const variantsOf = (document: StoredPair['document']): readonly Variant[] =>
  // Written by this feature, and checked by the record store.
  Array.isArray(document['variants']) ? (document['variants'] as unknown as readonly Variant[]) : [];

interface ProcessableFile extends Processable {
  /** Of a loose file; what a load file brought has its line. */
  readonly path: string | null;
}

class DocumentRun {
  readonly problems: RowProblem[] = [];
  readonly #parts: ProcessParts;
  readonly #place: DocumentPlace;
  readonly #it: ProcessableFile;
  readonly #ocr: boolean;
  readonly #signal: AbortSignal;

  constructor(parts: ProcessParts, place: DocumentPlace, it: ProcessableFile, ocr: boolean, signal: AbortSignal) {
    this.#parts = parts;
    this.#place = place;
    this.#it = it;
    this.#ocr = ocr;
    this.#signal = signal;
  }

  #say(severity: RowProblem['severity'], code: string, reason: string, field: string): void {
    const { row, line, path } = this.#it;
    this.problems.push(problem(severity, code, reason, { row, line, path, field }));
  }

  /** Runs work on content; what content does not allow becomes a problem. */
  async #guarded<T>(field: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof CaseboundError) || error.family !== 'permanent') throw error;
      this.#say('error', error.code, error.message, field);
      return undefined;
    }
  }

  async #read(key: string, most = maxBytes): Promise<Uint8Array> {
    return readBytes(this.#parts.objects, objectKey(key), { maxBytes: most, signal: this.#signal });
  }

  /** The PDF: the one that is there, that of the page images, the native, or that of a native that is an image. Null without any, undefined where there is a problem with it. */
  async find(variants: readonly Variant[]): Promise<Found | null | undefined> {
    const { objects } = this.#parts;
    const signal = this.#signal;
    const key = pdfKey(this.#place);
    const there = variants.find((one) => one.type === 'pdf');
    const images = variants.filter((one) => one.type === 'image').toSorted((a, b) => a.position - b.position);
    const native = variants.find((one) => one.type === 'native');
    const copied = async (from: Variant, field: string, fileName?: string): Promise<Found | undefined> =>
      this.#guarded(field, async () => ({
        field,
        bytes: shared(await this.#read(from.objectKey)),
        keep: async () =>
          pdfOf(
            await objects.copy(objectKey(from.objectKey), key, { expected: { sha256: from.sha256 }, signal }),
            fileName,
          ),
      }));
    if (there !== undefined) {
      return this.#guarded('pdf', async () => ({
        field: 'pdf',
        bytes: shared(await this.#read(there.objectKey)),
        keep: async () => Promise.resolve(there),
      }));
    }
    const [only] = images;
    if (only !== undefined && images.length === 1 && only.mimeType === 'application/pdf') return copied(only, 'image');
    const merged = async (from: readonly Variant[], field: string): Promise<Found | undefined> =>
      this.#guarded(field, async () => {
        const read = await Promise.all(from.map(async (image) => this.#read(image.objectKey)));
        const bytes = shared(await this.#parts.pdf.mergeImages({ images: read }, { signal }));
        const put = { contentType: 'application/pdf', signal };
        return { field, bytes, keep: async () => pdfOf(await objects.put(key, bytes, put), undefined) };
      });
    if (only !== undefined) return merged(images, 'image');
    if (native?.mimeType === 'application/pdf') return copied(native, 'native', native.fileName);
    return isPageImage(native?.mimeType) && native !== undefined && native.size > 0 ? merged([native], 'native') : null;
  }

  async sizesOf({ bytes, field }: Found): Promise<readonly Page[] | undefined> {
    const info = await this.#guarded(field, async () =>
      this.#parts.pdf.pageInfo({ pdf: bytes }, { signal: this.#signal }),
    );
    return info?.pages;
  }

  /**
   * The PDF must have the pages that the image list names. With one too few or too many, what lies on a page would come to lie on another,
   * and a redaction would miss what it is to hide.
   */
  differs(listed: number, found: number): boolean {
    if (listed === 0 || listed === found) return false;
    this.#say(
      'error',
      'page_count_differs',
      `The image list names ${listed} pages and the images have ${found}, so the document gets no PDF and its annotations are not taken.`,
      'image',
    );
    return true;
  }

  /** Sizes of all pages, and the text of those that have none. */
  async pages(
    { bytes }: Found,
    sizes: readonly Page[],
    known: readonly JsonValue[],
  ): Promise<{ readonly pages: JsonValue[]; readonly texts: Variant[] } | undefined> {
    return this.#guarded('pdf', async () => {
      const before = known.map((page) =>
        typeof page === 'object' && page !== null && !Array.isArray(page) ? page : {},
      );
      const hasText = before.some((page) => page['textSha256'] !== undefined);
      const pages: { [key: string]: JsonValue }[] = Array.from(
        { length: Math.max(sizes.length, before.length) },
        (_, index) => {
          const size = sizes[index];
          return {
            ...before[index],
            ...(size === undefined
              ? {}
              : { width: round(size.width), height: round(size.height), rotation: size.rotation }),
            textSource: before[index]?.['textSource'] ?? 'none',
          };
        },
      );
      const texts: Variant[] = [];
      if (hasText) return { pages, texts };
      for await (const found of this.#pageTexts(bytes)) {
        if (found.text.trim() === '') continue;
        const position = found.pageIndex + 1;
        const key = pageTextKey(this.#place, position);
        const text = Buffer.from(found.text.replaceAll('\0', '\uFFFD'), 'utf8');
        const { size, sha256 } = await this.#parts.objects.put(key, text, {
          contentType: 'text/plain; charset=utf-8',
        });
        pages[found.pageIndex] = {
          ...pages[found.pageIndex],
          textSource: found.source === 'ocr' ? 'ocr' : 'document',
          textSize: size,
          textSha256: sha256,
        };
        texts.push({ type: 'text', position, objectKey: key, size, sha256, mimeType: 'text/plain' });
      }
      return { pages, texts };
    });
  }

  async *#pageTexts(
    bytes: Uint8Array,
  ): AsyncIterable<{ readonly pageIndex: number; readonly text: string; readonly source: 'pdf' | 'ocr' }> {
    if (this.#ocr) {
      yield* this.#parts.pageTexts.pageTextsOf(bytes, { signal: this.#signal });
      return;
    }
    for (const page of await this.#parts.pdf.text({ pdf: bytes }, { signal: this.#signal }))
      yield { ...page, source: 'pdf' };
  }

  /** Puts the document and what lies on it into the engine. @returns whether redactions do */
  async annotate(bytes: Uint8Array): Promise<{ readonly redacted: boolean } | undefined> {
    return this.#guarded('annotations', async () => {
      const json = parse(await this.#read(annotationsKey(this.#place), maxAnnotationBytes));
      const id = formatDocumentId({
        caseId: this.#place.caseId,
        batchId: BatchId.parse(this.#place.batchId),
        documentId: DocumentId.parse(this.#it.documentId),
        exhibitId: ExhibitId.parse(this.#it.exhibitId),
      });
      const { engine } = this.#parts;
      await engine.putDocument(id, Uint8Array.from(bytes), { replace: true, signal: this.#signal });
      await engine.importInstantJson(id, json, { replace: true, signal: this.#signal });
      return { redacted: json.annotations.some((one) => kindOf(one) === 'redaction') };
    });
  }

  /** Annotations need a page to lie on. */
  noPages(): void {
    if (this.#it.hasAnnotations)
      this.#say(
        'error',
        'annotations_without_pages',
        'The row has annotations, and no PDF or image that they could lie on.',
        'annotations',
      );
  }
}

/** Bytes that worker threads read without a copy of their own. */
const shared = (bytes: Uint8Array): Uint8Array => {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
  copy.set(bytes);
  return copy;
};

const round = (points: number): number => Math.round(points * 1_000) / 1_000;

const parse = (bytes: Uint8Array): InstantJson => {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new CaseboundError('annotation_invalid', 'The annotations are not JSON in UTF-8.');
  }
  return parseInstantJson(value);
};

const pdfOf = (
  stored: { readonly key: string; readonly size: number; readonly sha256: string },
  fileName: string | undefined,
): Variant => ({
  type: 'pdf',
  position: 1,
  objectKey: stored.key,
  size: stored.size,
  sha256: stored.sha256,
  mimeType: 'application/pdf',
  ...(fileName === undefined ? {} : { fileName }),
});

export interface ProcessOptions {
  readonly ocr: boolean;
  /** Job of the overlay whose files are processed. */
  readonly overlay: string | undefined;
}

/** Processes one document. */
export const processDocument = async (
  parts: ProcessParts,
  caseId: CaseId,
  it: Processable,
  { document, exhibit }: StoredPair,
  { ocr, overlay }: ProcessOptions,
  signal: AbortSignal,
): Promise<Processed> => {
  const { batchId, documentKey } = it;
  const from = document['sourcePath'];
  const path = it.line === null && typeof from === 'string' ? from : null;
  const run = new DocumentRun(parts, { caseId, batchId, documentKey, overlay }, { ...it, path }, ocr, signal);
  const variants = variantsOf(document);
  const known = Array.isArray(exhibit['pages']) ? exhibit['pages'] : [];
  const listed = known.filter((page) => typeof page === 'object' && page !== null && 'batesNumber' in page).length;
  const unchanged = (): Processed => ({ document: null, exhibit: null, problems: run.problems });
  const pdf = await run.find(variants);
  const sizes = pdf === null || pdf === undefined ? undefined : await run.sizesOf(pdf);
  if (pdf === null || pdf === undefined || sizes === undefined) {
    run.noPages();
    return unchanged();
  }
  if (run.differs(listed, sizes.length)) return unchanged();
  const kept = await pdf.keep();
  const read = await run.pages(pdf, sizes, known);
  const annotated = it.hasAnnotations ? await run.annotate(pdf.bytes) : undefined;
  const others = variants.filter(
    (one) => one.type !== 'pdf' && !(one.type === 'text' && read?.texts.some((text) => text.position === one.position)),
  );
  return {
    document: {
      ...(read === undefined ? {} : { pageCount: read.pages.length }),
      variants: [...others, kept, ...(read?.texts ?? [])].map((one): JsonValue => ({ ...one })),
    },
    exhibit:
      read === undefined && annotated?.redacted !== true
        ? null
        : {
            ...(read === undefined ? {} : { pages: read.pages }),
            ...(annotated?.redacted === true ? { redacted: true } : {}),
          },
    problems: run.problems,
  };
};
