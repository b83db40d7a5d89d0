/**
 * Brings every case up to the newest case migration.
 *
 * One transaction a case: an interrupted run is resumed by running it again, and a case is never half migrated. Which cases
 * are behind is one query a database, so a run with nothing to do costs next to nothing with thousands of cases.
 */
import { CaseId } from '@casebound/contract';
import { applyCaseMigrations, caseSchema, migrationOptions, type CaseDatabase } from '../../database/index.ts';
import type { CasesDependencies } from './dependencies.ts';

/** Cases that are migrated at once in one database; more only wait for its disk. */
const concurrency = 2;

/** @returns how many cases were changed. Errors: `migration_drift`, `data_folder_too_new`, those of a faulty migration. */
export async function migrateCases(dependencies: CasesDependencies, signal?: AbortSignal): Promise<number> {
  let migrated = 0;
  if (dependencies.caseMigrations.length === 0) return migrated;
  for (const database of await dependencies.caseDatabases.list()) {
    const waiting = await listBehind(dependencies, database);
    const worker = async (): Promise<void> => {
      for (let caseId = waiting.pop(); caseId !== undefined; caseId = waiting.pop()) {
        signal?.throwIfAborted();
        await migrateCase(dependencies, database, caseId);
        dependencies.crashPoint('migrate.case.applied');
        migrated += 1;
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
  }
  return migrated;
}

async function listBehind(dependencies: CasesDependencies, database: CaseDatabase): Promise<CaseId[]> {
  const { rows: placed } = await dependencies.control.transaction({ readOnly: true }, async (tx) =>
    tx.query<{ case_id: string }>(
      `SELECT case_id FROM core.cases JOIN core.case_placement USING (case_id)
       WHERE case_database_id = $1 AND state IN ('active', 'archived') ORDER BY case_id`,
      [database.id],
    ),
  );
  const { rows } = await dependencies
    .owner(database.server, database.databaseName)
    .transaction({ readOnly: true }, async (tx) =>
      tx.query<{ case_id: string }>(
        // A case that has as many as there are is up to date; what they are is checked when one is applied.
        `SELECT placed.case_id
       FROM unnest($1::bigint[]) AS placed (case_id) LEFT JOIN casebound.case_migration AS done USING (case_id)
       GROUP BY placed.case_id
       HAVING count(done.number) <> $2 ORDER BY placed.case_id`,
        [placed.map((row) => row.case_id), dependencies.caseMigrations.length],
      ),
    );
  return rows.map((row) => CaseId.parse(Number(row.case_id))).toReversed();
}

async function migrateCase(dependencies: CasesDependencies, database: CaseDatabase, caseId: CaseId): Promise<void> {
  await dependencies.owner(database.server, database.databaseName).transaction(migrationOptions, async (tx) => {
    // Several servers may start at once.
    await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [
      `casebound migrate ${caseSchema(caseId)}`,
    ]);
    await applyCaseMigrations(tx, caseId, dependencies.caseMigrations, database.databaseName);
  });
}
