/**
 * Blanks the pixels of images that lie under redactions.
 *
 * - PDFium decodes, whatever the filter and the colour space; the result is stored without loss, in grey or RGB, so pixels elsewhere keep
 *   their decoded values. Bitonal images stay bitonal.
 * - A pixel is blanked when any part of it may lie under an area; soft masks and stencil masks are blanked too, since a mask
 *   can hold a signature.
 * - The original is never changed: each use of an image gets its own copy.
 */
import { CaseboundError } from '@casebound/contract';
import { createCosFile, type CosFile } from '../cos/cos-file.ts';
import {
  array,
  type CosDict,
  type CosObject,
  type CosRef,
  type CosStream,
  dict,
  emptyDict,
  isKind,
  isName,
  name,
  withEntries,
} from '../cos/objects.ts';
import type { PdfEngine } from '../engine/create-engine.ts';
import { type DecodedImage, decodeFirstImage } from '../engine/decode-image.ts';
import { boundsOf, type Point } from '../geometry.ts';
import { polygonMeetsBox } from './areas.ts';

export interface ImageEditor {
  /** A copy of the image with the polygons (unit square, y upwards) blanked. Throws `pdf_damaged`, `pdf_too_large`. */
  redact(image: CosObject, polygons: readonly (readonly Point[])[]): CosRef;
  /** An inline image as an image XObject: abbreviations spelled out, named colour spaces looked up. */
  expandInline(dict: CosDict, data: Uint8Array, colorSpaces: CosDict | undefined): CosStream;
}

const keyNames: Readonly<Record<string, string>> = {
  BPC: 'BitsPerComponent',
  CS: 'ColorSpace',
  D: 'Decode',
  DP: 'DecodeParms',
  F: 'Filter',
  H: 'Height',
  IM: 'ImageMask',
  I: 'Interpolate',
  W: 'Width',
};
const valueNames: Readonly<Record<string, string>> = {
  G: 'DeviceGray',
  RGB: 'DeviceRGB',
  CMYK: 'DeviceCMYK',
  I: 'Indexed',
  AHx: 'ASCIIHexDecode',
  A85: 'ASCII85Decode',
  LZW: 'LZWDecode',
  Fl: 'FlateDecode',
  RL: 'RunLengthDecode',
  CCF: 'CCITTFaxDecode',
  DCT: 'DCTDecode',
};

const spellOut = (object: CosObject): CosObject => {
  if (isKind(object, 'name')) return name(valueNames[object.name] ?? object.name);
  return isKind(object, 'array') ? array(object.items.map(spellOut)) : object;
};

/** The pixels whose square may meet a polygon: for each row, spans of columns. */
export function* coveredSpans(
  polygons: readonly (readonly Point[])[],
  width: number,
  height: number,
): Generator<{ readonly row: number; readonly from: number; readonly to: number }> {
  for (const polygon of polygons) {
    // To pixel space: rows run downwards.
    const scaled = polygon.map(({ x, y }) => ({ x: x * width, y: (1 - y) * height }));
    const bounds = boundsOf(scaled);
    const first = Math.max(0, Math.floor(bounds.bottom));
    const last = Math.min(height - 1, Math.ceil(bounds.top));
    for (let row = first; row <= last; row += 1) {
      let left = Infinity;
      let right = -Infinity;
      if (!polygonMeetsBox(scaled, { left: bounds.left - 1, right: bounds.right + 1, bottom: row, top: row + 1 }))
        continue;
      scaled.forEach((to, at) => {
        const from = scaled[(at + scaled.length - 1) % scaled.length] ?? to;
        const low = Math.max(row, Math.min(from.y, to.y));
        const high = Math.min(row + 1, Math.max(from.y, to.y));
        if (low > high) return;
        for (const y of [low, high]) {
          const t = from.y === to.y ? 0 : (y - from.y) / (to.y - from.y);
          const xs = from.y === to.y ? [from.x, to.x] : [from.x + (to.x - from.x) * t];
          left = Math.min(left, ...xs);
          right = Math.max(right, ...xs);
        }
      });
      const from = Math.max(0, Math.floor(left));
      const to = Math.min(width, Math.ceil(right));
      if (to > from) yield { row, from, to };
    }
  }
}

const blank = (image: DecodedImage, polygons: readonly (readonly Point[])[], value: number): void => {
  for (const { row, from, to } of coveredSpans(polygons, image.width, image.height)) {
    const start = (row * image.width + from) * image.channels;
    image.pixels.fill(value, start, start + (to - from) * image.channels);
  }
};

/** Packs 8-bit grey of only two values, 0 and 255, into one bit a pixel; undefined when there are others. */
const packBits = ({ pixels, width, height }: DecodedImage): Uint8Array | undefined => {
  const stride = (width + 7) >> 3;
  const out = new Uint8Array(stride * height);
  for (let row = 0; row < height; row += 1)
    for (let column = 0; column < width; column += 1) {
      const value = pixels[row * width + column];
      if (value === 255) {
        const at = row * stride + (column >> 3);
        out[at] = (out[at] ?? 0) | (128 >> (column & 7));
      } else if (value !== 0) return undefined;
    }
  return out;
};

/** RGB whose channels are all equal, as grey. */
const toGrey = (image: DecodedImage): DecodedImage => {
  if (image.channels === 1) return image;
  const { pixels, width, height } = image;
  const grey = new Uint8Array(width * height);
  for (let at = 0; at < grey.length; at += 1) {
    const red = pixels[at * 3] ?? 0;
    if (red !== pixels[at * 3 + 1] || red !== pixels[at * 3 + 2]) return image;
    grey[at] = red;
  }
  return { width, height, channels: 1, pixels: grey };
};

/** Entries of an image dictionary that describe its encoding, or repeat the image elsewhere. */
const dropped: Readonly<Record<string, undefined>> = {
  Filter: undefined,
  DecodeParms: undefined,
  Decode: undefined,
  ColorSpace: undefined,
  BitsPerComponent: undefined,
  SMask: undefined,
  SMaskInData: undefined,
  Mask: undefined,
  Matte: undefined,
  Alternates: undefined,
  OPI: undefined,
  Metadata: undefined,
  PieceInfo: undefined,
  Measure: undefined,
  PtData: undefined,
  ID: undefined,
  Length: undefined,
};

export const createImageEditor = (engine: PdfEngine, file: CosFile): ImageEditor => {
  /** Copies what an image needs into a file of one page that draws it, and decodes that. */
  const decode = (image: CosStream, overrides: Readonly<Record<string, CosObject | undefined>>): DecodedImage => {
    const width = file.resolve(image.dict.entries.get('Width'));
    const height = file.resolve(image.dict.entries.get('Height'));
    if (typeof width !== 'number' || typeof height !== 'number' || width < 1 || height < 1)
      throw new CaseboundError('pdf_damaged', 'An image under a redaction has no size.');
    if (width * height > engine.limits.maxPixels)
      throw new CaseboundError(
        'pdf_too_large',
        `An image has ${width} x ${height} pixels; the limit is ${engine.limits.maxPixels}.`,
      );
    const small = createCosFile(engine.limits);
    const copies = new Map<number, CosRef>();
    const copy = (object: CosObject): CosObject => {
      if (object === null || typeof object !== 'object') return object;
      switch (object.kind) {
        case 'name':
        case 'string':
          return object;
        case 'ref': {
          const known = copies.get(object.number);
          if (known !== undefined) return known;
          const created = small.add(null);
          copies.set(object.number, created);
          small.replace(created, copy(file.resolve(object)));
          return created;
        }
        case 'array':
          return array(object.items.map(copy));
        case 'dict':
          return copyDict(object);
        case 'stream':
          return { kind: 'stream', dict: copyDict(object.dict), raw: object.raw };
      }
    };
    const copyDict = (object: CosDict): CosDict => ({
      kind: 'dict',
      entries: new Map([...object.entries].map(([key, value]) => [key, copy(value)])),
    });
    const bare = withEntries(image.dict, {
      SMask: undefined,
      Mask: undefined,
      Metadata: undefined,
      PieceInfo: undefined,
      Alternates: undefined,
      OC: undefined,
      StructParent: undefined,
      ...overrides,
    });
    const picture = small.add({ kind: 'stream', dict: copyDict(bare), raw: image.raw });
    const content = small.addStream(emptyDict, Buffer.from('1 0 0 1 0 0 cm /Im Do'));
    const pages = small.add(null);
    const page = small.add(
      dict({
        Type: name('Page'),
        Parent: pages,
        MediaBox: array([0, 0, 1, 1]),
        Resources: dict({ XObject: dict({ Im: picture }) }),
        Contents: content,
      }),
    );
    small.replace(pages, dict({ Type: name('Pages'), Kids: array([page]), Count: 1 }));
    small.replace(small.catalogRef, dict({ Type: name('Catalog'), Pages: pages }));
    return decodeFirstImage(engine, small.write(), width, height);
  };

  const encode = (
    image: DecodedImage,
    bitonal: boolean,
  ): { entries: Readonly<Record<string, CosObject>>; data: Uint8Array } => {
    const grey = toGrey(image);
    const bits = bitonal && grey.channels === 1 ? packBits(grey) : undefined;
    const entries: Record<string, CosObject> = {
      Width: image.width,
      Height: image.height,
      ColorSpace: name(grey.channels === 1 ? 'DeviceGray' : 'DeviceRGB'),
      BitsPerComponent: bits === undefined ? 8 : 1,
    };
    return { entries, data: bits ?? grey.pixels };
  };

  /** A stencil mask: samples of 1 bit that paint where they are 0 (or 1, by `Decode`). */
  const redactStencil = (image: CosStream, polygons: readonly (readonly Point[])[]): CosRef => {
    const decoded = toGrey(
      decode(image, { ImageMask: undefined, ColorSpace: name('DeviceGray'), BitsPerComponent: 1, Decode: undefined }),
    );
    const inverted = file.resolve(file.array(image.dict.entries.get('Decode'))?.items[0]) === 1;
    blank(decoded, polygons, inverted ? 0 : 255);
    const bits = packBits(decoded);
    if (bits === undefined)
      throw new CaseboundError('pdf_damaged', 'A stencil mask under a redaction has more than one bit a pixel.');
    return file.addStream(
      withEntries(image.dict, {
        ...dropped,
        ImageMask: true,
        BitsPerComponent: 1,
        Decode: array(inverted ? [1, 0] : [0, 1]),
      }),
      bits,
    );
  };

  /** Masks are other images over the same unit square: their own pixel grid. */
  const redactMasks = (
    image: CosStream,
    polygons: readonly (readonly Point[])[],
  ): Readonly<Record<string, CosObject | undefined>> => {
    const soft = file.stream(image.dict.entries.get('SMask'));
    if (soft !== undefined) {
      const decoded = toGrey(decode(soft, {}));
      blank(decoded, polygons, 255);
      const { entries, data } = encode(decoded, false);
      return { SMask: file.addStream(withEntries(soft.dict, { ...dropped, ...entries }), data) };
    }
    const mask = file.resolve(image.dict.entries.get('Mask'));
    if (isKind(mask, 'stream')) return { Mask: redactStencil(mask, polygons) };
    if (isKind(mask, 'array')) {
      // Colour-key masking depends on the original samples: keep its effect as a soft mask.
      const decoded = decodeAlpha(image, mask);
      blank(decoded, polygons, 255);
      const { entries, data } = encode(decoded, false);
      return { SMask: file.addStream(dict({ Type: name('XObject'), Subtype: name('Image'), ...entries }), data) };
    }
    return {};
  };

  /** 255 where a colour-key mask lets the image through: the indices of the samples are compared before any colour conversion. */
  const decodeAlpha = (image: CosStream, mask: CosObject): DecodedImage => {
    const bits = file.resolve(image.dict.entries.get('BitsPerComponent'));
    const width = file.resolve(image.dict.entries.get('Width'));
    const height = file.resolve(image.dict.entries.get('Height'));
    const data = file.decode(image);
    const ranges = isKind(mask, 'array') ? mask.items.map((item) => file.resolve(item)) : [];
    if (data === undefined || typeof bits !== 'number' || typeof width !== 'number' || typeof height !== 'number')
      throw new CaseboundError('pdf_damaged', 'An image with a colour-key mask cannot be decoded for redaction.');
    const components = Math.max(1, ranges.length >> 1);
    const stride = Math.ceil((width * bits * components) / 8);
    const pixels = new Uint8Array(width * height);
    const sample = (row: number, index: number): number => {
      let value = 0;
      for (let bit = index * bits; bit < (index + 1) * bits; bit += 1)
        value = (value << 1) | (((data[row * stride + (bit >> 3)] ?? 0) >> (7 - (bit & 7))) & 1);
      return value;
    };
    for (let row = 0; row < height; row += 1)
      for (let column = 0; column < width; column += 1) {
        let masked = true;
        for (let component = 0; component < components; component += 1) {
          const value = sample(row, column * components + component);
          const low = ranges[component * 2];
          const high = ranges[component * 2 + 1];
          if (typeof low !== 'number' || typeof high !== 'number' || value < low || value > high) masked = false;
        }
        pixels[row * width + column] = masked ? 0 : 255;
      }
    return { width, height, channels: 1, pixels };
  };

  return {
    redact: (object, polygons) => {
      const image = file.stream(object);
      if (image === undefined) throw new CaseboundError('pdf_damaged', 'An image under a redaction is missing.');
      if (file.resolve(image.dict.entries.get('ImageMask')) === true) return redactStencil(image, polygons);
      const ownMask = file.resolve(image.dict.entries.get('SMaskInData'));
      if (typeof ownMask === 'number' && ownMask > 0)
        throw new CaseboundError(
          'pdf_damaged',
          'A JPEG 2000 image with transparency of its own lies under a redaction; such images cannot be rewritten.',
        );
      const decoded = decode(image, {});
      blank(decoded, polygons, 0);
      const bitonal = file.resolve(image.dict.entries.get('BitsPerComponent')) === 1 || isJbigOrFax(file, image);
      const { entries, data } = encode(decoded, bitonal);
      const masks = redactMasks(image, polygons);
      return file.addStream(withEntries(image.dict, { ...dropped, ...entries, ...masks }), data);
    },
    expandInline: (source, data, colorSpaces) => {
      const entries = new Map<string, CosObject>([
        ['Type', name('XObject')],
        ['Subtype', name('Image')],
      ]);
      for (const [key, value] of source.entries) {
        const long = keyNames[key] ?? key;
        const named = long === 'ColorSpace' && isKind(value, 'name') ? colorSpaces?.entries.get(value.name) : undefined;
        entries.set(long, named ?? (long === 'Decode' || long === 'DecodeParms' ? value : spellOut(value)));
      }
      return { kind: 'stream', dict: { kind: 'dict', entries }, raw: data };
    },
  };
};

const isJbigOrFax = (file: CosFile, image: CosStream): boolean => {
  const filter = file.resolve(image.dict.entries.get('Filter'));
  const last = isKind(filter, 'array') ? file.resolve(filter.items.at(-1)) : filter;
  return isName(last, 'JBIG2Decode') || isName(last, 'CCITTFaxDecode');
};
