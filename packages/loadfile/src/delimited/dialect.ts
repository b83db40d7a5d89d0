/**
 * How a delimited load file separates things.
 *
 * - Column delimiter and qualifier are single UTF-16 code units, so that a file can be split by scanning.
 * - No two of delimiter, qualifier, in-field newline and line break are the same character.
 */
import { CaseboundError } from '@casebound/contract';

/** The formats of rows and columns; a dialect with other characters belongs to the one it resembles most. */
export type DelimitedFormat = 'dat' | 'csv' | 'tsv' | 'pipe' | 'caret';

export interface DelimitedDialect {
  readonly format: DelimitedFormat;
  /** Between cells. */
  readonly column: string;
  /** Around cells; doubled within them; null for none. */
  readonly qualifier: string | null;
  /** Stands for a line break within a cell; null for none, then line breaks stand raw within qualifiers. */
  readonly newline: string | null;
  /** Between the values of a multi-value cell. */
  readonly multiValue: string;
  /** Between the levels of a nested value. */
  readonly nested: string;
  /** Ends rows on writing. On reading, `\n` and `\r\n` are the same. */
  readonly lineEnding: '\r\n' | '\n' | '\r';
}

/** Concordance and Relativity: U+0014, U+00FE, U+00AE, `;` and `\`. */
export const datDialect: DelimitedDialect = Object.freeze({
  format: 'dat',
  column: '\u0014',
  qualifier: '\u00FE',
  newline: '\u00AE',
  multiValue: ';',
  nested: '\\',
  lineEnding: '\r\n',
});

const like = (format: DelimitedFormat, column: string): DelimitedDialect =>
  Object.freeze({ ...datDialect, format, column, qualifier: '"', newline: null });

/** The usual dialect of each format. CSV is that of RFC 4180. */
export const dialects: Readonly<Record<DelimitedFormat, DelimitedDialect>> = Object.freeze({
  dat: datDialect,
  csv: like('csv', ','),
  tsv: like('tsv', '\t'),
  pipe: like('pipe', '|'),
  caret: like('caret', '^'),
});

/** What a caller may state about a file; the rest is detected, or taken from the usual dialect of `format`. */
export type DialectChoice = Partial<DelimitedDialect>;

const refuse = (detail: string): never => {
  throw new CaseboundError('validation_failed', detail);
};

const named = (character: string): string =>
  `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;

/** Checks that a dialect can be told apart. @throws CaseboundError `validation_failed` that names the member. */
export const checkDialect = (dialect: DelimitedDialect): DelimitedDialect => {
  const seen = new Map<string, string>([
    ['\n', 'the line break'],
    ['\r', 'the line break'],
    ['\0', 'padding'],
  ]);
  for (const name of ['column', 'qualifier', 'newline'] as const) {
    const value = dialect[name];
    if (value === null) continue;
    if (value.length !== 1 || !value.isWellFormed() || value === '\uFEFF' || value === '\u001A') {
      refuse(
        `The ${name} character of a dialect must be one character of the basic plane, not ${JSON.stringify(value)}.`,
      );
    }
    const other = seen.get(value);
    if (other !== undefined) refuse(`The ${name} character ${named(value)} of the dialect is also ${other}.`);
    seen.set(value, `the ${name} character`);
  }
  for (const name of ['multiValue', 'nested'] as const) {
    if (dialect[name] === '') refuse(`The ${name} separator of a dialect must not be empty.`);
  }
  return dialect;
};

/** The usual dialect of a format, with what the caller states instead. */
export const dialectOf = (format: DelimitedFormat, choice: DialectChoice = {}): DelimitedDialect =>
  checkDialect({ ...dialects[format], ...choice, format });
