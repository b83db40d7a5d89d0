/** From a key to its bytes: one open file, whose record is read before any byte of content is given out. */
import { constants, type Stats } from 'node:fs';
import { join } from 'node:path';
import { CaseboundError } from '@casebound/contract';
import type { ByteSource } from '../../checked-body.ts';
import type { ObjectInfo, ObjectKey } from '../../Port.ts';
import { classifyFileError, isErrno } from './file-errors.ts';
import { findFolder, type KnownFolders } from './folders.ts';
import { OpenFile } from './open-file.ts';
import { pathOfKey, type Layout } from './object-path.ts';
import { parseRecord, recordBytes } from './object-record.ts';

/** Files up to this size are read with one system call, record and content at once. */
export const smallFileBytes = 64 * 1024;
/** Bytes of a read from a larger one. */
const readChunkBytes = 256 * 1024;

/** Where objects are. */
export interface Place {
  /** Real path of the store. */
  readonly root: string;
  readonly layout: Layout;
  readonly known: KnownFolders;
}

export interface OpenObject {
  readonly info: ObjectInfo;
  readonly file: OpenFile;
  readonly stats: Stats;
  readonly path: string;
  /** The content, when the file is small enough to have been read whole. */
  readonly content: Buffer | undefined;
}

const readExactly = async (file: OpenFile, buffer: Buffer, position: number): Promise<number> => {
  let filled = 0;
  while (filled < buffer.byteLength) {
    const bytesRead = await file.read(buffer, filled, buffer.byteLength - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
};

const corrupt = (key: ObjectKey, what: string): CaseboundError =>
  new CaseboundError('object_corrupt', `The file of the object ${key} ${what}. Restore it from a backup.`);

const describeObject = async (key: ObjectKey, path: string, file: OpenFile): Promise<OpenObject> => {
  // The open has just brought the inode into memory.
  const stats = file.stats();
  if (!stats.isFile()) throw corrupt(key, 'is not a regular file');
  if (stats.size < recordBytes) throw corrupt(key, `has ${stats.size} bytes, too few to hold its record`);
  const whole = stats.size <= smallFileBytes;
  const buffer = Buffer.allocUnsafe(whole ? stats.size : recordBytes);
  const filled = await readExactly(file, buffer, stats.size - buffer.byteLength);
  const record = filled === buffer.byteLength ? parseRecord(buffer.subarray(-recordBytes)) : undefined;
  if (record === undefined) throw corrupt(key, 'was cut off or damaged: its record cannot be read');
  if (record.size + recordBytes !== stats.size) {
    throw corrupt(key, `holds ${stats.size - recordBytes} bytes, but its record says ${record.size}`);
  }
  return {
    info: { key, ...record, etag: record.sha256, lastModified: stats.mtime },
    file,
    stats,
    path,
    content: whole ? buffer.subarray(0, record.size) : undefined,
  };
};

/** Opens an object; undefined when there is none. The caller closes the file. */
export const openObject = async (place: Place, key: ObjectKey): Promise<OpenObject | undefined> => {
  const { folders, name } = pathOfKey(key, place.layout);
  const folder = await findFolder(place, folders);
  if (folder === undefined) return undefined;
  const path = join(folder, name);
  let file: OpenFile;
  try {
    // Non-blocking, so that a named pipe somebody placed there cannot hold the call up.
    file = await OpenFile.open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
  try {
    return await describeObject(key, path, file);
  } catch (error) {
    file.close();
    throw error;
  }
};

/** Whether a path names the very file that is open. */
export const isSameFile = (stats: Stats, other: Stats): boolean => stats.ino === other.ino && stats.dev === other.dev;

/** The bytes `start` to `end` (exclusive) of an open object. Owns its file. */
export const fileSource = (opened: OpenObject, start: number, end: number, root: string): ByteSource => {
  let position = start;
  return {
    read: async () => {
      const wanted = Math.min(readChunkBytes, end - position);
      if (wanted <= 0) return undefined;
      const buffer = Buffer.allocUnsafeSlow(wanted);
      try {
        const bytesRead = await opened.file.read(buffer, 0, wanted, position);
        position += bytesRead;
        return bytesRead === 0 ? undefined : buffer.subarray(0, bytesRead);
      } catch (error) {
        throw classifyFileError(error, `read ${opened.info.key}`, root);
      }
    },
    close: async () => opened.file.close(),
  };
};
