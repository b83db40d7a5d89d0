/**
 * The folders of the store.
 *
 * - Nothing is read, written or removed in a folder before its real path was found to be the one that the key asks for, so a
 *   symbolic link placed inside the store leads nowhere. (Against somebody who swaps folders during a call there is no
 *   protection; whoever can do that can change the objects themselves.)
 * - What was found stays found for a second: a bulk copy would ask about the same few folders thousands of times.
 * - A folder that a delete emptied goes away by rmdir(2), which never removes one with something in it. A put that loses its folder to that
 *   makes it again.
 */
import { lstat, mkdir, realpath, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CaseboundError } from '@casebound/contract';
import { isErrno } from './file-errors.ts';

const notAFolder = (path: string): CaseboundError =>
  new CaseboundError(
    'object_store_denied',
    `In the object store ${path} is a symbolic link or file where a folder must be. Remove it; the store follows no links.`,
  );

/** Folders that were found to be the store's own a moment ago. */
export interface KnownFolders {
  has(path: string): boolean;
  add(path: string): void;
  /** Call when it turned out to be gone. */
  forget(path: string): void;
}

const knownMs = 1_000;
const mostKnown = 10_000;

export const createKnownFolders = ({ monotonicMs }: { monotonicMs(): number }): KnownFolders => {
  const until = new Map<string, number>();
  return {
    has: (path) => (until.get(path) ?? 0) > monotonicMs(),
    add: (path) => {
      if (until.size >= mostKnown) until.clear();
      until.set(path, monotonicMs() + knownMs);
    },
    forget: (path) => void until.delete(path),
  };
};

interface Folders {
  /** Real path of the store. */
  readonly root: string;
  readonly known: KnownFolders;
}

/**
 * The path of a folder of the store; undefined when it does not exist.
 * @throws `object_store_denied` when it is reached through a symbolic link.
 */
export const findFolder = async ({ root, known }: Folders, names: readonly string[]): Promise<string | undefined> => {
  const path = join(root, ...names);
  if (known.has(path)) return path;
  try {
    if ((await realpath(path)) !== path) throw notAFolder(path);
    known.add(path);
    return path;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    if (isErrno(error, 'ENOTDIR', 'ELOOP')) throw notAFolder(path);
    throw error;
  }
};

/** The path of a folder of the store, made when it does not exist. `onMade` hears of each parent that got a new entry. */
export const ensureFolder = async (
  folders: Folders,
  names: readonly string[],
  mode: number,
  onMade: (parent: string) => Promise<void>,
): Promise<string> => {
  const found = await findFolder(folders, names);
  if (found !== undefined) return found;
  let path = folders.root;
  for (const name of names) {
    const parent = path;
    path = join(path, name);
    try {
      await mkdir(path, { mode });
      await onMade(parent);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
      if (!(await lstat(path)).isDirectory()) throw notAFolder(path);
    }
  }
  return path;
};

/** Removes a folder and those above it as long as they are empty, never the root. Returns the first that stays. */
export const removeEmptyFolders = async (root: string, folder: string): Promise<string> => {
  for (let path = folder; path !== root; path = dirname(path)) {
    try {
      await rmdir(path);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) continue;
      if (isErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'EBUSY', 'EACCES', 'EPERM')) return path;
      throw error;
    }
  }
  return root;
};
