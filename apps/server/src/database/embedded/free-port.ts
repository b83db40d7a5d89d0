/** A TCP port of the loopback address. Between this answer and its use another program can take it: callers try again. */
import { createServer } from 'node:net';

const loopback = '127.0.0.1';

/** The wanted port when it is free, otherwise one that the system picks. */
export async function findFreePort(wanted: number | undefined): Promise<number> {
  if (wanted !== undefined && wanted > 0) {
    const port = await listenOnce(wanted);
    if (port !== undefined) return port;
  }
  const port = await listenOnce(0);
  if (port === undefined) throw new Error('the system has no free TCP port on 127.0.0.1');
  return port;
}

async function listenOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(undefined);
    });
    server.listen({ port, host: loopback, exclusive: true }, () => {
      const address = server.address();
      server.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : undefined);
      });
    });
  });
}
