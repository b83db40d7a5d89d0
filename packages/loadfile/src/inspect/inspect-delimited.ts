/**
 * What is in a file of rows and columns. Its rows may be taken by somebody else as they go by, so that a file that is needed for more than the
 * report is read once.
 */
import { CaseboundError } from '@casebound/contract';
import type { DelimitedDialect } from '../delimited/dialect.ts';
import type { Column, DelimitedOptions } from '../delimited/open-delimited.ts';
import { DelimitedReader } from '../delimited/open-delimited.ts';
import type { Row } from '../delimited/split-records.ts';
import type { TextInput } from '../input/text-input.ts';
import type { LoadFileLimits } from '../limits.ts';
import type { ColumnMapping } from '../mapping/propose-mapping.ts';
import { proposeMapping } from '../mapping/propose-mapping.ts';
import type { ProblemSink } from '../problems.ts';
import { isRejected, problemAt } from '../problems.ts';
import type { ColumnProfile } from '../profile/profile-column.ts';
import { ColumnProfiler } from '../profile/profile-column.ts';

/** What was found in a file of rows and columns. */
export interface DelimitedFindings {
  readonly dialect: DelimitedDialect;
  readonly confidence: number;
  readonly reasons: readonly string[];
  readonly alternatives: readonly { readonly column: string; readonly score: number }[];
  readonly hasHeader: boolean;
  readonly headerReason: string;
  readonly columns: readonly ColumnProfile[];
  readonly mapping: readonly ColumnMapping[];
  /** First good rows, cells cut at 200 characters. */
  readonly firstRows: readonly { readonly line: number; readonly cells: readonly string[] }[];
}

/** What is known before the rows are read; columns and mapping are those of the first rows. */
export type DelimitedBeginning = Pick<DelimitedFindings, 'dialect' | 'hasHeader' | 'columns' | 'mapping'>;

export interface InspectDelimitedOptions extends DelimitedOptions {
  /** Rows shown in the report. 5 if absent. */
  readonly firstRows?: number;
  /**
   * Takes the rows while they are inspected, as `DelimitedReader` would give them; `onProblem` is told what it would tell. Must take all of
   * them, or none by giving undefined: the report is made when its promise resolves.
   */
  readonly takeRows?: (beginning: DelimitedBeginning, rows: AsyncIterable<readonly Row[]>) => Promise<void> | undefined;
}

export interface DelimitedRun {
  readonly input: TextInput;
  readonly options: InspectDelimitedOptions;
  readonly limits: LoadFileLimits;
  /** Told what is wrong with the file, in its order. */
  readonly report: ProblemSink;
  /** Told what only all values of a column together show. */
  readonly conclude: ProblemSink;
  readonly progress: (rows: number) => void;
}

/** Rows of a file, looked at as they go by. */
class InspectedRows {
  readonly profiler: ColumnProfiler;
  readonly first: { readonly line: number; readonly cells: readonly string[] }[] = [];
  rejected = 0;
  areTaken = false;
  readonly #reader: DelimitedReader;
  readonly #keep: number;
  readonly #progress: DelimitedRun['progress'];

  constructor(reader: DelimitedReader, { options, progress }: DelimitedRun) {
    this.#reader = reader;
    this.profiler = new ColumnProfiler(reader.columns, reader.dialect.multiValue);
    this.#keep = options.firstRows ?? 5;
    this.#progress = progress;
  }

  async *batches(): AsyncGenerator<readonly Row[]> {
    for await (const batch of this.#reader.batches()) {
      for (const row of batch) this.#look(row);
      this.#progress(this.#reader.rowsRead);
      yield batch;
    }
    this.areTaken = true;
  }

  #look(row: Row): void {
    if (row.problems.length > 0 && isRejected(row.problems)) {
      this.rejected++;
      return;
    }
    this.profiler.add(row);
    if (this.first.length >= this.#keep) return;
    this.first.push({ line: row.line, cells: row.cells.map((cell) => shorten(cell)) });
  }
}

const readAll = async (rows: AsyncIterable<readonly Row[]>): Promise<void> => {
  for await (const batch of rows) void batch;
};

const beginningOf = ({ detection, columns, dialect, hasHeader }: DelimitedReader): DelimitedBeginning => {
  const profiler = new ColumnProfiler(columns, dialect.multiValue);
  for (const row of detection.rows.slice(hasHeader ? 1 : 0)) if (!isRejected(row.problems)) profiler.add(row);
  const profiles = profiler.profiles();
  return { dialect, hasHeader, columns: profiles, mapping: proposeMapping(profiles) };
};

export const inspectDelimited = async (
  run: DelimitedRun,
): Promise<{
  readonly rows: number;
  readonly rejected: number;
  readonly kinds: ReadonlyMap<string, number>;
  readonly delimited: DelimitedFindings;
}> => {
  const { input, options, limits, report, conclude } = run;
  const reader = await DelimitedReader.openText(input, limits, { ...options, onProblem: report });
  const inspected = new InspectedRows(reader, run);
  try {
    const rows = inspected.batches();
    await (options.takeRows?.(beginningOf(reader), rows) ?? readAll(rows));
  } finally {
    await reader.close();
  }
  if (!inspected.areTaken) throw new CaseboundError('internal', 'Not all rows of an inspected file were taken.');
  const columns = inspected.profiler.profiles();
  reportDates(columns, reader.columns, conclude);
  const { detection, headerDetection } = reader;
  return {
    rows: reader.rowsRead,
    rejected: inspected.rejected,
    kinds: new Map(),
    delimited: {
      dialect: detection.dialect,
      confidence: detection.confidence,
      reasons: detection.reasons,
      alternatives: detection.alternatives,
      hasHeader: reader.hasHeader,
      headerReason: headerDetection.reason,
      columns,
      mapping: proposeMapping(columns),
      firstRows: inspected.first,
    },
  };
};

/** Copies, so that a report does not keep chunks of the file alive. */
const shorten = (cell: string): string => Buffer.from(cell.slice(0, 200), 'utf16le').toString('utf16le');

const reportDates = (profiles: readonly ColumnProfile[], columns: readonly Column[], report: ProblemSink): void => {
  for (const { index, name, date } of profiles) {
    if (date === null || columns[index] === undefined) continue;
    const at = { cell: index + 1, field: name };
    if (date.order === 'ambiguous' && date.open > 0) {
      const message = `Day and month of ${name} can be read in either order; ${date.open} values mean different dates.`;
      report(problemAt('ambiguous_date', 0, message, at));
    } else if (date.order === 'conflicting') {
      const message = `${name} has ${date.provesMonthFirst} dates that are month-day (first at line ${date.firstMonthFirstLine}) and ${date.provesDayFirst} that are day-month (first at line ${date.firstDayFirstLine}).`;
      report(problemAt('conflicting_dates', 0, message, at));
    }
  }
};
