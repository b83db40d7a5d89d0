/**
 * Copies inside the store: hard link, else reflink, else bytes, from the way that the setting names downward.
 *
 * - A hard link makes both keys names of one file. That is safe because a file is never written after it got its first name: replacing
 *   a key gives the name to another file, deleting it takes the name away. It also means that a damaged disk block damages both.
 * - What is reported is what was linked: the file under the source's name is compared with the one whose record was read.
 */
import { link, lstat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CaseboundError } from '@casebound/contract';
import { bytesSource, checkedBody, checkExpected } from '../../checked-body.ts';
import type { FilesystemObjectStoreConfig } from '../../config.ts';
import type { CopyOptions, ObjectInfo, ObjectKey } from '../../Port.ts';
import { isErrno } from './file-errors.ts';
import { fileSource, isSameFile, openObject, type OpenObject } from './read-object.ts';
import { temporaryName } from './temporary-files.ts';
import {
  linkAbsent,
  publishReplacing,
  reflinkTemporary,
  removeTemporary,
  writeTemporary,
  type StoreFolder,
} from './write-object.ts';

/** A source that is replaced again and again between being read and being linked is given up on. */
const mostTries = 20;

export interface CopiedObject {
  readonly source: ObjectInfo;
  /** False when `ifAbsent` was asked for and the destination exists. */
  readonly created: boolean;
}

const missing = (key: ObjectKey): CaseboundError =>
  new CaseboundError('object_not_found', `There is no object ${key} to copy.`);

const cannotLink = (error: unknown): boolean =>
  isErrno(error, 'EMLINK', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'ENOSYS');

type LinkOutcome =
  | { readonly kind: 'linked'; readonly source: ObjectInfo; readonly created: boolean }
  /** The source's name meant another file by the time of the link. */
  | { readonly kind: 'replaced' }
  /** The file system cannot, or the file has as many links as it may. */
  | { readonly kind: 'impossible' };

/** What is left to do when a link was made of another file than the one described: describe that one, or take the link away. */
const describeLinked = async (
  store: StoreFolder,
  source: OpenObject,
  destination: ObjectKey,
  options: CopyOptions,
): Promise<ObjectInfo> => {
  const linked = await openObject(store, destination);
  if (linked === undefined) return source.info;
  try {
    checkExpected(destination, options.expected, linked.info);
    return linked.info;
  } catch (error) {
    if (isSameFile(await lstat(linked.path), linked.stats)) await unlink(linked.path);
    throw error;
  } finally {
    linked.file.close();
  }
};

const linkReplacing = async (store: StoreFolder, source: OpenObject, destination: ObjectKey): Promise<LinkOutcome> => {
  const temporary = join(store.temporary, temporaryName(store.owner));
  await link(source.path, temporary);
  if (!isSameFile(await lstat(temporary), source.stats)) {
    await removeTemporary(temporary);
    return { kind: 'replaced' };
  }
  await publishReplacing(store, destination, temporary);
  return { kind: 'linked', source: source.info, created: true };
};

/** Age from which the bytes of a file count as on disk: whoever wrote it flushed it long ago, or it was never pointed at. */
const flushedAfterMs = 10_000;

/** Whether the bytes of a file that was modified then are on disk. */
export const isOnDisk = ({ dependencies }: StoreFolder, mtimeMs: number): boolean =>
  dependencies.clock.now().getTime() - mtimeMs > flushedAfterMs;

const copyByLink = async (
  store: StoreFolder,
  source: OpenObject,
  destination: ObjectKey,
  options: CopyOptions,
): Promise<LinkOutcome> => {
  try {
    // The common case, a free destination, takes one link and no temporary name.
    const linked = await linkAbsent(store, destination, source.path, ({ mtimeMs }) => isOnDisk(store, mtimeMs));
    if (linked !== undefined) {
      await store.dependencies.crashPoint('object-store.copy.linked');
      const info = isSameFile(linked, source.stats)
        ? source.info
        : await describeLinked(store, source, destination, options);
      return { kind: 'linked', source: info, created: true };
    }
    if (options.ifAbsent === true) return { kind: 'linked', source: source.info, created: false };
    return await linkReplacing(store, source, destination);
  } catch (error) {
    if (cannotLink(error)) return { kind: 'impossible' };
    if (isErrno(error, 'ENOENT')) return { kind: 'replaced' };
    throw error;
  }
};

const publish = async (
  store: StoreFolder,
  destination: ObjectKey,
  temporary: string,
  options: CopyOptions,
): Promise<boolean> => {
  if (options.ifAbsent !== true) {
    await publishReplacing(store, destination, temporary);
    return true;
  }
  try {
    return (await linkAbsent(store, destination, temporary)) !== undefined;
  } finally {
    await removeTemporary(temporary);
  }
};

/** A new file with the same bytes, hashed on the way. Takes over the file of the source. */
const copyBytes = async (store: StoreFolder, source: OpenObject, options: CopyOptions): Promise<string> => {
  const { key, size, sha256, contentType } = source.info;
  const file = fileSource(source, 0, size, store.root);
  const body = checkedBody(
    source.content === undefined ? file : { ...bytesSource(source.content), close: file.close },
    {
      key,
      length: size,
      sha256,
    },
  );
  const put = options.signal === undefined ? {} : { signal: options.signal };
  return (await writeTemporary(store, key, body, { ...put, expected: { size, sha256 }, contentType })).path;
};

/** Destination and source differ. @throws `object_not_found`, `object_corrupt`. */
export const copyObject = async (
  store: StoreFolder,
  strategy: FilesystemObjectStoreConfig['copies'],
  sourceKey: ObjectKey,
  destination: ObjectKey,
  options: CopyOptions,
): Promise<CopiedObject> => {
  for (let attempt = 1; attempt <= mostTries; attempt += 1) {
    options.signal?.throwIfAborted();
    const source = await openObject(store, sourceKey);
    if (source === undefined) throw missing(sourceKey);
    try {
      checkExpected(sourceKey, options.expected, source.info);
      if (strategy === 'hardlink') {
        const outcome = await copyByLink(store, source, destination, options);
        if (outcome.kind === 'linked') return outcome;
        if (outcome.kind === 'replaced') continue;
      }
      if (strategy !== 'bytes') {
        const temporary = await reflinkTemporary(store, source.path);
        if (temporary !== undefined) {
          // The name was followed a second time: what came of it has to be what was described.
          if (!isSameFile(await lstat(source.path), source.stats)) {
            await removeTemporary(temporary);
            continue;
          }
          return { source: source.info, created: await publish(store, destination, temporary, options) };
        }
      }
      const temporary = await copyBytes(store, source, options);
      return { source: source.info, created: await publish(store, destination, temporary, options) };
    } finally {
      source.file.close();
    }
  }
  throw new CaseboundError(
    'object_store_unavailable',
    `The object ${sourceKey} was replaced ${mostTries} times while it was being copied. Try again.`,
  );
};
