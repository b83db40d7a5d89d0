/** Turns what SDK and services say into the product's errors. Names: API references of SQS, SNS and Lambda, section "Errors". */
import { CaseboundError } from '@casebound/contract';

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '');

const missing = new Set([
  'QueueDoesNotExist',
  'AWS.SimpleQueueService.NonExistentQueue',
  'NotFoundException',
  'NotFound',
  'ResourceNotFoundException',
]);
const denied = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'AuthorizationError',
  'InvalidClientTokenId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'CredentialsProviderError',
]);

export const isMissing = (error: unknown): boolean => missing.has(nameOf(error));

/** The same error in the product's terms. `what`: the queue, topic or worker that was asked for. */
export const toCaseboundError = (error: unknown, what: string): unknown => {
  if (error instanceof CaseboundError || !(error instanceof Error)) return error;
  if (isMissing(error))
    return new CaseboundError('queue_not_found', `There is no queue or topic ${JSON.stringify(what)}.`, {
      cause: error,
    });
  if (denied.has(error.name))
    return new CaseboundError('queue_transport_denied', `The message transport refuses access to ${what}.`, {
      cause: error,
    });
  return new CaseboundError(
    'queue_transport_unavailable',
    `The message transport failed for ${what} (${error.name}).`,
    { cause: error },
  );
};

export const onAws = async <T>(what: string, run: () => Promise<T>): Promise<T> => {
  try {
    return await run();
  } catch (error) {
    throw toCaseboundError(error, what);
  }
};
