/**
 * Gives a store whose identities referred to their documents by a foreign key the trigger of this version instead: the key was checked,
 * and its target locked and logged, for every identity that was written.
 *
 * Trigger and key change places in one short transaction, so that at no time a document goes without its identities.
 */
import { identitiesFollowDocuments } from '../ddl/infrastructure.ts';
import { quoteIdentifier } from '../derive/naming.ts';
import type { RecordDatabase, RecordTransaction } from '../session.ts';

/** The renewal in words. */
export const identityRenewal = 'lets identities go with their documents by a trigger';

/** The foreign keys of a store's identities: none, or one. */
export const identityKeys = async (tx: RecordTransaction, schema: string): Promise<readonly string[]> => {
  const { rows } = await tx.query(
    `SELECT k.conname AS name FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = 'referential_identity' AND k.contype = 'f'`,
    [schema],
  );
  return rows.map((row) => String(row['name']));
};

/** Renews what is outdated; a run that was interrupted is simply run again. */
export const renewIdentities = async (database: RecordDatabase, schema: string): Promise<void> =>
  database.transaction(async (tx) => {
    const keys = await identityKeys(tx, schema);
    if (keys.length === 0) return;
    for (const statement of identitiesFollowDocuments(schema)) await tx.query(statement);
    const s = quoteIdentifier(schema);
    for (const key of keys)
      await tx.query(`ALTER TABLE ${s}.referential_identity DROP CONSTRAINT ${quoteIdentifier(key)}`);
  });
