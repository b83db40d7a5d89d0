/** An error as the bytes of an HTTP answer, for replies and for sockets whose request never became one. */
import { STATUS_CODES } from 'node:http';
import { problemContentType, toProblem } from '@casebound/contract';
import type { CaseboundError } from '@casebound/contract';

export interface ProblemAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const SECONDS_WHEN_UNKNOWN = 1;
const MAX_INSTANCE = 1000;

/** `Retry-After` is sent whenever a later try may succeed: with 503 always, else when the error knows. */
const retryAfter = (error: CaseboundError): number | undefined =>
  error.retryAfterSeconds ?? (error.status === 503 ? SECONDS_WHEN_UNKNOWN : undefined);

/** `url` is that of the request; its query is left out of the answer, for it may hold values. */
export const problemAnswer = (error: CaseboundError, requestId: string, url?: string): ProblemAnswer => {
  const path = url?.split('?', 1)[0]?.slice(0, MAX_INSTANCE);
  const seconds = retryAfter(error);
  return {
    status: error.status,
    headers: {
      'content-type': problemContentType,
      ...(seconds === undefined ? {} : { 'retry-after': String(Math.max(0, Math.ceil(seconds))) }),
    },
    body: JSON.stringify(toProblem(error, requestId, path)),
  };
};

/** The answer as it goes to a socket on which no request was understood. The connection ends with it. */
export const problemBytes = (error: CaseboundError, requestId: string): string => {
  const { status, headers, body } = problemAnswer(error, requestId);
  const lines = Object.entries({
    ...headers,
    'content-length': String(Buffer.byteLength(body)),
    'x-request-id': requestId,
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
    connection: 'close',
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\n${lines.join('')}\r\n${body}`;
};
