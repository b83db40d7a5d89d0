/**
 * The metrics of fonts that redaction needs: how a string falls into glyphs and where each glyph's cell lies. What a glyph
 * looks like or means is not read here.
 *
 * - Units are text space for a font size of 1 (ISO 32000-2, 9.2.4).
 */
import { Encodings, Font, type IFontNames } from '@pdf-lib/standard-fonts';
import type { CosFile } from '../cos/cos-file.ts';
import { type CosDict, type CosObject, isKind, isName } from '../cos/objects.ts';
import { type CodeMap, readCodeMap } from './code-map.ts';

export interface Glyph {
  /** The bytes of its code, within the string. */
  readonly start: number;
  readonly length: number;
  /** Advance along the writing direction: to the right, or for vertical writing upwards (so negative). */
  readonly advance: number;
  /** Width of the cell; for vertical writing this is not the advance. */
  readonly width: number;
  /** Of vertical writing: from the glyph's origin to its place on the line. */
  readonly offsetX: number;
  readonly offsetY: number;
  /** The single-byte code 32, to which word spacing applies. */
  readonly isSpace: boolean;
}

export interface FontMetrics {
  readonly vertical: boolean;
  readonly ascent: number;
  readonly descent: number;
  glyphs(bytes: Uint8Array): readonly Glyph[];
}

/** For strings shown without a usable font: what readers fall back to. */
export const fallbackFont: FontMetrics = {
  vertical: false,
  ascent: 0.8,
  descent: -0.25,
  glyphs: (bytes) =>
    Array.from(bytes, (code, start) => ({
      start,
      length: 1,
      advance: 0.6,
      width: 0.6,
      offsetX: 0,
      offsetY: 0,
      isSpace: code === 32,
    })),
};

const numberOf = (object: CosObject | undefined): number | undefined =>
  typeof object === 'number' ? object : undefined;

/** Ascent and descent from the descriptor, kept within what a line of text can have. */
const verticalExtent = (file: CosFile, descriptor: CosDict | undefined): { ascent: number; descent: number } => {
  const box = file.array(descriptor?.entries.get('FontBBox'))?.items.map((item) => numberOf(file.resolve(item)) ?? 0);
  const ascent = numberOf(file.resolve(descriptor?.entries.get('Ascent'))) ?? 0;
  const descent = numberOf(file.resolve(descriptor?.entries.get('Descent'))) ?? 0;
  const top = ascent > 0 ? ascent : (box?.[3] ?? 0);
  const bottom = descent === 0 ? (box?.[1] ?? 0) : -Math.abs(descent);
  return {
    ascent: top > 0 ? Math.min(Math.max(top / 1000, 0.5), 1.2) : 0.8,
    descent: bottom < 0 ? Math.max(Math.min(bottom / 1000, -0.1), -0.6) : -0.25,
  };
};

const standardNames: readonly (readonly [RegExp, IFontNames, IFontNames, IFontNames, IFontNames])[] = [
  [/courier|mono|consol/i, 'Courier', 'Courier-Bold', 'Courier-Oblique', 'Courier-BoldOblique'],
  [/times|serif|roman|georgia|garamond/i, 'Times-Roman', 'Times-Bold', 'Times-Italic', 'Times-BoldItalic'],
  [/^symbol/i, 'Symbol', 'Symbol', 'Symbol', 'Symbol'],
  [/dingbats/i, 'ZapfDingbats', 'ZapfDingbats', 'ZapfDingbats', 'ZapfDingbats'],
  [/./, 'Helvetica', 'Helvetica-Bold', 'Helvetica-Oblique', 'Helvetica-BoldOblique'],
];

/** The standard font whose metrics stand in for a font without widths. */
export const standardFontFor = (baseFont: string): IFontNames => {
  const bold = /bold|black|heavy/i.test(baseFont);
  const italic = /italic|oblique/i.test(baseFont);
  const row = standardNames.find(([pattern]) => pattern.test(baseFont.replace(/sans-?serif/i, 'sans')));
  if (row === undefined) return 'Helvetica';
  return bold && italic ? row[4] : italic ? row[3] : bold ? row[2] : row[1];
};

/** Glyph names by code for WinAnsi, Symbol or ZapfDingbats. */
const glyphNames = (encoding: 'WinAnsi' | 'Symbol' | 'ZapfDingbats'): Map<number, string> => {
  const names = new Map<number, string>();
  const table = Encodings[encoding];
  for (const point of table.supportedCodePoints) {
    const { code, name } = table.encodeUnicodeCodePoint(point);
    if (!names.has(code)) names.set(code, name);
  }
  return names;
};

const standardWidths = (file: CosFile, font: CosDict, baseFont: string): ((code: number) => number) => {
  const standard = standardFontFor(baseFont);
  const metrics = Font.load(standard);
  const names = glyphNames(standard === 'Symbol' || standard === 'ZapfDingbats' ? standard : 'WinAnsi');
  const differences = file.array(file.dict(font.entries.get('Encoding'))?.entries.get('Differences'));
  let code = 0;
  for (const item of differences?.items ?? []) {
    const value = file.resolve(item);
    if (typeof value === 'number') code = value;
    else if (isKind(value, 'name')) {
      names.set(code, value.name);
      code += 1;
    }
  }
  const fallback = standard.startsWith('Courier') ? 600 : 278;
  return (one) => {
    const glyph = names.get(one);
    const width = glyph === undefined ? undefined : metrics.getWidthOfGlyph(glyph);
    return (typeof width === 'number' ? width : fallback) / 1000;
  };
};

const loadSimple = (file: CosFile, font: CosDict): FontMetrics => {
  const type3 = isName(file.resolve(font.entries.get('Subtype')), 'Type3');
  const descriptor = file.dict(font.entries.get('FontDescriptor'));
  const matrix = file.array(font.entries.get('FontMatrix'))?.items.map((item) => numberOf(file.resolve(item)) ?? 0);
  const scale = type3 ? Math.abs(matrix?.[0] ?? 0.001) || 0.001 : 0.001;
  const first = numberOf(file.resolve(font.entries.get('FirstChar'))) ?? 0;
  const widths = file.array(font.entries.get('Widths'))?.items;
  const missing = numberOf(file.resolve(descriptor?.entries.get('MissingWidth'))) ?? 0;
  const baseFont = file.resolve(font.entries.get('BaseFont'));
  const standard =
    widths === undefined && !type3
      ? standardWidths(file, font, isKind(baseFont, 'name') ? baseFont.name : '')
      : undefined;
  const cache = new Map<number, number>();
  const widthOf = (code: number): number => {
    const known = cache.get(code);
    if (known !== undefined) return known;
    const width =
      standard === undefined ? (numberOf(file.resolve(widths?.[code - first])) ?? missing) * scale : standard(code);
    cache.set(code, width);
    return width;
  };
  let extent = verticalExtent(file, descriptor);
  if (type3) {
    const box = file.array(font.entries.get('FontBBox'))?.items.map((item) => numberOf(file.resolve(item)) ?? 0);
    const vertical = Math.abs(matrix?.[3] ?? 0.001) || 0.001;
    const [, bottom = 0, , top = 0] = box ?? [];
    extent = top > bottom ? { ascent: top * vertical, descent: bottom * vertical } : { ascent: 1, descent: -0.25 };
  }
  return {
    vertical: false,
    ...extent,
    glyphs: (bytes) =>
      Array.from(bytes, (code, start) => {
        const width = widthOf(code);
        return { start, length: 1, advance: width, width, offsetX: 0, offsetY: 0, isSpace: code === 32 };
      }),
  };
};

/** `W` and `W2` arrays: `c [w1 w2 ...]` and `first last w`, with `size` numbers for each CID. */
const readCidTable = (file: CosFile, object: CosObject | undefined, size: number): Map<number, readonly number[]> => {
  const table = new Map<number, readonly number[]>();
  const items = file.array(object)?.items.map((item) => file.resolve(item)) ?? [];
  for (let at = 0; at < items.length;) {
    const first = items[at];
    const second = items[at + 1];
    if (typeof first !== 'number') {
      at += 1;
      continue;
    }
    if (isKind(second, 'array')) {
      const values = second.items.map((item) => numberOf(file.resolve(item)) ?? 0);
      for (let index = 0; index + size <= values.length; index += size)
        table.set(first + index / size, values.slice(index, index + size));
      at += 2;
      continue;
    }
    const values = items.slice(at + 2, at + 2 + size).map((value) => numberOf(value) ?? 0);
    if (typeof second === 'number')
      for (let cid = first; cid <= Math.min(second, 65_535); cid += 1) table.set(cid, values);
    at += 2 + size;
  }
  return table;
};

const loadCodeMap = (file: CosFile, encoding: CosObject, depth: number): CodeMap => {
  if (isKind(encoding, 'name')) return readCodeMap({ name: encoding.name });
  if (!isKind(encoding, 'stream')) return readCodeMap({ name: 'Identity-H' });
  const data = file.decode(encoding) ?? new Uint8Array(0);
  const use = file.resolve(encoding.dict.entries.get('UseCMap'));
  const base = use === null || depth > 4 ? undefined : loadCodeMap(file, use, depth + 1);
  return readCodeMap({ data, base, vertical: file.resolve(encoding.dict.entries.get('WMode')) === 1 });
};

const loadComposite = (file: CosFile, font: CosDict): FontMetrics => {
  const descendant = file.dict(file.array(font.entries.get('DescendantFonts'))?.items[0]);
  const codeMap = loadCodeMap(file, file.resolve(font.entries.get('Encoding')), 0);
  const widths = readCidTable(file, descendant?.entries.get('W'), 1);
  const defaultWidth = numberOf(file.resolve(descendant?.entries.get('DW'))) ?? 1000;
  const verticals = codeMap.vertical
    ? readCidTable(file, descendant?.entries.get('W2'), 3)
    : new Map<number, readonly number[]>();
  const defaults = file.array(descendant?.entries.get('DW2'))?.items.map((item) => numberOf(file.resolve(item)) ?? 0);
  const [defaultY = 880, defaultAdvance = -1000] = defaults ?? [];
  return {
    vertical: codeMap.vertical,
    ...verticalExtent(file, file.dict(descendant?.entries.get('FontDescriptor'))),
    glyphs: (bytes) => {
      const glyphs: Glyph[] = [];
      for (let at = 0; at < bytes.length;) {
        const { length, cid } = codeMap.read(bytes, at);
        const taken = Math.max(1, length);
        // An unknown CID of one byte is a half-width letter in the East Asian encodings.
        const width = (cid < 0 ? (taken === 1 ? 500 : defaultWidth) : (widths.get(cid)?.[0] ?? defaultWidth)) / 1000;
        const vertical = verticals.get(cid);
        glyphs.push({
          start: at,
          length: taken,
          width,
          advance: codeMap.vertical ? (vertical?.[0] ?? defaultAdvance) / 1000 : width,
          offsetX: codeMap.vertical ? (vertical?.[1] ?? width * 500) / 1000 : 0,
          offsetY: codeMap.vertical ? (vertical?.[2] ?? defaultY) / 1000 : 0,
          isSpace: taken === 1 && bytes[at] === 32,
        });
        at += taken;
      }
      return glyphs;
    },
  };
};

/** The metrics of a font dictionary. Never fails: what is missing is filled in as readers do. */
export const loadFont = (file: CosFile, object: CosObject | undefined): FontMetrics => {
  const font = file.dict(object);
  if (font === undefined) return fallbackFont;
  return isName(file.resolve(font.entries.get('Subtype')), 'Type0')
    ? loadComposite(file, font)
    : loadSimple(file, font);
};
