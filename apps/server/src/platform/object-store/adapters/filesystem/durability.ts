/**
 * When what was written survives a loss of power.
 *
 * - An object is durable when its file and the folder entry that names it are. A new folder is when its parent is.
 * - A folder's fsync that begins after a change covers the change, so those who wait for one folder share one fsync.
 * - An fsync that failed is never repeated and taken for success: the kernel may have dropped the pages. The flush fails.
 */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { FilesystemObjectStoreConfig } from '../../config.ts';
import { forEachConcurrently } from '../../limit-concurrency.ts';
import { isErrno } from './file-errors.ts';

/** In `batch` mode a put waits for a flush at this many pending files, which bounds the memory they take. */
const mostPending = 10_000;
const flushConcurrency = 8;

export interface Durability {
  /** Whether a file is to be synchronised before it is published. */
  readonly syncFilesFirst: boolean;
  /** Call after an object appeared at `file` in `folder`; without `file` when its bytes are on disk already. */
  published(folder: string, file: string | undefined): Promise<void>;
  /** Call after an entry of the folder was added or removed other than by `published`. */
  changed(folder: string): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

const syncPath = async (path: string, flags: number, sync: (handle: FileHandle) => Promise<void>): Promise<void> => {
  let handle;
  try {
    handle = await open(path, flags | constants.O_NOFOLLOW);
  } catch (error) {
    // Deleted, or replaced by a folder, meanwhile: nothing is left to make durable.
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return;
    throw error;
  }
  try {
    await sync(handle);
  } catch (error) {
    // Some network file systems cannot synchronise folders.
    if (!isErrno(error, 'EINVAL', 'ENOTSUP')) throw error;
  } finally {
    await handle.close();
  }
};

const syncFolder = (folder: string): Promise<void> =>
  syncPath(folder, constants.O_RDONLY | constants.O_DIRECTORY, (handle) => handle.sync());

/** Bytes and size: which names and how many a file has is on disk with its folders. */
const syncFile = (file: string): Promise<void> => syncPath(file, constants.O_RDONLY, (handle) => handle.datasync());

/** fsync of folders in which concurrent callers share the next one. */
const sharedFolderSync = (): ((folder: string) => Promise<void>) => {
  const running = new Map<string, { readonly done: Promise<void>; next: Promise<void> | undefined }>();
  const start = (folder: string): Promise<void> => {
    const done = syncFolder(folder);
    const run = { done, next: undefined };
    running.set(folder, run);
    const end = (): void => {
      if (running.get(folder) === run && run.next === undefined) running.delete(folder);
    };
    done.then(end, end);
    return done;
  };
  return (folder) => {
    const run = running.get(folder);
    if (run === undefined) return start(folder);
    // The running one may have begun before the caller's change, so it does not count.
    run.next ??= run.done.then(
      () => start(folder),
      () => start(folder),
    );
    return run.next;
  };
};

const always = (): Durability => {
  const sync = sharedFolderSync();
  const changing = new Set<Promise<void>>();
  return {
    syncFilesFirst: true,
    published: async (folder) => {
      await sync(folder);
      // The folder may have been made by another put a moment ago: it, too, has to be durable.
      while (changing.size > 0) await Promise.all(changing);
    },
    changed: async (folder) => {
      const change = sync(folder);
      changing.add(change);
      try {
        await change;
      } finally {
        changing.delete(change);
      }
    },
    flush: async () => {},
    close: async () => {},
  };
};

const never = (): Durability => ({
  syncFilesFirst: false,
  published: async () => {},
  changed: async () => {},
  flush: async () => {},
  close: async () => {},
});

const batch = (intervalMs: number, onFailure: (error: unknown) => void): Durability => {
  let files = new Set<string>();
  let folders = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let flushing: Promise<void> = Promise.resolve();
  let failure: { readonly error: unknown } | undefined;

  const flushNow = async (): Promise<void> => {
    const [ownFiles, ownFolders] = [files, folders];
    [files, folders] = [new Set(), new Set()];
    try {
      await forEachConcurrently(ownFiles, flushConcurrency, syncFile);
      await forEachConcurrently(ownFolders, flushConcurrency, syncFolder);
    } catch (error) {
      failure ??= { error };
      onFailure(error);
    }
  };
  const flush = async (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    flushing = flushing.then(flushNow);
    await flushing;
    if (failure !== undefined) throw failure.error;
  };
  const note = async (): Promise<void> => {
    if (failure !== undefined) throw failure.error;
    if (files.size + folders.size >= mostPending) return flush();
    timer ??= setTimeout(() => void flush().catch(() => {}), intervalMs).unref();
  };
  return {
    syncFilesFirst: false,
    published: (folder, file) => {
      if (file !== undefined) files.add(file);
      folders.add(folder);
      return note();
    },
    changed: (folder) => {
      folders.add(folder);
      return note();
    },
    flush,
    close: flush,
  };
};

/** @param onFailure told of a background flush that failed; every later call fails too, until the process is started again. */
export const createDurability = (
  config: FilesystemObjectStoreConfig,
  onFailure: (error: unknown) => void,
): Durability => {
  switch (config.fsync) {
    case 'always':
      return always();
    case 'batch':
      return batch(config.flushIntervalMs, onFailure);
    case 'never':
      return never();
  }
};
