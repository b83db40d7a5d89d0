/**
 * What the worker threads do with PDFs: bytes in, bytes out. One task opens its document once for all that it does.
 *
 * The bytes named `pdf`, `original` and `images` are given away: they are moved to the worker, and the caller's arrays are empty afterwards
 * (small ones, and parts of larger ones, are copied). Bytes in a `SharedArrayBuffer` are neither moved nor copied: several tasks may read
 * them at once. Everything else is copied, and stays.
 */
import type { ErrorCode } from '@casebound/contract';
import type {
  BurnedIn,
  DocumentInfo,
  DrawnStamp,
  InstantJson,
  PageExtent,
  PageText,
  ReadAnnotations,
  Redaction,
  RedactionReport,
  Routing,
  Stamp,
  StampOptions,
  TextMatch,
  VerificationReport,
} from '@casebound/pdf';

/** A stamp that can be sent to a thread: its text is the same on every page or listed by page index. */
export type PlainStamp = Omit<Stamp, 'text'> & { readonly text: string | readonly string[] };

interface OnPdf {
  readonly pdf: Uint8Array;
  /** User or owner password. What is written is never encrypted. */
  readonly password?: string;
}

export type MeasuredPdf =
  | { readonly pages: readonly PageExtent[] }
  | { readonly fault: { readonly code: ErrorCode; readonly detail: string } };

export interface RenderedPage {
  readonly pageIndex: number;
  readonly png: Uint8Array;
}

export interface RedactedPdf {
  readonly pdf: Uint8Array;
  readonly pageCount: number;
  readonly removed: RedactionReport['removed'];
  readonly verification: VerificationReport;
}

export interface StampedPdf {
  readonly pdf: Uint8Array;
  readonly stamps: readonly DrawnStamp[];
}

/** The tasks, by name. All throw `pdf_damaged`, `pdf_encrypted`, `pdf_too_large`, `pdf_timeout` and `pdf_engine_failed`. */
export interface PdfTasks {
  /** Version, sizes of pages, metadata. */
  pageInfo: { readonly input: OnPdf; readonly output: DocumentInfo };
  /**
   * Sizes of the pages of several PDFs, which lie one behind the other in `pdf` and end where `ends` says. One that cannot be opened is
   * answered with why; the time for a task is that of all of them.
   */
  pageSizes: {
    readonly input: OnPdf & { readonly ends: readonly number[] };
    readonly output: readonly MeasuredPdf[];
  };
  /** Text with boxes of all pages, or of those named. Throws `pdf_page_out_of_range`. */
  text: { readonly input: OnPdf & { readonly pages?: readonly number[] }; readonly output: readonly PageText[] };
  /** Matches of a word, phrase or `/regex/`. Throws `validation_failed`. */
  search: { readonly input: OnPdf & { readonly query: string }; readonly output: readonly TextMatch[] };
  /**
   * Pages as PNG, at 150 dpi unless `dpi` says otherwise. `annotations: false` leaves out those within the PDF; `layer` are drawn on top.
   * Throws `pdf_page_out_of_range`.
   */
  render: {
    readonly input: OnPdf & {
      readonly pages: readonly number[];
      readonly dpi?: number;
      readonly annotations?: boolean;
      readonly layer?: InstantJson;
    };
    readonly output: readonly RenderedPage[];
  };
  /** What an exchange does to a document; see `burnIn` of `@casebound/pdf`. Throws `redaction_unverified` and what annotations throw. */
  burnIn: {
    readonly input: OnPdf & {
      readonly annotations: InstantJson;
      readonly routing: Routing;
      readonly stamps?: readonly PlainStamp[];
      readonly stampOptions?: StampOptions;
    };
    readonly output: BurnedIn;
  };
  /** Removes and proves. Throws `redaction_unverified`. */
  redact: { readonly input: OnPdf & { readonly redactions: readonly Redaction[] }; readonly output: RedactedPdf };
  /** Draws `annotations` into the pages, and with `own` also those that the PDF brings. Redactions and comments are left out. */
  flatten: {
    readonly input: OnPdf & { readonly annotations?: InstantJson; readonly own?: boolean };
    readonly output: Uint8Array;
  };
  /** Writes annotations and comments as annotations of the PDF. Redactions are marks only. */
  layer: { readonly input: OnPdf & { readonly annotations: InstantJson }; readonly output: Uint8Array };
  /** Throws `stamp_invalid`. */
  stamp: {
    readonly input: OnPdf & { readonly stamps: readonly PlainStamp[]; readonly stampOptions?: StampOptions };
    readonly output: StampedPdf;
  };
  /** Reads a PDF anew and says what lies under redactions; with the original, also what of it is left anywhere. */
  verify: {
    readonly input: OnPdf & { readonly redactions: readonly Redaction[]; readonly original?: Uint8Array };
    readonly output: VerificationReport;
  };
  /** A page for each image (TIFF, JPEG, PNG; all pages of a TIFF). Throws `image_unreadable`. */
  mergeImages: { readonly input: { readonly images: readonly Uint8Array[] }; readonly output: Uint8Array };
  /** The annotations within the PDF as Instant JSON, and those that have no counterpart there. */
  readAnnotations: { readonly input: OnPdf; readonly output: ReadAnnotations };
}

export type PdfTaskName = keyof PdfTasks;

export interface PdfTaskOptions {
  /** A task that waits is taken back; one that runs is ended with its worker. Rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** In place of the configured time. */
  readonly timeoutMs?: number;
}

export interface PdfWorkerStatistics {
  readonly workers: number;
  readonly busy: number;
  readonly queued: number;
  readonly finished: number;
  /** Workers ended because of a fault, a timeout or an aborted task. */
  readonly recycled: number;
}

/**
 * The pool. A task that faults, runs too long or needs too much memory fails by itself: its worker is ended and another one takes
 * its place. Throws `document_engine_unavailable` when too many tasks wait already, or after `close`.
 */
export type PdfWorkers = {
  readonly [Name in PdfTaskName]: (
    input: PdfTasks[Name]['input'],
    options?: PdfTaskOptions,
  ) => Promise<PdfTasks[Name]['output']>;
} & {
  statistics(): PdfWorkerStatistics;
  /** Ends all workers; waiting and running tasks fail. */
  close(): Promise<void>;
};
