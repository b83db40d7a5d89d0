/**
 * Whether the text of a page in a PDF can be relied upon. What people see is the picture; its text may be missing (scans), in codes that
 * nobody can map (fonts without a mapping), or in the wrong encoding.
 *
 * Thresholds were set on the sample documents: all of their pages of text are `good`, their scans `none`, and the same pages with
 * their mapping broken are told.
 */
import type { TextQuality } from './Port.ts';

/** Fewer marks than this say nothing: page numbers and stamps on scans. */
const MIN_MARKS = 12;
const MAX_UNMAPPED = 0.1;
const MAX_MOJIBAKE = 0.02;
const MIN_WORDY = 0.5;
const MIN_NOISE_MARKS = 40;

/** Replacement character, private use, controls, and the names that extractors give to glyphs without a mapping. */
const unmapped = /[\uFFFD\p{Co}\p{Cc}]|\(cid:\d+\)/gu;

/** UTF-8 read as Windows-1252: an accented letter shows as a pair that starts like this. */
const mojibake = /Ã[\u0080-\u00BF€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|Â[\u00A0-\u00BF]|â€[\u0080-\u00BF™œ“”˜¦¢žšŸ]?/gu;

const count = (text: string, pattern: RegExp): number => [...text.matchAll(pattern)].length;

/** Judges the text of one page. */
export const judgeText = (text: string): TextQuality => {
  const marks = text.replaceAll(/\s+/gu, '');
  const length = count(marks, /./gsu);
  if (length < MIN_MARKS) return 'none';
  if (count(marks, unmapped) / length > MAX_UNMAPPED) return 'unmapped';
  if (count(marks, mojibake) / length > MAX_MOJIBAKE) return 'mojibake';
  const wordy = count(marks, /[\p{L}\p{N}]/gu) / length;
  return length >= MIN_NOISE_MARKS && wordy < MIN_WORDY ? 'noise' : 'good';
};
