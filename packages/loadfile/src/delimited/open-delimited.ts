/**
 * A delimited load file, open for reading: encoding, dialect and header decided, rows to come.
 *
 * - Every row that is delivered without a rejecting problem has exactly as many cells as there are columns.
 * - Rows come in batches of one chunk of the file each; no more than that and one incomplete row is held.
 * - Problems go to `onProblem` in the order of the file, those of rows as well as those of the file.
 * - Content never throws. Wrong options do, and what the source throws passes through.
 */
import type { DecodedText } from '../input/decode-text.ts';
import type { ByteSource } from '../input/byte-input.ts';
import { createFlawReporter } from '../input/report-flaws.ts';
import type { TextSample } from '../input/text-input.ts';
import { TextInput } from '../input/text-input.ts';
import type { LoadFileLimits } from '../limits.ts';
import { completeLimits } from '../limits.ts';
import type { LoadFileProblem, ProblemCode, ProblemSink } from '../problems.ts';
import { isRejected, problemAt } from '../problems.ts';
import type { DialectDetection } from './detect-dialect.ts';
import { detectDialect } from './detect-dialect.ts';
import type { HeaderDetection } from './detect-header.ts';
import { detectHeader } from './detect-header.ts';
import type { DelimitedDialect, DialectChoice } from './dialect.ts';
import type { Row } from './split-records.ts';
import { RecordSplitter } from './split-records.ts';

export interface DelimitedOptions {
  /** Overrides detection; any label of the WHATWG Encoding Standard. */
  readonly encoding?: string;
  /** What is stated of the dialect; the rest is detected. */
  readonly dialect?: DialectChoice;
  /** Whether the first row names the columns; detected if absent. */
  readonly header?: boolean;
  readonly limits?: Partial<LoadFileLimits>;
  readonly onProblem?: ProblemSink;
}

export interface Column {
  /** 0-based place in a row's cells. */
  readonly index: number;
  /** The name in the file, trimmed; empty if there is none. */
  readonly header: string;
  /** A name that no other column of the file has, without regard to case. */
  readonly name: string;
}

const named = (cells: readonly string[], hasHeader: boolean, report: ProblemSink, line: number): Column[] => {
  const taken = new Set<string>();
  return cells.map((cell, index) => {
    const header = hasHeader ? cell.trim() : '';
    const base = header === '' ? `Column ${index + 1}` : header;
    let name = base;
    for (let number = 2; taken.has(name.toLowerCase()); number++) name = `${base} (${number})`;
    taken.add(name.toLowerCase());
    if (hasHeader && header === '') {
      report(
        problemAt('empty_header', line, `Column ${index + 1} has no name; it is called ${name}.`, { cell: index + 1 }),
      );
    } else if (name !== base) {
      const message = `Column ${index + 1} has the name of another column; it is called ${name}.`;
      report(problemAt('duplicate_header', line, message, { cell: index + 1, value: header }));
    }
    return { index, header, name };
  });
};

/** The width of most rows of the beginning; 0 when there is none. */
const widthOf = (rows: readonly Row[]): number => {
  const counts = new Map<number, number>();
  for (const row of rows) {
    if (!isRejected(row.problems)) counts.set(row.cells.length, (counts.get(row.cells.length) ?? 0) + 1);
  }
  return [...counts].toSorted((a, b) => b[1] - a[1] || b[0] - a[0])[0]?.[0] ?? 0;
};

export class DelimitedReader {
  readonly detection: DialectDetection;
  readonly headerDetection: HeaderDetection;
  /** How the encoding was decided. */
  readonly encodingReason: string;
  readonly hasBom: boolean;

  readonly #text: TextInput;
  readonly #splitter: RecordSplitter;
  readonly #pieces: AsyncGenerator<DecodedText & { readonly final: boolean }>;
  readonly #report: ProblemSink;
  readonly #reportFlaws: ReturnType<typeof createFlawReporter>;
  readonly #sampleWidth: number;
  #columns: readonly Column[] | undefined;
  /** The header ends with a delimiter. */
  #trailingDelimiter = false;
  /** Rows may end with a delimiter. */
  #rowsTrail = false;
  #first: Row[] = [];
  #rowsRead = 0;
  #ended = false;

  private constructor(
    text: TextInput,
    sample: TextSample,
    lineBreak: '\n' | '\r',
    detection: DialectDetection,
    headerDetection: HeaderDetection,
    limits: LoadFileLimits,
    report: ProblemSink,
  ) {
    this.detection = detection;
    this.headerDetection = headerDetection;
    this.encodingReason = sample.guess.reason;
    this.hasBom = sample.guess.bomBytes > 0;
    this.#text = text;
    this.#report = report;
    this.#reportFlaws = createFlawReporter(report);
    const firstRecord = headerDetection.header ? 0 : 1;
    this.#splitter = new RecordSplitter(detection.dialect, limits, lineBreak, firstRecord);
    this.#pieces = text.pieces(lineBreak);
    this.#sampleWidth = widthOf(detection.rows.slice(firstRecord === 0 ? 1 : 0));
  }

  /** Opens a file: reads its beginning and its header. @throws CaseboundError `validation_failed` for wrong options. */
  static async open(source: ByteSource, options: DelimitedOptions = {}): Promise<DelimitedReader> {
    const limits = completeLimits(options.limits);
    return await DelimitedReader.openText(new TextInput(source, limits, options.encoding), limits, options);
  }

  /** As `open`, for text input that has been looked at already. */
  static async openText(text: TextInput, limits: LoadFileLimits, options: DelimitedOptions): Promise<DelimitedReader> {
    const report = options.onProblem ?? (() => undefined);
    const sample = await text.sample();
    const choice = options.dialect ?? {};
    const stated = choice.lineEnding === '\r' ? '\r' : '\n';
    const lineBreak = choice.lineEnding === undefined ? sample.lineBreak : stated;
    const detection = detectDialect(sample.text, sample.complete, lineBreak, limits, choice);
    const headerDetection =
      options.header === undefined
        ? detectHeader(detection.rows)
        : { header: options.header, reason: options.header ? 'A header was stated.' : 'No header was stated.' };
    const reader = new DelimitedReader(text, sample, lineBreak, detection, headerDetection, limits, report);
    if (sample.guess.binary) {
      const message = 'The file is not text; a load file is expected.';
      report(problemAt('binary_file', 0, message));
      await reader.close();
      reader.#columns = [];
      reader.#ended = true;
      return reader;
    }
    if (!sample.guess.fixed && sample.encoding.startsWith('utf-16')) {
      report(
        problemAt('encoding_assumed', 0, `The file has ${sample.guess.reason}; it is read as ${sample.encoding}.`),
      );
    }
    const tried = detection.rows.length > 0 && choice.column === undefined;
    if (tried && detection.confidence < 0.5) {
      const message = `The delimiters are not certain (confidence ${detection.confidence}). ${detection.reasons[0] ?? ''}`;
      report(problemAt('dialect_uncertain', 0, message.trim()));
    }
    await reader.#readHeader();
    return reader;
  }

  get dialect(): DelimitedDialect {
    return this.detection.dialect;
  }

  /** True when the first row of the file named the columns. */
  get hasHeader(): boolean {
    return this.headerDetection.header;
  }

  get columns(): readonly Column[] {
    return this.#columns ?? [];
  }

  /** The encoding as known so far: a later byte may turn `utf-8` into `windows-1252`. */
  get encoding(): string {
    return this.#text.encoding;
  }

  get bytesRead(): number {
    return this.#text.bytesRead;
  }

  /** Rows delivered so far, rejected ones included, the header not. */
  get rowsRead(): number {
    return this.#rowsRead;
  }

  /** Rows in order, a chunk of the file at a time. Can be called once; stopping early lets go of the source. */
  async *batches(): AsyncGenerator<readonly Row[]> {
    try {
      if (this.#first.length > 0) {
        const first = this.#first;
        this.#first = [];
        yield this.#check(first);
      }
      for (let rows = await this.#nextRows(); rows !== undefined; rows = await this.#nextRows()) {
        if (rows.length > 0) yield this.#check(rows);
      }
    } finally {
      await this.close();
    }
  }

  /** Rows in order, one by one. */
  async *rows(): AsyncGenerator<Row> {
    for await (const batch of this.batches()) yield* batch;
  }

  async close(): Promise<void> {
    this.#ended = true;
    await this.#pieces.return(undefined);
    await this.#text.close();
  }

  async #readHeader(): Promise<void> {
    while (this.#columns === undefined) {
      const rows = await this.#nextRows();
      if (rows === undefined) return;
      const [first] = rows;
      if (first === undefined) continue;
      this.#first = this.hasHeader ? rows.slice(1) : rows;
      this.#setColumns(first);
    }
  }

  #setColumns(first: Row): void {
    if (!this.hasHeader) {
      const width = isRejected(first.problems) || this.#sampleWidth > 0 ? this.#sampleWidth : first.cells.length;
      const cells = Array.from({ length: Math.max(width, 1) }, () => '');
      this.#columns = named(cells, false, this.#report, first.line);
      return;
    }
    for (const problem of first.problems) this.#report(problem);
    const cells = [...first.cells];
    const last = cells.length - 1;
    const lastIsUsed = this.detection.rows.slice(1).some((row) => (row.cells[last] ?? '') !== '');
    if (last > 0 && cells[last] === '' && !lastIsUsed) {
      cells.pop();
      this.#trailingDelimiter = true;
      const message = 'The header ends with a delimiter; the empty cell after it, here and in rows, is dropped.';
      this.#report(problemAt('trailing_delimiter', first.line, message));
    }
    this.#columns = named(cells, true, this.#report, first.line);
    this.#rowsTrail = this.#trailingDelimiter || this.#mostRowsTrail(cells.length);
  }

  /**
   * Whether rows end with a delimiter that the header lacks. In a file where most do not, an empty cell too many means that a value with an
   * unprotected delimiter shifted the row, whose last column happens to be empty.
   */
  #mostRowsTrail(width: number): boolean {
    const rows = this.detection.rows.slice(1);
    const trailing = rows.filter(({ cells }) => cells.length === width + 1 && cells[width] === '');
    return trailing.length * 2 > rows.length;
  }

  async #nextRows(): Promise<Row[] | undefined> {
    if (this.#ended) return undefined;
    const next = await this.#pieces.next();
    if (next.done === true) {
      this.#ended = true;
      return undefined;
    }
    const { text, flaws, final } = next.value;
    if (flaws.length > 0) this.#reportFlaws(flaws, this.#splitter.lineOfNextPiece());
    const { rows, asides } = this.#splitter.push(text, final);
    for (const aside of asides) this.#report(aside);
    if (final) this.#reportEnd(rows);
    return rows;
  }

  #reportEnd(rows: readonly Row[]): void {
    const delivered = this.#rowsRead + this.#first.length + rows.length;
    if (this.#columns === undefined && delivered === 0) {
      this.#report(problemAt('empty_file', 0, 'The file holds no row.'));
    } else if (this.hasHeader && delivered === (this.#columns === undefined ? 1 : 0)) {
      this.#report(problemAt('header_only', 0, 'The file has a header and no row.'));
    }
  }

  #check(rows: readonly Row[]): readonly Row[] {
    this.#rowsRead += rows.length;
    const width = this.columns.length;
    let checked: Row[] | undefined;
    rows.forEach((row, index) => {
      if (row.cells.length === width && row.problems.length === 0) return;
      const judged = this.#judge(row, width);
      if (judged !== row) (checked ??= [...rows])[index] = judged;
      for (const problem of judged.problems) this.#report(problem);
    });
    return checked ?? rows;
  }

  /** Compares the width, and names the columns of what is wrong. */
  #judge(row: Row, width: number): Row {
    let { cells } = row;
    const problems: LoadFileProblem[] = row.problems.map((problem) => this.#withField(problem));
    if (isRejected(row.problems)) return { ...row, problems };
    const key = cells[0] ?? '';
    const add = (code: ProblemCode, message: string): void => {
      problems.push(problemAt(code, row.line, message, { value: key }));
    };
    if (this.#rowsTrail && cells.length === width + 1 && cells[width] === '') {
      cells = cells.slice(0, width);
      if (!this.#trailingDelimiter)
        add('trailing_delimiter', 'The row ends with a delimiter that the header does not have.');
    } else if (cells.length < width) {
      add('too_few_cells', `The row has ${cells.length} cells; ${width} are expected.`);
    } else if (cells.length > width) {
      add('too_many_cells', `The row has ${cells.length} cells; ${width} are expected.`);
    }
    return { ...row, cells, problems };
  }

  #withField(problem: LoadFileProblem): LoadFileProblem {
    const column = problem.cell === undefined ? undefined : this.columns[problem.cell - 1];
    return column === undefined ? problem : { ...problem, field: column.name };
  }
}
