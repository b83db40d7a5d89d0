/** A database whose transactions stream, for tests of copies across databases. */
import type { Readable, Writable } from 'node:stream';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import type { RecordTransaction } from '../session.ts';

export interface TestStreamingTransaction extends RecordTransaction {
  copyFrom(text: string): Writable;
  copyTo(text: string): Readable;
}

/** Opens a pool; every transaction has the given isolation. */
export const openStreamingDatabase = (
  target: pg.PoolConfig,
  isolation: 'READ COMMITTED' | 'REPEATABLE READ',
): {
  transaction<T>(fn: (tx: TestStreamingTransaction) => Promise<T>): Promise<T>;
  close(): Promise<void>;
} => {
  const pool = new pg.Pool({ ...target, max: 2 });
  pool.on('error', () => undefined);
  return {
    transaction: async (fn) => {
      const client = await pool.connect();
      try {
        await client.query(`BEGIN ISOLATION LEVEL ${isolation}`);
        const result = await fn({
          query: async (text, values) => client.query(text, values === undefined ? undefined : [...values]),
          copyFrom: (text) => client.query(copyFrom(text)),
          copyTo: (text) => client.query(copyTo(text)),
        });
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch(() => undefined);
        throw error;
      } finally {
        client.release();
      }
    },
    close: async () => pool.end(),
  };
};
