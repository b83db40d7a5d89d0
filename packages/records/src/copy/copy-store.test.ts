import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditStore } from '../audit/audit-store.ts';
import { parseAuthorization } from '../auth/claim-set.ts';
import { deriveModel } from '../derive/derive-model.ts';
import { getDocument, listDocuments } from '../read/read-documents.ts';
import { loadSchema } from '../schema/load-schema.ts';
import type { StoreContext } from '../store-context.ts';
import { buildSchema } from '../testing/build-schema.ts';
import { libraryProject } from '../testing/library-schema.ts';
import {
  fillLibrary,
  fullWork,
  language,
  openLibrary,
  type OpenedLibrary,
  resourceAt,
} from '../testing/open-library.ts';
import { openStreamingDatabase } from '../testing/streaming-database.ts';
import { storeContents } from '../testing/store-contents.ts';
import { deleteDocument } from '../write/delete-document.ts';
import { putDocument, upsertDocument } from '../write/write-document.ts';
import { compareCopied } from './compare-copied.ts';
import { compileCopyPlan } from './compile-plan.ts';
import { type CopySummary, mapRecords } from './map-records.ts';
import { type CopyAcross, copyState, openCopy, type RecordCopy, selectRecordsBy, setValueMap } from './open-copy.ts';
import { type CopyPolicy, lookUpValue, prefixValue, remapBits, sourceDocumentId } from './policy.ts';
import { removeCopied } from './remove-copied.ts';
import { copyRecords } from './run-copy.ts';

let library: OpenedLibrary;
let other: OpenedLibrary;
const textOf = (name: string): string => {
  const value = fullWork()[name];
  if (typeof value !== 'string') throw new TypeError(`${name} is no text`);
  return value;
};
const longTitle = textOf('title');
const longWork = { authorKey: 'a1', title: longTitle, languageDescriptor: textOf('languageDescriptor') };
beforeAll(async () => {
  library = await openLibrary();
  other = await openLibrary();
  await fillLibrary(library.post);
  await library.post('works', fullWork());
  await library.post('copies', { workReference: longWork, copyNumber: 1, branchReference: { branchId: 10 } });
  await library.post('loans', { copyReference: { ...longWork, copyNumber: 1 }, loanDate: '2020-01-02' });
  await library.post('renewals', {
    loanReference: { ...longWork, copyNumber: 1, loanDate: '2020-01-02' },
    sequence: 1,
  });
  await library.post('readingLists', {
    name: 'list',
    organisationReference: { organisationId: 1 },
    authors: [{ authorReference: { authorKey: 'a3' }, note: 'x' }, { authorReference: { authorKey: 'a1' } }],
    works: [{ workReference: { authorKey: 'a2', title: 'One', languageDescriptor: language('en') } }],
  });
  await library.post('deeds', { deedNumber: 'd', workReference: longWork });
  await library.post('documents', { documentKey: 'k' });
  // References within a cycle, across chunks of two and against the order of ids; one record refers to itself.
  for (const branchId of [20, 21, 22, 23, 24])
    await library.post('branches', {
      branchId,
      name: `B${branchId}`,
      parentOrganisationReference: { organisationId: branchId === 20 ? 10 : branchId - 1 },
    });
  const { uuid } = await library.post('branches', { branchId: 30, name: 'own parent' });
  await putDocument(library.store, library.resource('branches'), uuid, {
    branchId: 30,
    name: 'own parent',
    parentOrganisationReference: { organisationId: 30 },
  });
  const { rows } = await library.database.pool.query(
    `SELECT d.document_uuid FROM library.branch b JOIN library.document d USING (document_id) WHERE branch_id = 10`,
  );
  await putDocument(library.store, library.resource('branches'), String(rows[0]?.document_uuid), {
    branchId: 10,
    name: 'North',
    parentOrganisationReference: { organisationId: 24 },
  });
});
afterAll(async () => {
  await library.close();
  await other.close();
});

interface Options {
  readonly destination: StoreContext;
  readonly policy?: CopyPolicy;
  readonly select?: string;
  readonly values?: Readonly<Record<string, readonly (readonly [string, string])[]>>;
  readonly across?: CopyAcross;
  readonly key?: string;
}

const everything = 'SELECT document_id FROM library.document';
const works = `SELECT document_id FROM library.work`;

const begin = async (options: Options): Promise<RecordCopy> => {
  const plan = compileCopyPlan(library.model, options.destination.model, options.policy ?? {});
  const copy = await openCopy({
    plan,
    source: library.store,
    destination: options.destination,
    key: options.key ?? 'job',
    sourceStore: 'the library',
    chunkSize: 2,
    parallel: 3,
    ...(options.across === undefined ? {} : { across: options.across }),
  });
  if ((await copyState(copy)) === 'selecting') {
    await selectRecordsBy(copy, options.select ?? everything, []);
    for (const [name, entries] of Object.entries(options.values ?? {})) await setValueMap(copy, name, entries);
  }
  return copy;
};

const run = async (options: Options): Promise<{ copy: RecordCopy; summary: CopySummary }> => {
  const copy = await begin(options);
  await mapRecords(copy);
  const summary = await copyRecords(copy);
  expect(await auditStore(options.destination)).toMatchObject({ damages: 0 });
  expect(await compareCopied(copy)).toMatchObject({ differences: 0, changedInSource: 0, changedInDestination: 0 });
  return { copy, summary };
};

const bodies = async (store: StoreContext, endpoint: string): Promise<Record<string, unknown>[]> => {
  const page = await listDocuments(store, resourceAt(store.model, endpoint), { limit: 500 });
  return page.bodies.map((body) => JSON.parse(body) as Record<string, unknown>);
};

test('a copy of a store is the store; a second run writes nothing', async () => {
  const destination = await library.openAnother('whole');
  const { copy, summary } = await run({ destination });
  expect(summary.missing).toBe(0);
  expect(await storeContents(destination)).toEqual(await storeContents(library.store));
  const state = async (): Promise<unknown> =>
    (
      await library.database.pool.query(
        'SELECT document_id, document_uuid, etag, last_modified_at FROM whole.document ORDER BY 1',
      )
    ).rows;
  const before = await state();
  expect(await mapRecords(copy)).toEqual(summary);
  expect(await copyRecords(copy)).toEqual(summary);
  // Another job finds everything there.
  const again = await run({ destination, key: 'again' });
  expect(Object.values(again.summary.resources).every((counts) => counts.inserted === 0 && counts.matched > 0)).toBe(
    true,
  );
  expect(await state()).toEqual(before);
});

test('provenance names the source of every record', async () => {
  const { rows } = await library.database.pool.query(
    `SELECT count(*)::int AS n FROM whole.record_copy_provenance p JOIN whole.record_copy_job j USING (job_id) JOIN library.document s ON s.document_uuid = p.source_document_uuid JOIN whole.document d ON d.document_id = p.document_id WHERE j.source_store = 'the library' AND d.document_uuid <> s.document_uuid AND substr(d.document_uuid::text, 15, 1) = '7'`,
  );
  const { rows: all } = await library.database.pool.query('SELECT count(*)::int AS n FROM library.document');
  expect(rows).toEqual(all);
});

test('from another database the same comes out, by COPY, and nothing of the staging stays', async () => {
  const source = openStreamingDatabase(library.target, 'REPEATABLE READ');
  const destination = openStreamingDatabase(other.target, 'READ COMMITTED');
  try {
    const across = { source, destination };
    await run({ destination: other.store, across });
    expect(await storeContents(other.store)).toEqual(await storeContents(library.store));
    const { rows } = await other.database.pool.query(
      `SELECT relname FROM pg_class WHERE relname LIKE 'record_copy_stage%'`,
    );
    expect(rows).toEqual([]);
    // A selection takes along what it refers to, and no more.
    const some = await other.openAnother('some');
    const renamed = { '$.authorKey': prefixValue('prefix') };
    const { summary } = await run({
      destination: some,
      across,
      select: 'SELECT document_id FROM library.copy',
      policy: { resources: { 'Library.Author': { columns: renamed } }, parameters: { prefix: 'P-' } },
    });
    expect(summary.resources).toMatchObject({
      'Library.Copy': { inserted: 1 },
      'Library.Work': { inserted: 1 },
      'Library.Author': { inserted: 3 },
    });
    expect(summary.resources['Library.Loan']).toBeUndefined();
    expect(await bodies(some, 'copies')).toMatchObject([
      { workReference: { ...longWork, authorKey: 'P-a1', languageDescriptor: language('de') } },
    ]);
  } finally {
    await source.close();
    await destination.close();
  }
});

test('what a selection refers to travels, what depends on it by rule too, and records that are there are used', async () => {
  const destination = await library.openAnother('chosen');
  await fillLibrary(async (endpoint, document) =>
    upsertDocument(destination, resourceAt(destination.model, endpoint), document),
  );
  const [author] = await bodies(destination, 'authors');
  const { summary } = await run({
    destination,
    select: works,
    policy: {
      resources: { 'Library.Work': { mode: 'insert', onConflict: 'skip' } },
      dependents: [
        { resource: 'Library.Copy', reference: '$.workReference' },
        { resource: 'Library.Loan', reference: '$.copyReference' },
      ],
    },
  });
  expect(summary).toEqual({
    selected: 4,
    missing: 0,
    resources: {
      'Library.Author': { inserted: 0, matched: 3, skipped: 0, overlaid: 0 },
      'Library.Branch': { inserted: 0, matched: 1, skipped: 0, overlaid: 0 },
      'Library.Copy': { inserted: 1, matched: 0, skipped: 0, overlaid: 0 },
      'Library.LanguageDescriptor': { inserted: 0, matched: 1, skipped: 0, overlaid: 0 },
      'Library.Loan': { inserted: 1, matched: 0, skipped: 0, overlaid: 0 },
      'Library.RoleDescriptor': { inserted: 0, matched: 1, skipped: 0, overlaid: 0 },
      'Library.Work': { inserted: 1, matched: 0, skipped: 3, overlaid: 0 },
      'Library.YearType': { inserted: 0, matched: 1, skipped: 0, overlaid: 0 },
    },
  });
  // Nothing of what was there has changed.
  expect((await bodies(destination, 'authors'))[0]).toEqual(author);
  expect(await bodies(destination, 'renewals')).toEqual([]);
});

test('a rename reaches every identity that contains it, however far, also through an abstract resource', async () => {
  const destination = await library.openAnother('renamed');
  await run({
    destination,
    values: {
      titles: [
        [longTitle, 'Short'],
        ['One', 'Eins'],
      ],
      ids: [['10', '110']],
    },
    policy: {
      resources: {
        'Library.Author': { columns: { '$.authorKey': prefixValue('prefix') } },
        'Library.Work': { columns: { '$.title': lookUpValue('titles') } },
        'Library.Branch': { columns: { '$.branchId': (scope) => `${scope.value} + 1000` } },
      },
      parameters: { prefix: "X'" },
    },
  });
  const [renewal] = await bodies(destination, 'renewals');
  expect(renewal).toMatchObject({
    loanReference: { authorKey: "X'a1", title: 'Short', copyNumber: 1, loanDate: '2020-01-02' },
  });
  // The new names are what records are found by.
  const found = await upsertDocument(destination, resourceAt(destination.model, 'copies'), {
    workReference: { ...longWork, authorKey: "X'a1", title: 'Short' },
    copyNumber: 1,
    branchReference: { branchId: 1010 },
  });
  expect(found.outcome).toBe('unchanged');
  expect((await bodies(destination, 'branches')).find((branch) => branch['branchId'] === 1022)).toMatchObject({
    parentOrganisationReference: { organisationId: 1021 },
  });
});

test('members are left out, replaced and remapped; collections left out and filtered, without gaps in their order', async () => {
  const destination = await library.openAnother('changed');
  await run({
    destination,
    select: `${works} UNION SELECT document_id FROM library.reading_list`,
    values: {
      bits: [
        ['1', '4'],
        ['4', '1'],
        ['8', '16'],
      ],
    },
    policy: {
      resources: {
        'Library.Work': {
          mode: 'insert',
          columns: {
            '$.price': 'null',
            '$.properties': 'null',
            '$.yearTypeReference': 'null',
            '$.origin.publisherReference': 'ifCopied',
            '$.pages': sourceDocumentId,
            '$.isRare': (scope) => `${scope.column('$.pages')} IS NULL`,
          },
          rows: {
            '$.contributors': 'exclude',
            '$.subjects': (scope) => `${scope.column('$.subjects[*]')} <> 'b'`,
            '$._ext.archive': 'exclude',
          },
        },
        'Library.ReadingList': {
          columns: { '$.organisationReference': 'null' },
          rows: { '$.authors': (scope) => `${scope.column('$.authors[*].note')} IS NOT NULL` },
        },
        'Library.RoleDescriptor': { mode: 'exclude' },
        'Library.YearType': { mode: 'exclude' },
      },
    },
  });
  const all = await bodies(destination, 'works');
  const work = all.find((body) => body['title'] === longTitle);
  const { rows } = await library.database.pool.query('SELECT document_id FROM library.work WHERE title = $1', [
    longTitle,
  ]);
  expect(work).toMatchObject({
    pages: Number(rows[0]?.document_id),
    isRare: false,
    subjects: ['a', 'null', ''],
    origin: { place: 'Ulm' },
  });
  for (const name of ['price', 'properties', 'yearTypeReference', 'contributors', '_ext'])
    expect(work).not.toHaveProperty(name);
  expect(work?.['editions']).toHaveLength(2);
  expect(await bodies(destination, 'readingLists')).toMatchObject([
    { authors: [{ authorReference: { authorKey: 'a3' }, note: 'x' }] },
  ]);
  expect(await bodies(destination, 'branches')).toEqual([]);
});

test('shared records that a hook gives one name become one, also where a collection is keyed by them', async () => {
  const destination = await library.openAnother('joined');
  const { summary } = await run({
    destination,
    select: 'SELECT document_id FROM library.reading_list UNION SELECT document_id FROM library.author',
    policy: {
      resources: {
        'Library.Author': { columns: { '$.authorKey': (scope) => `left(${scope.value}, 1)` } },
        'Library.ReadingList': { mode: 'insert', rows: { '$.works': 'exclude' } },
      },
    },
  });
  expect(summary.resources['Library.Author']).toMatchObject({ inserted: 1, matched: 2 });
  expect(await bodies(destination, 'authors')).toMatchObject([{ authorKey: 'a' }]);
  expect(await bodies(destination, 'readingLists')).toMatchObject([
    { authors: [{ authorReference: { authorKey: 'a' }, note: 'x' }] },
  ]);
});

test('who may see what follows the hierarchy that was copied', async () => {
  const authorization = parseAuthorization({
    hierarchy: {
      members: [
        { resource: 'Library.Consortium' },
        { resource: 'Library.Branch', parentPaths: ['$.parentOrganisationReference'] },
      ],
    },
    claimSets: {},
  });
  const destination = await library.openAnother('grouped', { authorization });
  const count = async (): Promise<unknown> =>
    (await library.database.pool.query('SELECT count(*)::int AS n FROM grouped.authorization_closure')).rows[0]?.n;
  const { copy } = await run({ destination });
  // Branches 10 and 20 to 24 refer to each other in a circle, 30 to itself; the consortium stands alone.
  expect(await count()).toBe(6 * 6 + 1 + 1);
  await removeCopied(copy);
  expect(await count()).toBe(0);
});

test('a selection that grows after a refusal is staged anew', async () => {
  const destination = await other.openAnother('grown');
  const across = {
    source: openStreamingDatabase(library.target, 'REPEATABLE READ'),
    destination: openStreamingDatabase(other.target, 'READ COMMITTED'),
  };
  try {
    const resources = { 'Library.Author': { mode: 'insert' } } as const;
    const authors = `SELECT document_id FROM library.author WHERE author_key = `;
    const { uuid } = await upsertDocument(destination, resourceAt(destination.model, 'authors'), { authorKey: 'a1' });
    const copy = await begin({ destination, across, policy: { resources }, select: `${authors} 'a1'` });
    await expect(mapRecords(copy)).rejects.toMatchObject({ code: 'copy_conflict' });
    await selectRecordsBy(copy, `${authors} 'a2'`, []);
    await deleteDocument(destination, resourceAt(destination.model, 'authors'), uuid);
    expect(await mapRecords(copy)).toMatchObject({
      selected: 2,
      missing: 0,
      resources: { 'Library.Author': { inserted: 2 } },
    });
  } finally {
    await across.source.close();
    await across.destination.close();
  }
});

test('bits of a mask are remapped by a value map', async () => {
  const destination = await library.openAnother('bits');
  const source = await library.openAnother('bits_source');
  const post = async (pages: number): Promise<unknown> =>
    upsertDocument(source, resourceAt(source.model, 'works'), {
      authorReference: { authorKey: 'a1' },
      title: `mask ${pages}`,
      languageDescriptor: language('en'),
      pages,
    });
  await fillLibrary(async (endpoint, document) => upsertDocument(source, resourceAt(source.model, endpoint), document));
  for (const pages of [0, 1, 4, 5, 13]) await post(pages);
  const plan = compileCopyPlan(library.model, library.model, {
    resources: { 'Library.Work': { columns: { '$.pages': remapBits('bits') } } },
  });
  const copy = await openCopy({ plan, source, destination, key: 'k', sourceStore: 's' });
  await selectRecordsBy(copy, 'SELECT document_id FROM bits_source.work', []);
  await setValueMap(copy, 'bits', [
    ['1', '4'],
    ['4', '1'],
    ['8', '64'],
  ]);
  await mapRecords(copy);
  await copyRecords(copy);
  const pages = (await bodies(destination, 'works'))
    .filter((work) => String(work['title']).startsWith('mask'))
    .map((work) => work['pages']);
  expect(pages).toEqual([0, 4, 1, 5, 69]);
});

test('models that cannot be mapped are refused with every reason', () => {
  const smaller = deriveModel(
    loadSchema([
      buildSchema({
        ...libraryProject,
        resources: {
          ...Object.fromEntries(Object.entries(libraryProject.resources).filter(([name]) => name !== 'Renewal')),
          Author: {
            endpoint: 'authors',
            identity: ['$.authorKey'],
            members: {
              authorKey: { kind: 'string', required: true },
              born: { kind: 'string' },
              club: { kind: 'string', required: true },
            },
          },
        },
      }),
    ]),
  );
  const reasons = (policy: CopyPolicy): string[] => {
    try {
      compileCopyPlan(library.model, smaller, policy);
      return [];
    } catch (error) {
      return (error as { errors: { path: string; message: string }[] }).errors.map(
        ({ path, message }) => `${path} ${message}`,
      );
    }
  };
  const named = {
    'Library.Nothing': { mode: 'exclude' },
    'Library.Work': { columns: { '$.nothing': 'null' } },
  } as const;
  expect(reasons({ resources: named })).toEqual([
    'Archive.Deed does not exist in the destination',
    "Library.Author $.born of type date does not fit into the destination's text",
    'Library.Author $.club is required by the destination and unknown to the source; give it a value',
    'Library.Renewal does not exist in the destination',
    'Library.Work $.nothing is named by the policy and is no column',
    'Library.Work $.editions[*]._ext.archive has no place in the destination; leave it out or add it there',
    'Library.Work $._ext.archive has no place in the destination; leave it out or add it there',
    'Library.Work $._ext.archive.boxes[*] has no place in the destination; leave it out or add it there',
    'Library.Nothing is named by the policy and does not exist in the source',
  ]);
  expect(
    reasons({
      resources: {
        'Archive.Deed': { mode: 'exclude' },
        'Library.Renewal': { mode: 'exclude' },
        'Library.Author': { columns: { '$.born': 'null', '$.club': () => `'none'` } },
        'Library.Work': { rows: { '$._ext.archive': 'exclude', '$.editions[*]._ext.archive': 'exclude' } },
      },
    }),
  ).toEqual([]);
});

test('what a policy leaves dangling is refused', () => {
  const attempt = (policy: CopyPolicy) => () => compileCopyPlan(library.model, library.model, policy);
  expect(attempt({ resources: { 'Library.YearType': { mode: 'exclude' } } })).toThrow(
    /\$\.yearTypeReference refers to Library.YearType, which does not travel/,
  );
  expect(attempt({ resources: { 'Library.Work': { columns: { '$.title': 'null' } } } })).toThrow(
    /is required|identity/,
  );
  expect(attempt({ resources: { 'Library.Work': { rows: { '$.editions': () => 'true' } } } })).toThrow(
    /collections of its own/,
  );
  expect(attempt({ dependents: [{ resource: 'Library.Copy', reference: '$.nothing' }] })).toThrow(
    /no reference that travels/,
  );
});

test('a job is continued with its own plan only, and steps need their state', async () => {
  const destination = await library.openAnother('states');
  const copy = await begin({ destination });
  await expect(copyRecords(copy)).rejects.toMatchObject({ code: 'copy_state_invalid' });
  await expect(begin({ destination, policy: { mode: 'insert' } })).rejects.toMatchObject({
    code: 'copy_state_invalid',
  });
  await mapRecords(copy);
  await expect(selectRecordsBy(copy, works, [])).rejects.toMatchObject({ code: 'copy_state_invalid' });
  await expect(compareCopied(copy)).rejects.toMatchObject({ code: 'copy_state_invalid' });
});

test('a record that does not travel cannot be selected; one that is gone is told', async () => {
  const destination = await library.openAnother('missing');
  const copy = await begin({ destination, select: `${works} UNION SELECT 99999999`, policy: {} });
  expect(await mapRecords(copy)).toMatchObject({ selected: 5, missing: 1 });
  const refused = await begin({
    destination,
    key: 'other',
    select: 'SELECT document_id FROM library.renewal',
    policy: { resources: { 'Library.Renewal': { mode: 'exclude' } } },
  });
  await expect(mapRecords(refused)).rejects.toThrow(/1 of Library.Renewal/);
});

test('readers see records whole: etags of linked ones are bumped', async () => {
  const { rows } = await library.database.pool.query(
    `SELECT d.document_uuid, d.etag::int AS etag, b.branch_id::int AS id FROM whole.branch b JOIN whole.document d USING (document_id) ORDER BY id`,
  );
  const etags = Object.fromEntries(rows.map((row) => [row.id, row.etag]));
  expect(etags).toMatchObject({ 30: 1 });
  expect(Object.values(etags)).toContain(2);
  const whole = await library.openAnother('whole');
  for (const row of rows) {
    const stored = await getDocument(whole, resourceAt(whole.model, 'branches'), String(row.document_uuid));
    expect(stored.etag).toBe(row.etag);
  }
});
