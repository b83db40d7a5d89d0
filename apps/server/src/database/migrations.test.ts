import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrate, readMigrations, type Migration } from './migrations.ts';
import { openTestDatabases, type TestDatabases } from './testing/open-test-databases.ts';

let test: TestDatabases;
let folder: TemporaryFolder;
beforeAll(async () => {
  test = await openTestDatabases();
  folder = await createTemporaryFolder();
});
afterAll(async () => {
  await folder.remove();
  await test.close();
});

const where = { schema: 'core', where: 'The database' };
const read = async (): Promise<Migration[]> => readMigrations([{ set: 'trial', folder: folder.path }]);
const write = async (name: string, text: string): Promise<void> => writeFile(path.join(folder.path, name), text);
/** The applied files of the server itself are part of what is compared. */
const own = async (): Promise<Migration[]> =>
  readMigrations([{ set: 'core', folder: path.join(import.meta.dirname, 'migrations') }]);
const all = async (): Promise<Migration[]> => [...(await own()), ...(await read())];

describe('migrations', () => {
  it('are applied once, in order, also by processes that start together', async () => {
    await write('0002_second.sql', 'CREATE TABLE core.trial_two AS SELECT * FROM core.trial_one;');
    await write('0001_first.sql', 'CREATE TABLE core.trial_one (id int);\nINSERT INTO core.trial_one VALUES (1);');
    const others = await Promise.all([test.openAnother(), test.openAnother()]);
    const applied = await Promise.all(
      [test.databases, ...others].map(async ({ control }) => migrate(control, await all(), where)),
    );
    expect(applied.reduce((sum, count) => sum + count, 0)).toBe(2);
    for (const other of others) await other.close();
    expect(await migrate(test.databases.control, await all(), where)).toBe(0);
  });

  it('that differ from what was applied stop the start, and both checksums are named', async () => {
    const [first] = await read();
    await write('0001_first.sql', 'CREATE TABLE core.trial_one (id bigint);');
    const [changed] = await read();
    await expect(migrate(test.databases.control, await all(), where)).rejects.toMatchObject({
      code: 'migration_drift',
      message: expect.stringMatching(
        new RegExp(`trial/0001_first.sql.*${first?.checksum ?? '-'}.*${changed?.checksum ?? '-'}`),
      ),
    });
    await write('0001_first.sql', first?.text ?? '');
    await expect(
      migrate(test.databases.control, [...(await own()), ...(await read()).slice(1)], where),
    ).rejects.toMatchObject({
      code: 'migration_drift',
      message: expect.stringContaining('no such file'),
    });
  });

  it('do not mind the line ends of a checkout', async () => {
    const [, second] = await read();
    await write('0002_second.sql', (second?.text ?? '').replaceAll('\n', '\r\n'));
    expect((await read())[1]?.checksum).toBe(second?.checksum);
  });

  it('of a newer version are not ignored', async () => {
    const older = (await read()).slice(0, 1);
    await expect(migrate(test.databases.control, [...(await own()), ...older], where)).rejects.toMatchObject({
      code: 'data_folder_too_new',
      message: expect.stringContaining('0002_second.sql'),
    });
  });

  it('that fail leave nothing of themselves, and the next start tries again', async () => {
    await write('0003_third.sql', 'CREATE TABLE core.trial_three (); SELECT 1/0;');
    await expect(migrate(test.databases.control, await all(), where)).rejects.toMatchObject({ sqlState: '22012' });
    await write('0003_third.sql', 'CREATE TABLE core.trial_three ();');
    expect(await migrate(test.databases.control, await all(), where)).toBe(1);
  });

  it('have names of one form and numbers of their own', async () => {
    await using odd = await createTemporaryFolder();
    await writeFile(path.join(odd.path, '0001_a.sql'), '');
    await writeFile(path.join(odd.path, '0001_b.sql'), '');
    await expect(readMigrations([{ set: 'odd', folder: odd.path }])).rejects.toThrow(/Two migrations/);
    await writeFile(path.join(odd.path, 'notes.txt'), '');
    await expect(readMigrations([{ set: 'odd', folder: odd.path }])).rejects.toThrow(/NNNN_what_it_does/);
  });
});
