/**
 * What lies under redactions before they are applied: the texts and images that must be gone afterwards, as PDFium reads them from the
 * original. Read once, in one pass over the pages, for the redaction and for its verification. Never for logs or errors.
 */
import { createHash } from 'node:crypto';
import { listObjects } from '../engine/list-objects.ts';
import type { OpenDocument } from '../engine/open-document.ts';
import { readGeometry } from '../engine/page-text.ts';
import { type Box, overlaps, type PageGeometry, type Rect, rectToBox, transformBox } from '../geometry.ts';
import { readRemovedText } from './removed-text.ts';

export interface ContentUnder {
  /** Runs of text. */
  readonly texts: readonly string[];
  /** SHA-256 of the encoded bytes of images that an area touches. */
  readonly images: ReadonlySet<string>;
  /** Of the pages with redactions, as they were. */
  readonly geometries: ReadonlyMap<number, PageGeometry>;
}

/** The parts of the rects that lie on the page, in user space. */
export const areasOf = (geometry: PageGeometry, rects: readonly Rect[]): readonly Box[] =>
  rects.flatMap((rect) => {
    const box = rectToBox(geometry, rect);
    return box.right > box.left && box.top > box.bottom ? [box] : [];
  });

const unit: Box = { left: 0, bottom: 0, right: 1, top: 1 };

const hashImage = (document: OpenDocument, handle: number): string =>
  document.engine.call('read an image', (native, heap) =>
    heap.scope((allocate) => {
      const length = native.FPDFImageObj_GetImageDataRaw(handle, 0, 0);
      const target = allocate(length);
      native.FPDFImageObj_GetImageDataRaw(handle, target, length);
      return createHash('sha256').update(heap.bytes(target, length)).digest('hex');
    }),
  );

/** Hashes of the images of a page; with `areas`, of those that they touch. */
export const hashImages = (
  document: OpenDocument,
  pageIndex: number,
  areas: readonly Box[] | undefined,
): readonly string[] =>
  listObjects(document, pageIndex, areas).flatMap(({ kind, handle, matrix }) => {
    if (kind !== 'image') return [];
    const meets = areas === undefined || areas.some((area) => overlaps(area, transformBox(matrix, unit)));
    return meets ? [hashImage(document, handle)] : [];
  });

/** Reads the pages with redactions. Throws `pdf_page_out_of_range`. */
export const readContentUnder = (
  original: OpenDocument,
  redactions: readonly { readonly pageIndex: number; readonly rects: readonly Rect[] }[],
): ContentUnder => {
  const texts: string[] = [];
  const images = new Set<string>();
  const geometries = new Map<number, PageGeometry>();
  for (const [pageIndex, own] of Map.groupBy(redactions, (redaction) => redaction.pageIndex)) {
    const geometry = readGeometry(original, pageIndex);
    const areas = areasOf(
      geometry,
      own.flatMap(({ rects }) => rects),
    );
    geometries.set(pageIndex, geometry);
    texts.push(...readRemovedText(original, pageIndex, areas));
    for (const hash of hashImages(original, pageIndex, areas)) images.add(hash);
    original.releasePage(pageIndex);
  }
  return { texts, images, geometries };
};
