/**
 * Which encoding a load file is in, from its first bytes.
 *
 * A mark (BOM) decides. Without one, zero bytes at every second place mean UTF-16; everything else is read as strict UTF-8
 * that falls back to Windows-1252 by line (see decode-text.ts), because exports of older tools carry no mark.
 */
import { CaseboundError } from '@casebound/contract';

/** The encodings that are detected and written. Reading also takes any label of the WHATWG Encoding Standard. */
export type LoadFileEncoding = 'utf-8' | 'utf-16le' | 'utf-16be' | 'windows-1252';

export interface EncodingGuess {
  /** `utf-8` may turn into `windows-1252` when a byte says so; only if `fixed` is false. */
  readonly encoding: string;
  /** True when a mark or the caller decided. */
  readonly fixed: boolean;
  readonly bomBytes: number;
  /** The bytes are no text. */
  readonly binary: boolean;
  readonly reason: string;
}

const bomOf = (bytes: Uint8Array): { readonly encoding: LoadFileEncoding; readonly length: number } | undefined => {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return { encoding: 'utf-8', length: 3 };
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return { encoding: 'utf-16le', length: 2 };
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return { encoding: 'utf-16be', length: 2 };
  return undefined;
};

/** Starts of files that are taken for load files by mistake: zip and Office, PDF, compound file, PNG, GIF, JPEG, TIFF, gzip. */
const binaryMagics: readonly (readonly number[])[] = [
  [0x50, 0x4b, 0x03, 0x04],
  [0x25, 0x50, 0x44, 0x46, 0x2d],
  [0xd0, 0xcf, 0x11, 0xe0],
  [0x89, 0x50, 0x4e, 0x47],
  [0x47, 0x49, 0x46, 0x38],
  [0xff, 0xd8, 0xff],
  [0x49, 0x49, 0x2a, 0x00],
  [0x4d, 0x4d, 0x00, 0x2a],
  [0x1f, 0x8b, 0x08],
];

const utf16Without = (bytes: Uint8Array): 'utf-16le' | 'utf-16be' | undefined => {
  const units = Math.floor(bytes.length / 2);
  if (units < 4) return undefined;
  let even = 0;
  let odd = 0;
  for (let unit = 0; unit < units; unit++) {
    if (bytes[2 * unit] === 0) even++;
    if (bytes[2 * unit + 1] === 0) odd++;
  }
  if (odd >= units / 4 && even <= odd / 10) return 'utf-16le';
  if (even >= units / 4 && odd <= even / 10) return 'utf-16be';
  return undefined;
};

/** Tab, line feed, vertical tab, form feed, carriage return; DC4 and its neighbours as delimiters; Ctrl-Z, escape. */
const isOrdinaryControl = (byte: number): boolean =>
  (byte >= 0x09 && byte <= 0x0d) || (byte >= 0x11 && byte <= 0x14) || (byte >= 0x1a && byte <= 0x1f);

const looksBinary = (bytes: Uint8Array): boolean => {
  if (binaryMagics.some((magic) => magic.every((byte, index) => bytes[index] === byte))) return true;
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  let odd = 0;
  for (let index = 0; index < end; index++) {
    const byte = bytes[index] ?? 0;
    if (byte < 0x20 && !isOrdinaryControl(byte)) odd++;
  }
  return odd > 8 && odd > end / 20;
};

/** Decides on the first bytes of a file. `stated` is a label by which the caller overrides everything but the mark's length. */
export const sniffEncoding = (bytes: Uint8Array, stated?: string): EncodingGuess => {
  const bom = bomOf(bytes);
  if (stated !== undefined) {
    const encoding = encodingOfLabel(stated);
    const bomBytes = bom !== undefined && bom.encoding === encoding ? bom.length : 0;
    return { encoding, fixed: true, bomBytes, binary: false, reason: `stated as ${encoding}` };
  }
  if (bom !== undefined) {
    const reason = `starts with the byte-order mark of ${bom.encoding}`;
    return { encoding: bom.encoding, fixed: true, bomBytes: bom.length, binary: false, reason };
  }
  const utf16 = utf16Without(bytes.subarray(0, 65_536));
  if (utf16 !== undefined) {
    const reason = `zero bytes at every second place, as in ${utf16} without a byte-order mark`;
    return { encoding: utf16, fixed: false, bomBytes: 0, binary: false, reason };
  }
  return {
    encoding: 'utf-8',
    fixed: false,
    bomBytes: 0,
    binary: looksBinary(bytes.subarray(0, 65_536)),
    reason: 'no byte-order mark',
  };
};

/** The canonical name of an encoding label. @throws CaseboundError `validation_failed` for a label that is not known. */
export const encodingOfLabel = (label: string): string => {
  try {
    return new TextDecoder(label).encoding;
  } catch {
    throw new CaseboundError(
      'validation_failed',
      `The encoding ${JSON.stringify(label)} is not known; use a label such as utf-8, utf-16le, windows-1252 or shift_jis.`,
    );
  }
};
