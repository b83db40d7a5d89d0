/**
 * Reads a page of the output with PDFium and says what lies under its redactions: characters, pixels, images, outlines,
 * annotations. Shares no code with the redaction but geometry: that works on the objects of the file, this on PDFium's page.
 */
import type { OpenDocument } from '../engine/open-document.ts';
import { decodeImageObject } from '../engine/decode-image.ts';
import { type DrawnObject, listObjects } from '../engine/list-objects.ts';
import { type IndexedChar, type InkChar, readCells, readGeometry, readInkWithin } from '../engine/page-text.ts';
import {
  type Box,
  boundsOf,
  contains,
  inset,
  invert,
  overlaps,
  type Point,
  rectToBox,
  type Rect,
  transform,
} from '../geometry.ts';
import { coveredSpans } from '../redact/redact-image.ts';
import { countDifferent, VERIFY_DPI } from './count-different-pixels.ts';
import type { Finding, FindingCode } from './findings.ts';

export interface VerifiedArea {
  readonly redactionId: string | undefined;
  readonly rect: Rect;
  readonly overlayText: string | undefined;
}

/**
 * What was drawn over the page afterwards, and so may lie under a redaction: stamps, branded annotations. Display space. Only where a
 * redaction and a drawing overlap is anything allowed, and `produceDocument` verifies such a document before it draws, too.
 */
export interface AllowedDrawing {
  readonly pageIndex: number;
  readonly rect: Rect;
  /** Empty where nothing is written. */
  readonly text: string;
  /** Pictures and outlines within the rect are part of it. */
  readonly drawing?: boolean;
}

/** Points by which an area is made smaller before characters are looked for in it: glyphs of neighbours start at its very edge. */
const TEXT_MARGIN = 0.5;
const TEXT_MARGIN_SHARE = 0.1;
const OUTLINE_MARGIN = 0.75;
const ANNOTATION_MARGIN = 1.5;
const COLOR_TOLERANCE = 3;

const within = (point: Point, box: Box): boolean =>
  point.x > box.left && point.x < box.right && point.y > box.bottom && point.y < box.top;

const squeeze = (text: string): string => text.normalize('NFKC').replaceAll(/\s+/g, '');

/** True when `text` is one or more repetitions of one of the allowed texts, or a part of them. */
const isAllowed = (text: string, allowed: readonly string[]): boolean => {
  let rest = squeeze(text);
  const wanted = allowed
    .map(squeeze)
    .filter((one) => one !== '')
    .sort((one, other) => other.length - one.length);
  for (;;) {
    const next = wanted.find((one) => rest.startsWith(one));
    if (next === undefined) break;
    rest = rest.slice(next.length);
  }
  return rest === '' || wanted.some((one) => one.includes(rest));
};

const isUnder = ({ box, origin }: InkChar, area: Box, height: number): boolean => {
  const inner = inset(area, Math.max(TEXT_MARGIN, height * TEXT_MARGIN_SHARE));
  return within(origin, inner) || within({ x: (box.left + box.right) / 2, y: (box.bottom + box.top) / 2 }, inner);
};

/** The characters under an area. The margin follows the height of ink and cell; the cell is read only where the ink alone is under it. */
const charsUnder = (
  document: OpenDocument,
  pageIndex: number,
  chars: readonly IndexedChar[],
  area: Box,
): readonly IndexedChar[] => {
  const near = chars.filter((char) => isUnder(char, area, char.box.top - char.box.bottom) && char.text.trim() !== '');
  if (near.length === 0) return [];
  const cells = readCells(
    document,
    pageIndex,
    near.map(({ index }) => index),
  );
  return near.filter((char, at) => {
    const cell = cells[at];
    const tall = Math.max(cell === undefined ? 0 : cell.top - cell.bottom, char.box.top - char.box.bottom);
    return isUnder(char, area, tall);
  });
};

/** fpdf_edit.h: segment types. A curve is three segments: two control points and its end. */
const CURVE_SEGMENT = 1;
const MOVE_SEGMENT = 2;
const CURVE_STEPS = 12;

interface PathPoint {
  readonly point: Point;
  /** Starts a new line. */
  readonly move: boolean;
}

/** The points of a path in user space, curves flattened. */
const readPath = (document: OpenDocument, { handle, matrix }: DrawnObject): readonly PathPoint[] =>
  document.engine.call('read a path', (native, heap, { wasmExports: hot }) =>
    heap.scope((allocate) => {
      const target = allocate(8);
      const count = native.FPDFPath_CountSegments(handle);
      const points: PathPoint[] = [];
      let curve: Point[] = [];
      let last: Point = { x: 0, y: 0 };
      for (let at = 0; at < count; at += 1) {
        const segment = hot.FPDFPath_GetPathSegment(handle, at);
        if (hot.FPDFPathSegment_GetPoint(segment, target, target + 4) === 0) continue;
        const point = transform(matrix, heap.float32(target), heap.float32(target + 4));
        const type = hot.FPDFPathSegment_GetType(segment);
        if (type !== CURVE_SEGMENT) {
          points.push({ point, move: type === MOVE_SEGMENT });
          last = point;
          continue;
        }
        curve.push(point);
        const [c1, c2, end] = curve;
        if (c1 === undefined || c2 === undefined || end === undefined) continue;
        for (let step = 1; step <= CURVE_STEPS; step += 1) {
          const t = step / CURVE_STEPS;
          const u = 1 - t;
          const blend = (p0: number, p1: number, p2: number, p3: number): number =>
            u * u * u * p0 + 3 * u * u * t * p1 + 3 * u * t * t * p2 + t * t * t * p3;
          points.push({
            point: { x: blend(last.x, c1.x, c2.x, end.x), y: blend(last.y, c1.y, c2.y, end.y) },
            move: false,
          });
        }
        last = end;
        curve = [];
      }
      return points;
    }),
  );

/** True when the open segment between two points passes through the box. */
const passes = (from: Point, to: Point, box: Box): boolean => {
  let enter = 0;
  let leave = 1;
  for (const [direction, low, high] of [
    [to.x - from.x, box.left - from.x, box.right - from.x],
    [to.y - from.y, box.bottom - from.y, box.top - from.y],
  ] as const) {
    if (direction === 0) {
      if (low >= 0 || high <= 0) return false;
      continue;
    }
    enter = Math.max(enter, Math.min(low / direction, high / direction));
    leave = Math.min(leave, Math.max(low / direction, high / direction));
  }
  return leave > enter;
};

const sameBox = (one: Box, other: Box): boolean =>
  Math.abs(one.left - other.left) < 0.1 &&
  Math.abs(one.right - other.right) < 0.1 &&
  Math.abs(one.bottom - other.bottom) < 0.1 &&
  Math.abs(one.top - other.top) < 0.1;

interface Outline {
  readonly points: readonly PathPoint[];
  readonly bounds: Box;
}

const outlineIsUnder = ({ points, bounds }: Outline, area: Box, boxes: readonly Box[]): boolean => {
  const inner = inset(area, OUTLINE_MARGIN);
  if (!overlaps({ ...bounds, right: bounds.right + 1e-6, top: bounds.top + 1e-6 }, inner)) return false;
  // The box of another redaction that overlaps this one.
  if (points.length <= 6 && boxes.some((box) => sameBox(box, bounds))) return false;
  return points.some(({ point, move }, at) => {
    const before = points[at - 1];
    return before !== undefined && !move && passes(before.point, point, inner);
  });
};

/** A rect with a point more on each side, for what rounding moves. */
const grown = ({ left, top, width, height }: Rect): Rect => ({
  left: left - 1,
  top: top - 1,
  width: width + 2,
  height: height + 2,
});

const isDrawn = (bounds: Box, drawn: readonly Box[]): boolean => drawn.some((box) => contains(box, bounds));

const boundsOfImage = ({ matrix }: DrawnObject): Box =>
  boundsOf([transform(matrix, 0, 0), transform(matrix, 1, 0), transform(matrix, 1, 1), transform(matrix, 0, 1)]);

const imageIsUnder = (document: OpenDocument, object: DrawnObject, area: Box): boolean => {
  const back = invert(object.matrix);
  if (back === undefined) return false;
  const inner = inset(area, OUTLINE_MARGIN);
  if (!overlaps(boundsOfImage(object), inner)) return false;
  const image = decodeImageObject(document.engine, object.handle);
  if (image === undefined) return true;
  const polygon = [
    { x: inner.left, y: inner.bottom },
    { x: inner.right, y: inner.bottom },
    { x: inner.right, y: inner.top },
    { x: inner.left, y: inner.top },
  ].map(({ x, y }) => transform(back, x, y));
  let first: number | undefined;
  for (const { row, from, to } of coveredSpans([polygon], image.width, image.height)) {
    const start = (row * image.width + from) * image.channels;
    const end = (row * image.width + to) * image.channels;
    first ??= start;
    for (let at = start; at < end; at += 1) {
      const wanted = image.pixels[first + ((at - start) % image.channels)] ?? 0;
      if (Math.abs((image.pixels[at] ?? 0) - wanted) > COLOR_TOLERANCE) return true;
    }
  }
  return false;
};

interface AnnotationBox {
  readonly box: Box;
  readonly own: boolean;
}

const readAnnotationBoxes = (document: OpenDocument, pageIndex: number): readonly AnnotationBox[] => {
  const page = document.page(pageIndex);
  return document.engine.call('read the annotations of a page', (native, heap) =>
    heap.scope((allocate) => {
      const target = allocate(16);
      const boxes: AnnotationBox[] = [];
      const count = native.FPDFPage_GetAnnotCount(page);
      for (let at = 0; at < count; at += 1) {
        const annotation = native.FPDFPage_GetAnnot(page, at);
        if (annotation === 0) continue;
        if (native.FPDFAnnot_GetRect(annotation, target)) {
          const [left = 0, top = 0, right = 0, bottom = 0] = [0, 4, 8, 12].map((offset) =>
            heap.float32(target + offset),
          );
          boxes.push({
            box: {
              left: Math.min(left, right),
              right: Math.max(left, right),
              bottom: Math.min(top, bottom),
              top: Math.max(top, bottom),
            },
            own: native.FPDFAnnot_HasKey(annotation, 'CBInstant'),
          });
        }
        native.FPDFPage_CloseAnnot(annotation);
      }
      return boxes;
    }),
  );
};

/** Checks the areas of one page of the output. */
export const verifyAreas = (
  document: OpenDocument,
  pageIndex: number,
  areas: readonly VerifiedArea[],
  allowed: readonly AllowedDrawing[],
): readonly Finding[] => {
  const findings: Finding[] = [];
  const geometry = readGeometry(document, pageIndex);
  const boxes = areas.map(({ rect }) => rectToBox(geometry, rect));
  const chars = readInkWithin(document, pageIndex, boxes).filter((char) => typeof char === 'object');
  const objects = listObjects(document, pageIndex, boxes);
  const outlines = objects.flatMap((object): readonly Outline[] => {
    if (object.kind !== 'path') return [];
    const points = readPath(document, object);
    return points.length === 0 ? [] : [{ points, bounds: boundsOf(points.map(({ point }) => point)) }];
  });
  const annotations = readAnnotationBoxes(document, pageIndex);
  const drawings = allowed.map(({ rect }) => rect);
  const different = countDifferent(
    document,
    pageIndex,
    areas.map(({ rect }) => rect),
    drawings,
  );
  const drawn = allowed.flatMap(({ rect, drawing }) => (drawing === true ? [rectToBox(geometry, grown(rect))] : []));

  areas.forEach((area, at) => {
    const box = boxes[at];
    if (box === undefined) return;
    const report = (code: FindingCode, detail: string): void => {
      findings.push({ code, redactionId: area.redactionId, pageIndex, detail });
    };
    const { rect } = area;
    if (
      rect.left >= geometry.width ||
      rect.top >= geometry.height ||
      rect.left + rect.width <= 0 ||
      rect.top + rect.height <= 0
    ) {
      report('redaction_off_page', 'The redaction lies outside the page.');
      return;
    }
    // Text
    const stamps = allowed.filter(
      (stamp) =>
        stamp.rect.left < rect.left + rect.width &&
        rect.left < stamp.rect.left + stamp.rect.width &&
        stamp.rect.top < rect.top + rect.height &&
        rect.top < stamp.rect.top + stamp.rect.height,
    );
    const overlapping = areas.filter((_, index) => {
      const other = boxes[index];
      return other !== undefined && overlaps(other, box);
    });
    const overlays = overlapping.flatMap(({ overlayText }) => overlayText ?? []);
    const under = charsUnder(document, pageIndex, chars, box);
    const permitted = [...overlays, ...stamps.map(({ text }) => text)];
    if (under.length > 0 && !isAllowed(under.map(({ text }) => text).join(''), permitted))
      report(
        'text_under_redaction',
        `${under.length === 1 ? 'One character is' : `${under.length} characters are`} left under the redaction.`,
      );
    // Pixels
    const off = different[at] ?? 0;
    if (overlays.length === 0 && off > 0)
      report('pixels_not_flat', `${off} pixels under the redaction differ from its colour at ${VERIFY_DPI} dpi.`);
    // Images and outlines
    const images = objects.filter(
      (object) =>
        object.kind === 'image' && !isDrawn(boundsOfImage(object), drawn) && imageIsUnder(document, object, box),
    ).length;
    if (images > 0)
      report(
        'image_under_redaction',
        `${images === 1 ? 'An image holds' : `${images} images hold`} a picture under the redaction.`,
      );
    const paths = outlines.filter(
      (outline) => !isDrawn(outline.bounds, drawn) && outlineIsUnder(outline, box, boxes),
    ).length;
    if (paths > 0)
      report(
        'vector_under_redaction',
        `${paths === 1 ? 'An outline runs' : `${paths} outlines run`} under the redaction.`,
      );
    // Annotations
    const covered = annotations.filter(
      (annotation) => !annotation.own && overlaps(annotation.box, inset(box, ANNOTATION_MARGIN)),
    ).length;
    if (covered > 0)
      report(
        'annotation_under_redaction',
        `${covered === 1 ? 'An annotation or form field lies' : `${covered} annotations or form fields lie`} under the redaction.`,
      );
  });
  return findings;
};
