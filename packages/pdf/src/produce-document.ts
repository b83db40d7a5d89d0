/**
 * One document from source to release: redactions are removed first, then annotations are layered or branded in, then stamps are drawn,
 * then the output is verified. A document whose redactions cannot be proved is not returned.
 *
 * - Where something is drawn over a redaction, the document is verified before that too: the final verification allows the drawing there.
 * - Highlights are branded in around redactions, never over them.
 * - The source is opened once, the output once.
 */
import { CaseboundError } from '@casebound/contract';
import { addAnnotations, checkPlaces } from './annotations/add-annotations.ts';
import {
  type AnnotationKind,
  fromRect,
  type InstantJson,
  kindOf,
  type PageAnnotation,
  plainText,
  type RedactionAnnotation,
  toRect,
} from './annotations/instant-json.ts';
import { flattenAnnotations } from './annotations/change-annotations.ts';
import { type DocumentEdit, openEdit } from './edit/open-edit.ts';
import type { PageEdit } from './edit/page-edit.ts';
import type { PdfEngine } from './engine/create-engine.ts';
import { type OpenDocument, openDocument } from './engine/open-document.ts';
import { type PageText, readPageText } from './engine/page-text.ts';
import { boxToRect, type Rect, rectsOverlap, rectToBox, subtractRects } from './geometry.ts';
import { applyRedactions, type Redaction, type RedactionReport } from './redact/apply-redactions.ts';
import { scrubMetadata } from './redact/scrub-document.ts';
import { type DrawnStamp, mayMeet, type Stamp, type StampOptions, stampPages } from './stamps/stamp-pages.ts';
import type { AllowedDrawing } from './verify/verify-areas.ts';
import {
  requireVerified,
  type VerificationReport,
  type VerifyOptions,
  verifyRedactions,
} from './verify/verify-redactions.ts';

/** Into the page and no longer removable, as an annotation, or left out. */
export type Route = 'brand_in' | 'layer' | 'omit';

export type Routing = Readonly<Record<AnnotationKind, Route>>;

/** Redactions and stamps are branded in, everything else stays an annotation. */
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
  /** False: what is layered is returned and not written into the PDF. */
  readonly layersInPdf?: boolean;
  /** Read the text of every page of the output. */
  readonly pageTexts?: boolean;
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
  /** What was routed to a layer, with the comments on it and the attachments that it needs. */
  readonly layer: InstantJson;
  /** Comments to be layered whose root was branded in or omitted, by id. They are not in `layer`. */
  readonly commentsWithoutRoot: readonly string[];
  readonly stamps: readonly DrawnStamp[];
  /** Undefined where nothing was redacted. */
  readonly verification: VerificationReport | undefined;
  /** Undefined unless asked for. */
  readonly pageTexts: readonly PageText[] | undefined;
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

const emptyJson: InstantJson = { annotations: [], comments: [], attachments: new Map() };

/** Highlights cut around redactions; one that lies under them whole is not drawn. */
const cutHighlights = (
  annotations: readonly PageAnnotation[],
  areas: ReadonlyMap<number, readonly Rect[]>,
): readonly PageAnnotation[] =>
  annotations.flatMap((annotation) => {
    const holes = areas.get(annotation.pageIndex);
    if (annotation.type !== 'pspdfkit/markup/highlight' || holes === undefined) return [annotation];
    const rects = annotation.rects.flatMap((rect) => subtractRects(toRect(rect), holes)).map(fromRect);
    return rects.length === 0 ? [] : [{ ...annotation, rects }];
  });

/** What the input asks for, sorted. */
const route = (
  json: InstantJson,
  routing: Routing,
): {
  readonly redactions: readonly RedactionAnnotation[];
  readonly branded: readonly PageAnnotation[];
  readonly layer: InstantJson;
  readonly commentsWithoutRoot: readonly string[];
} => {
  const redactions: RedactionAnnotation[] = [];
  const branded: PageAnnotation[] = [];
  const layered: PageAnnotation[] = [];
  for (const annotation of json.annotations) {
    const target = routing[kindOf(annotation)];
    if (target === 'layer') layered.push(annotation);
    else if (target === 'omit') continue;
    else if (annotation.type === 'pspdfkit/markup/redaction') redactions.push(annotation);
    else branded.push(annotation);
  }
  const roots = new Set(layered.map(({ id }) => id));
  const needed = new Set(layered.flatMap((one) => (one.type === 'pspdfkit/image' ? [one.imageAttachmentId] : [])));
  const wanted = routing.comment === 'layer' ? json.comments : [];
  return {
    redactions,
    branded,
    layer: {
      annotations: layered,
      comments: wanted.filter(({ rootId }) => roots.has(rootId)),
      attachments: new Map([...json.attachments].filter(([id]) => needed.has(id))),
    },
    commentsWithoutRoot: wanted.flatMap(({ id, rootId }) => (roots.has(rootId) ? [] : [id])),
  };
};

/** What the branded annotations draw, on the pages as they are now: stamps may have extended them. */
const drawingsOf = (edit: DocumentEdit, branded: readonly PageAnnotation[]): readonly AllowedDrawing[] => {
  const moved = (page: PageEdit, rect: Rect): Rect => boxToRect(page.geometry, rectToBox(page.page.geometry, rect));
  return branded.flatMap((annotation): readonly AllowedDrawing[] =>
    annotation.type === 'pspdfkit/markup/highlight'
      ? []
      : [
          {
            pageIndex: annotation.pageIndex,
            rect: moved(edit.page(annotation.pageIndex), toRect(annotation.bbox)),
            text: annotation.type === 'pspdfkit/text' ? plainText(annotation.text) : '',
            drawing: true,
          },
        ],
  );
};

/** Reads the texts of all pages; those that the verification opened are read while they are open. */
const createTextReader = (
  wanted: boolean,
): {
  readonly read: (document: OpenDocument, pageIndex: number) => void;
  readonly finish: (document: OpenDocument) => readonly PageText[] | undefined;
} => {
  const texts = new Map<number, PageText>();
  const read = (document: OpenDocument, pageIndex: number): void => {
    if (wanted) texts.set(pageIndex, readPageText(document, pageIndex));
  };
  return {
    read,
    finish: (document) => {
      if (!wanted) return undefined;
      return Array.from({ length: document.pageCount }, (_, pageIndex) => {
        const known = texts.get(pageIndex);
        if (known !== undefined) return known;
        const text = readPageText(document, pageIndex);
        document.releasePage(pageIndex);
        return text;
      });
    },
  };
};

interface Written {
  readonly bytes: Uint8Array;
  readonly pages: number;
  readonly report: RedactionReport;
  readonly comments: number;
  readonly stamps: readonly DrawnStamp[];
  /** Text that stands over redactions on purpose. */
  readonly allowed: readonly AllowedDrawing[];
}

/** Everything up to the bytes. What editing holds, twice the size of the document, is free when the bytes are verified. */
const writeDocument = async (
  engine: PdfEngine,
  source: Uint8Array,
  input: ProduceInput,
  {
    redactions,
    branded,
    layer,
    json,
  }: {
    readonly redactions: readonly Redaction[];
    readonly branded: readonly PageAnnotation[];
    readonly layer: InstantJson;
    readonly json: InstantJson;
  },
): Promise<Written> => {
  const layersInPdf = input.layersInPdf !== false;
  const stamps = input.stamps ?? [];
  using edit = openEdit(engine, source, input.password === undefined ? {} : { password: input.password });
  checkPlaces(edit, json.annotations);
  const report = applyRedactions(edit, redactions);
  if (input.scrub === true && redactions.length === 0) scrubMetadata(edit);
  if (input.flatten === true) flattenAnnotations(edit);

  const areas = new Map(
    [...Map.groupBy(redactions, ({ pageIndex }) => pageIndex)].map(([pageIndex, own]) => [
      pageIndex,
      own.flatMap(({ rects }) => rects),
    ]),
  );
  const meets = ({ type, pageIndex, bbox }: PageAnnotation): boolean =>
    type !== 'pspdfkit/markup/highlight' &&
    (areas.get(pageIndex) ?? []).some((area) => rectsOverlap(area, toRect(bbox)));
  if (
    redactions.length > 0 &&
    input.verify !== false &&
    (branded.some(meets) ||
      [...areas].some(([pageIndex, own]) =>
        own.some((area) => mayMeet(edit.page(pageIndex), area, stamps, input.stampOptions)),
      ))
  )
    requireVerified(await verifyRedactions(engine, edit.write(), redactions, evidenceOf(report)));

  const drawn = new Map(cutHighlights(branded, areas).map((annotation) => [annotation.id, annotation]));
  const written = new Set(layersInPdf ? layer.annotations : []);
  const counts = addAnnotations(
    edit,
    {
      // In the order given, which is the order of drawing.
      annotations: json.annotations.flatMap((one) => drawn.get(one.id) ?? (written.has(one) ? one : [])),
      comments: layersInPdf ? layer.comments : [],
      attachments: json.attachments,
    },
    ({ id }) => (drawn.has(id) ? 'brand_in' : 'layer'),
  );
  const stamped = stampPages(edit, stamps, input.stampOptions);
  return {
    bytes: edit.write(),
    pages: edit.pageCount,
    report,
    comments: layersInPdf ? counts.comments : layer.comments.length,
    stamps: stamped,
    allowed: [...stamped, ...drawingsOf(edit, branded)],
  };
};

const evidenceOf = ({ under, removedText }: RedactionReport): VerifyOptions => ({ under, removedText });

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
    throw new CaseboundError('validation_failed', 'Comments can be layered or omitted, not branded in.');
  const json = input.annotations ?? emptyJson;
  const { redactions: marked, branded, layer, commentsWithoutRoot } = route(json, routing);
  const redactions = marked.map(toRedaction);
  const { bytes, report, stamps, allowed, ...written } = await writeDocument(engine, source, input, {
    redactions,
    branded,
    layer,
    json,
  });
  const texts = createTextReader(input.pageTexts === true);
  let pageTexts: readonly PageText[] | undefined;
  let verification: VerificationReport | undefined;
  if (redactions.length > 0 && input.verify !== false) {
    verification = await verifyRedactions(engine, bytes, redactions, {
      ...evidenceOf(report),
      beside: input.layersInPdf === false ? [...layer.annotations, ...layer.comments] : [],
      allowed,
      onPage: texts.read,
      onDocument: (document) => {
        pageTexts = texts.finish(document);
      },
    });
    requireVerified(verification);
  } else if (input.pageTexts === true) {
    using output = openDocument(engine, bytes);
    pageTexts = texts.finish(output);
  }
  return {
    bytes,
    pages: written.pages,
    redactions: { pages: report.pages, removed: report.removed },
    annotations: {
      layered: layer.annotations.length,
      burned: branded.length,
      comments: written.comments,
      omitted:
        json.annotations.length -
        layer.annotations.length -
        branded.length -
        redactions.length +
        json.comments.length -
        layer.comments.length,
    },
    layer,
    commentsWithoutRoot,
    stamps,
    verification,
    pageTexts,
  };
};
