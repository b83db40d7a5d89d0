/** PNG (ISO/IEC 15948) from pixels, deflated by Node's own zlib: 8-bit grey or RGB, each row with the `Up` filter. */
import { crc32, deflateSync } from 'node:zlib';

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const UP_FILTER = 2;
/** A third of the time of the usual 6, for pictures a tenth larger. */
const DEFLATE_LEVEL = 3;

const chunk = (type: string, data: Uint8Array): Uint8Array => {
  const out = Buffer.alloc(12 + data.length);
  out.writeUInt32BE(data.length, 0);
  out.write(type, 4, 'latin1');
  out.set(data, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
  return out;
};

/** Encodes `height` rows of `width` pixels with `channels` bytes each (1 grey, 3 RGB). `dpi` goes into the pHYs chunk. */
export const encodePng = (
  pixels: Uint8Array,
  width: number,
  height: number,
  channels: 1 | 3,
  dpi: number,
): Uint8Array => {
  const stride = width * channels;
  const filtered = Buffer.alloc(height * (stride + 1));
  for (let row = 0; row < height; row += 1) {
    const target = row * (stride + 1);
    const source = row * stride;
    filtered[target] = UP_FILTER;
    if (row === 0) filtered.set(pixels.subarray(0, stride), 1);
    else
      for (let at = 0; at < stride; at += 1)
        filtered[target + 1 + at] = ((pixels[source + at] ?? 0) - (pixels[source - stride + at] ?? 0)) & 255;
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, channels === 1 ? 0 : 2, 0, 0, 0], 8);
  const density = Buffer.alloc(9);
  const perMetre = Math.round(dpi / 0.0254);
  density.writeUInt32BE(perMetre, 0);
  density.writeUInt32BE(perMetre, 4);
  density[8] = 1;
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('pHYs', density),
    chunk('IDAT', deflateSync(filtered, { level: DEFLATE_LEVEL })),
    chunk('IEND', new Uint8Array(0)),
  ]);
};
