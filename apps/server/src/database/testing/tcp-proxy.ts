/** A loopback proxy in front of PostgreSQL that can lose answers: for what a network does and a server does not. */
import net from 'node:net';

export interface Proxy {
  readonly port: number;
  /** Chunks that clients sent: one for each flush of the driver. */
  messagesFromClient(): number;
  /** Lets the next request of a client through to the server, and cuts the connection when the answer comes. */
  swallowNextAnswer(): void;
  /** Passes nothing on any more, in either direction, and keeps the connections: a peer that vanished. */
  vanish(): void;
  close(): Promise<void>;
}

export async function startProxy(serverPort: number): Promise<Proxy> {
  const sockets = new Set<net.Socket>();
  let messages = 0;
  let swallow = false;
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
    let cutting = false;
    client.on('data', (chunk) => {
      if (vanished) return;
      messages += 1;
      if (swallow) {
        swallow = false;
        cutting = true;
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (vanished) return;
      if (cutting) client.destroy();
      else client.write(chunk);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    messagesFromClient: () => messages,
    swallowNextAnswer() {
      swallow = true;
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
