import { appendFile, mkdir, open as openFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { createTemporaryFolder } from '@casebound/test-kit';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { comparePaths } from './entry-order.ts';
import { openImportRoot } from './open-import-root.ts';
import type { ImportRoot, SourceProblem } from './source-model.ts';
import { buildZip } from './testing/build-zip.ts';
import { readText } from './testing/expand-files.ts';

const createTree = async (root: string, files: Readonly<Record<string, string>>): Promise<void> => {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), content);
  }
};

const pathsOf = async (root: ImportRoot, after?: string): Promise<string[]> => {
  const paths: string[] = [];
  for await (const entry of root.list(after === undefined ? {} : { after })) paths.push(entry.path);
  return paths;
};

const tree = { 'a.txt': '1', 'a/x.txt': '2', 'a/b/y.txt': '3', 'B.txt': '4', 'a-b/z.txt': '5', 'ä.txt': '6' };

test('a folder and a zip of the same files list the same, and go on after any path', async () => {
  await using folder = await createTemporaryFolder();
  await createTree(path.join(folder.path, 'root'), tree);
  const zip = path.join(folder.path, 'root.zip');
  await writeFile(zip, buildZip(Object.entries(tree).map(([name, content]) => ({ name, content }))));
  for (const place of [path.join(folder.path, 'root'), zip]) {
    await using root = await openImportRoot(place);
    const all = await pathsOf(root);
    expect(all).toEqual(Object.keys(tree).toSorted(comparePaths));
    for (const [index, after] of all.entries()) expect(await pathsOf(root, after)).toEqual(all.slice(index + 1));
    expect(await pathsOf(root, 'a/b')).toEqual(all.filter((name) => comparePaths(name, 'a/b') > 0));
    expect(await pathsOf(root, 'a/gone.txt')).toEqual(all.filter((name) => comparePaths(name, 'a/gone.txt') > 0));
    for (const name of all) {
      expect(await readText(await root.open(name))).toBe(tree[name as keyof typeof tree]);
      expect(await root.stat(name)).toMatchObject({ path: name, size: 1 });
    }
    await expect(root.open('none')).rejects.toMatchObject({ code: 'source_unreadable' });
    expect(await root.stat('none')).toBeUndefined();
  }
});

test('links are told and never followed while listing; devices and sockets are told', async () => {
  await using folder = await createTemporaryFolder();
  const place = path.join(folder.path, 'root');
  await createTree(place, { 'a.txt': '1' });
  await writeFile(path.join(folder.path, 'secret.txt'), 'secret');
  await symlink('../secret.txt', path.join(place, 'out.txt'));
  await symlink('..', path.join(place, 'up'));
  await symlink('.', path.join(place, 'loop'));
  const server = createServer().listen(path.join(place, 'socket'));
  await new Promise((resolve) => server.once('listening', resolve));
  await using root = await openImportRoot(place);
  const problems: SourceProblem[] = [];
  const paths: string[] = [];
  for await (const entry of root.list({ onProblem: (problem) => problems.push(problem) })) paths.push(entry.path);
  server.close();
  expect(paths).toEqual(['a.txt']);
  expect(problems.map(({ path: at, code }) => `${at} ${code}`)).toEqual([
    'loop symlink',
    'out.txt symlink',
    'socket special_file',
    'up symlink',
  ]);
  for (const escape of ['out.txt', 'up/secret.txt', '../secret.txt', '/etc/passwd', 'a.txt/../../secret.txt', 'a\0']) {
    await expect(root.open(escape), escape).rejects.toMatchObject({ code: 'source_unreadable' });
    expect(await root.stat(escape), escape).toBeUndefined();
  }
  expect(await root.resolve('out.txt')).toMatchObject({ ok: false, code: 'symlink' });
  expect(await root.resolve('up/secret.txt')).toMatchObject({ ok: false, code: 'symlink' });
  expect(await root.resolve('loop/loop/a.txt')).toEqual({ ok: true, path: 'loop/loop/a.txt' });
});

test('paths of load files resolve inside the root or are refused with the reason', async () => {
  await using folder = await createTemporaryFolder();
  const files = { 'VOL01/NATIVES/Doc1.PDF': '1', 'VOL01/both/x.txt': '2', 'VOL01/both/X.TXT': '3', 'VOL01/é.txt': '4' };
  await createTree(path.join(folder.path, 'root'), files);
  const zip = path.join(folder.path, 'root.zip');
  await writeFile(zip, buildZip(Object.entries(files).map(([name, content]) => ({ name, content }))));
  for (const place of [path.join(folder.path, 'root'), zip]) {
    await using root = await openImportRoot(place);
    const found = { ok: true, path: 'VOL01/NATIVES/Doc1.PDF' };
    expect(await root.resolve('VOL01\\NATIVES\\Doc1.PDF')).toEqual(found);
    expect(await root.resolve('.\\vol01/natives\\doc1.pdf')).toEqual(found);
    expect(await root.resolve('NATIVES\\doc1.pdf', { below: 'VOL01' })).toEqual(found);
    expect(await root.resolve('D:\\VOL01\\NATIVES\\Doc1.PDF')).toMatchObject({ ok: false, code: 'path_refused' });
    expect(await root.resolve('D:\\VOL01\\NATIVES\\Doc1.PDF', { rooted: 'strip' })).toEqual(found);
    expect(await root.resolve('\\VOL01\\NATIVES\\Doc1.PDF', { rooted: 'strip' })).toEqual(found);
    expect(await root.resolve('VOL01/both/x.txt')).toEqual({ ok: true, path: 'VOL01/both/x.txt' });
    expect(await root.resolve('VOL01/BOTH/X.txt')).toMatchObject({ ok: false, code: 'path_ambiguous' });
    expect(await root.resolve('VOL01/e\u0301.txt')).toEqual({ ok: true, path: 'VOL01/é.txt' });
    expect(await root.resolve('VOL01')).toMatchObject({ ok: false, code: 'missing' });
    expect(await root.resolve('VOL01/none.pdf')).toMatchObject({ ok: false, code: 'missing' });
    for (const escape of [
      '../x',
      'a/../../x',
      '\\\\host\\share\\x',
      'file:///etc/passwd',
      'C:x',
      'a\0b',
      '',
      'con',
      '..',
    ]) {
      expect(await root.resolve(escape, { rooted: 'strip' }), escape).toMatchObject({ ok: false });
    }
  }
});

test('whatever a path says, it is refused, missing, or below the root', async () => {
  await using folder = await createTemporaryFolder();
  const place = path.join(folder.path, 'root');
  await createTree(place, { 'a/b.txt': '1' });
  await writeFile(path.join(folder.path, 'b.txt'), 'outside');
  await using root = await openImportRoot(place);
  const piece = fc.constantFrom(
    'a',
    'A',
    'b.txt',
    'B.TXT',
    '..',
    '.',
    '',
    'C:',
    '/',
    '\\',
    '\\\\',
    '%2e%2e',
    '\0',
    ' ',
    '. .',
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(piece, fc.string())),
      fc.constantFrom('/', '\\', ''),
      async (pieces, separator) => {
        const resolved = await root.resolve(pieces.join(separator), { rooted: 'strip' });
        if (resolved.ok) expect(resolved.path).toBe('a/b.txt');
      },
    ),
    { numRuns: 300 },
  );
});

test('a file that grows or shrinks while it is read ends in an error', async () => {
  await using folder = await createTemporaryFolder();
  const file = path.join(folder.path, 'growing.bin');
  for (const change of [() => appendFile(file, 'more'), () => truncate(file, 900_000), () => overwrite(file)]) {
    await writeFile(file, Buffer.alloc(2_000_000, 1));
    await using root = await openImportRoot(folder.path);
    const stream = await root.open('growing.bin');
    const reading = (async () => {
      let changed = false;
      for await (const chunk of stream) {
        void chunk;
        if (!changed) await change();
        changed = true;
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'source_changed' });
  }
});

const overwrite = async (file: string): Promise<void> => {
  const handle = await openFile(file, 'r+');
  await handle.write(Buffer.from('x'), 0, 1, 1_999_999);
  await handle.close();
};

test('a root that is not there, or is nothing to import from, is said so', async () => {
  await using folder = await createTemporaryFolder();
  const broken = path.join(folder.path, 'broken.zip');
  await writeFile(broken, buildZip([{ name: 'a', content: 'x' }]).subarray(0, 40));
  for (const place of [path.join(folder.path, 'none'), broken, '/dev/null']) {
    await expect(openImportRoot(place), place).rejects.toMatchObject({ code: 'import_root_unreadable' });
  }
});

test('a single file is a root of one entry; an Office document is one file, not a zip', async () => {
  await using folder = await createTemporaryFolder();
  await createTree(folder.path, { 'mail.mbox': 'From x', 'other.txt': '2' });
  await writeFile(
    path.join(folder.path, 'doc.docx'),
    buildZip([
      { name: '[Content_Types].xml', content: '<x/>' },
      { name: 'word/document.xml', content: '<x/>' },
    ]),
  );
  for (const name of ['mail.mbox', 'doc.docx']) {
    await using root = await openImportRoot(path.join(folder.path, name));
    expect(await pathsOf(root)).toEqual([name]);
    expect(await pathsOf(root, name)).toEqual([]);
    await expect(root.open('other.txt')).rejects.toMatchObject({ code: 'source_unreadable' });
    expect(await root.resolve('other.txt')).toMatchObject({ ok: false, code: 'missing' });
    expect(await root.resolve(name.toUpperCase())).toEqual({ ok: true, path: name });
  }
});
