import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { audit, ddlEmit, migrate, provision, runRecordsServe, type RunningRecords } from './run-records.ts';

const fixture = fileURLToPath(
  new URL('../../../../../packages/records/fixtures/library.api-schema.json', import.meta.url),
);
const extension = fileURLToPath(
  new URL('../../../../../packages/records/fixtures/library-archive.api-schema.json', import.meta.url),
);
const main = fileURLToPath(new URL('../../main.ts', import.meta.url));

let created: TestDatabase;
beforeAll(async () => {
  created = await createTestDatabase({ template: 'records empty' });
});
afterAll(async () => created.drop());

const source = (store: string, files: readonly string[] = [fixture]) => ({
  schemaFiles: files,
  store,
  databaseUrl: created.url,
  dataDir: '/nonexistent',
});
const serve = async (store: string, files?: readonly string[]): Promise<RunningRecords> =>
  runRecordsServe({
    ...source(store, files),
    port: 0,
    host: '127.0.0.1',
    prefix: '/data',
    cacheMode: 'off',
    watchdog: true,
    onInternalError: () => undefined,
  });
const auditAll = async (store: string) =>
  audit(source(store), { repair: false, documents: [], cascade: false, restart: true, onDamage: () => undefined });

const startProcess = async (store: string, crashAt: string): Promise<{ child: ChildProcess; address: string }> => {
  const args = [
    main,
    'records',
    'serve',
    '--schema',
    fixture,
    '--store',
    store,
    '--database-url',
    created.url,
    '--port',
    '0',
    '--json',
  ];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, CASEBOUND_CRASH_AT: crashAt },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  let complaint = '';
  child.stderr.on('data', (part: Buffer) => (complaint += part.toString()));
  for await (const part of child.stdout) {
    text += String(part);
    if (text.trimEnd().endsWith('}')) return { child, address: (JSON.parse(text) as { address: string }).address };
  }
  throw new Error(`the process ended: ${complaint}`);
};

test.each([
  ['records.bulk.before-commit', 0],
  ['records.bulk.after-commit', 50],
])(
  'killed at %s of a bulk write, the store holds all of the chunk or none of it, and the audit is clean',
  async (crashAt, kept) => {
    const store = kept === 0 ? 'crash_before' : 'crash_after';
    const { child, address } = await startProcess(store, crashAt);
    const ended = once(child, 'exit');
    const lines = Array.from({ length: 50 }, (_, n) =>
      JSON.stringify({ resource: 'library/authors', document: { authorKey: `k${n}` } }),
    );
    await expect(
      fetch(`${address}/$bulk`, {
        method: 'POST',
        body: lines.join('\n'),
        headers: { 'content-type': 'application/x-ndjson' },
      }),
    ).rejects.toThrow();
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(await auditAll(store)).toMatchObject({ damages: 0, checked: kept });
  },
  60_000,
);

test('serving provisions what is missing, refuses another schema, and migrate brings it there', async () => {
  const first = await serve('served');
  expect(first.provisioned).toBe('created');
  const posted = await fetch(`${first.address}/data/library/authors`, {
    method: 'POST',
    body: '{"authorKey":"a"}',
    headers: { 'content-type': 'application/json' },
  });
  expect(posted.status).toBe(201);
  await first.stop();
  const both = [fixture, extension];
  await expect(serve('served', both)).rejects.toMatchObject({ code: 'schema_mismatch' });
  expect(await migrate(source('served', both), { accept: [], dryRun: false })).toContain(
    'adds the resource Archive.Deed',
  );
  const second = await serve('served', both);
  expect(second.provisioned).toBe('present');
  const listed = await fetch(`${second.address}/data/library/authors`);
  expect(await listed.json()).toMatchObject([{ authorKey: 'a' }]);
  await second.stop();
});

test('only loopback, only with a watchdog on a database of others, only with names that are names', async () => {
  const options = {
    ...source('x'),
    port: 0,
    prefix: '/data',
    cacheMode: 'off' as const,
    onInternalError: () => undefined,
  };
  await expect(runRecordsServe({ ...options, host: '0.0.0.0', watchdog: true })).rejects.toMatchObject({
    code: 'config_invalid',
  });
  await expect(runRecordsServe({ ...options, host: '127.0.0.1', watchdog: false })).rejects.toMatchObject({
    code: 'config_invalid',
  });
  await expect(provision(source('a"; DROP SCHEMA public; --'))).rejects.toMatchObject({ code: 'validation_failed' });
});

test('emitted DDL, run as a script, makes the store that provisioning makes', async () => {
  const sql = await ddlEmit({ schemaFiles: [fixture], store: 'emitted' }, 4);
  expect(sql).toBe(await ddlEmit({ schemaFiles: [fixture], store: 'emitted' }, 4));
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: created.url });
  await client.connect();
  await client.query('CREATE SCHEMA emitted');
  await client.query(sql);
  await client.end();
  expect(await provision(source('emitted'))).toBe('present');
});
