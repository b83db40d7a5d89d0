import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditStore } from '../audit/audit-store.ts';
import type { StoreContext } from '../store-context.ts';
import { fillLibrary, fullWork, language, openLibrary, type OpenedLibrary } from '../testing/open-library.ts';
import { Crash, crashAt, runCopy, startCopy } from '../testing/start-copy.ts';
import { storeContents } from '../testing/store-contents.ts';
import { storeRows } from '../testing/store-rows.ts';
import { openStreamingDatabase } from '../testing/streaming-database.ts';
import { putDocument, upsertDocument } from '../write/write-document.ts';
import { compareCopied } from './compare-copied.ts';
import { mapRecords } from './map-records.ts';
import type { CopyAcross } from './open-copy.ts';
import { type CopyPolicy, prefixValue } from './policy.ts';
import { removeCopied } from './remove-copied.ts';
import { copyRecords } from './run-copy.ts';

let library: OpenedLibrary;
let other: OpenedLibrary;
const across: { -readonly [K in keyof CopyAcross]?: CopyAcross[K] & { close(): Promise<void> } } = {};
beforeAll(async () => {
  library = await openLibrary();
  other = await openLibrary();
  await fillLibrary(library.post);
  await library.post('works', fullWork());
  for (const branchId of [20, 21, 22])
    await library.post('branches', {
      branchId,
      name: 'B',
      parentOrganisationReference: { organisationId: branchId === 20 ? 10 : branchId - 1 },
    });
  const { rows } = await library.database.pool.query(
    `SELECT document_uuid FROM library.branch JOIN library.document USING (document_id) WHERE branch_id = 10`,
  );
  await putDocument(library.store, library.resource('branches'), String(rows[0]?.document_uuid), {
    branchId: 10,
    name: 'North',
    parentOrganisationReference: { organisationId: 22 },
  });
  await library.post('readingLists', {
    name: 'l',
    authors: [{ authorReference: { authorKey: 'a1' } }],
    works: [{ workReference: { authorKey: 'a2', title: 'One', languageDescriptor: language('en') } }],
  });
  across.source = openStreamingDatabase(library.target, 'REPEATABLE READ');
  across.destination = openStreamingDatabase(other.target, 'READ COMMITTED');
});
afterAll(async () => {
  await across.source?.close();
  await across.destination?.close();
  await library.close();
  await other.close();
});

// The author is overlaid, everything else is new or renamed, so that every kind of chunk occurs.
const policy: CopyPolicy = {
  resources: {
    'Library.Author': { mode: 'insert', onConflict: 'overlay' },
    'Library.Branch': { columns: { '$.branchId': (scope) => `${scope.value} + 100` } },
    'Library.ReadingList': { columns: { '$.name': prefixValue('prefix') } },
  },
  parameters: { prefix: 'copied ' },
};

let serial = 0;
const prepare = async (into: OpenedLibrary): Promise<string> => {
  serial += 1;
  const schema = `dest_${serial}`;
  const store = await into.openAnother(schema);
  await upsertDocument(store, into.resource('authors'), { authorKey: 'a1', born: '1950-05-05' });
  return schema;
};

const journey = async (store: StoreContext, from: CopyAcross | null): Promise<void> => {
  const copy = await startCopy({
    source: library.store,
    destination: store,
    policy,
    ...(from === null ? {} : { across: from }),
  });
  await mapRecords(copy);
  await copyRecords(copy);
};

const pointsOf = async (into: OpenedLibrary, from: CopyAcross | null): Promise<readonly string[]> => {
  const schema = await prepare(into);
  const { crashPoint, passed } = crashAt('nothing', 1);
  await journey(await into.openAnother(schema, { crashPoint }), from);
  return [...new Set(passed().filter((name) => name.startsWith('records.copy')))].sort();
};

/** Kills the copy at the nth passing of every point, runs it again, and compares with one that nothing interrupted. */
const interruptEverywhere = async (into: OpenedLibrary, from: CopyAcross | null): Promise<number> => {
  let crashes = 0;
  const undisturbed = await prepare(into);
  await journey(await into.openAnother(undisturbed), from);
  const expected = await storeContents(await into.openAnother(undisturbed));
  const volatile = [
    'document_id',
    'root_document_id',
    'document_uuid',
    'created_at',
    'last_modified_at',
    'token_secret',
    'applied_at',
  ];
  const counts = (rows: Readonly<Record<string, readonly string[]>>): object =>
    Object.fromEntries(Object.entries(rows).map(([name, list]) => [name, list.length]));
  const rows = counts(await storeRows(into.database, undisturbed, volatile));
  for (const point of await pointsOf(into, from)) {
    for (const nth of [1, 3]) {
      const schema = await prepare(into);
      const { crashPoint } = crashAt(point, nth);
      const crashed = await journey(await into.openAnother(schema, { crashPoint }), from).then(
        () => false,
        (error: unknown) => {
          expect(error).toBeInstanceOf(Crash);
          return true;
        },
      );
      if (!crashed) continue;
      crashes += 1;
      const store = await into.openAnother(schema);
      await journey(store, from);
      expect([point, nth, await storeContents(store)]).toEqual([point, nth, expected]);
      expect([point, nth, counts(await storeRows(into.database, schema, volatile))]).toEqual([point, nth, rows]);
      expect(await auditStore(store)).toMatchObject({ damages: 0 });
      await into.database.pool.query(`DROP SCHEMA ${schema} CASCADE`);
    }
  }
  return crashes;
};

test('a copy that is killed at any point and run again is the copy that nothing interrupted', async () => {
  expect(await interruptEverywhere(library, null)).toBeGreaterThan(8);
}, 240_000);

test('the same from another database', async () => {
  if (across.source === undefined || across.destination === undefined) throw new Error('not open');
  const from = { source: across.source, destination: across.destination };
  expect(await interruptEverywhere(other, from)).toBeGreaterThan(10);
}, 240_000);

test('staging that a crash of the server has emptied is made again', async () => {
  if (across.source === undefined || across.destination === undefined) throw new Error('not open');
  const from = { source: across.source, destination: across.destination };
  const schema = await prepare(other);
  const store = await other.openAnother(schema);
  const copy = await startCopy({ source: library.store, destination: store, policy, across: from });
  await mapRecords(copy);
  // What a server does to unlogged tables when it comes back from a crash.
  const { rows } = await other.database.pool.query(
    `SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relpersistence = 'u' AND relkind = 'r'`,
    [schema],
  );
  expect(rows.length).toBeGreaterThan(10);
  for (const row of rows) await other.database.pool.query(`TRUNCATE "${schema}"."${String(row.relname)}"`);
  await copyRecords(copy);
  expect(await compareCopied(copy)).toMatchObject({ differences: 0 });
});

test('two that run the same job at once write it once', async () => {
  const schema = await prepare(library);
  const stores = [await library.openAnother(schema), await library.openAnother(schema)];
  const copies = await Promise.all(
    stores.map(async (destination) => startCopy({ source: library.store, destination, policy })),
  );
  await Promise.all(copies.map(async (copy) => mapRecords(copy)));
  await Promise.all(
    copies.map(async (copy) =>
      copyRecords(copy).catch((error: unknown) => expect(error).toMatchObject({ code: 'copy_state_invalid' })),
    ),
  );
  const [copy] = copies;
  if (copy === undefined) throw new Error('no copy');
  expect(await compareCopied(copy)).toMatchObject({ differences: 0, changedInDestination: 0 });
});

test('a rollback that is killed at any point and run again leaves the state before', async () => {
  const points = ['in-restore', 'after-keeping', 'in-unlink', 'in-removal', 'after-removal'];
  for (const point of points) {
    for (const nth of [1, 3]) {
      const schema = await prepare(library);
      const without = ['etag', 'last_modified_at'];
      const before = await storeRows(library.database, schema, without);
      const { crashPoint } = crashAt(`records.copy.${point}`, nth);
      const copy = await runCopy({
        source: library.store,
        destination: await library.openAnother(schema, { crashPoint }),
        policy,
      });
      await removeCopied(copy).catch((error: unknown) => expect(error).toBeInstanceOf(Crash));
      const again = await startCopy({ source: library.store, destination: await library.openAnother(schema), policy });
      expect(await removeCopied(again)).toMatchObject({ kept: 0, overlaidKept: 0 });
      expect([point, nth, await storeRows(library.database, schema, without)]).toEqual([point, nth, before]);
      expect(await auditStore(again.destination)).toMatchObject({ damages: 0 });
    }
  }
}, 120_000);
