/**
 * Finds words and patterns on pages and says where they stand.
 *
 * - A match may run over line ends: they count as one space, and a word hyphenated across lines is found whole.
 * - Each match has one rect for each line that it touches, from the cells of its characters.
 */
import { CaseboundError } from '@casebound/contract';
import { type Box, boxToRect, type Rect } from '../geometry.ts';
import type { OpenDocument } from './open-document.ts';
import { type PageChar, readChars, readGeometry, solidCell } from './page-text.ts';

export interface TextMatch {
  readonly pageIndex: number;
  readonly text: string;
  readonly rects: readonly Rect[];
}

const escapePattern = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, String.raw`\$&`);

/**
 * The pattern of a query: `/regex/flags`, or a word or phrase, found without regard to case where it stands as whole words.
 * Throws `validation_failed`.
 */
export const parseQuery = (query: string): RegExp => {
  const delimited = /^\/(.+)\/([imsu]*)$/s.exec(query);
  try {
    if (delimited?.[1] !== undefined) return new RegExp(delimited[1], `g${(delimited[2] ?? '').replaceAll('g', '')}`);
    const words = query.trim().split(/\s+/).map(escapePattern);
    if (words.join('') === '') throw new CaseboundError('validation_failed', 'The search text is empty.');
    return new RegExp(
      String.raw`(?<![\p{L}\p{N}])${words.map((w) => w.replaceAll(String.raw`\-`, '-')).join(String.raw`\s+`)}(?![\p{L}\p{N}])`,
      'giu',
    );
  } catch (error) {
    if (error instanceof CaseboundError) throw error;
    throw new CaseboundError(
      'validation_failed',
      `The search pattern is not a valid regular expression: ${error instanceof Error ? error.message : 'it cannot be parsed'}.`,
    );
  }
};

/** The searchable text of a page; `index[i]` is the character that position i comes from. */
const flatten = (chars: readonly PageChar[]): { text: string; index: readonly number[] } => {
  let text = '';
  const index: number[] = [];
  chars.forEach((char, at) => {
    const isBreak = char.text === '\r' || char.text === '\n';
    const shown =
      char.text === '\r'
        ? ''
        : isBreak
          ? chars[at - 1]?.text === '' || chars[at - 2]?.text === ''
            ? ''
            : ' '
          : char.text;
    for (let unit = 0; unit < shown.length; unit += 1) index.push(at);
    text += shown;
  });
  return { text, index };
};

/** True when `next` continues the line of `bounds`. */
const continues = (bounds: Box, next: Box): boolean => {
  const overlapY = Math.min(bounds.top, next.top) - Math.max(bounds.bottom, next.bottom);
  const overlapX = Math.min(bounds.right, next.right) - Math.max(bounds.left, next.left);
  const height = Math.min(bounds.top - bounds.bottom, next.top - next.bottom);
  const width = Math.min(bounds.right - bounds.left, next.right - next.left);
  const gapX = -overlapX;
  const gapY = -overlapY;
  return (overlapY > height / 2 && gapX < 3 * height) || (overlapX > width / 2 && gapY < 3 * width);
};

const rectsOf = (chars: readonly PageChar[]): readonly Box[] => {
  const boxes: Box[] = [];
  for (const char of chars) {
    if (char.generated || char.text.trim() === '') continue;
    const cell = solidCell(char);
    const last = boxes.at(-1);
    if (last !== undefined && continues(last, cell))
      boxes[boxes.length - 1] = {
        left: Math.min(last.left, cell.left),
        bottom: Math.min(last.bottom, cell.bottom),
        right: Math.max(last.right, cell.right),
        top: Math.max(last.top, cell.top),
      };
    else boxes.push(cell);
  }
  return boxes;
};

/** All matches on one page. */
export const searchPage = (document: OpenDocument, pageIndex: number, pattern: RegExp): readonly TextMatch[] => {
  const chars = readChars(document, pageIndex);
  const geometry = readGeometry(document, pageIndex);
  const { text, index } = flatten(chars);
  const matches: TextMatch[] = [];
  for (const found of text.matchAll(pattern)) {
    if (found[0] === '') continue;
    const touched = [...new Set(index.slice(found.index, found.index + found[0].length))];
    const matched = touched.flatMap((at) => chars[at] ?? []);
    const rects = rectsOf(matched).map((box) => boxToRect(geometry, box));
    if (rects.length > 0) matches.push({ pageIndex, text: found[0], rects });
  }
  return matches;
};

/** All matches of `query` (see `parseQuery`) in the document, page by page. */
export const searchText = (document: OpenDocument, query: string): readonly TextMatch[] => {
  const pattern = parseQuery(query);
  const matches: TextMatch[] = [];
  for (let pageIndex = 0; pageIndex < document.pageCount; pageIndex += 1) {
    matches.push(...searchPage(document, pageIndex, pattern));
    document.releasePage(pageIndex);
  }
  return matches;
};
