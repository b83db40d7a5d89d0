import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditStore } from '../audit/audit-store.ts';
import { openLibrary, fillLibrary, fullWork, language, type OpenedLibrary } from '../testing/open-library.ts';
import type { StoreContext } from '../store-context.ts';
import { compileCopyPlan } from './compile-plan.ts';
import { mapRecords } from './map-records.ts';
import { openCopy, selectRecordsBy } from './open-copy.ts';
import { copyRecords } from './run-copy.ts';
import { storeContents } from '../testing/store-contents.ts';

let library: OpenedLibrary;
beforeAll(async () => {
  library = await openLibrary();
  await fillLibrary(library.post);
  await library.post('works', fullWork());
  const work = {
    authorKey: 'a1',
    title: fullWork()['title'] ?? '',
    languageDescriptor: fullWork()['languageDescriptor'] ?? '',
  };
  await library.post('copies', { workReference: work, copyNumber: 1, branchReference: { branchId: 10 } });
  await library.post('loans', { copyReference: { ...work, copyNumber: 1 }, loanDate: '2020-01-02' });
  await library.post('renewals', { loanReference: { ...work, copyNumber: 1, loanDate: '2020-01-02' }, sequence: 1 });
  await library.post('readingLists', {
    name: 'l',
    organisationReference: { organisationId: 1 },
    authors: [{ authorReference: { authorKey: 'a3' }, note: 'x' }, { authorReference: { authorKey: 'a1' } }],
    works: [{ workReference: { authorKey: 'a2', title: 'One', languageDescriptor: language('en') } }],
  });
  await library.post('deeds', { deedNumber: 'd', workReference: work });
  await library.post('documents', { documentKey: 'k' });
});
afterAll(async () => library.close());

const copyAll = async (destination: StoreContext, key: string) => {
  const plan = compileCopyPlan(library.model, library.model, {});
  const copy = await openCopy({ plan, source: library.store, destination, key, sourceStore: 'library', chunkSize: 2 });
  await selectRecordsBy(copy, 'SELECT document_id FROM library.document', []);
  return { copy, mapped: await mapRecords(copy), copied: await copyRecords(copy) };
};

test('a copy of a store is the store', async () => {
  const other = await library.openAnother('other');
  const { mapped } = await copyAll(other, 'whole');
  expect(mapped.missing).toBe(0);
  expect(await storeContents(other)).toEqual(await storeContents(library.store));
  expect(await auditStore(other)).toMatchObject({ damages: 0 });
});
