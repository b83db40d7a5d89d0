/**
 * One document of a production: its files, its row, its lines of truth.
 *
 * - What the row says is what was written, unless a flaw is planted; then the truth names it.
 */
import { type AnnotatedPages, annotatePages, annotationKinds } from './annotate-pages.ts';
import { codeDocument } from './code-document.ts';
import { fillFields } from './custom-fields.ts';
import { hashAll, inventHashes } from './hash-file.ts';
import { type Coding, loadCells, type LoadDocument } from './load-columns.ts';
import { extensions, type FamilyPlan } from './plan-families.ts';
import type { FlawKind } from './plant-flaws.ts';
import { Random } from './random.ts';
import type { RenderedItem } from './render-item.ts';
import { numberOf, type Parts } from './sample-parts.ts';

/** How a document stands among the others. */
type Place = Pick<LoadDocument, 'begin' | 'end' | 'familyRange' | 'parentId' | 'childIds' | 'childNames' | 'pageCount'>;

/** Where its files are, with slashes; empty for what it has not. */
interface Files {
  readonly native: string;
  readonly pdf: string;
  readonly text: string;
}

const encoder = new TextEncoder();
/** What is left of a PDF that was cut short. */
const CUT_SHARE = 0.4;

/** The native as it is written and hashed; undefined for paper. */
const spoilNative = (native: Uint8Array | undefined, flaw: FlawKind | undefined): Uint8Array | undefined =>
  flaw === 'corrupt_pdf' ? native?.subarray(0, Math.floor(native.length * CUT_SHARE)) : native;

const writeFiles = async (
  { paths, sink }: Parts,
  { plan, rendition, text }: RenderedItem,
  begin: string,
  native: Uint8Array | undefined,
  flaw: FlawKind | undefined,
): Promise<Files> => {
  const write = async (place: string, bytes: Uint8Array): Promise<string> => {
    await sink.write(place, bytes);
    return place;
  };
  const nativePlace = native === undefined ? '' : paths.next('NATIVES', `${begin}.${extensions[plan.kind]}`);
  if (native !== undefined && flaw !== 'missing_native') await write(nativePlace, native);
  return {
    native: nativePlace,
    pdf: rendition === undefined ? '' : await write(paths.next('IMAGES', `${begin}.pdf`), rendition),
    text: text.length === 0 ? '' : await write(paths.next('TEXT', `${begin}.txt`), encoder.encode(text.join('\f'))),
  };
};

/** Writes page images and lists them; a file of many pages is listed once a page. Returns the place of the first. */
const writeImages = async (
  { options, paths, sink, loadFiles }: Parts,
  { plan, images, pages }: RenderedItem,
  first: number,
  flaw: FlawKind | undefined,
): Promise<string> => {
  if (images.length === 0) return '';
  const places: string[] = [];
  for (let page = 0; page < pages.length; page += 1) {
    const pageId = numberOf(options, first + page);
    const bytes = images[page];
    if (bytes !== undefined) {
      const place = paths.next('IMAGES', `${pageId}.${extensions[plan.kind]}`);
      places.push(place);
      const isFake = flaw === 'fake_tiff' && page === 0;
      await sink.write(place, isFake ? encoder.encode('This page could not be converted.\r\n') : bytes);
    }
    await loadFiles.addPage({
      pageId,
      path: places.at(-1) ?? '',
      documentBreak: page === 0,
      pageCount: page === 0 ? pages.length : null,
    });
  }
  return places[0] ?? '';
};

/** Writes the annotations and tells what is redacted. Returns the place of the file. */
const writeAnnotations = async (
  { paths, sink, tally, loadFiles }: Parts,
  { json, counts, redacted }: AnnotatedPages,
  begin: string,
  files: Files,
): Promise<string> => {
  const place = paths.next('ANNOTATIONS', `${begin}.json`);
  await sink.write(place, encoder.encode(JSON.stringify(json)));
  for (const kind of annotationKinds) tally.annotations[kind] += counts[kind];
  if (redacted.length > 0) tally.redactedDocuments += 1;
  for (const { pageIndex, words, reason, rects } of redacted)
    await loadFiles.addTruth({
      kind: 'redaction',
      document: begin,
      page: pageIndex + 1,
      words,
      reason,
      rects,
      ...files,
    });
  return place;
};

const annotate = (
  { options }: Parts,
  { plan, pages }: RenderedItem,
  first: number,
  { confidentiality }: Coding,
): AnnotatedPages | undefined =>
  pages.length === 0
    ? undefined
    : annotatePages(plan, pages, (page) => numberOf(options, first + page), confidentiality);

/** Writes a document. */
export const writeDocument = async (
  parts: Parts,
  family: FamilyPlan,
  item: RenderedItem,
  place: Place,
): Promise<void> => {
  const { options, paths, tally, loadFiles } = parts;
  const { plan } = item;
  const { begin } = place;
  const flaw = parts.flaws.take(plan, family, place.parentId === '');
  const first = Number(begin.slice(options.prefix.length));
  const random = new Random(options.seed, 'document', first);
  const coding = codeDocument(plan, family, random);

  const native = spoilNative(item.native, flaw);
  const files = await writeFiles(parts, item, begin, native, flaw);
  const firstImage = await writeImages(parts, item, first, flaw);
  const annotated = annotate(parts, item, first, coding);
  const annotations = annotated === undefined ? '' : await writeAnnotations(parts, annotated, begin, files);
  if (flaw !== undefined)
    await loadFiles.addTruth({
      kind: 'flaw',
      flaw,
      document: begin,
      file: flaw === 'fake_tiff' ? firstImage : files.native,
    });

  const hashed = native ?? item.images[0] ?? new Uint8Array(0);
  const hashes = options.loadFileOnly ? inventHashes(random) : hashAll(hashed);
  const document: LoadDocument = {
    ...place,
    ...hashes,
    plan,
    family,
    fileSize: options.loadFileOnly ? random.between(2_000, 4_000_000) : hashed.length,
    mimeType: item.mimeType,
    md5: flaw === 'hash_mismatch' ? inventHashes(random).md5 : hashes.md5,
    nativePath: paths.shown(files.native),
    textPath: paths.shown(files.text),
    pdfPath: paths.shown(files.pdf),
    annotationsPath: paths.shown(annotations),
    redactionReasons: [...new Set(annotated?.redacted.map(({ reason }) => reason))],
    coding,
  };
  await loadFiles.addRow([...loadCells(document), ...fillFields(parts.fields, random)]);
  tally.documents += 1;
  tally.pages += place.pageCount;
  tally.byKind[plan.kind] = (tally.byKind[plan.kind] ?? 0) + 1;
};
