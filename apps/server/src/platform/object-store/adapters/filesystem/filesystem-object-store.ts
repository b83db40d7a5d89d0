/**
 * Objects as files in a folder.
 *
 * 1. An object is one file: its bytes and its record (object-record.ts). It gets its name in one step (write-object.ts), and
 *    is never written again.
 * 2. No path is used that was not found to lie in the store (folders.ts); the last step of it never follows a link.
 * 3. Any number of processes on one machine may use the folder at once: what decides between them is the kernel's rename and link.
 */
import { link, open, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CaseboundError } from '@casebound/contract';
import { bytesSource, checkedBody, discardBody } from '../../checked-body.ts';
import type { FilesystemObjectStoreConfig } from '../../config.ts';
import { abortWith, checkContentType, checkPageSize, checkSameOrExists, resolveRange } from '../../check-arguments.ts';
import type { ObjectStoreDependencies } from '../../dependencies.ts';
import { forEachConcurrently, limitConcurrency } from '../../limit-concurrency.ts';
import type { ObjectInfo, ObjectKey, ObjectStore, Stored } from '../../Port.ts';
import { probePrefix, probeStore } from '../../probe-store.ts';
import { createBulkCalls } from './bulk-calls.ts';
import { copyObject } from './copy-object.ts';
import { createDurability } from './durability.ts';
import { classifyFileError, isErrno } from './file-errors.ts';
import { createKnownFolders, findFolder, removeEmptyFolders } from './folders.ts';
import { foldersOfPrefix, pathOfKey } from './object-path.ts';
import { fileSource, openObject } from './read-object.ts';
import { openRoot } from './store-root.ts';
import { currentOwner, sweepTemporaryFiles, temporaryName } from './temporary-files.ts';
import { listPages, walkObjects } from './walk-objects.ts';
import { linkAbsent, publishReplacing, removeTemporary, writeTemporary, type StoreFolder } from './write-object.ts';

/** Files that operations on whole objects hold open at once; streams, which last as long as their caller likes, come on top. */
const mostOperations = 64;
const deleteConcurrency = 16;

/** Create-only rests on link(2), so a file system without it is refused at the start. */
const checkLinks = async (store: StoreFolder): Promise<void> => {
  const one = join(store.temporary, temporaryName(store.owner));
  const other = join(store.temporary, temporaryName(store.owner));
  await (await open(one, 'wx', 0o600)).close();
  try {
    await link(one, other);
    await unlink(other);
  } catch (error) {
    throw new CaseboundError(
      'object_store_denied',
      `The file system of ${store.root} has no hard links, which the object store needs. Choose a folder on another one.`,
      { cause: error },
    );
  } finally {
    await removeTemporary(one);
  }
};

const toStored = (info: Omit<Stored, 'created' | 'etag'>, created: boolean): Stored => ({
  key: info.key,
  size: info.size,
  sha256: info.sha256,
  etag: info.sha256,
  created,
});

/**
 * Opens, and makes where needed, the store in `config.root`.
 * @throws `object_store_denied` when the folder cannot be used, `object_store_full` when its disk is full.
 */
export const openFilesystemObjectStore = async (
  config: FilesystemObjectStoreConfig & { readonly root: string },
  dependencies: ObjectStoreDependencies,
): Promise<ObjectStore> => {
  const folderMode = config.groupReadable ? 0o750 : 0o700;
  const classify = (error: unknown, doing: string): unknown => classifyFileError(error, doing, config.root);
  const guarded = async <T>(doing: string, task: () => Promise<T>): Promise<T> => {
    try {
      return await task();
    } catch (error) {
      throw classify(error, doing);
    }
  };

  const store: StoreFolder = await guarded('open its folder', async () => {
    const owner = await currentOwner();
    return {
      ...(await openRoot(config, folderMode, owner)),
      known: createKnownFolders(dependencies.clock),
      owner,
      fileMode: config.groupReadable ? 0o440 : 0o400,
      folderMode,
      durability: createDurability(config, (error) => {
        const failure = classify(error, 'make objects durable');
        dependencies.log.warn('The object store could not make objects durable', {
          component: 'object-store',
          errorCode: failure instanceof CaseboundError ? failure.code : 'internal',
        });
      }),
      dependencies,
    };
  });
  await guarded('try its folder', () => checkLinks(store));

  const limit = limitConcurrency(mostOperations);
  let closed = false;
  const run = <T>(doing: string, task: () => Promise<T>): Promise<T> =>
    guarded(doing, async () => {
      if (closed) throw new CaseboundError('object_store_unavailable', 'The object store was closed.');
      return task();
    });

  const read = async (key: ObjectKey): Promise<ObjectInfo | undefined> => {
    const opened = await openObject(store, key);
    opened?.file.close();
    return opened?.info;
  };

  const put: ObjectStore['put'] = async (key, body, options = {}) => {
    const write = async (): Promise<Stored> => {
      options.signal?.throwIfAborted();
      const contentType = checkContentType(options.contentType);
      const { path, record } = await writeTemporary(store, key, body, { ...options, contentType });
      await dependencies.crashPoint('object-store.put.written');
      if (options.ifAbsent === true) {
        try {
          if ((await linkAbsent(store, key, path)) === undefined) {
            return toStored(checkSameOrExists(key, record, await read(key)), false);
          }
        } finally {
          await removeTemporary(path);
        }
      } else await publishReplacing(store, key, path);
      await dependencies.crashPoint('object-store.put.published');
      return toStored({ key, ...record }, true);
    };
    try {
      return await run(`write ${key}`, () => (body instanceof Uint8Array ? limit(write) : write()));
    } catch (error) {
      discardBody(body);
      throw error;
    }
  };

  const get: ObjectStore['get'] = (key, options = {}) =>
    run(`read ${key}`, async () => {
      options.signal?.throwIfAborted();
      const opened = await openObject(store, key);
      if (opened === undefined) throw new CaseboundError('object_not_found', `There is no object ${key}.`);
      try {
        const { info, content } = opened;
        const { start, end } = resolveRange(key, options.range, info.size);
        const claim = { key, length: end - start, ...(end - start === info.size ? { sha256: info.sha256 } : {}) };
        let source = fileSource(opened, start, end, store.root);
        if (content !== undefined) {
          opened.file.close();
          source = bytesSource(content.subarray(start, end));
        }
        const body = checkedBody(source, claim);
        if (options.signal !== undefined) abortWith(body, options.signal);
        return { info, length: claim.length, body };
      } catch (error) {
        opened.file.close();
        throw error;
      }
    });

  const deleteKeys = async (keys: readonly ObjectKey[], signal: AbortSignal | undefined): Promise<void> => {
    const byFolder = Map.groupBy(
      keys.map((key) => pathOfKey(key, store.layout)),
      ({ folders }) => folders.join('/'),
    );
    await forEachConcurrently(byFolder.values(), deleteConcurrency, async (paths) => {
      const folder = await findFolder(store, paths[0]?.folders ?? []);
      if (folder === undefined) return;
      let removed = 0;
      await forEachConcurrently(paths, deleteConcurrency, async ({ name }) => {
        signal?.throwIfAborted();
        try {
          await limit(() => unlink(join(folder, name)));
          removed += 1;
        } catch (error) {
          if (!isErrno(error, 'ENOENT')) throw error;
        }
      });
      if (removed > 0) await store.durability.changed(await removeEmptyFolders(store.root, folder));
    });
  };

  const single: Pick<ObjectStore, 'get' | 'head' | 'copy'> = {
    get,
    head: (key, options = {}) =>
      run(`read ${key}`, async () => {
        options.signal?.throwIfAborted();
        return limit(() => read(key));
      }),
    copy: (source, destination, options = {}) =>
      run(`copy ${source} to ${destination}`, () =>
        limit(async () => {
          const copied = await copyObject(store, config.copies, source, destination, options);
          if (!copied.created) checkSameOrExists(destination, copied.source, await read(destination));
          return toStored({ ...copied.source, key: destination }, copied.created);
        }),
      ),
  };
  const bulk = createBulkCalls({ store, single, links: config.copies === 'hardlink', isClosed: () => closed });

  return {
    kind: 'filesystem',
    put,
    ...single,
    copyAll: bulk.copyAll,
    headAll: bulk.headAll,
    readAll: bulk.readAll,
    list: async function* list(prefix, options = {}) {
      const pageSize = checkPageSize(options.pageSize);
      const pages = listPages(store, prefix, options.after ?? '', pageSize);
      try {
        for (;;) {
          const page = await run(`list ${prefix}`, async () => {
            options.signal?.throwIfAborted();
            return pages.next();
          });
          if (page.done === true) return;
          yield page.value;
        }
      } finally {
        await pages.return(undefined);
      }
    },
    delete: (keys, options = {}) =>
      run('delete objects', () => deleteKeys(typeof keys === 'string' ? [keys] : keys, options.signal)),
    deletePrefix: (prefix, options = {}) =>
      run(`delete ${prefix}`, async () => {
        let removed = 0;
        let keys: ObjectKey[] = [];
        const flushKeys = async (): Promise<void> => {
          await deleteKeys(keys, options.signal);
          removed += keys.length;
          keys = [];
        };
        for await (const { key } of walkObjects(store, prefix, '')) {
          keys.push(key);
          if (keys.length === 1_000) await flushKeys();
        }
        await flushKeys();
        const folder = await findFolder(store, foldersOfPrefix(prefix, store.layout));
        if (folder !== undefined) await store.durability.changed(await removeEmptyFolders(store.root, folder));
        return removed;
      }),
    flush: () => run('make objects durable', () => store.durability.flush()),
    probe: (options = {}) =>
      run('try a small object', async () => {
        const times = await probeStore(
          { put, get, delete: (keys) => deleteKeys([keys].flat(), undefined) },
          () => dependencies.clock.monotonicMs(),
          options.signal,
        );
        const { bavail, bsize } = await statfs(store.root);
        return { address: store.root, ...times, freeBytes: bavail * bsize };
      }),
    sweep: () =>
      run('sweep its temporary files', async () => {
        const maxAgeMs = config.sweepAfterSeconds * 1_000;
        const now = dependencies.clock.now();
        const temporary = await sweepTemporaryFiles(store.temporary, store.owner, now, maxAgeMs);
        const probes: ObjectKey[] = [];
        for await (const page of listPages(store, probePrefix, '', 1_000)) {
          for (const { key, lastModified } of page) {
            if (now.getTime() - lastModified.getTime() > maxAgeMs) probes.push(key);
          }
        }
        await deleteKeys(probes, undefined);
        return { temporary: temporary + probes.length, uploads: 0 };
      }),
    close: async () => {
      closed = true;
      await bulk.close();
      await guarded('make objects durable', () => store.durability.close());
    },
  };
};
