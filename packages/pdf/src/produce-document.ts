/**
 * One document from source to release: redactions are removed first, then annotations are layered or burned in, then stamps are drawn,
 * then the output is verified. A document whose redactions cannot be proved is not returned.
 */
import { CaseboundError } from '@casebound/contract';
import { addAnnotations, checkPlaces } from './annotations/add-annotations.ts';
import {
  type AnnotationKind,
  type InstantJson,
  kindOf,
  type RedactionAnnotation,
  toRect,
} from './annotations/instant-json.ts';
import { flattenAnnotations } from './annotations/change-annotations.ts';
import { openEdit } from './edit/open-edit.ts';
import type { PageEdit } from './edit/page-edit.ts';
import type { PdfEngine } from './engine/create-engine.ts';
import { boxToRect, type Rect, rectToBox } from './geometry.ts';
import { applyRedactions, type Redaction, type RedactionReport } from './redact/apply-redactions.ts';
import { scrubMetadata } from './redact/scrub-document.ts';
import { type DrawnStamp, type Stamp, type StampOptions, stampPages } from './stamps/stamp-pages.ts';
import type { AllowedDrawing } from './verify/verify-areas.ts';
import { requireVerified, type VerificationReport, verifyRedactions } from './verify/verify-redactions.ts';

/** Into the page, as an annotation, or left out. */
export type Route = 'brand_in' | 'layer' | 'omit';

export type Routing = Readonly<Record<AnnotationKind, Route>>;

/** Redactions and stamps are burned in, everything else stays an annotation. */
export const defaultRouting: Routing = {
  redaction: 'brand_in',
  highlight: 'layer',
  note: 'layer',
  sticker: 'layer',
  text: 'layer',
  bates_stamp: 'brand_in',
  confidentiality_stamp: 'brand_in',
  comment: 'layer',
};

export interface ProduceInput {
  readonly annotations?: InstantJson;
  readonly routing?: Partial<Routing>;
  readonly stamps?: readonly Stamp[];
  readonly stampOptions?: StampOptions;
  /** Burn in the annotations that the document itself brings, links and form fields excepted. */
  readonly flatten?: boolean;
  /** Remove metadata, attachments and scripts even where nothing is redacted. */
  readonly scrub?: boolean;
  readonly password?: string;
  /** Leave out the verification: only for measurements. */
  readonly verify?: boolean;
}

export interface Produced {
  readonly bytes: Uint8Array;
  readonly pages: number;
  readonly redactions: Omit<RedactionReport, 'removedText' | 'under'>;
  readonly annotations: {
    readonly layered: number;
    readonly burned: number;
    readonly comments: number;
    readonly omitted: number;
  };
  readonly stamps: readonly DrawnStamp[];
  /** Undefined where nothing was redacted. */
  readonly verification: VerificationReport | undefined;
}

/** `#RRGGBB` as 0 to 255 each. */
const channels = (color: string): [number, number, number] => [
  Number.parseInt(color.slice(1, 3), 16),
  Number.parseInt(color.slice(3, 5), 16),
  Number.parseInt(color.slice(5, 7), 16),
];

/** A redaction annotation as the redaction to apply. */
export const toRedaction = (annotation: RedactionAnnotation): Redaction => ({
  id: annotation.id,
  pageIndex: annotation.pageIndex,
  rects: annotation.rects.map(toRect),
  ...(annotation.fillColor === null || annotation.fillColor === undefined
    ? {}
    : { fillColor: channels(annotation.fillColor) }),
  ...(annotation.overlayText === null || annotation.overlayText === undefined
    ? {}
    : { overlayText: annotation.overlayText }),
});

/** A rect of the page as it was, on the page as it is now: stamps may have extended it. */
const moveRect = (page: PageEdit, rect: Rect): Rect => boxToRect(page.geometry, rectToBox(page.page.geometry, rect));

const emptyJson: InstantJson = { annotations: [], comments: [], attachments: new Map() };

/**
 * Produces a document. Throws `redaction_unverified` with the findings, and whatever opening, annotations, stamps and redactions throw;
 * then there is no output.
 */
export const produceDocument = async (
  engine: PdfEngine,
  source: Uint8Array,
  input: ProduceInput,
): Promise<Produced> => {
  const routing: Routing = { ...defaultRouting, ...input.routing };
  if (routing.comment === 'brand_in')
    throw new CaseboundError('validation_failed', 'Comments can be layered or omitted, not burned in.');
  const json = input.annotations ?? emptyJson;
  const redactions = json.annotations.flatMap((annotation) =>
    annotation.type === 'pspdfkit/markup/redaction' && routing.redaction === 'brand_in'
      ? [toRedaction(annotation)]
      : [],
  );
  using edit = openEdit(engine, source, input.password === undefined ? {} : { password: input.password });
  checkPlaces(edit, json.annotations);
  const report = applyRedactions(edit, redactions);
  if (input.scrub === true && redactions.length === 0) scrubMetadata(edit);
  if (input.flatten === true) flattenAnnotations(edit);

  const kept = json.annotations.filter((annotation) => {
    const kind = kindOf(annotation);
    return routing[kind] !== 'omit' && !(kind === 'redaction' && routing.redaction === 'brand_in');
  });
  const layered = new Set(
    kept.flatMap((annotation) => (routing[kindOf(annotation)] === 'layer' ? [annotation.id] : [])),
  );
  const comments = routing.comment === 'layer' ? json.comments.filter(({ rootId }) => layered.has(rootId)) : [];
  const counts = addAnnotations(edit, { ...json, annotations: kept, comments }, (annotation) =>
    routing[kindOf(annotation)] === 'brand_in' ? 'brand_in' : 'layer',
  );
  const stamps = stampPages(edit, input.stamps ?? [], input.stampOptions);
  const bytes = edit.write();

  const burnedText = kept.flatMap((annotation): readonly AllowedDrawing[] =>
    annotation.type === 'pspdfkit/text' && routing[kindOf(annotation)] === 'brand_in'
      ? [
          {
            pageIndex: annotation.pageIndex,
            rect: moveRect(edit.page(annotation.pageIndex), toRect(annotation.bbox)),
            text: annotation.text.value,
          },
        ]
      : [],
  );
  const verification =
    redactions.length === 0 || input.verify === false
      ? undefined
      : await verifyRedactions(engine, bytes, redactions, {
          original: source,
          under: report.under,
          removedText: report.removedText,
          allowed: [...stamps, ...burnedText],
          ...(input.password === undefined ? {} : { password: input.password }),
        });
  if (verification !== undefined) requireVerified(verification);
  return {
    bytes,
    pages: edit.pageCount,
    redactions: { pages: report.pages, removed: report.removed },
    annotations: {
      ...counts,
      omitted: json.annotations.length - kept.length - redactions.length + json.comments.length - counts.comments,
    },
    stamps,
    verification,
  };
};
