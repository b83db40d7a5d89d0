/**
 * What is thrown while a request is served, as an error of the product. One table for the framework's codes; whatever is
 * not known here is `internal`, without a word of its cause.
 */
import { CaseboundError } from '@casebound/contract';

const frameworkErrors: ReadonlyMap<string, () => CaseboundError> = new Map([
  [
    'FST_ERR_CTP_BODY_TOO_LARGE',
    () => new CaseboundError('body_too_large', 'The body is larger than this server takes.'),
  ],
  [
    'FST_ERR_CTP_INVALID_MEDIA_TYPE',
    () =>
      new CaseboundError(
        'unsupported_media_type',
        'The body must be application/json, and UTF-8 where a charset is named.',
      ),
  ],
  [
    'FST_ERR_CTP_INVALID_CONTENT_LENGTH',
    () => new CaseboundError('malformed_body', 'The body is not as long as its Content-Length says.'),
  ],
  ['FST_ERR_BAD_URL', () => new CaseboundError('malformed_request', 'The path is not validly percent-encoded.')],
  ['FST_ERR_MAX_PARAM_LENGTH', () => new CaseboundError('uri_too_long', 'A segment of the path is too long.')],
  // The connection broke while the body was read; nobody reads the answer, but the log should say what it was.
  ['ECONNRESET', () => new CaseboundError('request_aborted', 'The connection ended within the body.')],
]);

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

export const mapError = (error: unknown): CaseboundError => {
  if (error instanceof CaseboundError) return error;
  const known = frameworkErrors.get(codeOf(error) ?? '');
  return (
    known?.() ??
    new CaseboundError('internal', 'The request failed for a reason that only the server log tells.', { cause: error })
  );
};
