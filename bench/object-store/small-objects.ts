/**
 * Small objects in the file system store against a bare loop that does the least for the same visible result, in the same run on the
 * same disk: `writeFile` for a put, `readFile` for a get, `link` for a copy. No fsync on either side unless the row says so.
 *
 * Usage: node bench/object-store/small-objects.ts [objects, default 10000] [folder, default the system's temporary one]
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, mkdtemp, open, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createObjectStore } from '../../apps/server/src/platform/object-store/create-object-store.ts';
import { objectStoreConfigSchema } from '../../apps/server/src/platform/object-store/config.ts';
import {
  objectKey,
  objectPrefix,
  type ObjectKey,
  type ObjectStore,
} from '../../apps/server/src/platform/object-store/Port.ts';

const objects = Number(process.argv[2] ?? '10000');
const parent = process.argv[3] ?? tmpdir();
const objectBytes = 4_096;
const concurrency = 16;
const rounds = 3;
/** Fewer where each waits for the disk. */
const synced = Math.ceil(objects / 20);

const each = async (count: number, task: (i: number) => Promise<unknown>): Promise<number> => {
  const started = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const i = next;
      next += 1;
      await task(i);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return (performance.now() - started) / count;
};

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/** Milliseconds an object, by row. */
type Times = Map<string, number[]>;

const note = (times: Times, row: string, ms: number): void => {
  times.set(row, [...(times.get(row) ?? []), ms]);
};

const data = randomBytes(objectBytes);
const folderOf = (i: number): string => String(i % 50);

const key = (kind: string, i: number): ObjectKey => objectKey(`case_1/${kind}/${folderOf(i)}/${i}`);

const bareRound = async (root: string, times: Times): Promise<void> => {
  for (let i = 0; i < 50; i += 1) {
    await mkdir(join(root, 'source', String(i)), { recursive: true });
    await mkdir(join(root, 'copy', String(i)), { recursive: true });
    await mkdir(join(root, 'synced', String(i)), { recursive: true });
  }
  const path = (kind: string, i: number): string => join(root, kind, folderOf(i), String(i));
  note(times, 'put', await each(objects, (i) => writeFile(path('source', i), data)));
  note(times, 'get', await each(objects, (i) => readFile(path('source', i))));
  note(times, 'copy', await each(objects, (i) => link(path('source', i), path('copy', i))));
  note(times, 'delete', await each(objects, (i) => unlink(path('copy', i))));
  note(
    times,
    'put, fsync',
    await each(synced, async (i) => {
      const handle = await open(path('synced', i), 'wx');
      await handle.writeFile(data);
      await handle.sync();
      await handle.close();
      const folder = await open(join(root, 'synced', folderOf(i)), 'r');
      await folder.sync();
      await folder.close();
    }),
  );
};

const openStore = (root: string, settings: Record<string, unknown>): Promise<ObjectStore> =>
  createObjectStore(objectStoreConfigSchema.parse({ kind: 'filesystem', root, ...settings }), {
    defaultRoot: root,
    clock: { now: () => new Date(), monotonicMs: () => performance.now() },
    log: { warn: (message) => console.error(message) },
    crashPoint: () => {},
  });

const storeRound = async (root: string, times: Times): Promise<void> => {
  const store = await openStore(join(root, 'never'), { fsync: 'never' });
  note(times, 'put', await each(objects, (i) => store.put(key('source', i), data)));
  note(times, 'get', await each(objects, async (i) => (await store.get(key('source', i))).body.toArray()));
  note(times, 'copy', await each(objects, (i) => store.copy(key('source', i), key('copy', i))));
  const keys = Array.from({ length: objects }, (_, i) => key('copy', i));
  const started = performance.now();
  await store.delete(keys);
  note(times, 'delete', (performance.now() - started) / objects);
  const listing = performance.now();
  let seen = 0;
  for await (const page of store.list(objectPrefix('case_1/'))) seen += page.length;
  if (seen !== objects) throw new Error(`Listed ${seen} of ${objects} objects.`);
  note(times, 'list', (performance.now() - listing) / objects);
  await store.close();
  const always = await openStore(join(root, 'always'), { fsync: 'always' });
  note(times, 'put, fsync', await each(synced, (i) => always.put(key('synced', i), data)));
  await always.close();
  const batch = await openStore(join(root, 'batch'), { fsync: 'batch' });
  const flushing = performance.now();
  await each(synced, (i) => batch.put(key('synced', i), data));
  await batch.flush();
  note(times, 'put, batch', (performance.now() - flushing) / synced);
  await batch.close();
};

const bare: Times = new Map();
const store: Times = new Map();
for (let round = 0; round < rounds; round += 1) {
  const root = await mkdtemp(join(parent, 'casebound-bench-objects-'));
  try {
    await bareRound(join(root, 'bare'), bare);
    await storeRound(join(root, 'store'), store);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

console.log(`${objects} objects of ${objectBytes} bytes, ${concurrency} at once, median of ${rounds} rounds`);
const table = [...store].map(([row, values]) => {
  const ours = median(values);
  const theirs = bare.get(row === 'put, batch' ? 'put, fsync' : row);
  const limit = theirs === undefined ? undefined : median(theirs);
  return {
    operation: row,
    'objects/s': Math.round(1_000 / ours),
    'bare loop/s': limit === undefined ? '' : Math.round(1_000 / limit),
    'times the bare time': limit === undefined ? '' : Number((ours / limit).toFixed(2)),
  };
});
console.table(table);
