/**
 * Tokens of accounts: `cb_`, 32 random bytes in base64url (43 characters), CRC-32 of both in base 62 (6 characters).
 *
 * - The prefix lets secret scanners find a token that was pasted where it does not belong; the checksum tells a token from
 *   what merely looks like one, and lets a mistyped one be refused without asking the database.
 * - Kept as SHA-256. A slow password hash protects secrets that can be guessed; 256 random bits cannot be, and a fast hash
 *   can be looked up by index and computed on every request.
 */
import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const PREFIX = 'cb_';
const SECRET_BYTES = 32;
const CHECKSUM_LENGTH = 6;
const shape = /^cb_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}$/;
const base62Digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

const checksumOf = (text: string): string => {
  let rest = crc32(text);
  let digits = '';
  for (let count = 0; count < CHECKSUM_LENGTH; count += 1) {
    digits = base62Digits.charAt(rest % 62) + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
};

export const createToken = (): string => {
  const start = PREFIX + randomBytes(SECRET_BYTES).toString('base64url');
  return start + checksumOf(start);
};

/** Whether the text could be a token: of its shape, and with the right checksum. */
export const isToken = (text: string): boolean =>
  shape.test(text) && text.slice(-CHECKSUM_LENGTH) === checksumOf(text.slice(0, -CHECKSUM_LENGTH));

/** 32 bytes. */
export const hashToken = (token: string): Buffer => createHash('sha256').update(token, 'utf8').digest();
