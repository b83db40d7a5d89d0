/**
 * Names of archive members are untrusted bytes. A member's name becomes a virtual path below its archive, or is refused.
 *
 * Refused is what means a place outside: `..`, a root, a drive, a machine; and U+0000 and control characters, which hide a
 * name's end. What is only awkward to some system (`10:30.eml`, `aux`, a dot at the end) is kept: paths are virtual.
 */
import { getFileNameLowLevel } from 'yauzl';
import type { ExtraField } from 'yauzl';
import { isUtf8 } from 'node:buffer';

export type MemberName =
  | { readonly ok: true; readonly path: string; readonly isFolder: boolean; readonly assumed: boolean }
  | { readonly ok: false; readonly shown: string; readonly reason: string };

const utf8Flag = 0x800;
const unicodePathField = 0x7075;
const maxNameLength = 4096;

/**
 * Bytes of a name as text. Without a mark of UTF-8 the format means code page 437, but most writers of our day write UTF-8
 * all the same: what is valid UTF-8 beyond ASCII is read as that.
 */
const decodeName = (
  raw: Buffer,
  flags: number,
  extraFields: ExtraField[],
): { readonly name: string; readonly assumed: boolean } => {
  const marked = (flags & utf8Flag) !== 0 || extraFields.some(({ id }) => id === unicodePathField);
  const isAscii = raw.every((byte) => byte < 0x80);
  if (!marked && !isAscii && isUtf8(raw)) return { name: raw.toString('utf8'), assumed: false };
  const name = getFileNameLowLevel(flags, raw, extraFields, true);
  return { name, assumed: !marked && !isAscii };
};

const isControl = (code: number): boolean => code < 0x20 || (code >= 0x7f && code <= 0x9f);

/** A text that can be shown and put in a message: bounded, without control characters. */
export const showName = (name: string): string =>
  Array.from(name.slice(0, 200), (char) => (isControl(char.charCodeAt(0)) ? '\uFFFD' : char)).join('');

/** Reads the name of a member. Backslashes separate as slashes do: archives of Windows programs have them. */
export const readMemberName = (raw: Buffer, flags: number, extraFields: ExtraField[]): MemberName => {
  const { name, assumed } = decodeName(raw, flags, extraFields);
  const refuse = (reason: string): MemberName => ({ ok: false, shown: showName(name), reason });
  if (name.length > maxNameLength) return refuse(`The name has more than ${maxNameLength} characters.`);
  if (Array.from(name).some((char) => isControl(char.codePointAt(0) ?? 0))) {
    return refuse('The name contains a control character.');
  }
  const text = name.replaceAll('\\', '/');
  if (text.startsWith('/')) return refuse('The name starts at a root or names another machine.');
  if (/^[a-z]:/iu.test(text)) return refuse('The name starts at a drive.');
  const segments = text.split('/').filter((segment) => segment !== '' && segment !== '.');
  if (segments.some((segment) => /^\.\.[\s.]*$/u.test(segment))) return refuse('The name leaves its folder by `..`.');
  if (segments.length === 0) return refuse('The name is empty.');
  return { ok: true, path: segments.join('/').toWellFormed(), isFolder: text.endsWith('/'), assumed };
};

/** `a/b.doc` with 2 becomes `a/b~2.doc`. */
export const numberedPath = (path: string, number: number): string => {
  const slash = path.lastIndexOf('/');
  const dot = path.lastIndexOf('.');
  return dot > slash + 1 ? `${path.slice(0, dot)}~${number}${path.slice(dot)}` : `${path}~${number}`;
};
