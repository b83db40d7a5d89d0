/**
 * Gives a store whose root tables and collections referred to their documents by foreign keys the trigger of this version instead
 * (`ddl/owned-tables.ts`).
 *
 * - The trigger comes first; where the keys are still there when documents go, it finds nothing left to do. So the keys may go one by one,
 *   each under a short lock of its own, and a run that was interrupted is simply run again.
 */
import { listOwnedTables, ownedTables, rowsFollowDocuments } from '../ddl/owned-tables.ts';
import type { Model } from '../derive/model.ts';
import { quoteIdentifier } from '../derive/naming.ts';
import { foreignKeyName } from '../derive/relation-names.ts';
import type { RecordDatabase, RecordTransaction } from '../session.ts';

/** The renewal in words. */
export const rowRenewal = 'lets rows go with their documents by a trigger';

interface OwnedKey {
  readonly table: string;
  readonly name: string;
}

/** Keys of a store by which rows go with their document or root. */
export const ownedKeys = async (tx: RecordTransaction, model: Model, schema: string): Promise<readonly OwnedKey[]> => {
  const owned = [...model.resources.values()].flatMap(ownedTables);
  const { rows } = await tx.query(
    `SELECT c.relname AS table, k.conname AS name FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN unnest($2::text[], $3::text[]) AS u(t, k) ON u.t = c.relname AND u.k = k.conname
     WHERE n.nspname = $1 AND k.contype = 'f' ORDER BY 1`,
    [schema, owned.map((table) => table.name), owned.map((table) => foreignKeyName(table, null))],
  );
  return rows.map((row) => ({ table: String(row['table']), name: String(row['name']) }));
};

/** Trigger and list of tables, as the model has them: before rows of a new model are written or documents deleted. */
export const followDocuments = async (tx: RecordTransaction, model: Model, schema: string): Promise<void> => {
  for (const statement of [...rowsFollowDocuments(schema), ...listOwnedTables(model, schema)])
    await tx.query(statement);
};

/** Renews what is outdated. */
export const renewRows = async (database: RecordDatabase, model: Model, schema: string): Promise<void> => {
  const keys = await database.transaction((tx) => ownedKeys(tx, model, schema));
  if (keys.length === 0) return;
  await database.transaction((tx) => followDocuments(tx, model, schema));
  const s = quoteIdentifier(schema);
  for (const { table, name } of keys) {
    await database.transaction((tx) =>
      tx.query(`ALTER TABLE ${s}.${quoteIdentifier(table)} DROP CONSTRAINT IF EXISTS ${quoteIdentifier(name)}`),
    );
  }
};
