/**
 * Opens a provisioned store.
 *
 * - Refuses a store whose fingerprint is not the model's, and says what differs.
 */
import { CaseboundError } from '@casebound/contract';
import { checkRules } from './auth/check-rules.ts';
import type { AuthorizationRules } from './auth/claim-set.ts';
import { readEffectiveSchema, schemaMismatch } from './ddl/provision.ts';
import { type Model, type Resource, resourceId } from './derive/model.ts';
import { quoteIdentifier } from './derive/naming.ts';
import { type RecordMetrics, silentMetrics } from './metrics.ts';
import { defaultRetry, type RetryOptions } from './retry.ts';
import type { RecordDatabase } from './session.ts';
import { type CacheMode, createContext, defaultLimits, type StoreContext, type StoreLimits } from './store-context.ts';

export interface OpenStoreOptions {
  readonly model: Model;
  readonly database: RecordDatabase;
  /** PostgreSQL schema that holds the store. */
  readonly schema: string;
  readonly limits?: StoreLimits;
  readonly retry?: RetryOptions;
  readonly metrics?: RecordMetrics;
  readonly cacheMode?: CacheMode;
  readonly authorization?: AuthorizationRules | null;
  readonly crashPoint?: (name: string) => void;
  readonly afterCommit?: (resource: Resource, documentIds: readonly number[]) => void;
}

/** Opens a store. Throws `store_not_provisioned` or `schema_mismatch`. */
export const openStore = async (options: OpenStoreOptions): Promise<StoreContext> => {
  const { database, model, schema } = options;
  const { effective, keys } = await database.transaction(async (tx) => {
    const found = await readEffectiveSchema(tx, schema);
    if (found === null)
      throw new CaseboundError('store_not_provisioned', `There is no record store in the database schema ${schema}.`);
    const { rows } = await tx.query(
      `SELECT resource_key_id, project_name, resource_name FROM ${quoteIdentifier(schema)}.resource_key`,
    );
    const keysByName = new Map(
      rows.map((row) => [
        resourceId({ projectName: String(row['project_name']), resourceName: String(row['resource_name']) }),
        Number(row['resource_key_id']),
      ]),
    );
    return { effective: found, keys: keysByName };
  });
  if (effective.fingerprint !== model.fingerprint) throw schemaMismatch(schema, effective.manifest, model);
  if (options.authorization !== undefined && options.authorization !== null) checkRules(options.authorization, model);
  return createContext({
    model,
    schema,
    database,
    limits: options.limits ?? defaultLimits,
    retry: options.retry ?? defaultRetry,
    metrics: options.metrics ?? silentMetrics,
    cacheMode: options.cacheMode ?? 'off',
    authorization: options.authorization ?? null,
    tokenSecret: effective.tokenSecret,
    crashPoint: options.crashPoint ?? (() => undefined),
    afterCommit: options.afterCommit ?? (() => undefined),
    resourceKeys: keys,
  });
};
