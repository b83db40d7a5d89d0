/** Paging by token while others write: what stands throughout is seen once, wherever the pages are cut. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bulkWrite } from '../bulk/bulk-write.ts';
import { openLibrary, type OpenedLibrary } from '../testing/open-library.ts';
import { deleteDocument } from '../write/delete-document.ts';
import { listDocuments } from './read-documents.ts';

let library: OpenedLibrary;
beforeAll(async () => {
  library = await openLibrary();
});
afterAll(async () => library.close());

test('what stands throughout is seen exactly once, in order, with writers and deleters at work', async () => {
  const { store } = library;
  const authors = library.resource('authors');
  const stable = Array.from({ length: 200 }, (_, n) => `stable${String(n).padStart(3, '0')}`);
  const fleeting: string[] = [];
  for (let n = 0; n < stable.length; n += 20) {
    await bulkWrite(
      store,
      stable.slice(n, n + 20).map((authorKey) => ({ resource: authors, document: { authorKey } })),
    );
    fleeting.push((await library.post('authors', { authorKey: `fleeting${n}` })).uuid);
  }
  const done = new AbortController();
  const writer = async (id: number): Promise<void> => {
    for (let n = 0; !done.signal.aborted; n += 1) {
      const { uuid } = await library.post('authors', { authorKey: `w${id}-${n}` });
      if (n % 2 === 0) await deleteDocument(store, authors, uuid);
    }
  };
  const deleter = async (): Promise<void> => {
    for (const uuid of fleeting) await deleteDocument(store, authors, uuid);
  };
  const reader = async (limit: number): Promise<readonly string[]> => {
    const seen: string[] = [];
    for (let token: string | null = ''; token !== null;) {
      const page: Awaited<ReturnType<typeof listDocuments>> = await listDocuments(store, authors, {
        limit,
        ...(token === '' ? {} : { pageToken: token }),
      });
      seen.push(...page.bodies.map((body) => (JSON.parse(body) as { authorKey: string }).authorKey));
      token = seen.length > 2_000 ? null : page.nextPageToken;
    }
    return seen.filter((key) => key.startsWith('stable'));
  };
  const working = [writer(1), writer(2), deleter()];
  const seen = await Promise.all([1, 7, 25, 500].map(reader));
  done.abort();
  await Promise.all(working);
  for (const each of seen) expect(each).toEqual(stable);
});
