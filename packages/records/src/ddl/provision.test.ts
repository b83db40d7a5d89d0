import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import { auditStore } from '../audit/audit-store.ts';
import { deriveModel } from '../derive/derive-model.ts';
import { openStore } from '../open-store.ts';
import { listDocuments } from '../read/read-documents.ts';
import { loadSchema } from '../schema/load-schema.ts';
import { buildSchema } from '../testing/build-schema.ts';
import { libraryProject } from '../testing/library-schema.ts';
import { openRecordDatabase, type TestRecordDatabase } from '../testing/open-database.ts';
import { fillLibrary, fullWork, libraryModel, resourceAt } from '../testing/open-library.ts';
import type { JsonValue } from '../write/parse-json.ts';
import { putDocument, upsertDocument, type WriteResult } from '../write/write-document.ts';
import { emitDdl } from './emit-ddl.ts';
import { provisionStore } from './provision.ts';

let created: TestDatabase;
let database: TestRecordDatabase;
beforeAll(async () => {
  created = await createTestDatabase({ template: 'records empty' });
  database = openRecordDatabase(created.target, { max: 6, prepare: false });
});
afterAll(async () => {
  await database.close();
  await created.drop();
});

test('made once, whoever comes first; another schema is refused with what differs, at provisioning and at opening', async () => {
  const model = libraryModel();
  const outcomes = await Promise.all([1, 2, 3, 4].map(async () => provisionStore(database, model, 'once')));
  expect(outcomes.sort()).toEqual(['created', 'present', 'present', 'present']);
  const core = deriveModel(loadSchema([buildSchema(libraryProject)]));
  for (const attempt of [
    async () => provisionStore(database, core, 'once'),
    async () => openStore({ model: core, database, schema: 'once' }),
  ])
    await expect(attempt()).rejects.toMatchObject({
      code: 'schema_mismatch',
      message: expect.stringContaining('removes the resource Archive.Deed'),
      errors: expect.arrayContaining([{ path: '$', message: 'removes the table work__archive' }]),
    });
  // The same tables with other rules are another schema too.
  const { Author } = libraryProject.resources;
  const rules = deriveModel(
    loadSchema([
      buildSchema({
        ...libraryProject,
        resources: { ...libraryProject.resources, Author: { ...Author, allowIdentityUpdates: false } },
      } as typeof libraryProject),
    ]),
  );
  await provisionStore(database, core, 'rules');
  await expect(openStore({ model: rules, database, schema: 'rules' })).rejects.toMatchObject({
    code: 'schema_mismatch',
    message: expect.stringContaining('other rules for Library with the same tables'),
  });
  await expect(openStore({ model, database, schema: 'nowhere' })).rejects.toMatchObject({
    code: 'store_not_provisioned',
  });
});

test('a store whose edges are partitioned is a store like any other', async () => {
  const model = libraryModel();
  await provisionStore(database, model, 'parts', { edgePartitions: 4 });
  const store = await openStore({ model, database, schema: 'parts', cacheMode: 'on-write' });
  const post = async (endpoint: string, document: JsonValue): Promise<WriteResult> =>
    upsertDocument(store, resourceAt(model, endpoint), document);
  await fillLibrary(post);
  await post('works', fullWork());
  const authors = resourceAt(model, 'authors');
  const author = await upsertDocument(store, authors, { authorKey: 'a1', born: '1900-01-01' });
  await putDocument(store, authors, author.uuid, { authorKey: 'renamed' });
  const works = await listDocuments(store, resourceAt(model, 'works'), {
    filters: [{ field: 'authorKey', value: 'renamed' }],
  });
  expect(works.bodies).toHaveLength(2);
  expect(await auditStore(store)).toMatchObject({ damages: 0 });
  const { rows } = await database.pool.query(
    `SELECT count(*)::int AS n FROM pg_inherits WHERE inhparent = 'parts.reference_edge'::regclass`,
  );
  expect(rows).toEqual([{ n: 4 }]);
  await database.pool.query('DELETE FROM parts.reference_edge WHERE is_identity_component');
  expect((await auditStore(store, { repair: true })).byKind).toMatchObject({ 'edge-missing': expect.any(Number) });
  expect(await auditStore(store)).toMatchObject({ damages: 0 });
});

test('the DDL of a model is the same text every time, with every name quoted or known', () => {
  const statements = emitDdl(libraryModel(), 'a"b');
  expect(emitDdl(libraryModel(), 'a"b')).toEqual(statements);
  expect(statements.filter((sql) => !sql.includes('"a""b"'))).toEqual([]);
});

test('the name of the database schema is a name, whatever stands in it; identities go with their documents there, too', async () => {
  const schema = `it's "a" $forget$; $$ \\ store`;
  const model = libraryModel();
  await provisionStore(database, model, schema);
  const store = await openStore({ model, database, schema });
  await upsertDocument(store, resourceAt(model, 'authors'), { authorKey: 'a1' });
  await upsertDocument(store, resourceAt(model, 'authors'), { authorKey: 'a2' });
  const quoted = `"${schema.replaceAll('"', '""')}"`;
  const ids = async (): Promise<readonly unknown[]> =>
    (await database.pool.query(`SELECT document_id FROM ${quoted}.referential_identity ORDER BY 1`)).rows;
  const before = await ids();
  await database.pool.query(`DELETE FROM ${quoted}.document WHERE document_id = $1`, [
    (before[0] as { readonly document_id: unknown }).document_id,
  ]);
  expect(await ids()).toEqual(before.slice(1));
});
