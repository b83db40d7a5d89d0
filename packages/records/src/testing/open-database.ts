/**
 * The store's database port over a plain `pg` pool, for this package's tests and benchmarks. The server has its own.
 *
 * - Pipelines: statements are written without waiting, BEGIN goes with the first and COMMIT with the last.
 * - Counts the round trips of a transaction: how often it sent something after it had got an answer.
 */
import { CaseboundError } from '@casebound/contract';
import pg from 'pg';
import type { RecordDatabase, RecordTransaction } from '../session.ts';

export interface TestRecordDatabase extends RecordDatabase {
  readonly pool: pg.Pool;
  /** In all transactions so far. */
  roundTrips(): number;
  statements(): number;
  close(): Promise<void>;
}

export interface OpenOptions {
  readonly max?: number;
  /** Named statements: the plan is kept by the connection. Off behind a transaction pooler. */
  readonly prepare?: boolean;
  readonly pipeline?: boolean;
  readonly onStatement?: (text: string) => void;
}

/** Statements that keep a name; connections hold a plan for each. */
const maxNamed = 2_000;

const withName = (name: string | undefined, text: string, values: readonly unknown[]): pg.QueryConfig => ({
  text,
  values: [...values],
  ...(name === undefined ? {} : { name }),
});

/** A connection that broke, where PostgreSQL did not come to say why: the socket says so, or the driver. */
const isLost = (error: unknown): boolean =>
  error instanceof Error &&
  ('code' in error
    ? error.code === 'EPIPE' || error.code === 'ECONNRESET'
    : /Connection terminated|not queryable/.test(error.message));

/** Opens a pool on a connection string or target. */
export const openRecordDatabase = (target: pg.PoolConfig, options: OpenOptions = {}): TestRecordDatabase => {
  const pool = new pg.Pool({ ...target, max: options.max ?? 10, pipeline: options.pipeline ?? true });
  pool.on('error', () => undefined);
  const names = new Map<string, string>();
  const counts = { roundTrips: 0, statements: 0 };

  const nameOf = (text: string): string | undefined => {
    const known = names.get(text);
    if (known !== undefined || names.size >= maxNamed) return known;
    const name = `r${names.size + 1}`;
    names.set(text, name);
    return name;
  };

  const transaction = async <T>(fn: (tx: RecordTransaction) => Promise<T>): Promise<T> => {
    const client = await pool.connect();
    let hasAnswer = true;
    const ending: { commit: Promise<unknown> | null; failed: boolean } = { commit: null, failed: false };
    const send = async (text: string, values?: readonly unknown[]): Promise<pg.QueryResult> => {
      if (hasAnswer) counts.roundTrips += 1;
      hasAnswer = false;
      counts.statements += 1;
      options.onStatement?.(text);
      try {
        return values !== undefined && values.length > 0 && options.prepare !== false
          ? await client.query(withName(nameOf(text), text, values))
          : await client.query(text, values === undefined ? undefined : [...values]);
      } catch (error) {
        throw isLost(error)
          ? new CaseboundError('database_unreachable', 'The connection was lost.', { cause: error })
          : error;
      } finally {
        hasAnswer = true;
      }
    };
    const begin = send('BEGIN');
    begin.catch(() => undefined);
    try {
      const result = await fn({
        query: async (text, values) => send(text, values),
        sendCommit: () => {
          ending.commit = send('COMMIT').then((ended) => {
            if (ended.command === 'ROLLBACK') ending.failed = true;
          });
          ending.commit.catch(() => undefined);
        },
      });
      await (ending.commit ?? send('COMMIT'));
      if (ending.failed) throw new Error('the transaction was rolled back');
      return result;
    } catch (error) {
      await (ending.commit ?? send('ROLLBACK')).catch(() => undefined);
      throw error;
    } finally {
      client.release();
    }
  };
  return {
    pool,
    transaction,
    roundTrips: () => counts.roundTrips,
    statements: () => counts.statements,
    close: async () => pool.end(),
  };
};
