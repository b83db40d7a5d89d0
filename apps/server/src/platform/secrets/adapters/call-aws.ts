/**
 * One read from an AWS service: a time limit for each try, bounded retries with full jitter, and errors in our own terms.
 *
 * - The SDK's own retries are off, so that there is one policy and one clock.
 * - Neither the text nor the cause of an SDK error is passed on: a body that does not parse is quoted in it.
 * Names of errors: the "Errors" sections of the API references of Secrets Manager and Systems Manager, and "Common Errors".
 */
import { CaseboundError } from '@casebound/contract';
import type { Clock } from '../../clock/Port.ts';

export interface AwsCallPolicy {
  readonly clock: Clock;
  readonly maxAttempts: number;
  readonly requestTimeoutMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

const firstPauseMs = 100;
const longestPauseMs = 2_000;

type Verdict = 'missing' | 'denied' | 'retry' | 'retry_then_denied' | 'refused';

const verdicts: Readonly<Record<string, Verdict>> = {
  ResourceNotFoundException: 'missing',
  ParameterNotFound: 'missing',
  ParameterVersionNotFound: 'missing',
  // Secrets Manager, for a secret that is marked for deletion.
  InvalidRequestException: 'missing',
  AccessDenied: 'denied',
  AccessDeniedException: 'denied',
  CredentialsProviderError: 'denied',
  DecryptionFailure: 'denied',
  ExpiredTokenException: 'denied',
  IncompleteSignature: 'denied',
  InvalidClientTokenId: 'denied',
  InvalidKeyId: 'denied',
  MissingAuthenticationToken: 'denied',
  MissingAuthenticationTokenException: 'denied',
  NotAuthorized: 'denied',
  OptInRequired: 'denied',
  UnrecognizedClientException: 'denied',
  // The SDK learns the server's clock from the refusal, so the next try may be signed with the right time.
  InvalidSignatureException: 'retry_then_denied',
  RequestExpired: 'retry_then_denied',
  SignatureDoesNotMatch: 'retry_then_denied',
  InternalFailure: 'retry',
  InternalServerError: 'retry',
  InternalServiceError: 'retry',
  LimitExceededException: 'retry',
  RequestLimitExceeded: 'retry',
  ServiceUnavailable: 'retry',
  Throttling: 'retry',
  ThrottlingException: 'retry',
  ThrottledException: 'retry',
  TooManyRequestsException: 'retry',
  TimeoutError: 'retry',
  SyntaxError: 'retry',
};

const statusOf = (error: Error): number | undefined => {
  if (!('$metadata' in error) || typeof error.$metadata !== 'object' || error.$metadata === null) return undefined;
  const { $metadata: metadata } = error;
  return 'httpStatusCode' in metadata && typeof metadata.httpStatusCode === 'number'
    ? metadata.httpStatusCode
    : undefined;
};

const verdictOf = (error: Error): Verdict => {
  if (Object.hasOwn(verdicts, error.name)) return verdicts[error.name] ?? 'retry';
  const status = statusOf(error);
  if (status === 401 || status === 403) return 'denied';
  // No status: no whole answer came, so it is the network or the far end.
  return status === undefined || status >= 500 || status === 429 || status < 400 ? 'retry' : 'refused';
};

const notPermitted = ({ name }: Error): boolean => name === 'AccessDeniedException' || name === 'AccessDenied';

const printableName = (error: Error): string => {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  return /^[A-Za-z][A-Za-z0-9_]{0,60}$/.test(code) ? code : 'unnamed error';
};

class AttemptTimeout extends Error {
  override readonly name = 'TimeoutError';
}

/** The SDK's abort ends a request; the race also ends one whose body stops to come. */
const within = async <T>(ms: number, attempt: (signal: AbortSignal) => Promise<T>): Promise<T> => {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new AttemptTimeout();
      controller.abort(error);
      reject(error);
    }, ms);
  });
  try {
    return await Promise.race([attempt(controller.signal), timeout]);
  } finally {
    clearTimeout(timer);
  }
};

interface AwsCall<T> {
  /** For sentences: "AWS Secrets Manager". */
  readonly service: string;
  /** The IAM action: `secretsmanager:GetSecretValue`. */
  readonly action: string;
  /** What is read, as the service calls it. */
  readonly target: string;
  /** Whether a refusal for want of permission counts as "nothing there": it proves that the credentials are good. */
  readonly onlyProbe?: boolean;
  readonly attempt: (signal: AbortSignal) => Promise<T>;
}

/** The answer, or undefined when there is nothing of that name. Throws `secret_store_unavailable` or `secret_store_denied`. */
export const callAws = async <T>(policy: AwsCallPolicy, call: AwsCall<T>): Promise<T | undefined> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await within(policy.requestTimeoutMs, call.attempt);
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error();
      const verdict = verdictOf(error);
      if (verdict === 'missing' || (call.onlyProbe === true && notPermitted(error))) return undefined;
      const again = (verdict === 'retry' || verdict === 'retry_then_denied') && attempt < policy.maxAttempts;
      if (!again) throw failure(call, verdict, error, attempt);
      await policy.clock.sleep(policy.random() * Math.min(longestPauseMs, firstPauseMs * 2 ** (attempt - 1)));
    }
  }
};

const failure = (
  { service, action, target }: AwsCall<unknown>,
  verdict: Verdict,
  error: Error,
  attempts: number,
): CaseboundError => {
  const name = printableName(error);
  switch (verdict) {
    case 'denied':
    case 'retry_then_denied':
      return new CaseboundError(
        'secret_store_denied',
        `${service} refuses to give ${target} (${name}); check the credentials, the clock, and that they allow ${action} and decryption with its key.`,
      );
    case 'refused':
    case 'missing':
      return new CaseboundError('secret_store_denied', `${service} refuses the request for ${target} (${name}).`);
    case 'retry':
      return new CaseboundError(
        'secret_store_unavailable',
        `${service} did not give ${target} in ${attempts} tries (${name}); check its address and the network.`,
      );
  }
};
