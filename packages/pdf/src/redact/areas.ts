/**
 * Whether something lies under a redaction. Areas are boxes in the page's user space.
 *
 * - A glyph is under an area when the core of its cell meets it, or its origin lies in it. The core leaves out the outer
 *   part of the cell, so that the neighbours of a tightly drawn area survive: cells touch, and lines overlap.
 */
import { type Box, boundsOf, inset, type Matrix, overlaps, type Point, transform } from '../geometry.ts';

/** Share of a cell's width, at each side, that may lie under an area without the glyph being taken. */
const SIDE_TOLERANCE = 0.15;
/** Shares of ascent and descent that count as the core. */
const CORE_ASCENT = 0.75;
const CORE_DESCENT = 0.5;
/** An origin this close to the edge of an area, in points or in shares of the font size, is not in it. */
export const ORIGIN_TOLERANCE_POINTS = 0.5;
export const ORIGIN_TOLERANCE_SHARE = 0.08;

/** True when a convex polygon and a box share an area. */
export const polygonMeetsBox = (polygon: readonly Point[], box: Box): boolean => {
  if (!overlaps(boundsOf(polygon), box)) return false;
  const xs = [box.left, box.right];
  const ys = [box.bottom, box.top];
  for (let at = 0; at < polygon.length; at += 1) {
    const from = polygon[at];
    const to = polygon[(at + 1) % polygon.length];
    if (from === undefined || to === undefined) continue;
    const side = (x: number, y: number): number => (to.x - from.x) * (y - from.y) - (to.y - from.y) * (x - from.x);
    let inner = 0;
    for (const point of polygon) {
      const value = side(point.x, point.y);
      if (Math.abs(value) > Math.abs(inner)) inner = value;
    }
    if (inner === 0) continue;
    let separated = true;
    for (const x of xs) for (const y of ys) if (side(x, y) * Math.sign(inner) > 1e-9) separated = false;
    if (separated) return false;
  }
  return true;
};

/** A glyph's place on the page: `matrix` maps text space of size 1 to user space. */
export interface GlyphCell {
  readonly matrix: Matrix;
  readonly width: number;
  readonly ascent: number;
  readonly descent: number;
  /** Font size on the page, in points. */
  readonly size: number;
}

export const glyphIsUnder = (cell: GlyphCell, areas: readonly Box[]): boolean => {
  const { matrix, width } = cell;
  const left = width * SIDE_TOLERANCE;
  const right = width * (1 - SIDE_TOLERANCE);
  const bottom = cell.descent * CORE_DESCENT;
  const top = cell.ascent * CORE_ASCENT;
  const core = [
    transform(matrix, left, bottom),
    transform(matrix, right, bottom),
    transform(matrix, right, top),
    transform(matrix, left, top),
  ];
  const origin = transform(matrix, 0, 0);
  const tolerance = Math.max(ORIGIN_TOLERANCE_POINTS, cell.size * ORIGIN_TOLERANCE_SHARE);
  return areas.some((area) => {
    if (polygonMeetsBox(core, area)) return true;
    const inner = inset(area, tolerance);
    return origin.x > inner.left && origin.x < inner.right && origin.y > inner.bottom && origin.y < inner.top;
  });
};
