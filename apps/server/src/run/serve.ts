/**
 * A system with its HTTP server: opened, serving, stopped.
 *
 * Invariants:
 * - The run file appears after the server listens and goes before it closes: who finds it may use it. A worker writes none,
 *   for it serves no cases and may share the data folder with a server that does.
 * - A port that is taken is found out before a data folder or a database is touched.
 * - Stopping refuses new work first, lets what runs finish within the configured deadline, then closes in reverse order.
 */
import { operations, systemOperations } from '@casebound/contract';
import type { RunningServer } from '../cli/engine.ts';
import { openSystem, type System, type SystemOptions } from '../compose.ts';
import { findHolder } from '../database/embedded/index.ts';
import { createHttpServer } from '../http/create-http-server.ts';
import type { HttpServer } from '../http/lifecycle.ts';
import { keepHouse } from './keep-house.ts';
import { refuseTakenPort } from './refuse-taken-port.ts';
import { removeRunFile, writeRunFile } from './run-file.ts';

/** A worker answers for its health, metrics and status, and nothing of the cases. */
const openHttp = async (system: System, { role, version, effective }: SystemOptions): Promise<HttpServer> => {
  const { handlers, authenticate, log, metrics, clock, readiness } = system;
  const shared = { authenticate, config: effective.config.http, version, log, metrics, clock, readiness };
  return role === 'worker'
    ? createHttpServer({ operations: systemOperations, handlers, ...shared })
    : createHttpServer({ operations, handlers, ...shared });
};

/** An open system that answers at an address. */
export interface ServedSystem {
  readonly system: System;
  readonly address: string;
  readonly stop: () => Promise<void>;
}

/** Opens a system and serves it on its configured address. Nothing stays open when that fails. */
export const serveSystem = async (options: SystemOptions): Promise<ServedSystem> => {
  const { dataFolder, config } = options.effective;
  // A second server on a folder meets the first one's port, too; who holds the folder is then the better answer.
  const isHeld = config.database.kind === 'embedded' && (await findHolder(dataFolder)) !== undefined;
  if (!isHeld) await refuseTakenPort(config.http);
  const system = await openSystem(options);
  try {
    const http = await openHttp(system, options);
    const { url } = await http.listen();
    return {
      system,
      address: url,
      stop: async () => {
        try {
          await http.close();
        } finally {
          await system.close();
        }
      },
    };
  } catch (error) {
    await system.close();
    throw error;
  }
};

/** Serves, publishes the run file, and makes the first administrator where the installation has none. */
export const startServer = async (
  options: SystemOptions,
): Promise<{ readonly server: RunningServer; readonly system: System }> => {
  const startedMs = performance.now();
  const served = await serveSystem(options);
  const { system, address } = served;
  const { dataFolder, config } = options.effective;
  const ended = Promise.withResolvers<void>();
  const stopped = new AbortController();
  keepHouse(system, stopped.signal);
  let stopping: Promise<void> | undefined;
  const stop = async (reason: string): Promise<void> => {
    stopping ??= (async () => {
      system.log.info('Stopping', { component: 'server', step: reason });
      try {
        stopped.abort();
        await removeRunFile(dataFolder, process.pid);
        await served.stop();
      } finally {
        ended.resolve();
      }
    })();
    return stopping;
  };
  try {
    await system.start({ workers: options.role === 'all' || options.role === 'worker' });
    const status = await system.status();
    if (options.role !== 'worker') {
      await writeRunFile(dataFolder, {
        pid: process.pid,
        startedAt: status.startedAt,
        address,
        token: system.localToken,
        version: options.version,
      });
    }
    const issued = config.database.kind === 'embedded' ? await system.access.bootstrapAdmin() : undefined;
    const server = {
      address,
      status,
      bootstrapToken: issued?.token,
      startedInMs: Math.round(performance.now() - startedMs),
      stopped: ended.promise,
      stop,
    };
    return { server, system };
  } catch (error) {
    await stop('start failed');
    throw error;
  }
};
