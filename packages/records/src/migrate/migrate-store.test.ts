import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import { auditStore } from '../audit/audit-store.ts';
import { provisionStore } from '../ddl/provision.ts';
import { deriveModel } from '../derive/derive-model.ts';
import type { Model } from '../derive/model.ts';
import { openStore } from '../open-store.ts';
import { listDocuments } from '../read/read-documents.ts';
import { loadSchema } from '../schema/load-schema.ts';
import { buildSchema, type Members, type ProjectSpec } from '../testing/build-schema.ts';
import { openRecordDatabase, type TestRecordDatabase } from '../testing/open-database.ts';
import { resourceAt } from '../testing/open-library.ts';
import { upsertDocument } from '../write/write-document.ts';
import { type AutocommitSession, finishOnline, migrateStore, migrateStores } from './migrate-store.ts';

let created: TestDatabase;
let database: TestRecordDatabase;
let autocommit: AutocommitSession;
beforeAll(async () => {
  created = await createTestDatabase({ template: 'records empty' });
  database = openRecordDatabase(created.target, { max: 4 });
  autocommit = { execute: async (text) => void (await database.pool.query(text)) };
});
afterAll(async () => {
  await database.close();
  await created.drop();
});

const key = { kind: 'string', required: true } as const;
const model = (items: Members, more: ProjectSpec['resources'] = {}): Model =>
  deriveModel(
    loadSchema([
      buildSchema({
        name: 'P',
        endpoint: 'p',
        descriptors: ['ColourDescriptor'],
        abstracts: { Thing: ['$.thingId'] },
        resources: {
          Item: { endpoint: 'items', identity: ['$.k'], members: { k: key, ...items } },
          Chair: {
            endpoint: 'chairs',
            identity: ['$.thingId'],
            superclass: { name: 'Thing' },
            members: { thingId: { kind: 'integer', required: true } },
          },
          ...more,
        },
      }),
    ]),
  );

const base: Members = {
  n: { kind: 'number', totalDigits: 5, decimalPlaces: 2 },
  old: { kind: 'string' },
  list: { kind: 'list', members: { a: { kind: 'string' } } },
};
const grown: Members = {
  ...base,
  n: { kind: 'number', totalDigits: 9, decimalPlaces: 2 },
  added: { kind: 'date' },
  chairReference: { kind: 'reference', target: 'Thing' },
  colourDescriptor: { kind: 'descriptor', target: 'ColourDescriptor' },
  list: {
    kind: 'list',
    members: {
      a: { kind: 'string' },
      b: { kind: 'integer' },
      inner: { kind: 'list', members: { c: { kind: 'string' } } },
    },
  },
  extra: { kind: 'values', item: { kind: 'string' } },
};
const addition: ProjectSpec['resources'] = {
  Table: {
    endpoint: 'tables',
    identity: ['$.thingId'],
    superclass: { name: 'Thing' },
    members: { thingId: { kind: 'integer', required: true }, itemReference: { kind: 'reference', target: 'Item' } },
  },
};

/** Tables, columns, indexes, constraints and views of a store, as PostgreSQL tells them. */
const catalogue = async (schema: string): Promise<readonly string[]> => {
  const { rows } = await database.pool.query(
    `SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type || coalesce(numeric_precision::text, '') AS line FROM information_schema.columns WHERE table_schema = $1
     UNION ALL SELECT 'index ' || indexname || ' ' || replace(indexdef, $1 || '.', '') FROM pg_indexes WHERE schemaname = $1
     UNION ALL SELECT 'constraint ' || conname || ' ' || convalidated || ' ' || replace(pg_get_constraintdef(oid), $1 || '.', '') FROM pg_constraint WHERE connamespace = $1::regnamespace AND contype <> 'n'
     UNION ALL SELECT 'view ' || viewname || replace(definition, $1 || '.', '') FROM pg_views WHERE schemaname = $1 ORDER BY 1`,
    [schema],
  );
  return rows.map((row) => String(row.line));
};

test('a store that was migrated is the store that would have been provisioned, and keeps its records', async () => {
  await provisionStore(database, model(base), 'grows');
  const before = await openStore({ model: model(base), database, schema: 'grows' });
  await upsertDocument(before, resourceAt(before.model, 'items'), { k: 'one', n: 1.25, list: [{ a: 'x' }] });
  const target = model(grown, addition);
  await expect(openStore({ model: target, database, schema: 'grows' })).rejects.toMatchObject({
    code: 'schema_mismatch',
    message: expect.stringContaining('adds'),
  });
  expect(await migrateStore(database, autocommit, target, 'grows', { dryRun: true })).toContain('adds item.added');
  await migrateStore(database, autocommit, target, 'grows');
  await provisionStore(database, target, 'fresh');
  expect(await catalogue('grows')).toEqual(await catalogue('fresh'));

  const store = await openStore({ model: target, database, schema: 'grows' });
  const [body] = (await listDocuments(store, resourceAt(target, 'items'))).bodies;
  expect(JSON.parse(body ?? '')).toMatchObject({ k: 'one', n: 1.25, list: [{ a: 'x' }] });
  await upsertDocument(store, resourceAt(target, 'tables'), { thingId: 5 });
  await upsertDocument(store, resourceAt(target, 'items'), {
    k: 'one',
    n: 1234567.25,
    chairReference: { thingId: 5 },
    extra: ['e'],
    list: [{ a: 'x', b: 1, inner: [{ c: 'y' }] }],
  });
  expect(await auditStore(store)).toMatchObject({ damages: 0 });
  expect(await migrateStore(database, autocommit, target, 'grows')).toEqual([]);
});

test('what could lose data is refused by name and done when it is named; nothing is done before', async () => {
  await provisionStore(database, model(base, addition), 'shrinks');
  const before = await catalogue('shrinks');
  const target = model({
    list: { kind: 'list', members: { a: { kind: 'string' } } },
    n: { kind: 'number', totalDigits: 4, decimalPlaces: 2 },
  });
  const refusal = await migrateStore(database, autocommit, target, 'shrinks').catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: 'schema_change_refused' });
  const accept = (refusal as { errors: { message: string }[] }).errors.map((entry) => entry.message);
  expect(accept.sort()).toEqual([
    'changes item.n from numeric(5,2) to numeric(4,2)',
    'removes item.old',
    'removes the resource P.Table',
  ]);
  expect(await catalogue('shrinks')).toEqual(before);
  await expect(
    migrateStore(database, autocommit, target, 'shrinks', { accept: accept.slice(1) }),
  ).rejects.toMatchObject({ code: 'schema_change_refused' });
  await migrateStore(database, autocommit, target, 'shrinks', { accept });
  await provisionStore(database, target, 'small');
  expect(await catalogue('shrinks')).toEqual(await catalogue('small'));
  const other = model(
    { ...base, k2: { kind: 'string' } },
    { Item: { endpoint: 'items', identity: ['$.k2'], members: { k2: key } } },
  );
  await expect(migrateStore(database, autocommit, other, 'shrinks')).rejects.toMatchObject({
    code: 'schema_change_refused',
    message: expect.stringContaining('identity'),
  });
});

test('many stores: an interrupted second phase is finished by the next run, one failure does not stop the others', async () => {
  const target = model(grown, addition);
  for (const schema of ['many1', 'many2', 'many3']) await provisionStore(database, model(base), schema);
  await database.pool.query('DROP SCHEMA many2 CASCADE');
  let calls = 0;
  const failing: AutocommitSession = {
    execute: async (text) => {
      calls += 1;
      if (calls === 2) throw new Error('connection lost');
      await autocommit.execute(text);
    },
  };
  const stores = (session: AutocommitSession) =>
    ['many1', 'many2', 'many3'].map((schema) => ({ schema, database, autocommit: session }));
  const results = new Map<string, string>();
  const note = (schema: string, result: readonly string[] | Error): void =>
    void results.set(schema, result instanceof Error ? result.message : 'ok');
  expect(await migrateStores(stores(failing), target, { onStore: note })).toEqual({ migrated: 1, failed: 2 });
  expect(results.get('many1')).toBe('connection lost');
  expect(await migrateStores(stores(autocommit), target, { onStore: note })).toEqual({ migrated: 2, failed: 1 });
  await provisionStore(database, target, 'many4');
  expect(await catalogue('many1')).toEqual(await catalogue('many4'));
  expect(await finishOnline(database, autocommit, 'many1')).toBe(0);
});
