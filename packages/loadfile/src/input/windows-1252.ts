/**
 * Windows-1252 in both directions (WHATWG Encoding Standard, index windows-1252: the five bytes without a character map
 * to the C1 control of the same number).
 *
 * Written out because `TextDecoder('windows-1252')` has decoded 0x80-0x9F as Latin-1 in some Node releases, and because
 * the platform has no encoder at all.
 */

/** Characters of the bytes 0x80 to 0x9F. */
const high =
  '\u20AC\u0081\u201A\u0192\u201E\u2026\u2020\u2021\u02C6\u2030\u0160\u2039\u0152\u008D\u017D\u008F' +
  '\u0090\u2018\u2019\u201C\u201D\u2022\u2013\u2014\u02DC\u2122\u0161\u203A\u0153\u009D\u017E\u0178';

const c1 = /[\u0080-\u009F]/g;

/** Decodes bytes; every byte has a character, so this cannot fail. */
export const decodeWindows1252 = (bytes: Buffer): string => {
  const latin1 = bytes.toString('latin1');
  return latin1.search(c1) < 0
    ? latin1
    : latin1.replace(c1, (character) => high.charAt(character.charCodeAt(0) - 0x80));
};

/** Encodes text, or returns the first character that Windows-1252 does not have. */
export const encodeWindows1252 = (text: string): { readonly bytes: Buffer } | { readonly unencodable: string } => {
  const bytes = Buffer.allocUnsafe(text.length);
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x80 || (code >= 0xa0 && code <= 0xff)) {
      bytes[index] = code;
    } else {
      const place = high.indexOf(text.charAt(index));
      if (place < 0) return { unencodable: String.fromCodePoint(text.codePointAt(index) ?? code) };
      bytes[index] = 0x80 + place;
    }
  }
  return { bytes };
};
