/**
 * The record store's database port over a pool of pipelining connections.
 *
 * 1. Statements go out without waiting for each other: BEGIN with its `SET LOCAL`s travels with the reads that come first, COMMIT
 *    with the last. A write is two round trips, whatever it holds. What changes something waits for the answer to BEGIN: without a
 *    transaction it must not run.
 * 2. Nothing outlives a transaction; statements have names only when `namedStatements` allows it.
 * 3. A connection goes back only after COMMIT or ROLLBACK was confirmed; otherwise it is destroyed.
 */
import { createHash } from 'node:crypto';
import { CaseboundError } from '@casebound/contract';
import { type AutocommitSession, type RecordDatabase, type RecordTransaction, sqlFailureOf } from '@casebound/records';
import pg from 'pg';

export interface RecordDatabaseOptions {
  readonly connection: pg.PoolConfig;
  readonly maxConnections: number;
  /** False behind a pooler in transaction mode that does not know named statements. */
  readonly namedStatements: boolean;
  readonly lockTimeoutMs: number;
  readonly statementTimeoutMs: number;
}

export interface OpenRecordDatabase extends RecordDatabase, AutocommitSession {
  /** The same database without statement timeout, for DDL, audits and migrations. */
  readonly patient: RecordDatabase;
  close(): Promise<void>;
}

/**
 * Whether the connection or the server is gone: classes of SQLSTATE, codes of Node, and what `pg` says in words only. Any other
 * error is the program's own and must not look like a database that is away.
 */
const isBroken = (error: unknown): boolean => {
  const state = sqlFailureOf(error)?.sqlState;
  if (state !== undefined) return state.startsWith('08') || state.startsWith('57P') || state === '53300';
  if (!(error instanceof Error) || error instanceof CaseboundError) return false;
  const { code } = error as { readonly code?: unknown };
  return (
    (typeof code === 'string' && /^E[A-Z]+$/.test(code)) || /connection|terminated|not queryable/i.test(error.message)
  );
};

const unreachable = (cause: unknown): CaseboundError =>
  new CaseboundError('database_unreachable', 'The connection to the database could not be made or broke.', {
    cause,
    retryAfterSeconds: 1,
  });

/** What the server refuses for want of time or room, which is neither the caller's fault nor a lost connection. */
const wanting = (error: unknown): CaseboundError | null => {
  const state = sqlFailureOf(error)?.sqlState ?? '';
  if (state === '57014')
    return new CaseboundError(
      'operation_timeout',
      'A statement ran longer than the store allows, or was cancelled; nothing of its transaction was kept.',
      { cause: error },
    );
  if (!state.startsWith('53')) return null;
  return new CaseboundError('overloaded', 'The database has no room for this now (memory, disk or connections).', {
    cause: error,
    retryAfterSeconds: 5,
  });
};

const commitUnknown = (cause: unknown): CaseboundError =>
  new CaseboundError(
    'commit_unknown',
    'The connection to the database broke while the transaction was being committed, so it may or may not have happened.',
    { cause },
  );

/** Statements that keep a name; connections hold a plan for each. */
const maxNamed = 2_000;

const withName = (name: string | undefined, text: string, values: unknown[]): pg.QueryConfig => ({
  text,
  values,
  ...(name === undefined ? {} : { name }),
});

/** Opens the pool; connections are made when they are needed. */
export const openRecordDatabase = (options: RecordDatabaseOptions): OpenRecordDatabase => {
  const pool = new pg.Pool({ ...options.connection, max: options.maxConnections, pipeline: true });
  // A connection that breaks while unused is simply not used again.
  pool.on('error', () => undefined);
  // One that breaks in use fails its statements, which tell; without a listener its `error` would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  const names = new Map<string, string>();
  const nameOf = (text: string): string | undefined => {
    const known = names.get(text);
    if (known !== undefined || names.size >= maxNamed) return known;
    const name = `r_${createHash('sha256').update(text).digest('base64url').slice(0, 22)}`;
    names.set(text, name);
    return name;
  };

  const transactionWith =
    (statementTimeoutMs: number) =>
    async <T>(fn: (tx: RecordTransaction) => Promise<T>): Promise<T> => {
      const client = await pool.connect().catch((error: unknown) => {
        throw unreachable(error);
      });
      let committing: Promise<string> | null = null;
      let confirmed = false;
      const end = async (command: 'COMMIT' | 'ROLLBACK'): Promise<string> => {
        const ended = await client.query(command);
        confirmed = true;
        return ended.command;
      };
      const begin = client.query(
        `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = ${options.lockTimeoutMs}; SET LOCAL statement_timeout = ${statementTimeoutMs}`,
      );
      begin.catch(() => undefined);
      // Nothing has been held back yet, so a read that goes at once overtakes nothing.
      let isFirst = true;
      const ready = async (): Promise<unknown> => (isFirst ? Promise.resolve() : begin);
      try {
        const result = await fn({
          query: async (text, values) => {
            const bound = values === undefined ? [] : [...values];
            isFirst &&= /^SELECT\b/i.test(text);
            return ready().then(async () =>
              options.namedStatements && bound.length > 0
                ? client.query(withName(nameOf(text), text, bound))
                : client.query(text, bound.length > 0 ? bound : undefined),
            );
          },
          sendCommit: () => {
            committing = ready().then(async () => end('COMMIT'));
            committing.catch(() => undefined);
          },
        });
        await begin;
        const command = await (committing ?? end('COMMIT'));
        if (command === 'ROLLBACK')
          throw new CaseboundError(
            'internal',
            'A statement of the transaction failed unnoticed, so nothing was committed.',
          );
        return result;
      } catch (error) {
        await (committing ?? end('ROLLBACK')).catch(() => undefined);
        if (committing !== null && !confirmed && isBroken(error)) throw commitUnknown(error);
        throw isBroken(error) ? unreachable(error) : (wanting(error) ?? error);
      } finally {
        client.release(!confirmed);
      }
    };

  return {
    transaction: transactionWith(options.statementTimeoutMs),
    patient: { transaction: transactionWith(0) },
    execute: async (text) => {
      await pool.query(text);
    },
    close: async () => pool.end(),
  };
};
