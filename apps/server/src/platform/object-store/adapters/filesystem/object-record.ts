/**
 * The record at the end of an object's file: what the object is, in the same file as its bytes.
 *
 * - Bytes and record become visible in one step (the rename or link of the file) and travel together through hard links,
 *   reflinks, backups and restores; they cannot disagree because one of two files is missing.
 * - 256 bytes, ASCII, fixed: `head -c -256 FILE` gives the bytes of the object, `tail -c 256 FILE` shows the record.
 * - A file cut anywhere has no record where it must be, so a torn write is found without hashing.
 *
 * Layout: `\ncasebound-object/1 size=<16 digits> sha256=<64 hex digits> type=<content type, padded with spaces> crc32=<8 hex digits>\n`;
 * the CRC-32 (ISO-HDLC, as zlib) is of the 240 bytes before it.
 */
import { crc32 } from 'node:zlib';

export const recordBytes = 256;
const checkedBytes = 240;

export interface ObjectRecord {
  readonly size: number;
  readonly sha256: string;
  readonly contentType: string;
}

const checksum = (bytes: string | Uint8Array): string => crc32(bytes).toString(16).padStart(8, '0');

/** The content type must be printable ASCII of at most 100 characters. */
export const formatRecord = ({ size, sha256, contentType }: ObjectRecord): Buffer => {
  const text = `\ncasebound-object/1 size=${size.toString().padStart(16, '0')} sha256=${sha256} type=${contentType}`;
  const checked = text.padEnd(checkedBytes, ' ');
  return Buffer.from(`${checked} crc32=${checksum(checked)}\n`, 'latin1');
};

const pattern = /^\ncasebound-object\/1 size=(\d{16}) sha256=([0-9a-f]{64}) type=([ -~]{1,100}?) *$/;

/** Undefined when the bytes are no record, or a damaged one. */
export const parseRecord = (bytes: Uint8Array): ObjectRecord | undefined => {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  if (!text.endsWith(` crc32=${checksum(bytes.subarray(0, checkedBytes))}\n`)) return undefined;
  const match = pattern.exec(text.slice(0, checkedBytes));
  if (match?.[1] === undefined || match[2] === undefined || match[3] === undefined) return undefined;
  return { size: Number(match[1]), sha256: match[2], contentType: match[3] };
};
