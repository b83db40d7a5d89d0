/**
 * Listening and closing.
 *
 * Closing goes in this order, each step bounded: readiness says no; requests go on for `drainDelayMs`; no new connections
 * or requests; those under way finish; at the deadline the rest are aborted and answered `shutting_down`; connections that
 * are then still open are cut.
 */
import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';
import { CaseboundError } from '@casebound/contract';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../platform/clock/Port.ts';
import type { Log } from '../platform/log/Port.ts';
import type { HttpConfig } from './config.ts';
import type { Exchanges } from './exchange.ts';

export interface ListeningAddress {
  /** `http://127.0.0.1:4700`: where a client on this machine reaches it. */
  readonly url: string;
  readonly port: number;
}

export interface HttpServer {
  /** Throws `port_in_use`, or `config_invalid` for an address that this machine does not have or may not use. */
  listen(): Promise<ListeningAddress>;
  /** Waits up to the deadline for requests that are under way. Closing twice is closing once. */
  close(deadlineMs?: number): Promise<void>;
}

interface Dependencies {
  readonly config: HttpConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly readiness: { beginShutdown(): void };
  readonly exchanges: Exchanges;
}

export interface Lifecycle {
  /** Whether new requests are to be refused. */
  isStopping(): boolean;
  control(server: Server, app: FastifyInstance): HttpServer;
}

/** For aborted operations to say so to their clients. */
const FAREWELL_MS = 500;

/** Why listening failed, as an error of the product. */
export const listenError = (error: Error, { host, port }: HttpConfig): CaseboundError => {
  const options = { cause: error };
  switch ('code' in error ? error.code : undefined) {
    case 'EADDRINUSE':
      return new CaseboundError('port_in_use', `Port ${port} of ${host} is taken by another program.`, options);
    case 'EACCES':
      return new CaseboundError(
        'config_invalid',
        `http.port ${port}: this user may not listen on it; choose one above 1023.`,
        options,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new CaseboundError('config_invalid', `http.host "${host}": this machine has no such address.`, options);
    default:
      return new CaseboundError('internal', `The server cannot listen on port ${port} of ${host}.`, options);
  }
};

const addressOf = ({ address, port, family }: AddressInfo): ListeningAddress => {
  const reachable = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
  return { url: `http://${family === 'IPv6' ? `[${reachable}]` : reachable}:${port}`, port };
};

const listenOn = async (server: Server, config: HttpConfig): Promise<ListeningAddress> =>
  new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(listenError(error, config));
    server.once('error', fail);
    server.listen({ host: config.host, port: config.port }, () => {
      server.off('error', fail);
      const address = server.address();
      if (address === null || typeof address === 'string') fail(new Error('The server has no address.'));
      else resolve(addressOf(address));
    });
  });

export const createLifecycle = ({ config, clock, log, readiness, exchanges }: Dependencies): Lifecycle => {
  let stopping = false;
  let closing: Promise<void> | undefined;

  /** True when all exchanges ended in time. */
  const idleWithin = async (milliseconds: number): Promise<boolean> => {
    const waiting = new AbortController();
    const late = clock.sleep(milliseconds, waiting.signal).then(
      () => false,
      () => true,
    );
    const idle = await Promise.race([exchanges.idle().then(() => true), late]);
    waiting.abort();
    return idle;
  };

  const closeServer = async (server: Server, app: FastifyInstance, deadlineMs: number): Promise<void> => {
    readiness.beginShutdown();
    if (config.drainDelayMs > 0 && server.listening) await clock.sleep(config.drainDelayMs);
    stopping = true;
    const closed = server.listening
      ? new Promise<void>((resolve) => {
          server.close(() => resolve());
        })
      : Promise.resolve();
    server.closeIdleConnections();
    if (!(await idleWithin(deadlineMs))) {
      log.warn('Requests were aborted at the deadline of the shutdown', { count: exchanges.inFlight() });
      exchanges.abortAll(new CaseboundError('shutting_down', 'The server is shutting down and gave the request up.'));
      await idleWithin(FAREWELL_MS);
    }
    server.closeAllConnections();
    await closed;
    await app.close();
  };

  return {
    isStopping: () => stopping,
    control: (server, app) => ({
      listen: async () => {
        const address = await listenOn(server, config);
        log.info('Listening', { address: address.url });
        return address;
      },
      close: async (deadlineMs = config.shutdownDeadlineMs) => {
        closing ??= closeServer(server, app, deadlineMs);
        return closing;
      },
    }),
  };
};
