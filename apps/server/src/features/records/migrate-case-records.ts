/**
 * Brings the record store of every case to this version's model.
 *
 * - A case without a store gets one; one with another model is migrated online. One case's failure stops neither the others nor
 *   the server: that case is refused when it is opened, with what differs.
 * - Which cases are behind is one query a database. An interrupted run is run again.
 */
import { CaseId } from '@casebound/contract';
import { emitDdl, migrateStore, type Model, type RecordDatabase } from '@casebound/records';
import {
  caseSchema,
  migrationOptions,
  type CaseDatabases,
  type Database,
  type OwnerDatabase,
} from '../../database/index.ts';
import type { Log } from '../../platform/log/Port.ts';
import { recordsFingerprintSql } from './case-records.ts';

export interface MigrateCaseRecordsOptions {
  readonly control: Database;
  readonly caseDatabases: CaseDatabases;
  readonly owner: (server: string, databaseName: string) => OwnerDatabase;
  readonly model: Model;
  readonly log: Log;
}

/** @returns how many cases were changed and how many could not be. */
export const migrateCaseRecords = async (
  options: MigrateCaseRecordsOptions,
): Promise<{ readonly migrated: number; readonly failed: number }> => {
  const counts = { migrated: 0, failed: 0 };
  for (const { id, server, databaseName } of await options.caseDatabases.list()) {
    const owner = options.owner(server, databaseName);
    for (const caseId of await listBehind(options, id, owner)) {
      try {
        await migrateOne(owner, options.model, caseId);
        counts.migrated += 1;
      } catch (error) {
        counts.failed += 1;
        options.log.error('the records of a case could not be brought to this version', { caseId }, error);
      }
    }
  }
  return counts;
};

const listBehind = async (
  { control, model }: MigrateCaseRecordsOptions,
  databaseId: number,
  owner: OwnerDatabase,
): Promise<CaseId[]> => {
  const { rows: placed } = await control.transaction({ readOnly: true }, async (tx) =>
    tx.query<{ case_id: string }>(
      `SELECT case_id FROM core.cases JOIN core.case_placement USING (case_id)
       WHERE case_database_id = $1 AND state IN ('active', 'archived') ORDER BY case_id`,
      [databaseId],
    ),
  );
  if (placed.length === 0) return [];
  const { rows } = await owner.transaction({ readOnly: true }, async (tx) =>
    tx.query<{ case_id: string }>(
      `SELECT placed.case_id FROM unnest($1::bigint[]) AS placed (case_id)
       LEFT JOIN casebound.case_records AS done USING (case_id)
       WHERE done.fingerprint IS DISTINCT FROM $2 ORDER BY placed.case_id`,
      [placed.map((row) => row.case_id), model.fingerprint],
    ),
  );
  return rows.map((row) => CaseId.parse(Number(row.case_id)));
};

const migrateOne = async (owner: OwnerDatabase, model: Model, caseId: CaseId): Promise<void> => {
  const schema = caseSchema(caseId);
  const database: RecordDatabase = { transaction: async (fn) => owner.transaction(migrationOptions, fn) };
  const made = await owner.transaction(migrationOptions, async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`records provision ${schema}`]);
    const { rows } = await tx.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
      `${schema}.effective_schema`,
    ]);
    if (rows[0]?.there === true) return false;
    await tx.script(emitDdl(model, schema).join(';\n'));
    await tx.query(recordsFingerprintSql, [caseId, model.fingerprint]);
    return true;
  });
  if (made) return;
  await migrateStore(database, { execute: async (text) => owner.outsideTransaction(text) }, model, schema);
  await owner.transaction({}, async (tx) => tx.query(recordsFingerprintSql, [caseId, model.fingerprint]));
};
