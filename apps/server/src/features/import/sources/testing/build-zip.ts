/**
 * Zips for tests, honest and hostile: every field of a header can be set to what no honest writer would write.
 */
import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipPart {
  readonly name: string | Buffer;
  readonly content?: Buffer | string;
  readonly method?: 0 | 8 | 12;
  readonly flags?: number;
  /** Unix mode, as of a link (0o120777). */
  readonly mode?: number;
  /** What the directory declares instead of the truth. */
  readonly declaredSize?: number;
  readonly declaredCrc?: number;
  /** Names the data of an earlier part by its index, so that both lie at the same place. */
  readonly sameDataAs?: number;
}

interface Placed {
  readonly offset: number;
  readonly packed: Buffer;
  readonly size: number;
  readonly crc: number;
}

export const buildZip = (parts: readonly ZipPart[]): Buffer => {
  const chunks: Buffer[] = [];
  const directory: Buffer[] = [];
  const placed: Placed[] = [];
  let offset = 0;
  for (const part of parts) {
    const name = Buffer.from(part.name);
    const content = Buffer.from(part.content ?? '');
    const method = part.method ?? 8;
    const flags = part.flags ?? 0x800;
    let place = part.sameDataAs === undefined ? undefined : placed[part.sameDataAs];
    if (place === undefined) {
      const packed = method === 8 ? deflateRawSync(content) : content;
      place = { offset, packed, size: content.length, crc: crc32(content) };
      const header = Buffer.alloc(30);
      header.writeUInt32LE(0x04034b50, 0);
      header.writeUInt16LE(20, 4);
      header.writeUInt16LE(flags, 6);
      header.writeUInt16LE(method, 8);
      header.writeUInt32LE(place.crc, 14);
      header.writeUInt32LE(packed.length, 18);
      header.writeUInt32LE(content.length, 22);
      header.writeUInt16LE(name.length, 26);
      chunks.push(header, name, packed);
      offset += header.length + name.length + packed.length;
    }
    placed.push(place);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE((3 << 8) | 20, 4);
    entry.writeUInt16LE(20, 6);
    entry.writeUInt16LE(flags, 8);
    entry.writeUInt16LE(method, 10);
    entry.writeUInt16LE(0x5a21, 14);
    entry.writeUInt32LE(part.declaredCrc ?? place.crc, 16);
    entry.writeUInt32LE(place.packed.length, 20);
    entry.writeUInt32LE(part.declaredSize ?? place.size, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt32LE(((part.mode ?? 0o100644) << 16) >>> 0, 38);
    entry.writeUInt32LE(place.offset, 42);
    directory.push(entry, name);
  }
  const entries = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(parts.length, 8);
  end.writeUInt16LE(parts.length, 10);
  end.writeUInt32LE(entries.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...chunks, entries, end]);
};
