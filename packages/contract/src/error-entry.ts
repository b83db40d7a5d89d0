/** The row of the table of error codes in `errors.ts`. */

/** What a message handler does with a failure: try later, dead-letter now, or take it as success. */
export type FailureFamily = 'recoverable' | 'permanent' | 'already_done';

export interface ErrorEntry {
  /** HTTP status of the problem+json answer. */
  readonly status: number;
  readonly family: FailureFamily;
  /** Exit code of a CLI command that ends with this error. 0-9 are general, 10 and up name a cause. */
  readonly exitCode: number;
  /** A sentence for people, without the particulars of one occurrence. */
  readonly title: string;
  /** What the reader can do about it. */
  readonly remedy: string;
}

export const entry = (
  status: number,
  family: FailureFamily,
  exitCode: number,
  title: string,
  remedy: string,
): ErrorEntry => ({
  status,
  family,
  exitCode,
  title,
  remedy,
});
