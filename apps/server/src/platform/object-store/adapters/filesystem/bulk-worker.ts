/**
 * The thread in which calls for many objects are worked on, by system calls that wait.
 *
 * A way through the thread pool of Node costs ten times what opening a small file or linking it takes. Here is only what goes well: an
 * object that is there and whole, a name that is free. Everything else is left to the calls for one object, which know what to say.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  linkSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
  unlinkSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type { BulkAnswer, BulkObject, BulkRequest, BulkStart } from './bulk-messages.ts';
import { flatLayout, mirroredLayout, pathOfKey } from './object-path.ts';
import { parseRecord, recordBytes, type ObjectRecord } from './object-record.ts';

const { root, isFlat } = workerData as BulkStart;
const layout = isFlat ? flatLayout : mirroredLayout;
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Path of an object whose folder is the store's own; undefined when it is not there. `known` are the folders of one request. */
const findPath = (key: BulkObject['key'], known: Map<string, boolean>): string | undefined => {
  const { folders, name } = pathOfKey(key, layout);
  const folder = join(root, ...folders);
  let isOurs = known.get(folder);
  if (isOurs === undefined) {
    try {
      isOurs = realpathSync.native(folder) === folder;
    } catch {
      isOurs = false;
    }
    known.set(folder, isOurs);
  }
  return isOurs ? join(folder, name) : undefined;
};

interface Opened {
  readonly stats: Stats;
  readonly record: ObjectRecord;
  /** The bytes, when they were asked for. */
  readonly content: Uint8Array | undefined;
}

const readFully = (descriptor: number, length: number, position: number): Uint8Array | undefined => {
  const buffer = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const count = readSync(descriptor, buffer, filled, length - filled, position + filled);
    if (count === 0) return undefined;
    filled += count;
  }
  return buffer;
};

/** An object and its record; undefined for anything that is not whole, or longer than `maxBytes`. */
const look = (path: string, maxBytes?: number): Opened | undefined => {
  const descriptor = openSync(path, flags);
  try {
    const stats = fstatSync(descriptor);
    const size = stats.size - recordBytes;
    if (!stats.isFile() || size < 0 || (maxBytes !== undefined && size > maxBytes)) return undefined;
    const start = maxBytes === undefined ? size : 0;
    const bytes = readFully(descriptor, stats.size - start, start);
    const record = bytes === undefined ? undefined : parseRecord(bytes.subarray(-recordBytes));
    if (bytes === undefined || record?.size !== size) return undefined;
    return { stats, record, content: maxBytes === undefined ? undefined : bytes.subarray(0, size) };
  } finally {
    closeSync(descriptor);
  }
};

const head = (object: BulkObject, known: Map<string, boolean>): BulkAnswer | undefined => {
  const path = findPath(object.key, known);
  const found = path === undefined ? undefined : look(path);
  return found === undefined ? undefined : { record: found.record, mtimeMs: found.stats.mtimeMs };
};

const read = (object: BulkObject, known: Map<string, boolean>, maxBytes: number): BulkAnswer | undefined => {
  const path = findPath(object.key, known);
  const found = path === undefined ? undefined : look(path, maxBytes);
  if (found?.content === undefined) return undefined;
  if (createHash('sha256').update(found.content).digest('hex') !== found.record.sha256) return undefined;
  // Memory of its own, so that it is sent without the record behind it.
  return { record: found.record, mtimeMs: found.stats.mtimeMs, content: found.content.slice() };
};

const copy = ({ key, to, expected }: BulkObject, known: Map<string, boolean>): BulkAnswer | undefined => {
  const source = findPath(key, known);
  const destination = to === undefined ? undefined : findPath(to, known);
  if (source === undefined || destination === undefined) return undefined;
  const found = look(source);
  if (found === undefined) return undefined;
  const { size = found.record.size, sha256 = found.record.sha256 } = expected ?? {};
  if (size !== found.record.size || sha256 !== found.record.sha256) return undefined;
  linkSync(source, destination);
  const linked = lstatSync(destination);
  if (linked.ino === found.stats.ino && linked.dev === found.stats.dev)
    return { record: found.record, mtimeMs: linked.mtimeMs };
  // The source was replaced between the two: nobody knows this file, and the call for one object begins anew.
  unlinkSync(destination);
  return undefined;
};

const answer = ({ name, objects, maxBytes = 0 }: BulkRequest): (BulkAnswer | undefined)[] => {
  const known = new Map<string, boolean>();
  return objects.map((object) => {
    try {
      switch (name) {
        case 'head':
          return head(object, known);
        case 'read':
          return read(object, known, maxBytes);
        case 'copy':
          return copy(object, known);
      }
    } catch {
      return undefined;
    }
  });
};

parentPort?.on('message', (request: BulkRequest) => {
  const answers = answer(request);
  const buffers = answers.flatMap((one) => (one?.content === undefined ? [] : [one.content.buffer as ArrayBuffer]));
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a message port of Node has no origin
  parentPort?.postMessage({ id: request.id, answers }, buffers);
});
