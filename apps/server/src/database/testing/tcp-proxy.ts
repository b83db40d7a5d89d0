/** A loopback proxy in front of PostgreSQL that can lose answers: for what a network does and a server does not. */
import net from 'node:net';

export interface Proxy {
  readonly port: number;
  /** Chunks that clients sent: one for each flush of the driver. */
  messagesFromClient(): number;
  /** Lets the next request of a client through to the server, keeps the answers back, and cuts the connection at the one that has `tag`. Default the first. */
  swallowNextAnswer(tag?: string): void;
  /** Passes nothing on any more, in either direction, and keeps the connections: a peer that vanished. */
  vanish(): void;
  close(): Promise<void>;
}

export async function startProxy(serverPort: number): Promise<Proxy> {
  const sockets = new Set<net.Socket>();
  let messages = 0;
  let swallow: string | undefined;
  let vanished = false;
  const server = net.createServer((client) => {
    const upstream = net.connect(serverPort, '127.0.0.1');
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    let cutting: string | undefined;
    client.on('data', (chunk) => {
      if (vanished) return;
      messages += 1;
      if (swallow !== undefined) {
        cutting = swallow;
        swallow = undefined;
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (vanished) return;
      if (cutting === undefined) client.write(chunk);
      else if (chunk.includes(cutting)) client.destroy();
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    messagesFromClient: () => messages,
    swallowNextAnswer(tag = '') {
      swallow = tag;
    },
    vanish() {
      vanished = true;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
    },
  };
}
