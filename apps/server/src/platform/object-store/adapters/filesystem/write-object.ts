/**
 * From bytes to a published object.
 *
 * - Bytes and record are complete in a temporary file before its name appears among the objects; until then a failure or a
 *   kill leaves nothing but that temporary file.
 * - Replacing is rename(2), creating only is link(2): of any number of creators the kernel lets exactly one win.
 */
import { createHash } from 'node:crypto';
import { constants, lstatSync, type Stats } from 'node:fs';
import { copyFile, link, open, rename, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { checkExpected, checkNotLonger, chunksOf, sha256Hex } from '../../checked-body.ts';
import type { ObjectStoreDependencies } from '../../dependencies.ts';
import type { ObjectKey, PutOptions } from '../../Port.ts';
import type { Durability } from './durability.ts';
import { isErrno } from './file-errors.ts';
import { ensureFolder } from './folders.ts';
import { pathOfKey } from './object-path.ts';
import { formatRecord, type ObjectRecord } from './object-record.ts';
import type { Place } from './read-object.ts';
import { temporaryName, type Owner } from './temporary-files.ts';

/** What the operations of one open store share. */
export interface StoreFolder extends Place {
  /** Real path of its folder for temporary files. */
  readonly temporary: string;
  readonly owner: Owner;
  readonly fileMode: number;
  readonly folderMode: number;
  readonly durability: Durability;
  readonly dependencies: ObjectStoreDependencies;
}

/** Small chunks of a stream are written together up to this size. */
const writeBytes = 256 * 1024;
/** A folder can be emptied and removed between its making and the link into it; each try makes it again. */
const mostPublishTries = 100;

const writeAll = async (handle: FileHandle, bytes: Uint8Array): Promise<void> => {
  for (let written = 0; written < bytes.byteLength;) {
    written += (await handle.write(bytes, written)).bytesWritten;
  }
};

const openTemporary = (path: string, mode: number): Promise<FileHandle> =>
  open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, mode);

/** Removes a temporary file that may be gone already. */
export const removeTemporary = async (path: string): Promise<void> => {
  try {
    await unlink(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
};

export interface WrittenFile {
  readonly path: string;
  readonly record: ObjectRecord;
}

const finish = async (store: StoreFolder, handle: FileHandle): Promise<void> => {
  if (store.durability.syncFilesFirst) await handle.sync();
};

const writeChunks = async (
  handle: FileHandle,
  key: ObjectKey,
  body: AsyncIterable<Uint8Array>,
  options: PutOptions,
): Promise<{ size: number; sha256: string }> => {
  const hash = createHash('sha256');
  let size = 0;
  let buffer: Buffer | undefined;
  let filled = 0;
  const writeBuffer = async (): Promise<void> => {
    if (buffer !== undefined && filled > 0) await writeAll(handle, buffer.subarray(0, filled));
    filled = 0;
  };
  for await (const chunk of chunksOf(body, options.signal)) {
    size += chunk.byteLength;
    checkNotLonger(key, options.expected, size);
    hash.update(chunk);
    if (filled + chunk.byteLength > writeBytes) await writeBuffer();
    if (chunk.byteLength >= writeBytes) await writeAll(handle, chunk);
    else {
      // A producer may reuse its chunk once it is asked for more, so what waits here is a copy.
      buffer ??= Buffer.allocUnsafeSlow(writeBytes);
      buffer.set(chunk, filled);
      filled += chunk.byteLength;
    }
  }
  await writeBuffer();
  return { size, sha256: hash.digest('hex') };
};

/** Writes bytes and record to a temporary file, which is gone again when this throws. */
export const writeTemporary = async (
  store: StoreFolder,
  key: ObjectKey,
  body: Uint8Array | AsyncIterable<Uint8Array>,
  options: PutOptions & { readonly contentType: string },
): Promise<WrittenFile> => {
  const path = join(store.temporary, temporaryName(store.owner));
  const handle = await openTemporary(path, store.fileMode);
  try {
    try {
      let content: { size: number; sha256: string };
      if (body instanceof Uint8Array) {
        content = { size: body.byteLength, sha256: sha256Hex(body) };
        checkExpected(key, options.expected, content);
        const record = formatRecord({ ...content, contentType: options.contentType });
        if (body.byteLength <= writeBytes) await writeAll(handle, Buffer.concat([body, record]));
        else {
          await writeAll(handle, body);
          await writeAll(handle, record);
        }
      } else {
        content = await writeChunks(handle, key, body, options);
        checkExpected(key, options.expected, content);
        await writeAll(handle, formatRecord({ ...content, contentType: options.contentType }));
      }
      await finish(store, handle);
      return { path, record: { ...content, contentType: options.contentType } };
    } finally {
      await handle.close();
    }
  } catch (error) {
    await removeTemporary(path);
    throw error;
  }
};

/**
 * A temporary file that shares the blocks of an object's file, record included.
 * Undefined when the file system has no reflinks.
 */
export const reflinkTemporary = async (store: StoreFolder, source: string): Promise<string | undefined> => {
  const path = join(store.temporary, temporaryName(store.owner));
  try {
    await copyFile(source, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
    if (store.durability.syncFilesFirst) {
      const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    }
    return path;
  } catch (error) {
    await removeTemporary(path);
    if (isErrno(error, 'ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOTTY', 'ENOSYS')) return undefined;
    throw error;
  }
};

interface Published<T> {
  readonly result: T;
  /** The bytes of the file are on disk already. */
  readonly isDurable?: boolean;
}

/** Runs `publish` with the object's path; again when the folder was removed meanwhile. */
const inFolder = async <T>(
  store: StoreFolder,
  key: ObjectKey,
  publish: (path: string) => Promise<Published<T>>,
): Promise<T> => {
  const { folders, name } = pathOfKey(key, store.layout);
  for (let attempt = 1; ; attempt += 1) {
    try {
      const folder = await ensureFolder(store, folders, store.folderMode, (parent) => store.durability.changed(parent));
      const path = join(folder, name);
      const { result, isDurable = false } = await publish(path);
      await store.durability.published(folder, isDurable ? undefined : path);
      return result;
    } catch (error) {
      if (!isErrno(error, 'ENOENT') || attempt === mostPublishTries) throw error;
      store.known.forget(join(store.root, ...folders));
    }
  }
};

/** Gives the temporary file its name among the objects, replacing what had it. The temporary name is gone afterwards. */
export const publishReplacing = async (store: StoreFolder, key: ObjectKey, temporary: string): Promise<void> => {
  try {
    await inFolder(store, key, async (path) => ({ result: await rename(temporary, path) }));
  } finally {
    // rename(2) does nothing when both names are links to one file, so the temporary one can be left.
    await removeTemporary(temporary);
  }
};

/**
 * Links a file under the key and returns what the key names then; undefined when something has the key. The linked name stays.
 * `isOnDisk` says of the file that was linked whether its bytes are on disk already.
 */
export const linkAbsent = (
  store: StoreFolder,
  key: ObjectKey,
  file: string,
  isOnDisk: (linked: Stats) => boolean = () => false,
): Promise<Stats | undefined> =>
  inFolder(store, key, async (path) => {
    try {
      await link(file, path);
    } catch (error) {
      if (isErrno(error, 'EEXIST')) return { result: undefined };
      throw error;
    }
    // The link has just had the inode in memory.
    const result = lstatSync(path);
    return { result, isDurable: isOnDisk(result) };
  });
