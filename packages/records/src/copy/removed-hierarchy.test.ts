/** Copies of members of the hierarchy that are taken back: who may see what is kept follows its columns. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditStore } from '../audit/audit-store.ts';
import { parseAuthorization } from '../auth/claim-set.ts';
import type { StoreContext } from '../store-context.ts';
import { happenBetween } from '../testing/happen-between.ts';
import { fillLibrary, openLibrary, type OpenedLibrary } from '../testing/open-library.ts';
import { runCopy, startCopy } from '../testing/start-copy.ts';
import type { JsonValue } from '../write/parse-json.ts';
import { upsertDocument } from '../write/write-document.ts';
import { removeCopied } from './remove-copied.ts';

const none = [{ kind: 'none' }];
const authorization = parseAuthorization({
  hierarchy: {
    members: [
      { resource: 'Library.Consortium' },
      { resource: 'Library.Branch', parentPaths: ['$.parentOrganisationReference'] },
    ],
  },
  claimSets: { all: { grants: [{ resource: '*', actions: { create: none, read: none, update: none } }] } },
});

let library: OpenedLibrary;
beforeAll(async () => {
  library = await openLibrary({ authorization });
});
afterAll(async () => library.close());

test('a record that gets a referrer when its links are undone: its ancestors are those that its columns name', async () => {
  const [source, destination] = [await library.openAnother('source'), await library.openAnother('destination')];
  const postTo = (store: StoreContext) => async (endpoint: string, document: JsonValue) =>
    upsertDocument(store, library.resource(endpoint), document, { claims: { claimSet: 'all' } });
  const post = postTo(destination);
  for (const store of [source, destination]) await fillLibrary(postTo(store));
  for (const branchId of [20, 21, 22])
    await postTo(source)('branches', { branchId, name: 'B', parentOrganisationReference: { organisationId: 10 } });
  await runCopy({ source, destination });
  let isUnlinking = false;
  const database = happenBetween(
    library.database,
    (text) => {
      const wasUnlinking = isUnlinking;
      isUnlinking ||= text.startsWith('UPDATE "destination"."branch"');
      return wasUnlinking && text.endsWith('FOR UPDATE OF d');
    },
    async () => post('readingLists', { name: 'late', organisationReference: { organisationId: 21 } }),
  );
  const copy = await startCopy({
    source,
    destination: await library.openAnother('destination', { database }),
    parallel: 1,
  });
  expect((await removeCopied(copy)).listed).toMatchObject([{ resource: 'Library.Branch', reason: 'referenced' }]);
  expect(database.hasHappened()).toBe(true);
  expect((await auditStore(destination)).byKind).toEqual({});
});
