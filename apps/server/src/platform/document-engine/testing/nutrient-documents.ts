/**
 * What the test server keeps: documents with an immutable base layer, named layers that mirror it until they are first changed, and
 * on each layer a PDF, annotations, comments and binaries.
 *
 * - Of an annotation the members that its type has are kept and the others dropped; those that the type requires must be there.
 * - Annotations within an uploaded PDF become records of the base layer, with a `pdfObjectId`.
 */
import { createHash, randomUUID } from 'node:crypto';
import { hasCode } from '@casebound/contract';
import type { BinaryFile, PdfContents, PdfWork } from './nutrient-pdf.ts';

export type Members = Record<string, unknown>;

export interface ServerRecord {
  readonly id: string;
  content: Members;
  readonly createdBy: string | null;
  updatedBy: string | null;
  readonly group: string | null;
}

export interface Layer {
  bare: Uint8Array;
  /** Undefined when it must be made from `bare` and the records. */
  whole: Uint8Array | undefined;
  readonly annotations: Map<string, ServerRecord>;
  /** By root. */
  readonly comments: Map<string, ServerRecord[]>;
}

export interface ServerDocument {
  readonly id: string;
  readonly title: string | null;
  readonly createdAt: string;
  readonly source: Uint8Array;
  /** It needs a password to be opened. */
  readonly locked: boolean;
  readonly base: Layer;
  /** The default layer is the one without a name. */
  readonly layers: Map<string, Layer>;
  readonly binaries: Map<string, BinaryFile>;
}

/** A refusal: status and body. */
export class Refused extends Error {
  readonly status: number;
  readonly body: unknown;
  constructor(status: number, body: unknown) {
    super(`HTTP ${status}`);
    this.status = status;
    this.body = body;
  }
}

/** "Annotation Contents" of the OpenAPI description: what a type has, and what it must have. */
const base = 'v type pageIndex bbox action opacity pdfObjectId flags createdAt updatedAt name creatorName customData';
const types: Readonly<Record<string, { readonly has: string; readonly needs: string }>> = {
  'pspdfkit/markup/redaction': {
    has: 'rects outlineColor fillColor overlayText repeatOverlayText color rotation note',
    needs: 'rects',
  },
  'pspdfkit/markup/highlight': { has: 'rects blendMode color note isCommentThreadRoot', needs: 'rects color' },
  'pspdfkit/note': { has: 'text icon color', needs: 'text icon' },
  'pspdfkit/image': {
    has: 'description fileName contentType imageAttachmentId rotation isSignature note',
    needs: 'imageAttachmentId',
  },
  'pspdfkit/text': {
    has: 'text fontSize fontStyle fontColor font backgroundColor horizontalAlign verticalAlign rotation isFitting callout borderStyle borderWidth',
    needs: 'text fontSize opacity horizontalAlign verticalAlign',
  },
  'pspdfkit/ink': { has: 'lines lineWidth strokeColor isDrawnNaturally blendMode', needs: 'lines' },
};

export const isMembers = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What is wrong with the content of an annotation; undefined when nothing is. */
export const faultOf = (content: unknown, pageCount: number): string | undefined => {
  if (!isMembers(content)) return 'content is required';
  const type = typeof content['type'] === 'string' ? types[content['type']] : undefined;
  if (type === undefined) return 'type is invalid';
  const { pageIndex, bbox } = content;
  if (typeof pageIndex !== 'number' || pageIndex < 0) return 'page index is invalid';
  if (pageIndex >= pageCount) return 'Page index out of bounds.';
  if (!Array.isArray(bbox) || bbox.length !== 4) return 'bbox is invalid';
  if (content['v'] !== 1 && content['v'] !== 2) return 'v is invalid';
  const lacking = type.needs.split(' ').find((name) => content[name] === undefined || content[name] === null);
  if (lacking !== undefined) return `${lacking} is required`;
  if (content['fontSize'] !== undefined && !Number.isInteger(content['fontSize'])) return 'fontSize is invalid';
  const nullish = Object.entries(content).find(([name, value]) => value === null && name !== 'customData');
  return nullish === undefined ? undefined : `${nullish[0]} is invalid`;
};

export const keepKnown = (content: Members): Members => {
  const type = typeof content['type'] === 'string' ? types[content['type']] : undefined;
  const known = new Set(`${base} ${type?.has ?? ''}`.split(' '));
  const now = new Date().toISOString();
  return {
    createdAt: now,
    updatedAt: now,
    ...Object.fromEntries(Object.entries(content).filter(([name]) => known.has(name))),
  };
};

const emptyLayer = (bare: Uint8Array, whole: Uint8Array | undefined): Layer => ({
  bare,
  whole,
  annotations: new Map(),
  comments: new Map(),
});

const copyLayer = (layer: Layer): Layer => ({
  bare: layer.bare,
  whole: layer.whole,
  annotations: new Map([...layer.annotations].map(([id, record]) => [id, { ...record }])),
  comments: new Map([...layer.comments].map(([id, thread]) => [id, [...thread]])),
});

export const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const fill = (
  document: Pick<ServerDocument, 'binaries'>,
  layer: Layer,
  contents: PdfContents,
  fromPdf: boolean,
): void => {
  let object = 1;
  for (const [id, binary] of contents.binaries) document.binaries.set(id, binary);
  for (const annotation of contents.annotations) {
    const { id: given, ...content } = annotation;
    const id = fromPdf ? randomUUID() : String(given);
    if (fromPdf) content['pdfObjectId'] = object += 1;
    layer.annotations.set(id, { id, content, createdBy: null, updatedBy: null, group: null });
    const thread = contents.comments.filter(({ rootId }) => rootId === given);
    if (thread.length > 0)
      layer.comments.set(
        id,
        thread.map((comment) => ({
          id: String(comment['id']),
          content: { ...comment, rootId: id },
          createdBy: null,
          updatedBy: null,
          group: null,
        })),
      );
  }
};

/** A document of an upload. Throws what the PDF engine throws; a PDF that needs a password is kept all the same. */
export const makeDocument = (pdf: PdfWork, id: string, title: string | null, source: Uint8Array): ServerDocument => {
  const binaries = new Map<string, BinaryFile>();
  const made = { id, title, createdAt: new Date().toISOString(), source, layers: new Map<string, Layer>(), binaries };
  try {
    if (pdf.pages(source).length === 0) throw new Refused(400, { details: 'no pages' });
    const { bare, contents } = pdf.takeApart(source);
    const layer = emptyLayer(bare, source);
    fill({ binaries }, layer, contents, true);
    return { ...made, locked: false, base: layer };
  } catch (error) {
    if (!hasCode(error, 'pdf_encrypted')) throw error;
    return { ...made, locked: true, base: emptyLayer(source, source) };
  }
};

/** A layer to read. */
export const layerToRead = (document: ServerDocument, name: string): Layer =>
  document.layers.get(name) ?? document.base;

/** A layer to change: now it is one of its own. */
export const layerToChange = (document: ServerDocument, name: string): Layer => {
  const present = document.layers.get(name);
  const layer = present ?? copyLayer(document.base);
  if (present === undefined) document.layers.set(name, layer);
  layer.whole = undefined;
  return layer;
};

export const contentsOf = (
  document: ServerDocument,
  layer: Layer,
  options: { readonly annotations: boolean; readonly comments: boolean },
): PdfContents => ({
  annotations: options.annotations
    ? [...layer.annotations.values()].map(({ id, content }) => ({ ...content, id }))
    : [],
  comments: options.comments
    ? [...layer.comments].flatMap(([rootId, thread]) =>
        thread.map(({ id, content }) => ({
          type: 'pspdfkit/comment',
          pageIndex: layer.annotations.get(rootId)?.content['pageIndex'] ?? 0,
          ...content,
          id,
          rootId,
        })),
      )
    : [],
  binaries: document.binaries,
});

/** Applies the redactions of a layer. */
export const redactLayer = (pdf: PdfWork, document: ServerDocument, name: string): void => {
  const layer = layerToChange(document, name);
  const own = new Map(layer.annotations);
  const threads = new Map(layer.comments);
  const { bare, contents } = pdf.redact(
    layer.bare,
    contentsOf(document, layer, { annotations: true, comments: false }),
  );
  layer.bare = bare;
  layer.annotations.clear();
  layer.comments.clear();
  // What survived keeps its record.
  for (const { id } of contents.annotations) {
    const record = own.get(String(id));
    if (record === undefined) continue;
    layer.annotations.set(record.id, record);
    const thread = threads.get(record.id);
    if (thread !== undefined) layer.comments.set(record.id, thread);
  }
};
