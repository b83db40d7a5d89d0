/** The words of a document's visible text that are left after redaction. */
import type { OpenDocument } from '../engine/open-document.ts';
import { readInk } from '../engine/page-text.ts';
import type { Box } from '../geometry.ts';

const wordPattern = /[\p{L}\p{N}][\p{L}\p{N}'@._-]*/gu;

/** Folded words of all pages, without the characters whose centre lies in an area. Reads every page: ask only when needed. */
export const readRemainingWords = (
  document: OpenDocument,
  areas: (pageIndex: number) => readonly Box[],
): ReadonlySet<string> => {
  const words = new Set<string>();
  for (let pageIndex = 0; pageIndex < document.pageCount; pageIndex += 1) {
    const own = areas(pageIndex);
    let text = '';
    for (const char of readInk(document, pageIndex)) {
      const x = (char.box.left + char.box.right) / 2;
      const y = (char.box.bottom + char.box.top) / 2;
      const hidden =
        !char.generated && own.some((area) => x >= area.left && x <= area.right && y >= area.bottom && y <= area.top);
      text += hidden ? ' ' : char.text;
    }
    for (const match of text.normalize('NFKC').toLowerCase().matchAll(wordPattern)) {
      words.add(match[0]);
      // A term may be the word without its trailing punctuation, or a part of a compound.
      for (const part of match[0].match(/[\p{L}\p{N}]+/gu) ?? []) words.add(part);
      words.add(match[0].replace(/[^\p{L}\p{N}]+$/u, ''));
    }
    document.releasePage(pageIndex);
  }
  return words;
};
