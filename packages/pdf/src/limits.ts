/**
 * What one document may cost. A document beyond a limit fails with `pdf_too_large`, before the cost is paid where that can be told.
 */
export interface PdfLimits {
  /** Bytes of the file. */
  readonly maxBytes: number;
  /** Pages of the document. */
  readonly maxPages: number;
  /** Indirect objects of the document; editing and proving take two kilobytes of heap for each. */
  readonly maxObjects: number;
  /** Pixels of one image or of one rendered page. */
  readonly maxPixels: number;
  /** Bytes of one decompressed stream. */
  readonly maxStreamBytes: number;
  /** Bytes of WebAssembly memory that the engine may grow to; the build itself ends at 2 GiB. */
  readonly maxEngineBytes: number;
  /** Annotations of one document. */
  readonly maxAnnotations: number;
}

export const defaultLimits: PdfLimits = {
  maxBytes: 1024 * 1024 * 1024,
  maxPages: 100_000,
  maxObjects: 1_000_000,
  maxPixels: 200_000_000,
  maxStreamBytes: 512 * 1024 * 1024,
  maxEngineBytes: 1024 * 1024 * 1024,
  maxAnnotations: 200_000,
};
