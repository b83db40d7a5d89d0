/**
 * Brings many stores to one schema: a job that is resumed by running it again.
 *
 * - What is done is written in each store itself (its fingerprint, and the statements it still owes), so there is no list beside
 *   the stores that could disagree with them.
 * - One store's failure does not stop the others; memory does not grow with their number.
 */
import type { Model } from '../derive/model.ts';
import type { RecordDatabase } from '../session.ts';
import { type AutocommitSession, migrateStore, type MigrateOptions } from './migrate-store.ts';

export interface StoreToMigrate {
  readonly schema: string;
  readonly database: RecordDatabase;
  readonly autocommit: AutocommitSession;
}

export interface MigrateStoresOptions extends MigrateOptions {
  /** Stores at once. Default 4; each takes one connection at a time. */
  readonly concurrency?: number;
  readonly signal?: AbortSignal;
  readonly onStore?: (schema: string, result: readonly string[] | Error) => void;
}

export interface MigrateStoresSummary {
  readonly migrated: number;
  /** Stores that had the schema already and owed nothing. */
  readonly present: number;
  readonly failed: number;
}

/** Migrates stores, `concurrency` at once, and tells of each. Throws what the iteration throws, and when it is aborted. */
export const migrateStores = async (
  stores: Iterable<StoreToMigrate> | AsyncIterable<StoreToMigrate>,
  model: Model,
  options: MigrateStoresOptions = {},
): Promise<MigrateStoresSummary> => {
  const counts = { migrated: 0, present: 0, failed: 0 };
  const one = async (store: StoreToMigrate): Promise<void> => {
    try {
      const changes = await migrateStore(store.database, store.autocommit, model, store.schema, options);
      counts[changes.length > 0 ? 'migrated' : 'present'] += 1;
      options.onStore?.(store.schema, changes);
    } catch (error) {
      counts.failed += 1;
      options.onStore?.(store.schema, error instanceof Error ? error : new Error(String(error)));
    }
  };
  const running = new Set<Promise<void>>();
  try {
    for await (const store of stores) {
      options.signal?.throwIfAborted();
      const work = one(store).finally(() => running.delete(work));
      running.add(work);
      if (running.size >= Math.max(1, options.concurrency ?? 4)) await Promise.race(running);
    }
  } finally {
    await Promise.all(running);
  }
  return counts;
};

/** Names of the database schemas that hold a record store, sorted. */
export const listStores = async (database: RecordDatabase): Promise<readonly string[]> =>
  database.transaction(async (tx) => {
    const { rows } = await tx.query(
      `SELECT n.nspname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relname = 'effective_schema' AND c.relkind = 'r'
         AND EXISTS (SELECT 1 FROM pg_class e WHERE e.relnamespace = n.oid AND e.relname = 'reference_edge')
       ORDER BY 1`,
    );
    return rows.map((row) => String(row['name']));
  });
