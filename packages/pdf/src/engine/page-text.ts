/** Sizes and text of pages, with boxes, as PDFium reads them. Coordinates are display space; see `geometry.ts`. */
import { CaseboundError } from '@casebound/contract';
import {
  type Box,
  boxToRect,
  createGeometry,
  type PageGeometry,
  type Point,
  type Rect,
  type Rotation,
} from '../geometry.ts';
import type { OpenDocument } from './open-document.ts';

/** A character of a page. Generated characters (spaces and line ends between runs) have no box. */
export interface PageChar {
  /** One code point; empty for a hyphen that only joins two lines. */
  readonly text: string;
  readonly generated: boolean;
  /** The ink, user space. */
  readonly box: Box;
  /** The cell: advance by ascent and descent, user space. */
  readonly cell: Box;
  /** Where the glyph starts on its baseline, user space. */
  readonly origin: Point;
}

export interface TextLine {
  readonly text: string;
  readonly rect: Rect;
}

export interface PageText {
  readonly pageIndex: number;
  readonly width: number;
  readonly height: number;
  readonly text: string;
  readonly lines: readonly TextLine[];
}

const rotations: readonly Rotation[] = [0, 90, 180, 270];

/** The visible box and rotation of a page. */
export const readGeometry = (document: OpenDocument, pageIndex: number): PageGeometry => {
  const page = document.page(pageIndex);
  return document.engine.call('measure a page', (native, heap) =>
    heap.scope((allocate) => {
      const target = allocate(16);
      if (!native.FPDF_GetPageBoundingBox(page, target))
        throw new CaseboundError('pdf_damaged', `The page with index ${pageIndex} has no size.`);
      // FS_RECTF { left, top, right, bottom }
      const [left, top, right, bottom] = [0, 4, 8, 12].map((offset) => heap.float32(target + offset));
      if (left === undefined || top === undefined || right === undefined || bottom === undefined)
        throw new CaseboundError('pdf_damaged', `The page with index ${pageIndex} has no size.`);
      return createGeometry({ left, bottom, right, top }, rotations[native.FPDFPage_GetRotation(page) % 4] ?? 0);
    }),
  );
};

const SOFT_HYPHEN_MARK = 2;
const nowhere: Box = { left: 0, bottom: 0, right: 0, top: 0 };
const noOrigin: Point = { x: 0, y: 0 };

/** What PDFium calls a character: the hyphen of a word broken across lines has the code 2, an unmapped glyph the code 0. */
const shownOf = (unicode: number): string =>
  unicode === SOFT_HYPHEN_MARK
    ? ''
    : unicode === 0
      ? '\uFFFD'
      : String.fromCodePoint(unicode >>> 0 > 0x10ffff ? 0xfffd : unicode);

/** A character without its cell, which costs as much to read as the rest. */
export type InkChar = Omit<PageChar, 'cell'>;

/** A character with its place in PDFium's list, by which more can be asked about it. */
export type IndexedChar = InkChar & { readonly index: number };

/** What stands between characters: one that PDFium generated, or any number that are not asked for. */
export type Between = 'generated' | 'outside';

const isIn = (x: number, y: number, areas: readonly Box[]): boolean =>
  areas.some((area) => x >= area.left && x <= area.right && y >= area.bottom && y <= area.top);

/** Calls `each` for every character; it gives the object to keep. */
const scanInk = (
  document: OpenDocument,
  pageIndex: number,
  generated: (text: () => string) => void,
  drawn: (index: number, text: () => string, numbers: Float64Array, at: number) => void,
): void => {
  const text = document.textPage(pageIndex);
  document.engine.call('read the text of a page', (native, heap, runtime) =>
    heap.scope((allocate) => {
      const hot = runtime.wasmExports;
      const count = native.FPDFText_CountChars(text);
      const target = allocate(48);
      let doubles = runtime.HEAPF64;
      for (let index = 0; index < count; index += 1) {
        const shown = (): string => shownOf(hot.FPDFText_GetUnicode(text, index));
        if (hot.FPDFText_IsGenerated(text, index) === 1) {
          generated(shown);
          continue;
        }
        // FPDFText_GetCharBox(left, right, bottom, top) in doubles, then the origin.
        hot.FPDFText_GetCharBox(text, index, target, target + 8, target + 16, target + 24);
        hot.FPDFText_GetCharOrigin(text, index, target + 32, target + 40);
        // The heap may have grown.
        if (doubles.length === 0) doubles = runtime.HEAPF64;
        drawn(index, shown, doubles, target >>> 3);
      }
    }),
  );
};

const inkOf = (text: string, numbers: Float64Array, at: number): InkChar => ({
  text,
  generated: false,
  box: {
    left: numbers[at] ?? Number.NaN,
    right: numbers[at + 1] ?? Number.NaN,
    bottom: numbers[at + 2] ?? Number.NaN,
    top: numbers[at + 3] ?? Number.NaN,
  },
  origin: { x: numbers[at + 4] ?? Number.NaN, y: numbers[at + 5] ?? Number.NaN },
});

/** All characters of a page in reading order of the content, with their ink. The place in the list is PDFium's index. */
export const readInk = (document: OpenDocument, pageIndex: number): readonly InkChar[] => {
  const chars: InkChar[] = [];
  scanInk(
    document,
    pageIndex,
    (text) => chars.push({ text: text(), generated: true, box: nowhere, origin: noOrigin }),
    (_index, text, numbers, at) => chars.push(inkOf(text(), numbers, at)),
  );
  return chars;
};

/** The characters whose origin or centre lies in an area (user space), in reading order, with what stands between them. */
export const readInkWithin = (
  document: OpenDocument,
  pageIndex: number,
  areas: readonly Box[],
): readonly (IndexedChar | Between)[] => {
  const found: (IndexedChar | Between)[] = [];
  scanInk(
    document,
    pageIndex,
    () => {
      if (found.at(-1) !== 'generated') found.push('generated');
    },
    (index, text, numbers, at) => {
      const x = ((numbers[at] ?? 0) + (numbers[at + 1] ?? 0)) / 2;
      const y = ((numbers[at + 2] ?? 0) + (numbers[at + 3] ?? 0)) / 2;
      if (isIn(x, y, areas) || isIn(numbers[at + 4] ?? 0, numbers[at + 5] ?? 0, areas))
        found.push({ ...inkOf(text(), numbers, at), index });
      else if (found.at(-1) !== 'outside') found.push('outside');
    },
  );
  return found;
};

/** The cells of some characters, by PDFium's index; undefined where the font gives none. */
export const readCells = (
  document: OpenDocument,
  pageIndex: number,
  indexes: readonly number[],
): readonly (Box | undefined)[] => {
  const text = document.textPage(pageIndex);
  return document.engine.call('read the text of a page', (_native, heap, runtime) =>
    heap.scope((allocate) => {
      const target = allocate(16);
      // FS_RECTF { left, top, right, bottom } in floats.
      return indexes.map((index) =>
        runtime.wasmExports.FPDFText_GetLooseCharBox(text, index, target) === 0
          ? undefined
          : {
              left: heap.float32(target),
              top: heap.float32(target + 4),
              right: heap.float32(target + 8),
              bottom: heap.float32(target + 12),
            },
      );
    }),
  );
};

/** All characters of a page in reading order of the content, with their boxes. */
export const readChars = (document: OpenDocument, pageIndex: number): readonly PageChar[] => {
  const ink = readInk(document, pageIndex);
  const drawn = ink.flatMap(({ generated }, index) => (generated ? [] : [index]));
  const cells = new Map(readCells(document, pageIndex, drawn).map((cell, at) => [drawn[at], cell]));
  return ink.map((char, index) => ({ ...char, cell: cells.get(index) ?? char.box }));
};

const union = (one: Box, other: Box): Box => ({
  left: Math.min(one.left, other.left),
  bottom: Math.min(one.bottom, other.bottom),
  right: Math.max(one.right, other.right),
  top: Math.max(one.top, other.top),
});

/** The cell of a character, or its ink where the font gives no usable cell. */
export const solidCell = ({ cell, box }: PageChar): Box =>
  cell.right - cell.left > 0.01 && cell.top - cell.bottom > 0.01 ? cell : box;

/** Groups characters into lines, as PDFium breaks them. */
const readLines = (geometry: PageGeometry, chars: readonly PageChar[]): readonly TextLine[] => {
  const lines: TextLine[] = [];
  let text = '';
  let bounds: Box | undefined;
  const finish = (): void => {
    if (bounds !== undefined && text.trim() !== '')
      lines.push({ text: text.trimEnd(), rect: boxToRect(geometry, bounds) });
    text = '';
    bounds = undefined;
  };
  for (const char of chars) {
    if (char.generated && (char.text === '\r' || char.text === '\n')) {
      finish();
      continue;
    }
    text += char.text;
    if (!char.generated) bounds = bounds === undefined ? solidCell(char) : union(bounds, solidCell(char));
  }
  finish();
  return lines;
};

/** The text of a page with the boxes of its lines. Lines end with `\n`. Throws `pdf_page_out_of_range`. */
export const readPageText = (document: OpenDocument, pageIndex: number): PageText => {
  const geometry = readGeometry(document, pageIndex);
  const chars = readChars(document, pageIndex);
  return {
    pageIndex,
    width: geometry.width,
    height: geometry.height,
    text: chars
      .map((char) => char.text)
      .join('')
      .replaceAll('\r\n', '\n'),
    lines: readLines(geometry, chars),
  };
};
