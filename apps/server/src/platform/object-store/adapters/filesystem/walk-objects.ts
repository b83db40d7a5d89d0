/**
 * Listing in the byte order of keys.
 *
 * - Names of a folder are read in passes of a bounded number, the smallest that were not given yet: a folder of any size takes the memory of one
 *   pass. Memory: a pass for each folder from the prefix down to the current one, and one page.
 * - In a folder, what its files are called and what lies in its folders can alternate in the order of keys, so the two are merged. Folders
 *   sort as their name with a slash, which is how the keys in them begin.
 * - Symbolic links and names that the store did not make are passed over.
 */
import type { Dirent } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareKeys, ObjectKey, type ObjectPrefix } from '../../key.ts';
import type { ListedObject } from '../../Port.ts';
import { isErrno } from './file-errors.ts';
import { findFolder } from './folders.ts';
import { foldersOfPrefix, pathOfKey, segmentOfFolder, tailOfObject } from './object-path.ts';
import { recordBytes } from './object-record.ts';
import type { Place } from './read-object.ts';

export interface FoundObject {
  readonly key: ObjectKey;
  readonly folder: string;
  readonly path: string;
}

/** Names of a pass. Reading a folder of a million names in passes takes ten times as long as once. */
const namesOfPass = 100_000;

interface Entry {
  /** Key of an object, or prefix with a slash. */
  readonly name: string;
  readonly path: string;
}

/** What of a folder is asked for: keys that start with `prefix` and come after `after`. */
interface Range {
  readonly prefix: string;
  readonly after: string;
  readonly mostNames: number;
}

type Read = (entry: Dirent) => string | undefined;

/** Entries of a folder in the order of their names, as `read` gives them, beginning after `after`. */
async function* entriesOf(
  folder: string,
  read: Read,
  { after, mostNames }: Omit<Range, 'prefix'>,
): AsyncGenerator<Entry> {
  let last = after;
  for (;;) {
    let found: Entry[] = [];
    let isCut = false;
    const cut = (): void => {
      found.sort((a, b) => compareKeys(a.name, b.name));
      isCut ||= found.length > mostNames;
      found = found.slice(0, mostNames);
    };
    try {
      for await (const entry of await opendir(folder, { bufferSize: 1_024 })) {
        const name = read(entry);
        if (name === undefined || name <= last) continue;
        found.push({ name, path: join(folder, entry.name) });
        if (found.length === mostNames * 2) cut();
      }
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
    }
    cut();
    yield* found;
    if (!isCut) return;
    last = found.at(-1)?.name ?? last;
  }
}

/** Whether keys that are asked for may start with a folder's name. */
const mayHold = (name: string, { prefix, after }: Range): boolean =>
  (name.startsWith(prefix) || prefix.startsWith(name)) && (name > after || after.startsWith(name));

async function* inFolders(place: Place, folder: string, below: string, range: Range): AsyncGenerator<FoundObject> {
  const read = (entry: Dirent): string | undefined => {
    const segment = entry.isDirectory() ? segmentOfFolder(entry.name) : undefined;
    const name = `${below}${segment ?? ''}/`;
    return segment !== undefined && mayHold(name, range) ? name : undefined;
  };
  for await (const { name, path } of entriesOf(folder, read, { ...range, after: '' }))
    yield* walkFolder(place, path, name, range);
}

async function* filesIn(place: Place, folder: string, below: string, range: Range): AsyncGenerator<FoundObject> {
  const read = (entry: Dirent): string | undefined => {
    const tail = entry.isFile() ? tailOfObject(entry.name) : undefined;
    const name = `${below}${tail ?? ''}`;
    return tail !== undefined && name.startsWith(range.prefix) ? name : undefined;
  };
  for await (const { name, path } of entriesOf(folder, read, range)) {
    const key = ObjectKey.safeParse(name);
    // A file that lies where the store would not look for its key is not the store's.
    if (key.success && join(place.root, ...foldersAndName(place, key.data)) === path)
      yield { key: key.data, folder, path };
  }
}

const foldersAndName = ({ layout }: Place, key: ObjectKey): string[] => {
  const { folders, name } = pathOfKey(key, layout);
  return [...folders, name];
};

/** Both in the order of keys. No key is in both. */
async function* merge(
  one: AsyncGenerator<FoundObject>,
  other: AsyncGenerator<FoundObject>,
): AsyncGenerator<FoundObject> {
  try {
    let [a, b] = [await one.next(), await other.next()];
    while (a.done !== true || b.done !== true) {
      if (a.done !== true && (b.done === true || a.value.key < b.value.key)) {
        yield a.value;
        a = await one.next();
      } else if (b.done !== true) {
        yield b.value;
        b = await other.next();
      }
    }
  } finally {
    await Promise.all([one.return(undefined), other.return(undefined)]);
  }
}

async function* walkFolder(place: Place, folder: string, below: string, range: Range): AsyncGenerator<FoundObject> {
  yield* merge(filesIn(place, folder, below, range), inFolders(place, folder, below, range));
}

/** Objects under the prefix, in key order. */
export async function* walkObjects(
  place: Place,
  prefix: ObjectPrefix,
  after: string,
  mostNames = namesOfPass,
): AsyncGenerator<FoundObject> {
  const names = foldersOfPrefix(prefix, place.layout);
  const folder = await findFolder(place, names);
  if (folder === undefined) return;
  const below = prefix.split('/').slice(0, names.length).join('/');
  yield* walkFolder(place, folder, `${below}/`, { prefix, after, mostNames });
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
  place: Place,
  prefix: ObjectPrefix,
  after: string,
  pageSize: number,
): AsyncGenerator<readonly ListedObject[]> {
  let found: FoundObject[] = [];
  const page = async (): Promise<ListedObject[]> =>
    (await Promise.all(found.map(describe))).filter((object) => object !== undefined);
  for await (const object of walkObjects(place, prefix, after)) {
    found.push(object);
    if (found.length < pageSize) continue;
    const objects = await page();
    found = [];
    if (objects.length > 0) yield objects;
  }
  const rest = await page();
  if (rest.length > 0) yield rest;
}
