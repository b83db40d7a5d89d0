/** Custom fields, the audit trail and exhibits, from the command line and over HTTP, against the real server. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { createTemporaryFolder, type SpawnedScript, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { runJson, startCasebound } from './run-casebound.ts';

// Each command is a process of its own, which starts while others compute.
vi.setConfig({ testTimeout: 120_000 });

let folder: TemporaryFolder;
let data: string;
let server: SpawnedScript;
let base: string;
let token: string;
let first: string;
let exhibitId: number;

const casebound = async (...args: string[]) =>
  runJson([...args, '--data', data], { cwd: folder.path, timeoutMs: 120_000 });
const inCase = async (...args: string[]) => casebound(...args, '--case', 'Fields');
const get = async (
  at: string,
  init: Omit<RequestInit, 'headers'> & { readonly headers?: Readonly<Record<string, string>> } = {},
) => fetch(`${base}${at}`, { ...init, headers: { authorization: `Bearer ${token}`, ...init.headers } });

beforeAll(async () => {
  folder = await createTemporaryFolder();
  data = path.join(folder.path, 'data');
  server = startCasebound(['up', '--data', data, '--port', '0'], { timeoutMs: 240_000 });
  base = /http:\/\/\S+/.exec(await server.waitForLine(/^ {2}address/, 60_000))?.[0] ?? '';
  await casebound(
    'sample',
    'create',
    path.join(folder.path, 'production'),
    '--documents',
    '12',
    '--fields',
    '4',
    '--seed',
    '7',
  );
  await casebound('case', 'create', 'Fields');
  token = String(
    (await casebound('account', 'create', 'reviewer', '--permission', 'case.read', 'case.write')).document['token'],
  );
  await inCase('import', path.join(folder.path, 'production'), '--no-ocr');
  const { document } = await inCase('exhibit', 'list', '--count');
  const exhibits = document['exhibits'] as { controlNumber: string; exhibitId: number }[];
  first = exhibits[0]?.controlNumber ?? '';
  exhibitId = exhibits[0]?.exhibitId ?? 0;
}, 180_000);
afterAll(async () => {
  server.signal('SIGTERM');
  const { exitCode, stderr, stdout } = await server.ended;
  expect(exitCode, stderr).toBe(0);
  expect(stdout + stderr).not.toContain('does not declare');
  await folder.remove();
});

test('a field is added, edited, found by the index, and its history told', async () => {
  await inCase('fields', 'add', 'Hot topic', '--type', 'multi_choice', '--choices', 'Fraud;Tax');
  const edited = await inCase('fields', 'edit', first, 'Hot topic=Fraud;Tax');
  expect(edited.exitCode).toBe(0);
  const refused = await inCase('fields', 'edit', first, 'Hot topic=Nothing');
  expect([refused.exitCode, refused.stdout]).toEqual([2, expect.stringContaining('is not one of the choices')]);
  await expect
    .poll(
      async () => {
        const list = await inCase('exhibit', 'list', '--field', 'Hot topic', '--field-value', 'Tax');
        return (list.document['exhibits'] as { controlNumber: string }[]).map((it) => it.controlNumber);
      },
      { timeout: 30_000, interval: 1_000 },
    )
    .toEqual([first]);
  const history = await inCase('audit', 'history', first, '--field', 'Hot topic');
  expect(history.document['entries']).toMatchObject([{ changes: { 'Hot topic': [null, ['Fraud', 'Tax']] } }]);
  // What the server writes meanwhile holds back the seal.
  await expect
    .poll(async () => (await inCase('audit', 'verify')).document, { timeout: 30_000, interval: 1_000 })
    .toMatchObject({ unsealedRows: 0, findings: [] });
});

test('two who edit: the second is told both values over HTTP', async () => {
  const at = `/v1/cases/1/exhibits/${exhibitId}/fields`;
  const read = (await (await get(at)).json()) as { version: number; values: Record<string, unknown> };
  // Neither is the value that there is: a change to that is none.
  const isFraud = JSON.stringify(read.values['Hot topic']) === '["Fraud"]';
  const [one, other] = isFraud ? ['Tax', 'Fraud'] : ['Fraud', 'Tax'];
  const patch = async (text: string) =>
    get(at, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ version: read.version, values: { 'Hot topic': [text] } }),
    });
  expect((await patch(one)).status).toBe(200);
  const second = await patch(other);
  expect(second.status).toBe(409);
  expect(await second.json()).toMatchObject({
    code: 'version_conflict',
    errors: [{ message: `now ["${one}"], wanted ["${other}"]` }],
  });
  const denied = await get('/v1/cases/1/fields', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ title: 'x', inputType: 'text' }),
  });
  expect(denied.status).toBe(403);
});

test('a file is downloaded whole, in part, and by the command, and its text is told', async () => {
  const at = `/v1/cases/1/exhibits/${exhibitId}/variants/native/1`;
  const whole = await get(at);
  expect(whole.headers.get('content-disposition')).toMatch(/^attachment; filename="/);
  const bytes = Buffer.from(await whole.arrayBuffer());
  const part = await get(at, { headers: { range: 'bytes=5-9' } });
  expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 5-9/${bytes.length}`]);
  expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(5, 10))).toBe(true);
  expect((await get(at, { headers: { range: `bytes=${bytes.length}-` } })).status).toBe(416);
  const to = path.join(folder.path, `native-${randomUUID()}`);
  expect((await inCase('exhibit', 'download', first, '--out', to)).exitCode).toBe(0);
  expect((await readFile(to)).equals(bytes)).toBe(true);
  expect((await inCase('exhibit', 'download', first, '--out', to)).exitCode).toBe(2);
  const text = await inCase('exhibit', 'text', first);
  expect((text.document['pages'] as { text: string }[])[0]?.text.length).toBeGreaterThan(10);
});

test('a case goes to tables, back to segments by its switches, and reads the same throughout', async () => {
  // Of its own: a case goes there once.
  const name = `Tables ${randomUUID()}`;
  const inOwn = async (...args: string[]) => casebound(...args, '--case', name);
  await casebound('case', 'create', name);
  await inOwn('import', path.join(folder.path, 'production'), '--no-ocr');
  const shown = async () => (await inOwn('fields', 'show', first)).document;
  const before = await shown();
  expect(Object.keys(before['values'] as object).length).toBeGreaterThan(0);
  expect((await inOwn('fields', 'legacy')).document).toMatchObject({ storage: 'tables' });
  expect(await shown()).toEqual(before);
  expect((await inOwn('fields', 'migrate', '--to', 'filters-from-index')).exitCode).toBe(0);
  expect(await shown()).toEqual(before);
  const migrated = await inOwn('fields', 'migrate');
  expect(migrated.document['switches']).toMatchObject([{ on: true }, { on: true }, { on: true }, { on: true }]);
  expect(await shown()).toEqual(before);
  const back = await inOwn('fields', 'migrate', '--rollback', 'read-from-objects');
  expect(back.document['switches']).toMatchObject([{ on: true }, { on: true }, { on: false }, { on: false }]);
  expect(await shown()).toEqual(before);
  expect((await inOwn('fields', 'reconcile')).document).toMatchObject({ incidents: [] });
}, 120_000);
