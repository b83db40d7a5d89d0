/**
 * Gives a store the indexes of this version: those of references hold the document as well, that of edges the child alone.
 *
 * - What is to be renewed is read from the database, not remembered: a run that was interrupted is simply run again.
 * - The new index is built beside the old one, CONCURRENTLY, and takes its place and name in one short transaction.
 * - Of edges in partitions, whose indexes cannot be built so, the old index stays: it finds the same, and is larger.
 */
import { columnIndex, isOrderedReference } from '../ddl/emit-ddl.ts';
import { edgeIndex, edgeIndexName } from '../ddl/infrastructure.ts';
import type { Model } from '../derive/model.ts';
import { limitIdentifier, quoteIdentifier } from '../derive/naming.ts';
import { columnIndexName } from '../derive/relation-names.ts';
import type { RecordDatabase, RecordTransaction } from '../session.ts';

interface OutdatedIndex {
  readonly name: string;
  /** The statement that makes it as it is to be. */
  readonly create: string;
  /** The renewal in words. */
  readonly words: string;
}

const indexOfEdges = (schema: string): OutdatedIndex => ({
  name: edgeIndexName,
  create: edgeIndex(schema),
  words: 'indexes edges by the child alone',
});

const referenceIndexes = (model: Model, schema: string): readonly OutdatedIndex[] =>
  [...model.resources.values()].flatMap((resource) => {
    const { root } = resource;
    return root.columns.flatMap((column) => {
      if (!isOrderedReference(resource, column)) return [];
      const create = columnIndex(schema, root, column, new Set());
      if (create === null) return [];
      const words = `orders the index of ${root.name}.${column.name} by record`;
      return [{ name: columnIndexName(root, column), create, words }];
    });
  });

/** The indexes of a store that are to be made anew. */
export const outdatedIndexes = async (
  tx: RecordTransaction,
  model: Model,
  schema: string,
): Promise<readonly OutdatedIndex[]> => {
  const wanted = referenceIndexes(model, schema);
  const { rows } = await tx.query(
    `SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND (c.relname = ANY($2::text[]) AND i.indnkeyatts = 1 OR c.relname = $3 AND c.relkind = 'i' AND i.indnkeyatts = 2)`,
    [schema, wanted.map((index) => index.name), edgeIndexName],
  );
  const found = new Set(rows.map((row) => String(row['name'])));
  return [...wanted, indexOfEdges(schema)].filter((index) => found.has(index.name));
};

const renew = async (
  database: RecordDatabase,
  outside: (text: string) => Promise<void>,
  schema: string,
  { name, create }: OutdatedIndex,
): Promise<void> => {
  const s = quoteIdentifier(schema);
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
