/**
 * What the rest of the server knows of PostgreSQL: transactions, and nothing that outlives one.
 *
 * 1. There is no statement outside a transaction: each has its timeouts, isolation and search path by `SET LOCAL`, so all
 *    of it is safe behind a pooler in transaction mode. No session state, no session advisory lock, no named statement
 *    unless the configuration allows them.
 * 2. A `Transaction` is valid until the function it was given to has settled. Using it later is refused.
 * 3. Errors are `CaseboundError`s, or a `DatabaseError` with the SQLSTATE where the caller is meant to decide
 *    (a violated constraint, mostly).
 */
import type { Readable, Writable } from 'node:stream';

export interface QueryResult<Row> {
  readonly rows: Row[];
  /** Rows that the statement returned or changed. */
  readonly rowCount: number;
}

/** Anything that runs one SQL statement. Packages that take a structurally equal parameter accept a `Transaction`. */
export interface Queryable {
  /**
   * Runs one statement with bound values (`$1`, …). `Row` is what the caller knows of the columns; `bigint` arrives as
   * string, `numeric` as string, `jsonb` parsed, `timestamptz` as Date, `bytea` as Buffer.
   */
  query<Row extends object = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
  ): Promise<QueryResult<Row>>;
}

/** Statements that are called without awaiting each other are sent at once, and run in the order of the calls. */
export interface Transaction extends Queryable {
  /** Runs `fn` in a savepoint: when it throws, what it did is undone, and the transaction goes on with the error thrown. */
  savepoint<T>(fn: (tx: Transaction) => Promise<T>): Promise<T>;
  /** `COPY … FROM STDIN`: write bytes in the format that the statement names, end it, await `finish`. */
  copyFrom(text: string): Writable;
  /** `COPY … TO STDOUT`: read it to its end before the next statement. */
  copyTo(text: string): Readable;
  /**
   * Says that what was sent so far is all: COMMIT travels behind it, without a round trip of its own. The transaction commits when all
   * of that has succeeded, and only then. Await it before the function settles; a failure that comes from elsewhere undoes nothing.
   */
  sendCommit(): void;
  /** Aborts when the caller's signal does or the connection is lost. */
  readonly signal: AbortSignal;
}

/** A transaction of the role that owns the tables: migrations and the making of cases. */
export interface OwnerTransaction extends Transaction {
  /** Runs a text of several statements, without values, in one round trip. Never pass it what a user wrote. */
  script(text: string): Promise<void>;
  savepoint<T>(fn: (tx: OwnerTransaction) => Promise<T>): Promise<T>;
}

export type IsolationLevel = 'read committed' | 'repeatable read' | 'serializable';

export interface TransactionOptions {
  /** Default `read committed`. */
  readonly isolation?: IsolationLevel;
  /** Default false. A read-only transaction may go to the reader endpoint when `endpoint` says so. */
  readonly readOnly?: boolean;
  /** `writer` (default) sees all that was committed; `reader` may lag behind and must be `readOnly`. */
  readonly endpoint?: 'writer' | 'reader';
  /**
   * Runs the whole transaction again, with full jitter, after a deadlock, a serialization failure or a lock timeout.
   * `fn` must then have no effect outside the database. Default true.
   */
  readonly retryOnConflict?: boolean;
  /** Milliseconds; each defaults to the configuration's. */
  readonly lockTimeoutMs?: number;
  readonly statementTimeoutMs?: number;
  readonly transactionTimeoutMs?: number;
  /** Cancels the running statement and rolls back. */
  readonly signal?: AbortSignal;
  /**
   * Statements that begin with `SELECT` and come first are sent together with BEGIN, one round trip less. They must change nothing:
   * should BEGIN fail, they have run outside of the transaction. Default false: everything waits for the answer to BEGIN.
   */
  readonly readsWithBegin?: boolean;
  /** Says that this transaction is opened on purpose while another one is open; otherwise that is refused. */
  readonly alongside?: boolean;
  /** Observes each statement; a test counts with it. The text is the statement without its values. */
  readonly onStatement?: (text: string) => void;
}

export interface Listener {
  /** Stops listening and closes the connection. */
  close(): Promise<void>;
}

export interface Database {
  /**
   * Runs `fn` in a transaction and commits; rolls back when it throws. Must not be called from within another
   * transaction of the same database: that would wait for a second connection while holding the first, and is refused.
   * Errors: `conflict_retries_exhausted`, `database_unreachable`, `overloaded`, what `fn` throws.
   */
  transaction<T>(options: TransactionOptions, fn: (tx: OwnerTransaction) => Promise<T>): Promise<T>;
  /**
   * `LISTEN` on a direct connection of its own, which is opened again when it breaks. Notifications sent meanwhile are
   * lost: `onConnected` is called after each connect, for the caller to look at what it may have missed.
   */
  listen(channel: string, onNotification: (payload: string) => void, onConnected?: () => void): Promise<Listener>;
  /** Connections open and in use now. */
  readonly statistics: () => PoolStatistics;
  /** Waits for transactions in progress, then closes every connection. */
  close(): Promise<void>;
}

/** A database as its owner, who may also do what no transaction allows. */
export interface OwnerDatabase extends Database {
  /** Runs one statement outside of a transaction (`CREATE INDEX CONCURRENTLY`). Never pass it what a user wrote. */
  outsideTransaction(text: string): Promise<void>;
}

export interface PoolStatistics {
  readonly open: number;
  readonly inUse: number;
  readonly waiting: number;
}
