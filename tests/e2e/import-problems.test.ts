/** What is wrong with a source, as the command tells it: by file, by line, and by ids that are none. */
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCasebound, runJson } from './run-casebound.ts';

let folder: TemporaryFolder;

/** In the data folder of the test, without a server. */
const place = () => ({ cwd: folder.path, timeoutMs: 120_000, env: { CASEBOUND_DATA: path.join(folder.path, 'data') } });

/** What was imported by an earlier try would be a duplicate. */
const newCase = async (): Promise<string> => {
  const name = `Problems ${randomUUID()}`;
  await runJson(['case', 'create', name], place());
  return name;
};

beforeAll(async () => {
  folder = await createTemporaryFolder();
  await runJson(['case', 'create', 'Problems'], place());
}, 240_000);
afterAll(async () => {
  await folder.remove();
});

test('problems of loose files are told with the file they are of', async () => {
  const name = await newCase();
  const mail = path.join(folder.path, 'mail/Ann/Inbox');
  await mkdir(mail, { recursive: true });
  await writeFile(path.join(mail, 'report.pdf'), '%PDF-1.7 broken');
  await writeFile(
    path.join(mail, 'cut.eml'),
    'Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nno end',
  );
  const { document } = await runJson(['import', path.join(folder.path, 'mail'), '--case', name], place());
  expect(document).toMatchObject({ state: 'finished_with_errors', counts: { rows: 2, imported: 2 } });
  const listed = await runCasebound(['import', 'problems', String(document['jobId']), '--case', name], place());
  expect(listed.exitCode).toBe(0);
  expect(listed.stdout).toMatch(/pdf_damaged +Ann\/Inbox\/report\.pdf/);
  expect(listed.stdout).toMatch(/truncated +Ann\/Inbox\/cut\.eml/);
}, 240_000);

test('a file without a header is told what to write, and is imported with it', async () => {
  const name = await newCase();
  const load = path.join(folder.path, 'load.csv');
  await writeFile(load, 'A-0001,first,Smith\r\nA-0002,second,Jones,Miller\r\nA-0003,third,Jones\r\n');
  const refused = await runCasebound(['import', load, '--case', name, '--dry-run'], place());
  expect(refused.exitCode).toBe(2);
  expect(refused.stderr).toContain('{"header": false, "columns": {"Column 1": {"core": "controlNumber"}}}');
  const mapping = path.join(folder.path, 'mapping.json');
  await writeFile(mapping, '{"header": false, "columns": {"Column 1": {"core": "controlNumber"}}}');
  const { document } = await runJson(['import', load, '--case', name, '--mapping', mapping], place());
  expect(document).toMatchObject({ counts: { rows: 3, imported: 2, rejected: 1 } });
  const listed = await runCasebound(['import', 'problems', String(document['jobId']), '--case', name], place());
  expect(listed.stdout).toMatch(/too_many_cells +line 2/);
}, 240_000);

test.each(['show', 'watch', 'problems', 'resume', 'cancel'])(
  'import %s of what is no id says so',
  async (command) => {
    const { exitCode, stderr } = await runCasebound(['import', command, 'nonsense', '--case', 'Problems'], place());
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('nonsense is not the id of an import')]);
  },
  120_000,
);
