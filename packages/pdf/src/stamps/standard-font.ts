/**
 * Helvetica and its kin as every reader has them: encoding and widths, no embedding (ISO 32000-2, 9.6.2.2). Text stays selectable.
 *
 * - Characters beyond WinAnsi cannot be shown: `stamp_invalid` says which, nothing is replaced in silence.
 */
import { CaseboundError } from '@casebound/contract';
import { Encodings, Font } from '@pdf-lib/standard-fonts';
import type { CosFile } from '../cos/cos-file.ts';
import { type CosRef, dict, name } from '../cos/objects.ts';
import { formatString } from '../cos/serialize.ts';

export type StandardFontName = 'Helvetica' | 'Helvetica-Bold' | 'Courier' | 'Times-Roman';

export interface StandardFont {
  /** Heights in shares of the font size. */
  readonly ascent: number;
  readonly descent: number;
  encode(text: string): Uint8Array;
  /** Width at size 1. */
  width(bytes: Uint8Array): number;
  format(bytes: Uint8Array): string;
  /** The font's object in a file, the same one each time. */
  resource(file: CosFile): CosRef;
}

/** Loads the metrics of a standard font. */
export const standardFont = (fontName: StandardFontName): StandardFont => {
  const metrics = Font.load(fontName);
  const encoding = Encodings.WinAnsi;
  const names = new Map<number, string>();
  for (const point of encoding.supportedCodePoints) {
    const { code, name: glyph } = encoding.encodeUnicodeCodePoint(point);
    names.set(code, glyph);
  }
  const widthOf = (code: number): number => {
    const glyph = names.get(code);
    const width = glyph === undefined ? undefined : metrics.getWidthOfGlyph(glyph);
    return (typeof width === 'number' ? width : 500) / 1000;
  };
  return {
    ascent: (typeof metrics.Ascender === 'number' ? metrics.Ascender : 718) / 1000,
    descent: (typeof metrics.Descender === 'number' ? metrics.Descender : -207) / 1000,
    encode: (text) => {
      const bytes: number[] = [];
      for (const char of text.normalize('NFC')) {
        const point = char.codePointAt(0) ?? 0;
        if (!encoding.canEncodeUnicodeCodePoint(point))
          throw new CaseboundError(
            'stamp_invalid',
            `The character U+${point.toString(16).toUpperCase().padStart(4, '0')} cannot be shown with ${fontName}; use characters of the Windows-1252 set.`,
          );
        bytes.push(encoding.encodeUnicodeCodePoint(point).code);
      }
      return Uint8Array.from(bytes);
    },
    width: (bytes) => bytes.reduce((sum, code) => sum + widthOf(code), 0),
    format: formatString,
    resource: (file) =>
      file.shared(`font ${fontName}`, () =>
        dict({
          Type: name('Font'),
          Subtype: name('Type1'),
          BaseFont: name(fontName),
          Encoding: name('WinAnsiEncoding'),
        }),
      ),
  };
};
