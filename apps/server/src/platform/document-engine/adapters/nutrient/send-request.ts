/**
 * One HTTP request to the engine.
 *
 * - Two times bound it: until the connection stands, and until the last byte of the answer was read.
 * - When it fails for whatever reason, its connection is ended: no half answer is left on it for the next request.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { classifyNetworkError, unavailable } from './classify-answer.ts';
import type { RequestBody } from './multipart-body.ts';

export interface WireRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
}

export interface Wire {
  /** `read` has the answer's head and reads its body to the end. */
  send<T>(
    request: WireRequest,
    signal: AbortSignal | undefined,
    read: (answer: IncomingMessage) => Promise<T>,
  ): Promise<T>;
  close(): void;
}

export interface WireSettings {
  readonly url: string;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly maxConnections: number;
}

export const createWire = ({ url, connectTimeoutMs, requestTimeoutMs, maxConnections }: WireSettings): Wire => {
  const base = new URL(url);
  const secure = base.protocol === 'https:';
  const agent = secure
    ? new HttpsAgent({ keepAlive: true, maxSockets: maxConnections })
    : new HttpAgent({ keepAlive: true, maxSockets: maxConnections });
  const prefix = base.pathname.replace(/\/+$/, '');
  const begin = secure ? httpsRequest : httpRequest;

  return {
    async send({ method, path, headers, body }, signal, read) {
      signal?.throwIfAborted();
      const length = (body?.chunks ?? []).reduce((sum, chunk) => sum + chunk.length, 0);
      const options: RequestOptions = {
        agent,
        host: base.hostname.replace(/^\[|\]$/g, ''),
        port: base.port === '' ? (secure ? 443 : 80) : base.port,
        method,
        path: `${prefix}${path}`,
        headers: {
          ...headers,
          // The engine's answers are checked against lengths of what is sent as it is.
          'accept-encoding': 'identity',
          ...(body === undefined
            ? { 'content-length': '0' }
            : { 'content-type': body.contentType, 'content-length': String(length) }),
        },
      };
      const request = begin(options);
      let stop: (reason: unknown) => void = () => undefined;
      const stopped = new Promise<never>((_, reject) => {
        stop = (reason) => {
          reject(reason instanceof Error ? reason : new Error('stopped'));
          request.destroy();
        };
      });
      stopped.catch(() => undefined);
      const connectTimer = setTimeout(
        () => stop(unavailable(`could not be reached within ${connectTimeoutMs} ms`)),
        connectTimeoutMs,
      );
      const requestTimer = setTimeout(
        () => stop(unavailable(`did not finish its answer within ${requestTimeoutMs} ms`)),
        requestTimeoutMs,
      );
      const onAbort = (): void => stop(signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      request.on('socket', (socket: Socket) => {
        if (!socket.connecting) clearTimeout(connectTimer);
        else socket.once(secure ? 'secureConnect' : 'connect', () => clearTimeout(connectTimer));
      });
      const answered = new Promise<IncomingMessage>((resolve, reject) => {
        request.once('response', resolve);
        request.on('error', reject);
      });
      answered.catch(() => undefined);
      try {
        for (const chunk of body?.chunks ?? []) request.write(chunk);
        request.end();
        const answer = await Promise.race([answered, stopped]);
        const result = await Promise.race([read(answer), stopped]);
        // What `read` did not read keeps the connection from its next use.
        if (!answer.readableEnded) request.destroy();
        return result;
      } catch (error) {
        request.destroy();
        if (signal?.aborted === true) throw signal.reason;
        throw classifyNetworkError(error);
      } finally {
        clearTimeout(connectTimer);
        clearTimeout(requestTimer);
        signal?.removeEventListener('abort', onAbort);
      }
    },
    close: () => agent.destroy(),
  };
};
