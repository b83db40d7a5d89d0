/**
 * Takes glyphs out of a text-showing operation and keeps the others exactly where they were (ISO 32000-2, 9.4.3 and 9.4.4).
 *
 * - The place of what was removed is one adjustment, so single widths of removed glyphs are not kept.
 */
import type { GraphicsState } from '../content/graphics-state.ts';
import type { Glyph } from '../content/load-font.ts';
import { type CosObject, isKind } from '../cos/objects.ts';
import { formatNumber, formatString } from '../cos/serialize.ts';
import { type Box, boundsOf, type Matrix, multiply, overlaps, transform } from '../geometry.ts';
import { glyphIsUnder } from './areas.ts';

export interface ShowResult {
  /** The array of a `TJ` that replaces the operation; undefined when nothing was removed. */
  readonly replacement: string | undefined;
  readonly removed: number;
  /** How far the text matrix moves. */
  readonly shiftX: number;
  readonly shiftY: number;
}

interface Placed {
  readonly bytes: Uint8Array;
  readonly glyph: Glyph;
  /** Position along the writing direction before the glyph, and the advance, in unscaled text space. */
  readonly at: number;
  readonly advance: number;
}

type Piece = Placed | { readonly adjust: number };

/** Lays out `items` (strings and adjustments) and removes the glyphs under the areas. */
export const rewriteShow = (
  items: readonly CosObject[],
  state: GraphicsState,
  textMatrix: Matrix,
  areas: readonly Box[],
): ShowResult => {
  const { font, fontSize, scaling } = state;
  const along = font.vertical ? 1 : scaling;
  const pieces: Piece[] = [];
  let at = 0;
  let lowest = 0;
  let highest = 0;
  for (const item of items) {
    if (typeof item === 'number') {
      pieces.push({ adjust: item });
      at -= (item / 1000) * fontSize * along;
    } else if (isKind(item, 'string')) {
      for (const glyph of font.glyphs(item.bytes)) {
        const advance =
          (glyph.advance * fontSize + state.charSpacing + (glyph.isSpace ? state.wordSpacing : 0)) * along;
        pieces.push({ bytes: item.bytes, glyph, at, advance });
        at += advance;
      }
    }
    lowest = Math.min(lowest, at);
    highest = Math.max(highest, at);
  }
  const shift = font.vertical ? { shiftX: 0, shiftY: at } : { shiftX: at, shiftY: 0 };
  const unchanged: ShowResult = { replacement: undefined, removed: 0, ...shift };
  if (fontSize === 0 || pieces.length === 0 || areas.length === 0) return unchanged;

  // Size 1 text space, and that moved to the place of one glyph.
  const scale: Matrix = [fontSize * scaling, 0, 0, fontSize, 0, state.rise];
  const toPage = multiply(textMatrix, state.ctm);
  const matrixAt = (offset: number): Matrix =>
    multiply(scale, multiply(font.vertical ? [1, 0, 0, 1, 0, offset] : [1, 0, 0, 1, offset, 0], toPage));

  const margin = Math.abs(fontSize) * 2;
  const extent = [lowest - margin, highest + margin].flatMap((along1) =>
    [-margin, margin].map((across) =>
      font.vertical ? transform(toPage, across * scaling, along1) : transform(toPage, along1, across + state.rise),
    ),
  );
  const bounds = boundsOf(extent);
  const near = areas.filter((area) => overlaps(area, bounds));
  if (near.length === 0) return unchanged;

  const size = Math.abs(fontSize) * Math.hypot(toPage[2], toPage[3]);
  const isUnder = ({ glyph, at: offset }: Placed): boolean => {
    const matrix = multiply([1, 0, 0, 1, -glyph.offsetX, -glyph.offsetY], matrixAt(offset));
    return glyphIsUnder({ matrix, width: glyph.width, ascent: font.ascent, descent: font.descent, size }, near);
  };

  let removed = 0;
  let gap = 0;
  let run: number[] = [];
  const parts: string[] = [];
  const flushRun = (): void => {
    if (run.length > 0) parts.push(formatString(Uint8Array.from(run)));
    run = [];
  };
  const flushGap = (): void => {
    if (gap !== 0) parts.push(formatNumber(gap));
    gap = 0;
  };
  for (const piece of pieces) {
    if ('adjust' in piece) {
      flushRun();
      gap += piece.adjust;
      continue;
    }
    if (isUnder(piece)) {
      removed += 1;
      flushRun();
      gap -= ((piece.advance / along) * 1000) / fontSize;
      continue;
    }
    flushGap();
    run.push(...piece.bytes.subarray(piece.glyph.start, piece.glyph.start + piece.glyph.length));
  }
  flushRun();
  flushGap();
  return removed === 0 ? unchanged : { replacement: `[${parts.join(' ')}]`, removed, ...shift };
};
