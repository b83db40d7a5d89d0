import { CaseboundError } from '@casebound/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { getDocument, listDocuments } from '../read/read-documents.ts';
import { fillLibrary, fullWork, language, openLibrary, type OpenedLibrary } from '../testing/open-library.ts';
import { deleteDocument } from './delete-document.ts';
import type { JsonValue } from './parse-json.ts';
import { putDocument, upsertDocument } from './write-document.ts';

let library: OpenedLibrary;
beforeAll(async () => {
  library = await openLibrary();
  await fillLibrary(library.post);
});
afterAll(async () => library.close());

const read = async (endpoint: string, uuid: string): Promise<Record<string, JsonValue>> =>
  JSON.parse((await getDocument(library.store, library.resource(endpoint), uuid)).body);

const refusal = async (work: Promise<unknown>): Promise<CaseboundError> => {
  const error: unknown = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof CaseboundError) return error;
  throw new Error(`expected a CaseboundError, got ${String(error)}`);
};

test('a document of every kind of member comes back as the schema keeps it', async () => {
  const document = { ...fullWork(), overposted: 1 };
  const { uuid, outcome } = await library.post('works', document);
  expect(outcome).toBe('created');
  const stored = await read('works', uuid);
  expect(stored).toEqual({
    ...fullWork(),
    id: uuid,
    languageDescriptor: language('de'),
    registeredAt: '2020-02-29T18:29:59.123456Z',
    _etag: '1',
    _lastModifiedDate: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/),
  });
  const again = await putDocument(library.store, library.resource('works'), uuid, stored);
  expect(again.outcome).toBe('unchanged');
  expect((await read('works', uuid))['_etag']).toBe('1');
});

test('a write is two round trips, whatever its nesting, and one that changes nothing sends no write', async () => {
  const document = { ...fullWork(), title: 'round trips' };
  const before = library.database.roundTrips();
  await library.post('works', document);
  expect(library.database.roundTrips() - before).toBe(2);
  const [trips, statements] = [library.database.roundTrips(), library.database.statements()];
  expect((await library.post('works', document)).outcome).toBe('unchanged');
  expect(library.database.roundTrips() - trips).toBe(2);
  expect(library.database.statements() - statements).toBe(4);
  const reads = library.database.roundTrips();
  await listDocuments(library.store, library.resource('works'), { totalCount: true });
  expect(library.database.roundTrips() - reads).toBe(1);
});

test('strings that spell numbers and booleans are coerced where the schema lists the path', async () => {
  const { uuid } = await library.post('works', {
    authorReference: { authorKey: 'a1' },
    title: 'coerced',
    languageDescriptor: language('en'),
    pages: '12',
    isRare: 'TRUE',
    price: '1.5',
  });
  expect(await read('works', uuid)).toMatchObject({ pages: 12, isRare: true, price: 1.5 });
});

test('an update writes what differs: collections shrink, grow and reorder, edges follow', async () => {
  const base = { authorReference: { authorKey: 'a1' }, title: 'updates', languageDescriptor: language('en') };
  const { uuid, documentId } = await library.post('works', {
    ...base,
    subjects: ['x', 'y', 'z'],
    contributors: [{ authorReference: { authorKey: 'a2' } }],
    editions: [{ number: 1, printings: [{ printedOn: '2000-01-01' }] }, { number: 2 }],
  });
  const result = await library.post('works', {
    ...base,
    subjects: ['z'],
    contributors: [{ authorReference: { authorKey: 'a3' } }],
    editions: [{ number: 2, printings: [{ copies: [{ shelf: 'q' }] }] }],
  });
  expect(result).toMatchObject({ outcome: 'updated', etag: 2, uuid });
  expect(await read('works', uuid)).toMatchObject({
    subjects: ['z'],
    contributors: [{ authorReference: { authorKey: 'a3' } }],
    editions: [{ number: 2, printings: [{ copies: [{ shelf: 'q' }] }] }],
  });
  const { rows } = await library.database.pool.query(
    'SELECT count(*)::int AS n FROM library.reference_edge WHERE parent_document_id = $1',
    [documentId],
  );
  expect(rows).toEqual([{ n: 2 }]);
});

test('items that swap places in a collection with a uniqueness are written without a collision', async () => {
  const hours = (days: string[]): JsonValue => days.map((weekday) => ({ weekday }));
  const { uuid } = await library.post('branches', {
    branchId: 77,
    name: 'B',
    openingHours: hours(['mon', 'tue', 'wed']),
  });
  await library.post('branches', { branchId: 77, name: 'B', openingHours: hours(['wed', 'mon', 'tue', 'thu']) });
  expect(await read('branches', uuid)).toMatchObject({ openingHours: hours(['wed', 'mon', 'tue', 'thu']) });
});

test('a collection keyed by its reference keeps its order and finds the duplicate', async () => {
  const authors = (keys: string[]): JsonValue => keys.map((authorKey) => ({ authorReference: { authorKey } }));
  const { uuid } = await library.post('readingLists', { name: 'keyed', authors: authors(['a3', 'a1']) });
  await library.post('readingLists', { name: 'keyed', authors: authors(['a1', 'a2', 'a3']) });
  expect((await read('readingLists', uuid))['authors']).toEqual(authors(['a1', 'a2', 'a3']));
  // Gaps in the order column, as set-based appends leave them, change nothing.
  await library.database.pool.query(
    'UPDATE library.reading_list__authors SET authors_ordinal = authors_ordinal * 7 + 3',
  );
  await library.post('readingLists', { name: 'keyed', authors: authors(['a3', 'a2']) });
  expect((await read('readingLists', uuid))['authors']).toEqual(authors(['a3', 'a2']));
  const error = await refusal(library.post('readingLists', { name: 'keyed', authors: authors(['a1', 'a1']) }));
  expect(error).toMatchObject({ code: 'validation_failed', errors: [{ path: '$.authors[1]' }] });
});

test('every failure of a document is told at its path, and nothing is written', async () => {
  const { rows: before } = await library.database.pool.query('SELECT count(*)::int AS n FROM library.document');
  const error = await refusal(
    library.post('works', {
      authorReference: {},
      title: 5,
      languageDescriptor: language('en'),
      price: 1.234,
      pages: 1.5,
      registeredAt: 'yesterday',
      editions: [{ number: 1 }, { printings: [{ printedOn: '2021-02-30' }] }],
    }),
  );
  expect(error.status).toBe(400);
  expect(error.errors.map((entry) => entry.path).sort()).toEqual(
    [
      '$.authorReference',
      '$.authorReference.authorKey',
      '$.editions[1].number',
      '$.editions[1].printings[0].printedOn',
      '$.pages',
      '$.price',
      '$.registeredAt',
      '$.title',
    ].sort(),
  );
  const { rows: after } = await library.database.pool.query('SELECT count(*)::int AS n FROM library.document');
  expect(after).toEqual(before);
});

test('unresolved references are each named with their place', async () => {
  const error = await refusal(
    library.post('works', {
      authorReference: { authorKey: 'nobody' },
      title: 'x',
      languageDescriptor: language('xx'),
      contributors: [{ authorReference: { authorKey: 'a1' } }, { authorReference: { authorKey: 'a9' } }],
    }),
  );
  expect(error).toMatchObject({ code: 'unresolved_reference', status: 409 });
  expect(error.errors.map((entry) => entry.path)).toEqual([
    '$.authorReference',
    '$.languageDescriptor',
    '$.contributors[1].authorReference',
  ]);
});

test('a polymorphic reference takes any subclass, whose superclass ids share one space', async () => {
  const { uuid } = await library.post('readingLists', { name: 'poly', organisationReference: { organisationId: 1 } });
  await library.post('readingLists', { name: 'poly', organisationReference: { organisationId: 10 } });
  expect((await read('readingLists', uuid))['organisationReference']).toEqual({ organisationId: 10 });
  const error = await refusal(library.post('branches', { branchId: 1, name: 'clash' }));
  expect(error.code).toBe('duplicate_identity');
});

test('identity may change only where the schema allows it, and not to one that is taken', async () => {
  const branch = await library.post('branches', { branchId: 20, name: 'x' });
  expect(
    await refusal(putDocument(library.store, library.resource('branches'), branch.uuid, { branchId: 21, name: 'x' })),
  ).toMatchObject({ code: 'identity_immutable', status: 400 });
  const author = await library.post('authors', { authorKey: 'b1' });
  expect(
    await refusal(putDocument(library.store, library.resource('authors'), author.uuid, { authorKey: 'a1' })),
  ).toMatchObject({ code: 'duplicate_identity', status: 409 });
});

test('conditional writes compare etags strongly', async () => {
  const { store } = library;
  const resource = library.resource('authors');
  const { uuid } = await library.post('authors', { authorKey: 'etags' });
  for (const ifMatch of ['"2"', 'W/"1"', 'nonsense', '', '"1', "'; DROP TABLE x"]) {
    expect(
      await refusal(putDocument(store, resource, uuid, { authorKey: 'etags', born: '1900-01-01' }, { ifMatch })),
    ).toMatchObject({ code: 'precondition_failed', status: 412 });
  }
  expect(
    await putDocument(store, resource, uuid, { authorKey: 'etags', born: '1900-01-01' }, { ifMatch: '"1"' }),
  ).toMatchObject({ etag: 2 });
  expect(await refusal(upsertDocument(store, resource, { authorKey: 'etags' }, { ifNoneMatch: '*' }))).toMatchObject({
    code: 'precondition_failed',
  });
  expect(await refusal(deleteDocument(store, resource, uuid, { ifMatch: '"1"' }))).toMatchObject({
    code: 'precondition_failed',
  });
  await deleteDocument(store, resource, uuid, { ifMatch: '"2"' });
  expect(await refusal(getDocument(store, resource, uuid))).toMatchObject({ code: 'record_not_found' });
});

test('what is referred to cannot be deleted; the referring types are named, within a transaction too', async () => {
  const { store, database } = library;
  const { rows } = await database.pool.query(
    `SELECT document_uuid AS id FROM library.document d JOIN library.author a USING (document_id) WHERE a.author_key = 'a1'`,
  );
  const uuid = String(rows[0]?.id);
  const counted: string[] = [];
  const metrics = { count: (name: string) => void counted.push(name), observe: () => undefined };
  const counting = await library.reopen({ metrics });
  const error = await refusal(deleteDocument(counting, library.resource('authors'), uuid));
  expect(error).toMatchObject({ code: 'record_referenced', status: 409 });
  expect(counted).not.toContain('records_retries');
  expect(error.message).toContain('Library.Work');
  await database.transaction(async (tx) => {
    const inner = await refusal(deleteDocument(store, library.resource('authors'), uuid, { tx }));
    expect(inner.message).toContain('Library.Work');
    await upsertDocument(store, library.resource('authors'), { authorKey: 'after savepoint' }, { tx });
  });
  const page = await listDocuments(store, library.resource('authors'), {
    filters: [{ field: 'authorKey', value: 'after savepoint' }],
  });
  expect(page.bodies).toHaveLength(1);
  const descriptors = await listDocuments(store, library.resource('languageDescriptors'), {
    filters: [{ field: 'codeValue', value: 'en' }],
  });
  const descriptor = JSON.parse(descriptors.bodies[0] ?? '{}') as { id: string };
  expect(
    (await refusal(deleteDocument(store, library.resource('languageDescriptors'), descriptor.id))).message,
  ).toContain('Library.Work');
});

test('a delete leaves nothing behind', async () => {
  const { uuid, documentId } = await library.post('works', { ...fullWork(), title: 'to be deleted' });
  await deleteDocument(library.store, library.resource('works'), uuid);
  for (const table of library.resource('works').tables) {
    const column = table.kind === 'root' ? 'document_id' : 'root_document_id';
    const { rows } = await library.database.pool.query(
      `SELECT count(*)::int AS n FROM library."${table.name}" WHERE ${column} = $1`,
      [documentId],
    );
    expect([table.name, rows[0]?.n]).toEqual([table.name, 0]);
  }
  const { rows } = await library.database.pool.query(
    'SELECT (SELECT count(*) FROM library.reference_edge WHERE parent_document_id = $1) + (SELECT count(*) FROM library.referential_identity WHERE document_id = $1) AS n',
    [documentId],
  );
  expect(Number(rows[0]?.n)).toBe(0);
});

test('documents that go together by SQL take all their rows along, though they refer to each other', async () => {
  const { pool } = library.database;
  const work = await library.post('works', { ...fullWork(), title: 'goes by SQL' });
  const { authorReference, languageDescriptor } = fullWork();
  const { authorKey } = authorReference as { readonly authorKey: string };
  const copy = await library.post('copies', {
    workReference: { authorKey, title: 'goes by SQL', languageDescriptor: languageDescriptor as string },
    copyNumber: 77,
  });
  const ids = [work.documentId, copy.documentId];
  await pool.query('DELETE FROM library.document WHERE document_id = ANY ($1)', [ids]);
  const { rows: tables } = await pool.query<{ name: string; key: string }>(
    `SELECT table_name AS name, column_name AS key FROM information_schema.columns
     WHERE table_schema = 'library' AND column_name IN ('document_id', 'root_document_id') AND table_name <> 'reference_edge' AND is_updatable = 'YES'`,
  );
  expect(tables.length).toBeGreaterThan(15);
  for (const { name, key } of tables) {
    const { rows } = await pool.query(`SELECT FROM library."${name}" WHERE "${key}" = ANY ($1)`, [ids]);
    expect([name, rows.length]).toEqual([name, 0]);
  }
});

test('a record that refers to itself, by a superclass too, can be deleted', async () => {
  const branches = library.resource('branches');
  const { uuid } = await library.post('branches', { branchId: 4711, name: 'own parent' });
  await putDocument(library.store, branches, uuid, {
    branchId: 4711,
    name: 'own parent',
    parentOrganisationReference: { organisationId: 4711 },
  });
  await deleteDocument(library.store, branches, uuid);
  await expect(getDocument(library.store, branches, uuid)).rejects.toMatchObject({ code: 'record_not_found' });
});
