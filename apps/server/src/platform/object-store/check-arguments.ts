/** Checks of what callers pass, the same in every adapter. */
import type { Readable } from 'node:stream';
import { CaseboundError } from '@casebound/contract';
import type { ByteRange, Expected, ObjectInfo, ObjectKey } from './Port.ts';

/** @throws `validation_failed` for a content type that no header could carry. */
export const checkContentType = (contentType = 'application/octet-stream'): string => {
  if (/^[!-~]([ -~]{0,98}[!-~])?$/.test(contentType)) return contentType;
  throw new CaseboundError(
    'validation_failed',
    'The content type of an object must be 1 to 100 characters of printable ASCII.',
  );
};

/** @throws `validation_failed` for a page size outside 1 to 1,000. */
export const checkPageSize = (pageSize = 1_000): number => {
  if (Number.isInteger(pageSize) && pageSize >= 1 && pageSize <= 1_000) return pageSize;
  throw new CaseboundError('validation_failed', `A page of objects holds 1 to 1000, not ${pageSize}.`);
};

const rangeError = (key: ObjectKey, range: ByteRange, why: string): CaseboundError =>
  new CaseboundError(
    'object_range_invalid',
    `The bytes ${range.start} to ${range.end ?? 'the end'} of the object ${key} cannot be read: ${why}.`,
  );

/** @throws `object_range_invalid` for a range that is empty, negative or not of whole numbers. */
export const checkRangeShape = (key: ObjectKey, range: ByteRange): void => {
  const { start, end = Number.MAX_SAFE_INTEGER } = range;
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end <= start) {
    throw rangeError(key, range, 'start and end must be whole numbers with 0 <= start < end');
  }
};

/** The range in an object of that size. @throws `object_range_invalid` when it ends after the object. */
export const resolveRange = (
  key: ObjectKey,
  range: ByteRange | undefined,
  size: number,
): { readonly start: number; readonly end: number } => {
  if (range === undefined) return { start: 0, end: size };
  checkRangeShape(key, range);
  const end = range.end ?? size;
  if (end > size || range.start >= size) throw rangeError(key, range, `the object has ${size} bytes`);
  return { start: range.start, end };
};

/**
 * What a create-only write does when the key was taken: equal bytes are success.
 * @param found what has the key now; undefined when it was deleted again meanwhile.
 * @throws `object_exists`, `object_store_unavailable`
 */
export const checkSameOrExists = (
  key: ObjectKey,
  wanted: Required<Expected>,
  found: ObjectInfo | undefined,
): ObjectInfo => {
  if (found === undefined) {
    throw new CaseboundError(
      'object_store_unavailable',
      `The object ${key} was deleted while it was being created again. Try again.`,
    );
  }
  if (found.sha256 !== wanted.sha256 || found.size !== wanted.size) {
    throw new CaseboundError('object_exists', `There is an object ${key} with other bytes; it was left as it is.`);
  }
  return found;
};

/** Destroys a body when the signal aborts, and stops listening when the body is done. */
export const abortWith = (body: Readable, signal: AbortSignal): void => {
  const onAbort = (): void => {
    const reason: unknown = signal.reason;
    body.destroy(reason instanceof Error ? reason : new Error('The read was aborted.'));
  };
  if (signal.aborted) {
    onAbort();
    return;
  }
  signal.addEventListener('abort', onAbort, { once: true });
  body.once('close', () => signal.removeEventListener('abort', onAbort));
};
