import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { ZipFile } from 'yazl';
import { bytesOfBuffer } from './random-bytes.ts';
import { defaultSourceLimits } from './source-model.ts';
import { buildZip } from './testing/build-zip.ts';
import { readAll, readText } from './testing/expand-files.ts';
import { openZipArchive } from './zip-archive.ts';

const open = (zip: Buffer, limits = {}) => openZipArchive(bytesOfBuffer(zip), { ...defaultSourceLimits, ...limits });

test('members come in the order of paths, with their bytes', async () => {
  const archive = await open(
    buildZip([{ name: 'b/2.txt', content: 'two' }, { name: 'a.txt', content: 'one', method: 0 }, { name: 'b/' }]),
  );
  expect(archive.problems).toEqual([]);
  expect(archive.members.map(({ path }) => path)).toEqual(['a.txt', 'b/2.txt']);
  const contents = await Promise.all(archive.members.map(async (member) => readText(await archive.open(member))));
  expect(contents).toEqual(['one', 'two']);
});

test('names that leave the archive are refused, each with its reason, and the others are kept', async () => {
  const names = ['../x', 'a/../../x', '/etc/passwd', 'C:\\x', '\\\\host\\share', 'a\0b', 'a\nb', 'x/..', ''];
  const archive = await open(buildZip([...names.map((name) => ({ name })), { name: 'sub\\good.txt', content: '1' }]));
  expect(archive.members.map(({ path }) => path)).toEqual(['sub/good.txt']);
  expect(archive.problems.map(({ code }) => code)).toEqual(names.map(() => 'path_refused'));
  expect(archive.problems.every(({ path }) => !/\p{Cc}/u.test(path))).toBe(true);
});

test('names are read in the encoding they state, or the likeliest one', async () => {
  const archive = await open(
    buildZip([
      { name: Buffer.from('naïve.txt', 'utf8'), flags: 0 },
      { name: Buffer.from([0x81, 0x62, 0x65, 0x72]), flags: 0 },
      { name: 'größe.txt' },
    ]),
  );
  expect(archive.members.map(({ path }) => path)).toEqual(['größe.txt', 'naïve.txt', 'über']);
  expect(archive.problems.map(({ code, path }) => [code, path])).toEqual([['name_encoding_assumed', 'über']]);
});

test('members of one name are all kept, under names of their own', async () => {
  const archive = await open(
    buildZip([
      { name: 'a.txt', content: '1' },
      { name: 'a.txt', content: '2' },
      { name: 'a~2.txt', content: '3' },
    ]),
  );
  expect(new Set(archive.members.map(({ path }) => path)).size).toBe(3);
  const contents = await Promise.all(archive.members.map(async (member) => readText(await archive.open(member))));
  expect(contents.toSorted()).toEqual(['1', '2', '3']);
  expect(archive.problems.map(({ code }) => code)).toContain('duplicate_name');
});

test('links, devices, passwords and unknown compression are told, not opened', async () => {
  const archive = await open(
    buildZip([
      { name: 'link', content: '/etc/passwd', mode: 0o120777 },
      { name: 'pipe', mode: 0o010644 },
      { name: 'secret', content: 'x', flags: 0x801 },
      { name: 'bzip', content: 'x', method: 12 },
      { name: 'good', content: 'x' },
    ]),
  );
  expect(archive.members.map(({ path }) => path)).toEqual(['good']);
  expect(archive.problems.map(({ code }) => code)).toEqual(['symlink', 'special_file', 'encrypted', 'unreadable']);
});

test('a member that unpacks to absurd size is refused before a byte is inflated', async () => {
  const bomb = Buffer.alloc(4 * 1024 * 1024);
  const archive = await open(
    buildZip([
      { name: 'bomb', content: bomb },
      { name: 'good', content: 'x' },
    ]),
    {
      ratioFloorBytes: 1024 * 1024,
    },
  );
  expect(archive.members.map(({ path }) => path)).toEqual(['good']);
  expect(archive.problems.map(({ code }) => code)).toEqual(['bomb']);
});

test('many members that are each below the floor are refused once their sum is absurd', async () => {
  const zeros = Buffer.alloc(900 * 1024);
  const parts = Array.from({ length: 20 }, (_, index) => ({ name: `${index}`, content: zeros }));
  const archive = await open(buildZip(parts), { ratioFloorBytes: 1024 * 1024 });
  expect(archive.members).toHaveLength(1);
  expect(archive.problems.filter(({ code }) => code === 'bomb')).toHaveLength(19);
});

test('members whose data overlaps are all refused', async () => {
  const parts = [
    { name: 'kernel', content: 'x'.repeat(1000) },
    ...Array.from({ length: 10 }, (_, index) => ({ name: `copy${index}`, sameDataAs: 0 })),
    { name: 'good', content: 'good' },
  ];
  const archive = await open(buildZip(parts));
  expect(archive.members.map(({ path }) => path)).toEqual(['good']);
  expect(archive.problems.filter(({ code }) => code === 'bomb')).toHaveLength(11);
});

test.each([
  ['more bytes than declared', { declaredSize: 2 }],
  ['fewer bytes than declared', { declaredSize: 2000 }],
  ['a checksum that does not hold', { declaredCrc: crc32('other') }],
])('%s end the stream in an error, never in success', async (_, lie) => {
  const archive = await open(buildZip([{ name: 'a', content: 'x'.repeat(1000), ...lie }]));
  const [member] = archive.members;
  await expect(readAll(await archive.open(member!))).rejects.toMatchObject({ code: 'source_corrupt' });
});

test('a member that unpacks to more than it declares is stopped there', async () => {
  const archive = await open(buildZip([{ name: 'a', content: Buffer.alloc(8_000_000), declaredSize: 1000 }]));
  let bytes = 0;
  const reading = (async () => {
    for await (const chunk of await archive.open(archive.members[0]!)) bytes += (chunk as Buffer).length;
  })();
  await expect(reading).rejects.toMatchObject({ code: 'source_corrupt' });
  expect(bytes).toBeLessThan(1_000_000);
});

test('damaged data ends the stream in an error', async () => {
  const zip = buildZip([
    { name: 'a', content: Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7919) % 251)) },
  ]);
  zip.fill(0xff, 60, 200);
  const archive = await open(zip);
  await expect(readAll(await archive.open(archive.members[0]!))).rejects.toMatchObject({ code: 'source_corrupt' });
});

test('a zip that is cut short, or is none, is told', async () => {
  const zip = buildZip([{ name: 'a', content: 'x'.repeat(1000) }]);
  expect((await open(zip.subarray(0, zip.length - 30))).problems.map(({ code }) => code)).toEqual(['truncated']);
  expect((await open(Buffer.from('no zip at all'))).problems.map(({ code }) => code)).toEqual(['corrupt']);
  expect((await open(Buffer.alloc(0))).problems.map(({ code }) => code)).toEqual(['corrupt']);
});

test('a broken directory keeps the members before the break', async () => {
  const zip = buildZip([
    { name: 'a', content: '1' },
    { name: 'b', content: '2' },
  ]);
  const last = zip.lastIndexOf(Buffer.from([0x50, 0x4b, 0x01, 0x02]));
  zip[last] = 0;
  const archive = await open(zip);
  expect(archive.members.map(({ path }) => path)).toEqual(['a']);
  expect(archive.problems.map(({ code }) => code)).toEqual(['corrupt']);
});

test('members beyond the limit are not listed, and that is told', async () => {
  const parts = Array.from({ length: 10 }, (_, index) => ({ name: `${index}`, content: 'x' }));
  const archive = await open(buildZip(parts), { maxEntries: 4 });
  expect(archive.members).toHaveLength(4);
  expect(archive.problems.map(({ code }) => code)).toEqual(['limit_exceeded']);
});

test('any damage to a zip ends in problems or errors of the product, never in anything else', async () => {
  const zip = buildZip([
    { name: 'a.txt', content: 'hello '.repeat(50) },
    { name: 'b.txt', content: 'b', method: 0 },
  ]);
  for (let position = 0; position < zip.length; position++) {
    for (const value of [0x00, 0xff, (zip[position] ?? 0) ^ 0x10]) {
      const damaged = Buffer.from(zip);
      damaged[position] = value;
      const archive = await open(damaged);
      for (const member of archive.members) {
        await archive
          .open(member)
          .then(readAll)
          .catch((error: unknown) => {
            expect(error).toMatchObject({ code: 'source_corrupt' });
          });
      }
    }
  }
});

test('zips with fields and directories of 64 bits are read', async () => {
  const zip = new ZipFile();
  zip.addBuffer(Buffer.from('wide'), 'wide.txt', { forceZip64Format: true });
  zip.end({ forceZip64Format: true, comment: '' });
  const archive = await open(await readAll(Readable.from(zip.outputStream)));
  expect(archive.problems).toEqual([]);
  const [member] = archive.members;
  expect(await readText(await archive.open(member!))).toBe('wide');
});
