import { randomBytes } from 'node:crypto';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { defaultWatchdog, recordCounters, recordHistograms } from '@casebound/records';
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createMetrics } from '../../platform/metrics/create-metrics.ts';
import { audit, ddlEmit, migrate, migrateAll, provision } from './run-records.ts';
import { runRecordsServe, type RunningRecords } from './serve-records.ts';

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
    watchdog: defaultWatchdog,
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
    const store = `${kept === 0 ? 'crash_before' : 'crash_after'}_${randomBytes(4).toString('hex')}`;
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
  await expect(runRecordsServe({ ...options, host: '0.0.0.0', watchdog: defaultWatchdog })).rejects.toMatchObject({
    code: 'config_invalid',
  });
  await expect(runRecordsServe({ ...options, host: '127.0.0.1', watchdog: null })).rejects.toMatchObject({
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
  await client.query(sql);
  await client.end();
  expect(await provision(source('emitted'))).toBe('present');
});

test('all stores of a database are migrated by one command, which says which failed and can be run again', async () => {
  for (const store of ['all_a', 'all_b', 'all_c']) await provision(source(store));
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: created.url });
  await client.connect();
  // A store that the new schema does not fit: a table of its name is there already.
  await client.query('CREATE TABLE all_b.archive_deed (x int)');
  const run = async (more: object = {}) => {
    const told: string[] = [];
    const { schemaFiles, databaseUrl, dataDir } = source('x', [fixture, extension]);
    const summary = await migrateAll(
      { schemaFiles, databaseUrl, dataDir },
      {
        accept: [],
        dryRun: false,
        concurrency: 2,
        prefix: 'all_',
        signal: new AbortController().signal,
        onStore: (store, result) =>
          void told.push(`${store} ${result instanceof Error ? 'failed' : result.length > 0}`),
        ...more,
      },
    );
    return { summary, told: told.sort() };
  };
  expect((await run({ dryRun: true })).summary).toEqual({ migrated: 3, present: 0, failed: 0 });
  expect(await run()).toEqual({
    summary: { migrated: 2, present: 0, failed: 1 },
    told: ['all_a true', 'all_b failed', 'all_c true'],
  });
  await client.query('DROP TABLE all_b.archive_deed');
  await client.end();
  expect((await run()).summary).toEqual({ migrated: 1, present: 2, failed: 0 });
});

test('figures: what a store did is shown under the names of its table', async () => {
  const metrics = createMetrics();
  const running = await runRecordsServe({
    ...source(`figures_${randomBytes(4).toString('hex')}`),
    port: 0,
    host: '127.0.0.1',
    prefix: '/data',
    cacheMode: 'on-write',
    watchdog: { ...defaultWatchdog, intervalMs: 50 },
    metrics,
    onInternalError: () => undefined,
  });
  const send = async (method: string, where: string, body?: object): Promise<Response> =>
    fetch(`${running.address}/data/library/${where}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
  const author = await send('POST', 'authors', { authorKey: 'a' });
  await send('POST', 'authors', { authorKey: 'b' });
  await send('POST', 'authors', { authorKey: '5' });
  await send('POST', 'authors', { authorKey: 5 });
  const list = (...keys: string[]) => ({
    name: 'l',
    authors: keys.map((authorKey) => ({ authorReference: { authorKey } })),
  });
  await send('POST', 'readingLists', list('a', 'b'));
  await send('POST', 'readingLists', list('b', '5'));
  await send('GET', 'readingLists');
  const renamed = await fetch(`${running.address}${author.headers.get('location')}`, {
    method: 'PUT',
    body: JSON.stringify({ authorKey: 'c' }),
    headers: { 'content-type': 'application/json' },
  });
  expect(renamed.status).toBe(204);
  expect((await fetch(`${running.address}${author.headers.get('location')}`, { method: 'DELETE' })).status).toBe(204);
  const shown = async (): Promise<string> => (await fetch(`${running.address}/metrics`)).text();
  await expect
    .poll(shown, { timeout: 10_000 })
    .toMatch(/casebound_records_watchdog_checked_total\{origin="sample"\} [1-9]/);
  const text = await shown();
  for (const line of [
    'casebound_records_writes_total{resource="authors",outcome="created"} 3',
    'casebound_records_writes_total{resource="authors",outcome="updated"} 1',
    'casebound_records_writes_total{resource="readingLists",outcome="updated"} 1',
    'casebound_records_deletes_total{resource="authors"} 1',
    'casebound_records_edges_inserted_total{resource="readingLists"} 3',
    'casebound_records_edges_deleted_total{resource="readingLists"} 1',
    'casebound_records_cascades_total{resource="authors"} 1',
    'casebound_records_identities_rewritten_total{resource="authors"} 1',
    'casebound_records_result_rows_total{resource="readingLists",operation="list"} 1',
    'casebound_records_cache_hits_total{resource="readingLists"} 1',
    'casebound_records_locked_rows_total{mode="exclusive"} 1',
    'casebound_records_locked_rows_total{mode="shared"} 2',
    'casebound_records_closure_size_count 1',
    'casebound_records_healthy 1',
    'casebound_records_bumps_waiting 0',
  ])
    expect(text).toContain(`${line}\n`);
  for (const name of [...Object.keys(recordCounters), ...Object.keys(recordHistograms)])
    expect(text).toMatch(new RegExp(`^# HELP casebound_${name}(_total)? `, 'm'));
  expect(text).toMatch(/casebound_records_lock_seconds_count\{mode="shared"\} 1/);
  await running.stop();
});

test('a store whose watchdog found damage and may not repair it answers 503 until it is repaired', async () => {
  const incidents: string[] = [];
  const running = await runRecordsServe({
    ...source('unsound'),
    port: 0,
    host: '127.0.0.1',
    prefix: '/data',
    cacheMode: 'off',
    watchdog: { ...defaultWatchdog, intervalMs: 20, onDamage: 'mark-unhealthy' },
    onIncident: ({ kind, repaired }) => void incidents.push(`${kind} ${repaired}`),
    onInternalError: () => undefined,
  });
  const list = async (): Promise<Response> => fetch(`${running.address}/data/library/authors`);
  await fetch(`${running.address}/data/library/authors`, {
    method: 'POST',
    body: '{"authorKey":"a"}',
    headers: { 'content-type': 'application/json' },
  });
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: created.url });
  await client.connect();
  await client.query('DELETE FROM unsound.referential_identity');
  await client.end();
  await expect.poll(() => incidents[0], { timeout: 10_000 }).toBe('identity-missing false');
  const answer = await list();
  expect([answer.status, answer.headers.get('retry-after'), await answer.json()]).toMatchObject([
    503,
    '60',
    { type: 'urn:casebound:error:store_unhealthy' },
  ]);
  await running.stop();
  const request = { documents: [], cascade: false, restart: true, onDamage: () => undefined };
  expect(await audit(source('unsound'), { ...request, repair: true })).toMatchObject({ damages: 1, repaired: 1 });
  const again = await serve('unsound');
  expect((await fetch(`${again.address}/data/library/authors`)).status).toBe(200);
  await again.stop();
});

test('the page on records names every figure, and no other', async () => {
  const page = await readFile(new URL('../../../../../docs/records.md', import.meta.url), 'utf8');
  const told = new Set([...page.matchAll(/`(records_[a-z_]+)(?:\{|`)/g)].map((match) => match[1]));
  expect(told).toEqual(new Set([...Object.keys(recordCounters), ...Object.keys(recordHistograms)]));
});
