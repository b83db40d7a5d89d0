import { afterAll, beforeAll, expect, test } from 'vitest';
import { fillLibrary, fullWork, openLibrary, type OpenedLibrary } from '../testing/open-library.ts';
import type { StoreContext } from '../store-context.ts';
import { getDocument, listDocuments } from './read-documents.ts';

let library: OpenedLibrary;
let cached: StoreContext;
const counts = new Map<string, number>();

beforeAll(async () => {
  library = await openLibrary();
  cached = await library.reopen({
    cacheMode: 'on-write',
    metrics: {
      count: (name, _labels, by = 1) => void counts.set(name, (counts.get(name) ?? 0) + by),
      observe: () => undefined,
    },
  });
  await fillLibrary(library.post);
  await library.post('works', fullWork());
  for (const name of ['x', 'y']) await library.post('readingLists', { name });
});
afterAll(async () => library.close());

test('a page of every resource says what each document says when it is read by itself', async () => {
  const { store, model, database } = library;
  let documents = 0;
  for (const resource of model.resources.values()) {
    const page = await listDocuments(store, resource, { limit: 500 });
    const ownType = resource.isDescriptor ? `WHERE t.resource_key_id = ${store.resourceKey(resource.name)}` : '';
    const { rows } = await database.pool.query(
      `SELECT d.document_uuid, d.etag, ${store.reads.body(resource)} AS body ${store.reads.from(resource)} ${ownType} ORDER BY d.document_id`,
    );
    expect(page.bodies).toEqual(rows.map((row) => String(row.body)));
    for (const row of rows) {
      const read = await getDocument(store, resource, String(row.document_uuid));
      expect([read.body, read.etag]).toEqual([row.body, Number(row.etag)]);
    }
    documents += rows.length;
  }
  expect(documents).toBeGreaterThan(15);
});

test('a page of which the cache lacks something or has it too old is what it would be without the cache', async () => {
  const works = library.resource('works');
  const { pool } = library.database;
  const expected = await listDocuments(library.store, works, { limit: 3, totalCount: true });
  const read = async (): Promise<readonly [number, number]> => {
    counts.clear();
    expect(await listDocuments(cached, works, { limit: 3, totalCount: true })).toEqual(expected);
    return [counts.get('records_cache_hits') ?? 0, counts.get('records_cache_misses') ?? 0];
  };
  expect(await read()).toEqual([0, 3]);
  await pool.query(
    `INSERT INTO library.document_cache SELECT d.document_id, d.etag, ${cached.reads.body(works)} ${cached.reads.from(works)}`,
  );
  const trips = library.database.roundTrips();
  expect(await read()).toEqual([3, 0]);
  expect(library.database.roundTrips() - trips).toBe(1);
  await pool.query(
    `UPDATE library.document_cache SET etag = etag - 1, body = 'old' WHERE document_id = (SELECT min(document_id) FROM library.work)`,
  );
  expect(await read()).toEqual([2, 1]);
  expect((await listDocuments(cached, works, { offset: 1, limit: 1 })).bodies).toEqual(expected.bodies.slice(1, 2));
});
