/**
 * Gives a store whose references were indexed by themselves the indexes (reference, document) of this version.
 *
 * - What is to be renewed is read from the database, not remembered: a run that was interrupted is simply run again.
 * - The new index is built beside the old one, CONCURRENTLY, and takes its place and name in one short transaction.
 */
import { columnIndex, isOrderedReference } from '../ddl/emit-ddl.ts';
import type { Column, Model, Table } from '../derive/model.ts';
import { limitIdentifier, quoteIdentifier } from '../derive/naming.ts';
import { columnIndexName } from '../derive/relation-names.ts';
import type { RecordDatabase, RecordTransaction } from '../session.ts';

interface OutdatedIndex {
  readonly name: string;
  readonly table: Table;
  readonly column: Column;
}

/** The indexes of a store that do not yet hold the document's id. */
export const outdatedIndexes = async (
  tx: RecordTransaction,
  model: Model,
  schema: string,
): Promise<readonly OutdatedIndex[]> => {
  const wanted = [...model.resources.values()].flatMap((resource) =>
    resource.root.columns
      .filter((column) => isOrderedReference(resource, column))
      .map((column) => ({ name: columnIndexName(resource.root, column), table: resource.root, column })),
  );
  const { rows } = await tx.query(
    `SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND i.indnkeyatts = 1`,
    [schema, wanted.map((index) => index.name)],
  );
  const found = new Set(rows.map((row) => String(row['name'])));
  return wanted.filter((index) => found.has(index.name));
};

/** One renewal in words. */
export const describeRenewal = ({ table, column }: OutdatedIndex): string =>
  `orders the index of ${table.name}.${column.name} by record`;

const renew = async (
  database: RecordDatabase,
  outside: (text: string) => Promise<void>,
  schema: string,
  { name, table, column }: OutdatedIndex,
): Promise<void> => {
  const s = quoteIdentifier(schema);
  const create = columnIndex(schema, table, column, new Set());
  if (create === null) return;
  const old = quoteIdentifier(name);
  const next = quoteIdentifier(limitIdentifier(`${name}___next`));
  // A build that was interrupted leaves an invalid index behind.
  await outside(`DROP INDEX IF EXISTS ${s}.${next}`);
  await outside(create.replace(`CREATE INDEX ${old}`, `CREATE INDEX CONCURRENTLY ${next}`));
  await database.transaction(async (tx) => {
    await tx.query(`DROP INDEX IF EXISTS ${s}.${old}`);
    await tx.query(`ALTER INDEX ${s}.${next} RENAME TO ${old}`);
  });
};

/** Renews what is outdated, one index after another. `outside` runs a statement outside a transaction. */
export const renewIndexes = async (
  database: RecordDatabase,
  outside: (text: string) => Promise<void>,
  model: Model,
  schema: string,
): Promise<void> => {
  const outdated = await database.transaction((tx) => outdatedIndexes(tx, model, schema));
  for (const index of outdated) await renew(database, outside, schema, index);
};
