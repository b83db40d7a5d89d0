/**
 * The two coordinate systems of the package.
 *
 * - **Display space**: what annotations, text boxes and the API use. Units of the page (1/72 inch unless the page sets `UserUnit`),
 *   origin at the top left of the visible page (crop box, rotation applied), y downwards.
 * - **User space**: what content streams use. Origin wherever the media box puts it, y upwards, before rotation (ISO 32000-2, 8.3).
 */

/** Display space. */
export interface Rect {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** User space; `left <= right`, `bottom <= top`. */
export interface Box {
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
  readonly top: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** `[a b c d e f]` as in PDF: x' = ax + cy + e, y' = bx + dy + f. */
export type Matrix = readonly [number, number, number, number, number, number];

export type Rotation = 0 | 90 | 180 | 270;

/** The visible part of a page and how it is turned. */
export interface PageGeometry {
  /** The crop box within the media box, user space. */
  readonly box: Box;
  /** Clockwise. */
  readonly rotation: Rotation;
  /** Display size. */
  readonly width: number;
  readonly height: number;
}

export const identity: Matrix = [1, 0, 0, 1, 0, 0];

/** The matrix that applies `first`, then `second`. */
export const multiply = (first: Matrix, second: Matrix): Matrix => [
  first[0] * second[0] + first[1] * second[2],
  first[0] * second[1] + first[1] * second[3],
  first[2] * second[0] + first[3] * second[2],
  first[2] * second[1] + first[3] * second[3],
  first[4] * second[0] + first[5] * second[2] + second[4],
  first[4] * second[1] + first[5] * second[3] + second[5],
];

export const transform = (matrix: Matrix, x: number, y: number): Point => ({
  x: matrix[0] * x + matrix[2] * y + matrix[4],
  y: matrix[1] * x + matrix[3] * y + matrix[5],
});

/** Undefined for a matrix that flattens the plane. */
export const invert = (matrix: Matrix): Matrix | undefined => {
  const [a, b, c, d, e, f] = matrix;
  const determinant = a * d - b * c;
  if (!Number.isFinite(determinant) || Math.abs(determinant) < 1e-18) return undefined;
  return [
    d / determinant,
    -b / determinant,
    -c / determinant,
    a / determinant,
    (c * f - d * e) / determinant,
    (b * e - a * f) / determinant,
  ];
};

export const boundsOf = (points: readonly Point[]): Box => {
  let left = Infinity;
  let bottom = Infinity;
  let right = -Infinity;
  let top = -Infinity;
  for (const { x, y } of points) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    bottom = Math.min(bottom, y);
    top = Math.max(top, y);
  }
  return { left, bottom, right, top };
};

export const corners = ({ left, bottom, right, top }: Box): readonly Point[] => [
  { x: left, y: bottom },
  { x: right, y: bottom },
  { x: right, y: top },
  { x: left, y: top },
];

/** The bounds of a transformed box. */
export const transformBox = (matrix: Matrix, box: Box): Box =>
  boundsOf(corners(box).map(({ x, y }) => transform(matrix, x, y)));

/** True when the two share an area, not just an edge. */
export const overlaps = (one: Box, other: Box): boolean =>
  one.left < other.right && other.left < one.right && one.bottom < other.top && other.bottom < one.top;

export const contains = (outer: Box, inner: Box): boolean =>
  outer.left <= inner.left && outer.right >= inner.right && outer.bottom <= inner.bottom && outer.top >= inner.top;

/** The box made smaller by `margin` on each side, but never by more than a quarter of its extent. */
export const inset = (box: Box, margin: number): Box => {
  const x = Math.min(margin, (box.right - box.left) / 4);
  const y = Math.min(margin, (box.top - box.bottom) / 4);
  return { left: box.left + x, bottom: box.bottom + y, right: box.right - x, top: box.top - y };
};

export const createGeometry = (box: Box, rotation: Rotation): PageGeometry => {
  const width = box.right - box.left;
  const height = box.top - box.bottom;
  const turned = rotation === 90 || rotation === 270;
  return { box, rotation, width: turned ? height : width, height: turned ? width : height };
};

/** From user space to display space. */
export const toDisplay = ({ box, rotation }: PageGeometry): Matrix => {
  switch (rotation) {
    case 0:
      return [1, 0, 0, -1, -box.left, box.top];
    case 90:
      return [0, 1, 1, 0, -box.bottom, -box.left];
    case 180:
      return [-1, 0, 0, 1, box.right, -box.bottom];
    case 270:
      return [0, -1, -1, 0, box.top, box.right];
  }
};

/** From display space to user space. */
export const toUser = (geometry: PageGeometry): Matrix => {
  const { box, rotation } = geometry;
  switch (rotation) {
    case 0:
      return [1, 0, 0, -1, box.left, box.top];
    case 90:
      return [0, 1, 1, 0, box.left, box.bottom];
    case 180:
      return [-1, 0, 0, 1, box.right, box.bottom];
    case 270:
      return [0, -1, -1, 0, box.right, box.top];
  }
};

export const rectToBox = (geometry: PageGeometry, rect: Rect): Box => {
  const matrix = toUser(geometry);
  return boundsOf([
    transform(matrix, rect.left, rect.top),
    transform(matrix, rect.left + rect.width, rect.top + rect.height),
  ]);
};

export const boxToRect = (geometry: PageGeometry, box: Box): Rect => {
  const matrix = toDisplay(geometry);
  const { left, right, bottom, top } = boundsOf([
    transform(matrix, box.left, box.bottom),
    transform(matrix, box.right, box.top),
  ]);
  return { left, top: bottom, width: right - left, height: top - bottom };
};

/** True when the two share an area. */
export const rectsOverlap = (one: Rect, other: Rect): boolean =>
  one.left < other.left + other.width &&
  other.left < one.left + one.width &&
  one.top < other.top + other.height &&
  other.top < one.top + one.height;

/** What is left of a rect outside `holes`, as rects that do not overlap. */
export const subtractRects = (rect: Rect, holes: readonly Rect[]): readonly Rect[] => {
  let left: readonly Rect[] = [rect];
  for (const hole of holes)
    left = left.flatMap((one) => {
      if (!rectsOverlap(one, hole)) return [one];
      const right = one.left + one.width;
      const bottom = one.top + one.height;
      const top = Math.max(one.top, hole.top);
      const low = Math.min(bottom, hole.top + hole.height);
      const pieces: Rect[] = [
        { left: one.left, top: one.top, width: one.width, height: top - one.top },
        { left: one.left, top: low, width: one.width, height: bottom - low },
        { left: one.left, top, width: hole.left - one.left, height: low - top },
        { left: hole.left + hole.width, top, width: right - hole.left - hole.width, height: low - top },
      ];
      return pieces.filter(({ width, height }) => width > 1e-6 && height > 1e-6);
    });
  return left;
};
