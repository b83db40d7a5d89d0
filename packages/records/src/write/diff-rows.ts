/**
 * What must be written so that the rows of a document become those of its new form.
 *
 * - A row is identified by its ordinals, or by the reference it is keyed by. Equal rows are not written.
 * - In a table with a uniqueness of its own a changed row is deleted and inserted again, because updating rows one after another
 *   could collide half-way; the rows below it go with it and come back with it.
 */
import type { Table } from '../derive/model.ts';
import { flatTables } from './flat-plan.ts';
import type { FlatDocument, FlatRow } from './flatten-document.ts';

export interface TableChange {
  readonly table: Table;
  readonly inserts: FlatRow[];
  readonly updates: FlatRow[];
  readonly deletes: FlatRow[];
}

const keyOf = (table: Table, row: FlatRow): string => {
  if (table.valueKey === null) return row.ordinals.join();
  return String(row.cells[table.columns.indexOf(table.valueKey)]);
};

const sameRow = (table: Table, a: FlatRow, b: FlatRow): boolean =>
  a.cells.every((cell, index) => cell === b.cells[index]) &&
  (table.valueKey === null || a.ordinals.at(-1) === b.ordinals.at(-1));

const diffTable = (
  table: Table,
  before: readonly FlatRow[],
  after: readonly FlatRow[],
  gone: ReadonlySet<string>,
): TableChange => {
  const change: TableChange = { table, inserts: [], updates: [], deletes: [] };
  const old = new Map(before.map((row) => [keyOf(table, row), row]));
  const parentDepth = table.parent?.ordinals.length ?? 0;
  for (const row of after) {
    const key = keyOf(table, row);
    const previous = old.get(key);
    old.delete(key);
    const parentIsGone = gone.has(row.ordinals.slice(0, parentDepth).join());
    if (previous === undefined || parentIsGone) change.inserts.push(row);
    else if (!sameRow(table, previous, row)) {
      if (table.uniques.length > 0) {
        change.deletes.push(previous);
        change.inserts.push(row);
      } else change.updates.push(row);
    }
  }
  for (const row of old.values()) {
    if (!gone.has(row.ordinals.slice(0, parentDepth).join())) change.deletes.push(row);
  }
  return change;
};

/** Changes by table, parents before children; tables without a change are left out. */
export const diffDocuments = (before: FlatDocument, after: FlatDocument): readonly TableChange[] => {
  const goneBy = new Map<Table, Set<string>>();
  const changes: TableChange[] = [];
  for (const table of flatTables(after.resource)) {
    // Ordinals of parent rows that are deleted (and perhaps inserted again): their cascade takes the rows here.
    const gone = (table.parent === null ? undefined : goneBy.get(table.parent)) ?? new Set<string>();
    const change = diffTable(table, before.rows.get(table) ?? [], after.rows.get(table) ?? [], gone);
    const ownGone = new Set(change.deletes.map((row) => row.ordinals.join()));
    for (const row of before.rows.get(table) ?? []) {
      if (table.parent !== null && gone.has(row.ordinals.slice(0, table.parent.ordinals.length).join()))
        ownGone.add(row.ordinals.join());
    }
    goneBy.set(table, ownGone);
    if (change.inserts.length + change.updates.length + change.deletes.length > 0) changes.push(change);
  }
  return changes;
};

/** Referential ids with their part in the identity, to see whether edges can have changed. */
export const edgesDiffer = (before: FlatDocument, after: FlatDocument): boolean => {
  const signature = (flat: FlatDocument): string =>
    [
      ...new Set(
        flat.references
          .filter((item) => item.column.reference !== null)
          .map((item) => `${item.referentialId}${item.column.reference?.isIdentity === true ? '!' : ''}`),
      ),
    ]
      .sort()
      .join();
  return signature(before) !== signature(after);
};
