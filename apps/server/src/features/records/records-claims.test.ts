/** A bare store with authorization rules: claims travel in a header, and every answer is within them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultWatchdog } from '@casebound/records';
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runRecordsServe, type RunningRecords } from './serve-records.ts';

const fixture = fileURLToPath(
  new URL('../../../../../packages/records/fixtures/library.api-schema.json', import.meta.url),
);
const all = {
  create: [{ kind: 'none' }],
  read: [{ kind: 'none' }],
  update: [{ kind: 'none' }],
  delete: [{ kind: 'none' }],
};
const own = [{ kind: 'relationship', paths: ['$.organisationReference'] }];
const rules = {
  hierarchy: {
    members: [
      { resource: 'Library.Consortium' },
      { resource: 'Library.Branch', parentPaths: ['$.parentOrganisationReference'] },
    ],
  },
  claimSets: {
    root: { grants: [{ resource: '*', actions: all }] },
    staff: {
      grants: [
        { resource: 'Library.ReadingList', actions: { create: own, read: own, update: own, delete: own } },
        { resource: 'Library.Branch', actions: { read: [{ kind: 'relationship', paths: ['$'] }] } },
      ],
    },
  },
};

let created: TestDatabase;
let folder: string;
let running: RunningRecords;
const serve = async (store: string, content: string): Promise<RunningRecords> => {
  const claimSetFile = path.join(folder, `${store}.json`);
  await writeFile(claimSetFile, content);
  return runRecordsServe({
    schemaFiles: [fixture],
    store,
    databaseUrl: created.url,
    dataDir: '/nonexistent',
    port: 0,
    host: '127.0.0.1',
    prefix: '/data',
    cacheMode: 'off',
    watchdog: defaultWatchdog,
    claimSetFile,
    onInternalError: (error) => {
      throw error;
    },
  });
};

beforeAll(async () => {
  created = await createTestDatabase({ template: 'records empty' });
  folder = await mkdtemp(path.join(tmpdir(), 'claims-'));
  running = await serve('claims', JSON.stringify(rules));
});
afterAll(async () => {
  await running.stop();
  await rm(folder, { recursive: true });
  await created.drop();
});

const send = async (method: string, where: string, claims: object | string | null, body?: object): Promise<Response> =>
  fetch(where.startsWith('/') ? `${running.address}${where}` : `${running.address}/data/library/${where}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(claims === null
        ? {}
        : { 'x-casebound-claims': typeof claims === 'string' ? claims : JSON.stringify(claims) }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
const documentIdOf = async (location: string): Promise<number> => {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: created.url });
  await client.connect();
  const { rows } = await client.query<{ id: string }>(
    'SELECT document_id AS id FROM claims.document WHERE document_uuid = $1',
    [location.split('/').at(-1)],
  );
  await client.end();
  return Number(rows[0]?.id);
};
const root = { claimSet: 'root' };

test('without claims 401, with claims of no set or of no grant 403, with its own what is below its groups', async () => {
  for (const claims of [null, '', 'nonsense', '{'])
    expect([claims, (await send('GET', 'readingLists', claims)).status]).toEqual([claims, 401]);
  for (const claims of ['null', '5', '[]', '{"claimSet":5}', '{"claimSet":"other"}', '{"claimSet":"constructor"}'])
    expect([claims, (await send('GET', 'readingLists', claims)).status]).toEqual([claims, 403]);

  await send('POST', 'consortia', root, { consortiumId: 1, name: 'All' });
  const locations = new Map<number, string>();
  for (const branchId of [10, 20]) {
    const branch = { branchId, name: 'b', parentOrganisationReference: { organisationId: 1 } };
    locations.set(branchId, (await send('POST', 'branches', root, branch)).headers.get('location') ?? '');
    const list = { name: `l${branchId}`, organisationReference: { organisationId: branchId } };
    expect((await send('POST', 'readingLists', root, list)).status).toBe(201);
  }
  const staff = { claimSet: 'staff', groupDocumentIds: [await documentIdOf(locations.get(10) ?? '')] };
  const seen = await send('GET', 'readingLists?totalCount=true', staff);
  expect([await seen.json(), seen.headers.get('total-count')]).toMatchObject([[{ name: 'l10' }], '1']);
  expect((await send('GET', 'readingLists?totalCount=true', root)).headers.get('total-count')).toBe('2');
  expect((await send('GET', 'authors', staff)).status).toBe(403);
  expect((await send('GET', locations.get(20) ?? '', staff)).status).toBe(404);
  expect((await send('GET', locations.get(10) ?? '', staff)).status).toBe(200);
  const probe = async (organisationId: number): Promise<readonly [number, string]> => {
    const answer = await send('POST', 'readingLists', staff, {
      name: 'probe',
      organisationReference: { organisationId },
    });
    const { detail } = (await answer.json()) as { detail: string };
    return [answer.status, detail];
  };
  expect(await probe(20)).toEqual(await probe(99));
  // Groups that are no numbers are no groups.
  const odd = { claimSet: 'staff', groupDocumentIds: ['1 OR 1=1', null, 1.5, {}] };
  expect(await (await send('GET', 'readingLists', odd)).json()).toEqual([]);
});

test('rules that cannot be read, or that do not fit the schema, are told at the start', async () => {
  for (const content of ['{', '[]', '{"claimSets":{"c":{"grants":[{"resource":"Library.Nothing","actions":{}}]}}}'])
    await expect(serve('broken', content)).rejects.toMatchObject({ code: 'config_invalid' });
});
