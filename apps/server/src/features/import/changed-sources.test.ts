/** Sources that change while they are imported are noticed, and nothing of them stays half in the case. */
import { createHash } from 'node:crypto';
import { appendFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ImportRequest } from '@casebound/contract';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildZip } from './sources/testing/build-zip.ts';
import { describeCase } from './testing/describe-case.ts';
import { openTestImport, type TestImport } from './testing/open-test-import.ts';
import { dat, writeSource } from './testing/write-source.ts';

const rows = 40;
let test: TestImport;
let folder: TemporaryFolder;
let made = 0;

beforeAll(async () => {
  test = await openTestImport({ chunkRows: 10 });
  folder = await createTemporaryFolder();
}, 60_000);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const production = (prefix: string, { count = rows, note = 40 } = {}): string =>
  dat(
    ['BEGDOC', 'SUBJECT', 'Note', 'NATIVELINK'],
    ...numbers(prefix, count).map((number) => [number, `subject of ${number}`, 'x'.repeat(note), '']),
  );

const numbers = (prefix: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, at) => `${prefix}${String(at + 1).padStart(4, '0')}`);

const write = async (files: Readonly<Record<string, string | Buffer>>): Promise<string> => {
  made += 1;
  return writeSource(path.join(folder.path, `s${made}`), files);
};

/** Imports, and changes the source when the import comes to a point for the first time. What may pass is tried again. */
const importWhile = async (
  at: string,
  point: string,
  change: () => void,
  more: Partial<Omit<ImportRequest, 'path'>> = {},
) => {
  made += 1;
  const caseId = await test.makeCase(`changed ${made}`);
  const { jobId } = await test.accept(caseId, { path: at, ocr: 'off', ...more });
  let changed = false;
  const run = async () =>
    test.run(caseId, jobId, {
      crashPoint: (name) => {
        if (name !== point || changed) return;
        changed = true;
        change();
      },
    });
  const job = await run().catch(run);
  expect(changed).toBe(true);
  const described = await describeCase(test, caseId);
  return { job, described, numbers: Object.keys(described.exhibits) };
};

/** The import has failed, says what changed, and left nothing. */
const expectUndone = (
  { job, described }: Pick<Awaited<ReturnType<typeof importWhile>>, 'job' | 'described'>,
  told: string,
): void => {
  expect(job).toMatchObject({
    state: 'failed',
    error: { code: 'import_source_invalid', detail: expect.stringContaining(told) as string },
    counts: { imported: 0 },
  });
  expect(job.counts.rows).toBe(job.counts.rejected);
  expect(described).toMatchObject({ exhibits: {}, objects: [], leftovers: [] });
};

const changes: readonly (readonly [string, (file: string) => void])[] = [
  ['grows', (file) => appendFileSync(file, production('B', { count: 15 }).replace(/^.*\r\n/, ''))],
  ['is cut short', (file) => truncateSync(file, 1_200)],
  ['is written anew', (file) => writeFileSync(file, production('C'))],
  [
    'is replaced',
    (file) => {
      writeFileSync(`${file}.new`, production('C'));
      renameSync(`${file}.new`, file);
    },
  ],
  ['goes away', (file) => rmSync(file)],
];

describe.each(changes)('a load file that %s', (_, change) => {
  it.each(['import.planned', 'import.staged'])('at %s is not imported', async (point) => {
    const root = await write({ 'load.dat': production('A') });
    const file = path.join(root, 'load.dat');
    expectUndone(await importWhile(root, point, () => change(file)), 'load.dat changed after the import had begun');
  });

  it('while its rows are read is not imported, or as it was', async () => {
    const root = await write({ 'load.dat': production('A', { count: 100, note: 60_000 }) });
    const file = path.join(root, 'load.dat');
    const ended = await importWhile(root, 'import.chunk.committed', () => change(file));
    if (ended.job.state === 'failed') expectUndone(ended, 'load.dat changed after the import had begun');
    else {
      // A file that was replaced or removed is read on as it was; one whose end was read already, too.
      expect(ended.job).toMatchObject({ state: 'finished', counts: { rows: 100, imported: 100 } });
      expect(ended.numbers).toEqual(numbers('A', 100));
    }
  });

  it('while an import stands still is not carried on', async () => {
    const root = await write({ 'load.dat': production('A') });
    const file = path.join(root, 'load.dat');
    const stopped = await importWhile(root, 'import.chunk.committed', () => {
      change(file);
      throw new Error('stopped here');
    });
    expectUndone(stopped, 'load.dat changed after the import had begun');
  });
});

it('a load file that is still being written is imported as it was at some time, or not at all', async () => {
  const root = await write({ 'load.dat': production('A', { count: 300, note: 20_000 }) });
  const file = path.join(root, 'load.dat');
  const caseId = await test.makeCase('being written');
  const { jobId } = await test.accept(caseId, { path: root, ocr: 'off' });
  let written = 300;
  const writer = setInterval(() => {
    written += 1;
    appendFileSync(file, dat([`B${written}`, 'late', '', '']));
    if (written === 400) clearInterval(writer);
  }, 5);
  try {
    // Reading fails as long as the file grows, and is tried again.
    let tries = 0;
    const run = async (): Promise<Awaited<ReturnType<typeof test.run>>> =>
      test.run(caseId, jobId).catch(async (error: unknown) => {
        expect(error).toMatchObject({ code: 'source_changed' });
        expect((tries += 1)).toBeLessThan(100);
        return run();
      });
    const job = await run();
    const described = await describeCase(test, caseId);
    if (job.state === 'failed') expectUndone({ job, described }, 'load.dat changed after the import had begun');
    else {
      expect(job).toMatchObject({ state: 'finished', counts: { rejected: 0 } });
      expect(job.counts.imported).toBe(job.counts.rows);
      expect(Object.keys(described.exhibits)).toHaveLength(job.counts.rows);
    }
  } finally {
    clearInterval(writer);
  }
}, 60_000);

describe('other files of a production', () => {
  const load = dat(['BEGDOC', 'SUBJECT', 'NATIVELINK'], ['A1', 'one', ''], ['A2', 'two', 'nat/2.txt']);

  it('an image list that changes is noticed', async () => {
    const root = await write({ 'load.dat': load, 'load.opt': 'A1,V,img/a1.tif,Y,,,1\r\n', 'nat/2.txt': 'the native' });
    const list = path.join(root, 'load.opt');
    expectUndone(
      await importWhile(root, 'import.planned', () => appendFileSync(list, 'A2,V,img/a2.tif,Y,,,1\r\n')),
      'load.opt changed after the import had begun',
    );
  });

  it('a zip that is replaced while an import stands still is noticed', async () => {
    const zipOf = (subject: string): Buffer =>
      buildZip([
        { name: 'load.dat', content: load.replace('one', subject) },
        { name: 'nat/2.txt', content: 'the native' },
      ]);
    const root = await write({ 'production.zip': zipOf('one') });
    const file = path.join(root, 'production.zip');
    const ended = await importWhile(file, 'import.staged', () => {
      writeFileSync(file, zipOf('uno'));
      throw new Error('stopped here');
    });
    expectUndone(ended, 'load.dat changed after the import had begun');
  });

  it('an overlay whose file changes gives back what it changed', async () => {
    const caseId = await test.makeCase('overlaid');
    const before = await test.import(caseId, { path: await write({ 'load.dat': production('A') }), ocr: 'off' });
    expect(before.counts).toMatchObject({ imported: rows });
    const was = (await describeCase(test, caseId)).exhibits;
    const root = await write({ 'load.dat': production('A').replaceAll('subject', 'changed') });
    const file = path.join(root, 'load.dat');
    const { jobId } = await test.accept(caseId, { path: file, overlay: { mode: 'replace' } });
    let chunks = 0;
    const run = async () =>
      test.run(caseId, jobId, {
        crashPoint: (name) => {
          if (name !== 'import.chunk.committed' || (chunks += 1) !== 2) return;
          writeFileSync(file, production('A').replaceAll('subject', 'another'));
          throw new Error('stopped here');
        },
      });
    await expect(run()).rejects.toThrow('stopped here');
    expect(await run()).toMatchObject({
      state: 'failed',
      counts: { overlaid: 0 },
      error: { code: 'import_source_invalid' },
    });
    expect(JSON.stringify((await describeCase(test, caseId)).exhibits)).not.toMatch(/changed|another/);
    expect(Object.keys((await describeCase(test, caseId)).exhibits)).toEqual(Object.keys(was));
  });
});

describe('a folder of loose files', () => {
  const files = Object.fromEntries(Array.from({ length: 25 }, (_, at) => [`d/f${at}.txt`, `words ${at % 20}`]));

  it.each([
    ['gets', 'was not in this place', (root: string) => writeFileSync(path.join(root, 'd/a.txt'), 'early')],
    ['gets at its end', 'was not in this place', (root: string) => writeFileSync(path.join(root, 'z.txt'), 'late')],
    ['loses', 'was not in this place', (root: string) => rmSync(path.join(root, 'd/f10.txt'))],
    ['loses at its end', 'Of 25 rows 1 did not come', (root: string) => rmSync(path.join(root, 'd/f9.txt'))],
    [
      'gets and loses',
      'was not in this place',
      (root: string) => renameSync(path.join(root, 'd/f10.txt'), path.join(root, 'd/f99.txt')),
    ],
  ] as const)('that %s a file between its readings is not imported', async (_, told, change) => {
    const root = await write(files);
    expectUndone(await importWhile(root, 'import.staged', () => change(root), { deduplicate: 'case' }), told);
  });

  it('that gets a file before it is read is imported with it', async () => {
    const root = await write(files);
    const { job } = await importWhile(root, 'import.planned', () => writeFileSync(path.join(root, 'z.txt'), 'late'));
    expect(job).toMatchObject({ state: 'finished', counts: { rows: 26, imported: 26 } });
  });

  /** Two files of one content, and one of its own; the second of the two is left out. */
  const twins = { 'a.txt': 'the same', 'b.txt': 'the same', 'c.txt': 'another' };
  const changedFiles = async (change: (root: string) => void, deduplicate: ImportRequest['deduplicate'] = 'case') => {
    const root = await write(twins);
    const { job, described } = await importWhile(root, 'import.staged', () => change(root), { deduplicate });
    const told = (await test.problems(job.caseId, job.jobId)).filter((one) => one.code === 'source_changed');
    return { job, described, told: told.map(({ path: place, row, severity }) => ({ place, row, severity })) };
  };
  const textOf = async ({ job, described }: Awaited<ReturnType<typeof changedFiles>>, number: string) => {
    const { document } = described.exhibits[number] as { document: { sha256Hash: string } };
    expect(job.counts.rows).toBe(3);
    return document.sha256Hash;
  };
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

  it('tells of a file that is overwritten after its duplicates were left out, and of each of those', async () => {
    const found = await changedFiles((root) => writeFileSync(path.join(root, 'a.txt'), 'THE SAME'));
    expect(found.job).toMatchObject({ state: 'finished_with_errors', counts: { imported: 2, duplicates: 1 } });
    expect(found.told).toEqual([
      { place: 'a.txt', row: 1, severity: 'error' },
      { place: 'b.txt', row: 2, severity: 'error' },
    ]);
    // The exhibit is of one reading: its hash is that of its file.
    expect(await textOf(found, 'DOC-00000001')).toBe(sha256('THE SAME'));
  });

  it('tells of a file that is overwritten after it was left out as a duplicate', async () => {
    const found = await changedFiles((root) => writeFileSync(path.join(root, 'b.txt'), 'no more the same'));
    expect(found.job).toMatchObject({ state: 'finished_with_errors', counts: { imported: 2, duplicates: 1 } });
    expect(found.told).toEqual([{ place: 'b.txt', row: 2, severity: 'error' }]);
  });

  it('tells of a file that was no duplicate and is overwritten', async () => {
    const found = await changedFiles((root) => writeFileSync(path.join(root, 'c.txt'), 'the same'));
    expect(found.told).toEqual([{ place: 'c.txt', row: 3, severity: 'error' }]);
    expect(await textOf(found, 'DOC-00000003')).toBe(sha256('the same'));
  });

  it('tells of nothing where nothing was decided by what is in a file', async () => {
    const found = await changedFiles((root) => writeFileSync(path.join(root, 'a.txt'), 'THE SAME'), 'none');
    expect(found.job).toMatchObject({ state: 'finished', counts: { imported: 3 } });
    expect(await textOf(found, 'DOC-00000001')).toBe(sha256('THE SAME'));
  });
});

it('a native that is overwritten is of one reading, and told when its hash is not the stated one', async () => {
  const hash = createHash('sha256').update('as it was').digest('hex');
  const load = dat(['BEGDOC', 'NATIVELINK', 'SHA256'], ['A1', 'n/1.txt', hash]);
  const root = await write({ 'load.dat': load, 'n/1.txt': 'as it was' });
  const { job, described } = await importWhile(root, 'import.staged', () =>
    writeFileSync(path.join(root, 'n/1.txt'), 'as it is'),
  );
  expect((await test.problems(job.caseId, job.jobId)).map((one) => one.code)).toEqual(['hash_mismatch']);
  const { document } = described.exhibits['A1'] as { document: { sha256Hash: string } };
  expect(document.sha256Hash).toBe(createHash('sha256').update('as it is').digest('hex'));
});
