/** The hashes that load files state. */
import { createHash } from 'node:crypto';
import type { Random } from './random.ts';

interface Hashes {
  readonly md5: string;
  readonly sha1: string;
  readonly sha256: string;
}

export const hashAll = (bytes: Uint8Array): Hashes => ({
  md5: createHash('md5').update(bytes).digest('hex'),
  sha1: createHash('sha1').update(bytes).digest('hex'),
  sha256: createHash('sha256').update(bytes).digest('hex'),
});

/** Hashes of no file. */
export const inventHashes = (random: Random): Hashes => ({
  md5: random.text(32, '0123456789abcdef'),
  sha1: random.text(40, '0123456789abcdef'),
  sha256: random.text(64, '0123456789abcdef'),
});
