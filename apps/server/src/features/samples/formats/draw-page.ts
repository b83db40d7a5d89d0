/**
 * Pages as pictures of one bit a pixel, as scanners give them.
 *
 * - The letters are those of the PDF engine, rendered once a run; a page is then composed of them in about a millisecond, where rendering
 *   it as PDF would take fifty.
 */
import { CaseboundError } from '@casebound/contract';
import { createPdfEngine, locatePdfiumWasm, openDocument, renderPage } from '@casebound/pdf';
import { readFile } from 'node:fs/promises';
import { inflateSync } from 'node:zlib';
import { Random } from '../random.ts';
import type { Face } from './helvetica.ts';
import { widthOf } from './helvetica.ts';
import type { PageLayout } from './lay-out-text.ts';
import { portrait } from './lay-out-text.ts';
import { writeTextPdf } from './write-pdf.ts';

export const DPI = 200;

/** Rows from the top, each padded to bytes; a bit of 1 is white. */
export interface PageBitmap {
  readonly width: number;
  readonly height: number;
  readonly bits: Uint8Array;
}

/** Black pixels of a letter as pairs of x and y, from where it stands on its baseline. */
type Glyph = Int16Array;

/** Letters by face, size and code. */
export interface GlyphSet {
  glyph(face: Face, size: number, code: number): Glyph | undefined;
}

const FIRST_CODE = 32;
const CODES = 224;
const CELL = 70;
const COLUMNS = 24;
const ORIGIN_X = 14;
const ORIGIN_Y = 50;
const toPoints = (pixels: number): number => (pixels * 72) / DPI;
const toPixels = (points: number): number => Math.round((points * DPI) / 72);

interface Grey {
  readonly width: number;
  /** One byte a pixel. */
  readonly pixels: Uint8Array;
}

/** The first channel of a PNG of 8 bits whose rows have no filter or `Up`, as the PDF engine writes them. */
const readPng = (png: Uint8Array): Grey => {
  const bytes = Buffer.from(png.buffer, png.byteOffset, png.length);
  const width = bytes.readUInt32BE(16);
  const height = bytes.readUInt32BE(20);
  const channels = bytes[25] === 2 ? 3 : 1;
  const parts: Uint8Array[] = [];
  for (let at = 8; at < bytes.length; at += 12 + bytes.readUInt32BE(at)) {
    if (bytes.toString('latin1', at + 4, at + 8) === 'IDAT')
      parts.push(bytes.subarray(at + 8, at + 8 + bytes.readUInt32BE(at)));
  }
  const raw = inflateSync(Buffer.concat(parts));
  const stride = width * channels;
  const pixels = new Uint8Array(width * height);
  for (let row = 0; row < height; row += 1) {
    const start = row * (stride + 1);
    const filter = raw[start];
    if (filter !== 0 && filter !== 2)
      throw new CaseboundError('internal', 'The PDF engine wrote a PNG with a filter that samples do not know.');
    for (let column = 0; column < width; column += 1) {
      const above = filter === 2 && row > 0 ? (pixels[(row - 1) * width + column] ?? 0) : 0;
      pixels[row * width + column] = (raw[start + 1 + column * channels] ?? 0) + above;
    }
  }
  return { width, pixels };
};

const faces: readonly Face[] = ['regular', 'bold'];

/** A page with each letter in a cell of its own. */
const sheetOf = (size: number): PageLayout => ({
  shape: {
    ...portrait,
    width: toPoints(COLUMNS * CELL),
    height: toPoints(Math.ceil((faces.length * CODES) / COLUMNS) * CELL),
  },
  lines: faces.flatMap((face, faceIndex) =>
    Array.from({ length: CODES }, (_, index) => {
      const cell = faceIndex * CODES + index;
      const text = String.fromCharCode(FIRST_CODE + index);
      return {
        face,
        size,
        baseline: toPoints(Math.floor(cell / COLUMNS) * CELL + ORIGIN_Y),
        words: [{ text, left: toPoints((cell % COLUMNS) * CELL + ORIGIN_X), width: widthOf(text, face, size) }],
        text,
      };
    }),
  ),
});

const readGlyph = ({ width, pixels }: Grey, cell: number): Glyph => {
  const left = (cell % COLUMNS) * CELL;
  const top = Math.floor(cell / COLUMNS) * CELL;
  const points: number[] = [];
  for (let y = 0; y < CELL; y += 1)
    for (let x = 0; x < CELL; x += 1)
      if ((pixels[(top + y) * width + left + x] ?? 255) < 140) points.push(x - ORIGIN_X, y - ORIGIN_Y);
  return Int16Array.from(points);
};

/** Renders the letters of all sizes that pages use. Takes some tenths of a second. */
export const renderGlyphs = async (sizes: readonly number[]): Promise<GlyphSet> => {
  const engine = await createPdfEngine({ wasm: await readFile(locatePdfiumWasm()) });
  const pdf = writeTextPdf(sizes.map(sheetOf), { title: 'Letters', author: '', created: 0 });
  using document = openDocument(engine, pdf);
  const glyphs = new Map<string, readonly Glyph[]>();
  sizes.forEach((size, pageIndex) => {
    const grey = readPng(renderPage(document, pageIndex, { dpi: DPI }));
    faces.forEach((face, faceIndex) => {
      const own = Array.from({ length: CODES }, (_, index) => readGlyph(grey, faceIndex * CODES + index));
      glyphs.set(`${face}/${size}`, own);
    });
  });
  return { glyph: (face, size, code) => glyphs.get(`${face}/${size}`)?.[code - FIRST_CODE] };
};

const SPECKS = 60;

/** Draws a page, with a little dust; `key` decides where the dust lies. */
export const drawPage = ({ shape, lines }: PageLayout, glyphs: GlyphSet, key: string): PageBitmap => {
  const width = toPixels(shape.width);
  const height = toPixels(shape.height);
  const stride = (width + 7) >> 3;
  const bits = new Uint8Array(stride * height).fill(255);
  const blacken = (x: number, y: number): void => {
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    const at = y * stride + (x >> 3);
    bits[at] = (bits[at] ?? 0) & ~(128 >> (x & 7));
  };
  for (const { face, size, baseline, words } of lines) {
    const y = toPixels(baseline);
    for (const word of words) {
      let left = word.left;
      for (let index = 0; index < word.text.length; index += 1) {
        const letter = word.text.charAt(index);
        const glyph = glyphs.glyph(face, size, letter.charCodeAt(0));
        const x = toPixels(left);
        if (glyph !== undefined)
          for (let at = 0; at < glyph.length; at += 2) blacken(x + (glyph[at] ?? 0), y + (glyph[at + 1] ?? 0));
        left += widthOf(letter, face, size);
      }
    }
  }
  const random = new Random(key, 'dust');
  for (let speck = 0; speck < SPECKS; speck += 1) blacken(random.below(width), random.below(height));
  return { width, height, bits };
};
