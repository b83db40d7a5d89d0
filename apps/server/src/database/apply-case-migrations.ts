/** The migrations of one case, in the caller's transaction. */
import type { CaseId } from '@casebound/contract';
import { caseSchema } from './case-names.ts';
import type { OwnerTransaction } from './Database.ts';
import { pendingMigrations, type AppliedMigration, type Migration } from './migrations.ts';
import { quoteIdentifier } from './quote-identifier.ts';

/**
 * Applies what the case lacks and records it. The search path is left at the case's schema.
 * Errors: `migration_drift`, `data_folder_too_new`.
 */
export async function applyCaseMigrations(
  tx: OwnerTransaction,
  caseId: CaseId,
  migrations: readonly Migration[],
  databaseName: string,
): Promise<void> {
  if (migrations.length === 0) return;
  const { rows } = await tx.query<AppliedMigration>(
    'SELECT set, number, name, checksum FROM casebound.case_migration WHERE case_id = $1 ORDER BY set, number',
    [caseId],
  );
  const pending = pendingMigrations(migrations, rows, `The case ${caseId} in ${databaseName}`);
  if (pending.length === 0) return;
  await tx.script(`SET LOCAL search_path = ${quoteIdentifier(caseSchema(caseId))}, pg_temp`);
  for (const migration of pending) await tx.script(migration.text);
  await tx.query(
    `INSERT INTO casebound.case_migration (case_id, set, number, name, checksum)
     SELECT $1, applied.*
     FROM unnest($2::text[], $3::int[], $4::text[], $5::text[]) AS applied (set, number, name, checksum)`,
    [
      caseId,
      pending.map((migration) => migration.set),
      pending.map((migration) => migration.number),
      pending.map((migration) => migration.name),
      pending.map((migration) => migration.checksum),
    ],
  );
}
