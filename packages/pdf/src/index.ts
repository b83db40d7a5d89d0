/**
 * PDF work on PDFium: bytes in, bytes out. No file system, no network.
 *
 * Coordinates are display space: the page as shown, origin at the top left, see `geometry.ts`. Failures are `CaseboundError`s of the permanent
 * family, except a fault of the engine, after which the owner makes a new one.
 */
export { addAnnotations, checkPlaces, type Placement } from './annotations/add-annotations.ts';
export { flattenAnnotations, removeAnnotationsById, replaceAnnotations } from './annotations/change-annotations.ts';
export {
  type Annotation,
  type AnnotationKind,
  type Attachment,
  attachmentId,
  type CommentAnnotation,
  formatInstantJson,
  INSTANT_JSON_FORMAT,
  type InstantJson,
  kindOf,
  type PageAnnotation,
  parseInstantJson,
  type RedactionAnnotation,
} from './annotations/instant-json.ts';
export { type ForeignAnnotation, readAnnotations, type ReadAnnotations } from './annotations/read-annotations.ts';
export { type BurnedIn, burnIn, type BurnInOptions } from './burn-in.ts';
export { type DocumentEdit, openEdit } from './edit/open-edit.ts';
export { compilePdfium, createPdfEngine, type PdfEngine, type PdfEngineOptions } from './engine/create-engine.ts';
export { extractPage } from './engine/extract-page.ts';
export { locatePdfiumWasm } from './engine/wasm-location.ts';
export { type OpenDocument, openDocument, type OpenOptions } from './engine/open-document.ts';
export { readInfo, readPageSizes, type DocumentInfo, type PageExtent } from './engine/read-info.ts';
export { readPageText, type PageText, type TextLine } from './engine/page-text.ts';
export { DEFAULT_DPI, renderPage, type RenderOptions } from './engine/render-page.ts';
export { parseQuery, searchPage, searchText, type TextMatch } from './engine/search-text.ts';
export type { Rect } from './geometry.ts';
export { mergeImages } from './images/merge-images.ts';
export { defaultLimits, type PdfLimits } from './limits.ts';
export {
  defaultRouting,
  produceDocument,
  type Produced,
  type ProduceInput,
  type Route,
  type Routing,
  toRedaction,
} from './produce-document.ts';
export { applyRedactions, type Redaction, type RedactionReport } from './redact/apply-redactions.ts';
export { scrubMetadata } from './redact/scrub-document.ts';
export {
  type DrawnStamp,
  type Stamp,
  type StampAnchor,
  stampAnchors,
  type StampOptions,
  stampPages,
} from './stamps/stamp-pages.ts';
export type { Finding, FindingCode } from './verify/findings.ts';
export type { AllowedDrawing } from './verify/verify-areas.ts';
export {
  requireVerified,
  type VerificationReport,
  type VerifiedRedaction,
  verifyRedactions,
  type VerifyOptions,
} from './verify/verify-redactions.ts';
