/**
 * The catalogue of what can be wrong with a load file. Readers never throw because of a file's content: they report.
 *
 * - Every problem has a code of this table; what happens to the row follows from the code and is written nowhere else.
 * - `docs/load-files.md` lists this table; a test fails when it is stale.
 * - Values in problems are excerpts of bounded length, so that a report of a hostile file stays small.
 */

/**
 * What becomes of the row: `kept` as it is, `rejected` (delivered with what could be read of it, never to be imported),
 * `skipped` (not delivered, not counted as a row), or nothing at all because the problem is the `file`'s.
 */
export type RowFate = 'kept' | 'rejected' | 'skipped' | 'file';

/** `note`: worth knowing; `warning`: a value may not be what was meant; `error`: something is not usable. */
export type Severity = 'note' | 'warning' | 'error';

interface ProblemEntry {
  readonly severity: Severity;
  readonly row: RowFate;
  readonly meaning: string;
}

const entry = (severity: Severity, row: RowFate, meaning: string): ProblemEntry => ({ severity, row, meaning });

export const problemTable = {
  empty_file: entry('error', 'file', 'The file holds nothing, or nothing but blank lines and padding.'),
  header_only: entry('warning', 'file', 'The file has a header and no row.'),
  binary_file: entry('error', 'file', 'The bytes are no text in any supported encoding; nothing is read.'),
  unknown_format: entry('error', 'file', 'The text has the shape of no supported load file; nothing is read.'),
  encoding_assumed: entry(
    'warning',
    'file',
    'The file is neither marked nor valid UTF-8; it is read as Windows-1252 (or as UTF-16 without its mark).',
  ),
  mixed_encoding: entry(
    'warning',
    'kept',
    'This line is in another encoding than the rest: Windows-1252 within UTF-8, or UTF-8 within Windows-1252. It is read as what it is.',
  ),
  undecodable_bytes: entry(
    'warning',
    'kept',
    'Bytes on this line have no meaning in the encoding; U+FFFD stands in their place.',
  ),
  lone_surrogate: entry(
    'warning',
    'kept',
    'Half of a UTF-16 surrogate pair, which is no character; U+FFFD stands in its place.',
  ),
  truncated_character: entry('warning', 'kept', 'The file ends within a character; U+FFFD stands in its place.'),
  nul_character: entry(
    'warning',
    'kept',
    'A value contains U+0000, which databases refuse. The value is delivered as it is.',
  ),
  embedded_bom: entry(
    'note',
    'kept',
    'A byte-order mark at the start of a row, as when files are joined. It is dropped.',
  ),
  padding: entry(
    'note',
    'file',
    'NUL or Ctrl-Z characters at the start of a line, as programs leave them at the end of a file, are ignored.',
  ),
  unterminated_last_line: entry(
    'note',
    'kept',
    'The last line has no line break: the file may still be being written, or be cut short.',
  ),
  trailing_delimiter: entry(
    'note',
    'kept',
    'The row ends with a delimiter, as most rows of the file; the empty cell after it is dropped.',
  ),
  blank_line: entry('note', 'skipped', 'An empty line between rows is skipped.'),
  too_few_cells: entry(
    'error',
    'rejected',
    'The row has fewer cells than the header; which ones are missing cannot be known.',
  ),
  too_many_cells: entry(
    'error',
    'rejected',
    'The row has more cells than the header, as when a value contains an unprotected delimiter or line break.',
  ),
  stray_qualifier: entry(
    'warning',
    'kept',
    'A qualifier stands within a value without being doubled. It is taken as part of the value.',
  ),
  unterminated_qualifier: entry(
    'error',
    'rejected',
    'A qualifier is opened and never closed. The row ends with its line, and reading goes on with the next line.',
  ),
  record_too_long: entry(
    'error',
    'rejected',
    'The row is longer than the limit. Its text is skipped up to the next line.',
  ),
  too_many_columns: entry('error', 'rejected', 'The row has more cells than the limit. It is cut there.'),
  duplicate_header: entry('warning', 'file', 'Two columns have the same name; the later one gets a number.'),
  empty_header: entry('warning', 'file', 'A column has no name; it is named for its position.'),
  dialect_uncertain: entry(
    'warning',
    'file',
    'The delimiters could be read in more than one way; state them to be sure.',
  ),
  ambiguous_date: entry(
    'warning',
    'file',
    'Day and month of a date column can be read in either order; the mapping must say which.',
  ),
  conflicting_dates: entry(
    'warning',
    'file',
    'A column has dates that only fit day-month and dates that only fit month-day order.',
  ),
  invalid_number: entry('error', 'rejected', 'A cell that must hold a whole number holds something else.'),
  invalid_flag: entry('warning', 'kept', 'A break or boundary cell holds an unknown flag; it is taken as none.'),
  missing_key: entry('error', 'rejected', 'The record has no page or image key.'),
  missing_path: entry('error', 'rejected', 'The record names no file.'),
  page_count_mismatch: entry('warning', 'kept', 'A document has another number of pages than its first line states.'),
  page_without_document: entry(
    'warning',
    'kept',
    'Pages stand before the first document break; they are taken as a document.',
  ),
  unsupported_record: entry('note', 'kept', 'A record of a kind that is carried along but not understood.'),
  xml_malformed: entry(
    'error',
    'file',
    'The XML is not well-formed; reading stops here, and what was read so far stands.',
  ),
  xml_doctype_refused: entry(
    'error',
    'file',
    'The XML has a document type declaration, which load files never need and attacks do; nothing after it is read.',
  ),
  xml_too_deep: entry('error', 'file', 'The XML is nested deeper than the limit; reading stops here.'),
  xml_unknown_element: entry(
    'note',
    'kept',
    'An element that EDRM XML 1.2 does not have at this place is skipped with its content.',
  ),
  xml_missing_attribute: entry('error', 'rejected', 'A required attribute is missing; the element is not delivered.'),
  xml_not_edrm: entry('error', 'file', 'The root element is not that of EDRM XML.'),
} as const satisfies Record<string, ProblemEntry>;

export type ProblemCode = keyof typeof problemTable;

/** One thing that is wrong, where, and with which value. Plain data: it can be sent and stored as JSON. */
export interface LoadFileProblem {
  readonly code: ProblemCode;
  readonly severity: Severity;
  /** 1-based physical line at which the trouble starts; 0 when it is the file as a whole. */
  readonly line: number;
  /** 1-based cell, where there is one. */
  readonly cell?: number;
  /** Name of the column, where it is known. */
  readonly field?: string;
  /** The offending text, at most 200 characters of it. */
  readonly value?: string;
  /** A sentence about this occurrence. */
  readonly message: string;
}

const excerptLength = 200;

/**
 * Copies the start of a value. The copy matters: a slice would keep the whole chunk of the file in memory for as long as
 * somebody keeps the problem.
 */
export const excerpt = (value: string, length: number = excerptLength): string => {
  const cut = value.length > length ? `${value.slice(0, length)}…` : value;
  return Buffer.from(cut, 'utf16le').toString('utf16le');
};

/** Builds a problem; severity follows from the code. */
export const problemAt = (
  code: ProblemCode,
  line: number,
  message: string,
  at: { readonly cell?: number; readonly field?: string; readonly value?: string } = {},
): LoadFileProblem => ({
  code,
  severity: problemTable[code].severity,
  line,
  ...(at.cell === undefined ? {} : { cell: at.cell }),
  ...(at.field === undefined ? {} : { field: at.field }),
  ...(at.value === undefined ? {} : { value: excerpt(at.value) }),
  message,
});

/** Receives each problem as it is found, in the order of the file. */
export type ProblemSink = (problem: LoadFileProblem) => void;

/** True when a row with these problems must not be imported. */
export const isRejected = (problems: readonly LoadFileProblem[]): boolean =>
  problems.some((problem) => problemTable[problem.code].row === 'rejected');

/**
 * Counts every problem and keeps the first ones: memory does not grow with the number of problems.
 */
export class ProblemLog {
  readonly #limit: number;
  readonly #kept: LoadFileProblem[] = [];
  readonly #counts = new Map<ProblemCode, number>();

  /** @param limit how many problems are kept; all are counted. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  readonly add: ProblemSink = (problem) => {
    this.#counts.set(problem.code, (this.#counts.get(problem.code) ?? 0) + 1);
    if (this.#kept.length < this.#limit) this.#kept.push(problem);
  };

  get kept(): readonly LoadFileProblem[] {
    return this.#kept;
  }

  /** Occurrences by code, most frequent first. */
  counts(): { readonly code: ProblemCode; readonly count: number }[] {
    return [...this.#counts]
      .map(([code, count]) => ({ code, count }))
      .toSorted((a, b) => b.count - a.count || a.code.localeCompare(b.code));
  }

  get total(): number {
    let total = 0;
    for (const count of this.#counts.values()) total += count;
    return total;
  }
}
