/** Decodes images with PDFium: every filter and colour space that it knows, to 8-bit grey or RGB. */
import { CaseboundError } from '@casebound/contract';
import type { PdfEngine } from './create-engine.ts';
import { openDocument } from './open-document.ts';

/** Rows from the top, `channels` bytes a pixel. */
export interface DecodedImage {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly pixels: Uint8Array;
}

/** fpdf_edit.h and fpdfview.h */
const FPDF_PAGEOBJ_IMAGE = 3;
const FPDFBitmap_Gray = 1;
const FPDFBitmap_BGR = 2;

/** The samples of an image object, without its masks; undefined when PDFium cannot decode it. */
export const decodeImageObject = (engine: PdfEngine, object: number): DecodedImage | undefined =>
  engine.call('decode an image', (native, _heap, runtime) => {
    const bitmap = native.FPDFImageObj_GetBitmap(object);
    if (bitmap === 0) return undefined;
    try {
      const width = native.FPDFBitmap_GetWidth(bitmap);
      const height = native.FPDFBitmap_GetHeight(bitmap);
      const stride = native.FPDFBitmap_GetStride(bitmap);
      const format = native.FPDFBitmap_GetFormat(bitmap);
      const start = native.FPDFBitmap_GetBuffer(bitmap) >>> 0;
      const source = runtime.HEAPU8;
      const channels = format === FPDFBitmap_Gray ? 1 : 3;
      const step = format === FPDFBitmap_Gray ? 1 : format === FPDFBitmap_BGR ? 3 : 4;
      const pixels = new Uint8Array(width * height * channels);
      let target = 0;
      for (let row = 0; row < height; row += 1) {
        let at = start + row * stride;
        if (channels === 1) {
          pixels.set(source.subarray(at, at + width), target);
          target += width;
          continue;
        }
        for (let column = 0; column < width; column += 1, at += step, target += 3) {
          pixels[target] = source[at + 2] ?? 0;
          pixels[target + 1] = source[at + 1] ?? 0;
          pixels[target + 2] = source[at] ?? 0;
        }
      }
      return { width, height, channels, pixels };
    } finally {
      native.FPDFBitmap_Destroy(bitmap);
    }
  });

/** Decodes the only image on the only page of a PDF. Throws `pdf_damaged` when it cannot, or when the size is not the stated one. */
export const decodeFirstImage = (engine: PdfEngine, pdf: Uint8Array, width: number, height: number): DecodedImage => {
  using document = openDocument(engine, pdf);
  const page = document.page(0);
  const object = engine.call('find an image', (native) => {
    const count = native.FPDFPage_CountObjects(page);
    for (let at = 0; at < count; at += 1) {
      const candidate = native.FPDFPage_GetObject(page, at);
      if (native.FPDFPageObj_GetType(candidate) === FPDF_PAGEOBJ_IMAGE) return candidate;
    }
    return 0;
  });
  const image = object === 0 ? undefined : decodeImageObject(engine, object);
  if (image === undefined || image.width !== width || image.height !== height)
    throw new CaseboundError(
      'pdf_damaged',
      `An image of ${width} x ${height} pixels under a redaction cannot be decoded.`,
    );
  return image;
};
