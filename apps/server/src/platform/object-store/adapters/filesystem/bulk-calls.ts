/**
 * Calls for many objects: the thread does what goes well, and the calls for one object the rest.
 *
 * - A thread that ends while it works leaves its objects to the calls for one: a copy is whole or absent, and done again it is the same.
 * - The thread starts with the first call that is worth it, and does not keep the process alive.
 */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { CaseboundError } from '@casebound/contract';
import { each } from '../../one-by-one.ts';
import type { CopyRequest, Each, ObjectInfo, ObjectKey, ObjectStore, Stored } from '../../Port.ts';
import { readBytes } from '../../read-bytes.ts';
import type { BulkAnswer, BulkAnswers, BulkObject, BulkRequest, BulkStart } from './bulk-messages.ts';
import { isOnDisk } from './copy-object.ts';
import { ensureFolder } from './folders.ts';
import { flatLayout, pathOfKey } from './object-path.ts';
import type { StoreFolder } from './write-object.ts';

/** Fewer are quicker without a thread. */
const fewest = 8;
/** Objects of one message to the thread. */
const mostAtOnce = 256;

type Answers = BulkAnswers['answers'];

class BulkThread {
  readonly #start: BulkStart;
  readonly #pending = new Map<number, (answers: Answers) => void>();
  #worker: Worker | undefined;
  #nextId = 1;

  constructor(start: BulkStart) {
    this.#start = start;
  }

  /** No answers when the thread ended first. */
  async ask(request: Omit<BulkRequest, 'id'>): Promise<Answers> {
    const worker = (this.#worker ??= this.#spawn());
    const id = this.#nextId;
    this.#nextId += 1;
    worker.ref();
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker of Node has no origin
      worker.postMessage({ ...request, id });
    });
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #spawn(): Worker {
    const worker = new Worker(new URL('./bulk-worker.ts', import.meta.url), { workerData: this.#start, execArgv: [] });
    worker.on('message', ({ id, answers }: BulkAnswers) => {
      this.#pending.get(id)?.(answers);
      this.#pending.delete(id);
      if (this.#pending.size === 0) worker.unref();
    });
    const end = (): void => {
      if (this.#worker === worker) this.#worker = undefined;
      for (const resolve of this.#pending.values()) resolve([]);
      this.#pending.clear();
    };
    worker.on('error', end);
    worker.on('exit', end);
    return worker;
  }
}

export type BulkCalls = Pick<ObjectStore, 'copyAll' | 'headAll' | 'readAll'> & { close(): Promise<void> };

interface BulkParts {
  readonly store: StoreFolder;
  /** The calls for one object. */
  readonly single: Pick<ObjectStore, 'copy' | 'head' | 'get'>;
  /** Whether copies are links. */
  readonly links: boolean;
  readonly isClosed: () => boolean;
}

export const createBulkCalls = ({ store, single, links, isClosed }: BulkParts): BulkCalls => {
  const thread = new BulkThread({ root: store.root, isFlat: store.layout === flatLayout });

  const run = async <T extends BulkObject, R>(
    request: Omit<BulkRequest, 'id' | 'objects'>,
    objects: readonly T[],
    signal: AbortSignal | undefined,
    value: (object: T, answer: BulkAnswer) => Promise<R>,
    alone: (object: T) => Promise<R>,
  ): Promise<Each<R>[]> => {
    const results: Each<R>[] = [];
    for (let at = 0; at < objects.length; at += mostAtOnce) {
      signal?.throwIfAborted();
      if (isClosed()) throw new CaseboundError('object_store_unavailable', 'The object store was closed.');
      const part = objects.slice(at, at + mostAtOnce);
      const answers = part.length < fewest ? [] : await thread.ask({ ...request, objects: part });
      const paired = part.map((object, index) => ({ object, answer: answers[index] }));
      const done = await each(paired, signal, async ({ object, answer }) =>
        answer === undefined ? alone(object) : value(object, answer),
      );
      results.push(...done);
    }
    return results;
  };

  const infoOf = (key: ObjectKey, { record, mtimeMs }: BulkAnswer): ObjectInfo => ({
    key,
    ...record,
    etag: record.sha256,
    // As Node makes the time of a file.
    lastModified: new Date(Math.round(mtimeMs)),
  });

  /** Folders into which copies go, so that the thread finds them. One that cannot be made fails the copies into it. */
  const makeFolders = async (requests: readonly CopyRequest[]): Promise<void> => {
    const folders = new Map(
      requests.map(({ destination }) => {
        const names = pathOfKey(destination, store.layout).folders;
        return [names.join('/'), names];
      }),
    );
    await each([...folders.values()], undefined, async (names) =>
      ensureFolder(store, names, store.folderMode, async (parent) => store.durability.changed(parent)),
    );
  };

  return {
    headAll: async (keys, { signal } = {}) =>
      run(
        { name: 'head' },
        keys.map((key) => ({ key })),
        signal,
        async ({ key }, answer): Promise<ObjectInfo | undefined> => Promise.resolve(infoOf(key, answer)),
        async ({ key }) => single.head(key, signal === undefined ? {} : { signal }),
      ),
    readAll: async (keys, options) =>
      run(
        { name: 'read', maxBytes: options.maxBytes },
        keys.map((key) => ({ key })),
        options.signal,
        async (_object, { content }): Promise<Uint8Array> => Promise.resolve(content ?? new Uint8Array(0)),
        async ({ key }) => readBytes(single, key, options),
      ),
    copyAll: async (requests, options = {}) => {
      const alone = async ({ key, to, expected }: Copy): Promise<Stored> =>
        single.copy(key, to, { ...options, ...(expected === undefined ? {} : { expected }) });
      const objects = requests.map(({ source, destination, expected }): Copy => {
        return { key: source, to: destination, ...(expected === undefined ? {} : { expected }) };
      });
      if (!links) return each(objects, options.signal, alone);
      if (objects.length >= fewest) await makeFolders(requests);
      return run(
        { name: 'copy' },
        objects,
        options.signal,
        async ({ to }, { record, mtimeMs }) => {
          const { folders, name } = pathOfKey(to, store.layout);
          const folder = join(store.root, ...folders);
          const file = isOnDisk(store, mtimeMs) ? undefined : join(folder, name);
          await store.durability.published(folder, file);
          const { size, sha256 } = record;
          return { key: to, size, sha256, etag: sha256, created: true };
        },
        alone,
      );
    },
    close: async () => thread.close(),
  };
};

type Copy = BulkObject & { readonly to: ObjectKey };
