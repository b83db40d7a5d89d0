/**
 * The document engine: PDFs of exhibits with what people put on them.
 *
 * 1. A document is a PDF and the annotations, comments and attachments on it, under one name (`EngineDocumentId`). The PDF does not change
 *    in place: `applyRedactions` replaces it by one in which what was redacted is gone, and nothing leads back.
 * 2. Annotations are Instant JSON (`@casebound/pdf`): points, origin at the top left of the page as shown, `pageIndex` from 0.
 *    Members that the engine does not know are kept; a type that it does not know is refused with `annotation_unknown_type`.
 * 3. Every call that takes several annotations takes all of them or none.
 * 4. A change names the version that it was made upon; when that is no longer the version, the change is refused with
 *    `annotation_conflict` and nothing is written. Of two concurrent changes of one version exactly one succeeds.
 * 5. Bates and confidentiality stamps are read-only: only a caller that says `stamps: true` changes or deletes them.
 * 6. There is no copying of a document with its layers: in another case the text beneath the redactions would travel along. An
 *    exchange reads the PDF and the annotations and writes what its routing leaves of them.
 * 7. Every error is a `CaseboundError`. Of this port:
 *    `engine_document_not_found`, `engine_document_exists` (other bytes under this name), `annotation_not_found`, `annotation_conflict`,
 *    `annotation_exists`, `annotation_read_only`, `annotation_invalid`, `annotation_unknown_type`, `attachment_missing`,
 *    `redaction_unverified`, the `pdf_*` codes of a bad document (permanent: this document, not the engine, is at fault), and of the engine
 *    itself `document_engine_unavailable` (recoverable: no answer, throttled, breaker open), `document_engine_denied` (permanent: credentials
 *    or licence) and `document_engine_refused` (permanent: an answer that is none of the above). Those of the object store and
 *    the database pass through. A call whose signal aborts rejects with the signal's reason.
 */
import type { Actor, CaseId } from '@casebound/contract';
import type { Attachment, CommentAnnotation, InstantJson, PageAnnotation, PageText, TextMatch } from '@casebound/pdf';
import type { ObjectKey } from '../object-store/Port.ts';
import type { EngineDocumentId } from './document-id.ts';

export { EngineDocumentId, formatDocumentId, parseDocumentId } from './document-id.ts';

export type { PdfWorkers } from './pdf-workers/pdf-tasks.ts';

/** Who asks, and how long they wait. */
export interface EngineCall {
  /** Recorded as `createdBy` and `updatedBy`. Default: Casebound itself. */
  readonly actor?: Actor;
  readonly signal?: AbortSignal;
}

/** A document as it was put or is found. */
export interface EngineDocument {
  readonly id: EngineDocumentId;
  /** Bytes of the PDF. */
  readonly size: number;
  /** 64 lower-case hexadecimal digits, of the PDF as it is now. */
  readonly sha256: string;
  readonly pageCount: number;
}

export interface PutOutcome extends EngineDocument {
  /** False when a document with equal bytes was there already; it was left alone, its annotations too. */
  readonly created: boolean;
}

/** A PDF that lies in the object store. */
export interface StoredPdf {
  readonly id: EngineDocumentId;
  /** Does not change; may be deleted once the document was put. */
  readonly object: ObjectKey;
  readonly size: number;
  readonly sha256: string;
  /** The bytes, for an engine that does not reach the store itself. Memory of its own. */
  read(): Promise<Uint8Array>;
}

/** What became of one PDF of several. */
export type PutEach =
  | { readonly id: EngineDocumentId; readonly put: PutOutcome }
  /** The document or its object is at fault. */
  | { readonly id: EngineDocumentId; readonly error: unknown };

/** A document and how much is on it. */
export interface DocumentSurvey extends EngineDocument {
  /** Annotations by Instant JSON type. */
  readonly annotations: Readonly<Record<string, number>>;
  readonly comments: number;
}

/** A page as shown: crop box and rotation applied, in points. */
export interface PageSize {
  readonly pageIndex: number;
  readonly width: number;
  readonly height: number;
}

/**
 * What is on the bytes that `getPdf` gives:
 * `none`: the PDF alone, without annotations of the engine;
 * `layer`: annotations and comments as annotations of the PDF; redactions are marks only and hide nothing;
 * `flatten`: annotations drawn into the pages and no longer removable; comments left out; redactions are **not** applied but left out.
 */
export type AnnotationsIn = 'none' | 'layer' | 'flatten';

/** An annotation with what the engine knows about it. */
export interface Stored<T extends PageAnnotation | CommentAnnotation> {
  readonly value: T;
  /** Opaque; another one after every change. */
  readonly version: string;
  /** Id of the account, or `system`. Undefined where the engine does not know. */
  readonly createdBy: string | undefined;
  readonly updatedBy: string | undefined;
  /** ISO 8601. Undefined where the engine does not know. */
  readonly createdAt: string | undefined;
  readonly updatedAt: string | undefined;
}

export type StoredAnnotation = Stored<PageAnnotation>;
export type StoredComment = Stored<CommentAnnotation>;

/** The whole annotation as it shall be, and the version that it was changed upon. */
export interface AnnotationChange {
  readonly value: PageAnnotation;
  readonly version: string;
}

/** What to delete. Without a version it is deleted whatever its version. */
export interface AnnotationRemoval {
  readonly id: string;
  readonly version?: string;
}

export interface ChangeOptions extends EngineCall {
  /** True to change or delete Bates and confidentiality stamps too. */
  readonly stamps?: boolean;
}

/** What was removed when redactions were applied, and that the output was proved. */
export interface AppliedRedactions extends EngineDocument {
  /** Redaction annotations that were applied; they are gone. */
  readonly applied: number;
  /**
   * Annotations that lay under a redaction and went with it, by id: what they quote or hide may be what was redacted. Comments on
   * them are gone too.
   */
  readonly removedAnnotations: readonly string[];
}

/** Result of asking the engine whether it is there. */
export interface EngineProbe {
  /** Where it is: `worker threads of this process`, or an address. */
  readonly address: string;
  readonly version: string | undefined;
  readonly milliseconds: number;
}

export interface DocumentEngine {
  readonly kind: 'builtin' | 'nutrient';

  /**
   * Puts a PDF, without annotations of the engine; those within the PDF stay within it. Putting equal bytes again succeeds with
   * `created: false`; other bytes under a name that exists are `engine_document_exists`, unless `replace` is true: then PDF and
   * all annotations of the old one are gone. Throws `pdf_damaged`, `pdf_encrypted`, `pdf_too_large`, and nothing is kept.
   */
  putDocument(
    id: EngineDocumentId,
    pdf: Uint8Array,
    options?: EngineCall & { readonly replace?: boolean },
  ): Promise<PutOutcome>;

  /**
   * Puts PDFs of one case from the object store, each as `putDocument` with `replace` does, except that one with equal bytes is left alone.
   * A PDF that cannot be put is answered with its error, and the others are put. Throws what the engine itself is at fault for; then some
   * may have been put, and the call can be repeated.
   */
  putStored(pdfs: readonly StoredPdf[], options?: EngineCall): Promise<readonly PutEach[]>;

  /** Documents of one case, by id; those that are not there are left out. */
  surveyDocuments(
    ids: readonly EngineDocumentId[],
    options?: EngineCall,
  ): Promise<ReadonlyMap<EngineDocumentId, DocumentSurvey>>;

  /** Undefined when there is no such document. */
  findDocument(id: EngineDocumentId, options?: EngineCall): Promise<EngineDocument | undefined>;

  /** Names of the documents of a case, in pages of at most 1,000, in no particular order. No page is empty. */
  listDocuments(caseId: CaseId, options?: EngineCall): AsyncIterable<readonly EngineDocumentId[]>;

  /** The bytes; `annotations` defaults to `none`, which is byte for byte what was put or what redaction left. */
  getPdf(id: EngineDocumentId, options?: EngineCall & { readonly annotations?: AnnotationsIn }): Promise<Uint8Array>;

  /** Sizes of all pages, in order; their number is the page count. */
  pageSizes(id: EngineDocumentId, options?: EngineCall): Promise<readonly PageSize[]>;

  /** Text of one page as the PDF has it, with the boxes of its lines. Throws `pdf_page_out_of_range`. */
  pageText(id: EngineDocumentId, pageIndex: number, options?: EngineCall): Promise<PageText>;

  /**
   * One page as PNG, annotations of the engine drawn on it unless `annotations` is false. 150 dpi unless `dpi` says otherwise.
   * Throws `pdf_page_out_of_range`, `pdf_too_large`.
   */
  renderPage(
    id: EngineDocumentId,
    pageIndex: number,
    options?: EngineCall & { readonly dpi?: number; readonly annotations?: boolean },
  ): Promise<Uint8Array>;

  /** Where a word or phrase stands: without regard to letter case, a rect for each line of a match. Throws `validation_failed`. */
  searchText(id: EngineDocumentId, query: string, options?: EngineCall): Promise<readonly TextMatch[]>;

  /** All annotations, or those of one page, by page and then in the order in which they were made. */
  listAnnotations(
    id: EngineDocumentId,
    options?: EngineCall & { readonly pageIndex?: number },
  ): Promise<readonly StoredAnnotation[]>;

  /** Throws `annotation_not_found`. */
  getAnnotation(id: EngineDocumentId, annotationId: string, options?: EngineCall): Promise<StoredAnnotation>;

  /**
   * Adds annotations; the caller chooses their ids, unique within the document. An annotation that is there already and equal is
   * returned as it is, so a repeat is safe; one that differs is `annotation_exists`. A sticker's attachment must be there
   * (`putAttachment`), else `attachment_missing`. An annotation outside its page is `annotation_invalid`.
   */
  createAnnotations(
    id: EngineDocumentId,
    annotations: readonly PageAnnotation[],
    options?: EngineCall,
  ): Promise<readonly StoredAnnotation[]>;

  /** Throws `annotation_not_found`, `annotation_conflict`, `annotation_read_only`, and what creating throws. The type cannot change. */
  updateAnnotations(
    id: EngineDocumentId,
    changes: readonly AnnotationChange[],
    options?: ChangeOptions,
  ): Promise<readonly StoredAnnotation[]>;

  /** Deletes annotations with the comments on them. One that is not there is success. Throws `annotation_conflict`, `annotation_read_only`. */
  deleteAnnotations(
    id: EngineDocumentId,
    removals: readonly AnnotationRemoval[],
    options?: ChangeOptions,
  ): Promise<void>;

  /** The comments on one annotation, or all of the document, oldest first. */
  listComments(
    id: EngineDocumentId,
    options?: EngineCall & { readonly rootId?: string },
  ): Promise<readonly StoredComment[]>;

  /** Adds comments; ids and repeats as for annotations. A root that is not there is `annotation_not_found`. */
  addComments(
    id: EngineDocumentId,
    comments: readonly CommentAnnotation[],
    options?: EngineCall,
  ): Promise<readonly StoredComment[]>;

  /** One that is not there is success. */
  deleteComments(id: EngineDocumentId, commentIds: readonly string[], options?: EngineCall): Promise<void>;

  /** Keeps a binary under its SHA-256, which is returned. Equal bytes again change nothing. */
  putAttachment(id: EngineDocumentId, attachment: Attachment, options?: EngineCall): Promise<string>;

  /** Throws `attachment_missing`. */
  getAttachment(id: EngineDocumentId, attachmentId: string, options?: EngineCall): Promise<Attachment>;

  /**
   * Removes what lies under the document's redaction annotations, verifies the output, and puts it in the place of the old PDF. Without
   * redactions nothing happens. Throws `redaction_unverified`, and then nothing has changed.
   */
  applyRedactions(id: EngineDocumentId, options?: EngineCall): Promise<AppliedRedactions>;

  /** All annotations, comments and attachments. */
  exportInstantJson(id: EngineDocumentId, options?: EngineCall): Promise<InstantJson>;

  /**
   * Adds annotations, comments and attachments at once; repeats as for `createAnnotations`. With `replace`, those that are there are
   * deleted first, stamps too.
   */
  importInstantJson(
    id: EngineDocumentId,
    json: InstantJson,
    options?: EngineCall & { readonly replace?: boolean },
  ): Promise<{ readonly annotations: number; readonly comments: number }>;

  /** Deletes a document with everything on it. One that is not there is success. */
  deleteDocument(id: EngineDocumentId, options?: EngineCall): Promise<void>;

  probe(options?: EngineCall): Promise<EngineProbe>;

  /** Waits for nothing: running calls fail. Calls after it fail. */
  close(): Promise<void>;
}
