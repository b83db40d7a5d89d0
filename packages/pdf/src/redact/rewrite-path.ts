/**
 * Takes the part of a path that lies under redactions out of it.
 *
 * - A subpath whose outline does not cross an area stays as it was, curves included: a background that surrounds an area has
 *   no outline there and says nothing about what was in it.
 * - A filled subpath that crosses is flattened and cut with boxes around the areas (Sutherland-Hodgman). Winding numbers outside
 *   the areas stay what they were, so compound paths keep their holes; both fill rules hold.
 * - A stroked subpath is flattened and its segments are cut; the area is widened by half the line.
 */
import { formatNumber } from '../cos/serialize.ts';
import { type Box, boundsOf, invert, type Matrix, overlaps, type Point, transform } from '../geometry.ts';

/** A segment in user space of the content stream. */
export type Segment =
  | { readonly kind: 'move' | 'line'; readonly to: Point }
  | { readonly kind: 'curve'; readonly c1: Point; readonly c2: Point; readonly to: Point }
  | { readonly kind: 'close' };

export interface PathPaint {
  readonly fill: 'nonzero' | 'evenodd' | undefined;
  readonly stroke: boolean;
  readonly close: boolean;
}

export const paintOf: Readonly<Record<string, PathPaint>> = {
  f: { fill: 'nonzero', stroke: false, close: false },
  F: { fill: 'nonzero', stroke: false, close: false },
  'f*': { fill: 'evenodd', stroke: false, close: false },
  S: { fill: undefined, stroke: true, close: false },
  s: { fill: undefined, stroke: true, close: true },
  B: { fill: 'nonzero', stroke: true, close: false },
  'B*': { fill: 'evenodd', stroke: true, close: false },
  b: { fill: 'nonzero', stroke: true, close: true },
  'b*': { fill: 'evenodd', stroke: true, close: true },
  n: { fill: undefined, stroke: false, close: false },
};

interface Subpath {
  readonly segments: readonly Segment[];
  /** Flattened, page user space. */
  readonly points: readonly Point[];
  readonly closed: boolean;
}

const CURVE_STEPS = 16;

const curvePoint = (from: Point, c1: Point, c2: Point, to: Point, t: number): Point => {
  const u = 1 - t;
  const [a, b, c, d] = [u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t];
  return { x: a * from.x + b * c1.x + c * c2.x + d * to.x, y: a * from.y + b * c1.y + c * c2.y + d * to.y };
};

const splitSubpaths = (segments: readonly Segment[], ctm: Matrix): readonly Subpath[] => {
  const subpaths: Subpath[] = [];
  let own: Segment[] = [];
  let points: Point[] = [];
  let current: Point = { x: 0, y: 0 };
  let start = current;
  const onPage = (point: Point): Point => transform(ctm, point.x, point.y);
  const finish = (closed: boolean): void => {
    if (own.length > 0) subpaths.push({ segments: own, points, closed });
    own = [];
    points = [];
  };
  for (const segment of segments) {
    if (segment.kind === 'close') {
      own.push(segment);
      finish(true);
      current = start;
      continue;
    }
    if (segment.kind === 'move') {
      finish(false);
      start = segment.to;
    } else if (own.length === 0) {
      // After a close, drawing goes on from the start of the closed subpath.
      own.push({ kind: 'move', to: current });
      points.push(onPage(current));
    }
    own.push(segment);
    if (segment.kind === 'curve')
      for (let step = 1; step <= CURVE_STEPS; step += 1)
        points.push(onPage(curvePoint(current, segment.c1, segment.c2, segment.to, step / CURVE_STEPS)));
    else points.push(onPage(segment.to));
    current = segment.to;
  }
  finish(false);
  return subpaths;
};

/** The part of a segment within a box as parameters [enter, leave]; undefined when it misses (Liang-Barsky). */
const clipSegment = (from: Point, to: Point, box: Box): readonly [number, number] | undefined => {
  let enter = 0;
  let leave = 1;
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const edges: readonly (readonly [number, number])[] = [
    [-dx, from.x - box.left],
    [dx, box.right - from.x],
    [-dy, from.y - box.bottom],
    [dy, box.top - from.y],
  ];
  for (const [direction, distance] of edges) {
    if (direction === 0) {
      if (distance <= 0) return undefined;
      continue;
    }
    const at = distance / direction;
    if (direction < 0) enter = Math.max(enter, at);
    else leave = Math.min(leave, at);
  }
  return leave - enter > 1e-9 ? [enter, leave] : undefined;
};

const outlineOf = ({ points, closed }: Subpath, filled: boolean): readonly Point[] => {
  const [first] = points;
  return first !== undefined && (closed || filled) ? [...points, first] : points;
};

const crosses = (outline: readonly Point[], box: Box): boolean => {
  if (outline.length === 0) return false;
  const [only] = outline;
  if (only !== undefined && outline.length === 1)
    return only.x > box.left && only.x < box.right && only.y > box.bottom && only.y < box.top;
  return outline.some((to, at) => {
    const from = outline[at - 1];
    return from !== undefined && clipSegment(from, to, box) !== undefined;
  });
};

type HalfPlane = (point: Point) => number;

const clipPolygon = (polygon: readonly Point[], keep: HalfPlane): readonly Point[] => {
  const out: Point[] = [];
  for (let at = 0; at < polygon.length; at += 1) {
    const from = polygon[at];
    const to = polygon[(at + 1) % polygon.length];
    if (from === undefined || to === undefined) continue;
    const a = keep(from);
    const b = keep(to);
    if (a >= 0) out.push(from);
    if ((a < 0 && b > 0) || (a > 0 && b < 0)) {
      const t = a / (a - b);
      out.push({ x: from.x + (to.x - from.x) * t, y: from.y + (to.y - from.y) * t });
    }
  }
  return out;
};

const widen = (box: Box, by: number): Box => ({
  left: box.left - by,
  bottom: box.bottom - by,
  right: box.right + by,
  top: box.top + by,
});

/**
 * What is left of `bounds` without the areas, as boxes that do not overlap: vertical slabs between the sides of the areas, each cut
 * into the intervals that no area covers.
 */
const complement = (bounds: Box, areas: readonly Box[]): readonly Box[] => {
  const xs = [bounds.left, bounds.right];
  for (const { left, right } of areas)
    for (const x of [left, right]) if (x > bounds.left && x < bounds.right) xs.push(x);
  xs.sort((one, other) => one - other);
  const cells: Box[] = [];
  for (let at = 1; at < xs.length; at += 1) {
    const left = xs[at - 1] ?? 0;
    const right = xs[at] ?? 0;
    if (!(right > left)) continue;
    const covering = areas
      .filter((area) => area.left < right && area.right > left)
      .sort((one, other) => one.bottom - other.bottom);
    let bottom = bounds.bottom;
    for (const area of covering) {
      if (area.bottom > bottom) cells.push({ left, right, bottom, top: Math.min(area.bottom, bounds.top) });
      bottom = Math.max(bottom, area.top);
    }
    if (bounds.top > bottom) cells.push({ left, right, bottom, top: bounds.top });
  }
  return cells.filter((cell) => cell.top > cell.bottom);
};

/** Cuts a polygon with each of the boxes around the areas; a part never leaves its box, so no edge runs through an area. */
const subtract = (polygon: readonly Point[], areas: readonly Box[]): readonly (readonly Point[])[] =>
  complement(widen(boundsOf(polygon), 1), areas)
    .map((cell) =>
      clipPolygon(
        clipPolygon(
          clipPolygon(
            clipPolygon(polygon, ({ x }) => x - cell.left),
            ({ x }) => cell.right - x,
          ),
          ({ y }) => y - cell.bottom,
        ),
        ({ y }) => cell.top - y,
      ),
    )
    .filter((part) => part.length > 2);

const subtractLine = (line: readonly Point[], box: Box): readonly (readonly Point[])[] => {
  const lines: Point[][] = [];
  let current: Point[] = [];
  const at = (from: Point, to: Point, t: number): Point => ({
    x: from.x + (to.x - from.x) * t,
    y: from.y + (to.y - from.y) * t,
  });
  line.forEach((to, index) => {
    const from = line[index - 1];
    if (from === undefined) {
      current = [to];
      return;
    }
    const inside = clipSegment(from, to, box);
    if (inside === undefined) {
      current.push(to);
      return;
    }
    const [enter, leave] = inside;
    if (enter > 1e-9) current.push(at(from, to, enter));
    if (current.length > 1) lines.push(current);
    current = leave < 1 - 1e-9 ? [at(from, to, leave), to] : [to];
    // The next segment starts within the area: begin anew where it leaves.
    if (leave >= 1 - 1e-9) current = [to];
  });
  if (current.length > 1) lines.push(current);
  return lines;
};

const format = ({ x, y }: Point): string => `${formatNumber(x)} ${formatNumber(y)}`;

const formatSegments = (segments: readonly Segment[]): string =>
  segments
    .map((segment) => {
      switch (segment.kind) {
        case 'move':
          return `${format(segment.to)} m`;
        case 'line':
          return `${format(segment.to)} l`;
        case 'curve':
          return `${format(segment.c1)} ${format(segment.c2)} ${format(segment.to)} c`;
        case 'close':
          return 'h';
      }
    })
    .join('\n');

export interface PathInput {
  readonly segments: readonly Segment[];
  readonly operator: string;
  /** `W` or `W*` when the path also becomes the clip. */
  readonly clip: string | undefined;
  readonly ctm: Matrix;
  readonly lineWidth: number;
}

/** The operators that paint what is left, or undefined when no outline crosses an area. */
export const rewritePath = (path: PathInput, areas: readonly Box[]): string | undefined => {
  const paint = paintOf[path.operator];
  if (paint === undefined) return undefined;
  const { fill, stroke } = paint;
  if (fill === undefined && !stroke && path.clip === undefined) return undefined;
  const scale = Math.sqrt(Math.abs(path.ctm[0] * path.ctm[3] - path.ctm[1] * path.ctm[2]));
  const half = stroke ? Math.max((path.lineWidth * scale) / 2, 0.01) : 0;
  const subpaths = splitSubpaths(path.segments, path.ctm).map((subpath, at, all) =>
    paint.close && at === all.length - 1 ? { ...subpath, closed: true } : subpath,
  );
  const near = areas.filter((area) =>
    subpaths.some(({ points }) => points.length > 0 && overlaps(widen(boundsOf(points), half + 1e-6), area)),
  );
  if (near.length === 0) return undefined;
  const back = invert(path.ctm);
  const fills = fill !== undefined || path.clip !== undefined;
  const crossingFill = subpaths.map((subpath) => fills && near.some((area) => crosses(outlineOf(subpath, true), area)));
  const crossingStroke = subpaths.map(
    (subpath) => stroke && near.some((area) => crosses(outlineOf(subpath, false), widen(area, half))),
  );
  if (![...crossingFill, ...crossingStroke].includes(true)) return undefined;
  if (back === undefined) return path.clip === undefined ? 'n' : '0 0 0 0 re W n';
  const toStream = (point: Point): Point => transform(back, point.x, point.y);
  const polygonText = (points: readonly Point[], close: boolean): string =>
    `${points.map((point, at) => `${format(toStream(point))} ${at === 0 ? 'm' : 'l'}`).join('\n')}${close ? '\nh' : ''}`;

  const parts: string[] = [];
  if (fills) {
    const body = subpaths.map((subpath, at) => {
      if (crossingFill[at] !== true) return formatSegments(subpath.segments);
      // Areas within the shape are cut out as well: the cuts for the others must not run through them.
      const polygons = subtract(subpath.points, near);
      return polygons.map((polygon) => polygonText(polygon, true)).join('\n');
    });
    const text = body.filter((part) => part !== '').join('\n');
    const clip = path.clip === undefined ? '' : `${path.clip} `;
    const painter = fill === undefined ? 'n' : fill === 'evenodd' ? 'f*' : 'f';
    if (text !== '') parts.push(`${text}\n${clip}${painter}`);
    else if (path.clip !== undefined) parts.push(`0 0 0 0 re ${clip}n`);
  }
  if (stroke) {
    const body = subpaths.map((subpath, at) => {
      if (crossingStroke[at] !== true)
        return `${formatSegments(subpath.segments)}${subpath.closed && subpath.segments.at(-1)?.kind !== 'close' ? '\nh' : ''}`;
      let lines: readonly (readonly Point[])[] = [outlineOf(subpath, false)];
      for (const area of near) lines = lines.flatMap((line) => subtractLine(line, widen(area, half)));
      return lines.map((line) => polygonText(line, false)).join('\n');
    });
    const text = body.filter((part) => part !== '').join('\n');
    // The stroke comes before the fill in `parts` only if a clip was set with it; a clip must come last.
    if (text !== '') {
      if (path.clip === undefined) parts.push(`${text}\nS`);
      else parts.unshift(`${text}\nS`);
    }
  }
  return parts.length === 0 ? 'n' : parts.join('\n');
};
