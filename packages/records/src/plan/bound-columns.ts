/** Rows ready to be written, by column: what an INSERT is bound to. */
import type { Table } from '../derive/model.ts';
import type { Cell } from '../write/flatten-document.ts';

/** A row ready to be written: its document, its place, its cells. */
export interface BoundRow {
  readonly documentId: number;
  readonly ordinals: readonly number[];
  readonly cells: readonly Cell[];
}

export interface BoundColumns {
  readonly documentIds: readonly number[];
  /** By ordinal column. */
  readonly ordinals: readonly (readonly number[])[];
  /** By column; null for one that no row has. */
  readonly cells: readonly (readonly Cell[] | null)[];
}

/** A column of a number of rows of which none has a value. */
export const nulls = (count: number): Cell[] => {
  const cells: Cell[] = [];
  while (cells.length < count) cells.push(null);
  return cells;
};

/** One column of rows; null where none of them has a value. */
const columnAt = (rows: readonly BoundRow[], at: number): Cell[] | null => {
  let cells: Cell[] | null = null;
  // By index: a single write comes through here for each column of each of its tables.
  for (let row = 0; row < rows.length; row += 1) {
    const cell = rows[row]?.cells[at] ?? null;
    if (cells === null && cell !== null) cells = nulls(row);
    cells?.push(cell);
  }
  return cells;
};

export const columnsOfRows = (table: Table, rows: readonly BoundRow[]): BoundColumns => {
  const cells: (Cell[] | null)[] = [];
  for (let at = 0; at < table.columns.length; at += 1) cells.push(columnAt(rows, at));
  return {
    documentIds: rows.map((row) => row.documentId),
    ordinals: table.ordinals.map((_name, at) => rows.map((row) => row.ordinals[at] ?? 0)),
    cells,
  };
};

/** The rows of both, in this order. */
export const concatColumns = (a: BoundColumns, b: BoundColumns): BoundColumns => {
  const [before, after] = [a.documentIds.length, b.documentIds.length];
  return {
    documentIds: [...a.documentIds, ...b.documentIds],
    ordinals: a.ordinals.map((column, at) => [...column, ...(b.ordinals[at] ?? [])]),
    cells: a.cells.map((cells, at) => {
      const more = b.cells[at] ?? null;
      return cells === null && more === null ? null : [...(cells ?? nulls(before)), ...(more ?? nulls(after))];
    }),
  };
};
