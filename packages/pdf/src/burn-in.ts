/**
 * What an exchange does to one document: redactions are removed and proved, the rest is branded in, layered or left out as its routing
 * says, and everything that travels on is returned. Nothing is returned that was not proved.
 */
import type {
  Annotation,
  Attachment,
  CommentAnnotation,
  InstantJson,
  PageAnnotation,
} from './annotations/instant-json.ts';
import type { PdfEngine } from './engine/create-engine.ts';
import type { PageText } from './engine/page-text.ts';
import { produceDocument, type Routing } from './produce-document.ts';
import type { Stamp, StampOptions } from './stamps/stamp-pages.ts';
import type { VerificationReport } from './verify/verify-redactions.ts';

export interface BurnInOptions {
  readonly password?: string;
  /** Drawn after the annotations. */
  readonly stamps?: readonly Stamp[];
  readonly stampOptions?: StampOptions;
}

export interface BurnedIn {
  /** One revision, without the annotations that are layered. */
  readonly pdf: Uint8Array;
  readonly pageCount: number;
  /** Annotations to put beside the PDF. Redactions among them are marks that hide nothing. */
  readonly layerAnnotations: readonly PageAnnotation[];
  /** The binaries that they need, by id. */
  readonly attachments: ReadonlyMap<string, Attachment>;
  /** Comments on layered annotations. */
  readonly comments: readonly CommentAnnotation[];
  /** Comments whose root is no longer an annotation, by id; they are not in `comments`. */
  readonly commentsWithoutRoot: readonly string[];
  readonly redactionReport: {
    /** Redactions that were applied. */
    readonly applied: number;
    readonly pages: number;
    readonly removed: {
      readonly glyphs: number;
      readonly images: number;
      readonly paths: number;
      readonly annotations: number;
    };
    /** Undefined where nothing was redacted. */
    readonly verification: VerificationReport | undefined;
  };
  /** Annotations drawn into the pages, redactions not counted. */
  readonly brandedIn: number;
  /** Annotations and comments that the routing leaves out. */
  readonly omitted: number;
  /** Redactions among `layerAnnotations`: what lies beneath them travels. */
  readonly unapplied: number;
  /** Text of each page of the result. */
  readonly pageTexts: readonly PageText[];
}

const isRedaction = ({ type }: Annotation): boolean => type === 'pspdfkit/markup/redaction';

/**
 * Burns annotations into a PDF. Throws `redaction_unverified`, `annotation_invalid`, `attachment_missing`, the `pdf_*` codes,
 * `stamp_invalid`, `image_unreadable`; all permanent but `pdf_engine_failed`.
 */
export const burnIn = async (
  engine: PdfEngine,
  pdf: Uint8Array,
  annotations: InstantJson,
  routing: Routing,
  options: BurnInOptions = {},
): Promise<BurnedIn> => {
  const produced = await produceDocument(engine, pdf, {
    ...options,
    annotations,
    routing,
    layersInPdf: false,
    pageTexts: true,
  });
  const applied = routing.redaction === 'brand_in' ? annotations.annotations.filter(isRedaction).length : 0;
  return {
    pdf: produced.bytes,
    pageCount: produced.pages,
    layerAnnotations: produced.layer.annotations,
    attachments: produced.layer.attachments,
    comments: produced.layer.comments,
    commentsWithoutRoot: produced.commentsWithoutRoot,
    redactionReport: {
      applied,
      pages: produced.redactions.pages,
      removed: produced.redactions.removed,
      verification: produced.verification,
    },
    brandedIn: produced.annotations.burned,
    omitted: produced.annotations.omitted - produced.commentsWithoutRoot.length,
    unapplied: produced.layer.annotations.filter(isRedaction).length,
    pageTexts: produced.pageTexts ?? [],
  };
};
