import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { hasCode } from '@casebound/contract';
import { createTemporaryFolder } from '@casebound/test-kit';
import { describe, expect, it } from 'vitest';
import { readMapping } from './import-mapping.ts';

const failure = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'it succeeded',
    (error: unknown) => (hasCode(error, 'validation_failed') && error instanceof Error ? error.message : String(error)),
  );

describe('mappings of imports', () => {
  it('are kept under a name, and added to by a file', async () => {
    await using folder = await createTemporaryFolder();
    const write = async (name: string, value: unknown): Promise<string> => {
      await writeFile(path.join(folder.path, name), typeof value === 'string' ? value : JSON.stringify(value));
      return name;
    };
    const read = async (options: Parameters<typeof readMapping>[2]): ReturnType<typeof readMapping> =>
      readMapping(folder.path, path.join(folder.path, 'data'), options);
    expect(await read({})).toEqual({});
    const vendor = await write('vendor.json', {
      columns: { DOC: { core: 'controlNumber' }, Junk: { skip: true } },
      timeZone: '+01:00',
    });
    expect(await failure(read({ profile: 'vendor' }))).toContain('None was saved');
    await read({ mapping: vendor, saveProfile: 'vendor' });
    expect(JSON.parse(await readFile(path.join(folder.path, 'data/import-profiles/vendor.json'), 'utf8'))).toEqual({
      columns: { DOC: { core: 'controlNumber' }, Junk: { skip: true } },
      timeZone: '+01:00',
    });
    const more = await write('more.json', { columns: { Junk: { custom: 'Junk' } }, dateOrder: 'day-first' });
    expect(await read({ profile: 'vendor', mapping: more })).toEqual({
      columns: { DOC: { core: 'controlNumber' }, Junk: { custom: 'Junk' } },
      timeZone: '+01:00',
      dateOrder: 'day-first',
    });
    expect(await failure(read({ profile: 'other' }))).toContain('Saved are vendor');
  });

  it('that cannot be used are refused with why, and leave no profile', async () => {
    await using folder = await createTemporaryFolder();
    const data = path.join(folder.path, 'data');
    await writeFile(path.join(folder.path, 'bad.json'), '{"columns": {"A": {"core": 1}}}');
    expect(await failure(readMapping(folder.path, data, { mapping: 'bad.json', saveProfile: 'bad' }))).toContain(
      'mapping bad.json cannot be used',
    );
    expect(await failure(readMapping(folder.path, data, { profile: 'bad' }))).toContain('None was saved');
    for (const name of ['../bad', 'a/b', '', '.hidden', 'x'.repeat(101)])
      expect(await failure(readMapping(folder.path, data, { profile: name }))).toContain('cannot be the name');
    expect(await failure(readMapping(folder.path, data, { saveProfile: 'empty' }))).toContain('name its file');
  });
});
