/**
 * The README's first command, and its tour, as a new user runs them: the demo proves itself, and each command of the tour does on a
 * folder of its own what the README says.
 */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCasebound, startCasebound } from './run-casebound.ts';

let folder: string;
let temporary: TemporaryFolder;
beforeEach(async () => {
  temporary = await createTemporaryFolder();
  folder = temporary.path;
});
afterEach(async () => temporary.remove());

const run = async (...args: string[]) =>
  runCasebound([...args, '--data', path.join(folder, 'data')], { cwd: folder, timeoutMs: 280_000 });
const runJson = async (...args: string[]): Promise<Record<string, never>> => {
  const { exitCode: code, stdout, stderr } = await run(...args, '--json');
  if (code !== 0) throw new Error(`${args.join(' ')}: exit code ${code}\n${stderr}`);
  return JSON.parse(stdout) as Record<string, never>;
};

test('the demo imports, exchanges and proves, says what failed and why, and ends', async () => {
  const demo = ['demo', '--exit', '--set', 'http.port=0', '--data', path.join(folder, 'demo')];
  const { exitCode: code, stdout, stderr } = await runCasebound(demo, { cwd: folder, timeoutMs: 280_000 });
  expect(stderr).not.toMatch(/Error|internal/);
  expect(code).toBe(0);
  expect(stdout).toMatch(/60 rows = 60 imported \+ 0 duplicates \+ 0 rejected/);
  expect(stdout).toMatch(/native_missing|hash_mismatch|pdf_damaged/);
  expect(stdout).toMatch(/0 differences; signature holds/);
  expect(stdout).toMatch(
    /21 redacted passages: 21 stand in the \d+ objects of the source, 0 in the \d+ of the destination/,
  );
  expect(stdout).toMatch(/exchange verify [0-9a-f-]{36}/);
}, 300_000);

test('the tour: sample, import, exchange, verify, report, rollback, each by its command', async () => {
  // On a folder of its own, with a server that the commands find.
  const server = startCasebound(['up', '--port', '0', '--data', path.join(folder, 'data')], { timeoutMs: 280_000 });
  await server.waitForLine(/^ {2}address/, 60_000);
  await runJson('case', 'create', 'From here');
  await runJson('case', 'create', 'To there');
  const production = path.join(folder, 'production');
  await runJson('sample', 'create', production, '--documents', '20', '--fields', '5', '--no-flaws');
  expect(await runJson('import', production, '--case', 'From here', '--dry-run')).toMatchObject({
    kind: 'load_file',
    rows: 20,
    rejected: 0,
  });
  expect(await runJson('import', production, '--case', 'From here')).toMatchObject({
    counts: { rows: 20, imported: 20, rejected: 0 },
  });
  expect(await runJson('import', 'list', '--case', 'From here')).toMatchObject({
    imports: [{ counts: { imported: 20 } }],
  });
  const preview = await runJson('exchange', '--from', 'From here', '--to', 'To there', '--select', 'all', '--dry-run');
  expect(preview).toMatchObject({ exhibits: 20, conflicts: 0 });
  await runJson('exchange', '--from', 'From here', '--to', 'To there', '--select', 'all', '--watch');
  const { exchanges } = (await runJson('exchange', 'list')) as unknown as {
    exchanges: { jobId: string; state: string; destinationCaseId: number }[];
  };
  const [exchange] = exchanges;
  expect(exchange).toMatchObject({ state: 'FINISHED' });
  const jobId = exchange!.jobId;
  expect(await runJson('exchange', 'verify', jobId)).toMatchObject({ verified: true, items: 20, differences: [] });

  const manifest = path.join(folder, 'manifest.jsonl');
  await runJson('exchange', 'manifest', jobId, '-o', manifest);
  expect(await runJson('exchange', 'verify', manifest)).toMatchObject({ verified: true });
  const lines = (await readFile(manifest, 'utf8')).split('\n');
  await writeFile(manifest, lines.with(4, lines[4]!.replace('"ordinal":4', '"ordinal":5')).join('\n'));
  const changed = await run('exchange', 'verify', manifest);
  expect(changed.exitCode).toBe(1);
  expect(changed.stdout).toMatch(/DIFFERENT/);
  expect(changed.stdout).toMatch(/^5 /m);

  for (const name of ['report.html', 'report.pdf'])
    await runJson('exchange', 'report', jobId, '-o', path.join(folder, name));
  expect((await readFile(path.join(folder, 'report.pdf'))).subarray(0, 5).toString()).toBe('%PDF-');
  expect(await runJson('audit', 'verify', '--case', 'From here')).toMatchObject({ findings: [] });
  await runJson('exchange', 'rollback', jobId);
  expect(await runJson('exchange', 'watch', jobId)).toMatchObject({ state: 'ROLLED_BACK' });
  server.signal('SIGTERM');
  expect((await server.ended).exitCode).toBe(0);
}, 300_000);
