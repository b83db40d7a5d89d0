/**
 * Writes a sample: the production of a fictional dispute, as one party would send it to the other.
 *
 * - The same options give the same bytes, whatever the machine, the time zone and the day.
 * - Memory does not grow with the number of documents: a family is planned, rendered, written and forgotten.
 * - A folder holds a marker until its sample is whole.
 */
import { CaseboundError } from '@casebound/contract';
import path from 'node:path';
import { annotatePages, type AnnotationCounts } from './annotate-pages.ts';
import { codeDocument } from './code-document.ts';
import { fillFields, listSampleFields, type SampleField } from './custom-fields.ts';
import { type GlyphSet, renderGlyphs } from './formats/draw-page.ts';
import { BODY_SIZE, HEADING_SIZE } from './formats/lay-out-text.ts';
import { loadCells, type LoadDocument } from './load-columns.ts';
import { createFolderSink } from './output/write-folder.ts';
import { LoadFileOutput } from './output/write-load-files.ts';
import { createZipSink } from './output/write-zip.ts';
import type { SampleSink } from './output/Sink.ts';
import { VolumePaths } from './output/volume-paths.ts';
import { extensions, type FamilyPlan, type ItemPlan, planFamilies } from './plan-families.ts';
import { hashAll, inventHashes } from './hash-file.ts';
import { mboxEntry } from './formats/write-mbox.ts';
import { type FlawKind, FlawPlan } from './plant-flaws.ts';
import { fileNames, prepareFolder, releaseFolder } from './prepare-folder.ts';
import { Random } from './random.ts';
import { renderItem, type RenderedItem } from './render-item.ts';
import { checkOptions, type CheckedOptions, type SampleOptions, type SampleSummary } from './sample-options.ts';

const NUMBER_DIGITS = 8;
const REMEMBERED = 64;
const REPORT_EVERY_MS = 500;
const encoder = new TextEncoder();

const numberOf = ({ prefix }: CheckedOptions, page: number): string =>
  `${prefix}${String(page).padStart(NUMBER_DIGITS, '0')}`;

/** What is counted on the way. */
interface Tally {
  documents: number;
  families: number;
  duplicates: number;
  pages: number;
  redactedDocuments: number;
  readonly byKind: Record<string, number>;
  readonly custodians: Set<string>;
  readonly annotations: Record<keyof AnnotationCounts, number>;
}

interface Parts {
  readonly options: CheckedOptions;
  readonly fields: readonly SampleField[];
  readonly sink: CountingSink;
  readonly loadFiles: LoadFileOutput;
  readonly glyphs: GlyphSet;
  readonly tally: Tally;
  readonly flaws: FlawPlan;
  readonly paths: VolumePaths;
  /** Family index -> numbers of its documents, for the families that may still get a duplicate. */
  readonly numbers: Map<number, readonly string[]>;
}

/** A sink that knows how much went into it. */
class CountingSink implements SampleSink {
  readonly #sink: SampleSink;
  files = 0;
  bytes = 0;

  constructor(sink: SampleSink) {
    this.#sink = sink;
  }

  write(name: string, bytes: Uint8Array): Promise<void> {
    this.files += 1;
    this.bytes += bytes.length;
    return this.#sink.write(name, bytes);
  }

  append(name: string, bytes: Uint8Array): Promise<void> {
    this.bytes += bytes.length;
    return this.#sink.append(name, bytes);
  }

  finish(): Promise<void> {
    return this.#sink.finish();
  }

  abandon(): Promise<void> {
    return this.#sink.abandon();
  }
}

const noRendering = (plan: ItemPlan): RenderedItem => ({
  plan,
  native: undefined,
  mimeType: '',
  rendition: undefined,
  images: [],
  pages: [],
  text: [],
});

const pagesOf = ({ plan, pages }: RenderedItem, options: CheckedOptions): number =>
  options.loadFileOnly ? plan.pages : Math.max(pages.length, 1);

/** Writes the files of one document and returns its row. */
const writeDocument = async (
  parts: Parts,
  family: FamilyPlan,
  item: RenderedItem,
  place: Pick<LoadDocument, 'begin' | 'end' | 'familyRange' | 'parentId' | 'childIds' | 'childNames' | 'pageCount'>,
): Promise<void> => {
  const { options, sink, paths, tally, flaws, loadFiles } = parts;
  const { plan } = item;
  const { begin } = place;
  const flaw = flaws.take(plan, family, place.parentId === '');
  const first = Number(begin.slice(options.prefix.length));
  const random = new Random(options.seed, 'document', first);
  const coding = codeDocument(plan, family, random);
  const extension = extensions[plan.kind];

  const native = flaw === 'corrupt_pdf' ? item.native?.subarray(0, Math.floor(item.native.length * 0.4)) : item.native;
  let nativePath = '';
  if (native !== undefined) {
    nativePath = paths.next('NATIVES', `${begin}.${extension}`);
    if (flaw !== 'missing_native') await sink.write(nativePath, native);
  }
  let pdfPath = '';
  if (item.rendition !== undefined) {
    pdfPath = paths.next('IMAGES', `${begin}.pdf`);
    await sink.write(pdfPath, item.rendition);
  }
  let textPath = '';
  if (item.text.length > 0) {
    textPath = paths.next('TEXT', `${begin}.txt`);
    await sink.write(textPath, encoder.encode(item.text.join('\f')));
  }
  let firstImage = '';
  if (item.images.length > 0) {
    let shared = '';
    for (let page = 0; page < item.pages.length; page += 1) {
      const bytes = item.images[page];
      if (bytes !== undefined) {
        shared = paths.next('IMAGES', `${numberOf(options, first + page)}.${extension}`);
        firstImage ||= shared;
        const isFake = flaw === 'fake_tiff' && page === 0;
        await sink.write(shared, isFake ? encoder.encode('This page could not be converted.\r\n') : bytes);
      }
      await loadFiles.addPage({
        pageId: numberOf(options, first + page),
        path: shared,
        documentBreak: page === 0,
        pageCount: page === 0 ? item.pages.length : null,
      });
    }
  }
  const annotated =
    item.pages.length > 0
      ? annotatePages(plan, item.pages, (page) => numberOf(options, first + page), coding.confidentiality)
      : undefined;
  let annotationsPath = '';
  if (annotated !== undefined) {
    annotationsPath = paths.next('ANNOTATIONS', `${begin}.json`);
    await sink.write(annotationsPath, encoder.encode(JSON.stringify(annotated.json)));
    for (const kind of Object.keys(annotated.counts) as (keyof AnnotationCounts)[])
      tally.annotations[kind] += annotated.counts[kind];
    if (annotated.redacted.length > 0) tally.redactedDocuments += 1;
    for (const { pageIndex, words, reason, rects } of annotated.redacted)
      await loadFiles.addTruth({
        kind: 'redaction',
        document: begin,
        page: pageIndex + 1,
        words,
        reason,
        rects,
        native: nativePath,
        text: textPath,
        pdf: pdfPath,
      });
  }
  const hashed = native ?? item.images[0];
  const hashes = options.loadFileOnly ? inventHashes(random) : hashAll(hashed ?? new Uint8Array(0));
  if (flaw !== undefined) {
    const file = flaw === 'fake_tiff' ? firstImage : nativePath;
    await loadFiles.addTruth({ kind: 'flaw', flaw, document: begin, file });
  }
  const document: LoadDocument = {
    ...place,
    plan,
    family,
    fileSize: options.loadFileOnly ? random.between(2_000, 4_000_000) : (hashed?.length ?? 0),
    mimeType: item.mimeType,
    ...hashes,
    md5: flaw === 'hash_mismatch' ? inventHashes(random).md5 : hashes.md5,
    nativePath: paths.shown(nativePath),
    textPath: paths.shown(textPath),
    pdfPath: paths.shown(pdfPath),
    annotationsPath: paths.shown(annotationsPath),
    redactionReasons: [...new Set(annotated?.redacted.map(({ reason }) => reason))],
    coding,
  };
  await loadFiles.addRow([...loadCells(document), ...fillFields(parts.fields, random)]);
  tally.documents += 1;
  tally.pages += place.pageCount;
  tally.byKind[plan.kind] = (tally.byKind[plan.kind] ?? 0) + 1;
};

/** Numbers and writes a family; `room` is how many documents are still to be made. */
const writeFamily = async (parts: Parts, family: FamilyPlan, room: number): Promise<void> => {
  const { options, glyphs, tally, numbers } = parts;
  const plans = family.children.slice(0, room - 1);
  const render = (plan: ItemPlan, attachments?: readonly RenderedItem[]): RenderedItem =>
    options.loadFileOnly ? noRendering(plan) : renderItem(plan, glyphs, attachments);
  const children = plans.map((plan) => render(plan));
  const items = [render(family.root, children), ...children];
  let page = tally.pages + 1;
  const places = items.map((item) => {
    const pageCount = pagesOf(item, options);
    const begin = numberOf(options, page);
    page += pageCount;
    return { begin, end: numberOf(options, page - 1), pageCount };
  });
  const begins = places.map(({ begin }) => begin);
  const [first = '', ...rest] = begins;
  const familyRange = rest.length === 0 ? undefined : { begin: first, end: places.at(-1)?.end ?? first };
  for (const [at, item] of items.entries()) {
    const place = places[at];
    if (place === undefined) continue;
    await writeDocument(parts, family, item, {
      ...place,
      familyRange,
      parentId: at === 0 ? '' : first,
      childIds: at === 0 ? rest : [],
      childNames: at === 0 ? plans.map(({ fileName }) => fileName) : [],
    });
  }
  numbers.set(family.index, begins);
  numbers.delete(family.index - REMEMBERED);
  const originals = family.duplicateOf === undefined ? undefined : numbers.get(family.duplicateOf);
  if (originals !== undefined && originals.length === begins.length && !parts.flaws.touched(family.duplicateOf)) {
    for (const [at, document] of begins.entries())
      await parts.loadFiles.addTruth({ kind: 'duplicate', document, of: originals[at] });
    tally.duplicates += begins.length;
  }
};

/** Writes a message and its attachments as mail alone. */
const writeMail = async (parts: Parts, family: FamilyPlan, room: number): Promise<void> => {
  const { glyphs, sink, tally, paths } = parts;
  const children = family.children.slice(0, room - 1).map((plan) => renderItem(plan, glyphs));
  const item = renderItem(family.root, glyphs, children);
  const { native } = item;
  if (native === undefined || family.root.message === undefined) return;
  await sink.write(paths.next('MAIL', `${String(tally.families + 1).padStart(NUMBER_DIGITS, '0')}.eml`), native);
  await sink.append(fileNames.mailbox, mboxEntry(family.root.message, native));
  tally.documents += 1 + children.length;
  tally.pages += 1 + children.length;
  for (const { kind } of [family.root, ...children.map(({ plan }) => plan)])
    tally.byKind[kind] = (tally.byKind[kind] ?? 0) + 1;
};

const startTally = (): Tally => ({
  documents: 0,
  families: 0,
  duplicates: 0,
  pages: 0,
  redactedDocuments: 0,
  byKind: {},
  custodians: new Set(),
  annotations: {
    bates_stamp: 0,
    confidentiality_stamp: 0,
    redaction: 0,
    highlight: 0,
    note: 0,
    sticker: 0,
    comment: 0,
  },
});

/**
 * Writes a sample to `folder`.
 * @throws CaseboundError `validation_failed` for options that cannot be, and for a folder that is not empty; `request_aborted` when
 *   `signal` aborts, which leaves the marker.
 */
export const createSample = async (folder: string, given: SampleOptions): Promise<SampleSummary> => {
  const options = checkOptions(given);
  const started = performance.now();
  const root = path.resolve(folder);
  await prepareFolder(root, options.force);
  const sink = new CountingSink(options.zip ? createZipSink(root) : createFolderSink(root));
  const fields = listSampleFields(options.fields);
  const parts: Parts = {
    options,
    fields,
    sink,
    loadFiles: new LoadFileOutput(sink, fields, { loadFile: !options.mailOnly }),
    glyphs: options.loadFileOnly ? { glyph: () => undefined } : await renderGlyphs([BODY_SIZE, HEADING_SIZE]),
    tally: startTally(),
    flaws: new FlawPlan(options.flaws),
    paths: new VolumePaths(),
    numbers: new Map(),
  };
  const { tally, loadFiles } = parts;
  const seconds = (): number => (performance.now() - started) / 1000;
  const summarize = (): Omit<SampleSummary, 'folder' | 'seconds' | 'files' | 'bytes'> => ({
    seed: options.seed,
    documents: tally.documents,
    families: tally.families,
    duplicates: tally.duplicates,
    pages: tally.pages,
    fields: options.mailOnly ? 0 : fields.length,
    custodians: tally.custodians.size,
    documentsByKind: tally.byKind,
    annotations: tally.annotations,
    redactedDocuments: tally.redactedDocuments,
    flaws: parts.flaws.planted satisfies readonly FlawKind[],
    loadFile: options.mailOnly ? undefined : fileNames.loadFile,
    imageList: options.mailOnly || options.loadFileOnly ? undefined : fileNames.imageList,
    truth: fileNames.truth,
  });
  try {
    await loadFiles.start(options);
    let reported = performance.now();
    const write = options.mailOnly ? writeMail : writeFamily;
    for (const family of planFamilies(options.seed, options)) {
      if (given.signal?.aborted === true)
        throw new CaseboundError('request_aborted', `The sample was given up; what is in \`${root}\` is not whole.`);
      await write(parts, family, options.documents - tally.documents);
      tally.families += 1;
      tally.custodians.add(family.custodian.sortName);
      if (performance.now() - reported >= REPORT_EVERY_MS) {
        reported = performance.now();
        given.onProgress?.({ documents: tally.documents, total: options.documents, seconds: seconds() });
        // Lets signals in.
        await new Promise(setImmediate);
      }
      if (tally.documents >= options.documents) break;
    }
    await loadFiles.finish(summarize());
    await sink.finish();
    await releaseFolder(root);
  } catch (error) {
    await sink.abandon();
    throw error;
  }
  return { folder: root, ...summarize(), files: sink.files, bytes: sink.bytes, seconds: seconds() };
};
