/**
 * What the columns of a file hold, over all of its rows.
 *
 * - A column costs a fixed amount of memory, whatever the number of rows: counts, a few samples, a few date shapes.
 * - The type is that of all values, not of the first; what does not fit is counted and the first of it named.
 * - The order of day and month is stated only if the values prove it.
 */
import { excerpt } from '../problems.ts';
import type { Column } from '../delimited/open-delimited.ts';
import type { Row } from '../delimited/split-records.ts';
import type { ValueType } from './classify-value.ts';
import { classifyValue } from './classify-value.ts';
import type { ParsedDate } from './parse-date.ts';

/** What day and month of a column's dates mean: proven, open, or contradictory. */
export type ColumnDateOrder =
  | 'month-first'
  | 'day-first'
  | 'year-first'
  | 'named'
  | 'ambiguous'
  | 'conflicting'
  | 'mixed';

export interface DateProfile {
  readonly order: ColumnDateOrder;
  /** Shapes as written, most frequent first; `n/n/yyyy` has day and month in either order. */
  readonly formats: readonly { readonly format: string; readonly count: number }[];
  /** Dates that prove month-first or day-first order, and those that fit both with different meaning. */
  readonly provesMonthFirst: number;
  readonly provesDayFirst: number;
  readonly open: number;
  /** The first line that proves each order, to look at when they conflict. */
  readonly firstMonthFirstLine: number | null;
  readonly firstDayFirstLine: number | null;
  /** Zones as written; empty when no value states one. */
  readonly zones: readonly string[];
  readonly withoutZone: number;
}

export interface ColumnProfile {
  readonly index: number;
  readonly name: string;
  readonly type: ValueType | 'empty';
  /** Values that are not empty. */
  readonly filled: number;
  /** Share of rows with a value, 0 to 1. */
  readonly fillRate: number;
  /** In UTF-16 code units. */
  readonly maxLength: number;
  /** First different values, at most 5, cut at 80 characters. */
  readonly samples: readonly string[];
  /** Values by type, most frequent first. */
  readonly types: readonly { readonly type: ValueType; readonly count: number }[];
  /** Values that are not of `type`, where type is not text: how many, and the first. */
  readonly exceptions: { readonly count: number; readonly line: number; readonly value: string } | null;
  /** Cells with more than one value by the multi-value separator, and most values of a cell. */
  readonly multiValue: { readonly cells: number; readonly most: number } | null;
  readonly date: DateProfile | null;
}

const maxSamples = 5;
const sampleLength = 80;
/** Different values that a column remembers the class of; with 10,000 columns that is still below 100 MB. */
const maxKnown = 64;
const maxShapes = 12;
const maxZones = 12;
/** Share of values that must be of a type for the column to be called so; the rest are exceptions to look at. */
const typeShare = 0.9;

class DateTally {
  readonly #shapes = new Map<string, number>();
  readonly #zones = new Set<string>();
  #monthFirst = 0;
  #dayFirst = 0;
  #open = 0;
  #named = 0;
  #yearFirst = 0;
  #either = 0;
  #monthFirstLine: number | null = null;
  #dayFirstLine: number | null = null;
  #withoutZone = 0;

  add(date: ParsedDate, line: number): void {
    const known = this.#shapes.get(date.shape);
    if (known !== undefined || this.#shapes.size < maxShapes) this.#shapes.set(date.shape, (known ?? 0) + 1);
    if (date.zone === null) this.#withoutZone++;
    else if (this.#zones.size < maxZones) this.#zones.add(date.zone);
    const [first, second] = date.readings;
    if (first === undefined) return;
    if (second !== undefined) {
      if (first.iso === second.iso) this.#either++;
      else this.#open++;
      return;
    }
    if (first.order === 'month-first') {
      this.#monthFirst++;
      this.#monthFirstLine ??= line;
    } else if (first.order === 'day-first') {
      this.#dayFirst++;
      this.#dayFirstLine ??= line;
    } else if (first.order === 'named') this.#named++;
    else this.#yearFirst++;
  }

  #order(): ColumnDateOrder {
    const numeric = this.#monthFirst + this.#dayFirst + this.#open + this.#either;
    if (this.#monthFirst > 0 && this.#dayFirst > 0) return 'conflicting';
    if (numeric > 0 && this.#named + this.#yearFirst > 0 && this.#open > 0 && this.#monthFirst + this.#dayFirst === 0) {
      return 'ambiguous';
    }
    const kinds = [numeric, this.#named, this.#yearFirst].filter((count) => count > 0).length;
    if (kinds > 1) return 'mixed';
    if (this.#named > 0) return 'named';
    if (this.#yearFirst > 0) return 'year-first';
    if (this.#monthFirst > 0) return 'month-first';
    return this.#dayFirst > 0 ? 'day-first' : 'ambiguous';
  }

  profile(): DateProfile {
    return {
      order: this.#order(),
      formats: [...this.#shapes].map(([format, count]) => ({ format, count })).toSorted((a, b) => b.count - a.count),
      provesMonthFirst: this.#monthFirst,
      provesDayFirst: this.#dayFirst,
      open: this.#open,
      firstMonthFirstLine: this.#monthFirstLine,
      firstDayFirstLine: this.#dayFirstLine,
      zones: [...this.#zones],
      withoutZone: this.#withoutZone,
    };
  }
}

/** Values of one type. */
interface TypeTally {
  count: number;
  readonly line: number;
  readonly value: string;
}

/** What a value adds to its column, whenever it comes. */
interface Meaning {
  readonly tally: TypeTally;
  readonly date: ParsedDate | undefined;
  /** Values in the cell, by the multi-value separator. */
  readonly parts: number;
}

class ColumnTally {
  readonly #column: Column;
  readonly #separator: string;
  readonly #types = new Map<ValueType, TypeTally>();
  readonly #samples = new Set<string>();
  #filled = 0;
  #maxLength = 0;
  #multiCells = 0;
  #multiMost = 0;
  #dates: DateTally | undefined;
  #known: Map<string, Meaning> | undefined = new Map();

  constructor(column: Column, separator: string) {
    this.#column = column;
    this.#separator = separator;
  }

  add(cell: string, line: number): void {
    const value = cell.trim();
    if (value === '') return;
    this.#filled++;
    if (cell.length > this.#maxLength) this.#maxLength = cell.length;
    const { tally, date, parts } = this.#meaningOf(value, line);
    tally.count++;
    if (date !== undefined) (this.#dates ??= new DateTally()).add(date, line);
    if (parts > 1) {
      this.#multiCells++;
      if (parts > this.#multiMost) this.#multiMost = parts;
    }
  }

  /** Columns of few different values (custodian, extension, yes/no) are looked at once a value. */
  #meaningOf(value: string, line: number): Meaning {
    if (this.#known === undefined || value.length > sampleLength) return this.#lookAt(value, line);
    const known = this.#known.get(value);
    if (known !== undefined) return known;
    const meaning = this.#lookAt(value, line);
    if (this.#known.size < maxKnown) this.#known.set(excerpt(value), meaning);
    else this.#known = undefined;
    return meaning;
  }

  #lookAt(value: string, line: number): Meaning {
    if (this.#samples.size < maxSamples) this.#samples.add(excerpt(value, sampleLength));
    const { type, date } = classifyValue(value);
    let tally = this.#types.get(type);
    if (tally === undefined) {
      tally = { count: 0, line, value: excerpt(value) };
      this.#types.set(type, tally);
    }
    return { tally, date, parts: value.includes(this.#separator) ? value.split(this.#separator).length : 1 };
  }

  profile(rows: number): ColumnProfile {
    const types = [...this.#types]
      .map(([type, { count }]) => ({ type, count }))
      .toSorted((a, b) => b.count - a.count || a.type.localeCompare(b.type));
    const type = this.#typeOf();
    const fitting: ReadonlySet<ValueType | 'empty'> = new Set([
      type,
      ...(type === 'empty' ? [] : (widened.get(type) ?? [])),
    ]);
    const others = [...this.#types].filter(([other]) => !fitting.has(other)).map(([, tally]) => tally);
    const [firstOther] = others.toSorted((a, b) => a.line - b.line);
    const count = others.reduce((sum, other) => sum + other.count, 0);
    const exceptional = type !== 'text' && type !== 'empty' && firstOther !== undefined;
    const isDate = type === 'date' || type === 'datetime';
    return {
      index: this.#column.index,
      name: this.#column.name,
      type,
      filled: this.#filled,
      fillRate: rows === 0 ? 0 : Math.round((this.#filled / rows) * 10_000) / 10_000,
      maxLength: this.#maxLength,
      samples: [...this.#samples],
      types,
      exceptions: exceptional ? { count, line: firstOther.line, value: firstOther.value } : null,
      multiValue: this.#multiCells === 0 ? null : { cells: this.#multiCells, most: this.#multiMost },
      date: isDate ? (this.#dates?.profile() ?? null) : null,
    };
  }

  /** The narrowest type that nearly all values are of. */
  #typeOf(): ValueType | 'empty' {
    if (this.#filled === 0) return 'empty';
    const count = (...wanted: ValueType[]): number =>
      wanted.reduce((sum, type) => sum + (this.#types.get(type)?.count ?? 0), 0);
    const enough = this.#filled * typeShare;
    for (const [type] of [...this.#types].toSorted((a, b) => b[1].count - a[1].count)) {
      if (type !== 'text' && count(type) >= enough) {
        // A whole column of numbers with one fraction is a column of fractions.
        return count('decimal') > 0 && type === 'integer' ? 'decimal' : type;
      }
    }
    for (const [type, parts] of widened) {
      if (count(type, ...parts) >= enough) return type;
    }
    return 'text';
  }
}

/** A type -> the narrower types whose values are of it, too. */
const widened: ReadonlyMap<ValueType, readonly ValueType[]> = new Map<ValueType, readonly ValueType[]>([
  ['datetime', ['date']],
  ['decimal', ['integer']],
  ['control-number', ['integer']],
]);

/** Tallies the columns of a file as its rows go by. */
export class ColumnProfiler {
  readonly #tallies: readonly ColumnTally[];
  #rows = 0;

  /** @param multiValue the separator of multi-value cells. */
  constructor(columns: readonly Column[], multiValue: string) {
    this.#tallies = columns.map((column) => new ColumnTally(column, multiValue));
  }

  /** Adds a row that is not rejected. */
  add(row: Row): void {
    this.#rows++;
    const { cells, line } = row;
    for (let index = 0; index < this.#tallies.length; index++) {
      const cell = cells[index] ?? '';
      // Most cells of most files are empty.
      if (cell !== '') this.#tallies[index]?.add(cell, line);
    }
  }

  profiles(): ColumnProfile[] {
    return this.#tallies.map((tally) => tally.profile(this.#rows));
  }
}
