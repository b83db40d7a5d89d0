/**
 * The one error class. HTTP status, retryability and exit code follow from the code, in `errors.ts`.
 *
 * `detail` never holds a secret, document text, SQL or a stack: it is sent to clients and shown to people.
 */
import { errorTable } from './errors.ts';
import type { ErrorCode, FailureFamily } from './errors.ts';

/** One member of a request that is wrong, at its JSON path (`$.name`, `$.items[3].key`); of the address, `path.caseId` or `query.limit`. */
export interface FieldError {
  readonly path: string;
  readonly message: string;
}

export interface CaseboundErrorOptions {
  /** JSON paths of what is wrong with the input. */
  readonly errors?: readonly FieldError[];
  /** Seconds until a retry makes sense; sent as `Retry-After`. */
  readonly retryAfterSeconds?: number;
  /** Of an error that a server answered: the id under which its log tells more. */
  readonly correlationId?: string;
  /** The error that caused this one; logged without its text, never sent. */
  readonly cause?: unknown;
}

/** The error of the whole product. `message` is the detail: one clear sentence about this occurrence. */
export class CaseboundError extends Error {
  readonly code: ErrorCode;
  readonly errors: readonly FieldError[];
  readonly retryAfterSeconds: number | undefined;
  readonly correlationId: string | undefined;

  constructor(code: ErrorCode, detail: string, options: CaseboundErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CaseboundError';
    this.code = code;
    this.errors = options.errors ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.correlationId = options.correlationId;
  }

  get family(): FailureFamily {
    return errorTable[this.code].family;
  }

  get status(): number {
    return errorTable[this.code].status;
  }
}

/** True for a `CaseboundError` of the given code. */
export const hasCode = (error: unknown, code: ErrorCode): error is CaseboundError =>
  error instanceof CaseboundError && error.code === code;
