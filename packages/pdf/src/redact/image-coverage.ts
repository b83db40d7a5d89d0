/** How much of an image, drawn as the unit square (ISO 32000-2, 8.9.5), lies under redactions. */
import { type Box, boundsOf, contains, corners, invert, type Matrix, type Point, transform } from '../geometry.ts';
import { polygonMeetsBox } from './areas.ts';

export type Coverage =
  | { readonly kind: 'none' }
  | { readonly kind: 'whole' }
  /** The areas as polygons of the image's unit square. */
  | { readonly kind: 'part'; readonly polygons: readonly (readonly Point[])[] };

const unit: Box = { left: 0, bottom: 0, right: 1, top: 1 };

export const imageCoverage = (ctm: Matrix, areas: readonly Box[]): Coverage => {
  const quad = corners(unit).map(({ x, y }) => transform(ctm, x, y));
  const touching = areas.filter((area) => polygonMeetsBox(quad, area));
  if (touching.length === 0) return { kind: 'none' };
  const bounds = boundsOf(quad);
  if (touching.some((area) => contains(area, bounds))) return { kind: 'whole' };
  const back = invert(ctm);
  if (back === undefined) return { kind: 'whole' };
  return { kind: 'part', polygons: touching.map((area) => corners(area).map(({ x, y }) => transform(back, x, y))) };
};
