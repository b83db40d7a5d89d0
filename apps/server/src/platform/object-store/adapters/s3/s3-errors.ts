/** The one place where errors of the SDK, the endpoint and the network become errors of the taxonomy. */
import { CaseboundError } from '@casebound/contract';

const deniedNames = new Map([
  ['NoSuchBucket', 'the bucket does not exist'],
  ['InvalidBucketName', 'the bucket name is not valid'],
  ['AccessDenied', 'these credentials may not do that'],
  ['AllAccessDisabled', 'access to the bucket is disabled'],
  ['AccountProblem', 'there is a problem with the account'],
  ['InvalidAccessKeyId', 'the access key is not known'],
  ['SignatureDoesNotMatch', 'the secret key does not fit the access key'],
  ['InvalidToken', 'the session token is not valid'],
  ['ExpiredToken', 'the session token has expired'],
  ['TokenRefreshRequired', 'the session token has expired'],
  ['RequestTimeTooSkewed', 'the clock of this machine and that of the endpoint differ too much'],
  ['PermanentRedirect', 'the bucket is in another region'],
  ['AuthorizationHeaderMalformed', 'the bucket is in another region, or the region is not valid'],
  ['IllegalLocationConstraintException', 'the bucket is in another region'],
  ['CredentialsProviderError', 'no credentials were found'],
  ['InvalidObjectState', 'the object is archived'],
  ['EntityTooLarge', 'the object or part is larger than the endpoint allows'],
]);

const unavailableNames = new Set([
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'RequestThrottled',
  'RequestLimitExceeded',
  'TooManyRequestsException',
  'BandwidthLimitExceeded',
  'RequestTimeout',
  'RequestTimeoutException',
  'TimeoutError',
  'InternalError',
  'ServiceUnavailable',
  'ServerBusy',
  'OperationAborted',
  'ConditionalRequestConflict',
  // The bytes did not arrive as they were sent; sending them again is the remedy.
  'BadDigest',
  'InvalidDigest',
  'XAmzContentSHA256Mismatch',
  'IncompleteBody',
]);

const fullNames = new Set([
  'QuotaExceeded',
  'XMinioStorageFull',
  'InsufficientCapacity',
  'XMinioAdminBucketQuotaExceeded',
]);

const certificateProblem = /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|SSL|TLS/;

interface EndpointError {
  readonly name: string;
  /** HTTP status; undefined when there was no answer. */
  readonly status: number | undefined;
  /** Code of the network layer, such as `ECONNREFUSED`. */
  readonly networkCode: string | undefined;
}

const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;

export const describeEndpointError = (error: unknown): EndpointError => {
  const name = field(error, 'name');
  const status = field(field(error, '$metadata'), 'httpStatusCode');
  const code = field(error, 'code');
  return {
    name: typeof name === 'string' ? name : 'Error',
    status: typeof status === 'number' ? status : undefined,
    networkCode: typeof code === 'string' ? code : undefined,
  };
};

/** Worth another try at once: nobody has to do anything first. */
export const isTransient = (error: unknown): boolean => {
  if (error instanceof CaseboundError) return false;
  const { name, status, networkCode } = describeEndpointError(error);
  if (name === 'AbortError' || name === 'CredentialsProviderError' || fullNames.has(name)) return false;
  // The SDK has learned the endpoint's time from this answer and signs the next request by it.
  if (name === 'RequestTimeTooSkewed') return true;
  // Whoever sent the condition decides.
  if (name === 'ConditionalRequestConflict') return false;
  if (unavailableNames.has(name)) return true;
  if (status === undefined) return networkCode !== undefined && !certificateProblem.test(networkCode);
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 507);
};

/** 404 of an object, not of its bucket. A HEAD has no body, so there the two look the same. */
export const isMissing = (error: unknown): boolean => {
  const { name, status } = describeEndpointError(error);
  return name === 'NoSuchKey' || name === 'NotFound' || (status === 404 && !deniedNames.has(name));
};

export const isStatus = (error: unknown, ...statuses: readonly number[]): boolean => {
  const { status } = describeEndpointError(error);
  return status !== undefined && statuses.includes(status);
};

/**
 * @param doing what failed, to complete "The object store could not ...": `write case_1/a.txt`.
 * @param address endpoint and bucket, for the reader.
 */
export const classifyEndpointError = (error: unknown, doing: string, address: string): unknown => {
  if (error instanceof CaseboundError) return error;
  const { name, status, networkCode } = describeEndpointError(error);
  if (name === 'AbortError') return error;
  const cause = { cause: error };
  const failed = `The object store could not ${doing} at ${address}`;
  const answer = status === undefined ? name : `${name}, HTTP ${status}`;

  const reason = deniedNames.get(name);
  if (reason !== undefined) {
    return new CaseboundError('object_store_denied', `${failed}: ${reason} (${answer}).`, cause);
  }
  if (fullNames.has(name) || status === 507) {
    return new CaseboundError('object_store_full', `${failed}: it has no room left (${answer}).`, cause);
  }
  if (name === 'NoSuchKey' || name === 'NotFound') {
    return new CaseboundError('object_not_found', `${failed}: there is no such object.`, cause);
  }
  if (name === 'InvalidRange' || status === 416) {
    return new CaseboundError('object_range_invalid', `${failed}: the range lies outside the object.`, cause);
  }
  if (unavailableNames.has(name) || status === 408 || status === 429 || (status !== undefined && status >= 500)) {
    return new CaseboundError('object_store_unavailable', `${failed}: it answered ${answer}. Try again.`, cause);
  }
  if (networkCode !== undefined && certificateProblem.test(networkCode)) {
    return new CaseboundError(
      'object_store_denied',
      `${failed}: its certificate is not trusted (${networkCode}). Add the authority to NODE_EXTRA_CA_CERTS.`,
      cause,
    );
  }
  if (status !== undefined && status >= 400) {
    return new CaseboundError('object_store_denied', `${failed}: it refused with ${answer}.`, cause);
  }
  if (status !== undefined && status >= 300) {
    return new CaseboundError(
      'object_store_denied',
      `${failed}: it redirects elsewhere (${answer}). Check endpoint and region.`,
      cause,
    );
  }
  // No answer, or one that is no S3: connection refused, reset, name not found, a proxy's page.
  return new CaseboundError(
    'object_store_unavailable',
    `${failed}: there was no valid answer (${networkCode ?? answer}). Check that the endpoint runs and can be reached.`,
    cause,
  );
};
