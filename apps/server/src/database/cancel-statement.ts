/**
 * Cancels what a connection runs, by the protocol's CancelRequest on a connection of its own
 * (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS).
 */
import net from 'node:net';
import type pg from 'pg';
import { z } from 'zod';

/** The driver keeps these two, and its type declarations do not tell. */
const BackendKey = z.object({ processID: z.number().int(), secretKey: z.number().int() });

const cancelRequestCode = 80_877_102;

/** Resolves when the request was sent or could not be. The statement ends with SQLSTATE 57014, unless it was done before. */
export async function cancelStatement(client: pg.Client): Promise<void> {
  const key = BackendKey.safeParse(client);
  if (!key.success) return;
  const packet = Buffer.alloc(16);
  packet.writeInt32BE(16, 0);
  packet.writeInt32BE(cancelRequestCode, 4);
  packet.writeInt32BE(key.data.processID, 8);
  packet.writeInt32BE(key.data.secretKey, 12);
  await new Promise<void>((resolve) => {
    const socket = client.host.startsWith('/')
      ? net.connect(`${client.host}/.s.PGSQL.${client.port}`)
      : net.connect(client.port, client.host);
    socket.setTimeout(2000, () => socket.destroy());
    socket.once('error', () => socket.destroy());
    socket.once('close', () => {
      resolve();
    });
    // The server closes the connection when it has read the request.
    socket.once('connect', () => socket.end(packet));
    socket.resume();
  });
}
