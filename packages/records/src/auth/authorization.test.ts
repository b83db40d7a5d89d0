import { CaseboundError } from '@casebound/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditStore } from '../audit/audit-store.ts';
import { bulkWrite } from '../bulk/bulk-write.ts';
import { getDocument, listDocuments } from '../read/read-documents.ts';
import { fillLibrary, language, openLibrary, type OpenedLibrary } from '../testing/open-library.ts';
import { deleteDocument } from '../write/delete-document.ts';
import type { JsonValue } from '../write/parse-json.ts';
import { putDocument, upsertDocument, type WriteResult } from '../write/write-document.ts';
import { type Claims, parseAuthorization } from './claim-set.ts';

const all = {
  create: [{ kind: 'none' }],
  read: [{ kind: 'none' }],
  update: [{ kind: 'none' }],
  delete: [{ kind: 'none' }],
};
const by = (strategy: object): object => ({
  create: [strategy],
  read: [strategy],
  update: [strategy],
  delete: [strategy],
});
const rules = parseAuthorization({
  hierarchy: {
    members: [
      { resource: 'Library.Consortium' },
      { resource: 'Library.Branch', parentPaths: ['$.parentOrganisationReference'] },
    ],
  },
  claimSets: {
    root: { grants: [{ resource: '*', actions: all }] },
    groups: {
      grants: [
        { resource: 'Library.Branch', actions: by({ kind: 'relationship', paths: ['$'] }) },
        { resource: 'Library.ReadingList', actions: by({ kind: 'relationship', paths: ['$.organisationReference'] }) },
        { resource: 'Library.Author', actions: { read: [{ kind: 'customView', view: 'young_authors' }] } },
      ],
    },
    namespaces: {
      grants: [{ resource: 'Library.LanguageDescriptor', actions: by({ kind: 'namespace', path: '$.namespace' }) }],
    },
  },
});

let library: OpenedLibrary;
const root: Claims = { claimSet: 'root' };
const ids = new Map<string, WriteResult>();
const write = async (endpoint: string, document: JsonValue, claims: Claims = root): Promise<WriteResult> =>
  upsertDocument(library.store, library.resource(endpoint), document, { claims });
const code = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'ok',
    (error: unknown) => (error instanceof CaseboundError ? error.code : String(error)),
  );
const group = (name: string): Claims => ({ claimSet: 'groups', groupDocumentIds: [ids.get(name)?.documentId ?? -1] });

beforeAll(async () => {
  library = await openLibrary({ authorization: rules });
  await fillLibrary(async (endpoint, document) => write(endpoint, document));
  await library.database.pool.query(
    `CREATE VIEW library.young_authors AS SELECT document_id FROM library.author WHERE born > '1990-01-01'`,
  );
  const organisations: [string, string, JsonValue][] = [
    ['c2', 'consortia', { consortiumId: 2, name: 'Two' }],
    ['b21', 'branches', { branchId: 21, name: 'x', parentOrganisationReference: { organisationId: 2 } }],
    ['b211', 'branches', { branchId: 211, name: 'x', parentOrganisationReference: { organisationId: 21 } }],
    ['b11', 'branches', { branchId: 11, name: 'x', parentOrganisationReference: { organisationId: 1 } }],
  ];
  for (const [name, endpoint, document] of organisations) ids.set(name, await write(endpoint, document));
  for (const organisationId of [1, 2, 11, 21, 211])
    ids.set(
      `l${organisationId}`,
      await write('readingLists', { name: `l${organisationId}`, organisationReference: { organisationId } }),
    );
  ids.set('none', await write('readingLists', { name: 'belongs to nobody' }));
});
afterAll(async () => library.close());

const namesSeen = async (claims: Claims): Promise<string[]> => {
  const page = await listDocuments(library.store, library.resource('readingLists'), {
    claims,
    totalCount: true,
    limit: 500,
  });
  expect(page.totalCount).toBe(page.bodies.length);
  return page.bodies.map((body) => (JSON.parse(body) as { name: string }).name).sort();
};

test('a caller sees what hangs below its groups: in lists, counts and by id, and nothing else', async () => {
  expect(await namesSeen(group('c2'))).toEqual(['l2', 'l21', 'l211']);
  expect(await namesSeen(group('b21'))).toEqual(['l21', 'l211']);
  expect(await namesSeen(group('b11'))).toEqual(['l11']);
  expect(await namesSeen({ claimSet: 'groups', groupDocumentIds: [] })).toEqual([]);
  const resource = library.resource('readingLists');
  expect(await code(getDocument(library.store, resource, ids.get('l21')?.uuid ?? '', { claims: group('b21') }))).toBe(
    'ok',
  );
  const absent = await getDocument(library.store, resource, ids.get('l11')?.uuid ?? '', { claims: group('b21') }).catch(
    (error: unknown) => error,
  );
  const never = await getDocument(library.store, resource, '00000000-0000-7000-8000-000000000000', {
    claims: group('b21'),
  }).catch((error: unknown) => error);
  expect(String(absent).replace(ids.get('l11')?.uuid ?? '', 'X')).toBe(
    String(never).replace('00000000-0000-7000-8000-000000000000', 'X'),
  );
});

test('pages are cut after authorization: offsets and tokens count what may be seen', async () => {
  const resource = library.resource('readingLists');
  const first = await listDocuments(library.store, resource, { claims: group('c2'), limit: 2 });
  const second = await listDocuments(library.store, resource, {
    claims: group('c2'),
    limit: 2,
    pageToken: first.nextPageToken ?? '',
  });
  const offset = await listDocuments(library.store, resource, { claims: group('c2'), limit: 2, offset: 2 });
  expect([first.bodies.length, second.bodies.length, second.nextPageToken]).toEqual([2, 1, null]);
  expect(offset.bodies).toEqual(second.bodies);
});

test('writes outside of the groups are refused, also as a move out of them, also in bulk; nothing is written', async () => {
  const { store } = library;
  const resource = library.resource('readingLists');
  expect(
    await code(write('readingLists', { name: 'mine', organisationReference: { organisationId: 21 } }, group('b21'))),
  ).toBe('ok');
  expect(
    await code(write('readingLists', { name: 'theirs', organisationReference: { organisationId: 11 } }, group('b21'))),
  ).toBe('unresolved_reference');
  expect(await code(write('readingLists', { name: 'belongs to nobody either' }, group('b21')))).toBe('forbidden');
  expect(
    await code(write('readingLists', { name: 'l11', organisationReference: { organisationId: 21 } }, group('b21'))),
  ).toBe('forbidden');
  const moved = { name: 'l21', organisationReference: { organisationId: 11 } };
  expect(await code(putDocument(store, resource, ids.get('l21')?.uuid ?? '', moved, { claims: group('b21') }))).toBe(
    'unresolved_reference',
  );
  const nowhere = { name: 'l21' };
  expect(await code(putDocument(store, resource, ids.get('l21')?.uuid ?? '', nowhere, { claims: group('b21') }))).toBe(
    'forbidden',
  );
  expect(await code(putDocument(store, resource, ids.get('l11')?.uuid ?? '', moved, { claims: group('b21') }))).toBe(
    'record_not_found',
  );
  expect(await code(deleteDocument(store, resource, ids.get('l11')?.uuid ?? '', { claims: group('b21') }))).toBe(
    'record_not_found',
  );
  const outcomes: string[] = [];
  await bulkWrite(
    store,
    [21, 11, 211].map((organisationId) => ({
      resource,
      document: { name: `bulk${organisationId}`, organisationReference: { organisationId } },
    })),
    { claims: group('b21'), onRow: (row) => outcomes.push(row.outcome === 'failed' ? row.error.code : row.outcome) },
  );
  expect(outcomes).toEqual(['created', 'unresolved_reference', 'created']);
  expect(await namesSeen(root)).not.toContain('theirs');
});

test('the closure follows the hierarchy: a member that moves takes what is below it along', async () => {
  await write('branches', { branchId: 21, name: 'x', parentOrganisationReference: { organisationId: 1 } });
  expect(await namesSeen(group('c2'))).toEqual(['l2']);
  expect(await namesSeen(group('b21'))).toContain('l211');
  expect(await auditStore(library.store)).toMatchObject({ damages: 0 });
  await library.database.pool.query('DELETE FROM library.authorization_closure WHERE descendant_document_id = $1', [
    ids.get('b211')?.documentId,
  ]);
  const { byKind } = await auditStore(library.store, { repair: true });
  expect(byKind).toMatchObject({ 'closure-missing': expect.any(Number) });
  expect(await auditStore(library.store)).toMatchObject({ damages: 0 });
});

test('namespaces, custom views, and actions that are not granted', async () => {
  const languages = library.resource('languageDescriptors');
  const claims: Claims = { claimSet: 'namespaces', namespacePrefixes: ['uri://other.example/'] };
  expect((await listDocuments(library.store, languages, { claims, totalCount: true })).totalCount).toBe(0);
  const own = { namespace: 'uri://other.example/L', codeValue: 'x', shortDescription: 'x' };
  expect(await code(upsertDocument(library.store, languages, own, { claims }))).toBe('ok');
  expect(
    await code(upsertDocument(library.store, languages, { ...own, namespace: 'uri://library.example/L' }, { claims })),
  ).toBe('forbidden');
  expect((await listDocuments(library.store, languages, { claims, totalCount: true })).totalCount).toBe(1);

  await write('authors', { authorKey: 'young', born: '1999-01-01' });
  const seen = await listDocuments(library.store, library.resource('authors'), { claims: group('c2') });
  expect(seen.bodies.map((body) => (JSON.parse(body) as { authorKey: string }).authorKey)).toEqual(['young']);
  expect(
    await code(upsertDocument(library.store, library.resource('authors'), { authorKey: 'z' }, { claims: group('c2') })),
  ).toBe('forbidden');
  expect(await code(listDocuments(library.store, library.resource('works'), { claims: group('c2') }))).toBe(
    'forbidden',
  );
  expect(await code(listDocuments(library.store, library.resource('works')))).toBe('forbidden');
  expect(
    await code(
      upsertDocument(
        library.store,
        library.resource('works'),
        { authorReference: { authorKey: 'a1' }, title: 'q', languageDescriptor: language('en') },
        { claims: { claimSet: 'unknown' } },
      ),
    ),
  ).toBe('forbidden');
});
