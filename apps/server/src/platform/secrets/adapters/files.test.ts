import { chmod, mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createTemporaryFolder, spawnScript } from '@casebound/test-kit';
import { describe, expect, it } from 'vitest';
import { testSecretStore } from '../conformance.ts';
import { SecretValue } from '../secret-value.ts';
import { FilesSecretStore } from './files.ts';

const storeIn = (folder: string, options: Partial<ConstructorParameters<typeof FilesSecretStore>[0]> = {}) =>
  new FilesSecretStore({ folder, readableByOthers: false, generateMissing: false, ...options });

const putFile = async (file: string, content: string | Uint8Array, mode = 0o600): Promise<void> => {
  await mkdir(dirname(file), { recursive: true });
  await rm(file, { recursive: true, force: true });
  await writeFile(file, content, { mode });
  await chmod(file, mode);
};

testSecretStore(
  'secrets in files',
  async () => {
    const folder = await createTemporaryFolder();
    const root = join(folder.path, 'secrets');
    await mkdir(root);
    const fileOf = (name: string): string => join(root, ...name.split('/'));
    const restore = (name: string) => rm(fileOf(name), { recursive: true, force: true });
    return {
      store: storeIn(root),
      // Every editor ends a file with a newline.
      put: (name, text) => putFile(fileOf(name), `${text}\n`),
      remove: (name) => rm(fileOf(name)),
      failures: {
        'a file that anyone may read': {
          code: 'secret_invalid',
          begin: (name, quote) => putFile(fileOf(name), quote, 0o644),
          end: restore,
        },
        'a link out of the folder': {
          code: 'secret_invalid',
          begin: async (name, quote) => {
            await putFile(join(folder.path, 'outside'), quote);
            await rm(fileOf(name));
            await symlink(join(folder.path, 'outside'), fileOf(name));
          },
          end: restore,
        },
        'a folder in place of the file': {
          code: 'secret_invalid',
          begin: async (name, quote) => {
            await rm(fileOf(name));
            await mkdir(join(fileOf(name), quote), { recursive: true });
          },
          end: restore,
        },
        'bytes that are not UTF-8': {
          code: 'secret_invalid',
          begin: (name, quote) => putFile(fileOf(name), Buffer.concat([Buffer.from(quote), Buffer.from([0xff, 0xfe])])),
          end: restore,
        },
        'a file far too large': {
          code: 'secret_invalid',
          begin: (name, quote) => putFile(fileOf(name), quote.repeat(10_000)),
          end: restore,
        },
        'links in a circle': {
          code: 'secret_store_denied',
          begin: async (name) => {
            await rm(fileOf(name));
            await symlink(fileOf(name), fileOf(name));
          },
          end: restore,
        },
      },
      close: () => folder.remove(),
    };
  },
  [
    'a file that anyone may read',
    'a link out of the folder',
    'a folder in place of the file',
    'bytes that are not UTF-8',
    'a file far too large',
    'links in a circle',
  ],
);

describe('FilesSecretStore', () => {
  it('takes off one newline at the end, of either kind, and no more', async () => {
    await using folder = await createTemporaryFolder();
    const store = storeIn(folder.path);
    for (const [written, read] of [
      ['a\n', 'a'],
      ['a\r\n', 'a'],
      ['a\n\n', 'a\n'],
      ['a', 'a'],
      [' a ', ' a '],
    ] as const) {
      await putFile(join(folder.path, 'x'), written);
      expect((await store.read('x'))?.reveal()).toBe(read);
    }
  });

  it('reads what others may read when told to, but never what others may write', async () => {
    await using folder = await createTemporaryFolder();
    const store = storeIn(folder.path, { readableByOthers: true });
    await putFile(join(folder.path, 'x'), 'value', 0o644);
    expect((await store.read('x'))?.reveal()).toBe('value');
    await chmod(join(folder.path, 'x'), 0o606);
    await expect(store.read('x')).rejects.toThrow(/Any user may write .*mode 0606/);
  });

  it('refuses names that lead elsewhere', async () => {
    await using folder = await createTemporaryFolder();
    for (const name of ['../x', '/etc/passwd', 'a/../../b', 'a//b', '.hidden', 'a\0b', '']) {
      await expect(storeIn(join(folder.path, 'in')).read(name)).rejects.toThrow(RangeError);
    }
  });

  it('follows a rotation as Kubernetes does it, also between finding the file and opening it', async () => {
    await using folder = await createTemporaryFolder();
    const publish = publishAsKubernetes(folder.path);
    await publish(1);
    await symlink(join('..data', 'db-url'), join(folder.path, 'db-url'));
    let version = 1;
    const store = storeIn(folder.path, {
      onResolved: async () => {
        if (version < 4) await publish((version += 1));
      },
    });
    expect((await store.read('db-url'))?.reveal()).toBe('value-4');
    expect((await storeIn(folder.path).read('db-url'))?.reveal()).toBe('value-4');
  });

  it('never reads an older value after a newer one while rotations go on', async () => {
    await using folder = await createTemporaryFolder();
    const publish = publishAsKubernetes(folder.path);
    await publish(1);
    await symlink(join('..data', 'db-url'), join(folder.path, 'db-url'));
    const store = storeIn(folder.path);
    const rotations = { over: false };
    const reading = (async () => {
      let last = 0;
      while (!rotations.over) {
        const value = await store.read('db-url');
        const version = Number(value?.reveal().slice('value-'.length));
        expect(version).toBeGreaterThanOrEqual(last);
        last = version;
      }
    })();
    for (let version = 2; version <= 40; version++) await publish(version);
    rotations.over = true;
    await reading;
    expect((await store.read('db-url'))?.reveal()).toBe('value-40');
  });

  it('creates a secret once, for its owner alone, however many try', async () => {
    await using folder = await createTemporaryFolder();
    const root = join(folder.path, 'made', 'secrets');
    const values = await Promise.all(
      Array.from({ length: 20 }, async (_, i) =>
        storeIn(root, { generateMissing: true }).create?.('key', new SecretValue(`value-${i}`)),
      ),
    );
    expect(new Set(values.map((value) => value?.reveal())).size).toBe(1);
    expect((await stat(join(root, 'key'))).mode & 0o777).toBe(0o600);
    expect((await stat(root)).mode & 0o777).toBe(0o700);
    expect(await readdir(root)).toEqual(['key']);
  });

  it.each([
    ['secrets.create.written', undefined],
    ['secrets.create.linked', 'first'],
  ])('killed at %s, leaves a whole secret or none', async (point, expected) => {
    await using folder = await createTemporaryFolder();
    const root = join(folder.path, 'secrets');
    const script = join(folder.path, 'create.ts');
    const source = join(import.meta.dirname, '..');
    await writeFile(
      script,
      `import { FilesSecretStore } from ${JSON.stringify(join(source, 'adapters', 'files.ts'))};
       import { SecretValue } from ${JSON.stringify(join(source, 'secret-value.ts'))};
       const crashPoint = (name) => { if (name === ${JSON.stringify(point)}) process.kill(process.pid, 'SIGKILL'); };
       const store = new FilesSecretStore({ folder: ${JSON.stringify(root)}, readableByOthers: false, generateMissing: true, crashPoint });
       await store.create('key', new SecretValue('first'));`,
    );
    expect((await spawnScript(script).ended).signal).toBe('SIGKILL');
    const store = storeIn(root, { generateMissing: true });
    expect((await store.read('key'))?.reveal()).toBe(expected);

    await makeOld(root);
    await store.create?.('other', new SecretValue('x'));
    expect((await store.create?.('key', new SecretValue('second')))?.reveal()).toBe(expected ?? 'second');
    expect((await readdir(root)).toSorted()).toEqual(['key', 'other']);
    expect(await readFile(join(root, 'key'), 'utf8')).toBe(expected ?? 'second');
  });

  it('probes: a folder that is missing is an error, unless it will be made', async () => {
    await using folder = await createTemporaryFolder();
    const missing = join(folder.path, 'missing');
    await expect(storeIn(missing).probe()).rejects.toMatchObject({ code: 'secret_store_denied' });
    await storeIn(missing, { generateMissing: true }).probe();
    await writeFile(missing, '');
    await expect(storeIn(missing).probe()).rejects.toThrow(/is not a folder/);
  });
});

/** A new folder, the link `..data` swapped by a rename, the old folder gone: the kubelet's AtomicWriter. */
const publishAsKubernetes =
  (root: string) =>
  async (version: number): Promise<void> => {
    const data = `..2030_01_${version}`;
    await putFile(join(root, data, 'db-url'), `value-${version}`, 0o640);
    await symlink(data, join(root, '..data_tmp'));
    await rename(join(root, '..data_tmp'), join(root, '..data'));
    if (version > 1) await rm(join(root, `..2030_01_${version - 1}`), { recursive: true });
  };

const makeOld = async (folder: string): Promise<void> => {
  const long = new Date(Date.now() - 2 * 3_600_000);
  for (const entry of await readdir(folder))
    if (entry.startsWith('.tmp-')) await utimes(join(folder, entry), long, long);
};
