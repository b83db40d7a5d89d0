/**
 * Decodes streams by the lossless filters (ISO 32000-2, 7.4). Image codecs (DCT, JPX, CCITT, JBIG2) are PDFium's work.
 *
 * - Output is bounded; a bomb fails with `pdf_too_large`.
 */
import { CaseboundError } from '@casebound/contract';
import { constants, inflateRawSync, inflateSync } from 'node:zlib';
import { type CosDict, type CosObject, isKind } from './objects.ts';

const tooLarge = (limit: number): CaseboundError =>
  new CaseboundError('pdf_too_large', `A stream unpacks to more than ${limit} bytes.`);

const inflate = (data: Uint8Array, limit: number): Uint8Array => {
  const options = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: limit };
  try {
    return inflateSync(data, options);
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge(limit);
    try {
      // A wrong header or checksum: the deflate data itself may be sound.
      return inflateRawSync(data.subarray(2), options);
    } catch (second) {
      if (second instanceof RangeError) throw tooLarge(limit);
      throw new CaseboundError('pdf_damaged', 'A compressed stream is broken.', { cause: second });
    }
  }
};

/** Collects bytes up to a limit. */
class ByteSink {
  #bytes = new Uint8Array(4096);
  #length = 0;
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  push(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#length] = byte;
    this.#length += 1;
  }

  append(source: Uint8Array): void {
    this.#reserve(source.length);
    this.#bytes.set(source, this.#length);
    this.#length += source.length;
  }

  #reserve(count: number): void {
    const wanted = this.#length + count;
    if (wanted > this.#limit) throw tooLarge(this.#limit);
    if (wanted <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(wanted, this.#bytes.length * 2));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

const asciiHex = (data: Uint8Array): Uint8Array => {
  const text = Buffer.from(data).toString('latin1').split('>', 1)[0] ?? '';
  const digits = text.replaceAll(/[^0-9A-Fa-f]/g, '');
  return Buffer.from(digits.length % 2 === 0 ? digits : `${digits}0`, 'hex');
};

const ascii85 = (data: Uint8Array, limit: number): Uint8Array => {
  const sink = new ByteSink(limit);
  let group: number[] = [];
  const flush = (): void => {
    if (group.length < 2) return;
    const bytes = group.length - 1;
    while (group.length < 5) group.push(84);
    const value = group.reduce((sum, digit) => sum * 85 + digit, 0);
    for (let at = 0; at < bytes; at += 1) sink.push(Math.floor(value / 256 ** (3 - at)) & 255);
    group = [];
  };
  for (const code of data) {
    if (code === 126) break;
    if (code === 122 && group.length === 0) sink.append(new Uint8Array(4));
    else if (code >= 33 && code <= 117) {
      group.push(code - 33);
      if (group.length === 5) flush();
    }
  }
  flush();
  return sink.finish();
};

const runLength = (data: Uint8Array, limit: number): Uint8Array => {
  const sink = new ByteSink(limit);
  let at = 0;
  while (at < data.length) {
    const length = data[at] ?? 128;
    if (length === 128) break;
    if (length < 128) {
      sink.append(data.subarray(at + 1, at + 2 + length));
      at += 2 + length;
    } else {
      sink.append(new Uint8Array(257 - length).fill(data[at + 1] ?? 0));
      at += 2;
    }
  }
  return sink.finish();
};

/** LZW with variable code length, 9 to 12 bits, as TIFF 6.0 and PDF define it. */
const lzw = (data: Uint8Array, early: number, limit: number): Uint8Array => {
  const sink = new ByteSink(limit);
  let entries: Uint8Array[] = [];
  const reset = (): void => {
    entries = Array.from({ length: 258 }, (_, code) => (code < 256 ? Uint8Array.of(code) : new Uint8Array(0)));
  };
  reset();
  let width = 9;
  let buffer = 0;
  let bits = 0;
  let previous: Uint8Array | undefined;
  for (const byte of data) {
    buffer = ((buffer << 8) | byte) & 0xffffff;
    bits += 8;
    if (bits < width) continue;
    bits -= width;
    const code = (buffer >> bits) & ((1 << width) - 1);
    if (code === 257) break;
    if (code === 256) {
      reset();
      width = 9;
      previous = undefined;
      continue;
    }
    let entry = entries[code];
    if (entry === undefined) {
      if (previous === undefined) break;
      entry = Uint8Array.from([...previous, previous[0] ?? 0]);
    }
    sink.append(entry);
    if (previous !== undefined && entries.length < 4096) {
      const grown = new Uint8Array(previous.length + 1);
      grown.set(previous);
      grown[previous.length] = entry[0] ?? 0;
      entries.push(grown);
    }
    const size = entries.length + early;
    width = size >= 2048 ? 12 : size >= 1024 ? 11 : size >= 512 ? 10 : 9;
    previous = entry;
  }
  return sink.finish();
};

const integer = (parameters: CosDict | undefined, key: string, fallback: number): number => {
  const value = parameters?.entries.get(key);
  return typeof value === 'number' && Number.isInteger(value) ? value : fallback;
};

const paeth = (left: number, up: number, upLeft: number): number => {
  const estimate = left + up - upLeft;
  const [toLeft, toUp, toUpLeft] = [Math.abs(estimate - left), Math.abs(estimate - up), Math.abs(estimate - upLeft)];
  if (toLeft <= toUp && toLeft <= toUpLeft) return left;
  return toUp <= toUpLeft ? up : upLeft;
};

/** Undoes the predictors of Flate and LZW (7.4.4.4). */
const unpredict = (data: Uint8Array, parameters: CosDict | undefined): Uint8Array => {
  const predictor = integer(parameters, 'Predictor', 1);
  if (predictor < 2) return data;
  const colors = Math.min(Math.max(integer(parameters, 'Colors', 1), 1), 64);
  const bits = integer(parameters, 'BitsPerComponent', 8);
  const columns = Math.max(integer(parameters, 'Columns', 1), 1);
  const pixel = Math.max(1, (colors * bits) >> 3);
  const stride = Math.ceil((colors * bits * columns) / 8);
  if (predictor === 2) {
    if (bits !== 8) return data;
    const out = Uint8Array.from(data);
    for (let row = 0; row + stride <= out.length; row += stride)
      for (let at = row + colors; at < row + stride; at += 1)
        out[at] = ((out[at] ?? 0) + (out[at - colors] ?? 0)) & 255;
    return out;
  }
  const rows = Math.ceil(data.length / (stride + 1));
  const out = new Uint8Array(rows * stride);
  for (let row = 0; row < rows; row += 1) {
    const type = data[row * (stride + 1)] ?? 0;
    const source = row * (stride + 1) + 1;
    const target = row * stride;
    for (let at = 0; at < stride; at += 1) {
      const left = at >= pixel ? (out[target + at - pixel] ?? 0) : 0;
      const up = row > 0 ? (out[target + at - stride] ?? 0) : 0;
      const upLeft = row > 0 && at >= pixel ? (out[target + at - stride - pixel] ?? 0) : 0;
      const guess =
        type === 1 ? left : type === 2 ? up : type === 3 ? (left + up) >> 1 : type === 4 ? paeth(left, up, upLeft) : 0;
      out[target + at] = ((data[source + at] ?? 0) + guess) & 255;
    }
  }
  return out;
};

const longNames: Readonly<Record<string, string>> = {
  A85: 'ASCII85Decode',
  AHx: 'ASCIIHexDecode',
  CCF: 'CCITTFaxDecode',
  DCT: 'DCTDecode',
  Fl: 'FlateDecode',
  LZW: 'LZWDecode',
  RL: 'RunLengthDecode',
};

export interface StreamFilter {
  readonly filter: string;
  readonly parameters: CosDict | undefined;
}

/** The filters of a stream, outermost first, with inline-image abbreviations spelled out. */
export const listFilters = (
  dict: CosDict,
  resolve: (object: CosObject | undefined) => CosObject,
): readonly StreamFilter[] => {
  const filter = resolve(dict.entries.get('Filter') ?? dict.entries.get('F'));
  const parameters = resolve(dict.entries.get('DecodeParms') ?? dict.entries.get('DP'));
  const filters = isKind(filter, 'array') ? filter.items.map(resolve) : [filter];
  const all = isKind(parameters, 'array') ? parameters.items.map(resolve) : [parameters];
  return filters.flatMap((one, at) => {
    if (!isKind(one, 'name')) return [];
    const own = all[at];
    const resolved = isKind(own, 'dict')
      ? { kind: 'dict' as const, entries: new Map([...own.entries].map(([key, value]) => [key, resolve(value)])) }
      : undefined;
    return [{ filter: longNames[one.name] ?? one.name, parameters: resolved }];
  });
};

/** The decoded bytes, or undefined when a filter is an image codec or unknown. */
export const decodeBytes = (
  raw: Uint8Array,
  filters: readonly StreamFilter[],
  limit: number,
): Uint8Array | undefined => {
  let data = raw;
  for (const { filter, parameters } of filters) {
    switch (filter) {
      case 'FlateDecode':
        data = unpredict(inflate(data, limit), parameters);
        break;
      case 'LZWDecode':
        data = unpredict(lzw(data, integer(parameters, 'EarlyChange', 1) === 0 ? 0 : 1, limit), parameters);
        break;
      case 'ASCII85Decode':
        data = ascii85(data, limit);
        break;
      case 'ASCIIHexDecode':
        data = asciiHex(data);
        break;
      case 'RunLengthDecode':
        data = runLength(data, limit);
        break;
      case 'Crypt':
        break;
      default:
        return undefined;
    }
  }
  return data;
};
