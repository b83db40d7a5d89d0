/**
 * Applies redactions to a document: removes what lies under them and draws their boxes.
 *
 * Correctness properties, and where each is kept:
 * 1. Text, paths and image pixels under an area are gone from the page's content: `rewrite-content.ts`.
 * 2. Annotations and form fields that meet an area are gone: `remove-annotations.ts`.
 * 3. What the document repeats elsewhere (metadata, outlines, alternate text, attachments, unused resources) is gone:
 *    `scrub-document.ts`, `prune-resources.ts`.
 * 4. The file has one revision that holds reachable objects only: `cos-file.ts`.
 * 5. None of this is believed: `verify/` reads the output anew.
 */
import { CaseboundError } from '@casebound/contract';
import { formatName, formatNumber } from '../cos/serialize.ts';
import type { DocumentEdit } from '../edit/open-edit.ts';
import type { PageEdit } from '../edit/page-edit.ts';
import { type Rect, rectToBox, toUser } from '../geometry.ts';
import { standardFont } from '../stamps/standard-font.ts';
import { areasOf, type ContentUnder, readContentUnder } from './content-under.ts';
import { pruneCharProcs } from './prune-char-procs.ts';
import { pruneResources } from './prune-resources.ts';
import { createImageEditor } from './redact-image.ts';
import { removeAnnotations } from './remove-annotations.ts';
import { createTermMatcher, listRemovedTerms } from './removed-text.ts';
import { ResourceEditor } from './resource-editor.ts';
import { type RemovalCounts, rewriteContent, type RewriteScope } from './rewrite-content.ts';
import { scrubDocument } from './scrub-document.ts';

export interface Redaction {
  /** For reports; not written into the document. */
  readonly id: string | undefined;
  readonly pageIndex: number;
  /** Display space. */
  readonly rects: readonly Rect[];
  /** 0 to 255 each; black by default. */
  readonly fillColor?: readonly [number, number, number];
  readonly overlayText?: string;
}

export interface RedactionReport {
  readonly pages: number;
  readonly removed: RemovalCounts & { readonly annotations: number };
  /** All removed strings, those of annotations too. For the verification, not for logs. */
  readonly removedText: readonly string[];
  /** For the verification, not for logs. */
  readonly under: ContentUnder;
}

const OPERATOR_BUDGET = 20_000_000;

const ink = (color: readonly [number, number, number]): string =>
  color.map((value) => formatNumber(value / 255)).join(' ');

/** Overlay text in white on dark, black on light; as large as fits. */
const drawOverlayText = (page: PageEdit, rect: Rect, text: string, fill: readonly [number, number, number]): string => {
  const font = standardFont('Helvetica');
  const bytes = font.encode(text);
  const unit = font.width(bytes);
  if (unit <= 0) return '';
  const size = Math.min(rect.height * 0.7, (rect.width * 0.92) / unit, 14);
  if (size < 2) return '';
  const fontName = page.addResource('Font', 'CBr', font.resource(page.file));
  const light = fill[0] * 0.299 + fill[1] * 0.587 + fill[2] * 0.114 > 140;
  const x = rect.left + (rect.width - unit * size) / 2;
  const y = rect.top + rect.height / 2 + size * 0.35;
  const matrix = toUser(page.geometry).map(formatNumber).join(' ');
  return `${light ? '0 g' : '1 g'} ${matrix} cm BT ${formatName(fontName)} ${formatNumber(size)} Tf 1 0 0 -1 ${formatNumber(x)} ${formatNumber(y)} Tm ${font.format(bytes)} Tj ET`;
};

const drawBox = (page: PageEdit, redaction: Redaction): void => {
  const fill = redaction.fillColor ?? [0, 0, 0];
  for (const rect of redaction.rects) {
    const box = rectToBox(page.geometry, rect);
    const size = `${formatNumber(box.left)} ${formatNumber(box.bottom)} ${formatNumber(box.right - box.left)} ${formatNumber(box.top - box.bottom)}`;
    const text =
      redaction.overlayText === undefined || redaction.overlayText === ''
        ? ''
        : drawOverlayText(page, rect, redaction.overlayText, fill);
    page.draw(`q\n${ink(fill)} rg ${size} re f\n${text}\nQ`);
  }
};

const checkRedaction = (redaction: Redaction, pageCount: number): void => {
  const what = redaction.id === undefined ? 'A redaction' : `The redaction \`${redaction.id}\``;
  if (!Number.isInteger(redaction.pageIndex) || redaction.pageIndex < 0 || redaction.pageIndex >= pageCount)
    throw new CaseboundError(
      'pdf_page_out_of_range',
      `${what} is on page index ${redaction.pageIndex}; the document has ${pageCount} pages.`,
    );
  if (redaction.rects.length === 0) throw new CaseboundError('annotation_invalid', `${what} has no rects.`);
  for (const { left, top, width, height } of redaction.rects)
    if (![left, top, width, height].every(Number.isFinite) || width <= 0 || height <= 0)
      throw new CaseboundError(
        'annotation_invalid',
        `${what} has a rect that is not a rectangle with a positive size.`,
      );
};

/**
 * Applies `redactions`. The result must be verified before it leaves: see `verifyRedactions`.
 * Throws `annotation_invalid`, `pdf_page_out_of_range`, `pdf_damaged`, `pdf_too_large`.
 */
export const applyRedactions = (edit: DocumentEdit, redactions: readonly Redaction[]): RedactionReport => {
  for (const redaction of redactions) checkRedaction(redaction, edit.pageCount);
  const under = readContentUnder(edit.source, redactions);
  const byPage = Map.groupBy(redactions, ({ pageIndex }) => pageIndex);
  const counts: RemovalCounts = { glyphs: 0, images: 0, paths: 0 };
  const images = createImageEditor(edit.engine, edit.file);
  const fonts: RewriteScope['fonts'] = new Map();
  const type3 = new Set<number>();
  const removedText: string[] = [...under.texts];
  const markedContent = new Map<number, ReadonlySet<number>>();
  let annotations = 0;

  for (const [pageIndex, own] of [...byPage].sort((one, other) => one[0] - other[0])) {
    const page = edit.page(pageIndex);
    const areas = areasOf(
      page.geometry,
      own.flatMap(({ rects }) => rects),
    );
    const scope: RewriteScope = {
      file: edit.file,
      areas,
      images,
      counts,
      budget: { operators: OPERATOR_BUDGET },
      markedContent: new Set(),
      fonts,
      type3,
      forms: new Map(),
    };
    const resources = new ResourceEditor(edit.file, page.resources());
    const result = rewriteContent(scope, page.content(), resources);
    if (result.bytes !== undefined) page.setContent(result.bytes, resources.finish(), result.open);
    if (scope.markedContent.size > 0) markedContent.set(page.page.ref.number, scope.markedContent);
    const removal = removeAnnotations(edit, page, areas);
    annotations += removal.count;
    removedText.push(...removal.texts);
    for (const redaction of own) drawBox(page, redaction);
  }
  for (const page of byPage.keys()) edit.page(page).commit();
  if (byPage.size > 0) {
    pruneCharProcs(edit, type3);
    pruneResources(edit, [...byPage.keys()]);
    scrubDocument(edit, {
      matcher: createTermMatcher(listRemovedTerms(removedText)),
      affectedContent: markedContent,
      areas: (pageIndex) => {
        const page = edit.page(pageIndex);
        return areasOf(
          page.geometry,
          (byPage.get(pageIndex) ?? []).flatMap(({ rects }) => rects),
        );
      },
    });
  }
  return { pages: byPage.size, removed: { ...counts, annotations }, removedText, under };
};
