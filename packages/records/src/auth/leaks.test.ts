/**
 * What a caller may not see shows nowhere: for each way of asking, the answer about a hidden record is the answer about one that
 * does not exist, word for word but for the caller's own words.
 */
import { CaseboundError } from '@casebound/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditStore } from '../audit/audit-store.ts';
import { bulkWrite } from '../bulk/bulk-write.ts';
import { getDocument, listDocuments } from '../read/read-documents.ts';
import { fillLibrary, language, openLibrary, type OpenedLibrary } from '../testing/open-library.ts';
import { deleteDocument } from '../write/delete-document.ts';
import type { JsonValue } from '../write/parse-json.ts';
import { putDocument, upsertDocument, type WriteResult } from '../write/write-document.ts';
import { checkRules, requireCustomViews } from './check-rules.ts';
import { type Claims, parseAuthorization } from './claim-set.ts';

const by = (strategy: object): object => ({
  create: [strategy],
  read: [strategy],
  update: [strategy],
  delete: [strategy],
});
const ofGroup = (path: string): object => by({ kind: 'relationship', paths: [path] });
const rules = parseAuthorization({
  hierarchy: {
    members: [
      { resource: 'Library.Consortium' },
      { resource: 'Library.Branch', parentPaths: ['$.parentOrganisationReference'] },
    ],
  },
  claimSets: {
    root: { grants: [{ resource: '*', actions: by({ kind: 'none' }) }] },
    members: {
      grants: [
        { resource: 'Library.Branch', actions: ofGroup('$') },
        { resource: 'Library.Consortium', actions: ofGroup('$') },
        { resource: 'Library.Copy', actions: ofGroup('$.branchReference') },
        { resource: 'Library.ReadingList', actions: ofGroup('$.organisationReference') },
        { resource: 'Library.Work', actions: { read: [{ kind: 'none' }] } },
        { resource: 'Library.Author', actions: { read: [{ kind: 'none' }] } },
        {
          resource: 'Library.LanguageDescriptor',
          actions: by({ kind: 'namespace', path: '$.namespace' }),
        },
      ],
    },
    enrolling: {
      grants: [
        { resource: 'Library.Branch', actions: { refer: [{ kind: 'none' }] } },
        { resource: 'Library.Consortium', actions: { refer: [{ kind: 'none' }] } },
        { resource: 'Library.ReadingList', actions: by({ kind: 'none' }) },
      ],
    },
  },
});

let library: OpenedLibrary;
let hidden: Record<'branch' | 'list' | 'copy' | 'language', WriteResult>;
let mine: Record<'branch' | 'list', WriteResult>;
let claims: Claims;
const root: Claims = { claimSet: 'root' };
const nowhere = '00000000-0000-7000-8000-000000000000';
const work = (key: string) => ({ authorKey: key, title: 'One', languageDescriptor: language('en') });

const write = async (endpoint: string, document: JsonValue, who: Claims = claims): Promise<WriteResult> =>
  upsertDocument(library.store, library.resource(endpoint), document, { claims: who });

beforeAll(async () => {
  library = await openLibrary({ authorization: rules });
  await fillLibrary(async (endpoint, document) => write(endpoint, document, root));
  mine = {
    branch: await write('branches', { branchId: 20, name: 'mine' }, root),
    list: await write('readingLists', { name: 'mine', organisationReference: { organisationId: 20 } }, root),
  };
  claims = {
    claimSet: 'members',
    groupDocumentIds: [mine.branch.documentId],
    namespacePrefixes: ['uri://library.example/'],
  };
  // The two authors: what refers to a2 is hidden, what refers to a3 is mine.
  hidden = {
    branch: await write('branches', { branchId: 30, name: 'theirs' }, root),
    list: await write(
      'readingLists',
      {
        name: 'theirs',
        organisationReference: { organisationId: 30 },
        authors: [{ authorReference: { authorKey: 'a2' } }],
      },
      root,
    ),
    copy: await write('copies', { workReference: work('a2'), copyNumber: 5, branchReference: { branchId: 30 } }, root),
    language: await write(
      'languageDescriptors',
      { namespace: 'uri://secret.example/L', codeValue: 'cipher', shortDescription: 'x' },
      root,
    ),
  };
});
afterAll(async () => library.close());

/** What a caller is told: everything of the error, with the caller's own words replaced. */
const told = async (attempt: Promise<unknown>, ...own: readonly string[]): Promise<string> => {
  const answer = await attempt.then(
    (value) => JSON.stringify(value),
    (error: unknown) => {
      if (!(error instanceof CaseboundError)) throw error;
      return JSON.stringify([error.code, error.message, error.errors, error.status, error.retryAfterSeconds]);
    },
  );
  return own.reduce((text, word) => text.replaceAll(word, '…'), answer);
};

const same = async (
  ask: (which: 'hidden' | 'absent') => Promise<unknown>,
  ...own: readonly string[]
): Promise<string> => {
  const answers = [await told(ask('hidden'), ...own), await told(ask('absent'), ...own)];
  expect(answers[0]).toBe(answers[1]);
  return answers[0] ?? '';
};

test('by id: get, put, delete, with any precondition', async () => {
  const { store } = library;
  const lists = library.resource('readingLists');
  const own = [hidden.list.uuid, nowhere];
  const uuid = (which: string): string => (which === 'hidden' ? hidden.list.uuid : nowhere);
  const document = { name: 'x', organisationReference: { organisationId: 20 } };
  for (const conditions of [{}, { ifMatch: '"1"' }, { ifMatch: '"7"' }, { ifMatch: '*' }, { ifNoneMatch: '"1"' }]) {
    const options = { claims, ...conditions };
    expect(await same(async (which) => putDocument(store, lists, uuid(which), document, options), ...own)).toMatch(
      /record_not_found/,
    );
    expect(await same(async (which) => deleteDocument(store, lists, uuid(which), options), ...own)).toMatch(
      /record_not_found/,
    );
  }
  expect(await same(async (which) => getDocument(store, lists, uuid(which), { claims }), ...own)).toMatch(
    /record_not_found/,
  );
  expect((await getDocument(store, lists, hidden.list.uuid, { claims: root })).etag).toBe(1);
});

test('lists, counts, filters and pages', async () => {
  const list = async (endpoint: string, field: string, value: string): Promise<unknown> =>
    listDocuments(library.store, library.resource(endpoint), { claims, totalCount: true, filters: [{ field, value }] });
  expect(await same(async (which) => list('readingLists', 'name', which === 'hidden' ? 'theirs' : 'nobody'))).toBe(
    '{"bodies":[],"totalCount":0,"nextPageToken":null}',
  );
  await same(async (which) => list('readingLists', 'organisationId', which === 'hidden' ? '30' : '99'));
  await same(async (which) => list('readingLists', 'id', which === 'hidden' ? hidden.list.uuid : nowhere));
  await same(async (which) => list('copies', 'copyNumber', which === 'hidden' ? '5' : '6'));
  await same(async (which) => list('languageDescriptors', 'codeValue', which === 'hidden' ? 'cipher' : 'none'));
  const { bodies, totalCount, nextPageToken } = await listDocuments(library.store, library.resource('branches'), {
    claims,
    totalCount: true,
    limit: 1,
  });
  expect([bodies.length, totalCount]).toEqual([1, 1]);
  const second = await listDocuments(library.store, library.resource('branches'), {
    claims,
    limit: 1,
    pageToken: nextPageToken ?? '',
  });
  expect(second.bodies).toEqual([]);
});

test('references: to a hidden record as to none, in single writes, puts and bulk, descriptors and polymorphic ones too', async () => {
  const list = (organisationId: number): JsonValue => ({ name: 'probe', organisationReference: { organisationId } });
  expect(await same(async (which) => write('readingLists', list(which === 'hidden' ? 30 : 99)))).toMatch(
    /unresolved_reference.*\$\.organisationReference/,
  );
  await same(async (which) =>
    write('copies', {
      workReference: work('a3'),
      copyNumber: 1,
      branchReference: { branchId: which === 'hidden' ? 30 : 99 },
    }),
  );
  await same(async (which) =>
    putDocument(library.store, library.resource('readingLists'), mine.list.uuid, list(which === 'hidden' ? 30 : 99), {
      claims,
    }),
  );
  const secret = (which: string): JsonValue => ({
    workReference: {
      ...work('a3'),
      languageDescriptor: which === 'hidden' ? 'uri://secret.example/L#cipher' : 'uri://n#n',
    },
    copyNumber: 1,
    branchReference: { branchId: 20 },
  });
  await same(async (which) => write('copies', secret(which)));
  const bulk = async (which: string): Promise<unknown> => {
    const rows: string[] = [];
    const summary = await bulkWrite(
      library.store,
      [list(20), list(which === 'hidden' ? 30 : 99)].map((document) => ({
        resource: library.resource('readingLists'),
        document,
      })),
      {
        claims,
        onRow: (row) => rows.push(row.outcome === 'failed' ? `${row.error.code} ${row.error.message}` : row.outcome),
      },
    );
    return [summary.failed, rows.slice(1)];
  };
  expect(await same(bulk)).toContain('unresolved_reference');
});

test('a record keeps what it refers to already, though its editor may not see that', async () => {
  const shared = {
    name: 'shared',
    organisationReference: { organisationId: 20 },
    works: [{ workReference: work('a1') }],
  };
  const { uuid } = await write('readingLists', shared, root);
  const narrow = parseAuthorization({
    ...rules,
    claimSets: {
      members: {
        grants: (rules.claimSets['members']?.grants ?? []).filter((grant) => grant.resource !== 'Library.Work'),
      },
    },
  });
  const store = await library.reopen({ authorization: narrow });
  const lists = library.resource('readingLists');
  const own = JSON.parse((await getDocument(store, lists, uuid, { claims })).body) as { [key: string]: JsonValue };
  expect(await told(putDocument(store, lists, uuid, own, { claims }))).toContain('"outcome":"unchanged"');
  const more = { ...own, works: [...(own['works'] as JsonValue[]), { workReference: work('a2') }] };
  expect(await told(putDocument(store, lists, uuid, more, { claims }))).toMatch(/unresolved_reference.*works\[1\]/);
});

test('identities that a hidden record has are refused in the words of any refusal', async () => {
  // A number that only the caller could take if it were free: the refusal is that of a record outside of what it may write.
  const outside = await told(write('readingLists', { name: 'free' }));
  const taken = await told(write('readingLists', { name: 'theirs', organisationReference: { organisationId: 20 } }));
  expect(taken).toBe(outside);
  // The superclass identity of a hidden consortium.
  expect(
    await told(write('branches', { branchId: 1, name: 'x', parentOrganisationReference: { organisationId: 20 } })),
  ).toMatch(/^\["forbidden","The claim set does not allow to write this Library.Branch."/);
});

test('a delete that is refused names the types of referrers that the caller may see, and no others', async () => {
  const { store } = library;
  const authors = library.resource('authors');
  const rulesWithDelete = parseAuthorization({
    ...rules,
    claimSets: {
      ...rules.claimSets,
      members: {
        grants: [
          ...(rules.claimSets['members']?.grants ?? []).filter(
            (grant) => !['Library.Author', 'Library.Work'].includes(grant.resource),
          ),
          { resource: 'Library.Author', actions: by({ kind: 'none' }) },
        ],
      },
    },
  });
  const guarded = await library.reopen({ authorization: rulesWithDelete });
  const author = async (authorKey: string): Promise<string> =>
    (await upsertDocument(store, authors, { authorKey }, { claims: root })).uuid;
  await write(
    'readingLists',
    {
      name: 'mine too',
      organisationReference: { organisationId: 20 },
      authors: [{ authorReference: { authorKey: 'a3' } }],
    },
    root,
  );
  // a2: a hidden list and a work, which the claim set does not name; a3: a list of the caller's own beside a work.
  const hiddenOnly = await told(deleteDocument(guarded, authors, await author('a2'), { claims }));
  expect(hiddenOnly).toContain('record_referenced');
  expect(hiddenOnly).not.toMatch(/ReadingList|Work/);
  const visible = await told(deleteDocument(guarded, authors, await author('a3'), { claims }));
  expect(visible).toContain('Library.ReadingList');
  expect(visible).not.toContain('Library.Work');
  const languages = library.resource('languageDescriptors');
  const { bodies } = await listDocuments(store, languages, {
    claims: root,
    filters: [{ field: 'codeValue', value: 'en' }],
  });
  const { id } = JSON.parse(bodies[0] ?? '{}') as { id: string };
  expect(await told(deleteDocument(guarded, languages, id, { claims }))).not.toContain('Library.Work');
});

test('`refer` alone lets a caller name what it may not see, as an enrolment does', async () => {
  const enrolling: Claims = { claimSet: 'enrolling' };
  expect(
    await told(write('readingLists', { name: 'enrolled', organisationReference: { organisationId: 30 } }, enrolling)),
  ).toContain('"outcome":"created"');
  expect(await told(listDocuments(library.store, library.resource('branches'), { claims: enrolling }))).toContain(
    'forbidden',
  );
});

test('nothing of all this was written, and the store is sound', async () => {
  const { totalCount } = await listDocuments(library.store, library.resource('readingLists'), {
    claims: root,
    filters: [{ field: 'name', value: 'free' }],
    totalCount: true,
  });
  expect(totalCount).toBe(0);
  expect(await auditStore(library.store)).toMatchObject({ damages: 0 });
});

test('rules that name what is not there are told when the store is opened', async () => {
  const grant = (resource: string, strategy: object): unknown => ({
    claimSets: { c: { grants: [{ resource, actions: { read: [strategy] } }] } },
  });
  const attempts: readonly (readonly [RegExp, unknown])[] = [
    [/Library\.Nothing, which is no resource/, grant('Library.Nothing', { kind: 'none' })],
    [/\$\.pages, which is no text/, grant('Library.Work', { kind: 'namespace', path: '$.pages' })],
    [/\$\.title, which is no reference/, grant('Library.Work', { kind: 'relationship', paths: ['$.title'] })],
    [/no reference/, grant('Library.Work', { kind: 'customView', view: 'v', path: '$.editions' })],
    [/is no resource/, { claimSets: {}, hierarchy: { members: [{ resource: 'Library.None' }] } }],
    [
      /no reference/,
      { claimSets: {}, hierarchy: { members: [{ resource: 'Library.Branch', parentPaths: ['$.name'] }] } },
    ],
  ];
  for (const [message, document] of attempts)
    expect(() => checkRules(parseAuthorization(document), library.model)).toThrow(message);
  await expect(
    library.reopen({ authorization: parseAuthorization(grant('Library.Nothing', { kind: 'none' })) }),
  ).rejects.toMatchObject({ code: 'config_invalid' });
  const views = await library.reopen({
    authorization: parseAuthorization(grant('Library.Author', { kind: 'customView', view: 'not_there' })),
  });
  await expect(requireCustomViews(views)).rejects.toMatchObject({ code: 'config_invalid' });
  for (const malformed of [null, 5, {}, { claimSets: { c: { grants: [{ resource: 'x', actions: { fly: [] } }] } } }])
    expect(() => parseAuthorization(malformed)).toThrow(CaseboundError);
});
