/**
 * Makes a store: the DDL of a model, applied once, in one transaction.
 *
 * - A store that exists with this schema is left as it is; with another one it is refused, because that is a migration.
 */
import { CaseboundError } from '@casebound/contract';
import { modelManifest } from '../derive/manifest.ts';
import type { Model } from '../derive/model.ts';
import { quoteIdentifier } from '../derive/naming.ts';
import { describeDifference } from '../migrate/compare-manifests.ts';
import type { RecordDatabase, RecordTransaction } from '../session.ts';
import { settleAll } from '../session.ts';
import { emitDdl } from './emit-ddl.ts';
import type { InfrastructureOptions } from './infrastructure.ts';

export interface EffectiveSchema {
  readonly fingerprint: string;
  readonly manifest: unknown;
  readonly tokenSecret: string;
  /** The migration to this schema has statements of its second phase left to run. */
  readonly isOwing: boolean;
}

/** What a store says of itself; null when there is none in the schema. */
export const readEffectiveSchema = async (tx: RecordTransaction, schema: string): Promise<EffectiveSchema | null> => {
  const { rows: tables } = await tx.query(`SELECT to_regclass($1) IS NOT NULL AS present`, [
    `${quoteIdentifier(schema)}.effective_schema`,
  ]);
  if (tables[0]?.['present'] !== true) return null;
  const { rows } = await tx.query(
    `SELECT fingerprint, manifest, token_secret, cardinality(pending) > 0 AS is_owing FROM ${quoteIdentifier(schema)}.effective_schema`,
  );
  const [row] = rows;
  if (row === undefined) return null;
  return {
    fingerprint: String(row['fingerprint']),
    manifest: row['manifest'],
    tokenSecret: String(row['token_secret']),
    isOwing: row['is_owing'] === true,
  };
};

/** A store that has another schema than the model, with what differs. */
export const schemaMismatch = (schema: string, stored: unknown, model: Model): CaseboundError => {
  const differences = describeDifference(stored, modelManifest(model));
  const more = differences.length > 5 ? ` and ${differences.length - 5} more differences` : '';
  return new CaseboundError(
    'schema_mismatch',
    `The store ${schema} was provisioned with another schema; this one ${differences.slice(0, 5).join('; ')}${more}.`,
    { errors: differences.slice(0, 200).map((message) => ({ path: '$', message })) },
  );
};

/**
 * Provisions a store in a database schema, which is created when it is missing.
 * @returns `created`, or `present` when the store is there with the same fingerprint
 * @throws `schema_mismatch` when it is there with another
 */
export const provisionStore = async (
  database: RecordDatabase,
  model: Model,
  schema: string,
  options: InfrastructureOptions = { edgePartitions: 1 },
): Promise<'created' | 'present'> =>
  database.transaction(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`records provision ${schema}`]);
    const current = await readEffectiveSchema(tx, schema);
    if (current !== null) {
      if (current.fingerprint === model.fingerprint) return 'present';
      throw schemaMismatch(schema, current.manifest, model);
    }
    await tx.query(`CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(schema)}`);
    await settleAll(emitDdl(model, schema, options).map(async (statement) => tx.query(statement)));
    return 'created';
  });
