import type { ErrorCode } from '@casebound/contract';

/**
 * An error of the taxonomy within a thread of the index. Threads do without the contract, which would make up three quarters of the time that
 * they take to start; outside it becomes a `CaseboundError`.
 */
export class IndexError extends Error {
  override readonly name = 'IndexError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
