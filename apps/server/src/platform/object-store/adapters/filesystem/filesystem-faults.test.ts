/** What the file system adapter makes of crashes, full and closed disks, damaged files and links that lead elsewhere. */
import { createHash } from 'node:crypto';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, linkSync } from 'node:fs';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  symlink,
  truncate,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeOf, listAll, streamOf } from '../../testing/test-objects.ts';
import { othersCanEnter } from '@casebound/test-kit';
import { filesystemObjectStoreConfig } from '../../config.ts';
import { createObjectStore } from '../../create-object-store.ts';
import { objectKey, objectPrefix, type ObjectStore } from '../../Port.ts';
import { readBytes } from '../../read-bytes.ts';
import { testDependencies } from '../../testing/test-dependencies.ts';
import { recordBytes } from './object-record.ts';
import { currentOwner } from './temporary-files.ts';

const isRoot = process.getuid?.() === 0;
const script = join(import.meta.dirname, '../../testing/store-process.ts');
const key = objectKey('case_1/a');

const text = async (store: ObjectStore, which = key): Promise<string> =>
  (await readBytes(store, which, { maxBytes: 1_000_000 })).toString();
const run = (root: string, action: string, crashAt = 'none', uid?: number) =>
  spawnSync(process.execPath, [script, root, action, crashAt], {
    encoding: 'utf8',
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });

describe('file system adapter when things go wrong', () => {
  let folder: string;
  let number = 0;
  const stores: ObjectStore[] = [];
  const mounts: string[] = [];
  const newRoot = (): string => join(folder, `store-${(number += 1)}`);
  const open = async (root: string, settings: Record<string, unknown> = {}): Promise<ObjectStore> => {
    const config = filesystemObjectStoreConfig.parse({ kind: 'filesystem', root, fsync: 'never', ...settings });
    const store = await createObjectStore(config, { ...testDependencies(), defaultRoot: root });
    stores.push(store);
    return store;
  };
  const mountTmpfs = async (size: string): Promise<string> => {
    const path = newRoot();
    await mkdir(path);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'casebound-test', path]);
    mounts.push(path);
    return path;
  };
  const canMount = isRoot && spawnSync('mount', ['--version']).status === 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'casebound-object-faults-'));
    await chmod(folder, 0o755);
  });
  afterAll(async () => {
    await Promise.all(stores.map((store) => store.close()));
    for (const path of mounts) execFileSync('umount', [path]);
    await rm(folder, { recursive: true });
  });

  for (const [action, crashAt, after] of [
    ['replace', 'object-store.put.written', { a: 'old' }],
    ['replace', 'object-store.put.published', { a: 'new' }],
    ['create', 'object-store.put.written', { a: 'old' }],
    ['create', 'object-store.put.published', { a: 'old', b: 'new' }],
    ['copy', 'object-store.copy.linked', { a: 'old', copy: 'old' }],
  ] as const) {
    it(`has either the old or the new object after a kill at ${crashAt} of a ${action}`, async () => {
      const root = newRoot();
      await (await open(root)).put(key, Buffer.from('old'));
      expect(run(root, action, crashAt).signal).toBe('SIGKILL');
      // The written file is still temporary, or (by link) temporary as well.
      const temporary = await readdir(join(root, '%tmp'));
      expect(temporary).toHaveLength(crashAt === 'object-store.put.written' ? 1 : 0);
      const store = await open(root);
      const found: Record<string, string> = {};
      for (const object of await listAll(store, objectPrefix('case_1/'))) {
        found[object.key.slice(7)] = await text(store, object.key);
      }
      expect(found).toEqual(after);
      expect(await readdir(join(root, '%tmp'))).toEqual([]);
    });
  }

  it('sweeps what a killed process was writing, and leaves what a live one is writing', async () => {
    const root = newRoot();
    const store = await open(root);
    const child = spawn(process.execPath, [script, root, 'stall', 'none'], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    expect(await store.sweep()).toEqual({ temporary: 0, uploads: 0 });
    expect(await readdir(join(root, '%tmp'))).toHaveLength(1);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(await store.sweep()).toEqual({ temporary: 1, uploads: 0 });
    expect(await store.head(key)).toBeUndefined();
  });

  it('sweeps by age alone what other machines, or nobody it knows, wrote', async () => {
    const root = newRoot();
    const store = await open(root, { sweepAfterSeconds: 3_600 });
    const me = await currentOwner();
    const names = [
      `${'0'.repeat(16)}-1-1-${'a'.repeat(18)}`,
      `${me.space}-${process.pid}-0-${'a'.repeat(18)}`,
      'something-else',
    ];
    for (const name of names) await writeFile(join(root, '%tmp', name), 'x');
    const reused = `${me.space}-${process.pid}-1-${'a'.repeat(18)}`;
    await writeFile(join(root, '%tmp', reused), 'x');
    expect(await store.sweep()).toEqual({ temporary: 1, uploads: 0 });
    const old = new Date(Date.now() - 3_700_000);
    for (const name of names) await utimes(join(root, '%tmp', name), old, old);
    expect(await store.sweep()).toEqual({ temporary: 3, uploads: 0 });
  });

  it.skipIf(!canMount)('says that the disk is full, stores nothing and goes on when there is room', async () => {
    const root = await mountTmpfs('1m');
    const store = await open(root);
    await store.put(key, Buffer.from('old'));
    const large = Buffer.alloc(2_000_000, 'x');
    for (const body of [large, streamOf(large)]) {
      const error: unknown = await store.put(key, body).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'object_store_full', message: expect.stringContaining('ENOSPC') });
    }
    expect(await readdir(join(root, '%tmp'))).toEqual([]);
    expect(await text(store)).toBe('old');
    await store.put(key, Buffer.alloc(100_000, 'y'));
    expect((await store.probe()).freeBytes).toBeLessThan(1_000_000);
  });

  it.skipIf(!canMount)('says that the file system is read-only', async () => {
    const root = await mountTmpfs('1m');
    const store = await open(root);
    await store.put(key, Buffer.from('old'));
    execFileSync('mount', ['-o', 'remount,ro', root]);
    for (const call of [
      () => store.put(key, Buffer.from('new')),
      () => store.delete(key),
      () => store.copy(key, objectKey('case_1/b')),
      () => store.probe(),
      () => open(root),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'object_store_denied' });
    }
    expect(await text(store)).toBe('old');
  });

  it.skipIf(!isRoot || !othersCanEnter(import.meta.dirname))(
    'says that a folder cannot be written to, read, or is none',
    async () => {
      const nobody = 65_534;
      const root = newRoot();
      await mkdir(root, { mode: 0o755 });
      expect(run(root, 'replace', 'none', nobody).stdout).toMatch(/^object_store_denied .*EACCES/);
      chownSync(root, nobody, nobody);
      expect(run(root, 'replace', 'none', nobody).stdout).toBe('done\n');
      chmodSync(join(root, 'case_1'), 0o500);
      expect(run(root, 'replace', 'none', nobody).stdout).toMatch(/^object_store_denied .*EACCES/);
      chmodSync(join(root, 'case_1'), 0);
      expect(run(root, 'copy', 'none', nobody).stdout).toMatch(/^object_store_denied .*EACCES/);
      const file = newRoot();
      await writeFile(file, 'a file');
      await expect(open(file)).rejects.toMatchObject({ code: 'object_store_denied' });
      await expect(open(join(file, 'below'))).rejects.toMatchObject({ code: 'object_store_denied' });
    },
  );

  it('asks to try again when too many files are open', () => {
    const root = newRoot();
    const few = spawnSync(
      'sh',
      ['-c', `ulimit -n 40; exec "$0" "$@"`, process.execPath, script, root, 'many', 'none'],
      {
        encoding: 'utf8',
      },
    );
    expect(few.stdout).toMatch(/^object_store_unavailable .*too many files are open/);
    expect(run(root, 'many').stdout).toBe('done\n');
  });

  it('finds a file that was cut, grown or changed anywhere, and never delivers it', async () => {
    const root = newRoot();
    const store = await open(root);
    for (const size of [0, 1_000, 300_000]) {
      await store.put(key, Buffer.alloc(size, 'x'));
      const file = join(root, 'case_1', 'a%');
      const whole = await readFile(file);
      const damage = async (bytes: Uint8Array): Promise<void> => {
        await unlink(file);
        await writeFile(file, bytes);
        const ranges = size === 0 ? [] : [{ start: 0, end: 1 }];
        expect(await codeOf(text(store)), `${bytes.byteLength} bytes`).toBe('object_corrupt');
        if (bytes.byteLength === whole.byteLength) return;
        expect(await codeOf(store.head(key))).toBe('object_corrupt');
        expect(await codeOf(store.copy(key, objectKey('case_1/copy')))).toBe('object_corrupt');
        for (const range of ranges) expect(await codeOf(store.get(key, { range }))).toBe('object_corrupt');
      };
      for (const length of [0, 1, recordBytes - 1, recordBytes, whole.byteLength - 1, size]) {
        if (length < whole.byteLength) await damage(whole.subarray(0, length));
      }
      await damage(Buffer.concat([whole, Buffer.from('x')]));
      await damage(Buffer.concat([Buffer.from('x'), whole]));
      const positions = [size - 1, Math.floor(size / 2), size, size + 30, size + 60, size + 130, whole.byteLength - 1];
      for (const at of positions.filter((position) => position >= 0)) {
        const flipped = Buffer.from(whole);
        flipped[at] = (flipped[at] ?? 0) ^ 1;
        await damage(flipped);
      }
    }
  });

  it('follows no symbolic link, be it in place of a folder or of an object', async () => {
    const root = newRoot();
    const store = await open(root);
    const outside = newRoot();
    const other = await open(outside);
    await other.put(objectKey('case_9/victim'), Buffer.from('outside'));
    await store.put(key, Buffer.from('inside'));
    await symlink(join(outside, 'case_9'), join(root, 'case_9'));
    await symlink(outside, join(root, 'case_1', 'up'));
    const victims = [objectKey('case_9/victim'), objectKey('case_1/up/case_9/victim')];
    for (const victim of victims) {
      for (const call of [
        () => store.get(victim),
        () => store.head(victim),
        () => store.put(victim, Buffer.from('overwritten')),
        () => store.put(objectKey(`${victim}-new`), Buffer.from('planted')),
        () => store.put(objectKey(`${victim}/deeper/new`), Buffer.from('planted')),
        () => store.copy(victim, objectKey('case_1/stolen')),
        () => store.copy(key, victim),
        () => store.delete(victim),
        () => store.deletePrefix(objectPrefix(victim.slice(0, -6))),
        () => listAll(store, objectPrefix(victim.slice(0, -6))),
      ]) {
        expect(await codeOf(call())).toBe('object_store_denied');
      }
    }
    await symlink(join(outside, 'case_9', 'victim%'), join(root, 'case_1', 'link%'));
    const link = objectKey('case_1/link');
    expect(await codeOf(store.get(link))).toBe('object_store_denied');
    expect(await codeOf(store.copy(link, objectKey('case_1/stolen')))).toBe('object_store_denied');
    expect((await listAll(store, objectPrefix('case_1/'))).map((object) => object.key)).toEqual([key]);
    await store.put(link, Buffer.from('replaced the link itself'));
    expect((await lstat(join(root, 'case_1', 'link%'))).isFile()).toBe(true);
    await store.deletePrefix(objectPrefix('case_1/'));
    expect(await text(other, objectKey('case_9/victim'))).toBe('outside');
    expect(await readdir(outside)).toEqual(['%casebound-object-store.json', '%tmp', 'case_9']);
  });

  it('is not held up by a named pipe or folder in place of an object', async () => {
    const root = newRoot();
    const store = await open(root);
    await store.put(key, Buffer.from('a'));
    execFileSync('mkfifo', [join(root, 'case_1', 'pipe%')]);
    await mkdir(join(root, 'case_1', 'folder%'));
    expect(await codeOf(store.get(objectKey('case_1/pipe')))).toBe('object_corrupt');
    expect(await codeOf(store.get(objectKey('case_1/folder')))).toBe('object_corrupt');
    expect(await codeOf(store.put(objectKey('case_1/folder'), Buffer.from('a')))).toBe('object_store_denied');
    expect(await listAll(store, objectPrefix('case_1/'))).toHaveLength(1);
  });

  it('protects files and folders from others, and from being written', async () => {
    const root = newRoot();
    await (await open(root)).put(key, Buffer.from('a'));
    expect((await stat(join(root, 'case_1', 'a%'))).mode & 0o777).toBe(0o400);
    for (const path of ['', 'case_1', '%tmp']) expect((await stat(join(root, path))).mode & 0o777).toBe(0o700);
    const shared = newRoot();
    await (await open(shared, { groupReadable: true })).put(key, Buffer.from('a'));
    const modes = [await stat(join(shared, 'case_1', 'a%')), await stat(join(shared, 'case_1'))];
    expect(modes.map(({ mode }) => mode & 0o777)).toEqual([0o440, 0o750]);
  });

  it('copies by hard link, or to a file of its own, as the setting says', async () => {
    for (const [copies, links] of [
      ['hardlink', 2],
      ['reflink', 1],
      ['bytes', 1],
    ] as const) {
      const root = newRoot();
      const store = await open(root, { copies });
      await store.put(key, Buffer.from('a'));
      await store.copy(key, objectKey('case_2/b'));
      await store.copy(key, objectKey('case_2/b'));
      expect((await stat(join(root, 'case_2', 'b%'))).nlink).toBe(links);
    }
  });

  it('copies in another way when a file has as many links as it may', async (context) => {
    const root = newRoot();
    const store = await open(root);
    await store.put(key, Buffer.from('a'));
    const ext4 = 0xef53;
    const most = 65_000;
    if ((await statfs(root)).type !== ext4) return context.skip('only ext4 has a limit that can be reached soon');
    const spare = join(root, 'spare');
    await mkdir(spare);
    for (let i = 1; i < most; i += 1) linkSync(join(root, 'case_1', 'a%'), join(spare, String(i)));
    await store.copy(key, objectKey('case_2/b'));
    expect((await stat(join(root, 'case_2', 'b%'))).nlink).toBe(1);
    expect(await text(store, objectKey('case_2/b'))).toBe('a');
  });

  it('copies many at once from a source that is replaced meanwhile, each whole and one of the two', async () => {
    const store = await open(newRoot());
    const versions = [Buffer.from('one'.repeat(100)), Buffer.from('two')];
    const sums = versions.map((bytes) => createHash('sha256').update(bytes).digest('hex'));
    await store.put(key, versions[0] ?? Buffer.alloc(0));
    for (let round = 0; round < 10; round += 1) {
      const requests = Array.from({ length: 256 }, (_, at) => {
        return { source: key, destination: objectKey(`case_2/round/${round}/a/b/${at}`) };
      });
      const done = new AbortController();
      const replacing = (async () => {
        for (let at = 0; !done.signal.aborted; at += 1) await store.put(key, versions[at % 2] ?? Buffer.alloc(0));
      })();
      const copied = await store.copyAll(requests, { ifAbsent: true });
      done.abort();
      await replacing;
      const read = await store.readAll(
        requests.map(({ destination }) => destination),
        { maxBytes: 1_000 },
      );
      for (const [at, answer] of copied.entries()) {
        expect(answer).toMatchObject({ ok: true, value: { created: true } });
        const sum = answer.ok ? answer.value.sha256 : '';
        expect(sums).toContain(sum);
        const bytes = read[at];
        expect(bytes?.ok === true && createHash('sha256').update(bytes.value).digest('hex')).toBe(sum);
      }
    }
  });

  it('leaves no empty folder, and loses no put to the removal of one', async () => {
    const root = newRoot();
    const store = await open(root);
    const keys = Array.from({ length: 8 }, (_, i) => objectKey(`case_1/deep/er/${i}`));
    await Promise.all(
      keys.map(async (each, i) => {
        for (let round = 0; round < 150; round += 1) {
          await store.put(each, Buffer.from(`${round}`), { ifAbsent: i % 2 === 0 });
          expect(await text(store, each)).toBe(`${round}`);
          await store.delete(each);
        }
      }),
    );
    expect((await readdir(root)).filter((name) => !name.startsWith('%'))).toEqual([]);
    expect(await readdir(join(root, '%tmp'))).toEqual([]);
  });

  it('refuses the folder of a newer version, and one whose marker is damaged', async () => {
    const root = newRoot();
    await open(root);
    await writeFile(join(root, '%casebound-object-store.json'), '{"format":3}\n');
    await expect(open(root)).rejects.toMatchObject({
      code: 'object_store_denied',
      message: expect.stringContaining('newer'),
    });
    await writeFile(join(root, '%casebound-object-store.json'), 'garbage');
    await expect(open(root)).rejects.toMatchObject({
      code: 'object_store_denied',
      message: expect.stringContaining('damaged'),
    });
    await unlink(join(root, '%casebound-object-store.json'));
    await mkdir(join(root, 'case_1'));
    await expect(open(root)).rejects.toMatchObject({
      code: 'object_store_denied',
      message: expect.stringContaining('{"format":1}'),
    });
  });

  it('fails in the taxonomy when its folder goes away', async () => {
    const root = newRoot();
    const store = await open(root);
    await store.put(key, Buffer.from('a'));
    await rename(root, `${root}-gone`);
    expect(await codeOf(store.put(key, Buffer.from('b')))).toBe('object_store_unavailable');
    expect(await codeOf(store.probe())).toBe('object_store_unavailable');
  });

  it('reports a read that fails in the middle', async () => {
    const root = newRoot();
    const store = await open(root);
    await store.put(key, Buffer.alloc(2_000_000, 'x'));
    const { body } = await store.get(key);
    await truncate(join(root, 'case_1', 'a%'), 100_000);
    await expect(body.toArray()).rejects.toMatchObject({ code: 'object_corrupt' });
  });

  it.skipIf(process.platform !== 'linux')('leaves no file open', async () => {
    const root = newRoot();
    const store = await open(root, { fsync: 'always' });
    const openFiles = async (): Promise<number> => {
      let count = 0;
      for (const fd of await readdir('/proc/self/fd')) {
        const path = await import('node:fs/promises')
          .then(({ readlink }) => readlink(`/proc/self/fd/${fd}`))
          .catch(() => '');
        if (path.startsWith(root)) count += 1;
      }
      return count;
    };
    const large = Buffer.alloc(500_000, 'x');
    await store.put(key, large);
    for (let i = 0; i < 20; i += 1) {
      await codeOf(store.put(key, streamOf(large), { expected: { size: 1 } }));
      await codeOf(store.get(key, { range: { start: 0, end: 600_000 } }));
      (await store.get(key)).body.destroy();
      await text(store);
      await store.copy(key, objectKey(`case_1/${i}`));
      await store.head(key);
    }
    await expect.poll(openFiles, { timeout: 15_000 }).toBe(0);
  });
});
