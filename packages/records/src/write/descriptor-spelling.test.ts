/** Records show descriptors and have no edges to them: a descriptor that exists keeps the letter case it was registered in. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditStore } from '../audit/audit-store.ts';
import { bulkWrite } from '../bulk/bulk-write.ts';
import { compareCopied } from '../copy/compare-copied.ts';
import { removeCopied } from '../copy/remove-copied.ts';
import { getDocument } from '../read/read-documents.ts';
import { fillLibrary, language, openLibrary, type OpenedLibrary } from '../testing/open-library.ts';
import { runCopy } from '../testing/start-copy.ts';
import { putDocument, upsertDocument } from './write-document.ts';

let library: OpenedLibrary;
beforeAll(async () => {
  library = await openLibrary({ cacheMode: 'on-write' });
  await fillLibrary(library.post);
});
afterAll(async () => library.close());

const shouted = (shortDescription: string) => ({
  namespace: 'URI://library.example/LanguageDescriptor',
  codeValue: 'EN',
  shortDescription,
});

test('written in another case it gets its other values; what shows it stays what it is, from the cache and without', async () => {
  const { store } = library;
  const [works, languages] = [library.resource('works'), library.resource('languageDescriptors')];
  const work = await library.post('works', {
    authorReference: { authorKey: 'a1' },
    title: 'x',
    languageDescriptor: language('en'),
  });
  const before = await getDocument(store, works, work.uuid);
  const { uuid } = await upsertDocument(store, languages, shouted('by post'));
  expect((await upsertDocument(store, languages, shouted('by post'))).outcome).toBe('unchanged');
  await putDocument(store, languages, uuid, shouted('by put'));
  await bulkWrite(store, [{ resource: languages, document: shouted('in bulk') }]);
  expect(JSON.parse((await getDocument(store, languages, uuid)).body)).toMatchObject({
    namespace: 'uri://library.example/LanguageDescriptor',
    codeValue: 'en',
    shortDescription: 'in bulk',
    _etag: '4',
  });
  const plain = await library.reopen({ cacheMode: 'off' });
  for (const each of [store, plain]) expect(await getDocument(each, works, work.uuid)).toEqual(before);
  expect(await auditStore(store)).toMatchObject({ damages: 0 });
});

test('overlaid by a copy it keeps its case as well', async () => {
  const [source, destination] = [await library.openAnother('shouting'), await library.openAnother('calm')];
  await upsertDocument(source, library.resource('languageDescriptors'), shouted('of the source'));
  await fillLibrary(async (endpoint, document) => upsertDocument(destination, library.resource(endpoint), document));
  const copy = await runCopy({
    source,
    destination,
    policy: { resources: { 'Library.LanguageDescriptor': { mode: 'insert', onConflict: 'overlay' } } },
  });
  const { rows } = await library.database.pool.query(
    `SELECT uri, short_description FROM calm.descriptor WHERE lower(code_value) = 'en'`,
  );
  expect(rows).toEqual([{ uri: language('en'), short_description: 'of the source' }]);
  expect(await auditStore(destination)).toMatchObject({ damages: 0 });
  expect(await compareCopied(copy)).toMatchObject({ differences: 0 });
  expect(await removeCopied(copy)).toMatchObject({ restored: 1 });
});
