/**
 * Which delimiters a file uses, judged by splitting its beginning with each candidate: the right one gives rows of one
 * width and no damage.
 *
 * Where no qualifier occurs in the beginning the usual one is taken and not "none": a value that is then qualified after
 * all is read right, and one that merely starts with the character is reported, while "none" would put qualifiers into
 * values without a word.
 */
import type { LoadFileLimits } from '../limits.ts';
import { isRejected } from '../problems.ts';
import type { DelimitedDialect, DelimitedFormat, DialectChoice } from './dialect.ts';
import { checkDialect, dialects } from './dialect.ts';
import type { Row } from './split-records.ts';
import { RecordSplitter } from './split-records.ts';

export interface DialectDetection {
  readonly dialect: DelimitedDialect;
  /** 0 to 1: the share of rows that fit, less what speaks for another delimiter. */
  readonly confidence: number;
  /** Sentences for people. */
  readonly reasons: readonly string[];
  /** The other delimiters that would split the file at all, best first. */
  readonly alternatives: readonly { readonly column: string; readonly score: number }[];
  /** Rows of the beginning, as a sample for further detection. */
  readonly rows: readonly Row[];
}

/** Characters of the beginning that are tried with every candidate. */
const trialChars = 65_536;

const columns: readonly { readonly column: string; readonly format: DelimitedFormat; readonly qualifiers: string }[] = [
  { column: '\u0014', format: 'dat', qualifiers: '\u00FE"' },
  { column: '\u00B6', format: 'dat', qualifiers: '\u00FE"' },
  { column: ',', format: 'csv', qualifiers: '"\u00FE' },
  { column: ';', format: 'csv', qualifiers: '"\u00FE' },
  { column: '\t', format: 'tsv', qualifiers: '"\u00FE' },
  { column: '|', format: 'pipe', qualifiers: '"\u00FE^~' },
  { column: '^', format: 'caret', qualifiers: '"\u00FE|~' },
];

interface Trial {
  readonly dialect: DelimitedDialect;
  readonly rows: readonly Row[];
  readonly width: number;
  readonly fitting: number;
  readonly qualified: number;
  readonly score: number;
}

const countOf = (text: string, wanted: string): number => {
  let count = 0;
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) count++;
  return count;
};

/** Occurrences of a qualifier where only an opening one stands: after a delimiter, or at the start of a line. */
const openings = (text: string, column: string, qualifier: string, lineBreak: string): number =>
  countOf(text, column + qualifier) + countOf(text, lineBreak + qualifier) + (text.startsWith(qualifier) ? 1 : 0);

const chooseQualifier = (
  text: string,
  column: string,
  qualifiers: string,
  lineBreak: string,
): { readonly qualifier: string; readonly count: number } => {
  let best = { qualifier: qualifiers.charAt(0), count: 0 };
  for (const qualifier of qualifiers) {
    const count = openings(text, column, qualifier, lineBreak);
    if (count > best.count) best = { qualifier, count };
  }
  return best;
};

/** The most frequent width, the larger of equals. */
const usualWidth = (rows: readonly Row[]): { readonly width: number; readonly count: number } => {
  const counts = new Map<number, number>();
  for (const row of rows) counts.set(row.cells.length, (counts.get(row.cells.length) ?? 0) + 1);
  let best = { width: 0, count: 0 };
  for (const [width, count] of counts) {
    if (count > best.count || (count === best.count && width > best.width)) best = { width, count };
  }
  return best;
};

const lineEndingOf = (text: string, lineBreak: '\n' | '\r'): DelimitedDialect['lineEnding'] => {
  if (lineBreak === '\r') return '\r';
  return countOf(text, '\r\n') * 2 >= countOf(text, '\n') && text.includes('\n') ? '\r\n' : '\n';
};

/** Whitespace at the ends means nothing; a lone delimiter character is shown by its number. */
const shown = (character: string | null): string => {
  if (character === null) return 'none';
  const code = character.codePointAt(0) ?? 0;
  const number = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
  return code > 0x20 && code < 0x7f ? `${character} (${number})` : number;
};

/**
 * Chooses the dialect of a text.
 * @param text the beginning of the file; only complete lines count unless `complete`.
 * @param choice what is stated and therefore not detected.
 */
export const detectDialect = (
  text: string,
  complete: boolean,
  lineBreak: '\n' | '\r',
  limits: LoadFileLimits,
  choice: DialectChoice = {},
): DialectDetection => {
  const whole = complete && text.length <= trialChars;
  const sample = text.length > trialChars ? text.slice(0, trialChars) : text;
  const lineEnding = choice.lineEnding ?? lineEndingOf(sample, lineBreak);
  const byFormat = columns.filter((candidate) => choice.format === undefined || candidate.format === choice.format);
  const candidates =
    choice.column === undefined
      ? byFormat
      : [
          columns.find((candidate) => candidate.column === choice.column) ?? {
            column: choice.column,
            format: choice.format ?? ('csv' as const),
            qualifiers: '"\u00FE',
          },
        ];
  const trials: Trial[] = [];
  for (const candidate of candidates) {
    if (candidates.length > 1 && !sample.includes(candidate.column)) continue;
    const found = chooseQualifier(sample, candidate.column, candidate.qualifiers, lineBreak);
    const qualifier = choice.qualifier === undefined ? found.qualifier : choice.qualifier;
    const format = choice.format ?? (qualifier === '\u00FE' ? 'dat' : candidate.format);
    const dialect = checkDialect({
      ...dialects[format],
      column: candidate.column,
      qualifier,
      ...(choice.newline === undefined ? {} : { newline: choice.newline }),
      ...(choice.multiValue === undefined ? {} : { multiValue: choice.multiValue }),
      ...(choice.nested === undefined ? {} : { nested: choice.nested }),
      lineEnding,
    });
    trials.push(tryDialect(sample, whole, dialect, lineBreak, limits, found.count));
  }
  trials.sort((a, b) => b.score - a.score);
  const best =
    trials[0] ??
    tryDialect(
      sample,
      whole,
      checkDialect({ ...dialects[choice.format ?? 'csv'], ...choice, format: choice.format ?? 'csv', lineEnding }),
      lineBreak,
      limits,
      0,
    );
  const second = trials[1]?.score ?? 0;
  const stated = choice.column !== undefined || (choice.format !== undefined && candidates.length === 1);
  const confidence = stated ? best.fitting : Math.max(0, Math.min(1, best.score) - Math.max(0, second) / 3);
  return {
    dialect: best.dialect,
    confidence: Math.round(confidence * 100) / 100,
    reasons: explain(best, stated),
    alternatives: trials
      .slice(1)
      .filter((trial) => trial.score > 0.05)
      .map((trial) => ({ column: trial.dialect.column, score: Math.round(trial.score * 100) / 100 })),
    rows: best.rows,
  };
};

const tryDialect = (
  sample: string,
  whole: boolean,
  dialect: DelimitedDialect,
  lineBreak: '\n' | '\r',
  limits: LoadFileLimits,
  qualified: number,
): Trial => {
  let { rows } = new RecordSplitter(dialect, limits, lineBreak).push(sample, whole);
  // A first line longer than the sample is better than nothing.
  if (rows.length === 0 && !whole) rows = new RecordSplitter(dialect, limits, lineBreak).push(sample, true).rows;
  const { width, count } = usualWidth(rows);
  if (rows.length === 0 || width === 0) return { dialect, rows, width: 0, fitting: 0, qualified, score: 0 };
  const damaged = rows.filter((row) => isRejected(row.problems)).length / rows.length;
  const fitting = count / rows.length;
  // U+0014 occurs in nothing but Concordance files; one column is what every wrong delimiter gives.
  const weight = dialect.column === '\u0014' ? 1.2 : 1;
  const score = width === 1 ? 0.02 : fitting * (1 - damaged) * (1 - 0.5 / width) * weight;
  return { dialect, rows, width, fitting, qualified, score };
};

const explain = (trial: Trial, stated: boolean): string[] => {
  const { dialect, rows, width, fitting, qualified } = trial;
  const percent = Math.round(fitting * 100);
  const reasons = [
    stated
      ? `The delimiter ${shown(dialect.column)} was stated.`
      : `With ${shown(dialect.column)} between cells, ${percent} % of the first ${rows.length} rows have ${width} cells.`,
  ];
  if (dialect.qualifier === null) reasons.push('No qualifier was stated.');
  else if (qualified > 0) reasons.push(`${shown(dialect.qualifier)} opens ${qualified} of the first cells.`);
  else reasons.push(`No qualifier occurs in the first rows; ${shown(dialect.qualifier)} is assumed.`);
  if (dialect.newline !== null) reasons.push(`${shown(dialect.newline)} stands for a line break within a cell.`);
  return reasons;
};
