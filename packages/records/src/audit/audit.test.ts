import { afterAll, beforeAll, expect, test } from 'vitest';
import { fillLibrary, fullWork, openLibrary, type OpenedLibrary } from '../testing/open-library.ts';
import type { Incident, StoreContext } from '../store-context.ts';
import { auditStore, locateDocuments, auditDocuments } from './audit-store.ts';
import { createWatchdog, requireHealthy } from './watchdog.ts';
import { getDocument } from '../read/read-documents.ts';

let library: OpenedLibrary;
let cached: StoreContext;
let ids: Record<'work' | 'author' | 'copy' | 'branch', number>;
beforeAll(async () => {
  library = await openLibrary({ cacheMode: 'on-write' });
  cached = library.store;
  await fillLibrary(library.post);
  const work = await library.post('works', fullWork());
  const { title, languageDescriptor } = fullWork();
  const copy = await library.post('copies', {
    workReference: { authorKey: 'a1', title: title ?? '', languageDescriptor: languageDescriptor ?? '' },
    copyNumber: 1,
    branchReference: { branchId: 10 },
  });
  const { rows } = await library.database.pool.query(
    `SELECT (SELECT document_id FROM library.author WHERE author_key = 'a1') AS author, (SELECT document_id FROM library.branch) AS branch`,
  );
  ids = {
    work: work.documentId,
    copy: copy.documentId,
    author: Number(rows[0]?.author),
    branch: Number(rows[0]?.branch),
  };
});
afterAll(async () => library.close());

/** Damage as SQL over `library`, with the kind that must be reported. */
const damages = (): readonly (readonly [kind: string, sql: string])[] => [
  [
    'edge-missing',
    `DELETE FROM library.reference_edge WHERE parent_document_id = ${ids.work} AND child_document_id = ${ids.author}`,
  ],
  ['edge-extra', `INSERT INTO library.reference_edge VALUES (${ids.author}, ${ids.copy}, true)`],
  ['edge-extra', `INSERT INTO library.reference_edge VALUES (99999999, ${ids.copy}, true)`],
  [
    'edge-flag',
    `UPDATE library.reference_edge SET is_identity_component = NOT is_identity_component WHERE parent_document_id = ${ids.copy} AND child_document_id = ${ids.branch}`,
  ],
  ['identity-missing', `DELETE FROM library.referential_identity WHERE document_id = ${ids.copy}`],
  [
    'identity-wrong',
    `UPDATE library.referential_identity SET referential_id = gen_random_uuid() WHERE document_id = ${ids.work}`,
  ],
  [
    'identity-missing',
    `DELETE FROM library.referential_identity WHERE document_id = ${ids.branch} AND resource_key_id <> (SELECT resource_key_id FROM library.document WHERE document_id = ${ids.branch})`,
  ],
  [
    'identity-extra',
    `INSERT INTO library.referential_identity VALUES (gen_random_uuid(), ${ids.copy}, (SELECT resource_key_id FROM library.document WHERE document_id = ${ids.work}))`,
  ],
  [
    'identity-extra',
    `INSERT INTO library.referential_identity SELECT gen_random_uuid(), 99999999, resource_key_id FROM library.document WHERE document_id = ${ids.work}`,
  ],
  [
    'row-extra',
    `INSERT INTO library.author (document_id, author_key) VALUES (99999997, 'of nobody'); INSERT INTO library.work__contributors (root_document_id, contributors_ordinal, author_document_id) VALUES (99999998, 0, ${ids.author})`,
  ],
  [
    'identity-wrong',
    `UPDATE library.author SET author_key = 'behind the back' WHERE document_id = ${ids.author}; DELETE FROM library.document_cache`,
  ],
  ['descriptor-uri', `UPDATE library.descriptor SET uri = 'nonsense' WHERE code_value = 'Translator'`],
  [
    'cache-wrong',
    `INSERT INTO library.document_cache SELECT document_id, etag, '{}' FROM library.document WHERE document_id = ${ids.work} ON CONFLICT (document_id) DO UPDATE SET etag = excluded.etag, body = '{}'`,
  ],
];

test('every planted damage is found, named and repaired; nothing is found where nothing is wrong', async () => {
  expect(await auditStore(cached)).toMatchObject({ damages: 0 });
  for (const [kind, sql] of damages()) {
    await library.database.pool.query(sql);
    const found: string[] = [];
    await auditStore(cached, { onDamage: (damage) => found.push(damage.kind) });
    expect([sql, found]).toEqual([sql, expect.arrayContaining([kind])]);
    const { repaired } = await auditStore(cached, { repair: true });
    expect(repaired).toBeGreaterThan(0);
    expect([sql, await auditStore(cached)]).toMatchObject([sql, { damages: 0 }]);
  }
});

test('a document whose root row is gone, and a target of the wrong type, are found and not repairable', async () => {
  const { pool } = library.database;
  await pool.query(
    `INSERT INTO library.document (document_id, document_uuid, resource_key_id) SELECT 5000000, gen_random_uuid(), resource_key_id FROM library.document WHERE document_id = ${ids.author}`,
  );
  const list = await library.post('readingLists', { name: 'abstract', organisationReference: { organisationId: 10 } });
  await pool.query(
    `UPDATE library.reading_list SET organisation_document_id = ${ids.author} WHERE document_id = ${list.documentId}`,
  );
  const found: string[] = [];
  await auditStore(cached, { repair: true, onDamage: (damage) => found.push(damage.kind) });
  expect(found).toContain('root-missing');
  expect(found).toContain('abstract-target');
  await pool.query('DELETE FROM library.document WHERE document_id IN (5000000, $1)', [list.documentId]);
  await pool.query('DELETE FROM library.reference_edge WHERE parent_document_id = $1', [list.documentId]);
  expect(await auditStore(cached)).toMatchObject({ damages: 0 });
});

test('damage that only a person can settle is found, named, and not made worse by a repair', async () => {
  const { pool } = library.database;
  const key = (endpoint: string): string =>
    `(SELECT resource_key_id FROM library.resource_key WHERE resource_name = '${library.resource(endpoint).name.resourceName}')`;
  const branch = await library.post('branches', { branchId: 500, name: 'X' });
  const author = await library.post('authors', { authorKey: 'misplaced' });
  const undo: readonly (readonly [kinds: readonly string[], plant: string, undo: string])[] = [
    [
      ['descriptor-target'],
      `UPDATE library.work SET language_descriptor_id = (SELECT document_id FROM library.descriptor WHERE code_value = 'Editor') WHERE document_id = ${ids.work}`,
      `UPDATE library.work SET language_descriptor_id = (SELECT document_id FROM library.descriptor WHERE code_value = 'de') WHERE document_id = ${ids.work}`,
    ],
    [
      ['root-missing', 'root-of-other-resource'],
      `UPDATE library.document SET resource_key_id = ${key('branches')} WHERE document_id = ${author.documentId}`,
      `UPDATE library.document SET resource_key_id = ${key('authors')} WHERE document_id = ${author.documentId}`,
    ],
    [
      ['resource-unknown'],
      `UPDATE library.document SET resource_key_id = 999 WHERE document_id = ${author.documentId}`,
      `UPDATE library.document SET resource_key_id = ${key('authors')} WHERE document_id = ${author.documentId}`,
    ],
    [
      ['identity-incomplete'],
      `UPDATE library.author SET author_key = NULL WHERE document_id = ${author.documentId}`,
      `UPDATE library.author SET author_key = 'misplaced' WHERE document_id = ${author.documentId}`,
    ],
    // A consortium and a branch of one number: their superclass identities are the same, which no constraint of a table sees.
    [
      ['identity-duplicate'],
      `UPDATE library.branch SET branch_id = 1 WHERE document_id = ${branch.documentId}`,
      `UPDATE library.branch SET branch_id = 500 WHERE document_id = ${branch.documentId}`,
    ],
  ];
  for (const [kinds, plant, revert] of undo) {
    await pool.query(plant);
    for (const repair of [false, true, true]) {
      const found = new Map<string, boolean>();
      await auditStore(cached, { repair, onDamage: (damage) => found.set(damage.kind, damage.repairable) });
      for (const kind of kinds) expect([plant, kind, found.get(kind)]).toEqual([plant, kind, false]);
    }
    await pool.query(revert);
    await auditStore(cached, { repair: true });
    expect([plant, await auditStore(cached)]).toMatchObject([plant, { damages: 0 }]);
  }
});

test('letters beyond ASCII in a descriptor are no damage, whatever the collation of the database', async () => {
  const document = { namespace: 'uri://library.example/LanguageDescriptor', shortDescription: 'x' };
  await library.post('languageDescriptors', { ...document, codeValue: 'ÄPFEL İ ΟΔΟΣ' });
  await library.post('works', {
    authorReference: { authorKey: 'a2' },
    title: 'letters',
    languageDescriptor: 'uri://library.example/LanguageDescriptor#äpfel i̇ οδος',
  });
  expect(await auditStore(cached)).toMatchObject({ damages: 0 });
});

test('an audit that repairs does not go on where one that only looked was interrupted', async () => {
  const stop = new AbortController();
  const run = auditStore(cached, { batchSize: 5, signal: stop.signal, onProgress: () => stop.abort() });
  await expect(run).rejects.toThrow();
  const { rows } = await library.database.pool.query('SELECT count(*)::int AS n FROM library.document');
  expect((await auditStore(cached, { repair: true })).checked).toBe(Number(rows[0]?.n));
  await auditStore(cached);
});

test('an interrupted audit goes on where it was', async () => {
  const stop = new AbortController();
  const run = auditStore(cached, {
    batchSize: 5,
    signal: stop.signal,
    onProgress: (_last, checked) => void (checked >= 10 && stop.abort()),
  });
  await expect(run).rejects.toThrow();
  const { rows } = await library.database.pool.query('SELECT count(*)::int AS n FROM library.document');
  expect((await auditStore(cached, { batchSize: 5 })).checked).toBe(Number(rows[0]?.n) - 10);
});

test('some documents, with all whose identity contains theirs', async () => {
  const located = await locateDocuments(cached, [String(ids.author)], true);
  expect(located.map((entry) => entry.documentId)).toEqual(expect.arrayContaining([ids.author, ids.work, ids.copy]));
  expect(await auditDocuments(cached, located, false)).toEqual([]);
  await expect(locateDocuments(cached, ["1'; DROP"], false)).rejects.toMatchObject({ code: 'validation_failed' });
});

test('a stale cache row is never served, a fresh one is', async () => {
  const { pool } = library.database;
  const { rows } = await pool.query('SELECT document_uuid AS id FROM library.document WHERE document_id = $1', [
    ids.copy,
  ]);
  const uuid = String(rows[0]?.id);
  await pool.query(
    `INSERT INTO library.document_cache SELECT document_id, etag, '{"planted":true}' FROM library.document WHERE document_id = $1 ON CONFLICT (document_id) DO UPDATE SET etag = excluded.etag, body = excluded.body`,
    [ids.copy],
  );
  expect((await getDocument(cached, library.resource('copies'), uuid)).body).toBe('{"planted":true}');
  await pool.query('UPDATE library.document SET etag = etag + 1 WHERE document_id = $1', [ids.copy]);
  expect((await getDocument(cached, library.resource('copies'), uuid)).body).toContain('"copyNumber":1');
});

test('the watchdog finds damage in samples and commits, repairs it and tells; or stops the store', async () => {
  const incidents: Incident[] = [];
  const options = {
    intervalMs: 60_000,
    sampleSize: 200,
    commitShare: 1,
    onIncident: (incident: Incident) => void incidents.push(incident),
    onFailure: (error: unknown) => {
      throw error;
    },
  };
  const watchdog = createWatchdog({ ...options, onDamage: 'repair' });
  watchdog.start(cached);
  await library.database.pool.query(`DELETE FROM library.referential_identity WHERE document_id = ${ids.copy}`);
  watchdog.afterCommit(library.resource('copies'), [ids.copy]);
  await watchdog.tick();
  expect(incidents).toEqual([{ kind: 'identity-missing', resource: 'copies', documentId: ids.copy, repaired: true }]);
  expect(() => requireHealthy(watchdog)).not.toThrow();
  await watchdog.stop();

  const strict = createWatchdog({ ...options, onDamage: 'mark-unhealthy' });
  strict.start(cached);
  await library.database.pool.query(`DELETE FROM library.reference_edge WHERE parent_document_id = ${ids.copy}`);
  await strict.tick();
  await strict.stop();
  expect(() => requireHealthy(strict)).toThrow(/damage/);
  expect((await auditStore(cached, { repair: true })).repaired).toBeGreaterThan(0);
});

test('the watchdog finds edges of records that are gone, and counts its own failures', async () => {
  const counted: string[] = [];
  const store: StoreContext = {
    ...cached,
    metrics: { count: (name) => void counted.push(name), observe: () => undefined },
  };
  const incidents: Incident[] = [];
  const watchdog = createWatchdog({
    intervalMs: 5,
    sampleSize: 1_000,
    commitShare: 1,
    onDamage: 'repair',
    onIncident: (incident) => void incidents.push(incident),
    onFailure: () => undefined,
  });
  const { pool } = library.database;
  const { rows } = await pool.query('SELECT max(document_id) + 1000 AS id FROM library.document');
  await pool.query('INSERT INTO library.reference_edge VALUES ($1, $2, false)', [rows[0]?.id, ids.copy]);
  watchdog.start(store);
  for (let n = 0; n < 1_000 && incidents.length === 0; n += 1) await new Promise((resolve) => setTimeout(resolve, 10));
  await watchdog.stop();
  expect(incidents[0]).toMatchObject({ kind: 'edge-extra', documentId: Number(rows[0]?.id), repaired: true });
  expect(await auditStore(cached)).toMatchObject({ damages: 0 });

  const broken: StoreContext = { ...store, database: { transaction: async () => Promise.reject(new Error('gone')) } };
  watchdog.start(broken);
  for (let n = 0; n < 1_000 && !counted.includes('records_watchdog_failures'); n += 1)
    await new Promise((resolve) => setTimeout(resolve, 10));
  await watchdog.stop();
  expect(counted).toContain('records_watchdog_failures');
  expect(watchdog.isHealthy()).toBe(true);
});
