/** The text that redactions take away, as PDFium reads it from the original. It never goes into a log or an error. */
import type { OpenDocument } from '../engine/open-document.ts';
import { readInkWithin } from '../engine/page-text.ts';
import { type Box, type Point } from '../geometry.ts';

/** The runs of text under the areas of one page: characters next to each other in reading order, line ends as spaces. */
export const readRemovedText = (
  document: OpenDocument,
  pageIndex: number,
  areas: readonly Box[],
): readonly string[] => {
  const holds = (point: Point): boolean =>
    areas.some(
      (area) => point.x >= area.left && point.x <= area.right && point.y >= area.bottom && point.y <= area.top,
    );
  const runs: string[] = [];
  let run = '';
  const finish = (): void => {
    const text = run.replaceAll(/\s+/g, ' ').trim();
    if (text !== '') runs.push(text);
    run = '';
  };
  for (const char of readInkWithin(document, pageIndex, areas)) {
    if (char === 'generated') {
      if (run !== '') run += ' ';
      continue;
    }
    if (char === 'outside') {
      finish();
      continue;
    }
    const centre = { x: (char.box.left + char.box.right) / 2, y: (char.box.bottom + char.box.top) / 2 };
    if (holds(centre)) run += char.text;
    else finish();
  }
  finish();
  return runs;
};

/** A string that must not stand anywhere in the output outside page content. */
export interface RemovedTerm {
  readonly text: string;
  /** A run of several words, or one word: a word counts as removed only when it stands nowhere in the text that is left. */
  readonly kind: 'run' | 'word';
}

const MIN_WORD = 4;

const fold = (text: string): string => text.normalize('NFKC').toLowerCase().replaceAll(/\s+/g, ' ').trim();

/** Runs, and the longer words in them, folded for comparison. */
export const listRemovedTerms = (runs: readonly string[]): readonly RemovedTerm[] => {
  const terms = new Map<string, RemovedTerm>();
  for (const run of runs) {
    const whole = fold(run);
    if (/[\p{L}\p{N}]/u.test(whole)) terms.set(whole, { text: whole, kind: whole.includes(' ') ? 'run' : 'word' });
  }
  for (const run of runs)
    for (const word of fold(run).match(/[\p{L}\p{N}][\p{L}\p{N}'@._-]*[\p{L}\p{N}]/gu) ?? [])
      if (word.length >= MIN_WORD && !terms.has(word)) terms.set(word, { text: word, kind: 'word' });
  return [...terms.values()];
};

const isWordChar = (char: string | undefined): boolean => char !== undefined && /[\p{L}\p{N}]/u.test(char);

/** Finds terms in texts; built once for many texts. */
export interface TermMatcher {
  /** The terms that stand in `text` as whole words. */
  find(text: string): readonly RemovedTerm[];
}

export const createTermMatcher = (terms: readonly RemovedTerm[]): TermMatcher => {
  // Terms are looked up by their first word, so that thousands of terms cost one pass over the text.
  const byFirst = new Map<string, RemovedTerm[]>();
  const odd: RemovedTerm[] = [];
  const firstWord = (text: string): string | undefined => /[\p{L}\p{N}]+/u.exec(text)?.[0];
  for (const term of terms) {
    const first = firstWord(term.text);
    if (first === undefined) odd.push(term);
    else byFirst.set(first, [...(byFirst.get(first) ?? []), term]);
  }
  return {
    find: (text) => {
      const folded = fold(text);
      const found = new Set<RemovedTerm>();
      for (const match of folded.matchAll(/[\p{L}\p{N}]+/gu)) {
        for (const term of byFirst.get(match[0]) ?? []) {
          const start = match.index - term.text.indexOf(match[0]);
          const end = start + term.text.length;
          if (start >= 0 && folded.startsWith(term.text, start) && !isWordChar(folded[end])) found.add(term);
        }
      }
      for (const term of odd) if (folded.includes(term.text)) found.add(term);
      return [...found];
    },
  };
};
