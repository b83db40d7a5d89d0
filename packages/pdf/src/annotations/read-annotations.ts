/**
 * Reads the annotations of a document as Instant JSON.
 *
 * - Annotations that this package wrote come back with all their members. If another program has since moved or reworded one, what it
 *   changed is taken from the PDF and the rest from the JSON that was kept.
 * - Annotations of other programs are read where their kind has a counterpart. The others (links, form fields, ink, shapes ...) are
 *   listed as foreign: they stay in the document and are not lost in silence.
 */
import { type CosDict, type CosObject, isKind } from '../cos/objects.ts';
import { readBox } from '../cos/page-tree.ts';
import { decodeText } from '../cos/text-string.ts';
import { encodePng } from '../engine/encode-png.ts';
import type { DocumentEdit } from '../edit/open-edit.ts';
import type { PageEdit } from '../edit/page-edit.ts';
import { boundsOf, boxToRect, type Rect } from '../geometry.ts';
import {
  attachmentId,
  type Attachment,
  fromRect,
  type InstantJson,
  parseInstantJson,
  plainText,
} from './instant-json.ts';

export interface ForeignAnnotation {
  readonly pageIndex: number;
  /** The subtype in the PDF: Link, Widget, Ink ... */
  readonly subtype: string;
  readonly rect: Rect | undefined;
}

export interface ReadAnnotations extends InstantJson {
  readonly foreign: readonly ForeignAnnotation[];
}

const stringOf = (edit: DocumentEdit, dict: CosDict, key: string): string | undefined => {
  const value = edit.file.resolve(dict.entries.get(key));
  return isKind(value, 'string') ? decodeText(value.bytes) : undefined;
};

/** Dates of PDF (7.9.4) as ISO 8601. */
const isoDate = (text: string | undefined): string | undefined => {
  const parts = /^(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:Z|([+-])(\d\d)'?(\d\d)?)?/.exec(text ?? '');
  if (parts === null) return undefined;
  const [
    ,
    year = '',
    month = '01',
    day = '01',
    hour = '00',
    minute = '00',
    second = '00',
    sign,
    zoneHour = '00',
    zoneMinute = '00',
  ] = parts;
  const zone = sign === undefined ? 'Z' : `${sign}${zoneHour}:${zoneMinute}`;
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${zone}`);
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
};

const hexColor = (edit: DocumentEdit, object: CosObject | undefined): string | undefined => {
  const numbers = edit.file.array(object)?.items.map((item) => edit.file.resolve(item));
  if (numbers === undefined || (numbers.length !== 3 && numbers.length !== 1)) return undefined;
  const channels = numbers.length === 1 ? [numbers[0], numbers[0], numbers[0]] : numbers;
  return `#${channels
    .map((value) =>
      Math.round(Math.min(1, Math.max(0, typeof value === 'number' ? value : 0)) * 255)
        .toString(16)
        .padStart(2, '0'),
    )
    .join('')
    .toUpperCase()}`;
};

const readQuads = (edit: DocumentEdit, page: PageEdit, dict: CosDict): readonly Rect[] => {
  const numbers = (edit.file.array(dict.entries.get('QuadPoints'))?.items ?? []).map((item) => {
    const value = edit.file.resolve(item);
    return typeof value === 'number' ? value : Number.NaN;
  });
  const rects: Rect[] = [];
  for (let at = 0; at + 8 <= numbers.length; at += 8) {
    const points = [0, 2, 4, 6].map((offset) => ({ x: numbers[at + offset] ?? 0, y: numbers[at + offset + 1] ?? 0 }));
    const rect = boxToRect(page.geometry, boundsOf(points));
    if (rect.width > 0 && rect.height > 0) rects.push(rect);
  }
  return rects;
};

const sameNumbers = (one: readonly number[], other: readonly number[]): boolean =>
  one.length === other.length && one.every((value, at) => Math.abs(value - (other[at] ?? Number.NaN)) < 0.01);

/** The text member that was kept, when it has its shape. */
const keptText = (stored: unknown): { readonly format?: string; readonly value: string } | undefined => {
  if (typeof stored !== 'object' || stored === null || !('value' in stored) || typeof stored.value !== 'string')
    return undefined;
  return 'format' in stored && typeof stored.format === 'string'
    ? { ...stored, format: stored.format, value: stored.value }
    : { ...stored, value: stored.value };
};

/** The first image that an appearance draws, as PNG. */
const readSticker = (edit: DocumentEdit, page: PageEdit, at: number): Attachment | undefined => {
  const { engine, source } = edit;
  const handle = source.page(page.index);
  return engine.call('render a sticker', (native, heap) => {
    const annotation = native.FPDFPage_GetAnnot(handle, at);
    if (annotation === 0) return undefined;
    const rect = heap.scope((allocate) => {
      const target = allocate(16);
      native.FPDFAnnot_GetRect(annotation, target);
      return [0, 4, 8, 12].map((offset) => heap.float32(target + offset));
    });
    const [left = 0, top = 0, right = 0, bottom = 0] = rect;
    const scale = 2;
    const width = Math.min(4000, Math.max(1, Math.round((right - left) * scale)));
    const height = Math.min(4000, Math.max(1, Math.round(Math.abs(top - bottom) * scale)));
    const bitmap = native.FPDFBitmap_CreateEx(width, height, 4, 0, 0);
    try {
      native.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xffffffff);
      const matrix = heap.scope((allocate) => {
        const target = allocate(24);
        heap.write(target, new Uint8Array(Float32Array.of(scale, 0, 0, scale, 0, 0).buffer));
        return native.EPDF_RenderAnnotBitmap(bitmap, handle, annotation, 0, target, 0);
      });
      if (!matrix) return undefined;
      const stride = native.FPDFBitmap_GetStride(bitmap);
      const data = heap.bytes(native.FPDFBitmap_GetBuffer(bitmap), stride * height);
      const pixels = new Uint8Array(width * height * 3);
      for (let row = 0; row < height; row += 1)
        for (let column = 0; column < width; column += 1) {
          const from = row * stride + column * 4;
          pixels.set([data[from + 2] ?? 0, data[from + 1] ?? 0, data[from] ?? 0], (row * width + column) * 3);
        }
      return { bytes: encodePng(pixels, width, height, 3, 72 * scale), contentType: 'image/png' };
    } finally {
      native.FPDFBitmap_Destroy(bitmap);
      native.FPDFPage_CloseAnnot(annotation);
    }
  });
};

/** Reads all annotations. */
export const readAnnotations = (edit: DocumentEdit): ReadAnnotations => {
  const { file } = edit;
  const annotations: unknown[] = [];
  const comments: unknown[] = [];
  const attachments = new Map<string, Attachment>();
  const foreign: ForeignAnnotation[] = [];
  const ids = new Map<number, string>();
  const replies: {
    readonly dict: CosDict;
    readonly page: PageEdit;
    readonly root: number;
    readonly fallback: string;
  }[] = [];

  const kept = (dict: CosDict): Record<string, unknown> | undefined => {
    const text = stringOf(edit, dict, 'CBInstant');
    if (text === undefined) return undefined;
    try {
      const value: unknown = JSON.parse(text);
      return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
    } catch {
      // Another program has cut or changed it: the PDF's own entries are still there.
      return undefined;
    }
  };

  for (const page of edit.pages()) {
    page.annotations().forEach((object, at) => {
      const dict = file.dict(object);
      if (dict === undefined) return;
      const subtypeName = file.resolve(dict.entries.get('Subtype'));
      const subtype = isKind(subtypeName, 'name') ? subtypeName.name : '';
      const box = readBox(file, dict.entries.get('Rect'));
      const rect = box === undefined ? undefined : boxToRect(page.geometry, box);
      const fallback = `p${page.index}-${isKind(object, 'ref') ? object.number : `a${at}`}`;
      const id = stringOf(edit, dict, 'NM') ?? fallback;
      if (isKind(object, 'ref')) ids.set(object.number, id);
      if (subtype === 'Popup') return;
      const root = dict.entries.get('IRT');
      if (subtype === 'Text' && isKind(root, 'ref')) {
        replies.push({ dict, page, root: root.number, fallback });
        return;
      }
      if (rect === undefined) {
        foreign.push({ pageIndex: page.index, subtype, rect });
        return;
      }
      const json = kept(dict) ?? {};
      const opacity = file.resolve(dict.entries.get('CA'));
      const base: Record<string, unknown> = {
        ...json,
        id,
        v: json['v'] ?? 2,
        pageIndex: page.index,
        bbox: fromRect(rect),
        ...(typeof opacity === 'number' ? { opacity } : {}),
        creatorName: json['creatorName'] ?? stringOf(edit, dict, 'T'),
        createdAt: json['createdAt'] ?? isoDate(stringOf(edit, dict, 'CreationDate')),
        updatedAt: json['updatedAt'] ?? isoDate(stringOf(edit, dict, 'M')),
      };
      for (const key of ['creatorName', 'createdAt', 'updatedAt']) if (base[key] === undefined) delete base[key];
      const storedBox = json['bbox'];
      if (Array.isArray(storedBox) && sameNumbers(storedBox.map(Number), fromRect(rect))) base['bbox'] = storedBox;
      const contents = stringOf(edit, dict, 'Contents');
      const textMember = (): unknown => {
        const stored = keptText(json['text']);
        return stored !== undefined && plainText(stored) === (contents ?? '')
          ? stored
          : { format: 'plain', value: contents ?? '' };
      };
      const rectsMember = (): unknown => {
        const quads = readQuads(edit, page, dict);
        const stored = json['rects'];
        const read = (quads.length > 0 ? quads : [rect]).map(fromRect);
        if (Array.isArray(stored) && sameNumbers(stored.flat().map(Number), read.flat())) return stored;
        return read;
      };
      switch (subtype) {
        case 'Highlight':
          annotations.push({
            ...base,
            type: 'pspdfkit/markup/highlight',
            rects: rectsMember(),
            ...(json['color'] === undefined ? { color: hexColor(edit, dict.entries.get('C')) ?? '#FCEE7C' } : {}),
            ...(contents === undefined ? {} : { note: contents }),
          });
          return;
        case 'Redact':
          annotations.push({
            ...base,
            type: 'pspdfkit/markup/redaction',
            rects: rectsMember(),
            ...(json['fillColor'] === undefined && !('fillColor' in json)
              ? { fillColor: hexColor(edit, dict.entries.get('IC')) ?? '#000000' }
              : {}),
            ...(json['overlayText'] === undefined && stringOf(edit, dict, 'OverlayText') !== undefined
              ? { overlayText: stringOf(edit, dict, 'OverlayText') }
              : {}),
          });
          return;
        case 'Text':
          annotations.push({ ...base, type: 'pspdfkit/note', text: textMember() });
          return;
        case 'FreeText':
          annotations.push({ ...base, type: 'pspdfkit/text', text: textMember() });
          return;
        case 'Stamp': {
          const stored = json['imageAttachmentId'];
          const sticker = readSticker(edit, page, at);
          if (sticker === undefined) {
            foreign.push({ pageIndex: page.index, subtype, rect });
            return;
          }
          const original = typeof stored === 'string' ? file.stream(dict.entries.get('CBSticker')) : undefined;
          const bytes = original === undefined ? undefined : file.decode(original);
          const attachment: Attachment =
            bytes === undefined
              ? sticker
              : {
                  bytes,
                  contentType:
                    typeof json['contentType'] === 'string' ? json['contentType'] : 'application/octet-stream',
                };
          const attached = bytes !== undefined && typeof stored === 'string' ? stored : attachmentId(attachment.bytes);
          attachments.set(attached, attachment);
          annotations.push({
            ...base,
            type: 'pspdfkit/image',
            imageAttachmentId: attached,
            contentType: attachment.contentType,
          });
          return;
        }
        default:
          foreign.push({ pageIndex: page.index, subtype, rect });
      }
    });
  }
  for (const { dict, page, root, fallback } of replies) {
    const rootId = ids.get(root);
    if (rootId === undefined) continue;
    const json = kept(dict) ?? {};
    const contents = stringOf(edit, dict, 'Contents') ?? '';
    const stored = keptText(json['text']);
    comments.push({
      ...json,
      id: stringOf(edit, dict, 'NM') ?? fallback,
      type: 'pspdfkit/comment',
      pageIndex: page.index,
      rootId: json['rootId'] ?? rootId,
      text: stored !== undefined && plainText(stored) === contents ? stored : { format: 'plain', value: contents },
      creatorName: json['creatorName'] ?? stringOf(edit, dict, 'T') ?? null,
      createdAt: json['createdAt'] ?? isoDate(stringOf(edit, dict, 'CreationDate')) ?? null,
      updatedAt: json['updatedAt'] ?? isoDate(stringOf(edit, dict, 'M')) ?? null,
    });
  }
  const parsed = parseInstantJson(
    {
      annotations,
      comments,
      attachments: Object.fromEntries(
        [...attachments].map(([id, { bytes, contentType }]) => [
          id,
          { binary: Buffer.from(bytes).toString('base64'), contentType },
        ]),
      ),
    },
    edit.engine.limits.maxAnnotations,
  );
  return { ...parsed, foreign };
};
