/**
 * Connections to any number of databases and roles under one bound.
 *
 * 1. At most `maxConnections` are open in all and `maxPerKey` for one key; whoever needs another waits in line, and the
 *    first in line whose key is below its own bound is served first, so one busy case does not hold up the others.
 * 2. At the total bound the longest unused connection of another key is closed to make room. Thousands of cases therefore
 *    cost nothing while nobody works in them.
 * 3. A connection that broke, or whose state is in doubt, is destroyed and never given to anybody again.
 * 4. A quarter of the connections is kept for whoever already holds one (`alongside`): otherwise enough callers that each
 *    hold one and wait for their second would wait for one another.
 * 5. Unused connections are closed after `idleMs`, and every one after `maxLifetimeMs`.
 * 6. Closing ends: what is still in use at its deadline is cut off, for a peer that vanished never answers.
 */
import { CaseboundError } from '@casebound/contract';
import pg from 'pg';
import { ConnectError } from './classify-error.ts';
import type { PoolSettings } from './config.ts';
import type { ClientConfig } from './connection-target.ts';
import type { PoolStatistics } from './Database.ts';
import { NamedStatements } from './named-statements.ts';

/** Where a connection goes and as whom. Equal ids share connections. */
export interface ConnectionKey {
  readonly id: string;
  readonly maxConnections: number;
  /**
   * A connection is replaced after so many uses: a backend keeps what it learnt of every table it met, about 1.3 MiB for a
   * case of 60 tables, and each change of the catalogue is checked against all of it. Default: no limit.
   */
  readonly maxUses?: number;
  /** Asked at each connect, so that a rotated secret or a moved server is taken up. */
  readonly connect: () => Promise<ClientConfig>;
}

export interface Lease {
  readonly client: pg.Client;
  readonly named: NamedStatements;
  /** Aborts when the connection is lost. */
  readonly lost: AbortSignal;
  /** Cuts the connection off, without a word to the server; what runs on it fails, and `lost` aborts with the reason. */
  abandon(reason: CaseboundError): void;
  /** Gives the connection back; `destroy` when its state is in doubt. Further calls do nothing. */
  release(destroy: boolean): void;
}

interface Connection {
  readonly key: ConnectionKey;
  readonly client: pg.Client;
  readonly named: NamedStatements;
  readonly lost: AbortController;
  readonly openedAt: number;
  idleSince: number;
  uses: number;
}

interface Waiter {
  readonly key: ConnectionKey;
  readonly alongside: boolean;
  /** Lets it look again; it keeps its place in line until it has a connection. */
  wake: () => void;
}

const closeDeadlineMs = 10_000;

export class ConnectionPool {
  readonly #settings: PoolSettings;
  readonly #connectTimeoutMs: number;
  /** Oldest use first. */
  readonly #idle = new Set<Connection>();
  readonly #openByKey = new Map<string, number>();
  readonly #waiting = new Set<Waiter>();
  readonly #leased = new Set<Lease>();
  #open = 0;
  #sweep: NodeJS.Timeout | undefined;
  #closed = false;
  #onDrained: (() => void) | undefined;

  constructor(settings: PoolSettings, connectTimeoutMs: number) {
    this.#settings = settings;
    this.#connectTimeoutMs = connectTimeoutMs;
  }

  statistics(): PoolStatistics {
    return { open: this.#open, inUse: this.#open - this.#idle.size, waiting: this.#waiting.size };
  }

  /**
   * A connection for the key, an unused one when there is one.
   * Errors: `overloaded` when none gets free in time, `shutting_down`, a `ConnectError` when there is no way
   * to the server, the driver's own when the server refuses.
   */
  async acquire(
    key: ConnectionKey,
    options: { readonly signal?: AbortSignal; readonly alongside?: boolean } = {},
  ): Promise<Lease> {
    const { signal, alongside = false } = options;
    const deadline = performance.now() + this.#settings.acquireTimeoutMs;
    const waiter: Waiter = { key, alongside, wake: () => undefined };
    let opening: Promise<Connection> | undefined;
    try {
      for (;;) {
        signal?.throwIfAborted();
        if (this.#closed) throw new CaseboundError('shutting_down', 'The database is being closed.');
        if (this.#isNext(waiter)) {
          const idle = this.#inUse() < this.#limit(alongside) ? this.#takeIdle(key) : undefined;
          if (idle !== undefined) return this.#lease(idle);
          if (this.#mayOpen(key, alongside)) {
            opening = this.#connect(key);
            break;
          }
        }
        this.#waiting.add(waiter);
        await this.#wait(waiter, deadline, signal);
      }
    } finally {
      // Whoever leaves the line, with a connection or without one, lets the next one look.
      if (this.#waiting.delete(waiter)) this.#serveNext();
    }
    return this.#lease(await opening);
  }

  /** Closes unused connections of the key; those in use are closed when they come back. */
  evict(keyId: string): void {
    for (const connection of this.#idle) if (connection.key.id === keyId) this.#destroy(connection);
  }

  /** Refuses new work, waits for what is in use, closes everything; cuts off what is in use after `deadlineMs`. */
  async close(deadlineMs = closeDeadlineMs): Promise<void> {
    this.#closed = true;
    clearInterval(this.#sweep);
    for (const waiter of this.#waiting) waiter.wake();
    for (const connection of this.#idle) this.#destroy(connection);
    if (this.#open === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        for (const lease of this.#leased) {
          lease.abandon(new CaseboundError('shutting_down', 'The database was closed before the transaction ended.'));
        }
        resolve();
      }, deadlineMs);
      this.#onDrained = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #takeIdle(key: ConnectionKey): Connection | undefined {
    // The most recently used is the last: it has the warmest caches, and the others age out.
    const found = [...this.#idle].findLast((connection) => connection.key.id === key.id);
    if (found !== undefined) this.#idle.delete(found);
    return found;
  }

  #inUse(): number {
    return this.#open - this.#idle.size;
  }

  #limit(alongside: boolean): number {
    const all = this.#settings.maxConnections;
    return alongside ? all : all - Math.ceil(all / 4);
  }

  #mayOpen(key: ConnectionKey, alongside: boolean): boolean {
    if (this.#inUse() >= this.#limit(alongside)) return false;
    if ((this.#openByKey.get(key.id) ?? 0) >= key.maxConnections) return false;
    if (this.#open < this.#settings.maxConnections) return true;
    const [oldest] = this.#idle;
    if (oldest === undefined) return false;
    this.#destroy(oldest);
    return true;
  }

  async #connect(key: ConnectionKey): Promise<Connection> {
    this.#count(key, 1);
    let client: pg.Client | undefined;
    try {
      const config = await key.connect();
      client = new pg.Client({
        connectionTimeoutMillis: this.#connectTimeoutMs,
        keepAlive: true,
        pipeline: true,
        ...config,
      });
      const lost = new AbortController();
      // Errors of an unused connection have no other listener, and an unheard one would end the process.
      client.on('error', (error) => {
        lost.abort(error);
      });
      const connection: Connection = {
        key,
        client,
        named: new NamedStatements(),
        lost,
        openedAt: performance.now(),
        idleSince: 0,
        uses: 0,
      };
      client.on('end', () => {
        lost.abort(new Error('Connection terminated'));
        if (this.#idle.has(connection)) this.#destroy(connection);
      });
      const { host, port } = client;
      await client.connect().catch((error: unknown) => {
        throw ConnectError.from(error, { setting: config.setting, host, port, timeoutMs: this.#connectTimeoutMs });
      });
      if (this.#closed) throw new CaseboundError('shutting_down', 'The database is being closed.');
      this.#sweep ??= setInterval(() => {
        this.#closeUnused();
      }, 1000).unref();
      return connection;
    } catch (error) {
      client?.end().catch(() => undefined);
      this.#count(key, -1);
      throw error;
    }
  }

  #lease(connection: Connection): Lease {
    let released = false;
    connection.uses += 1;
    const lease: Lease = {
      client: connection.client,
      named: connection.named,
      lost: connection.lost.signal,
      abandon: (reason) => {
        if (released) return;
        connection.lost.abort(reason);
        connection.client.connection.stream.destroy();
      },
      release: (destroy) => {
        if (released) return;
        released = true;
        this.#leased.delete(lease);
        const worn =
          performance.now() - connection.openedAt > this.#settings.maxLifetimeMs ||
          connection.uses >= (connection.key.maxUses ?? Number.POSITIVE_INFINITY);
        if (destroy || worn || this.#closed || connection.lost.signal.aborted) {
          this.#destroy(connection);
          return;
        }
        connection.idleSince = performance.now();
        this.#idle.add(connection);
        this.#serveNext();
      },
    };
    this.#leased.add(lease);
    return lease;
  }

  #destroy(connection: Connection): void {
    this.#idle.delete(connection);
    connection.client.end().catch(() => undefined);
    this.#count(connection.key, -1);
  }

  #count(key: ConnectionKey, change: 1 | -1): void {
    this.#open += change;
    const open = (this.#openByKey.get(key.id) ?? 0) + change;
    if (open === 0) this.#openByKey.delete(key.id);
    else this.#openByKey.set(key.id, open);
    if (change === 1) return;
    this.#serveNext();
    if (this.#open === 0) this.#onDrained?.();
  }

  /** Nobody who came earlier could be served now. */
  #isNext(waiter: Waiter): boolean {
    const first = this.#firstServable();
    if (first === undefined || first === waiter) return true;
    // One that could not be served itself is passed over, and only then.
    for (const earlier of this.#waiting) {
      if (earlier === waiter) return true;
      if (earlier === first) return false;
    }
    return false;
  }

  #serveNext(): void {
    this.#firstServable()?.wake();
  }

  #firstServable(): Waiter | undefined {
    if (this.#inUse() >= this.#limit(true)) return undefined;
    for (const waiter of this.#waiting) {
      const { key, alongside } = waiter;
      if (this.#inUse() >= this.#limit(alongside)) continue;
      if ((this.#openByKey.get(key.id) ?? 0) < key.maxConnections) return waiter;
      for (const connection of this.#idle) if (connection.key.id === key.id) return waiter;
    }
    return undefined;
  }

  async #wait(waiter: Waiter, deadline: number, signal: AbortSignal | undefined): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        settle();
      };
      waiter.wake = () => {
        finish(resolve);
      };
      const onAbort = (): void => {
        finish(() => {
          reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
        });
      };
      const timer = setTimeout(() => {
        finish(() => {
          reject(
            new CaseboundError(
              'overloaded',
              `No database connection got free within database.pool.acquireTimeoutMs (${this.#settings.acquireTimeoutMs} ms).`,
              { retryAfterSeconds: 2 },
            ),
          );
        });
      }, deadline - performance.now());
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  #closeUnused(): void {
    const now = performance.now();
    for (const connection of this.#idle) {
      const unused = now - connection.idleSince > this.#settings.idleMs;
      if (unused || now - connection.openedAt > this.#settings.maxLifetimeMs) this.#destroy(connection);
    }
  }
}
