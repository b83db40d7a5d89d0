/** TIFF 6.0 of one-bit pages in Group 4, one strip each: what productions have. */
import { DPI, type PageBitmap } from './draw-page.ts';
import { encodeFax } from './encode-fax.ts';

const SHORT = 3;
const LONG = 4;
const RATIONAL = 5;
const GROUP_4 = 4;
const WHITE_IS_ZERO = 0;
const INCHES = 2;

type Entry = readonly [tag: number, type: number, value: number];

/** A file of all pages, in order. */
export const writeTiff = (pages: readonly PageBitmap[]): Buffer => {
  const header = Buffer.alloc(16);
  header.write('II', 0, 'latin1');
  header.writeUInt16LE(42, 2);
  // The resolution of all pages, as a fraction.
  header.writeUInt32LE(DPI, 8);
  header.writeUInt32LE(1, 12);
  const parts: Buffer[] = [header];
  let offset = header.length;
  let link = { buffer: header, at: 4 };
  for (const page of pages) {
    const { width, height } = page;
    const data = encodeFax(page);
    const strip = Buffer.concat([data, Buffer.alloc(data.length % 2)]);
    const entries: readonly Entry[] = [
      [256, LONG, width],
      [257, LONG, height],
      [258, SHORT, 1],
      [259, SHORT, GROUP_4],
      [262, SHORT, WHITE_IS_ZERO],
      [273, LONG, offset],
      [277, SHORT, 1],
      [278, LONG, height],
      [279, LONG, data.length],
      [282, RATIONAL, 8],
      [283, RATIONAL, 8],
      [296, SHORT, INCHES],
    ];
    const directory = Buffer.alloc(2 + entries.length * 12 + 4);
    directory.writeUInt16LE(entries.length, 0);
    entries.forEach(([tag, type, value], index) => {
      const at = 2 + index * 12;
      directory.writeUInt16LE(tag, at);
      directory.writeUInt16LE(type, at + 2);
      directory.writeUInt32LE(1, at + 4);
      if (type === SHORT) directory.writeUInt16LE(value, at + 8);
      else directory.writeUInt32LE(value, at + 8);
    });
    link.buffer.writeUInt32LE(offset + strip.length, link.at);
    link = { buffer: directory, at: directory.length - 4 };
    parts.push(strip, directory);
    offset += strip.length + directory.length;
  }
  return Buffer.concat(parts);
};
