import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import fc from 'fast-check';
import { CaseboundError } from '@casebound/contract';
import type { Damage } from '../audit/audit-documents.ts';
import { auditStore } from '../audit/audit-store.ts';
import { getDocument, listDocuments } from '../read/read-documents.ts';
import { fillLibrary, language, openLibrary, type OpenedLibrary } from '../testing/open-library.ts';
import { happenBetween } from '../testing/happen-between.ts';
import { deleteDocument } from '../write/delete-document.ts';
import { putDocument, upsertDocument, type WriteResult } from '../write/write-document.ts';
import { applyDeferredBumps, countWaitingBumps, startDeferredBumps } from './deferred-bumps.ts';
import { uuidV7 } from './uuid-v7.ts';
import { plainNumber, referentialId, uuidV5 } from './referential-id.ts';

let library: OpenedLibrary;
beforeAll(async () => {
  library = await openLibrary({}, 30);
  await fillLibrary(library.post);
});
afterAll(async () => library.close());

/** A key that no other try of the test has. */
const ownKey = (key: string): string => `${key} ${randomUUID()}`;
const pause = async (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const code = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'ok',
    (error: unknown) => (error instanceof CaseboundError ? error.code : String(error)),
  );
const cleanAudit = async (): Promise<void> => {
  const found: Damage[] = [];
  await auditStore(library.store, { resume: false, onDamage: (damage) => found.push(damage) });
  expect(found).toEqual([]);
};

interface Chain {
  readonly author: WriteResult;
  readonly work: WriteResult;
  readonly copy: WriteResult;
  readonly loan: WriteResult;
  readonly renewal: WriteResult;
}

const chain = async (key: string): Promise<Chain> => {
  const work = { authorKey: key, title: 'T', languageDescriptor: language('en') };
  const { languageDescriptor } = work;
  return {
    author: await library.post('authors', { authorKey: key }),
    work: await library.post('works', { authorReference: { authorKey: key }, title: 'T', languageDescriptor }),
    copy: await library.post('copies', { workReference: work, copyNumber: 1 }),
    loan: await library.post('loans', { copyReference: { ...work, copyNumber: 1 }, loanDate: '2020-01-01' }),
    renewal: await library.post('renewals', {
      loanReference: { ...work, copyNumber: 1, loanDate: '2020-01-01' },
      sequence: 1,
    }),
  };
};

test('the check vector', () => {
  expect(referentialId({ projectName: 'Ed-Fi', resourceName: 'School' }, [['$.schoolId', '123']])).toBe(
    '3af6ad85-1212-5833-be6f-f8df6f4d6402',
  );
  expect(uuidV5('Ed-FiSchool$.schoolId=123')).toBe('3af6ad85-1212-5833-be6f-f8df6f4d6402');
});

test('ids of records are version 7, tell their time, and come in order within a batch', () => {
  const moment = Date.UTC(2026, 0, 1);
  expect(uuidV7(moment)).toMatch(/^019b76da-a800-7000-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(uuidV7(moment + 0.5)).toMatch(/^019b76da-a800-7800-/);
  const ids = Array.from({ length: 2_000 }, () => uuidV7());
  const steps = ids.slice(1).filter((id, index) => id.slice(0, 18) < (ids[index] ?? '').slice(0, 18));
  expect(steps).toEqual([]);
  expect(new Set(ids).size).toBe(ids.length);
});

test('a number has one plain text, the one that PostgreSQL gives it', async () => {
  const numbers = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e30, max: 1e30 }),
    fc.integer(),
    fc.maxSafeInteger(),
  );
  const values = fc.sample(numbers, 300).filter((value) => !Object.is(value, -0));
  const { rows } = await library.database.pool.query(
    'SELECT trim_scale(v)::text AS t FROM unnest($1::numeric[]) WITH ORDINALITY AS u(v, o) ORDER BY o',
    [values.map(String)],
  );
  expect(rows.map((row) => String(row.t))).toEqual(values.map(plainNumber));
});

test('a renamed root renames everything below it, once each, and bumps what shows it', async () => {
  const made = await chain('deep');
  const list = await library.post('readingLists', {
    name: 'shows deep',
    authors: [{ authorReference: { authorKey: 'deep' } }],
    works: [{ workReference: { authorKey: 'deep', title: 'T', languageDescriptor: language('en') } }],
  });
  await putDocument(library.store, library.resource('authors'), made.author.uuid, { authorKey: 'deeper' });
  const endpoints = { author: 'authors', work: 'works', copy: 'copies', loan: 'loans', renewal: 'renewals' } as const;
  for (const [name, endpoint] of Object.entries(endpoints)) {
    const stored = await getDocument(library.store, library.resource(endpoint), made[name as keyof Chain].uuid);
    expect([name, stored.etag]).toEqual([name, 2]);
    expect(stored.body).toContain('"authorKey":"deeper"');
  }
  expect((await getDocument(library.store, library.resource('readingLists'), list.uuid)).etag).toBe(2);
  const { rows } = await library.database.pool.query(
    'SELECT referential_id FROM library.referential_identity WHERE document_id = $1',
    [made.renewal.documentId],
  );
  expect(rows).toEqual([
    {
      referential_id: referentialId({ projectName: 'Library', resourceName: 'Renewal' }, [
        ['$.loanReference.authorKey', 'deeper'],
        ['$.loanReference.title', 'T'],
        ['$.loanReference.languageDescriptor', language('en').toLowerCase()],
        ['$.loanReference.copyNumber', '1'],
        ['$.loanReference.loanDate', '2020-01-01'],
        ['$.sequence', '1'],
      ]),
    },
  ]);
  // The new name is what references resolve by, and the old one is free.
  expect(
    await code(
      library.post('copies', {
        workReference: { authorKey: 'deep', title: 'T', languageDescriptor: language('en') },
        copyNumber: 2,
      }),
    ),
  ).toBe('unresolved_reference');
  expect(
    await code(
      library.post('copies', {
        workReference: { authorKey: 'deeper', title: 'T', languageDescriptor: language('en') },
        copyNumber: 2,
      }),
    ),
  ).toBe('ok');
  await cleanAudit();
});

test('a rename in the middle that would meet an existing identity is refused whole', async () => {
  const one = await chain('m1');
  await library.post('works', { authorReference: { authorKey: 'm1' }, title: 'U', languageDescriptor: language('en') });
  const work = { authorReference: { authorKey: 'm1' }, title: 'U', languageDescriptor: language('en') };
  expect(await code(putDocument(library.store, library.resource('works'), one.work.uuid, work))).toBe(
    'duplicate_identity',
  );
  expect((await getDocument(library.store, library.resource('copies'), one.copy.uuid)).etag).toBe(1);
});

test('a writer that resolved a reference before it was renamed does not keep it', async () => {
  const [stale, fresh] = [ownKey('stale'), ownKey('fresh')];
  const author = await library.post('authors', { authorKey: stale });
  const { pool } = library.database;
  // A changer holds its locks; the writer resolves the old name, then waits in its foreign key.
  const changer = await pool.connect();
  await changer.query('BEGIN');
  await changer.query('SELECT 1 FROM library.document WHERE document_id = $1 FOR UPDATE', [author.documentId]);
  await changer.query('SELECT 1 FROM library.author WHERE document_id = $1 FOR UPDATE', [author.documentId]);
  const writing = code(
    library.post('readingLists', { name: stale, authors: [{ authorReference: { authorKey: stale } }] }),
  );
  await pause(150);
  const renamed = referentialId({ projectName: 'Library', resourceName: 'Author' }, [['$.authorKey', fresh]]);
  await changer.query('UPDATE library.author SET author_key = $2 WHERE document_id = $1', [author.documentId, fresh]);
  await changer.query('UPDATE library.referential_identity SET referential_id = $2 WHERE document_id = $1', [
    author.documentId,
    renamed,
  ]);
  await changer.query('COMMIT');
  changer.release();
  expect(await writing).toBe('unresolved_reference');
  const page = await listDocuments(library.store, library.resource('readingLists'), {
    filters: [{ field: 'name', value: stale }],
  });
  expect(page.bodies).toEqual([]);
});

test('a change of identity that commits between the two reads of a put is not written over', async () => {
  const key = ownKey('between');
  const { store, database } = library;
  const works = library.resource('works');
  await library.post('authors', { authorKey: key });
  const body = { authorReference: { authorKey: key }, languageDescriptor: language('en') };
  const work = await library.post('works', { ...body, title: 'old' });
  const between = happenBetween(
    database,
    (text) => text.startsWith('SELECT d.document_uuid AS key'),
    async () => putDocument(store, works, work.uuid, { ...body, title: 'new' }),
  );
  const late = await library.reopen({ database: between });
  const put = await putDocument(late, works, work.uuid, { ...body, title: 'old' });
  expect([between.hasHappened(), put.outcome, put.etag]).toEqual([true, 'updated', 3]);
  expect((await upsertDocument(store, works, { ...body, title: 'old' })).documentId).toBe(work.documentId);
  await cleanAudit();
});

test('edges that commit while the changer waits for a lock are seen: the snapshot is taken after the wait', async () => {
  const [waited, changed, late] = [ownKey('waited'), ownKey('changed'), ownKey('late')];
  const made = await chain(waited);
  const { pool } = library.database;
  const { store } = library;
  // The writer has inserted and not committed: its foreign key holds the author's row.
  const barrier = Promise.withResolvers<void>();
  const inserted = Promise.withResolvers<void>();
  const writing = library.database.transaction(async (tx) => {
    await upsertDocument(
      store,
      library.resource('works'),
      { authorReference: { authorKey: waited }, title: late, languageDescriptor: language('en') },
      { tx },
    );
    inserted.resolve();
    await barrier.promise;
  });
  await inserted.promise;
  const changing = putDocument(store, library.resource('authors'), made.author.uuid, { authorKey: changed });
  const waiting = async (): Promise<number> => {
    const { rows } = await pool.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
    );
    return rows[0]?.n ?? 0;
  };
  try {
    await expect.poll(waiting, { timeout: 10_000 }).toBeGreaterThan(0);
  } finally {
    barrier.resolve();
  }
  await writing;
  await changing;
  const page = await listDocuments(store, library.resource('works'), { filters: [{ field: 'title', value: late }] });
  expect(page.bodies[0]).toContain(`"authorKey":"${changed}"`);
  await cleanAudit();
});

test('a delete that waits for a writer takes the edges that the writer has made', async () => {
  const lists = library.resource('readingLists');
  const list = (authorKey: string) => ({ name: 'raced', authors: [{ authorReference: { authorKey } }] });
  const { uuid, documentId } = await library.post('readingLists', list('a1'));
  const barrier = Promise.withResolvers<void>();
  const written = Promise.withResolvers<void>();
  const writing = library.database.transaction(async (tx) => {
    await upsertDocument(library.store, lists, list('a2'), { tx });
    written.resolve();
    await barrier.promise;
  });
  await written.promise;
  const deleting = deleteDocument(library.store, lists, uuid);
  await pause(200);
  barrier.resolve();
  await writing;
  await deleting;
  const { rows } = await library.database.pool.query(
    'SELECT count(*)::int AS n FROM library.reference_edge WHERE parent_document_id = $1',
    [documentId],
  );
  expect(rows).toEqual([{ n: 0 }]);
  await cleanAudit();
});

test('a serializable changer detects nothing against a read-committed writer, which is why locks and the second look exist', async () => {
  const serial = ownKey('serial');
  const made = await chain(serial);
  const { pool } = library.database;
  // What the store does not do: no lock on what is referred to, no second look.
  const [changer, writer] = [await pool.connect(), await pool.connect()];
  await writer.query('BEGIN');
  await changer.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
  await writer.query('INSERT INTO library.reference_edge VALUES ($1, $2, true)', [-1, made.author.documentId]);
  const seen = await changer.query(
    'SELECT count(*)::int AS n FROM library.reference_edge WHERE child_document_id = $1 AND parent_document_id = -1',
    [made.author.documentId],
  );
  await changer.query('UPDATE library.author SET born = born WHERE document_id = $1', [made.author.documentId]);
  await writer.query('COMMIT');
  await changer.query('COMMIT');
  expect(seen.rows[0]?.n).toBe(0);
  changer.release();
  writer.release();
  await pool.query('DELETE FROM library.reference_edge WHERE parent_document_id = -1');
  // What the store does, in the same interleaving: the writer commits or is told.
  const results = await Promise.all([
    code(putDocument(library.store, library.resource('authors'), made.author.uuid, { authorKey: ownKey('serial2') })),
    code(library.post('readingLists', { name: serial, authors: [{ authorReference: { authorKey: serial } }] })),
  ]);
  expect(results[0]).toBe('ok');
  expect(['ok', 'unresolved_reference']).toContain(results[1]);
  await cleanAudit();
});

test('writers, renames and deletes at once leave nothing that the audit finds', async () => {
  const chains = [await chain('c1'), await chain('c2')];
  const names = ['c1', 'c2'];
  const { store } = library;
  const outcomes = new Map<string, number>();
  const count = (result: string): void => void outcomes.set(result, (outcomes.get(result) ?? 0) + 1);
  const deadline = performance.now() + 25_000;
  const writer = async (id: number): Promise<void> => {
    for (let n = 0; n < 25 && performance.now() < deadline; n += 1) {
      const key = names[n % 2] ?? '';
      const work = { authorKey: key, title: 'T', languageDescriptor: language('en') };
      if (n % 3 === 0)
        count(await code(library.post('copies', { workReference: work, copyNumber: 100 + id * 100 + n })));
      else if (n % 3 === 1)
        count(
          await code(
            library.post('readingLists', {
              name: `w${id}`,
              authors: [{ authorReference: { authorKey: key } }],
              works: [{ workReference: work }],
            }),
          ),
        );
      else
        count(
          await code(
            library.post('works', {
              authorReference: { authorKey: key },
              title: `t${id}-${n}`,
              languageDescriptor: language('de'),
            }),
          ),
        );
    }
  };
  const renamer = async (which: number): Promise<void> => {
    for (let n = 0; n < 12 && performance.now() < deadline; n += 1) {
      const name = `c${which + 1}-${n}`;
      const result = await code(
        putDocument(store, library.resource('authors'), chains[which]?.author.uuid ?? '', { authorKey: name }),
      );
      if (result === 'ok') names[which] = name;
      count(result);
    }
  };
  await Promise.all([...Array.from({ length: 12 }, async (_, id) => writer(id)), renamer(0), renamer(1)]);
  expect(
    [...outcomes.keys()].filter(
      (result) => !['ok', 'unresolved_reference', 'conflict_retries_exhausted', 'duplicate_identity'].includes(result),
    ),
  ).toEqual([]);
  expect(outcomes.get('ok') ?? 0).toBeGreaterThan(50);
  await cleanAudit();
}, 60_000);

test('bounds: a closure that is too large or too deep fails with size and limit; a wide fan-out can be left to the background', async () => {
  const made = await chain('bounds');
  const limits = library.store.limits;
  const rename = async (cascade: Partial<typeof limits.cascade>, authorKey: string): Promise<string> => {
    const store = await library.reopen({ limits: { ...limits, cascade: { ...limits.cascade, ...cascade } } });
    return putDocument(store, library.resource('authors'), made.author.uuid, { authorKey }).then(
      () => 'ok',
      (error: unknown) => (error instanceof CaseboundError ? `${error.code} ${error.message}` : String(error)),
    );
  };
  expect(await rename({ maxClosure: 3 }, 'bounds2')).toMatch(/^cascade_too_large .*4 records.*maxClosure is 3/);
  expect(await rename({ maxDepth: 2 }, 'bounds2')).toMatch(/^cascade_too_large .*2 levels/);
  const list = await library.post('readingLists', {
    name: 'fan',
    authors: [{ authorReference: { authorKey: 'bounds' } }],
  });
  expect(await rename({ maxFanOut: 0 }, 'bounds2')).toMatch(/^cascade_too_large .*1 records.*maxFanOut is 0/);
  expect(await rename({ maxFanOut: 0, beyondFanOut: 'defer' }, 'bounds2')).toBe('ok');
  expect((await getDocument(library.store, library.resource('readingLists'), list.uuid)).etag).toBe(1);
  expect(await applyDeferredBumps(library.store)).toBe(1);
  expect((await getDocument(library.store, library.resource('readingLists'), list.uuid)).etag).toBe(2);
  expect((await getDocument(library.store, library.resource('renewals'), made.renewal.uuid)).etag).toBe(2);
  await cleanAudit();
});

test('while an etag waits for the background, cached JSON of the old name is not served, whoever wrote it when', async () => {
  const { limits } = library.store;
  const [old, fresh] = [ownKey('cached'), ownKey('fresh name')];
  const cascade = { ...limits.cascade, maxFanOut: 0, beyondFanOut: 'defer' as const };
  const store = await library.reopen({ cacheMode: 'on-write', limits: { ...limits, cascade } });
  const author = await upsertDocument(store, library.resource('authors'), { authorKey: old });
  const lists = library.resource('readingLists');
  const list = { name: old, authors: [{ authorReference: { authorKey: old } }] };
  const { uuid, documentId } = await upsertDocument(store, lists, list);
  const cachedBody = async (): Promise<string> => {
    const { rows } = await library.database.pool.query(
      'SELECT body FROM library.document_cache WHERE document_id = $1',
      [documentId],
    );
    return String(rows[0]?.body);
  };
  expect(await cachedBody()).toContain(`"authorKey":"${old}"`);
  await putDocument(store, library.resource('authors'), author.uuid, { authorKey: fresh });
  // The row is of the document's etag and shows the old name, as one would that another writer put there a moment ago.
  expect(await cachedBody()).toContain(`"authorKey":"${old}"`);
  expect(await getDocument(store, lists, uuid)).toMatchObject({ etag: 1, body: expect.stringContaining(fresh) });
  await cleanAudit();
  const job = startDeferredBumps(store, {
    intervalMs: 1,
    onFailure: (error) => {
      throw error;
    },
  });
  while ((await countWaitingBumps(store)) > 0) await pause(5);
  await job.stop();
  expect(await getDocument(store, lists, uuid)).toMatchObject({ etag: 2, body: expect.stringContaining(fresh) });
  await cleanAudit();
});
