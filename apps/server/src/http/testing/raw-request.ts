/** Bytes to a port and whatever comes back until the server ends the connection: for what no HTTP client would send. */
import { connect } from 'node:net';

export interface RawAnswer {
  readonly text: string;
  readonly status: number | undefined;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  readonly milliseconds: number;
}

export interface RawOptions {
  /** Ends the sending side after the bytes. */
  readonly end?: boolean;
  readonly timeoutMs?: number;
}

const parseAnswer = (text: string, milliseconds: number): RawAnswer => {
  const split = text.indexOf('\r\n\r\n');
  const [statusLine = '', ...headerLines] = text.slice(0, Math.max(0, split)).split('\r\n');
  const headers = headerLines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  const status = /^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1];
  return {
    text,
    status: status === undefined ? undefined : Number(status),
    headers: new Map(headers),
    body: text.slice(split + 4),
    milliseconds,
  };
};

export const rawRequest = async (
  port: number,
  bytes: string | Uint8Array,
  options: RawOptions = {},
): Promise<RawAnswer> => {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(bytes);
      if (options.end === true) socket.end();
    });
    const limit = setTimeout(() => {
      socket.destroy();
      reject(new Error(`No end of the connection within the limit; so far: ${Buffer.concat(chunks).toString()}`));
    }, options.timeoutMs ?? 10_000);
    socket.on('data', (chunk) => chunks.push(chunk));
    // A reset after the answer is an end like any other.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(limit);
      resolve(parseAnswer(Buffer.concat(chunks).toString(), performance.now() - started));
    });
  });
};
