/**
 * One attempt at a transaction on one connection.
 *
 * 1. `BEGIN` and every `SET LOCAL` travel in one round trip; nothing is set for the session. Statements that could do harm if BEGIN
 *    failed wait for its answer; reads need not, where the options say so.
 * 2. The connection goes back only when the server confirmed COMMIT or ROLLBACK; otherwise it is destroyed.
 * 3. A `Transaction` refuses work once its function has settled: a forgotten `await` cannot write into the next caller's.
 * 4. Statements of one transaction run one after another, in the order of the calls, whatever the caller awaits. They are sent
 *    without waiting for each other's answers; only COPY has the connection for itself.
 * 5. Nothing waits for ever for a server that vanished: the timeouts that the server keeps are kept here too, `answerMarginMs`
 *    later; then the connection is cut off.
 * 6. When the connection breaks after COMMIT was sent the outcome is unknown, and said so (`commit_unknown`); that is never retried.
 */
import { finished, type Readable, type Writable } from 'node:stream';
import { CaseboundError } from '@casebound/contract';
import pg from 'pg';
import { from as copyFromStream, to as copyToStream } from 'pg-copy-streams';
import { cancelStatement } from './cancel-statement.ts';
import { classifyError, failureKind, sqlStateOf } from './classify-error.ts';
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
  let cancelling: Promise<void> | undefined;
  const onAbort = (): void => {
    cancelling = cancelStatement(client);
  };
  options.signal?.addEventListener('abort', onAbort, { once: true });
  try {
    options.signal?.throwIfAborted();
    state.begin(beginText(settings, options));
    let value: T;
    try {
      value = await fn(new PgTransaction(state));
      await state.settle();
      if (!state.isCommitting) options.signal?.throwIfAborted();
    } catch (error) {
      await state.settle().catch(() => undefined);
      healthy = state.isCommitting ? await failedToCommit(state) : await rollBack(state);
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
    // One that is still on its way would meet a statement of whoever has the connection next.
    await cancelling;
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
    command = await state.commit();
  } catch (error) {
    if (failureKind(error) !== 'broken') throw error; // A deferred constraint or a serialization failure: rolled back.
    throw commitUnknown();
  }
  // PostgreSQL answers COMMIT of a failed transaction with ROLLBACK, and no error.
  if (command === 'ROLLBACK') {
    throw new CaseboundError(
      'internal',
      'A statement of the transaction failed and the failure was not passed on, so nothing was committed; use a savepoint to go on after an error.',
    );
  }
}

/**
 * The function failed after it had sent COMMIT. True when the server told how that ended; an error when it may have committed: only
 * a statement that was refused before it tells that it did not.
 */
async function failedToCommit(state: AttemptState): Promise<boolean> {
  try {
    await state.commit();
    return true;
  } catch (error) {
    if (failureKind(error) === 'broken' && !state.isRefused) throw commitUnknown();
    return false;
  }
}

function commitUnknown(): CaseboundError {
  return new CaseboundError(
    'commit_unknown',
    'The connection to the database broke while the transaction was being committed, so it may or may not have happened.',
  );
}

/** True when the server confirmed it. */
async function rollBack(state: AttemptState): Promise<boolean> {
  const { client, lost } = state.lease;
  if (lost.aborted) return false;
  try {
    await state.begun;
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
  /** Rejects when BEGIN failed. */
  begun: Promise<unknown> = Promise.resolve();
  /** A statement was refused, so that COMMIT can only roll back. */
  isRefused = false;
  /** What was sent so far has been answered. Never rejects. */
  #last: Promise<unknown> = Promise.resolve();
  /** The next statement may be sent: BEGIN was answered, no COPY has the connection. Rejects when BEGIN failed. */
  #ready: Promise<unknown> = Promise.resolve();
  /** Nothing has been held back until BEGIN is answered, so a read that need not wait overtakes nothing. */
  #isFirst = true;
  #committing: Promise<string> | undefined;
  #isCorked = false;
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

  /** Sends BEGIN; what must not run without it waits for the answer. */
  begin(text: string): void {
    this.begun = this.#send('statement', true, async () => this.lease.client.query(text));
    this.begun.catch(() => undefined);
    this.#ready = this.begun;
    this.#ready.catch(() => undefined);
    this.#isFirst = true;
  }

  /** Sends a statement behind those before it. `harmless`: it may run though BEGIN should fail. */
  async run<T>(
    statement: () => Promise<T>,
    { kind = 'statement', harmless = false }: { kind?: 'statement' | 'script'; harmless?: boolean } = {},
  ): Promise<T> {
    this.check();
    return this.#send(kind, harmless, statement);
  }

  get isCommitting(): boolean {
    return this.#committing !== undefined;
  }

  /** Sends COMMIT behind what was sent, once (after nothing but reads it does no harm without BEGIN), and gives the command that the server answers it with. */
  async commit(): Promise<string> {
    this.#committing ??= this.#send('statement', true, async () => this.lease.client.query('COMMIT')).then(
      ({ command }) => command,
    );
    this.#committing.catch(() => undefined);
    return this.#committing;
  }

  async #send<T>(kind: 'statement' | 'script', harmless: boolean, statement: () => Promise<T>): Promise<T> {
    if (!harmless) this.#isFirst = false;
    const sent = (this.#isFirst ? Promise.resolve() : this.#ready).then(async () => {
      this.#flushTogether();
      return statement();
    });
    sent.catch(() => undefined);
    // The server's time for a statement begins when it is done with those before it.
    const result = this.#last.then(async () => this.bounded(kind, async () => sent));
    this.#last = result.catch(() => undefined);
    try {
      return await result;
    } catch (error) {
      if (sqlStateOf(error) !== undefined && failureKind(error) !== 'broken') this.isRefused = true;
      throw lostError(this.lease, error);
    }
  }

  /** What is sent in one turn of the event loop leaves in one piece. */
  #flushTogether(): void {
    if (this.#isCorked) return;
    const { stream } = this.lease.client.connection;
    this.#isCorked = true;
    stream.cork();
    process.nextTick(() => {
      this.#isCorked = false;
      stream.uncork();
    });
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
    if (this.isCommitting) {
      throw new CaseboundError('internal', 'COMMIT has been sent; a statement came after it.');
    }
    this.options.signal?.throwIfAborted();
  }

  /** Waits for statements that the function started and did not await. Rejects when BEGIN failed. */
  async settle(): Promise<void> {
    this.#open = false;
    await this.#last;
    await this.begun;
  }

  close(): void {
    this.#open = false;
  }

  nextSavepoint(): string {
    this.#savepoints += 1;
    return `s${this.#savepoints}`;
  }

  /** Starts a COPY once everything before it was answered, and keeps further statements waiting until its stream has ended. */
  copy<S extends (Readable | Writable) & pg.Submittable>(stream: S): S {
    this.check();
    const { client } = this.lease;
    const ended = new Promise<void>((resolve) => {
      finished(stream, () => {
        resolve();
      });
    });
    const before = this.#last;
    const start = async (): Promise<void> => {
      await before;
      // The driver refuses streams on a connection that pipelines; nothing is under way on it now.
      setPipeline(client, false);
      client.query(stream);
      await this.bounded('statement', async () => ended);
      setPipeline(client, true);
    };
    const copied = this.#ready.then(start);
    copied.catch((error: unknown) => {
      stream.emit('error', error); // BEGIN failed.
    });
    this.#isFirst = false;
    this.#ready = copied;
    this.#last = copied.catch(() => undefined);
    return stream;
  }
}

/** The driver reads it at each statement; its type declarations have it for reading only. */
function setPipeline(client: pg.Client, pipeline: boolean): void {
  Object.assign(client, { pipeline });
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
    return this.#state.run(
      async () => {
        try {
          // The extended protocol takes one statement: text that was led astray cannot bring a second.
          const config: ExtendedQuery = { text, values: [...values], queryMode: 'extended' };
          const name = this.#state.namedStatements ? this.#state.lease.named.nameOf(text) : undefined;
          if (name !== undefined) config.name = name;
          const result: pg.QueryResult = await this.#state.lease.client.query(config);
          return { rows: result.rows, rowCount: result.rowCount ?? 0 };
        } catch (error) {
          throw keepStatementError(error);
        }
      },
      { harmless: this.#state.options.readsWithBegin === true && /^SELECT\b/i.test(text) },
    );
  }

  sendCommit(): void {
    this.#refuseWhileSavepoint();
    this.#state.check();
    void this.#state.commit().catch(() => undefined);
  }

  async script(text: string): Promise<void> {
    this.#refuseWhileSavepoint();
    this.#state.options.onStatement?.(text);
    await this.#state.run(
      async () => {
        try {
          await this.#state.lease.client.query(text);
        } catch (error) {
          throw keepStatementError(error);
        }
      },
      { kind: 'script' },
    );
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
        this.#state.isRefused = false;
      }
      throw error;
    } finally {
      inner.#current = false;
      this.#current = true;
    }
  }

  copyFrom(text: string): Writable {
    this.#refuseWhileSavepoint();
    this.#state.options.onStatement?.(text);
    return this.#state.copy(copyFromStream(text));
  }

  copyTo(text: string): Readable {
    this.#refuseWhileSavepoint();
    this.#state.options.onStatement?.(text);
    return this.#state.copy(copyToStream(text));
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
