/** Text strings (ISO 32000-2, 7.9.2.2): UTF-16BE or UTF-8 with a mark, else PDFDocEncoding (Annex D.2). */
import type { CosString } from './objects.ts';

/** PDFDocEncoding where it differs from Latin-1. */
const docEncoding: Readonly<Record<number, string>> = {
  0x18: '˘',
  0x19: 'ˇ',
  0x1a: 'ˆ',
  0x1b: '˙',
  0x1c: '˝',
  0x1d: '˛',
  0x1e: '˚',
  0x1f: '˜',
  0x80: '•',
  0x81: '†',
  0x82: '‡',
  0x83: '…',
  0x84: '—',
  0x85: '–',
  0x86: 'ƒ',
  0x87: '⁄',
  0x88: '‹',
  0x89: '›',
  0x8a: '−',
  0x8b: '‰',
  0x8c: '„',
  0x8d: '“',
  0x8e: '”',
  0x8f: '‘',
  0x90: '’',
  0x91: '‚',
  0x92: '™',
  0x93: 'ﬁ',
  0x94: 'ﬂ',
  0x95: 'Ł',
  0x96: 'Œ',
  0x97: 'Š',
  0x98: 'Ÿ',
  0x99: 'Ž',
  0x9a: 'ı',
  0x9b: 'ł',
  0x9c: 'œ',
  0x9d: 'š',
  0x9e: 'ž',
  0xa0: '€',
};

export const decodeText = (bytes: Uint8Array): string => {
  if (bytes[0] === 0xfe && bytes[1] === 0xff)
    return Buffer.from(bytes.subarray(2, bytes.length - (bytes.length % 2)))
      .swap16()
      .toString('utf16le');
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return Buffer.from(bytes.subarray(2)).toString('utf16le');
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)
    return Buffer.from(bytes.subarray(3)).toString('utf8');
  let text = '';
  for (const code of bytes) text += docEncoding[code] ?? String.fromCharCode(code);
  return text;
};

export const encodeText = (text: string): CosString => {
  if (/^[\x20-\x7e\n\r\t]*$/.test(text)) return { kind: 'string', bytes: Buffer.from(text, 'latin1') };
  return { kind: 'string', bytes: Buffer.concat([Uint8Array.of(0xfe, 0xff), Buffer.from(text, 'utf16le').swap16()]) };
};
