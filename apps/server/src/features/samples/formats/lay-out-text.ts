/**
 * Text on pages: where each word stands, before any format is written.
 *
 * - Coordinates are display space: points, origin at the top left of the page as shown, y downwards. PDF, bitmaps, page text and annotations all
 *   come from one layout, so they agree.
 * - Words are in Windows-1252, one character a byte; `text` of a line is what a reader of the page would type.
 */
import { ascent, descent, type Face, toWinAnsi, widthOf } from './helvetica.ts';

export interface Word {
  readonly text: string;
  readonly left: number;
  readonly width: number;
}

export interface Line {
  readonly face: Face;
  readonly size: number;
  /** Where the letters stand. */
  readonly baseline: number;
  readonly words: readonly Word[];
  readonly text: string;
}

/** How a page is turned and cut; see ISO 32000-2, 14.11.2. */
export interface PageShape {
  /** As shown. */
  readonly width: number;
  readonly height: number;
  readonly rotation: 0 | 90 | 180 | 270;
  /** Points of the media box around what is shown; 0 for a page without a crop box. */
  readonly cropped: number;
}

export interface PageLayout {
  readonly shape: PageShape;
  readonly lines: readonly Line[];
}

export interface Rect {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export const portrait: PageShape = { width: 612, height: 792, rotation: 0, cropped: 0 };

/** One paragraph; its line breaks stay. */
export interface Paragraph {
  readonly text: string;
  readonly face?: Face;
  readonly size?: number;
}

const MARGIN = 72;
/** Font sizes of all text. */
export const BODY_SIZE = 10.5;
export const HEADING_SIZE = 14;
const LEADING = 1.35;

const breakLines = (text: string, face: Face, size: number, available: number): readonly (readonly Word[])[] => {
  const space = widthOf(' ', face, size);
  const lines: Word[][] = [];
  for (const row of text.split('\n')) {
    let line: Word[] = [];
    let left = 0;
    for (const word of row.split(' ')) {
      if (word === '') continue;
      const encoded = toWinAnsi(word);
      const width = widthOf(encoded, face, size);
      if (line.length > 0 && left + width > available) {
        lines.push(line);
        line = [];
        left = 0;
      }
      line.push({ text: encoded, left: MARGIN + left, width });
      left += width + space;
    }
    lines.push(line);
  }
  return lines;
};

/**
 * Fills pages with paragraphs, in order. Ends when `next` gives none, or when `shapes` are used up; a paragraph that is on its last page is cut
 * there.
 */
export const layOutPages = (
  shapes: Iterable<PageShape>,
  next: (pageIndex: number) => Paragraph | undefined,
): readonly PageLayout[] => {
  const pages: PageLayout[] = [];
  let waiting: { readonly paragraph: Paragraph; readonly words: readonly Word[] }[] = [];
  for (const shape of shapes) {
    const lines: Line[] = [];
    let y = MARGIN;
    for (;;) {
      let head = waiting.shift();
      if (head === undefined) {
        const paragraph = next(pages.length);
        if (paragraph === undefined) break;
        const { text, face = 'regular', size = BODY_SIZE } = paragraph;
        const broken = breakLines(text, face, size, shape.width - 2 * MARGIN);
        waiting = [...broken, []].map((words) => ({ paragraph, words }));
        head = waiting.shift();
        if (head === undefined) break;
      }
      const { face = 'regular', size = BODY_SIZE } = head.paragraph;
      if (y + size * LEADING > shape.height - MARGIN) {
        waiting.unshift(head);
        break;
      }
      y += size * LEADING;
      if (head.words.length > 0) {
        lines.push({
          face,
          size,
          baseline: y,
          words: head.words,
          text: head.words.map(({ text }) => text).join(' '),
        });
      }
    }
    pages.push({ shape, lines });
    if (waiting.length === 0 && lines.length === 0 && pages.length > 1) {
      pages.pop();
      break;
    }
  }
  return pages;
};

const unicodeOf: Readonly<Record<string, string>> = {
  '\u0096': '–',
  '\u0097': '—',
  '\u0091': '‘',
  '\u0092': '’',
  '\u0093': '“',
  '\u0094': '”',
  '\u0085': '…',
  '\u0080': '€',
};

/** The text of a page, line by line. */
export const pageTextOf = ({ lines }: PageLayout): string =>
  lines.map(({ text }) => text.replaceAll(/[\u0080-\u009F]/gu, (code) => unicodeOf[code] ?? code)).join('\n');

const PAD = 0.3;

/** The box of words `from` up to and including `to` of a line; of the last one only `length` characters. */
const boxOf = (line: Line, from: number, to: number, length: number): Rect | undefined => {
  const first = line.words[from];
  const last = line.words[to];
  if (first === undefined || last === undefined) return undefined;
  const right = last.left + widthOf(last.text.slice(0, length), line.face, line.size);
  return {
    left: first.left - PAD,
    top: line.baseline - ascent * line.size - 1,
    width: right - first.left + 2 * PAD,
    height: (ascent + descent) * line.size + 2,
  };
};

/** Where a phrase stands on a page, a box for each line that it runs over; empty when it is not there. Boxes of each occurrence in turn. */
export const findPhrase = (page: PageLayout, phrase: string): readonly (readonly Rect[])[] => {
  const wanted = phrase.split(' ').map(toWinAnsi);
  const flat = page.lines.flatMap((line) => line.words.map((word, at) => ({ line, word, at })));
  const found: Rect[][] = [];
  for (let start = 0; start + wanted.length <= flat.length; start += 1) {
    const matches = wanted.every((text, at) => {
      const own = flat[start + at]?.word.text;
      return at === wanted.length - 1 ? own?.startsWith(text) === true : own === text;
    });
    if (!matches) continue;
    const rects: Rect[] = [];
    const run = flat.slice(start, start + wanted.length);
    for (let at = 0; at < run.length;) {
      const head = run[at];
      if (head === undefined) break;
      let end = at;
      while (run[end + 1]?.line === head.line) end += 1;
      const isLast = end === run.length - 1;
      const length = isLast ? (wanted.at(-1)?.length ?? 0) : Number.MAX_SAFE_INTEGER;
      const rect = boxOf(head.line, head.at, head.at + (end - at), length);
      if (rect !== undefined) rects.push(rect);
      at = end + 1;
    }
    found.push(rects);
  }
  return found;
};

/** The box of a whole line, as for highlights. */
export const lineBox = (line: Line): Rect | undefined => boxOf(line, 0, line.words.length - 1, Number.MAX_SAFE_INTEGER);
