/** A database behind the `Database` interface: retries, endpoints, refused nesting, LISTEN. */
import type { AsyncLocalStorage } from 'node:async_hooks';
import { CaseboundError } from '@casebound/contract';
import pg from 'pg';
import type { Clock } from '../platform/clock/Port.ts';
import type { Log } from '../platform/log/Port.ts';
import { classifyError } from './classify-error.ts';
import type { Timeouts } from './config.ts';
import type { ConnectionKey, ConnectionPool } from './connection-pool.ts';
import type { Database, Listener, OwnerTransaction, PoolStatistics, TransactionOptions } from './Database.ts';
import { quoteIdentifier } from './quote-identifier.ts';
import { defaultRetryPolicy, retryOnConflict, type RetryPolicy } from './retry-on-conflict.ts';
import { runTransaction, type AttemptSettings } from './run-transaction.ts';

/** What all databases of a process share. */
export interface Engine {
  readonly pool: ConnectionPool;
  readonly timeouts: Timeouts;
  readonly namedStatements: boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly retryPolicy?: RetryPolicy;
  readonly counters: DatabaseCounters;
  /** The transactions open in this asynchronous context. */
  readonly nesting: AsyncLocalStorage<{ open: boolean }>;
}

/** Counted since the start of the process. */
export interface DatabaseCounters {
  transactions: number;
  conflicts: number;
  reconnects: number;
}

/** Runs a transaction with the given key and settings: retries, and refuses what would deadlock the pool. */
export async function transact<T>(
  engine: Engine,
  key: ConnectionKey,
  settings: Omit<AttemptSettings, 'timeouts' | 'namedStatements'>,
  options: TransactionOptions,
  fn: (tx: OwnerTransaction) => Promise<T>,
): Promise<T> {
  if (engine.nesting.getStore()?.open === true && options.alongside !== true) {
    throw new CaseboundError(
      'internal',
      'A transaction was opened within another one, which would wait for a second connection while holding the first; pass the open transaction on, or use a savepoint.',
    );
  }
  const policy = engine.retryPolicy ?? defaultRetryPolicy;
  const attempts = options.retryOnConflict === false ? { ...policy, attempts: 1 } : policy;
  const onRetry = (reason: 'conflict' | 'broken'): void => {
    engine.counters[reason === 'conflict' ? 'conflicts' : 'reconnects'] += 1;
  };
  const { clock, random, timeouts, namedStatements } = engine;
  return retryOnConflict(attempts, { clock, random, onRetry }, options.signal, async () => {
    const lease = await engine.pool.acquire(key, options);
    engine.counters.transactions += 1;
    const mark = { open: true };
    try {
      return await engine.nesting.run(mark, async () =>
        runTransaction(lease, { ...settings, timeouts, namedStatements }, options, fn),
      );
    } finally {
      mark.open = false;
    }
  });
}

interface PgDatabaseOptions {
  readonly writer: ConnectionKey;
  readonly reader: ConnectionKey | undefined;
  /** For LISTEN: never a pooler. */
  readonly direct: () => Promise<pg.ClientConfig>;
}

export class PgDatabase implements Database {
  readonly #engine: Engine;
  readonly #options: PgDatabaseOptions;
  readonly #listeners = new Set<PgListener>();

  constructor(engine: Engine, options: PgDatabaseOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  readonly statistics = (): PoolStatistics => this.#engine.pool.statistics();

  async transaction<T>(options: TransactionOptions, fn: (tx: OwnerTransaction) => Promise<T>): Promise<T> {
    const useReader = options.endpoint === 'reader';
    if (useReader && options.readOnly !== true) {
      throw new CaseboundError('internal', 'A transaction on the reader endpoint must be read-only.');
    }
    const key = useReader ? (this.#options.reader ?? this.#options.writer) : this.#options.writer;
    return transact(this.#engine, key, { searchPath: [] }, options, fn);
  }

  /**
   * Runs a statement that PostgreSQL does not allow in a transaction (`CREATE DATABASE`), on a direct connection of its own.
   * The text is not retried and has no values: identifiers are quoted by the caller.
   */
  async outsideTransaction(text: string): Promise<void> {
    const client = new pg.Client({
      ...(await this.#options.direct()),
      connectionTimeoutMillis: this.#engine.timeouts.connectTimeoutMs,
    });
    client.on('error', () => undefined); // A broken connection also fails the query that waits on it.
    try {
      await client.connect();
      await client.query(text);
    } catch (error) {
      throw classifyError(error);
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async listen(
    channel: string,
    onNotification: (payload: string) => void,
    onConnected?: () => void,
  ): Promise<Listener> {
    const listener = new PgListener(this.#engine, this.#options.direct, channel, onNotification, onConnected);
    this.#listeners.add(listener);
    try {
      await listener.connect();
    } catch (error) {
      this.#listeners.delete(listener);
      throw classifyError(error);
    }
    return {
      close: async () => {
        this.#listeners.delete(listener);
        await listener.close();
      },
    };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#listeners].map(async (listener) => listener.close()));
    this.#listeners.clear();
  }
}

class PgListener {
  readonly #engine: Engine;
  readonly #direct: () => Promise<pg.ClientConfig>;
  readonly #channel: string;
  readonly #onNotification: (payload: string) => void;
  readonly #onConnected: (() => void) | undefined;
  readonly #closing = new AbortController();
  #client: pg.Client | undefined;
  #reconnecting: Promise<void> | undefined;

  constructor(
    engine: Engine,
    direct: () => Promise<pg.ClientConfig>,
    channel: string,
    onNotification: (payload: string) => void,
    onConnected: (() => void) | undefined,
  ) {
    this.#engine = engine;
    this.#direct = direct;
    this.#channel = channel;
    this.#onNotification = onNotification;
    this.#onConnected = onConnected;
  }

  async connect(): Promise<void> {
    const client = new pg.Client({
      ...(await this.#direct()),
      connectionTimeoutMillis: this.#engine.timeouts.connectTimeoutMs,
      keepAlive: true,
    });
    client.on('error', () => undefined); // `end` follows.
    try {
      await client.connect();
      client.on('notification', (message) => {
        if (message.channel === this.#channel) this.#onNotification(message.payload ?? '');
      });
      await client.query(`LISTEN ${quoteIdentifier(this.#channel)}`);
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
    this.#client = client;
    client.on('end', () => {
      if (!this.#closing.signal.aborted) this.#reconnecting ??= this.#reconnect();
    });
    this.#onConnected?.();
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('closed'));
    await this.#reconnecting;
    await this.#client?.end().catch(() => undefined);
  }

  async #reconnect(): Promise<void> {
    for (let attempt = 1; !this.#closing.signal.aborted; attempt += 1) {
      try {
        const bound = Math.min(50 * 2 ** attempt, 10_000);
        await this.#engine.clock.sleep(Math.floor(this.#engine.random() * bound), this.#closing.signal);
        await this.connect();
        break;
      } catch {
        if (attempt === 5)
          this.#engine.log.warn('cannot listen for notifications; trying on', { component: 'database' });
      }
    }
    this.#reconnecting = undefined;
  }
}
