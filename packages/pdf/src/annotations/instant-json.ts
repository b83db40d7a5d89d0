/**
 * Instant JSON (`https://pspdfkit.com/instant-json/v1`): the exchange format of annotations.
 *
 * - Coordinates are display space (see `geometry.ts`), `pageIndex` counts from 0.
 * - Members that are not known are kept. A type that is not known is an error: nothing is dropped in silence.
 */
import { CaseboundError, type FieldError } from '@casebound/contract';
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Rect } from '../geometry.ts';
import { defaultLimits } from '../limits.ts';

export const INSTANT_JSON_FORMAT = 'https://pspdfkit.com/instant-json/v1';

/** What an annotation is for; stamps are text with a mark in `customData`. */
export type AnnotationKind =
  | 'redaction'
  | 'highlight'
  | 'note'
  | 'sticker'
  | 'text'
  | 'bates_stamp'
  | 'confidentiality_stamp'
  | 'comment';

const finite = z.number().refine(Number.isFinite, 'is not a finite number');
const rect = z
  .tuple([finite, finite, finite, finite])
  .refine(([, , width, height]) => width > 0 && height > 0, 'needs a width and a height above 0');
const color = z.string().regex(/^#[0-9A-Fa-f]{6}$/, 'is a colour of the form #RRGGBB');
const text = z.union([
  z.looseObject({ format: z.enum(['plain', 'xhtml']).optional(), value: z.string() }),
  z.string().transform((value) => ({ format: 'plain' as const, value })),
]);

const common = {
  id: z.string().min(1),
  pageIndex: z.number().int().min(0),
  bbox: rect,
  opacity: finite.min(0).max(1).optional(),
  creatorName: z.string().nullish(),
  createdAt: z.string().nullish(),
  updatedAt: z.string().nullish(),
  customData: z.record(z.string(), z.unknown()).nullish(),
};

const rects = z.array(rect).min(1);

const redaction = z.looseObject({
  ...common,
  type: z.literal('pspdfkit/markup/redaction'),
  rects,
  fillColor: color.nullish(),
  overlayText: z.string().nullish(),
});
const highlight = z.looseObject({
  ...common,
  type: z.literal('pspdfkit/markup/highlight'),
  rects,
  color: color.nullish(),
  note: z.string().nullish(),
  isCommentThreadRoot: z.boolean().optional(),
});
const note = z.looseObject({
  ...common,
  type: z.literal('pspdfkit/note'),
  text,
  color: color.nullish(),
  icon: z.string().optional(),
});
const image = z.looseObject({
  ...common,
  type: z.literal('pspdfkit/image'),
  imageAttachmentId: z.string().min(1),
  contentType: z.string().nullish(),
  rotation: finite.optional(),
});
const freeText = z.looseObject({
  ...common,
  type: z.literal('pspdfkit/text'),
  text,
  fontSize: finite.positive().max(1000).optional(),
  fontColor: color.nullish(),
  backgroundColor: color.nullish(),
  horizontalAlign: z.enum(['left', 'center', 'right']).optional(),
  verticalAlign: z.enum(['top', 'center', 'bottom']).optional(),
});
const comment = z.looseObject({
  id: z.string().min(1),
  type: z.literal('pspdfkit/comment'),
  pageIndex: z.number().int().min(0),
  rootId: z.string().min(1),
  text,
  creatorName: z.string().nullish(),
  createdAt: z.string().nullish(),
  updatedAt: z.string().nullish(),
  customData: z.record(z.string(), z.unknown()).nullish(),
});

export type RedactionAnnotation = z.infer<typeof redaction>;
export type HighlightAnnotation = z.infer<typeof highlight>;
export type NoteAnnotation = z.infer<typeof note>;
export type StickerAnnotation = z.infer<typeof image>;
export type TextAnnotation = z.infer<typeof freeText>;
export type CommentAnnotation = z.infer<typeof comment>;
export type PageAnnotation =
  | RedactionAnnotation
  | HighlightAnnotation
  | NoteAnnotation
  | StickerAnnotation
  | TextAnnotation;
export type Annotation = PageAnnotation | CommentAnnotation;

const schemas: Readonly<Record<string, z.ZodType<Annotation>>> = {
  'pspdfkit/markup/redaction': redaction,
  'pspdfkit/markup/highlight': highlight,
  'pspdfkit/note': note,
  'pspdfkit/image': image,
  'pspdfkit/text': freeText,
  'pspdfkit/comment': comment,
};

export interface Attachment {
  readonly bytes: Uint8Array;
  readonly contentType: string;
}

export interface InstantJson {
  readonly annotations: readonly PageAnnotation[];
  readonly comments: readonly CommentAnnotation[];
  readonly attachments: ReadonlyMap<string, Attachment>;
}

export const kindOf = (annotation: Annotation): AnnotationKind => {
  switch (annotation.type) {
    case 'pspdfkit/markup/redaction':
      return 'redaction';
    case 'pspdfkit/markup/highlight':
      return 'highlight';
    case 'pspdfkit/note':
      return 'note';
    case 'pspdfkit/image':
      return 'sticker';
    case 'pspdfkit/comment':
      return 'comment';
    case 'pspdfkit/text': {
      const mark = annotation.customData?.['type'];
      return mark === 'bates_stamp' || mark === 'confidentiality_stamp' ? mark : 'text';
    }
  }
};

/** The text without its markup. */
export const plainText = (rich: { readonly format?: string | undefined; readonly value: string }): string =>
  rich.format === 'xhtml'
    ? rich.value
        .replaceAll(/<(br|\/p|\/div)[^>]*>/gi, '\n')
        .replaceAll(/<[^>]*>/g, '')
        .replaceAll('&lt;', '<')
        .replaceAll('&gt;', '>')
        .replaceAll('&amp;', '&')
        .trim()
    : rich.value;

export const toRect = ([left, top, width, height]: readonly [number, number, number, number]): Rect => ({
  left,
  top,
  width,
  height,
});

export const fromRect = ({ left, top, width, height }: Rect): [number, number, number, number] => [
  left,
  top,
  width,
  height,
];

/** SHA-256 in hexadecimal: the id of a binary attachment. */
export const attachmentId = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const invalid = (detail: string, errors: readonly FieldError[]): CaseboundError =>
  new CaseboundError('annotation_invalid', detail, { errors });

const MAX_LISTED = 50;

/** `pspdfkit/markup/redact` is an older spelling, and early versions left the bounding box of markup to its rects. */
const normalise = (value: Record<string, unknown>): Record<string, unknown> => {
  const type = value['type'] === 'pspdfkit/markup/redact' ? 'pspdfkit/markup/redaction' : value['type'];
  const id = value['id'] ?? value['name'];
  const normal: Record<string, unknown> = { ...value, type, ...(id === undefined ? {} : { id }) };
  const own = value['rects'];
  if (normal['bbox'] === undefined && Array.isArray(own)) {
    const boxes = own.filter(
      (one): one is number[] => Array.isArray(one) && one.length === 4 && one.every((n) => typeof n === 'number'),
    );
    if (boxes.length > 0) {
      const left = Math.min(...boxes.map(([x = 0]) => x));
      const top = Math.min(...boxes.map(([, y = 0]) => y));
      normal['bbox'] = [
        left,
        top,
        Math.max(...boxes.map(([x = 0, , width = 0]) => x + width)) - left,
        Math.max(...boxes.map(([, y = 0, , height = 0]) => y + height)) - top,
      ];
    }
  }
  return normal;
};

const parseAttachments = (value: unknown, errors: FieldError[]): ReadonlyMap<string, Attachment> => {
  const attachments = new Map<string, Attachment>();
  if (value === undefined || value === null) return attachments;
  if (!isRecord(value)) {
    errors.push({ path: '$.attachments', message: 'is an object of attachments by id' });
    return attachments;
  }
  for (const [id, own] of Object.entries(value)) {
    const binary = isRecord(own) ? own['binary'] : undefined;
    const contentType = isRecord(own) ? own['contentType'] : undefined;
    if (typeof binary !== 'string') {
      errors.push({ path: `$.attachments.${id}.binary`, message: 'is a string in base64' });
      continue;
    }
    const bytes = Buffer.from(binary, 'base64');
    if (/^[0-9a-f]{64}$/.test(id) && attachmentId(bytes) !== id) {
      errors.push({ path: `$.attachments.${id}`, message: 'is not the SHA-256 of the attachment' });
      continue;
    }
    attachments.set(id, {
      bytes,
      contentType: typeof contentType === 'string' ? contentType : 'application/octet-stream',
    });
  }
  return attachments;
};

/**
 * Reads an Instant JSON document (or its bare list of annotations). Comments may stand in `comments` or among the annotations.
 * Throws `annotation_invalid` with JSON paths, `annotation_unknown_type`, `attachment_missing`, `pdf_too_large`.
 */
export const parseInstantJson = (value: unknown, maxAnnotations = defaultLimits.maxAnnotations): InstantJson => {
  const document = Array.isArray(value) ? { annotations: value } : value;
  if (!isRecord(document)) throw invalid('The annotations are not an Instant JSON document.', []);
  if (document['format'] !== undefined && document['format'] !== INSTANT_JSON_FORMAT)
    throw invalid(`The format of the annotations is not \`${INSTANT_JSON_FORMAT}\`.`, [
      { path: '$.format', message: 'is another format' },
    ]);
  const errors: FieldError[] = [];
  const annotations: PageAnnotation[] = [];
  const comments: CommentAnnotation[] = [];
  const ids = new Set<string>();
  for (const member of ['annotations', 'comments'] as const) {
    const list = document[member] ?? [];
    if (!Array.isArray(list))
      throw invalid(`\`${member}\` is not a list.`, [{ path: `$.${member}`, message: 'is not a list' }]);
    if (list.length > maxAnnotations)
      throw new CaseboundError(
        'pdf_too_large',
        `The document has ${list.length} annotations; the limit is ${maxAnnotations}.`,
      );
    list.forEach((item: unknown, at) => {
      const path = `$.${member}[${at}]`;
      if (!isRecord(item)) {
        errors.push({ path, message: 'is not an object' });
        return;
      }
      const normal = normalise(
        member === 'comments' && item['type'] === undefined ? { ...item, type: 'pspdfkit/comment' } : item,
      );
      const type = normal['type'];
      const schema = typeof type === 'string' && Object.hasOwn(schemas, type) ? schemas[type] : undefined;
      if (schema === undefined)
        throw new CaseboundError(
          'annotation_unknown_type',
          `The annotation ${typeof normal['id'] === 'string' ? `\`${normal['id']}\`` : `at ${path}`} has the type \`${typeof type === 'string' ? type : String(type)}\`, which is not known.`,
          { errors: [{ path: `${path}.type`, message: 'is not a known type' }] },
        );
      const parsed = schema.safeParse(normal);
      if (!parsed.success) {
        for (const issue of parsed.error.issues)
          errors.push({
            path: `${path}${issue.path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')}`,
            message: issue.message,
          });
        return;
      }
      const annotation = parsed.data;
      if (ids.has(annotation.id)) errors.push({ path: `${path}.id`, message: 'is the id of another annotation too' });
      ids.add(annotation.id);
      if (annotation.type === 'pspdfkit/comment') comments.push(annotation);
      else annotations.push(annotation);
    });
  }
  const attachments = parseAttachments(document['attachments'], errors);
  comments.forEach(({ rootId }, at) => {
    if (!ids.has(rootId))
      errors.push({ path: `$.comments[${at}].rootId`, message: 'names no annotation of the document' });
  });
  if (errors.length > 0)
    throw invalid(
      `${errors.length === 1 ? 'One member' : `${errors.length} members`} of the annotations ${errors.length === 1 ? 'is' : 'are'} wrong, first ${errors[0]?.path}: ${errors[0]?.message}.`,
      errors.slice(0, MAX_LISTED),
    );
  for (const annotation of annotations)
    if (annotation.type === 'pspdfkit/image' && !attachments.has(annotation.imageAttachmentId))
      throw new CaseboundError(
        'attachment_missing',
        `The sticker \`${annotation.id}\` refers to the attachment \`${annotation.imageAttachmentId}\`, which is not in the document.`,
      );
  return { annotations, comments, attachments };
};

/** The document as Instant JSON. */
export const formatInstantJson = ({ annotations, comments, attachments }: InstantJson): Record<string, unknown> => ({
  format: INSTANT_JSON_FORMAT,
  annotations,
  ...(comments.length === 0 ? {} : { comments }),
  ...(attachments.size === 0
    ? {}
    : {
        attachments: Object.fromEntries(
          [...attachments].map(([id, { bytes, contentType }]) => [
            id,
            { binary: Buffer.from(bytes).toString('base64'), contentType },
          ]),
        ),
      }),
});

/** Members whose values are words of the format, not of people. */
const vocabulary: ReadonlySet<string> = new Set([
  'type',
  'format',
  'contentType',
  'id',
  'rootId',
  'icon',
  'blendMode',
  'font',
  'imageAttachmentId',
  'horizontalAlign',
  'verticalAlign',
  'lineWidthType',
  'creatorName',
]);

/** What people wrote in a kept annotation (`CBInstant`), without the vocabulary of the format; the text itself when it is not JSON. */
export const instantTexts = (json: string): readonly string[] => {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // Not what this package wrote: taken as text.
    return [json];
  }
  const texts: string[] = [];
  const visit = (item: unknown, key: string): void => {
    if (typeof item === 'string') {
      if (!vocabulary.has(key)) texts.push(item);
    } else if (Array.isArray(item)) for (const one of item) visit(one, key);
    else if (isRecord(item)) for (const [name, one] of Object.entries(item)) visit(one, name);
  };
  visit(value, '');
  return texts;
};
