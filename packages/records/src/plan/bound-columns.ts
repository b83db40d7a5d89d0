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

export const columnsOfRows = (table: Table, rows: readonly BoundRow[]): BoundColumns => ({
  documentIds: rows.map((row) => row.documentId),
  ordinals: table.ordinals.map((_name, at) => rows.map((row) => row.ordinals[at] ?? 0)),
  cells: table.columns.map((_column, at) => {
    const cells = rows.map((row) => row.cells[at] ?? null);
    return cells.every((cell) => cell === null) ? null : cells;
  }),
});

const nulls = (count: number): null[] => Array.from({ length: count }, () => null);

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
