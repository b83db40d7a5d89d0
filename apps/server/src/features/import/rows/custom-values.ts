/**
 * The values of custom fields of a row: as the text of their JSON for a new exhibit, as an object for one that the row is laid over.
 *
 * - Both say the same: the text is what `JSON.stringify` makes of the object.
 * - A value that does not fit is a problem at its line and field, and is left out.
 */
import { type FieldDefinition, type FieldValue, type FieldValues, isEmptyValue, readCell } from '../../fields/index.ts';
import type { PlannedColumn } from '../plan/import-plan.ts';
import type { Cells, MapOptions, Report } from './map-row.ts';
import { readDate } from './read-dates.ts';
import { KnownCells } from './remember-texts.ts';

type Custom = Extract<PlannedColumn, { target: 'custom' }> & {
  readonly definition: FieldDefinition;
  /** `"title":` */
  readonly member: string;
  /** Cells as members of the JSON. */
  readonly known: KnownCells;
};

/** Whether JSON has a value for each of the titles, in their order. An object has one for each title, and numbers come first. */
const keepsOrder = (titles: readonly string[]): boolean =>
  new Set(titles).size === titles.length && !titles.some((title) => String(Number(title) >>> 0) === title);

export class CustomValues {
  readonly #options: Pick<MapOptions, 'splitMultiValue' | 'timeZone'>;
  readonly #columns: readonly Custom[];
  readonly #keepsOrder: boolean;

  constructor(options: Pick<MapOptions, 'columns' | 'definitions' | 'splitMultiValue' | 'timeZone'>) {
    this.#options = options;
    this.#columns = options.columns.flatMap((column) => {
      if (column.target !== 'custom') return [];
      const { title, type } = column;
      const definition = options.definitions.get(title) ?? { title, inputType: type, choices: [] };
      const member = `${JSON.stringify(definition.title)}:`;
      return [{ ...column, definition, member, known: new KnownCells() }];
    });
    this.#keepsOrder = keepsOrder(this.#columns.map(({ definition }) => definition.title));
  }

  /** The JSON of the values, empty for none: all that is written of them, and one text to hold in their place. */
  text(row: Cells, report: Report): string {
    if (!this.#keepsOrder) {
      const text = JSON.stringify(this.object(row, report));
      return text === '{}' ? '' : text;
    }
    const parts: string[] = [];
    for (const column of this.#columns) {
      const cell = row.cells[column.index] ?? '';
      // Most cells of most files are empty.
      if (cell === '') continue;
      let member = column.known.get(cell);
      if (member === undefined) {
        const value = this.#valueOf(row, column, report);
        if (value === undefined) continue;
        member = `${column.member}${JSON.stringify(value)}`;
        column.known.set(cell, member);
      }
      parts.push(parts.length === 0 ? '{' : ',', member);
    }
    return parts.length === 0 ? '' : `${parts.join('')}}`;
  }

  object(row: Cells, report: Report): FieldValues {
    // Nearly every row has another set of titles: as an object of a shape of its own each would cost several times as much.
    const values = Object.create(null) as Record<string, FieldValue>;
    for (const column of this.#columns) {
      if ((row.cells[column.index] ?? '') === '') continue;
      const value = this.#valueOf(row, column, report);
      if (value !== undefined) values[column.definition.title] = value;
    }
    return values;
  }

  /** The value of one field as text, null for none. */
  textOf(row: Cells, title: string): string | null {
    const column = this.#columns.find((it) => it.definition.title === title);
    const value = column === undefined ? undefined : this.#valueOf(row, column, () => undefined);
    return value === undefined ? null : String(value);
  }

  /** Titles without a value in this row. */
  emptied(row: Cells): string[] {
    return this.#columns.flatMap(({ index, definition }) =>
      (row.cells[index] ?? '').trim() === '' ? [definition.title] : [],
    );
  }

  #valueOf(row: Cells, { index, column, definition, dateOrder }: Custom, report: Report): FieldValue | undefined {
    const cell = row.cells[index] ?? '';
    if (cell.trim() === '') return undefined;
    if (definition.inputType === 'date') {
      const date = readDate(cell, dateOrder, this.#options.timeZone);
      if (date.ok) return date.iso;
      report(column, date.code, date.reason, cell);
      return undefined;
    }
    const read = readCell(definition, cell, this.#options.splitMultiValue);
    if (!read.ok) report(column, 'value_invalid', read.reason, cell);
    return read.ok && !isEmptyValue(read.value) ? read.value : undefined;
  }
}
