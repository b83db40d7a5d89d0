/** The end of imports as the command tells it to scripts: of nothing to import, and of an import that nothing carries on. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCasebound, runJson, startCasebound } from './run-casebound.ts';

let folder: TemporaryFolder;
const place = () => ({ cwd: folder.path, timeoutMs: 180_000, env: { CASEBOUND_DATA: path.join(folder.path, 'data') } });

beforeAll(async () => {
  folder = await createTemporaryFolder();
  await runJson(['case', 'create', 'Ends'], place());
  await mkdir(path.join(folder.path, 'files'));
  await writeFile(path.join(folder.path, 'files/one.txt'), 'one');
}, 120_000);
afterAll(async () => {
  await folder.remove();
});

test('a folder with nothing in it is no success, and is named', async () => {
  const empty = path.join(folder.path, 'empty');
  await mkdir(empty);
  const { exitCode, stdout } = await runCasebound(['import', empty, '--case', 'Ends'], place());
  expect([exitCode, stdout]).toEqual([1, expect.stringMatching(/: finished\n[^]*source_empty +\S*\/empty /)]);
  const { stdout: preview } = await runCasebound(['import', empty, '--case', 'Ends', '--dry-run'], place());
  expect(preview).toContain('1 source_empty');
}, 120_000);

test('an import is followed with what each step counts', async () => {
  const { exitCode, stderr } = await runCasebound(
    ['import', path.join(folder.path, 'files'), '--case', 'Ends'],
    place(),
  );
  expect(exitCode).toBe(0);
  expect(stderr).not.toMatch(/indexing: \d+ of 0/);
}, 120_000);

test('an import that nothing carries on is not waited for', async () => {
  const server = startCasebound(['up', '--role', 'api', '--port', '0'], { ...place(), timeoutMs: 170_000 });
  try {
    await server.waitForLine(/^ {2}address/, 60_000);
    const { document } = await runJson(
      ['import', path.join(folder.path, 'files'), '--case', 'Ends', '--detach', '--batch', 'waits', '--prefix', 'W'],
      place(),
    );
    const jobId = String(document['jobId']);
    const watched = await runCasebound(['import', 'watch', jobId, '--case', 'Ends'], place());
    expect([watched.exitCode, watched.stderr]).toEqual([6, expect.stringContaining('casebound up --role worker')]);
    await runCasebound(['queue', 'purge', 'imports', '--yes'], place());
    const lost = await runCasebound(['import', 'watch', jobId, '--case', 'Ends'], place());
    expect([lost.exitCode, lost.stderr]).toEqual([6, expect.stringContaining(`casebound import resume ${jobId}`)]);
  } finally {
    server.signal('SIGTERM');
    await server.ended;
  }
  const resumed = await runCasebound(['import', 'list', '--case', 'Ends'], place());
  expect(resumed.stdout).toContain('accepted');
}, 180_000);
