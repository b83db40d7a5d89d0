/** Renders pages to pixels and PNG. */
import { CaseboundError } from '@casebound/contract';
import { encodePng } from './encode-png.ts';
import type { OpenDocument } from './open-document.ts';
import { readGeometry } from './page-text.ts';

export interface RenderOptions {
  /** Dots per 72 units of the page; 150 by default. */
  readonly dpi?: number;
  /** Draw annotations; true by default. */
  readonly annotations?: boolean;
}

/** RGB, 3 bytes a pixel, rows from the top. */
export interface PageImage {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** fpdfview.h */
const FPDF_ANNOT = 0x01;
const FPDFBitmap_BGRx = 3;
const WHITE = 0xffffffff;

export const DEFAULT_DPI = 150;

/** Renders a page on white. Throws `pdf_page_out_of_range`, `pdf_too_large`. */
export const renderPixels = (document: OpenDocument, pageIndex: number, options: RenderOptions = {}): PageImage => {
  const dpi = options.dpi ?? DEFAULT_DPI;
  if (!Number.isFinite(dpi) || dpi < 1 || dpi > 2400)
    throw new CaseboundError('validation_failed', `The resolution is between 1 and 2400 dpi; this is ${dpi}.`);
  const geometry = readGeometry(document, pageIndex);
  const width = Math.max(1, Math.round((geometry.width * dpi) / 72));
  const height = Math.max(1, Math.round((geometry.height * dpi) / 72));
  const { maxPixels } = document.engine.limits;
  if (width * height > maxPixels)
    throw new CaseboundError(
      'pdf_too_large',
      `The page with index ${pageIndex} has ${width} x ${height} pixels at ${dpi} dpi; the limit is ${maxPixels} pixels.`,
    );
  const page = document.page(pageIndex);
  return document.engine.call('render a page', (native, _heap, runtime) => {
    const bitmap = native.FPDFBitmap_CreateEx(width, height, FPDFBitmap_BGRx, 0, 0);
    if (bitmap === 0) throw new CaseboundError('pdf_too_large', `There is no room for ${width} x ${height} pixels.`);
    try {
      native.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, WHITE);
      native.FPDF_RenderPageBitmap(
        bitmap,
        page,
        0,
        0,
        width,
        height,
        0,
        options.annotations === false ? 0 : FPDF_ANNOT,
      );
      const stride = native.FPDFBitmap_GetStride(bitmap);
      const start = native.FPDFBitmap_GetBuffer(bitmap) >>> 0;
      const source = runtime.HEAPU8;
      const pixels = new Uint8Array(width * height * 3);
      let target = 0;
      for (let row = 0; row < height; row += 1) {
        let at = start + row * stride;
        for (let column = 0; column < width; column += 1, at += 4, target += 3) {
          pixels[target] = source[at + 2] ?? 0;
          pixels[target + 1] = source[at + 1] ?? 0;
          pixels[target + 2] = source[at] ?? 0;
        }
      }
      return { width, height, pixels };
    } finally {
      native.FPDFBitmap_Destroy(bitmap);
    }
  });
};

/** The red channel alone where every pixel is grey, as on most pages: a third of the bytes to pack. */
const greyOf = ({ width, height, pixels }: PageImage): Uint8Array | undefined => {
  const grey = new Uint8Array(width * height);
  for (let at = 0, source = 0; at < grey.length; at += 1, source += 3) {
    const red = pixels[source] ?? 0;
    if (red !== pixels[source + 1] || red !== pixels[source + 2]) return undefined;
    grey[at] = red;
  }
  return grey;
};

/** Renders a page to a PNG: 8-bit grey where nothing on it has a colour, else RGB. */
export const renderPage = (document: OpenDocument, pageIndex: number, options: RenderOptions = {}): Uint8Array => {
  const image = renderPixels(document, pageIndex, options);
  const grey = greyOf(image);
  const { width, height, pixels } = image;
  const dpi = options.dpi ?? DEFAULT_DPI;
  return grey === undefined ? encodePng(pixels, width, height, 3, dpi) : encodePng(grey, width, height, 1, dpi);
};
