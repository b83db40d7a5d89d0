/** Writes while the identities that they name change hands, between the two reads of their look-up. */
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditStore } from '../audit/audit-store.ts';
import { bulkWrite } from '../bulk/bulk-write.ts';
import { provisionStore } from '../ddl/provision.ts';
import { deriveModel } from '../derive/derive-model.ts';
import { openStore } from '../open-store.ts';
import { listDocuments } from '../read/read-documents.ts';
import { loadSchema } from '../schema/load-schema.ts';
import type { StoreContext } from '../store-context.ts';
import { buildSchema } from '../testing/build-schema.ts';
import { happenBetween } from '../testing/happen-between.ts';
import { openRecordDatabase, type TestRecordDatabase } from '../testing/open-database.ts';
import { resourceAt } from '../testing/open-library.ts';
import { deleteDocument } from './delete-document.ts';
import { putDocument, upsertDocument } from './write-document.ts';

const model = deriveModel(
  loadSchema([
    buildSchema({
      name: 'P',
      endpoint: 'p',
      abstracts: { Thing: ['$.thingId'] },
      resources: {
        Chair: {
          endpoint: 'chairs',
          identity: ['$.thingId'],
          superclass: { name: 'Thing' },
          members: { thingId: { kind: 'integer', required: true } },
        },
        Folder: {
          endpoint: 'folders',
          identity: ['$.k'],
          allowIdentityUpdates: true,
          members: {
            k: { kind: 'string', required: true },
            note: { kind: 'string' },
            folderReference: { kind: 'reference', target: 'Folder', queryAs: 'parent' },
          },
        },
      },
    }),
  ]),
);
const folders = resourceAt(model, 'folders');
const chairs = resourceAt(model, 'chairs');

let created: TestDatabase;
let database: TestRecordDatabase;
let store: StoreContext;
beforeAll(async () => {
  created = await createTestDatabase({ template: 'records empty' });
  database = openRecordDatabase(created.target, { max: 6 });
  await provisionStore(database, model, 'p');
  store = await openStore({ model, database, schema: 'p' });
});
afterAll(async () => {
  await database.close();
  await created.drop();
});

/** A store in which something happens after it was looked up who has the identities and before what their records say. */
const whileLookingUp = async (happen: () => Promise<unknown>): Promise<StoreContext> =>
  openStore({
    model,
    schema: 'p',
    database: happenBetween(database, (text) => / AS key, d\.document_id/.test(text), happen),
  });

/** Notes and parents by key. */
const found = async (): Promise<Record<string, unknown>> =>
  Object.fromEntries(
    (await listDocuments(store, folders, { limit: 500 })).bodies.map((text) => {
      const { k, note, folderReference } = JSON.parse(text) as {
        readonly k: string;
        readonly note?: string;
        readonly folderReference?: { readonly k: string };
      };
      return [k, { note, parent: folderReference?.k }];
    }),
  );

test('a put whose record got the identity of the body, and another the one that its reference names', async () => {
  const { uuid } = await upsertDocument(store, folders, { k: 'q' });
  const late = await whileLookingUp(async () => {
    await putDocument(store, folders, uuid, { k: 'r' });
    await upsertDocument(store, folders, { k: 'q' });
  });
  await putDocument(late, folders, uuid, { k: 'r', folderReference: { k: 'q' } });
  expect(await found()).toMatchObject({ r: { parent: 'q' } });
  expect(await auditStore(store)).toMatchObject({ damages: 0 });
});

test('a bulk write of records that change their identities with each other, and of one that refers to one of them', async () => {
  const x = await upsertDocument(store, folders, { k: 'x' });
  const y = await upsertDocument(store, folders, { k: 'y' });
  const late = await whileLookingUp(async () => {
    await putDocument(store, folders, x.uuid, { k: 'between' });
    await putDocument(store, folders, y.uuid, { k: 'x' });
    await putDocument(store, folders, x.uuid, { k: 'y' });
  });
  const documents = [
    { k: 'x', note: 'of x' },
    { k: 'y', note: 'of y' },
    { k: 'new', folderReference: { k: 'x' } },
  ];
  const rows = documents.map((document) => ({ resource: folders, document }));
  expect(await bulkWrite(late, rows)).toMatchObject({ created: 1, updated: 2, failed: 0 });
  expect(await found()).toMatchObject({ x: { note: 'of x' }, y: { note: 'of y' }, new: { parent: 'x' } });
  expect(await auditStore(store)).toMatchObject({ damages: 0 });
});

test('what was deleted between the two reads is written anew, and not told to have its identity still', async () => {
  for (const [resource, document] of [
    [folders, { k: 'gone' }],
    [chairs, { thingId: 1 }],
  ] as const) {
    for (const write of [
      async (late: StoreContext) => upsertDocument(late, resource, document),
      async (late: StoreContext) => bulkWrite(late, [{ resource, document }]),
    ]) {
      const { uuid } = await upsertDocument(store, resource, document);
      const late = await whileLookingUp(async () => deleteDocument(store, resource, uuid));
      const written = await write(late);
      expect('outcome' in written ? written.outcome : written).toEqual(
        'outcome' in written ? 'created' : { created: 1, updated: 0, unchanged: 0, failed: 0 },
      );
    }
  }
  expect(await auditStore(store)).toMatchObject({ damages: 0 });
});
