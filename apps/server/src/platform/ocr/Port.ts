/**
 * Text recognition, and the text of pages by whichever way gives it.
 *
 * 1. Everything happens on this machine: no data leaves it, and none is fetched while it runs.
 * 2. A page fails by itself. What hangs or dies is ended and replaced, and the next page goes on.
 * 3. Errors: `ocr_failed` (recoverable), `image_unreadable`, `pdf_too_large` (too many pixels), `pdf_timeout`, `ocr_language_missing`.
 *    A call whose signal aborts rejects with the signal's reason. Recognised text is in no error.
 */
import type { PageText, Rect } from '@casebound/pdf';

export { pageTextKey } from './page-text-key.ts';

export interface RecognisedWord {
  readonly text: string;
  /** Pixels of the image, origin at the top left. */
  readonly rect: Rect;
  /** 0 to 100. */
  readonly confidence: number;
}

export interface RecognisedLine {
  readonly text: string;
  readonly rect: Rect;
  readonly words: readonly RecognisedWord[];
}

export interface RecognisedPage {
  /** Lines end with `\n`; empty where nothing was found. */
  readonly text: string;
  /** 0 to 100, of the page as a whole. */
  readonly confidence: number;
  readonly lines: readonly RecognisedLine[];
}

export interface RecogniseOptions {
  /** Codes such as `eng`, of those that are configured. Default: all of them. */
  readonly languages?: readonly string[];
  readonly signal?: AbortSignal;
}

export interface Ocr {
  readonly kind: 'tesseract';
  /** Reads a PNG. The bytes are given away: they are moved to a worker. */
  recognise(png: Uint8Array, options?: RecogniseOptions): Promise<RecognisedPage>;
  /** Ends all workers; waiting and running pages fail. */
  close(): Promise<void>;
}

/** Where the text of a page comes from. */
export type TextSource = 'pdf' | 'ocr';

/** Why a page was, or would be, recognised; `good` text is taken from the PDF. */
export type TextQuality = 'good' | 'none' | 'unmapped' | 'mojibake' | 'noise';

export interface PageTextResult extends PageText {
  readonly source: TextSource;
  /** Of the text in the PDF. */
  readonly quality: TextQuality;
  /** 0 to 100; undefined for text of the PDF. */
  readonly confidence: number | undefined;
}

export interface PageTextOptions {
  readonly languages?: readonly string[];
  readonly password?: string;
  /** Recognise pages whatever text the PDF has. */
  readonly force?: boolean;
  readonly signal?: AbortSignal;
}

/** The text of a PDF's pages: that of the PDF where it is good, recognised from a picture of the page where it is not. */
export interface PageTexts {
  /** Page by page, in order. The bytes are copied once, and stay. Throws what PDF work and recognition throw. */
  pageTextsOf(pdf: Uint8Array, options?: PageTextOptions): AsyncIterable<PageTextResult>;
}
