/**
 * Listing in the byte order of keys.
 *
 * - Each folder is read once a listing, however many pages that has. Memory: the names in the folders from the prefix down to the
 *   current one, and one page.
 * - Folders sort as their name with a slash, which is how the keys in them begin. So the order of a depth-first walk is the order of keys.
 * - Symbolic links and names that the store did not make are passed over.
 */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareKeys, ObjectKey, type ObjectPrefix } from '../../key.ts';
import type { ListedObject } from '../../Port.ts';
import { isErrno } from './file-errors.ts';
import { findFolder } from './folders.ts';
import { foldersOfPrefix, segmentOfFolder, segmentOfObject } from './object-path.ts';
import { recordBytes } from './object-record.ts';

export interface FoundObject {
  readonly key: ObjectKey;
  readonly folder: string;
  readonly path: string;
}

/** Part of a key relative to its folder: a last segment, or a segment with a slash. */
interface Entry {
  readonly part: string;
  readonly path: string;
  readonly isFolder: boolean;
}

const readEntries = async (folder: string): Promise<Entry[]> => {
  const entries: Entry[] = [];
  try {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const segment = entry.isFile()
        ? segmentOfObject(entry.name)
        : entry.isDirectory()
          ? segmentOfFolder(entry.name)
          : undefined;
      if (segment === undefined) continue;
      const isFolder = entry.isDirectory();
      entries.push({ part: isFolder ? `${segment}/` : segment, path: join(folder, entry.name), isFolder });
    }
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
  }
  return entries.sort((a, b) => compareKeys(a.part, b.part));
};

async function* walkFolder(folder: string, prefix: string, after: string): AsyncGenerator<FoundObject> {
  for (const { part, path, isFolder } of await readEntries(folder)) {
    const name = prefix + part;
    if (isFolder) {
      if (name > after || after.startsWith(name)) yield* walkFolder(path, name, after);
    } else if (name > after) {
      const key = ObjectKey.safeParse(name);
      if (key.success) yield { key: key.data, folder, path };
    }
  }
}

/** Objects under the prefix, in key order. */
export async function* walkObjects(root: string, prefix: ObjectPrefix, after: string): AsyncGenerator<FoundObject> {
  const folder = await findFolder(root, foldersOfPrefix(prefix));
  if (folder !== undefined) yield* walkFolder(folder, prefix, after);
}

/** Undefined when the object was deleted meanwhile. A file shorter than a record is shown with size 0; reading it says that it is corrupt. */
const describe = async ({ key, path }: FoundObject): Promise<ListedObject | undefined> => {
  try {
    const stats = await lstat(path);
    return { key, size: Math.max(0, stats.size - recordBytes), lastModified: stats.mtime };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
};

export async function* listPages(
  root: string,
  prefix: ObjectPrefix,
  after: string,
  pageSize: number,
): AsyncGenerator<readonly ListedObject[]> {
  let found: FoundObject[] = [];
  const page = async (): Promise<ListedObject[]> =>
    (await Promise.all(found.map(describe))).filter((object) => object !== undefined);
  for await (const object of walkObjects(root, prefix, after)) {
    found.push(object);
    if (found.length < pageSize) continue;
    const objects = await page();
    found = [];
    if (objects.length > 0) yield objects;
  }
  const rest = await page();
  if (rest.length > 0) yield rest;
}
