/**
 * What a reader may use. The bounds hold whatever the file contains: memory is at most about
 * `2 x maxRecordChars` characters (2 bytes each) for the text in hand, plus one batch of rows, plus `sniffBytes`.
 */
import { CaseboundError } from '@casebound/contract';

export interface LoadFileLimits {
  /** Longest row, in UTF-16 code units, line breaks within values included. */
  readonly maxRecordChars: number;
  /** Most cells of a row. */
  readonly maxCells: number;
  /** Bytes looked at before encoding and dialect are decided. */
  readonly sniffBytes: number;
  /** Bytes decoded and split at a time; a batch of rows comes from this much. 64 KiB stays in the cache: 256 KiB is a fifth slower. */
  readonly chunkBytes: number;
  /** Deepest nesting of XML elements. */
  readonly maxXmlDepth: number;
}

export const defaultLimits: LoadFileLimits = Object.freeze({
  maxRecordChars: 16 * 1024 * 1024,
  maxCells: 16_384,
  sniffBytes: 256 * 1024,
  chunkBytes: 64 * 1024,
  maxXmlDepth: 64,
});

/** Fills in the defaults. @throws CaseboundError `validation_failed` for a limit that is no positive whole number. */
export const completeLimits = (limits: Partial<LoadFileLimits> = {}): LoadFileLimits => {
  const complete = { ...defaultLimits, ...limits };
  for (const [name, value] of Object.entries(complete)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new CaseboundError(
        'validation_failed',
        `The limit ${name} must be a positive whole number, not ${String(value)}.`,
      );
    }
  }
  return complete;
};
