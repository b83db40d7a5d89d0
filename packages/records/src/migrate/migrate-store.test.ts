import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import { auditStore } from '../audit/audit-store.ts';
import { bulkWrite } from '../bulk/bulk-write.ts';
import { mapRecords } from '../copy/map-records.ts';
import type { CopyPolicy } from '../copy/policy.ts';
import { copyRecords } from '../copy/run-copy.ts';
import { provisionStore } from '../ddl/provision.ts';
import { deriveModel } from '../derive/derive-model.ts';
import type { Model } from '../derive/model.ts';
import { openStore } from '../open-store.ts';
import { getDocument, listDocuments } from '../read/read-documents.ts';
import { loadSchema } from '../schema/load-schema.ts';
import { buildSchema, type Members, type ProjectSpec } from '../testing/build-schema.ts';
import { startCopy } from '../testing/start-copy.ts';
import { openRecordDatabase, type TestRecordDatabase } from '../testing/open-database.ts';
import { fillLibrary, libraryModel, resourceAt } from '../testing/open-library.ts';
import type { RecordDatabase } from '../session.ts';
import { putDocument, upsertDocument } from '../write/write-document.ts';
import { type AutocommitSession, finishOnline, migrateStore } from './migrate-store.ts';
import { listStores, migrateStores, type StoreToMigrate } from './migrate-stores.ts';

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
     UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = $1::regnamespace)
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
  expect(await migrateStores(stores(failing), target, { onStore: note, concurrency: 1 })).toMatchObject({
    migrated: 1,
    failed: 2,
  });
  expect(results.get('many1')).toBe('connection lost');
  expect(await migrateStores(stores(autocommit), target, { onStore: note })).toEqual({
    migrated: 0,
    present: 2,
    failed: 1,
  });
  await provisionStore(database, target, 'many4');
  expect(await catalogue('many1')).toEqual(await catalogue('many4'));
  expect(await finishOnline(database, autocommit, 'many1')).toBe(0);
});

test('who opened a store before it was migrated writes no more: not over what only the new schema knows', async () => {
  const [first, second] = [model(base), model(grown)];
  await provisionStore(database, first, 'mixed');
  const old = await openStore({ model: first, database, schema: 'mixed', cacheMode: 'on-write' });
  const [items, chairs] = [resourceAt(first, 'items'), resourceAt(first, 'chairs')];
  await upsertDocument(old, chairs, { thingId: 1 });
  // One that is at work ends first, as the store was.
  const [written, barrier] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const writing = database.transaction(async (tx) => {
    await upsertDocument(old, items, { k: 'at work', list: [{ a: 'x' }] }, { tx });
    written.resolve();
    await barrier.promise;
  });
  await written.promise;
  const migrating = migrateStore(database, autocommit, second, 'mixed');
  const waiting = async (): Promise<number> => {
    const { rows } = await database.pool.query(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
    );
    return Number(rows[0]?.n);
  };
  try {
    await expect.poll(waiting, { timeout: 10_000 }).toBeGreaterThan(0);
  } finally {
    barrier.resolve();
  }
  await writing;
  await migrating;
  const now = await openStore({ model: second, database, schema: 'mixed', cacheMode: 'on-write' });
  const document = { k: 'k', chairReference: { thingId: 1 }, added: '2020-02-02' };
  const { uuid } = await upsertDocument(now, resourceAt(second, 'items'), document);
  const refused = { code: 'schema_mismatch' };
  await expect(upsertDocument(old, items, { k: 'k', old: 'o' })).rejects.toMatchObject(refused);
  await expect(putDocument(old, items, uuid, { k: 'k', old: 'o' })).rejects.toMatchObject(refused);
  await expect(bulkWrite(old, [{ resource: items, document: { k: 'new' } }])).rejects.toMatchObject(refused);
  await expect(auditStore(old, { repair: true })).rejects.toMatchObject(refused);
  expect(JSON.parse((await getDocument(now, resourceAt(second, 'items'), uuid)).body)).toMatchObject(document);
  expect(await auditStore(now, { resume: false })).toMatchObject({ damages: 0, checked: 3 });
});

test('a copy that was begun before its destination was migrated overlays nothing any more', async () => {
  const [first, second] = [model(base), model(grown)];
  for (const schema of ['copied', 'overlaid']) await provisionStore(database, first, schema);
  const source = await openStore({ model: first, database, schema: 'copied' });
  const destination = await openStore({ model: first, database, schema: 'overlaid' });
  const items = resourceAt(first, 'items');
  await upsertDocument(source, items, { k: 'k', old: 'of the source' });
  await upsertDocument(destination, items, { k: 'k' });
  const policy: CopyPolicy = { resources: { 'P.Item': { mode: 'insert', onConflict: 'overlay' } } };
  const copy = await startCopy({ source, destination, policy });
  await mapRecords(copy);
  await migrateStore(database, autocommit, second, 'overlaid');
  const now = await openStore({ model: second, database, schema: 'overlaid' });
  await upsertDocument(now, resourceAt(second, 'chairs'), { thingId: 1 });
  await upsertDocument(now, resourceAt(second, 'items'), { k: 'k', chairReference: { thingId: 1 } });
  await expect(copyRecords(copy)).rejects.toMatchObject({ code: 'schema_mismatch' });
  expect(await auditStore(now)).toMatchObject({ damages: 0 });
});

test('what an interrupted second phase still owes is not forgotten when the next migration is to another schema', async () => {
  const owing = model(grown);
  await provisionStore(database, model(base), 'owes');
  const failing: AutocommitSession = {
    execute: async () => Promise.reject(new Error('connection lost')),
  };
  await expect(migrateStore(database, failing, owing, 'owes')).rejects.toThrow('connection lost');
  const target = model({ ...grown, late: { kind: 'reference', target: 'Chair' } }, addition);
  await migrateStore(database, autocommit, target, 'owes');
  await provisionStore(database, target, 'owes_not');
  expect(await catalogue('owes')).toEqual(await catalogue('owes_not'));
});

test('a second phase that is at work does not take away what a migration owes that came meanwhile', async () => {
  const [first, second] = [model(grown), model({ ...grown, late: { kind: 'reference', target: 'Chair' } })];
  await provisionStore(database, model(base), 'overtaken');
  const failing: AutocommitSession = {
    execute: async () => Promise.reject(new Error('connection lost')),
  };
  let calls = 0;
  const overtaken: AutocommitSession = {
    execute: async (text) => {
      await autocommit.execute(text);
      calls += 1;
      if (calls > 1) return;
      let others = 0;
      const alsoFailing: AutocommitSession = {
        execute: async (statement) => {
          // Of what the first owed nothing is left when the second begins; of its own it does nothing.
          others += 1;
          const { rows } = await database.pool.query(`SELECT pending FROM overtaken.effective_schema`);
          if (String(rows[0]?.pending).includes('late')) throw new Error(`connection lost ${others}`);
          await autocommit.execute(statement);
        },
      };
      await expect(migrateStore(database, alsoFailing, second, 'overtaken')).rejects.toThrow('connection lost');
    },
  };
  await expect(migrateStore(database, failing, first, 'overtaken')).rejects.toThrow('connection lost');
  await finishOnline(database, overtaken, 'overtaken');
  await migrateStore(database, autocommit, second, 'overtaken');
  await provisionStore(database, second, 'overtaken_not');
  expect(await catalogue('overtaken')).toEqual(await catalogue('overtaken_not'));
});

const withReference: Members = {
  ...base,
  chairReference: { kind: 'reference', target: 'Chair' },
  list: { kind: 'list', members: { a: { kind: 'string' }, chairReference: { kind: 'reference', target: 'Chair' } } },
};

test('references that go take their edges along, and records that show less get a new etag', async () => {
  const before = model(withReference);
  await provisionStore(database, before, 'edges');
  const store = await openStore({ model: before, database, schema: 'edges' });
  await upsertDocument(store, resourceAt(before, 'chairs'), { thingId: 1 });
  await upsertDocument(store, resourceAt(before, 'chairs'), { thingId: 2 });
  const item = await upsertDocument(store, resourceAt(before, 'items'), {
    k: 'i',
    chairReference: { thingId: 1 },
    list: [
      { a: 'x', chairReference: { thingId: 1 } },
      { a: 'y', chairReference: { thingId: 2 } },
    ],
  });
  const target = model({ ...withReference, list: base['list'] ?? { kind: 'json' } });
  await migrateStore(database, autocommit, target, 'edges', {
    accept: ['removes item__list.chair_document_id'],
  });
  const after = await openStore({ model: target, database, schema: 'edges' });
  expect(await auditStore(after)).toMatchObject({ damages: 0 });
  const { rows } = await database.pool.query('SELECT count(*)::int AS n FROM edges.reference_edge');
  expect(rows).toEqual([{ n: 1 }]);
  expect((await getDocument(after, resourceAt(target, 'items'), item.uuid)).etag).toBe(2);
  // The chair that only the list referred to can go now, the other cannot.
  await migrateStore(database, autocommit, model(base), 'edges', { accept: ['removes item.chair_document_id'] });
  const { rows: left } = await database.pool.query('SELECT count(*)::int AS n FROM edges.reference_edge');
  expect(left).toEqual([{ n: 0 }]);
});

test('a column that would be read as another member, or lead elsewhere, is no silent change', async () => {
  await provisionStore(
    database,
    model({ a_b: { kind: 'string' }, chairReference: { kind: 'reference', target: 'Chair' } }),
    'meant',
  );
  const moved = model({
    a: { kind: 'object', members: { b: { kind: 'string' } } },
    chairReference: { kind: 'reference', target: 'Chair' },
  });
  const words = 'reads item.a_b as $.a.b instead of $.a_b';
  await expect(migrateStore(database, autocommit, moved, 'meant')).rejects.toMatchObject({
    code: 'schema_change_refused',
    errors: [{ message: words }],
  });
  expect(await migrateStore(database, autocommit, moved, 'meant', { accept: [words] })).toEqual([words]);
  const led = model({
    a: { kind: 'object', members: { b: { kind: 'string' } } },
    chairReference: { kind: 'reference', target: 'Thing' },
  });
  await expect(
    migrateStore(database, autocommit, led, 'meant', { accept: ['changes what item.chair_document_id refers to'] }),
  ).rejects.toMatchObject({ code: 'schema_change_refused' });
});

test('what records do not allow is refused in words, and the store stays as it is', async () => {
  const full = model(withReference, addition);
  await provisionStore(database, full, 'refusing');
  const store = await openStore({ model: full, database, schema: 'refusing' });
  await upsertDocument(store, resourceAt(full, 'items'), { k: 'i', old: 'text', list: [{ a: 'x' }, { a: 'x' }] });
  await upsertDocument(store, resourceAt(full, 'tables'), { thingId: 7, itemReference: { k: 'i' } });
  const before = await catalogue('refusing');
  const attempt = async (target: Model, accept: readonly string[]): Promise<unknown> =>
    migrateStore(database, autocommit, target, 'refusing', { accept }).catch((error: unknown) => error);
  const unique = model(
    {
      ...withReference,
      list: {
        kind: 'list',
        members: { a: { kind: 'string' }, chairReference: { kind: 'reference', target: 'Chair' } },
        unique: ['a'],
      },
    },
    addition,
  );
  expect(await attempt(unique, ['changes what is unique in item__list'])).toMatchObject({
    code: 'schema_change_refused',
    message: expect.stringContaining('not unique'),
  });
  const number = model({ ...withReference, old: { kind: 'integer' } }, addition);
  expect(await attempt(number, ['changes item.old from text to bigint'])).toMatchObject({
    code: 'schema_change_refused',
    message: expect.stringContaining('cannot hold'),
  });
  const without = deriveModel(
    loadSchema([
      buildSchema({
        name: 'P',
        endpoint: 'p',
        descriptors: ['ColourDescriptor'],
        abstracts: { Thing: ['$.thingId'] },
        resources: {
          Chair: {
            endpoint: 'chairs',
            identity: ['$.thingId'],
            superclass: { name: 'Thing' },
            members: { thingId: { kind: 'integer', required: true } },
          },
          Table: {
            endpoint: 'tables',
            identity: ['$.thingId'],
            superclass: { name: 'Thing' },
            members: { thingId: { kind: 'integer', required: true } },
          },
        },
      }),
    ]),
  );
  // Items go, and so does the reference to them: allowed when both are named.
  const accept = ['removes the resource P.Item', 'removes table.item_document_id'];
  expect(await attempt(without, accept.slice(0, 1))).toMatchObject({ code: 'schema_change_refused' });
  expect(await catalogue('refusing')).toEqual(before);
  expect(await attempt(without, accept)).toEqual(expect.arrayContaining(accept));
  const left = await openStore({ model: without, database, schema: 'refusing' });
  expect(await auditStore(left)).toMatchObject({ checked: 1, damages: 0 });
});

test('identities of an older store go with their documents by a key, and by the trigger once it is migrated', async () => {
  const target = model(base);
  for (const schema of ['keyed', 'keyed_not']) await provisionStore(database, target, schema);
  const wanted = await catalogue('keyed_not');
  const { pool } = database;
  await pool.query(
    `DROP TRIGGER document_identities ON keyed.document; DROP FUNCTION keyed.records_forget_identities();
     ALTER TABLE keyed.referential_identity ADD FOREIGN KEY (document_id) REFERENCES keyed.document ON DELETE CASCADE;
     INSERT INTO keyed.document (document_id, document_uuid, resource_key_id) SELECT g, gen_random_uuid(), 1 FROM generate_series(1, 4) g;
     INSERT INTO keyed.referential_identity SELECT gen_random_uuid(), document_id, resource_key_id FROM keyed.document`,
  );
  const words = ['lets identities go with their documents by a trigger'];
  expect(await migrateStore(database, autocommit, target, 'keyed', { dryRun: true })).toEqual(words);
  expect(await migrateStore(database, autocommit, target, 'keyed')).toEqual(words);
  expect(await migrateStore(database, autocommit, target, 'keyed')).toEqual([]);
  expect(await catalogue('keyed')).toEqual(wanted);
  await pool.query('DELETE FROM keyed.document WHERE document_id IN (1, 3)');
  const { rows } = await pool.query('SELECT document_id::int AS id FROM keyed.referential_identity ORDER BY 1');
  expect(rows).toEqual([{ id: 2 }, { id: 4 }]);
});

test('rows of an older store go with their documents by keys, and by the trigger once it is migrated, also after a run that was interrupted', async () => {
  const target = libraryModel();
  for (const schema of ['cascading', 'cascading_not']) await provisionStore(database, target, schema);
  const wanted = await catalogue('cascading_not');
  const { pool } = database;
  const store = await openStore({ model: target, database, schema: 'cascading' });
  await fillLibrary(async (endpoint, document) => upsertDocument(store, resourceAt(target, endpoint), document));
  await pool.query(
    `DROP TRIGGER document_rows ON cascading.document; DROP FUNCTION cascading.records_forget_rows(); DROP TABLE cascading.owned_table;
     ALTER TABLE cascading.author ADD CONSTRAINT author___parent___fk FOREIGN KEY (document_id) REFERENCES cascading.document ON DELETE CASCADE;
     ALTER TABLE cascading.work ADD CONSTRAINT work___parent___fk FOREIGN KEY (document_id) REFERENCES cascading.document ON DELETE CASCADE;
     ALTER TABLE cascading.work__subjects ADD CONSTRAINT work__subjects___parent___fk FOREIGN KEY (root_document_id) REFERENCES cascading.work ON DELETE CASCADE`,
  );
  const words = ['lets rows go with their documents by a trigger'];
  expect(await migrateStore(database, autocommit, target, 'cascading', { dryRun: true })).toEqual(words);
  const interrupted: AutocommitSession & RecordDatabase = {
    execute: async (text) => autocommit.execute(text),
    transaction: async (fn) =>
      database.transaction((tx) =>
        fn({
          ...tx,
          query: async (text, values) => {
            if (text.includes('"work__subjects" DROP CONSTRAINT')) throw new Error('the process ended');
            return tx.query(text, values);
          },
        }),
      ),
  };
  await expect(migrateStore(interrupted, interrupted, target, 'cascading')).rejects.toThrow('the process ended');
  expect(await migrateStore(database, autocommit, target, 'cascading')).toEqual(words);
  expect(await migrateStore(database, autocommit, target, 'cascading')).toEqual([]);
  expect(await catalogue('cascading')).toEqual(wanted);
  const { rows } = await pool.query<{ id: number }>(
    'DELETE FROM cascading.document d USING cascading.work w WHERE d.document_id = w.document_id RETURNING d.document_id::int AS id',
  );
  expect(rows.length).toBeGreaterThan(0);
  const left = await pool.query('SELECT FROM cascading.work UNION ALL SELECT FROM cascading.work__subjects');
  expect(left.rows).toEqual([]);
});

test('an index of a reference that does not hold the id yet is renewed, also after a run that was interrupted', async () => {
  const target = model(withReference, addition);
  for (const schema of ['renewed', 'renewed_not']) await provisionStore(database, target, schema);
  const wanted = await catalogue('renewed');
  const age = async (): Promise<void> =>
    void (await database.pool.query(
      `DROP INDEX renewed.item___chair_document_id;
       CREATE INDEX item___chair_document_id ON renewed.item (chair_document_id) WHERE chair_document_id IS NOT NULL`,
    ));
  await age();
  const words = ['orders the index of item.chair_document_id by record'];
  const aged = await catalogue('renewed');
  expect(aged).not.toEqual(wanted);
  expect(await migrateStore(database, autocommit, target, 'renewed', { dryRun: true })).toEqual(words);
  expect(await catalogue('renewed')).toEqual(aged);
  const failing: AutocommitSession = {
    execute: async (text) => {
      await autocommit.execute(text);
      if (text.startsWith('CREATE INDEX')) throw new Error('connection lost');
    },
  };
  await expect(migrateStore(database, failing, target, 'renewed')).rejects.toThrow('connection lost');
  expect(await migrateStore(database, autocommit, target, 'renewed')).toEqual(words);
  expect(await catalogue('renewed')).toEqual(wanted);
  // Together with a change of the schema.
  await age();
  const grownToo = model({ ...withReference, added: { kind: 'date' } }, addition);
  expect(await migrateStore(database, autocommit, grownToo, 'renewed')).toEqual(['adds item.added', ...words]);
  await migrateStore(database, autocommit, grownToo, 'renewed_not');
  expect(await catalogue('renewed')).toEqual(await catalogue('renewed_not'));
  expect(await migrateStore(database, autocommit, grownToo, 'renewed')).toEqual([]);
});

test('edges that are indexed by both of their ids are indexed by the child alone, also after a run that was interrupted', async () => {
  const target = model(base);
  await provisionStore(database, target, 'edged');
  const wanted = await catalogue('edged');
  await database.pool.query(
    `DROP INDEX edged.reference_edge_child;
     CREATE INDEX reference_edge_child ON edged.reference_edge (child_document_id, parent_document_id)`,
  );
  expect(await catalogue('edged')).not.toEqual(wanted);
  const words = ['indexes edges by the child alone'];
  const failing: AutocommitSession = {
    execute: async (text) => {
      await autocommit.execute(text);
      if (text.startsWith('CREATE INDEX')) throw new Error('connection lost');
    },
  };
  await expect(migrateStore(database, failing, target, 'edged')).rejects.toThrow('connection lost');
  expect(await migrateStore(database, autocommit, target, 'edged', { dryRun: true })).toEqual(words);
  expect(await migrateStore(database, autocommit, target, 'edged')).toEqual(words);
  expect(await catalogue('edged')).toEqual(wanted);
  expect(await migrateStore(database, autocommit, target, 'edged')).toEqual([]);
});

test('edges in partitions keep the index that they have', async () => {
  const target = model(base);
  await provisionStore(database, target, 'edged_parts', { edgePartitions: 2 });
  await database.pool.query(
    `DROP INDEX edged_parts.reference_edge_child;
     CREATE INDEX reference_edge_child ON edged_parts.reference_edge (child_document_id, parent_document_id)`,
  );
  expect(await migrateStore(database, autocommit, target, 'edged_parts')).toEqual([]);
});

test('stores by the dozen: found by name, migrated side by side, gone on with after an abort', async () => {
  const target = model(grown, addition);
  const names = Array.from({ length: 12 }, (_, n) => `dozen_${String(n).padStart(2, '0')}`);
  for (const schema of names) await provisionStore(database, model(base), schema);
  expect((await listStores(database)).filter((name) => name.startsWith('dozen_'))).toEqual(names);
  const stores: StoreToMigrate[] = names.map((schema) => ({ schema, database, autocommit }));
  const stop = new AbortController();
  let done = 0;
  const interrupted = migrateStores(stores, target, {
    concurrency: 3,
    signal: stop.signal,
    onStore: () => void ((done += 1) === 4 && stop.abort()),
  });
  await expect(interrupted).rejects.toThrow();
  const rest = await migrateStores(stores, target, { concurrency: 3 });
  expect(rest.failed).toBe(0);
  expect(rest.present).toBeGreaterThanOrEqual(4);
  expect(rest.present + rest.migrated).toBe(12);
  expect(await catalogue('dozen_11')).toEqual(await catalogue('dozen_00'));
  expect(await migrateStores(stores, target)).toEqual({ migrated: 0, present: 12, failed: 0 });
});
