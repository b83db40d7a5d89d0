/**
 * Keys as paths.
 *
 * - Different keys have different paths, also where the file system ignores letter case: names are lower case, and which letters
 *   were upper case follows as a bit map in hexadecimal.
 * - `a` and `a/b` are both keys, so objects and folders never share a name: an object's name has exactly one `%`
 *   (`content.txt%`, `report.pdf%1` for `Report.pdf`), a folder's none or two in a row (`case_1`, `export%%1` for `Export`).
 * - A folder costs as much as ten files, to make and to make durable, so a key has four folders at most (`flatLayout`): what is left of it is the
 *   name of its file, with `~` for `/`. Stores of format 1 have a folder for each segment (`mirroredLayout`) and keep it.
 * - `%` and `~` are in no key, so names that start with `%` are the store's own.
 * - The longest segment (200) with its marks (1 + 50) is within the 255 bytes that file systems allow.
 */
import type { ObjectKey, ObjectPrefix } from '../../key.ts';

/** How many of a key's segments are folders at most. */
export interface Layout {
  readonly mostFolders: number;
}
export const mirroredLayout: Layout = { mostFolders: Number.POSITIVE_INFINITY };
export const flatLayout: Layout = { mostFolders: 4 };

const mostNameBytes = 255;

/** Bit i of nibble n: character 4n + i is an upper-case letter. Trailing zeros are left out, so lower case gives ''. */
const caseMap = (segment: string): string => {
  if (segment === segment.toLowerCase()) return '';
  let map = '';
  for (let start = 0; start < segment.length; start += 4) {
    let nibble = 0;
    for (let i = 0; i < 4; i += 1) {
      const code = segment.charCodeAt(start + i);
      if (code >= 65 && code <= 90) nibble |= 1 << i;
    }
    map += nibble.toString(16);
  }
  return map.replace(/0+$/, '');
};

const applyCaseMap = (lower: string, map: string): string =>
  map === ''
    ? lower
    : Array.from(lower, (character, i) =>
        (Number.parseInt(map[i >> 2] ?? '0', 16) >> (i & 3)) & 1 ? character.toUpperCase() : character,
      ).join('');

export const folderName = (segment: string): string => {
  const map = caseMap(segment);
  return map === '' ? segment : `${segment.toLowerCase()}%%${map}`;
};

export const objectName = (segment: string): string => `${segment.toLowerCase()}%${caseMap(segment)}`;

const folderPattern = /^([a-z0-9._=@+,-]{1,200})(?:%%([0-9a-f]{1,50}))?$/;
const objectPattern = /^([a-z0-9._=@+,~-]{1,254})%([0-9a-f]{0,63})$/;

/** The segment that a folder's name stands for; undefined for names that this store did not make. */
export const segmentOfFolder = (name: string): string | undefined => {
  const match = folderPattern.exec(name);
  if (match?.[1] === undefined) return undefined;
  const segment = applyCaseMap(match[1], match[2] ?? '');
  return folderName(segment) === name && segment !== '.' && segment !== '..' ? segment : undefined;
};

/** The end of the key that an object's name stands for, its last segment or several; undefined for names that this store did not make. */
export const tailOfObject = (name: string): string | undefined => {
  const match = objectPattern.exec(name);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  const joined = applyCaseMap(match[1], match[2]);
  return objectName(joined) === name && joined !== '.' && joined !== '..' ? joined.replaceAll('~', '/') : undefined;
};

/** Names of the folders from the root to an object, and its own. */
export interface ObjectPath {
  readonly folders: readonly string[];
  readonly name: string;
}

export const pathOfKey = (key: ObjectKey, { mostFolders }: Layout): ObjectPath => {
  const segments = key.split('/');
  if (segments.length > mostFolders + 1) {
    const name = objectName(segments.slice(mostFolders).join('~'));
    // All characters are ASCII. A longer name is that of a file below a folder for each segment.
    if (name.length <= mostNameBytes) return { folders: segments.slice(0, mostFolders).map(folderName), name };
  }
  const last = segments.pop() ?? '';
  return { folders: segments.map(folderName), name: objectName(last) };
};

/** The folders below which all objects of a prefix lie; others may lie there, too. */
export const foldersOfPrefix = (prefix: ObjectPrefix, { mostFolders }: Layout): readonly string[] =>
  prefix.slice(0, -1).split('/').slice(0, mostFolders).map(folderName);
