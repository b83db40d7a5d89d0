/**
 * MD5, SHA-1, SHA-256 and size of bytes while they go elsewhere: one read, no copy.
 */
import { createHash } from 'node:crypto';
import { CaseboundError } from '@casebound/contract';

export interface Digests {
  /** Lower-case hexadecimal: 32, 40 and 64 digits. */
  readonly md5: string;
  readonly sha1: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

export interface HashedBytes {
  /** The same chunks. Read it once, to its end. */
  readonly body: AsyncIterable<Uint8Array>;
  /** @throws CaseboundError `internal` before `body` has ended: a hash of half a file is of no use. */
  digests(): Digests;
}

/** Hashes what passes through: `const hashed = hashBytes(stream); await store.put(key, hashed.body); hashed.digests()`. */
export const hashBytes = (source: AsyncIterable<Uint8Array>): HashedBytes => {
  const md5 = createHash('md5');
  const sha1 = createHash('sha1');
  const sha256 = createHash('sha256');
  let size = 0;
  let result: Digests | undefined;
  const pass = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      md5.update(chunk);
      sha1.update(chunk);
      sha256.update(chunk);
      size += chunk.length;
      yield chunk;
    }
    result = { md5: md5.digest('hex'), sha1: sha1.digest('hex'), sha256: sha256.digest('hex'), size };
  };
  return {
    body: pass(),
    digests: () => {
      if (result === undefined)
        throw new CaseboundError('internal', 'A hash was asked for before the bytes had ended.');
      return result;
    },
  };
};

/** Hashes bytes that go nowhere else. */
export const digestBytes = async (source: AsyncIterable<Uint8Array>): Promise<Digests> => {
  const hashed = hashBytes(source);
  for await (const chunk of hashed.body) void chunk;
  return hashed.digests();
};
