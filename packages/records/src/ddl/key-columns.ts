/** Which columns tell a table's rows apart. */
import type { Table } from '../derive/model.ts';

/** Name of the column that holds the document's id in a table. */
export const documentColumn = (table: Table): string => (table.kind === 'root' ? 'document_id' : 'root_document_id');

/** Columns of a table's primary key. */
export const keyColumns = (table: Table): readonly string[] =>
  table.valueKey === null
    ? [documentColumn(table), ...table.ordinals]
    : [documentColumn(table), ...table.ordinals.slice(0, -1), table.valueKey.name];
