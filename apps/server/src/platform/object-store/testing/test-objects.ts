/** What tests of the object store share: hashes, streams, whole listings, error codes. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { CaseboundError, type ErrorCode } from '@casebound/contract';
import type { ListedObject, ListOptions, ObjectKey, ObjectPrefix, ObjectStore } from '../Port.ts';

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The code of the error that a promise rejects with. */
export const codeOf = async (promise: Promise<unknown>): Promise<ErrorCode | 'none'> => {
  try {
    await promise;
    return 'none';
  } catch (error) {
    if (error instanceof CaseboundError) return error.code;
    throw error;
  }
};

/** A stream of the bytes in uneven chunks. */
export const streamOf = (bytes: Uint8Array, chunkBytes = 70_001): Readable =>
  Readable.from(
    (function* chunks() {
      for (let start = 0; start < bytes.byteLength; start += chunkBytes) {
        yield bytes.subarray(start, start + chunkBytes);
      }
    })(),
    { objectMode: false },
  );

export const listAll = async (
  store: ObjectStore,
  prefix: ObjectPrefix,
  options: ListOptions = {},
): Promise<ListedObject[]> => {
  const all: ListedObject[] = [];
  for await (const page of store.list(prefix, options)) all.push(...page);
  return all;
};

export const keysOf = (objects: readonly ListedObject[]): ObjectKey[] => objects.map(({ key }) => key);
