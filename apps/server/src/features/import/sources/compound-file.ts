/**
 * Names in a compound file (the container of doc, xls, ppt and msg), which tell what it is. Format: MS-CFB.
 *
 * Only the directory is read, through the allocation table as far as the header lists it, and at most `maxSectors` of it.
 */
import type { RandomBytes } from './random-bytes.ts';
import { readSpan } from './random-bytes.ts';

const entryBytes = 128;
const maxSectors = 64;
const lastRegularSector = 0xfffffffa;
const headerSectors = 109;

/** Names of storages and streams; empty when the structure does not hold. */
export const readCompoundNames = async (head: Buffer, bytes: RandomBytes): Promise<string[]> => {
  if (head.length < 512) return [];
  const shift = head.readUInt16LE(30);
  if (shift !== 9 && shift !== 12) return [];
  const sectorBytes = 1 << shift;
  const sectorStart = (sector: number): number => (sector + 1) * sectorBytes;
  const names: string[] = [];
  const seen = new Set<number>();
  let sector = head.readUInt32LE(48);
  while (sector <= lastRegularSector && !seen.has(sector) && seen.size < maxSectors) {
    seen.add(sector);
    const start = sectorStart(sector);
    const directory = await readSpan(bytes, { start, end: start + sectorBytes });
    for (let at = 0; at + entryBytes <= directory.length; at += entryBytes) {
      const length = directory.readUInt16LE(at + 64);
      if (length >= 2 && length <= 64) names.push(directory.toString('utf16le', at, at + length - 2));
    }
    const perSector = sectorBytes / 4;
    const tableIndex = Math.floor(sector / perSector);
    if (tableIndex >= headerSectors) break;
    const tableSector = head.readUInt32LE(76 + tableIndex * 4);
    if (tableSector > lastRegularSector) break;
    const at = sectorStart(tableSector) + (sector % perSector) * 4;
    const next = await readSpan(bytes, { start: at, end: at + 4 });
    if (next.length < 4) break;
    sector = next.readUInt32LE(0);
  }
  return names;
};
