/** Repairs while others write: what they have written by then stands. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StoreContext } from '../store-context.ts';
import { happenBetween } from '../testing/happen-between.ts';
import { fillLibrary, language, openLibrary, type OpenedLibrary } from '../testing/open-library.ts';
import { putDocument } from '../write/write-document.ts';
import { auditStore } from './audit-store.ts';

let library: OpenedLibrary;
beforeAll(async () => {
  library = await openLibrary();
  await fillLibrary(library.post);
});
afterAll(async () => library.close());

/** A store in which something happens before a repair writes identities, all of which it knows by then. */
const beforeIdentities = async (happen: () => Promise<unknown>): Promise<StoreContext> =>
  library.reopen({
    database: happenBetween(
      library.database,
      (text) => text.startsWith('DELETE FROM "library"."referential_identity" WHERE'),
      happen,
    ),
  });

test('an identity that another record has got while one that lacks it was being repaired stays with that record', async () => {
  const { pool } = library.database;
  const branch = await library.post('branches', { branchId: 70, name: 'lost its number as an organisation' });
  const superclass = `(SELECT resource_key_id FROM library.resource_key WHERE resource_name = 'Organisation')`;
  await pool.query(
    `DELETE FROM library.referential_identity WHERE document_id = $1 AND resource_key_id = ${superclass}`,
    [branch.documentId],
  );
  const store = await beforeIdentities(async () => library.post('consortia', { consortiumId: 70, name: 'has it' }));
  const found: string[] = [];
  await auditStore(store, {
    repair: true,
    onDamage: ({ kind, documentId }) => found.push(`${kind} ${documentId === branch.documentId ? 'branch' : ''}`),
  });
  expect(found).toEqual(['identity-duplicate branch']);
  const list = await library.post('readingLists', { name: 'of 70', organisationReference: { organisationId: 70 } });
  const { rows } = await pool.query(
    `SELECT c.consortium_id AS id FROM library.reading_list l JOIN library.consortium c ON c.document_id = l.organisation_document_id WHERE l.document_id = $1`,
    [list.documentId],
  );
  expect(rows).toMatchObject([{ id: '70' }]);
  await pool.query('DELETE FROM library.document WHERE document_id = $1', [branch.documentId]);
  expect(await auditStore(store)).toMatchObject({ damages: 0 });
});

test('a record whose edge is lost gets the name of what it refers to, also when that is renamed during the repair', async () => {
  const { pool } = library.database;
  const author = await library.post('authors', { authorKey: 'named' });
  const work = await library.post('works', {
    authorReference: { authorKey: 'named' },
    title: 'T',
    languageDescriptor: language('en'),
  });
  await pool.query('DELETE FROM library.reference_edge WHERE parent_document_id = $1', [work.documentId]);
  const renamed = Promise.withResolvers<unknown>();
  let isRenamed = false;
  const store = await beforeIdentities(async () => {
    renamed.resolve(
      putDocument(library.store, library.resource('authors'), author.uuid, { authorKey: 'renamed' }).finally(() => {
        isRenamed = true;
      }),
    );
    const waits = async (): Promise<boolean> => {
      const { rows } = await pool.query(
        `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
      );
      return isRenamed || rows.length > 0;
    };
    await expect.poll(waits, { timeout: 10_000 }).toBe(true);
  });
  expect((await auditStore(store, { repair: true })).byKind).toEqual({ 'edge-missing': 1 });
  await renamed.promise;
  expect(await auditStore(library.store)).toMatchObject({ damages: 0 });
});

test('an identity that a record which is gone still holds goes to the record that calls for it', async () => {
  const { pool } = library.database;
  const author = await library.post('authors', { authorKey: 'heir' });
  await pool.query('UPDATE library.referential_identity SET document_id = 99999999 WHERE document_id = $1', [
    author.documentId,
  ]);
  expect((await auditStore(library.store, { repair: true, batchSize: 3 })).byKind).toEqual({ 'identity-missing': 1 });
  expect(await auditStore(library.store)).toMatchObject({ damages: 0 });
});
