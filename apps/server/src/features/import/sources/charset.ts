/**
 * Bytes as text. What a file or message states is tried first; where it does not hold, or nothing is stated, the bytes
 * decide: byte-order mark, UTF-8 when valid, UTF-16 without a mark when every other byte says so, else Windows-1252.
 */
import { isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';

export interface DecodedBytes {
  readonly text: string;
  /** The encoding that was used, as the WHATWG standard names it. */
  readonly charset: string;
  /** `unknown`: the stated one is none we know; `mismatch`: the bytes are not in it; null when all is well. */
  readonly flaw: 'unknown' | 'mismatch' | null;
}

/** Labels of mail that the WHATWG standard lacks. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['cp1252', 'windows-1252'],
  ['ansi', 'windows-1252'],
  ['cp932', 'shift_jis'],
  ['cp936', 'gbk'],
  ['cp949', 'euc-kr'],
  ['cp950', 'big5'],
  ['unicode-1-1-utf-8', 'utf-8'],
  ['utf8mb4', 'utf-8'],
  ['unknown-8bit', 'windows-1252'],
  ['default', 'windows-1252'],
  ['iso-8859-8-i', 'iso-8859-8'],
]);

const labelOf = (charset: string): string => {
  const label = charset
    .trim()
    .toLowerCase()
    .replaceAll(/^["']|["']$/gu, '');
  const windows = /^(?:cp|windows|x-cp)-?(125\d|874)$/u.exec(label);
  return aliases.get(label) ?? (windows === null ? label : `windows-${windows[1]}`);
};

const decoderOf = (charset: string, fatal: boolean): TextDecoder | undefined => {
  try {
    return new TextDecoder(labelOf(charset), { fatal });
  } catch {
    return undefined;
  }
};

export const isKnownCharset = (charset: string): boolean => decoderOf(charset, false) !== undefined;

/** The label of a Windows code page, as Outlook numbers them. */
export const charsetOfCodePage = (codePage: number): string => {
  if (codePage === 65001) return 'utf-8';
  if (codePage === 1200) return 'utf-16le';
  if (codePage === 20127) return 'us-ascii';
  if (codePage >= 28591 && codePage <= 28606) return `iso-8859-${codePage - 28590}`;
  const named = new Map([
    [932, 'shift_jis'],
    [936, 'gbk'],
    [949, 'euc-kr'],
    [950, 'big5'],
    [20866, 'koi8-r'],
    [21866, 'koi8-u'],
    [50220, 'iso-2022-jp'],
    [51932, 'euc-jp'],
    [54936, 'gb18030'],
  ]);
  return named.get(codePage) ?? `windows-${codePage}`;
};

const markOf = (bytes: Uint8Array): string | undefined => {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return 'utf-8';
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  return bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : undefined;
};

/** UTF-16 of western text has a zero in every second byte. */
const unmarkedUtf16 = (bytes: Uint8Array): string | undefined => {
  const sample = bytes.subarray(0, 4096);
  if (sample.length < 8) return undefined;
  let even = 0;
  let odd = 0;
  for (let index = 0; index < sample.length; index++) {
    if (sample[index] === 0) {
      if (index % 2 === 0) even++;
      else odd++;
    }
  }
  const half = sample.length / 2;
  if (odd > half * 0.7 && even < half * 0.05) return 'utf-16le';
  return even > half * 0.7 && odd < half * 0.05 ? 'utf-16be' : undefined;
};

const guessCharset = (bytes: Uint8Array): string =>
  markOf(bytes) ?? unmarkedUtf16(bytes) ?? (isUtf8(bytes) ? 'utf-8' : 'windows-1252');

const decodeAs = (bytes: Uint8Array, charset: string): string => {
  const decoder = decoderOf(charset, false) ?? new TextDecoder('windows-1252');
  return decoder.decode(bytes);
};

const isAscii = (bytes: Uint8Array): boolean => bytes.every((byte) => byte < 0x80);

/** Decodes bytes of which `stated` is said, or nothing. Never throws; U+FFFD stands for what means nothing. */
export const decodeCharset = (bytes: Uint8Array, stated: string | null): DecodedBytes => {
  const guess = (flaw: DecodedBytes['flaw']): DecodedBytes => {
    const charset = guessCharset(bytes);
    return { text: decodeAs(bytes, charset), charset, flaw };
  };
  if (stated === null || stated.trim() === '') return guess(null);
  const decoder = decoderOf(stated, true);
  if (decoder === undefined) return guess('unknown');
  const marked = markOf(bytes);
  if (marked !== undefined && marked !== decoder.encoding) return guess('mismatch');
  // ASCII is an alias of Windows-1252 in the standard: bytes beyond it say that the statement is wrong.
  if (/^(?:us-)?ascii$/iu.test(stated.trim()) && !isAscii(bytes)) return guess('mismatch');
  try {
    return { text: decoder.decode(bytes), charset: decoder.encoding, flaw: null };
  } catch {
    return guess('mismatch');
  }
};
