/** Where a JSON path of a resource lives: a column, or an element of a reference's identity. */
import { parentPath } from '../schema/json-path.ts';
import type { Column, IdentityElement, QueryTarget, Table } from './model.ts';

const elementIndexOf = (column: Column, path: string): number =>
  column.reference?.elements.findIndex((element) => `${column.path}.${element.member}` === path) ?? -1;

const findIn = (table: Table, path: string): { column: Column; elementIndex: number | null } | null => {
  for (const column of table.columns) {
    if (column.kind === 'reference') {
      if (parentPath(path) !== column.path) continue;
      const elementIndex = elementIndexOf(column, path);
      if (elementIndex >= 0) return { column, elementIndex };
    } else if (column.path === path) return { column, elementIndex: null };
  }
  return null;
};

/** The identity element at a path of the root, or null where there is no single value. */
export const resolveIdentityElement = (path: string, root: Table): IdentityElement | null => {
  const found = findIn(root, path);
  if (found === null || found.column.type.kind === 'json') return null;
  const { column, elementIndex } = found;
  if (column.kind === 'scalar') return { path, source: { kind: 'scalar', column } };
  if (column.kind === 'descriptor') return { path, source: { kind: 'descriptor', column } };
  if (column.reference === null || elementIndex === null) return null;
  return { path, source: { kind: 'reference', column, binding: column.reference, elementIndex } };
};

/** The column a query field filters on, in the root or in any collection. */
export const resolveQueryTarget = (path: string, tables: readonly Table[]): QueryTarget | null => {
  for (const table of tables) {
    const found = findIn(table, path);
    if (found !== null) return { path, table, column: found.column, elementIndex: found.elementIndex };
  }
  return null;
};
