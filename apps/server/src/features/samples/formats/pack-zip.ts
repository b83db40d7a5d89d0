/**
 * Small zip archives in memory, for the Office formats: deflated entries, a fixed date, the same bytes in every time zone (which a library
 * that writes local DOS times cannot promise). PKWARE APPNOTE 6.3.10, without Zip64.
 */
import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  readonly name: string;
  readonly text: string;
}

/** 1 January 2021, 00:00. */
const DOS_DATE = ((2021 - 1980) << 9) | (1 << 5) | 1;
const DEFLATE = 8;
const VERSION = 20;
const UTF8_NAMES = 0x0800;

export interface PackedEntry {
  readonly name: Buffer;
  readonly data: Buffer;
  readonly crc: number;
  readonly size: number;
}

/** Deflates an entry; what many archives share is packed once. */
export const packEntry = ({ name, text }: ZipEntry): PackedEntry => {
  const bytes = Buffer.from(text);
  return {
    name: Buffer.from(name),
    data: deflateRawSync(bytes, { memLevel: 6 }),
    crc: crc32(bytes),
    size: bytes.length,
  };
};

/** The fields that local and central headers share, from `version needed` on. */
const fields = (entry: PackedEntry): Buffer => {
  const out = Buffer.alloc(26);
  out.writeUInt16LE(VERSION, 0);
  out.writeUInt16LE(UTF8_NAMES, 2);
  out.writeUInt16LE(DEFLATE, 4);
  out.writeUInt16LE(0, 6);
  out.writeUInt16LE(DOS_DATE, 8);
  out.writeUInt32LE(entry.crc, 10);
  out.writeUInt32LE(entry.data.length, 14);
  out.writeUInt32LE(entry.size, 18);
  out.writeUInt16LE(entry.name.length, 22);
  return out;
};

const signature = (third: number, fourth: number): Buffer => Buffer.from([0x50, 0x4b, third, fourth]);

/** Archives entries in order. */
export const packZip = (entries: readonly PackedEntry[]): Buffer => {
  const parts: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const shared = fields(entry);
    const local = Buffer.concat([signature(3, 4), shared, entry.name, entry.data]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    const version = Buffer.alloc(2);
    version.writeUInt16LE(VERSION, 0);
    central.push(signature(1, 2), version, shared, tail, entry.name);
    parts.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(directory.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, directory, signature(5, 6), end]);
};
