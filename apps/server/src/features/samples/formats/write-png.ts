/** PNG (ISO/IEC 15948): page bitmaps of one bit, small pictures of three bytes a pixel. */
import { crc32, deflateSync } from 'node:zlib';
import { DPI, type PageBitmap } from './draw-page.ts';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const GREY = 0;
const RGB = 2;

const chunk = (type: string, data: Uint8Array): Buffer => {
  const out = Buffer.alloc(12 + data.length);
  out.writeUInt32BE(data.length, 0);
  out.write(type, 4, 'latin1');
  out.set(data, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
  return out;
};

/** `rows` are packed samples, `stride` bytes each. */
const encode = (
  rows: Uint8Array,
  stride: number,
  size: { readonly width: number; readonly height: number; readonly depth: number; readonly color: number },
): Buffer => {
  // Each row starts with its filter; 0 is none.
  const filtered = Buffer.alloc(size.height * (stride + 1));
  for (let row = 0; row < size.height; row += 1)
    filtered.set(rows.subarray(row * stride, (row + 1) * stride), row * (stride + 1) + 1);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size.width, 0);
  header.writeUInt32BE(size.height, 4);
  header.set([size.depth, size.color, 0, 0, 0], 8);
  const density = Buffer.alloc(9);
  const perMetre = Math.round(DPI / 0.0254);
  density.writeUInt32BE(perMetre, 0);
  density.writeUInt32BE(perMetre, 4);
  density[8] = 1;
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('pHYs', density),
    chunk('IDAT', deflateSync(filtered, { level: 3 })),
    chunk('IEND', new Uint8Array(0)),
  ]);
};

export const writePng = ({ width, height, bits }: PageBitmap): Buffer =>
  encode(bits, (width + 7) >> 3, { width, height, depth: 1, color: GREY });

/** A square of `size` pixels; `colorAt` gives red, green and blue. */
export const writePicture = (size: number, colorAt: (x: number, y: number) => readonly number[]): Buffer => {
  const rows = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y += 1) for (let x = 0; x < size; x += 1) rows.set(colorAt(x, y), (y * size + x) * 3);
  return encode(rows, size * 3, { width: size, height: size, depth: 8, color: RGB });
};
