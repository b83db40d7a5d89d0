/**
 * One attempt at a transaction on one connection.
 *
 * 1. `BEGIN` and every `SET LOCAL` travel in one round trip; nothing is set for the session.
 * 2. The connection goes back only when the server confirmed COMMIT or ROLLBACK; otherwise it is destroyed.
 * 3. A `Transaction` refuses work once its function has settled: a forgotten `await` cannot write into the next caller's.
 * 4. Statements of one transaction run one after another, whatever the caller awaits.
 * 5. Nothing waits for ever for a server that vanished: the timeouts that the server keeps are kept here too, `answerMarginMs`
 *    later; then the connection is cut off.
 * 6. When the connection breaks during COMMIT the outcome is unknown, and said so (`commit_unknown`); that is never retried.
 */
import { createHash } from 'node:crypto';
import { finished, type Readable, type Writable } from 'node:stream';
import { CaseboundError } from '@casebound/contract';
import pg from 'pg';
import { from as copyFromStream, to as copyToStream } from 'pg-copy-streams';
import { cancelStatement } from './cancel-statement.ts';
import { classifyError, failureKind } from './classify-error.ts';
import type { Timeouts } from './config.ts';
import type { Lease } from './connection-pool.ts';
import type { OwnerTransaction, QueryResult, TransactionOptions } from './Database.ts';
import { quoteIdentifier } from './quote-identifier.ts';

export interface AttemptSettings {
  readonly timeouts: Timeouts;
  /** Schemas in which unqualified names are looked up, before temporary tables. Empty: none but PostgreSQL's own. */
  readonly searchPath: readonly string[];
  /** Further `SET LOCAL`s, by name. */
  readonly localSettings?: Readonly<Record<string, string>>;
  /** Prepare statements by name (see `namedStatements` of the configuration). */
  readonly namedStatements: boolean;
}

/** How much later than the server this side gives up: time for the way there and back, and for a pooler to find a connection. */
const answerMarginMs = 5000;
/** An answer that came while this process was held up is read before it counts as missing. */
const readLateAnswerMs = 250;

/** Runs `fn` and commits. The lease is released in every case. Driver errors come out as they are: the caller classifies. */
export async function runTransaction<T>(
  lease: Lease,
  settings: AttemptSettings,
  options: TransactionOptions,
  fn: (tx: OwnerTransaction) => Promise<T>,
): Promise<T> {
  const { client } = lease;
  const state = new AttemptState(lease, options, settings);
  let healthy = false;
  const onAbort = (): void => {
    void cancelStatement(client);
  };
  options.signal?.addEventListener('abort', onAbort, { once: true });
  try {
    options.signal?.throwIfAborted();
    await state.run(async () => client.query(beginText(settings, options)));
    let value: T;
    try {
      value = await fn(new PgTransaction(state));
      await state.settle();
      options.signal?.throwIfAborted();
    } catch (error) {
      await state.settle();
      healthy = await rollBack(state);
      // What was cancelled because the caller gave up is told as that, not as a statement's failure.
      options.signal?.throwIfAborted();
      throw lostError(lease, error);
    }
    await commit(state);
    healthy = true;
    return value;
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
    state.close();
    lease.release(!healthy);
  }
}

/** Why the connection was lost, where that says more than what failed because of it. */
function lostError(lease: Lease, error: unknown): unknown {
  if (!lease.lost.aborted || error instanceof CaseboundError) return error;
  const reason: unknown = lease.lost.reason;
  return reason instanceof CaseboundError || failureKind(error) === 'other' ? reason : error;
}

function beginText(settings: AttemptSettings, options: TransactionOptions): string {
  const { timeouts } = settings;
  const isolation = (options.isolation ?? 'read committed').toUpperCase();
  const searchPath = [...settings.searchPath, 'pg_temp'].map(quoteIdentifier).join(', ');
  return [
    `BEGIN ISOLATION LEVEL ${isolation} ${options.readOnly === true ? 'READ ONLY' : 'READ WRITE'}`,
    `SET LOCAL lock_timeout = ${integer(options.lockTimeoutMs ?? timeouts.lockTimeoutMs)}`,
    `SET LOCAL statement_timeout = ${integer(options.statementTimeoutMs ?? timeouts.statementTimeoutMs)}`,
    `SET LOCAL transaction_timeout = ${integer(options.transactionTimeoutMs ?? timeouts.transactionTimeoutMs)}`,
    `SET LOCAL idle_in_transaction_session_timeout = ${integer(timeouts.idleInTransactionTimeoutMs)}`,
    `SET LOCAL search_path = ${searchPath}`,
    ...Object.entries(settings.localSettings ?? {}).map(
      ([name, value]) => `SET LOCAL ${name.split('.').map(quoteIdentifier).join('.')} = ${pg.escapeLiteral(value)}`,
    ),
  ].join('; ');
}

function integer(ms: number): string {
  if (!Number.isSafeInteger(ms) || ms <= 0) {
    throw new CaseboundError('internal', `${String(ms)} is not a timeout in whole milliseconds.`);
  }
  return String(ms);
}

async function commit(state: AttemptState): Promise<void> {
  let command: string;
  try {
    ({ command } = await state.bounded('statement', async () => state.lease.client.query('COMMIT')));
  } catch (error) {
    if (failureKind(error) !== 'broken') throw error; // A deferred constraint or a serialization failure: rolled back.
    throw new CaseboundError(
      'commit_unknown',
      'The connection to the database broke while the transaction was being committed, so it may or may not have happened.',
    );
  }
  // PostgreSQL answers COMMIT of a failed transaction with ROLLBACK, and no error.
  if (command === 'ROLLBACK') {
    throw new CaseboundError(
      'internal',
      'A statement of the transaction failed and the failure was not passed on, so nothing was committed; use a savepoint to go on after an error.',
    );
  }
}

/** True when the server confirmed it. */
async function rollBack(state: AttemptState): Promise<boolean> {
  const { client, lost } = state.lease;
  if (lost.aborted) return false;
  try {
    await state.bounded('statement', async () => client.query('ROLLBACK'));
    return true;
  } catch {
    return false;
  }
}

/** The longest time that a timer of Node can wait, in milliseconds. */
const maximumTimerMs = 2 ** 31 - 1;

/** What the transaction and its savepoints share. */
class AttemptState {
  readonly lease: Lease;
  readonly options: TransactionOptions;
  readonly signal: AbortSignal;
  readonly namedStatements: boolean;
  /** Milliseconds after which an answer is missing. */
  readonly #limits: { readonly statement: number; readonly script: number };
  #last: Promise<unknown> = Promise.resolve();
  #open = true;
  #savepoints = 0;

  constructor(lease: Lease, options: TransactionOptions, settings: AttemptSettings) {
    const { timeouts, namedStatements } = settings;
    this.namedStatements = namedStatements;
    this.#limits = {
      statement: (options.statementTimeoutMs ?? timeouts.statementTimeoutMs) + answerMarginMs,
      // The server's limit for a statement counts for each of a script.
      script: (options.transactionTimeoutMs ?? timeouts.transactionTimeoutMs) + answerMarginMs,
    };
    this.lease = lease;
    this.options = options;
    this.signal = options.signal === undefined ? lease.lost : AbortSignal.any([options.signal, lease.lost]);
  }

  async run<T>(statement: () => Promise<T>, kind: 'statement' | 'script' = 'statement'): Promise<T> {
    this.check();
    const bounded = async (): Promise<T> => this.bounded(kind, statement);
    const result = this.#last.then(bounded, bounded);
    this.#last = result.catch(() => undefined);
    try {
      return await result;
    } catch (error) {
      throw lostError(this.lease, error);
    }
  }

  /** Runs it, and cuts the connection off when the server has not answered long after it should have. */
  async bounded<T>(kind: 'statement' | 'script', work: () => Promise<T>): Promise<T> {
    const limitMs = this.#limits[kind];
    const giveUp = (): void => {
      this.lease.abandon(
        new CaseboundError(
          'database_unreachable',
          `The database did not answer within ${limitMs} ms, longer than database.timeouts allows it, so the connection was given up; check the server and the network to it.`,
        ),
      );
    };
    let timer = setTimeout(
      () => {
        timer = setTimeout(giveUp, readLateAnswerMs);
      },
      Math.min(limitMs, maximumTimerMs),
    );
    try {
      return await work();
    } finally {
      clearTimeout(timer);
    }
  }

  check(): void {
    if (!this.#open) {
      throw new CaseboundError(
        'internal',
        'The transaction has ended; a statement came after it, so an `await` is missing.',
      );
    }
    this.options.signal?.throwIfAborted();
  }

  /** Waits for statements that the function started and did not await. */
  async settle(): Promise<void> {
    this.#open = false;
    await this.#last;
  }

  close(): void {
    this.#open = false;
  }

  nextSavepoint(): string {
    this.#savepoints += 1;
    return `s${this.#savepoints}`;
  }

  /** Keeps further statements waiting until the stream has ended. */
  follow(stream: Readable | Writable): void {
    const ended = new Promise<void>((resolve) => {
      finished(stream, () => {
        resolve();
      });
    });
    this.#last = this.#last.then(async () => this.bounded('statement', async () => ended));
  }
}

class PgTransaction implements OwnerTransaction {
  readonly #state: AttemptState;
  /** False while a savepoint of this transaction is open: statements then belong to it. */
  #current = true;

  constructor(state: AttemptState) {
    this.#state = state;
  }

  get signal(): AbortSignal {
    return this.#state.signal;
  }

  async query<Row extends object = Record<string, unknown>>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<QueryResult<Row>> {
    this.#refuseWhileSavepoint();
    this.#state.options.onStatement?.(text);
    return this.#state.run(async () => {
      try {
        // The extended protocol takes one statement: text that was led astray cannot bring a second.
        const config: ExtendedQuery = { text, values: [...values], queryMode: 'extended' };
        if (this.#state.namedStatements) config.name = statementName(text);
        const result: pg.QueryResult = await this.#state.lease.client.query(config);
        return { rows: result.rows, rowCount: result.rowCount ?? 0 };
      } catch (error) {
        throw keepStatementError(error);
      }
    });
  }

  async script(text: string): Promise<void> {
    this.#refuseWhileSavepoint();
    this.#state.options.onStatement?.(text);
    await this.#state.run(async () => {
      try {
        await this.#state.lease.client.query(text);
      } catch (error) {
        throw keepStatementError(error);
      }
    }, 'script');
  }

  async savepoint<T>(fn: (tx: OwnerTransaction) => Promise<T>): Promise<T> {
    this.#refuseWhileSavepoint();
    const name = this.#state.nextSavepoint();
    const { client } = this.#state.lease;
    await this.#state.run(async () => client.query(`SAVEPOINT ${name}`));
    this.#current = false;
    const inner = new PgTransaction(this.#state);
    try {
      const value = await fn(inner);
      await this.#state.run(async () => client.query(`RELEASE SAVEPOINT ${name}`));
      return value;
    } catch (error) {
      if (!this.#state.lease.lost.aborted) {
        await this.#state.run(async () => client.query(`ROLLBACK TO SAVEPOINT ${name}; RELEASE SAVEPOINT ${name}`));
      }
      throw error;
    } finally {
      inner.#current = false;
      this.#current = true;
    }
  }

  copyFrom(text: string): Writable {
    this.#refuseWhileSavepoint();
    this.#state.check();
    this.#state.options.onStatement?.(text);
    const stream = this.#state.lease.client.query(copyFromStream(text));
    this.#state.follow(stream);
    return stream;
  }

  copyTo(text: string): Readable {
    this.#refuseWhileSavepoint();
    this.#state.check();
    this.#state.options.onStatement?.(text);
    const stream = this.#state.lease.client.query(copyToStream(text));
    this.#state.follow(stream);
    return stream;
  }

  #refuseWhileSavepoint(): void {
    if (!this.#current) {
      throw new CaseboundError(
        'internal',
        'A savepoint is open or over; use the transaction handle that the innermost one was given.',
      );
    }
  }
}

/** Conflicts and broken connections end the attempt as they are; a refused statement is for the caller to read. */
function keepStatementError(error: unknown): unknown {
  const kind = failureKind(error);
  return kind === 'statement' || kind === 'denied' ? classifyError(error) : error;
}

/** The driver knows the member, its type declarations do not. */
interface ExtendedQuery extends pg.QueryConfig {
  queryMode: 'extended';
}

/** One name for one text, so that equal statements share a plan. */
function statementName(text: string): string {
  return `s_${createHash('sha256').update(text).digest('base64url').slice(0, 22)}`;
}
