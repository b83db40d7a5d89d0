/**
 * Images as image XObjects. JPEG is embedded as it is; PNG and TIFF are decoded and stored without loss, bitonal pages with one bit a pixel.
 */
import { CaseboundError } from '@casebound/contract';
import { decode as decodePng } from 'fast-png';
import UTIF from 'utif2';
import type { CosFile } from '../cos/cos-file.ts';
import { array, type CosObject, type CosRef, dict, name, withEntries } from '../cos/objects.ts';

export interface EmbeddedImage {
  readonly ref: CosRef;
  readonly width: number;
  readonly height: number;
  /** Dots per inch as the file states them; undefined when it does not. */
  readonly dpiX: number | undefined;
  readonly dpiY: number | undefined;
}

export type ImageFormat = 'png' | 'jpeg' | 'tiff';

/** The format by the first bytes; undefined when it is none of the three. */
export const detectImage = (bytes: Uint8Array): ImageFormat | undefined => {
  const [a, b, c, d] = bytes;
  if (a === 0x89 && b === 0x50 && c === 0x4e && d === 0x47) return 'png';
  if (a === 0xff && b === 0xd8 && c === 0xff) return 'jpeg';
  if ((a === 0x49 && b === 0x49 && c === 42 && d === 0) || (a === 0x4d && b === 0x4d && c === 0 && d === 42))
    return 'tiff';
  return undefined;
};

const unreadable = (detail: string, cause?: unknown): CaseboundError =>
  new CaseboundError('image_unreadable', detail, { cause });

const checkSize = (file: CosFile, width: number, height: number): void => {
  if (!(width > 0 && height > 0)) throw unreadable('The image has no size.');
  if (width * height > file.limits.maxPixels)
    throw new CaseboundError(
      'pdf_too_large',
      `The image has ${width} x ${height} pixels; the limit is ${file.limits.maxPixels}.`,
    );
};

const imageDict = (width: number, height: number, space: CosObject, bits: number): ReturnType<typeof dict> =>
  dict({
    Type: name('XObject'),
    Subtype: name('Image'),
    Width: width,
    Height: height,
    ColorSpace: space,
    BitsPerComponent: bits,
  });

/** Stores RGBA samples in the smallest form that keeps them: bitonal, grey or RGB, with a soft mask where they are transparent. */
const embedRgba = (file: CosFile, rgba: Uint8Array, width: number, height: number): CosRef => {
  const count = width * height;
  let grey = true;
  let bitonal = true;
  let opaque = true;
  for (let at = 0; at < count; at += 1) {
    const red = rgba[at * 4] ?? 0;
    if (red !== rgba[at * 4 + 1] || red !== rgba[at * 4 + 2]) grey = false;
    if (red !== 0 && red !== 255) bitonal = false;
    if (rgba[at * 4 + 3] !== 255) opaque = false;
  }
  let mask: CosRef | undefined;
  if (!opaque) {
    const alpha = new Uint8Array(count);
    for (let at = 0; at < count; at += 1) alpha[at] = rgba[at * 4 + 3] ?? 255;
    mask = file.addStream(imageDict(width, height, name('DeviceGray'), 8), alpha);
  }
  if (grey && bitonal) {
    const stride = (width + 7) >> 3;
    const bits = new Uint8Array(stride * height);
    for (let row = 0; row < height; row += 1)
      for (let column = 0; column < width; column += 1)
        if (rgba[(row * width + column) * 4] === 255) {
          const at = row * stride + (column >> 3);
          bits[at] = (bits[at] ?? 0) | (128 >> (column & 7));
        }
    return file.addStream(
      withEntries(imageDict(width, height, name('DeviceGray'), 1), mask === undefined ? {} : { SMask: mask }),
      bits,
    );
  }
  const channels = grey ? 1 : 3;
  const samples = new Uint8Array(count * channels);
  for (let at = 0; at < count; at += 1)
    for (let channel = 0; channel < channels; channel += 1)
      samples[at * channels + channel] = rgba[at * 4 + channel] ?? 0;
  return file.addStream(
    withEntries(
      imageDict(width, height, name(grey ? 'DeviceGray' : 'DeviceRGB'), 8),
      mask === undefined ? {} : { SMask: mask },
    ),
    samples,
  );
};

interface JpegInfo {
  readonly width: number;
  readonly height: number;
  readonly components: number;
  readonly inverted: boolean;
  readonly orientation: number;
  readonly dpi: number | undefined;
}

/** EXIF orientation (tag 0x0112) of an APP1 segment, 1 when there is none. */
const readOrientation = (segment: Buffer): number => {
  if (segment.toString('latin1', 0, 6) !== 'Exif\0\0' || segment.length < 14) return 1;
  const tiff = segment.subarray(6);
  const little = tiff.toString('latin1', 0, 2) === 'II';
  const u16 = (at: number): number =>
    at + 2 > tiff.length ? 0 : little ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at);
  const offset = little ? tiff.readUInt32LE(4) : tiff.readUInt32BE(4);
  const count = u16(offset);
  for (let index = 0; index < Math.min(count, 64); index += 1) {
    const entry = offset + 2 + index * 12;
    if (u16(entry) === 0x0112) return u16(entry + 8);
  }
  return 1;
};

/** Size and kind from the markers of a JPEG (ISO/IEC 10918-1, Annex B). */
const readJpeg = (bytes: Uint8Array): JpegInfo => {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 2;
  let inverted = false;
  let orientation = 1;
  let dpi: number | undefined;
  while (at + 4 <= data.length) {
    if (data[at] !== 0xff) {
      at += 1;
      continue;
    }
    const marker = data[at + 1] ?? 0;
    if (marker === 0xff || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += marker === 0xff ? 1 : 2;
      continue;
    }
    const length = data.readUInt16BE(at + 2);
    const segment = data.subarray(at + 4, at + 2 + length);
    if (marker === 0xe0 && segment.toString('latin1', 0, 4) === 'JFIF' && segment.length >= 12) {
      const density = segment.readUInt16BE(8);
      if (density > 1) dpi = segment[7] === 1 ? density : segment[7] === 2 ? density * 2.54 : undefined;
    }
    if (marker === 0xe1) orientation = readOrientation(segment);
    if (marker === 0xee && segment.toString('latin1', 0, 5) === 'Adobe') inverted = true;
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      if (segment.length < 6) break;
      return {
        height: segment.readUInt16BE(1),
        width: segment.readUInt16BE(3),
        components: segment[5] ?? 3,
        inverted,
        orientation,
        dpi,
      };
    }
    if (marker === 0xda || length < 2) break;
    at += 2 + length;
  }
  throw unreadable('The JPEG has no frame header: it is truncated or damaged.');
};

const embedJpeg = (file: CosFile, bytes: Uint8Array): EmbeddedImage & { readonly orientation: number } => {
  const info = readJpeg(bytes);
  checkSize(file, info.width, info.height);
  const space = info.components === 1 ? 'DeviceGray' : info.components === 4 ? 'DeviceCMYK' : 'DeviceRGB';
  const base = imageDict(info.width, info.height, name(space), 8);
  const decode = info.components === 4 && info.inverted ? array([1, 0, 1, 0, 1, 0, 1, 0]) : undefined;
  const ref = file.add({
    kind: 'stream',
    dict: withEntries(base, { Filter: name('DCTDecode'), Decode: decode }),
    raw: bytes,
  });
  return { ref, width: info.width, height: info.height, dpiX: info.dpi, dpiY: info.dpi, orientation: info.orientation };
};

const embedPng = (file: CosFile, bytes: Uint8Array): EmbeddedImage => {
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (header.length < 33) throw unreadable('The PNG is truncated.');
  checkSize(file, header.readUInt32BE(16), header.readUInt32BE(20));
  let png: ReturnType<typeof decodePng>;
  try {
    png = decodePng(bytes, { checkCrc: true });
  } catch (error) {
    throw unreadable('The PNG cannot be decoded: it is truncated or damaged.', error);
  }
  const { width, height, channels, depth, data, palette } = png;
  const rgba = new Uint8Array(width * height * 4);
  const max = depth === 16 ? 257 : 255 / (2 ** Math.min(depth, 8) - 1);
  const packed = depth < 8;
  const stride = Math.ceil((width * depth * channels) / 8);
  const sample = (row: number, index: number): number => {
    if (!packed) return data[row * width * channels + index] ?? 0;
    const bit = index * depth;
    return ((data[row * stride + (bit >> 3)] ?? 0) >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
  };
  for (let row = 0; row < height; row += 1)
    for (let column = 0; column < width; column += 1) {
      const target = (row * width + column) * 4;
      const at = column * channels;
      if (palette !== undefined) {
        const [red = 0, green = 0, blue = 0, alpha = 255] = palette[sample(row, at)] ?? [];
        rgba.set([red, green, blue, alpha], target);
        continue;
      }
      const scaled = (index: number): number =>
        Math.round(depth === 16 ? sample(row, index) / max : sample(row, index) * max);
      const colour = channels < 3 ? [scaled(at), scaled(at), scaled(at)] : [scaled(at), scaled(at + 1), scaled(at + 2)];
      rgba.set([...colour, channels === 2 ? scaled(at + 1) : channels === 4 ? scaled(at + 3) : 255], target);
    }
  const metres = png.resolution?.unit === 1 ? png.resolution : undefined;
  return {
    ref: embedRgba(file, rgba, width, height),
    width,
    height,
    dpiX: metres === undefined ? undefined : metres.x * 0.0254,
    dpiY: metres === undefined ? undefined : metres.y * 0.0254,
  };
};

/** The first value of a tag; rationals come as pairs. */
const firstNumber = (value: unknown): number | undefined => {
  const first: unknown = Array.isArray(value) ? value[0] : undefined;
  if (typeof first === 'number') return first;
  if (!Array.isArray(first)) return undefined;
  const [over, under]: unknown[] = first;
  return typeof over === 'number' && typeof under === 'number' && under !== 0 ? over / under : undefined;
};

/** A page of one strip in Group 4 goes into the PDF as it is: both formats have the coding of ITU-T T.6. */
const passFax = (
  file: CosFile,
  bytes: Uint8Array,
  page: Readonly<Record<string, unknown>>,
  width: number,
  height: number,
): CosRef | undefined => {
  const [offset, length] = [firstNumber(page['t273']), firstNumber(page['t279'])];
  const strips = page['t273'];
  const plain = (firstNumber(page['t266']) ?? 1) === 1 && Array.isArray(strips) && strips.length === 1;
  if (firstNumber(page['t259']) !== 4 || !plain || offset === undefined || length === undefined) return undefined;
  if (offset + length > bytes.length) throw unreadable('The TIFF is truncated.');
  const parameters = dict({ K: -1, Columns: width, Rows: height, BlackIs1: firstNumber(page['t262']) === 1 });
  return file.add({
    kind: 'stream',
    dict: withEntries(imageDict(width, height, name('DeviceGray'), 1), {
      Filter: name('CCITTFaxDecode'),
      DecodeParms: parameters,
    }),
    raw: bytes.subarray(offset, offset + length),
  });
};

const embedTiff = (file: CosFile, bytes: Uint8Array): readonly (EmbeddedImage & { readonly orientation: number })[] => {
  let pages: ReturnType<typeof UTIF.decode>;
  const buffer = Uint8Array.from(bytes).buffer;
  try {
    pages = UTIF.decode(buffer);
  } catch (error) {
    throw unreadable('The TIFF has no readable directory: it is truncated or damaged.', error);
  }
  if (pages.length === 0) throw unreadable('The TIFF has no pages.');
  if (pages.length > file.limits.maxPages)
    throw new CaseboundError('pdf_too_large', `The TIFF has ${pages.length} pages.`);
  return pages.map((page, at) => {
    const width = firstNumber(page['t256']) ?? 0;
    const height = firstNumber(page['t257']) ?? 0;
    checkSize(file, width, height);
    const fax = passFax(file, bytes, page, width, height);
    let rgba: Uint8Array | undefined;
    try {
      if (fax === undefined) UTIF.decodeImage(buffer, page);
      rgba = fax === undefined ? UTIF.toRGBA8(page) : undefined;
    } catch (error) {
      throw unreadable(`Page ${at + 1} of the TIFF cannot be decoded.`, error);
    }
    if (rgba !== undefined && rgba.length < width * height * 4)
      throw unreadable(`Page ${at + 1} of the TIFF is truncated.`);
    const unit = firstNumber(page['t296']) ?? 2;
    const scale = unit === 3 ? 2.54 : unit === 2 ? 1 : Number.NaN;
    const dpi = (tag: 't282' | 't283'): number | undefined => {
      const value = (firstNumber(page[tag]) ?? Number.NaN) * scale;
      return value > 1 ? value : undefined;
    };
    return {
      ref: fax ?? embedRgba(file, rgba ?? new Uint8Array(0), width, height),
      width,
      height,
      dpiX: dpi('t282'),
      dpiY: dpi('t283'),
      orientation: firstNumber(page['t274']) ?? 1,
    };
  });
};

/** Embeds all pages of an image file. `orientation` is that of EXIF and TIFF: 1 upright, 3, 6, 8 turned. Throws `image_unreadable`, `pdf_too_large`. */
export const embedImage = (
  file: CosFile,
  bytes: Uint8Array,
): readonly (EmbeddedImage & { readonly orientation: number })[] => {
  switch (detectImage(bytes)) {
    case 'png':
      return [{ ...embedPng(file, bytes), orientation: 1 }];
    case 'jpeg':
      return [embedJpeg(file, bytes)];
    case 'tiff':
      return embedTiff(file, bytes);
    case undefined:
      throw unreadable('The file is neither PNG, JPEG nor TIFF.');
  }
};
