/**
 * Renders what lies under redactions with PDFium and counts the pixels that are not of the redaction's one colour.
 *
 * - Only strips with redactions are rendered, at the scale and the place of the whole page, so the pixels are those of the whole page.
 * - Pixels are compared where the engine has them; nothing is copied.
 */
import { CaseboundError } from '@casebound/contract';
import type { OpenDocument } from '../engine/open-document.ts';
import { readGeometry } from '../engine/page-text.ts';
import type { Rect } from '../geometry.ts';

export const VERIFY_DPI = 150;

/** Pixels at the edge of an area that are blends of inside and outside. */
const EDGE_PIXELS = 2;
const COLOR_TOLERANCE = 3;
/** Strips closer than this are rendered as one. */
const NEAR_PIXELS = 60;
/** Each strip costs a walk over the page's objects. */
const MAX_STRIPS = 4;

/** fpdfview.h */
const FPDFBitmap_BGRx = 3;
const WHITE = 0xffffffff;

/** Whole pixels: `right` and `bottom` are exclusive. */
interface PixelRect {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

interface Strip {
  readonly bounds: PixelRect;
  readonly members: readonly number[];
}

const union = (one: PixelRect, other: PixelRect): PixelRect => ({
  left: Math.min(one.left, other.left),
  top: Math.min(one.top, other.top),
  right: Math.max(one.right, other.right),
  bottom: Math.max(one.bottom, other.bottom),
});

/** Strips from top to bottom that hold all rects; rects that overlap in height share one. */
const groupStrips = (rects: readonly PixelRect[]): readonly Strip[] => {
  const order = rects
    .map((bounds, at) => ({ bounds, members: [at] }))
    .filter(({ bounds }) => bounds.right > bounds.left && bounds.bottom > bounds.top)
    .toSorted((one, other) => one.bounds.top - other.bounds.top);
  let strips: Strip[] = [];
  let gap = NEAR_PIXELS;
  for (const one of order) strips.push(one);
  for (;;) {
    const merged: Strip[] = [];
    for (const strip of strips) {
      const last = merged.at(-1);
      if (last !== undefined && strip.bounds.top - last.bounds.bottom < gap)
        merged[merged.length - 1] = {
          bounds: union(last.bounds, strip.bounds),
          members: [...last.members, ...strip.members],
        };
      else merged.push(strip);
    }
    strips = merged;
    if (strips.length <= MAX_STRIPS) return strips;
    gap *= 2;
  }
};

/**
 * For each rect, the number of pixels that differ from its first one. Pixels within `ignored` rects do not count. All rects are
 * display space. Throws `pdf_too_large` when a strip has more pixels than allowed.
 */
export const countDifferent = (
  document: OpenDocument,
  pageIndex: number,
  rects: readonly Rect[],
  ignored: readonly Rect[],
): readonly number[] => {
  const geometry = readGeometry(document, pageIndex);
  const width = Math.max(1, Math.round((geometry.width * VERIFY_DPI) / 72));
  const height = Math.max(1, Math.round((geometry.height * VERIFY_DPI) / 72));
  const scaleX = width / geometry.width;
  const scaleY = height / geometry.height;
  const inner = rects.map((rect): PixelRect => ({
    left: Math.max(0, Math.ceil(rect.left * scaleX) + EDGE_PIXELS),
    top: Math.max(0, Math.ceil(rect.top * scaleY) + EDGE_PIXELS),
    right: Math.min(width, Math.floor((rect.left + rect.width) * scaleX) - EDGE_PIXELS),
    bottom: Math.min(height, Math.floor((rect.top + rect.height) * scaleY) - EDGE_PIXELS),
  }));
  const outer = ignored.map((rect): PixelRect => ({
    left: Math.floor(rect.left * scaleX) - EDGE_PIXELS,
    top: Math.floor(rect.top * scaleY) - EDGE_PIXELS,
    right: Math.ceil((rect.left + rect.width) * scaleX) + EDGE_PIXELS,
    bottom: Math.ceil((rect.top + rect.height) * scaleY) + EDGE_PIXELS,
  }));
  const counts = rects.map(() => 0);
  const page = document.page(pageIndex);
  for (const { bounds, members } of groupStrips(inner)) {
    const columns = bounds.right - bounds.left;
    const rows = bounds.bottom - bounds.top;
    if (columns * rows > document.engine.limits.maxPixels)
      throw new CaseboundError(
        'pdf_too_large',
        `The redactions on the page with index ${pageIndex} cover ${columns} x ${rows} pixels at ${VERIFY_DPI} dpi; the limit is ${document.engine.limits.maxPixels} pixels.`,
      );
    document.engine.call('render redactions', (native, _heap, runtime) => {
      const bitmap = native.FPDFBitmap_CreateEx(columns, rows, FPDFBitmap_BGRx, 0, 0);
      if (bitmap === 0) throw new CaseboundError('pdf_too_large', `There is no room for ${columns} x ${rows} pixels.`);
      try {
        native.FPDFBitmap_FillRect(bitmap, 0, 0, columns, rows, WHITE);
        native.FPDF_RenderPageBitmap(bitmap, page, -bounds.left, -bounds.top, width, height, 0, 0);
        const stride = native.FPDFBitmap_GetStride(bitmap) >>> 2;
        const start = native.FPDFBitmap_GetBuffer(bitmap) >>> 2;
        const words = runtime.HEAP32;
        for (const member of members) {
          const rect = inner[member];
          if (rect === undefined) continue;
          const near = outer.filter(
            (one) => one.left < rect.right && rect.left < one.right && one.top < rect.bottom && rect.top < one.bottom,
          );
          counts[member] = countIn(words, start, stride, bounds, rect, near);
        }
      } finally {
        native.FPDFBitmap_Destroy(bitmap);
      }
    });
  }
  return counts;
};

const channelsDiffer = (one: number, other: number): boolean =>
  Math.abs((one & 255) - (other & 255)) > COLOR_TOLERANCE ||
  Math.abs(((one >>> 8) & 255) - ((other >>> 8) & 255)) > COLOR_TOLERANCE ||
  Math.abs(((one >>> 16) & 255) - ((other >>> 16) & 255)) > COLOR_TOLERANCE;

/** `words` are BGRx pixels; `bounds` are those of the bitmap on the page. */
const countIn = (
  words: Int32Array,
  start: number,
  stride: number,
  bounds: PixelRect,
  rect: PixelRect,
  ignored: readonly PixelRect[],
): number => {
  let reference: number | undefined;
  let different = 0;
  for (let y = rect.top; y < rect.bottom; y += 1) {
    const row = start + (y - bounds.top) * stride - bounds.left;
    const across = ignored.filter(({ top, bottom }) => y >= top && y < bottom);
    for (let x = rect.left; x < rect.right; x += 1) {
      const word = words[row + x] ?? 0;
      if (word === reference) continue;
      if (across.some(({ left, right }) => x >= left && x < right)) continue;
      reference ??= word;
      if (word !== reference && channelsDiffer(word, reference)) different += 1;
    }
  }
  return different;
};
