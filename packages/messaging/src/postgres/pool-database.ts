/** A pool of the `pg` driver as the database of messaging: one statement, one round trip; no session state. */
import type { Sql, SqlDatabase } from '../ports.ts';
import { sqlStateOf } from './sql-error.ts';
import { fullJitter } from '../full-jitter.ts';
import type { Random } from '../full-jitter.ts';

/** The part of `pg.Pool` that is used. */
export interface Pool extends Sql {
  connect(): Promise<Sql & { release(broken?: boolean): void }>;
}

/** Serialization failure, deadlock, lock timeout: PostgreSQL manual, appendix A. */
const conflicts = new Set(['40001', '40P01', '55P03']);

/**
 * Runs work again after a conflict, with full jitter; the database twin of a message's retries. `work` must have no effect
 * outside its transaction.
 */
export const retryOnConflict = async <T>(
  work: () => Promise<T>,
  parts: { readonly random: Random; readonly sleep: (ms: number) => Promise<void>; readonly attempts?: number },
): Promise<T> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt >= (parts.attempts ?? 8) || !conflicts.has(sqlStateOf(error) ?? '')) throw error;
      await parts.sleep(fullJitter({ baseMs: 10, maxMs: 2000 }, attempt, parts.random));
    }
  }
};

export const createPoolDatabase = (
  pool: Pool,
  parts: { readonly random: Random; readonly sleep: (ms: number) => Promise<void> },
): SqlDatabase => ({
  query: async (text, values) => pool.query(text, values),
  transaction: async (work) =>
    retryOnConflict(async () => {
      const client = await pool.connect();
      let broken = true;
      try {
        await client.query('BEGIN');
        try {
          const result = await work(client);
          await client.query('COMMIT');
          broken = false;
          return result;
        } catch (error) {
          await client.query('ROLLBACK');
          broken = false;
          throw error;
        }
      } finally {
        client.release(broken);
      }
    }, parts),
});
