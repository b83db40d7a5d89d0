/** SIGKILL in the middle of things: the next command finds a clean installation. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTemporaryFolder } from '@casebound/test-kit';
import { expect, test } from 'vitest';
import { runCasebound, runJson, startCasebound } from './run-casebound.ts';

/** From before the data folder exists to after the server answers. */
const MOMENTS_MS = [200, 600, 1000, 1500, 2200, 3200];

test('killed at any moment of its first start, it starts the next time', { timeout: 240_000 }, async () => {
  await using folder = await createTemporaryFolder();
  const data = path.join(folder.path, 'data');
  for (const moment of MOMENTS_MS) {
    const server = startCasebound(['up', '--data', data, '--port', '0']);
    await sleep(moment);
    await server.kill();
  }
  const status = await runJson(['status', '--data', data], { timeoutMs: 60_000 });
  expect(status.exitCode, status.stderr).toBe(0);
  const doctor = await runJson(['doctor', '--data', data], { timeoutMs: 60_000 });
  expect(doctor.document, doctor.stdout).toMatchObject({ ok: true });
});

test('killed while it makes a case, it has no half of one afterwards', { timeout: 240_000 }, async () => {
  await using folder = await createTemporaryFolder();
  const data = path.join(folder.path, 'data');
  for (const point of ['case.create.reserved', 'case.create.provisioned', 'case.create.committed']) {
    const server = startCasebound(['up', '--data', data, '--port', '0'], { env: { CASEBOUND_CRASH_AT: point } });
    await server.waitForLine(/Ctrl-C stops it/, 60_000);
    const created = await runCasebound(['case', 'create', `Killed at ${point}`, '--data', data]);
    expect(created.exitCode, created.stderr).not.toBe(0);
    expect((await server.ended).signal).toBe('SIGKILL');
  }
  const listed = await runJson(['case', 'list', '--data', data], { timeoutMs: 60_000 });
  expect(listed.exitCode, listed.stderr).toBe(0);
  // A name that was taken by a creation that never finished is free again.
  const again = await runJson(['case', 'create', 'Killed at case.create.reserved', '--data', data], {
    timeoutMs: 60_000,
  });
  expect(again.exitCode, again.stderr).toBe(0);
  const status = await runJson(['status', '--data', data], { timeoutMs: 60_000 });
  expect(status.document).toMatchObject({ cases: { creating: 0, deleting: 0 } });
});

test('wrong surroundings: one sentence, a code of its own, nothing half made', { timeout: 120_000 }, async () => {
  await using folder = await createTemporaryFolder();
  const data = path.join(folder.path, 'data');
  const attempt = async (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    runCasebound(['up', '--data', data, '--port', '0', ...args], { env, timeoutMs: 60_000 });

  const unknownSetting = await attempt(['--set', 'http.prot=1']);
  expect(unknownSetting.exitCode).toBe(10);
  expect(unknownSetting.stderr).toMatch(/http\.prot/);

  const wrongValue = await attempt([], { CASEBOUND_HTTP_BODY_LIMIT_BYTES: 'many' });
  expect(wrongValue.exitCode).toBe(10);
  expect(wrongValue.stderr).toMatch(/CASEBOUND_HTTP_BODY_LIMIT_BYTES/);

  const refused = await attempt([], {
    CASEBOUND_DATABASE_KIND: 'url',
    CASEBOUND_DATABASE_URL: 'postgres://nobody:wrong-password@127.0.0.1:1/none',
  });
  expect(refused.exitCode).toBe(18);
  expect(refused.stderr).not.toContain('wrong-password');

  const missingSecret = await attempt([], {
    CASEBOUND_DATABASE_KIND: 'url',
    CASEBOUND_DATABASE_URL: 'secret://no-such-secret',
  });
  expect(missingSecret.exitCode).toBe(11);
  expect(missingSecret.stderr).toContain('no-such-secret');
});
