/** Is the address free that the server is to listen on? Asked before a data folder or a database is touched. */
import { createServer } from 'node:net';
import type { HttpConfig } from '../http/config.ts';
import { listenError } from '../http/lifecycle.ts';

/** Throws what listening would throw: `port_in_use`, or `config_invalid` for an address that this machine does not have. */
export const refuseTakenPort = async (config: HttpConfig): Promise<void> =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error) => reject(listenError(error, config)));
    probe.listen({ host: config.host, port: config.port }, () => probe.close(() => resolve()));
  });
