import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import fc from 'fast-check';
import { CaseboundError } from '@casebound/contract';
import { auditStore } from '../audit/audit-store.ts';
import { listDocuments } from '../read/read-documents.ts';
import type { StoreContext } from '../store-context.ts';
import {
  fillLibrary,
  fullWork,
  language,
  openLibrary,
  type OpenedLibrary,
  resourceAt,
  role,
} from '../testing/open-library.ts';
import type { JsonValue } from '../write/parse-json.ts';
import { upsertDocument } from '../write/write-document.ts';
import { type BulkRow, bulkWrite } from './bulk-write.ts';
import type { RowOutcome } from './plan-batch.ts';

let library: OpenedLibrary;
beforeAll(async () => {
  library = await openLibrary();
  await fillLibrary(library.post);
});
afterAll(async () => library.close());

const row = (endpoint: string, document: JsonValue | { readonly text: string }): BulkRow => ({
  resource: library.resource(endpoint),
  document,
});

/** Everything that a store holds, without ids, etags and times. */
const contents = async (store: StoreContext): Promise<Record<string, string[]>> => {
  const all: Record<string, string[]> = {};
  for (const resource of store.model.resources.values()) {
    const page = await listDocuments(store, resource, { limit: 500 });
    all[resource.endpoint] = page.bodies
      .map((body) => {
        const {
          id: _id,
          _etag: etag,
          _lastModifiedDate: _modified,
          ...members
        } = JSON.parse(body) as Record<string, unknown>;
        return JSON.stringify({ ...members, etag });
      })
      .sort();
  }
  return all;
};

const authorKey = fc.constantFrom('a1', 'a2', 'a3', 'n1', 'n2', 'nobody');
const work = fc.record(
  {
    authorReference: fc.record({ authorKey }),
    title: fc.constantFrom('One', 'Two', 'Three', "O'Four"),
    languageDescriptor: fc.constantFrom(language('en'), language('de'), language('EN'), language('xx')),
    pages: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constant('7'), fc.constant('x')),
    subjects: fc.array(fc.constantFrom('s', 't'), { maxLength: 3 }),
    contributors: fc.array(
      fc.record(
        {
          authorReference: fc.record({ authorKey }),
          roleDescriptor: fc.constantFrom(role('Editor'), role('Translator')),
        },
        { requiredKeys: ['authorReference'] },
      ),
      { maxLength: 3 },
    ),
    editions: fc.array(
      fc.record(
        {
          number: fc.integer({ min: 1, max: 3 }),
          printings: fc.array(fc.record({ printedOn: fc.constantFrom('2000-01-01', '2001-02-03') }), { maxLength: 2 }),
        },
        { requiredKeys: ['number'] },
      ),
      { maxLength: 2 },
    ),
  },
  { requiredKeys: ['authorReference', 'title', 'languageDescriptor'] },
);
const anyRow = fc.oneof(
  { weight: 3, arbitrary: work.map((document) => ({ endpoint: 'works', document })) },
  {
    weight: 2,
    arbitrary: fc
      .record(
        { authorKey: fc.constantFrom('n1', 'n2', 'a1'), born: fc.constantFrom('1900-01-01', '1900-13-01') },
        { requiredKeys: ['authorKey'] },
      )
      .map((document) => ({ endpoint: 'authors', document })),
  },
  {
    weight: 1,
    arbitrary: fc
      .record(
        {
          name: fc.constantFrom('l1', 'l2'),
          authors: fc.array(fc.record({ authorReference: fc.record({ authorKey }) }), { maxLength: 3 }),
          organisationReference: fc.record({ organisationId: fc.constantFrom(1, 10, 99) }),
        },
        { requiredKeys: ['name'] },
      )
      .map((document) => ({ endpoint: 'readingLists', document })),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ branchId: fc.constantFrom(1, 10, 11), name: fc.constant('B') })
      .map((document) => ({ endpoint: 'branches', document })),
  },
);

/** Takes every row of stores but those that say what the store is. */
const empty = async (schemas: readonly string[]): Promise<void> => {
  const kept = ['resource_key', 'owned_table', 'effective_schema', 'schema_component'];
  const { pool } = library.database;
  const { rows } = await pool.query<{ name: string }>(
    `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname = ANY ($1) AND tablename <> ALL ($2)`,
    [schemas, kept],
  );
  await pool.query(`TRUNCATE ${rows.map(({ name }) => name).join(', ')}`);
};

test('bulk and one by one give the same store and the same answers', async () => {
  const [single, bulk] = [await library.openAnother('single'), await library.openAnother('bulk')];
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyRow, { minLength: 1, maxLength: 30 }),
      fc.constantFrom(1, 4, 100),
      // Whatever the caller believes, and however wrong it is.
      fc.boolean(),
      async (rows, chunkSize, areNew) => {
        await empty(['single', 'bulk']);
        const ours =
          (store: StoreContext) => async (endpoint: string, document: Parameters<typeof upsertDocument>[2]) =>
            upsertDocument(store, resourceAt(store.model, endpoint), document);
        for (const store of [single, bulk]) await fillLibrary(ours(store));
        const one: string[] = [];
        for (const { endpoint, document } of rows) {
          one.push(
            await ours(single)(endpoint, document).then(
              (result) => result.outcome,
              (error: unknown) => (error instanceof CaseboundError ? error.code : String(error)),
            ),
          );
        }
        const many: string[] = [];
        const note = (outcome: RowOutcome): void =>
          void many.push(outcome.outcome === 'failed' ? outcome.error.code : outcome.outcome);
        await bulkWrite(
          bulk,
          rows.map(({ endpoint, document }) => row(endpoint, document)),
          { chunkSize, areNew, onRow: note },
        );
        expect(many).toEqual(one);
        expect(await contents(bulk)).toEqual(await contents(single));
        expect(await auditStore(bulk)).toMatchObject({ damages: 0 });
      },
    ),
    { numRuns: 14 },
  );
}, 120_000);

test('many rows give the store of single writes, whether a column has one value in all of them, several, or none', async () => {
  const [single, bulk] = [await library.openAnother('single_many'), await library.openAnother('bulk_many')];
  const bare = { authorReference: { authorKey: 'a1' }, languageDescriptor: language('de') };
  const kinds: Readonly<Record<string, (n: number) => Record<string, JsonValue>>> = {
    'one value': () => fullWork(),
    'several values': (n) => (n % 2 === 0 ? fullWork() : { ...fullWork(), pages: n, editions: [{ number: n }] }),
    'some without': (n) => (n % 3 === 0 ? bare : fullWork()),
    none: () => bare,
  };
  for (const store of [single, bulk])
    await fillLibrary(async (endpoint, document) => upsertDocument(store, resourceAt(store.model, endpoint), document));
  for (const [kind, documentOf] of Object.entries(kinds)) {
    const documents = Array.from({ length: 110 }, (_, n) => ({ ...documentOf(n), title: `${kind} ${n}` }));
    for (const document of documents) await upsertDocument(single, resourceAt(single.model, 'works'), document);
    const summary = await bulkWrite(
      bulk,
      documents.map((document) => row('works', document)),
    );
    expect(summary).toMatchObject({ created: documents.length, failed: 0 });
  }
  expect(await contents(bulk)).toEqual(await contents(single));
  expect(await auditStore(bulk)).toMatchObject({ damages: 0 });
}, 60_000);

test('of records that are believed to be new, only what they refer to outside of the batch is looked up', async () => {
  const asked: unknown[] = [];
  const { database } = library;
  const store = await library.reopen({
    database: {
      transaction: async (fn) =>
        database.transaction((tx) =>
          fn({
            ...tx,
            query: async (text, values) => {
              if (text.startsWith('SELECT i.referential_id, i.document_id')) asked.push(values?.[0]);
              return tx.query(text, values);
            },
          }),
        ),
    },
  });
  const key = `believed ${randomUUID()}`;
  const rows = [
    row('authors', { authorKey: key }),
    row('works', { authorReference: { authorKey: key }, title: 'x', languageDescriptor: language('en') }),
    row('works', { authorReference: { authorKey: 'a1' }, title: key, languageDescriptor: language('en') }),
  ];
  expect(await bulkWrite(store, rows, { areNew: true })).toMatchObject({ created: 3 });
  const ids = (value: unknown): number => String(value).match(/[0-9a-f-]{36}/g)?.length ?? 0;
  // The language and the author who is there.
  expect(asked.map(ids)).toEqual([0, 2]);
  // The belief is wrong now: they are found, as without it.
  expect(await bulkWrite(store, rows, { areNew: true })).toMatchObject({ unchanged: 3 });
  expect(asked.map(ids).slice(2)).toEqual([0, 2, 1, 4]);
});

test('rows that fail are reported with their place, the rest is written, text rows are read strictly', async () => {
  const outcomes: RowOutcome[] = [];
  const summary = await bulkWrite(
    library.store,
    [
      row('authors', { authorKey: 'bulk1' }),
      row('authors', { text: '{"authorKey":"x","authorKey":"y"}' }),
      row('authors', { text: '{"authorKey":"bulk2"}' }),
      row('works', { authorReference: { authorKey: 'bulk3' }, title: 'x', languageDescriptor: language('en') }),
      row('authors', { authorKey: 'bulk3' }),
      row('works', { authorReference: { authorKey: 'bulk3' }, title: 'y', languageDescriptor: language('en') }),
      row('authors', { authorKey: 'bulk1' }),
    ],
    { onRow: (outcome) => outcomes.push(outcome) },
  );
  expect(summary).toEqual({ created: 4, updated: 0, unchanged: 1, failed: 2 });
  expect(
    outcomes.map((outcome) => [outcome.index, outcome.outcome === 'failed' ? outcome.error.code : outcome.outcome]),
  ).toEqual([
    [0, 'created'],
    [1, 'malformed_body'],
    [2, 'created'],
    [3, 'unresolved_reference'],
    [4, 'created'],
    [5, 'created'],
    [6, 'unchanged'],
  ]);
});

test('all or nothing writes nothing when a row of any chunk fails', async () => {
  const rows = [...Array.from({ length: 9 }, (_, n) => row('authors', { authorKey: `all${n}` })), row('authors', {})];
  await expect(bulkWrite(library.store, rows, { allOrNothing: true, chunkSize: 3 })).rejects.toMatchObject({
    code: 'bulk_rejected',
  });
  const page = await listDocuments(library.store, library.resource('authors'), {
    filters: [{ field: 'authorKey', value: 'all0' }],
  });
  expect(page.bodies).toEqual([]);
  expect(await bulkWrite(library.store, rows.slice(0, 9), { allOrNothing: true, chunkSize: 3 })).toMatchObject({
    created: 9,
  });
});

test('a chunk of thousands needs one statement a table, and a thousand as many as two hundred', async () => {
  const rows = (from: number, to: number): BulkRow[] =>
    Array.from({ length: to - from }, (_, n) => row('works', { ...fullWork(), title: `many ${from + n}` }));
  const statements = async (from: number, to: number): Promise<number> => {
    const before = library.database.statements();
    await bulkWrite(library.store, rows(from, to), { chunkSize: 1_000 });
    return library.database.statements() - before;
  };
  const [few, many] = [await statements(0, 200), await statements(200, 1_200)];
  expect(many).toBe(few);
  // BEGIN and COMMIT, two look-ups, document, identity, edges, locks and the second look beside the tables of a work.
  expect(many).toBeLessThanOrEqual(9 + library.resource('works').tables.length);
  expect(await auditStore(library.store)).toMatchObject({ damages: 0 });
});

test('bulk writers that share a hub neither block each other for long nor deadlock', async () => {
  const run = randomUUID();
  const writer = async (id: number) =>
    bulkWrite(
      library.store,
      Array.from({ length: 200 }, (_, n) =>
        row('works', {
          authorReference: { authorKey: 'a1' },
          title: `hub ${run} ${id}-${n}`,
          languageDescriptor: language('en'),
        }),
      ),
      { chunkSize: 50 },
    );
  const summaries = await Promise.all(Array.from({ length: 8 }, async (_, id) => writer(id)));
  expect(summaries.every((summary) => summary.created === 200)).toBe(true);
});
