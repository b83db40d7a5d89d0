/**
 * Connections on which no request could be read: no HTTP, headers too large, too slow.
 *
 * The answer goes out only when it cannot be taken for that of another request on the same connection: when one is still
 * owed, the connection is closed without a word.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { CaseboundError } from '@casebound/contract';
import type { Log } from '../platform/log/Port.ts';
import type { HttpMetrics } from './http-metrics.ts';
import { problemBytes } from './problem-answer.ts';
import { chooseRequestId } from './request-id.ts';

const errorOf = (code: string | undefined): CaseboundError => {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new CaseboundError('headers_too_large', 'The request line and headers are larger than this server takes.');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new CaseboundError('request_timeout', 'The request did not arrive within the time limit.');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new CaseboundError(
        'body_too_large',
        'The chunk extensions of the body are larger than this server takes.',
      );
    default:
      return new CaseboundError('malformed_request', 'What arrived is not a valid HTTP/1.1 request.');
  }
};

export interface ConnectionErrors {
  /** Notes that an answer is owed on the connection, until it is closed. */
  owe(request: IncomingMessage, response: ServerResponse): void;
  onClientError(error: Error, socket: Duplex): void;
  /** Answers a request that Node does not treat as one (`CONNECT`). */
  refuse(socket: Duplex, error: CaseboundError): void;
}

export const createConnectionErrors = (log: Log, metrics: HttpMetrics): ConnectionErrors => {
  const owed = new WeakMap<Duplex, Map<ServerResponse, IncomingMessage>>();

  const mayAnswer = (socket: Duplex): boolean => {
    const answers = [...(owed.get(socket) ?? [])];
    const [first, second] = answers;
    if (first === undefined) return true;
    const [response, request] = first;
    // The one request whose body is still arriving: the error is about it.
    return second === undefined && !request.complete && !response.headersSent;
  };

  const refuse = (socket: Duplex, error: CaseboundError): void => {
    const requestId = chooseRequestId(undefined);
    metrics.connectionErrors.add({ code: error.code });
    log.info('Connection refused', { requestId, errorCode: error.code, status: error.status });
    if (!socket.writable || !mayAnswer(socket)) {
      socket.destroy();
      return;
    }
    socket.end(problemBytes(error, requestId), () => socket.destroy());
  };

  return {
    owe(request, response) {
      const { socket } = request;
      const answers = owed.get(socket) ?? new Map<ServerResponse, IncomingMessage>();
      owed.set(socket, answers.set(response, request));
      response.once('close', () => answers.delete(response));
    },
    onClientError(error, socket) {
      const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
      if (code === 'ECONNRESET' || code === 'EPIPE' || socket.destroyed) {
        socket.destroy();
        return;
      }
      refuse(socket, errorOf(code));
    },
    refuse,
  };
};
