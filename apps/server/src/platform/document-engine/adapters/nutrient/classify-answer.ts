/**
 * The one place where what the engine answers, or does not, becomes an error of the taxonomy.
 *
 * - No text of the engine is passed on: it may quote an annotation or a file. Its status, the id of the request in its log, and
 *   the paths of what it refused are.
 */
import { CaseboundError, type ErrorCode } from '@casebound/contract';

/** The engine refused the token: it may be the wrong one, or one that has ended. Never leaves this folder. */
export class TokenRefused extends CaseboundError {
  constructor(status: number) {
    super(
      'document_engine_denied',
      `The document engine refuses the API token (HTTP ${status}). Check \`documentEngine.apiToken\`, and that the token has not been rotated away.`,
    );
  }
}

/** A request of which nobody knows whether it took effect. */
export class UnknownOutcome extends CaseboundError {}

export const unavailable = (reason: string, retryAfterSeconds?: number): UnknownOutcome =>
  new UnknownOutcome(
    'document_engine_unavailable',
    `The document engine ${reason}.`,
    retryAfterSeconds === undefined ? {} : { retryAfterSeconds },
  );

/** The body ended before its end. */
export const truncated = (): UnknownOutcome => unavailable('broke off its answer');

export const garbage = (what: string): CaseboundError =>
  new CaseboundError(
    'document_engine_refused',
    `The document engine cannot be understood: ${what}. Check that \`documentEngine.url\` is the engine and no proxy in front of it.`,
  );

const certificateProblem = /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|SSL|TLS/;

/** An error of the network layer. */
export const classifyNetworkError = (error: unknown): CaseboundError => {
  if (error instanceof CaseboundError) return error;
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'no code';
  if (certificateProblem.test(code))
    return new CaseboundError(
      'document_engine_denied',
      `The certificate of the document engine is not trusted (${code}). Add the authority to NODE_EXTRA_CA_CERTS.`,
    );
  return unavailable(`gave no whole answer (${/^[A-Z0-9_]{1,40}$/.test(code) ? code : 'connection broken'})`);
};

const longestWaitSeconds = 3_600;

/** Seconds of `Retry-After` (RFC 9110, 10.2.3), a number or a date; undefined when there is none that can be read. */
export const readRetryAfter = (header: string | undefined, now: Date): number | undefined => {
  if (header === undefined) return undefined;
  const seconds = /^\d{1,9}$/.test(header.trim()) ? Number(header) : (Date.parse(header) - now.getTime()) / 1_000;
  return Number.isNaN(seconds) ? undefined : Math.min(longestWaitSeconds, Math.max(0, Math.ceil(seconds)));
};

/** Sentences of the published description; any other may quote what was sent. */
const knownSentences: ReadonlySet<string> = new Set(['Page index out of bounds.']);

interface Refusal {
  readonly requestId: string | undefined;
  readonly paths: readonly { readonly path: string; readonly message: string }[];
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What may be said of a refusal: paths of the form `$.annotations[0]`, and the engine's id of the request. */
export const readRefusal = (body: unknown): Refusal => {
  if (!isRecord(body)) return { requestId: undefined, paths: [] };
  const requestId = body['request_id'] ?? body['requestId'];
  const listed = body['failing_paths'] ?? body['failingPaths'];
  return {
    requestId: typeof requestId === 'string' && /^[\w-]{1,64}$/.test(requestId) ? requestId : undefined,
    paths: (Array.isArray(listed) ? listed : []).flatMap((item: unknown) => {
      const path = isRecord(item) ? item['path'] : undefined;
      if (typeof path !== 'string' || !/^\$[\w.[\]]{0,100}$/.test(path)) return [];
      const sentence = isRecord(item) ? (item['error'] ?? item['details']) : undefined;
      const known = typeof sentence === 'string' && knownSentences.has(sentence) ? sentence : undefined;
      return [{ path, message: known ?? 'was refused by the engine' }];
    }),
  };
};

const logged = (requestId: string | undefined): string => (requestId === undefined ? '' : `, request ${requestId}`);

export interface AnswerContext {
  /** Completes "The document engine did not ...": `give the text of a page`. */
  readonly doing: string;
  /** What 404 means here. */
  readonly missing: Extract<
    ErrorCode,
    'engine_document_not_found' | 'annotation_not_found' | 'attachment_missing' | 'document_engine_refused'
  >;
  /** What 400 and 422 mean here. Default: `document_engine_refused`. */
  readonly invalid?: Extract<ErrorCode, 'pdf_damaged' | 'annotation_invalid'>;
}

/** The error of an answer that is no success. `body` is what its JSON holds, if it is JSON. */
export const classifyStatus = (
  { doing, missing, invalid }: AnswerContext,
  status: number,
  retryAfterSeconds: number | undefined,
  body: unknown,
): CaseboundError => {
  const { requestId, paths } = readRefusal(body);
  const failed = `The document engine did not ${doing} (HTTP ${status}${logged(requestId)})`;
  if (status === 401 || status === 403) return new TokenRefused(status);
  if (status === 402)
    return new CaseboundError('document_engine_denied', `${failed}: its licence does not cover that.`);
  if (status === 404) return new CaseboundError(missing, `${failed}: there is no such thing.`);
  if (status === 409)
    return new CaseboundError('engine_document_exists', `${failed}: there is another one of this name.`);
  if (status === 413) return new CaseboundError('pdf_too_large', `${failed}: it is larger than the engine accepts.`);
  if (status === 408 || status === 429 || status >= 500)
    return unavailable(`did not ${doing}: it answered HTTP ${status}${logged(requestId)}`, retryAfterSeconds);
  if (status >= 300 && status < 400)
    return new CaseboundError(
      'document_engine_refused',
      `${failed}: it redirects elsewhere. Check \`documentEngine.url\`.`,
    );
  return new CaseboundError(invalid ?? 'document_engine_refused', `${failed}: it refuses what was sent.`, {
    errors: paths,
  });
};
