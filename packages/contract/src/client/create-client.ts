/**
 * A typed client: one method an operation. It needs no Node and no DOM: `fetch` and the source of timeouts are passed in.
 *
 * - Every failure is a `CaseboundError`: what the server answered, `server_unreachable`, `operation_timeout`,
 *   `request_aborted`, or `response_invalid` when the answer is not what the contract says.
 * - Nothing is retried here: whether an operation may be repeated is the caller's knowledge (`error.family`).
 * - The token goes to `baseUrl` only; redirects are not followed.
 */
import { CaseboundError } from '../casebound-error.ts';
import { successKind } from '../operation.ts';
import type {
  DownloadedFile,
  NoMembers,
  Operation,
  OperationInput,
  OperationMap,
  OperationResponse,
} from '../operation.ts';
import { operations } from '../registry.ts';
import type { Operations } from '../registry.ts';
import { encodeAddress } from './encode-address.ts';
import { readProblem } from './read-problem.ts';

/** The part of a fetch `Response` that the client reads. */
export interface FetchResponse {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  text(): Promise<string>;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** The part of `fetch` that the client uses. The global `fetch` of Node and of browsers fits. */
export type Fetch = (
  url: string,
  init: {
    readonly method: string;
    readonly headers: Record<string, string>;
    readonly signal: AbortSignal;
    readonly redirect: 'manual';
    readonly body?: string;
  },
) => Promise<FetchResponse>;

export interface ClientSettings {
  /** `http://127.0.0.1:4700`, with the path under which the server is mounted, if any. */
  readonly baseUrl: string;
  readonly token?: string;
  readonly fetch: Fetch;
  /** `AbortSignal.timeout`: a signal that aborts after the milliseconds. */
  readonly timeoutSignal: (milliseconds: number) => AbortSignal;
  /**
   * How long a call may take from connecting to the last byte of the answer; 60,000 by default. Fetch has no limit for
   * connecting alone: pass a `fetch` that has one where the network can swallow packets.
   */
  readonly timeoutMs?: number;
}

export interface CallOptions {
  /** Ends the call when it aborts, in place of the client's time limit. Combine both with `AbortSignal.any`. */
  readonly signal?: AbortSignal;
  /** Sent as `X-Request-Id`: 1 to 128 of `A-Z a-z 0-9 . _ -`. */
  readonly requestId?: string;
  /** Bytes `start` up to, not including, `end`, of an operation that answers with a file; fewer where the file ends before. */
  readonly range?: { readonly start: number; readonly end: number };
  /** Sent as `Idempotency-Key` with operations that take one. */
  readonly idempotencyKey?: string;
}

type CallArguments<O extends Operation> =
  NoMembers extends OperationInput<O>
    ? [input?: OperationInput<O>, options?: CallOptions]
    : [input: OperationInput<O>, options?: CallOptions];

export type ClientOf<M extends OperationMap> = {
  readonly [N in keyof M]: (...call: CallArguments<M[N]>) => Promise<OperationResponse<M[N]>>;
};
export type Client = ClientOf<Operations>;

/** The parts of an input, without the types of one operation. */
export interface AnyInput {
  readonly params?: Readonly<Record<string, unknown>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
}

const networkError = (settings: ClientSettings, signal: AbortSignal, cause: unknown): CaseboundError => {
  if (!signal.aborted) {
    return new CaseboundError('server_unreachable', `No Casebound server answers at ${settings.baseUrl}.`, { cause });
  }
  const reason: unknown = signal.reason;
  return reason instanceof Error && reason.name === 'TimeoutError'
    ? new CaseboundError('operation_timeout', `The server at ${settings.baseUrl} did not answer in time.`, { cause })
    : new CaseboundError('request_aborted', `The call to ${settings.baseUrl} was given up.`, { cause });
};

const parseSuccess = (name: string, operation: Operation, response: FetchResponse, text: string): unknown => {
  const answer = successKind(operation.success);
  switch (answer.kind) {
    case 'text':
      return text;
    case 'binary':
    case 'empty':
      return undefined;
    case 'json': {
      let json: unknown;
      try {
        json = JSON.parse(text);
      } catch (cause) {
        throw new CaseboundError('response_invalid', `The answer to ${name} is not JSON.`, { cause });
      }
      const parsed = answer.success.body.safeParse(json);
      if (parsed.success) return parsed.data;
      const where = parsed.error.issues.map((issue) => ['$', ...issue.path.map(String)].join('.')).join(', ');
      const correlationId = response.headers.get('x-request-id');
      throw new CaseboundError(
        'response_invalid',
        `The answer to ${name} is not what the contract says, at ${where}.`,
        correlationId === null ? {} : { correlationId },
      );
    }
  }
};

const readFile = async (response: FetchResponse): Promise<DownloadedFile> => {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const whole = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
  return {
    contentType: response.headers.get('content-type') ?? 'application/octet-stream',
    disposition: response.headers.get('content-disposition'),
    size: whole === undefined ? bytes.length : Number(whole),
    bytes,
  };
};

const call = async (
  settings: ClientSettings,
  name: string,
  operation: Operation,
  input: AnyInput,
  options: CallOptions,
): Promise<unknown> => {
  const url = settings.baseUrl.replace(/\/+$/, '') + encodeAddress(name, operation, input);
  const signal = options.signal ?? settings.timeoutSignal(settings.timeoutMs ?? 60_000);
  const isFile = 'binary' in operation.success;
  const expected = isFile
    ? '*/*'
    : 'contentType' in operation.success
      ? operation.success.contentType
      : 'application/json';
  const init = {
    method: operation.method,
    headers: {
      accept: `${expected}, application/problem+json`,
      ...(settings.token === undefined ? {} : { authorization: `Bearer ${settings.token}` }),
      ...(options.requestId === undefined ? {} : { 'x-request-id': options.requestId }),
      ...(operation.idempotencyKey === true && options.idempotencyKey !== undefined
        ? { 'idempotency-key': options.idempotencyKey }
        : {}),
      ...(operation.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(isFile && options.range !== undefined
        ? { range: `bytes=${options.range.start}-${options.range.end - 1}` }
        : {}),
    },
    signal,
    redirect: 'manual',
    ...(operation.body === undefined ? {} : { body: JSON.stringify(input.body) }),
  } as const;
  let response: FetchResponse;
  let text: string;
  try {
    response = await settings.fetch(url, init);
    if (isFile && (response.status === 200 || response.status === 206)) return await readFile(response);
    text = await response.text();
  } catch (cause) {
    throw networkError(settings, signal, cause);
  }
  if (response.status !== operation.success.status) throw readProblem(name, response, text);
  return parseSuccess(name, operation, response, text);
};

/** A client for the operations of a map; `createClient` is the one for all of Casebound. */
export const createClientOf = <M extends OperationMap>(map: M, settings: ClientSettings): ClientOf<M> => {
  if (!/^https?:\/\/[^\s?#]+$/.test(settings.baseUrl)) {
    throw new CaseboundError(
      'config_invalid',
      'The address of the server must start with http:// or https:// and have no query.',
    );
  }
  const methods = Object.entries(map).map(([name, operation]) => [
    name,
    async (input: AnyInput = {}, options: CallOptions = {}) => call(settings, name, operation, input, options),
  ]);
  // The methods are those of the map by construction; their types follow from it, which `Object.fromEntries` cannot say.
  return Object.fromEntries(methods) as ClientOf<M>;
};

/**
 * A client for a Casebound server.
 *
 * @example
 * const client = createClient({ baseUrl: 'http://127.0.0.1:4700', token, fetch, timeoutSignal: AbortSignal.timeout });
 * const created = await client.createCase({ body: { name: 'Smith v. Jones' } });
 */
export const createClient = (settings: ClientSettings): Client => createClientOf(operations, settings);
