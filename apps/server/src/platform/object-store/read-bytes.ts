/** Whole results of a read, for objects that are known to be small. */
import { CaseboundError } from '@casebound/contract';
import type { GetOptions, ObjectKey, ObjectReading, ObjectStore } from './Port.ts';

/**
 * Collects a reading; resolves only when the bytes were found right.
 * @throws `object_corrupt` when it has more than `maxBytes`, which bounds the memory this takes.
 */
export const collectBytes = async (reading: ObjectReading, maxBytes: number): Promise<Buffer> => {
  if (reading.length > maxBytes) {
    reading.body.destroy();
    throw new CaseboundError(
      'object_corrupt',
      `The object ${reading.info.key} has ${reading.length} bytes, more than the ${maxBytes} allowed here.`,
    );
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of reading.body) chunks.push(chunk);
  return Buffer.concat(chunks, reading.length);
};

/** Reads an object, or a range of one, into memory. Errors as `get` and `collectBytes`. */
export const readBytes = async (
  store: Pick<ObjectStore, 'get'>,
  key: ObjectKey,
  options: GetOptions & { readonly maxBytes: number },
): Promise<Buffer> => collectBytes(await store.get(key, options), options.maxBytes);
