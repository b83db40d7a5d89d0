/**
 * Writes Instant JSON annotations into a document: as annotations of the PDF (a layer) or into the page (burned in).
 *
 * - Every annotation gets an appearance, so that all readers show the same.
 * - What PDF has no place for is kept as JSON in the annotation, under `CBInstant`; reading it back gives the same members.
 * - Comments are replies to their root (ISO 32000-2, 12.5.6.2) and cannot be burned in.
 * - Nothing is written when anything is wrong.
 */
import { CaseboundError } from '@casebound/contract';
import { array, type CosObject, type CosRef, dict, emptyDict, name } from '../cos/objects.ts';
import { formatName, formatNumber } from '../cos/serialize.ts';
import { encodeText } from '../cos/text-string.ts';
import type { DocumentEdit } from '../edit/open-edit.ts';
import type { PageEdit } from '../edit/page-edit.ts';
import { type Box, type Rect, rectToBox } from '../geometry.ts';
import { embedImage } from '../images/embed-image.ts';
import { standardFont } from '../stamps/standard-font.ts';
import { addForm, drawNoteIcon, drawRects, drawTextBox, parseColor, placeForm } from './appearance.ts';
import {
  type CommentAnnotation,
  type InstantJson,
  kindOf,
  type PageAnnotation,
  plainText,
  toRect,
} from './instant-json.ts';

export type Placement = 'layer' | 'brand_in';

/** Annotation flags (table 167): Hidden, Print, NoZoom, NoRotate, ReadOnly, Locked. */
const HIDDEN = 2;
const PRINT = 4;
const NO_ZOOM = 8;
const NO_ROTATE = 16;
const READ_ONLY = 64;
const LOCKED = 128;

/** `D:20240131T...` of an ISO 8601 instant; undefined when it is none. */
const pdfDate = (text: string | null | undefined): CosObject | undefined => {
  const time = text === null || text === undefined ? Number.NaN : Date.parse(text);
  if (Number.isNaN(time)) return undefined;
  return encodeText(`D:${new Date(time).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)}Z`);
};

const quadPoints = (page: PageEdit, rects: readonly Rect[]): CosObject =>
  array(
    rects.flatMap((rect) => {
      const { left, bottom, right, top } = rectToBox(page.geometry, rect);
      return [left, top, right, top, left, bottom, right, bottom];
    }),
  );

const rectArray = ({ left, bottom, right, top }: Box): CosObject => array([left, bottom, right, top]);

const boundsOfRects = (rects: readonly Rect[]): Rect => {
  const left = Math.min(...rects.map((rect) => rect.left));
  const top = Math.min(...rects.map((rect) => rect.top));
  return {
    left,
    top,
    width: Math.max(...rects.map((rect) => rect.left + rect.width)) - left,
    height: Math.max(...rects.map((rect) => rect.top + rect.height)) - top,
  };
};

interface Drawn {
  readonly rect: Rect;
  readonly form: CosRef;
  readonly entries: Readonly<Record<string, CosObject | undefined>>;
}

const draw = (edit: DocumentEdit, page: PageEdit, annotation: PageAnnotation, json: InstantJson): Drawn => {
  const { file } = edit;
  const { rotation } = page.geometry;
  const opacity = annotation.opacity ?? 1;
  switch (annotation.type) {
    case 'pspdfkit/markup/highlight': {
      const rects = annotation.rects.map(toRect);
      const rect = boundsOfRects(rects);
      const color = parseColor(annotation.color ?? '#FCEE7C');
      const form = addForm(file, {
        ...rect,
        rotation,
        opacity,
        multiply: true,
        operators: drawRects(rects, rect, color),
      });
      return {
        rect,
        form,
        entries: {
          Subtype: name('Highlight'),
          QuadPoints: quadPoints(page, rects),
          C: array(color),
          Contents: annotation.note === null || annotation.note === undefined ? undefined : encodeText(annotation.note),
        },
      };
    }
    case 'pspdfkit/markup/redaction': {
      const rects = annotation.rects.map(toRect);
      const rect = boundsOfRects(rects);
      const fill = parseColor(annotation.fillColor ?? '#000000');
      const outline = rects
        .map(
          (one) =>
            `${formatNumber(one.left - rect.left)} ${formatNumber(rect.height - (one.top - rect.top) - one.height)} ${formatNumber(one.width)} ${formatNumber(one.height)} re S`,
        )
        .join('\n');
      return {
        rect,
        form: addForm(file, { ...rect, rotation, opacity, operators: `0.8 0 0 RG 1 w\n${outline}` }),
        entries: {
          Subtype: name('Redact'),
          QuadPoints: quadPoints(page, rects),
          IC: array(fill),
          OverlayText:
            annotation.overlayText === null || annotation.overlayText === undefined
              ? undefined
              : encodeText(annotation.overlayText),
        },
      };
    }
    case 'pspdfkit/note': {
      const rect = toRect(annotation.bbox);
      const color = parseColor(annotation.color ?? '#FFD83F');
      return {
        rect,
        form: addForm(file, { ...rect, rotation, opacity, operators: drawNoteIcon(rect.width, rect.height, color) }),
        entries: {
          Subtype: name('Text'),
          Name: name('Comment'),
          C: array(color),
          Contents: encodeText(plainText(annotation.text)),
        },
      };
    }
    case 'pspdfkit/image': {
      const rect = toRect(annotation.bbox);
      const attachment = json.attachments.get(annotation.imageAttachmentId);
      if (attachment === undefined)
        throw new CaseboundError(
          'attachment_missing',
          `The sticker \`${annotation.id}\` has no attachment \`${annotation.imageAttachmentId}\`.`,
        );
      const image = file.shared(`image ${annotation.imageAttachmentId}`, () => {
        const [first] = embedImage(file, attachment.bytes);
        return first?.ref ?? null;
      });
      return {
        rect,
        form: addForm(file, {
          ...rect,
          rotation,
          opacity,
          resources: dict({ XObject: dict({ Im0: file.stream(image) === undefined ? null : image }) }),
          operators: `${formatNumber(rect.width)} 0 0 ${formatNumber(rect.height)} 0 0 cm /Im0 Do`,
        }),
        // The file as it was attached, so that it can be read back with the same hash.
        entries: {
          Subtype: name('Stamp'),
          Name: name('Sticker'),
          CBSticker: file.shared(`sticker ${annotation.imageAttachmentId}`, () => ({
            kind: 'stream',
            dict: emptyDict,
            raw: attachment.bytes,
          })),
        },
      };
    }
    case 'pspdfkit/text': {
      const rect = toRect(annotation.bbox);
      const text = plainText(annotation.text);
      const fontSize = annotation.fontSize ?? 12;
      const color = parseColor(annotation.fontColor ?? '#000000');
      const background =
        annotation.backgroundColor === null || annotation.backgroundColor === undefined
          ? undefined
          : parseColor(annotation.backgroundColor);
      const operators = drawTextBox({
        text,
        width: rect.width,
        height: rect.height,
        fontSize,
        font: 'Helvetica',
        color,
        background,
        horizontal: annotation.horizontalAlign ?? 'left',
        vertical: annotation.verticalAlign ?? 'center',
        padding: 0,
      });
      return {
        rect,
        form: addForm(file, {
          ...rect,
          rotation,
          opacity,
          operators,
          resources: dict({ Font: dict({ F0: standardFont('Helvetica').resource(file) }) }),
        }),
        entries: {
          Subtype: name('FreeText'),
          Contents: encodeText(text),
          DA: encodeText(`${color.map(formatNumber).join(' ')} rg /Helv ${formatNumber(fontSize)} Tf`),
          C: background === undefined ? undefined : array(background),
          Q: annotation.horizontalAlign === 'center' ? 1 : annotation.horizontalAlign === 'right' ? 2 : 0,
        },
      };
    }
  }
};

const describe = (annotation: { readonly id: string }): string => `The annotation \`${annotation.id}\``;

/** Checks places before anything is written. */
export const checkPlaces = (edit: DocumentEdit, annotations: readonly PageAnnotation[]): void => {
  for (const annotation of annotations) {
    if (annotation.pageIndex >= edit.pageCount)
      throw new CaseboundError(
        'pdf_page_out_of_range',
        `${describe(annotation)} is on page index ${annotation.pageIndex}; the document has ${edit.pageCount} pages, counted from 0.`,
      );
    const { width, height } = edit.page(annotation.pageIndex).geometry;
    const rects = 'rects' in annotation && Array.isArray(annotation.rects) ? annotation.rects : [annotation.bbox];
    for (const [left, top, own, tall] of rects)
      if (left >= width || top >= height || left + own <= 0 || top + tall <= 0)
        throw new CaseboundError(
          'annotation_invalid',
          `${describe(annotation)} has a rect outside page index ${annotation.pageIndex}, which is ${formatNumber(width)} x ${formatNumber(height)}.`,
        );
  }
};

const flagsOf = (annotation: PageAnnotation): number => {
  const kind = kindOf(annotation);
  if (kind === 'bates_stamp' || kind === 'confidentiality_stamp') return PRINT | READ_ONLY | LOCKED;
  return kind === 'note' ? PRINT | NO_ZOOM | NO_ROTATE : PRINT;
};

const addComment = (
  edit: DocumentEdit,
  comment: CommentAnnotation,
  root: { ref: CosRef; page: PageEdit; rect: CosObject },
): CosRef =>
  edit.file.add(
    dict({
      Type: name('Annot'),
      Subtype: name('Text'),
      Rect: root.rect,
      P: root.page.page.ref,
      NM: encodeText(comment.id),
      IRT: root.ref,
      RT: name('R'),
      F: HIDDEN | PRINT | NO_ZOOM | NO_ROTATE,
      Contents: encodeText(plainText(comment.text)),
      T:
        comment.creatorName === null || comment.creatorName === undefined ? undefined : encodeText(comment.creatorName),
      CreationDate: pdfDate(comment.createdAt),
      M: pdfDate(comment.updatedAt ?? comment.createdAt),
      CBInstant: encodeText(JSON.stringify(comment)),
    }),
  );

/**
 * Adds annotations and the comments on them; `placement` decides for each. Redactions are layered as marks only: see
 * `applyRedactions`. Throws `annotation_invalid`, `pdf_page_out_of_range`, `attachment_missing`, `image_unreadable`, `stamp_invalid`.
 */
export const addAnnotations = (
  edit: DocumentEdit,
  json: InstantJson,
  placement: (annotation: PageAnnotation) => Placement = () => 'layer',
): { readonly layered: number; readonly burned: number; readonly comments: number } => {
  checkPlaces(edit, json.annotations);
  const { file } = edit;
  const drawn = json.annotations.map((annotation) => ({
    annotation,
    page: edit.page(annotation.pageIndex),
    drawn: draw(edit, edit.page(annotation.pageIndex), annotation, json),
  }));
  const added = new Map<PageEdit, CosObject[]>();
  const roots = new Map<string, { ref: CosRef; page: PageEdit; rect: CosObject }>();
  const counts = { layered: 0, burned: 0, comments: 0 };
  const push = (page: PageEdit, object: CosObject): void => {
    const list = added.get(page);
    if (list === undefined) added.set(page, [object]);
    else list.push(object);
  };
  for (const { annotation, page, drawn: own } of drawn) {
    const box = rectToBox(page.geometry, own.rect);
    if (placement(annotation) === 'brand_in' && annotation.type !== 'pspdfkit/markup/redaction') {
      const matrix = placeForm(file, own.form, box);
      const key = page.addResource('XObject', 'CBa', own.form);
      if (matrix !== undefined) page.draw(`q ${matrix.map(formatNumber).join(' ')} cm ${formatName(key)} Do Q`);
      counts.burned += 1;
      continue;
    }
    const rect = rectArray(box);
    const ref = file.add(
      dict({
        Type: name('Annot'),
        ...own.entries,
        Rect: rect,
        P: page.page.ref,
        NM: encodeText(annotation.id),
        F: flagsOf(annotation),
        CA: annotation.opacity,
        T:
          annotation.creatorName === null || annotation.creatorName === undefined
            ? undefined
            : encodeText(annotation.creatorName),
        CreationDate: pdfDate(annotation.createdAt),
        M: pdfDate(annotation.updatedAt ?? annotation.createdAt),
        AP: dict({ N: own.form }),
        CBInstant: encodeText(JSON.stringify(annotation)),
      }),
    );
    push(page, ref);
    roots.set(annotation.id, { ref, page, rect });
    counts.layered += 1;
  }
  for (const comment of json.comments) {
    const root = roots.get(comment.rootId);
    if (root === undefined) continue;
    push(root.page, addComment(edit, comment, root));
    counts.comments += 1;
  }
  for (const [page, objects] of added) page.setAnnotations([...page.annotations(), ...objects]);
  return counts;
};
