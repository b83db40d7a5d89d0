import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditStore } from '../audit/audit-store.ts';
import { getDocument, listDocuments } from '../read/read-documents.ts';
import type { StoreContext } from '../store-context.ts';
import { fillLibrary, language, openLibrary, type OpenedLibrary, resourceAt } from '../testing/open-library.ts';
import { Crash, crashAt, startCopy } from '../testing/start-copy.ts';
import { storeContents } from '../testing/store-contents.ts';
import { storeRows } from '../testing/store-rows.ts';
import { deleteDocument } from '../write/delete-document.ts';
import type { JsonValue } from '../write/parse-json.ts';
import { putDocument, upsertDocument, type WriteResult } from '../write/write-document.ts';
import { compareCopied } from './compare-copied.ts';
import { mapRecords } from './map-records.ts';
import type { RecordCopy } from './open-copy.ts';
import type { CopyPolicy } from './policy.ts';
import { removeCopied } from './remove-copied.ts';
import { copyRecords } from './run-copy.ts';

let library: OpenedLibrary;
beforeAll(async () => {
  library = await openLibrary({}, 30);
});
afterAll(async () => library.close());

const post = async (store: StoreContext, endpoint: string, document: JsonValue): Promise<WriteResult> =>
  upsertDocument(store, resourceAt(store.model, endpoint), document);
const fill = async (store: StoreContext): Promise<void> =>
  fillLibrary(async (endpoint, document) => post(store, endpoint, document));
const bodies = async (store: StoreContext, endpoint: string): Promise<Record<string, unknown>[]> => {
  const page = await listDocuments(store, resourceAt(store.model, endpoint), { limit: 500 });
  return page.bodies.map((body) => JSON.parse(body) as Record<string, unknown>);
};
const work = (
  title: string,
  authorKey = 'a1',
  more: { [key: string]: JsonValue } = {},
): { [key: string]: JsonValue } => ({
  authorReference: { authorKey },
  title,
  languageDescriptor: language('en'),
  ...more,
});

let serial = 0;
interface Pair {
  readonly source: StoreContext;
  readonly destination: StoreContext;
}
const pair = async (): Promise<Pair> => {
  serial += 1;
  const source = await library.openAnother(`s${serial}`);
  const destination = await library.openAnother(`d${serial}`);
  await fill(source);
  return { source, destination };
};

const insertWorks: CopyPolicy = { resources: { 'Library.Work': { mode: 'insert' } } };

const finish = async (copy: RecordCopy): Promise<void> => {
  await copyRecords(copy);
  expect(await auditStore(copy.destination)).toMatchObject({ damages: 0 });
};

test('an identity that exists: refused before anything is written, and the job can be selected for again', async () => {
  const { source, destination } = await pair();
  await fill(destination);
  await post(source, 'works', work('New'));
  const before = await storeRows(library.database, destination.schema);
  const copy = await startCopy({ source, destination, policy: insertWorks });
  await expect(mapRecords(copy)).rejects.toMatchObject({
    code: 'copy_conflict',
    message: '3 records of Library.Work exist already in the destination.',
    errors: [{ message: 'exist already' }, { message: 'exist already' }, { message: 'exist already' }],
  });
  expect(await storeRows(library.database, destination.schema)).toEqual(before);
  await expect(mapRecords(copy)).rejects.toMatchObject({ code: 'copy_conflict' });
});

test('skip leaves what exists and what only it leads to; overlay gives it the content of the source, once', async () => {
  for (const onConflict of ['skip', 'overlay'] as const) {
    const { source, destination } = await pair();
    await fill(destination);
    await post(source, 'authors', { authorKey: 'only by the first' });
    await post(
      source,
      'works',
      work('One', 'a1', {
        pages: 7,
        subjects: ['x'],
        contributors: [{ authorReference: { authorKey: 'only by the first' } }],
      }),
    );
    const kept = await post(
      destination,
      'works',
      work('One', 'a1', { pages: 5, isRare: true, subjects: ['p', 'q', 'r'] }),
    );
    const before = await storeRows(library.database, destination.schema);
    const copy = await startCopy({
      source,
      destination,
      select: `SELECT document_id FROM ${source.schema}.work`,
      policy: { resources: { 'Library.Work': { mode: 'insert', onConflict } } },
    });
    expect((await mapRecords(copy)).resources['Library.Work']).toMatchObject(
      onConflict === 'skip' ? { skipped: 3 } : { overlaid: 3 },
    );
    await finish(copy);
    const resource = resourceAt(destination.model, 'works');
    const stored = await getDocument(destination, resource, kept.uuid);
    if (onConflict === 'skip') {
      expect(await storeRows(library.database, destination.schema)).toEqual(before);
      continue;
    }
    expect(JSON.parse(stored.body)).toMatchObject({
      pages: 7,
      subjects: ['x'],
      contributors: [{ authorReference: { authorKey: 'only by the first' } }],
    });
    expect(stored.body).not.toContain('isRare');
    expect(stored.etag).toBe(kept.etag + 1);
    // Those that were equal have not been touched.
    const { rows } = await library.database.pool.query(
      `SELECT count(*)::int AS n FROM ${destination.schema}.work JOIN ${destination.schema}.document USING (document_id) WHERE etag = 1`,
    );
    expect(rows[0]?.n).toBe(2);
    expect(await compareCopied(copy)).toMatchObject({ differences: 0 });
    expect(await removeCopied(copy)).toMatchObject({ restored: 1, kept: 0, overlaidKept: 0 });
    const without = ['etag', 'last_modified_at'];
    const strip = (all: Readonly<Record<string, readonly string[]>>): object =>
      Object.fromEntries(
        Object.entries(all).map(([name, rows_]) => [
          name,
          rows_
            .map((row) =>
              JSON.stringify(Object.entries(JSON.parse(row) as object).filter(([key]) => !without.includes(key))),
            )
            .sort(),
        ]),
      );
    expect(strip(await storeRows(library.database, destination.schema))).toEqual(strip(before));
    expect(await auditStore(destination)).toMatchObject({ damages: 0 });
  }
});

test('two records that a rename would make one are refused, and one without a name', async () => {
  const { source, destination } = await pair();
  const attempt = async (key: string, hook: string, mode: 'insert' | 'match'): Promise<unknown> =>
    mapRecords(
      await startCopy({
        source,
        destination,
        key,
        policy: { resources: { 'Library.Author': { mode, columns: { '$.authorKey': () => hook } } } },
      }),
    );
  await expect(attempt('same', `'same'`, 'insert')).rejects.toThrow(
    /1 records of Library.Author would share an identity/,
  );
  await expect(attempt('none', `nullif('', '')`, 'match')).rejects.toThrow(
    /gives 3 records of Library.Author no identity/,
  );
});

test('an identity that a record of another kind has, as seen through the superclass, is refused', async () => {
  const { source, destination } = await pair();
  await post(destination, 'consortia', { consortiumId: 10, name: 'not a branch' });
  await expect(mapRecords(await startCopy({ source, destination }))).rejects.toThrow(
    /identity of a record of another kind/,
  );
});

test('what changes in the source after the map is copied as it is then, with what it now leads to', async () => {
  const { source, destination } = await pair();
  const gone = await post(source, 'works', work('Gone'));
  const changed = await post(source, 'works', work('Changed'));
  const copy = await startCopy({ source, destination });
  await mapRecords(copy);
  await post(source, 'authors', { authorKey: 'late' });
  await putDocument(
    source,
    resourceAt(source.model, 'works'),
    changed.uuid,
    work('Changed', 'a1', { pages: 3, contributors: [{ authorReference: { authorKey: 'late' } }] }),
  );
  await deleteDocument(source, resourceAt(source.model, 'works'), gone.uuid);
  await finish(copy);
  expect(await storeContents(destination)).toEqual(await storeContents(source));
  expect(await compareCopied(copy)).toMatchObject({ differences: 0, changedInSource: 0 });
});

test('a renamed source record gets its new name, and so does what contains it', async () => {
  const { source, destination } = await pair();
  const author = await post(source, 'authors', { authorKey: 'old' });
  await post(source, 'works', work('By the renamed', 'old'));
  const copy = await startCopy({
    source,
    destination,
    policy: { resources: { 'Library.Branch': { columns: { '$.branchId': (scope) => `${scope.value} + 1` } } } },
  });
  await mapRecords(copy);
  await putDocument(source, resourceAt(source.model, 'authors'), author.uuid, { authorKey: 'new' });
  await finish(copy);
  expect(await compareCopied(copy)).toMatchObject({ differences: 0 });
  expect((await bodies(destination, 'works')).map((body) => body['authorReference'])).toContainEqual({
    authorKey: 'new',
  });
});

test('what appears in the destination after the map is matched; what vanishes is inserted', async () => {
  const { source, destination } = await pair();
  const shared = await post(destination, 'authors', { authorKey: 'a2' });
  const copy = await startCopy({ source, destination });
  await mapRecords(copy);
  const own = await post(destination, 'authors', { authorKey: 'a1', born: '1900-01-01' });
  await deleteDocument(destination, resourceAt(destination.model, 'authors'), shared.uuid);
  await finish(copy);
  expect(await compareCopied(copy)).toMatchObject({ differences: 0 });
  const authors = await bodies(destination, 'authors');
  expect(authors.map((author) => String(author['authorKey'])).sort()).toEqual(['a1', 'a2', 'a3']);
  expect(authors.find((author) => author['authorKey'] === 'a1')).toMatchObject({ id: own.uuid, born: '1900-01-01' });
});

test('what the policy forbids and somebody writes after the map fails the job, which can be taken back', async () => {
  const { source, destination } = await pair();
  const empty = await storeRows(library.database, destination.schema, ['etag', 'last_modified_at']);
  const copy = await startCopy({ source, destination, policy: { resources: { 'Library.Work': { mode: 'insert' } } } });
  await mapRecords(copy);
  const crashing = await startCopy({
    source,
    destination: await library.openAnother(destination.schema, {
      crashPoint: (name) => {
        if (name === 'records.copy.after-chunk') throw new Error('stop');
      },
    }),
    policy: { resources: { 'Library.Work': { mode: 'insert' } } },
  });
  await expect(copyRecords(crashing)).rejects.toThrow('stop');
  await fill(destination);
  await expect(copyRecords(copy)).rejects.toMatchObject({ code: 'copy_conflict' });
  await removeCopied(copy);
  const left = await storeRows(library.database, destination.schema, ['etag', 'last_modified_at']);
  expect(Object.keys(left)).toEqual(Object.keys(empty));
  expect(await auditStore(destination)).toMatchObject({ damages: 0 });
});

test('a matched record that is renamed while the job runs: what is named after it gets the name it has', async () => {
  const { source, destination } = await pair();
  const shared = await post(destination, 'authors', { authorKey: 'a1' });
  await post(source, 'copies', {
    workReference: { authorKey: 'a1', title: 'One', languageDescriptor: language('en') },
    copyNumber: 4,
  });
  const copy = await startCopy({ source, destination });
  await mapRecords(copy);
  await putDocument(destination, resourceAt(destination.model, 'authors'), shared.uuid, { authorKey: 'renamed' });
  await finish(copy);
  expect((await bodies(destination, 'copies')).map((body) => body['workReference'])).toEqual([
    { authorKey: 'renamed', title: 'One', languageDescriptor: language('en') },
  ]);
  const again = await post(destination, 'copies', {
    workReference: { authorKey: 'renamed', title: 'One', languageDescriptor: language('en') },
    copyNumber: 4,
  });
  expect(again.outcome).toBe('unchanged');
  // It is told: neither the record that was matched nor what is named after it is called as in the source.
  const compared = await compareCopied(copy);
  expect(compared.listed.map(({ kind, resource }) => `${kind} ${resource}`).sort()).toEqual([
    'identity Library.Copy',
    'identity Library.Work',
    'matched-missing Library.Author',
  ]);
});

test('a record that was to be overlaid and is renamed or deleted meanwhile: it is left alone, its old identity written anew', async () => {
  const { source, destination } = await pair();
  await fill(destination);
  await post(source, 'works', work('One', 'a1', { pages: 7 }));
  const works = resourceAt(destination.model, 'works');
  const named = await post(destination, 'works', work('One', 'a1', { pages: 5 }));
  const moved = await post(destination, 'works', work('One', 'a2'));
  await post(source, 'works', work('Gone', 'a1', { pages: 8 }));
  const gone = await post(destination, 'works', work('Gone', 'a1'));
  const [author] = (await bodies(destination, 'authors')).filter((body) => body['authorKey'] === 'a3');
  const copy = await startCopy({
    source,
    destination,
    select: `SELECT document_id FROM ${source.schema}.work`,
    policy: { resources: { 'Library.Work': { mode: 'insert', onConflict: 'overlay' } } },
  });
  expect((await mapRecords(copy)).resources['Library.Work']).toMatchObject({ overlaid: 4 });
  await deleteDocument(destination, works, gone.uuid);
  await putDocument(destination, works, named.uuid, work('Mine', 'a1', { pages: 5 }));
  await putDocument(destination, works, moved.uuid, work('One', 'a1', { pages: 6 }));
  // What is called otherwise because its author is, is still the record of its author.
  await putDocument(destination, resourceAt(destination.model, 'authors'), String(author?.['id']), {
    authorKey: 'a3 renamed',
  });
  await finish(copy);
  const found = (await bodies(destination, 'works')).map((body) => {
    const { authorKey } = body['authorReference'] as { authorKey: string };
    return `${authorKey} ${String(body['title'])} ${String(body['pages'])} ${body['id'] === moved.uuid ? 'moved' : ''}`;
  });
  expect(found.sort()).toEqual([
    'a1 Gone 8 ',
    'a1 Mine 5 ',
    'a1 One 7 moved',
    'a2 One undefined ',
    'a3 renamed One undefined ',
  ]);
  expect(await removeCopied(copy)).toMatchObject({ restored: 1, kept: 0, overlaidKept: 0 });
  expect(await auditStore(destination)).toMatchObject({ damages: 0 });
  expect(await bodies(destination, 'works')).toHaveLength(3);
});

test('a record that its new identity lets be overlaid instead of inserted, or inserted instead of overlaid, is not left out', async () => {
  const { source, destination } = await pair();
  await fill(destination);
  const inserted = await post(source, 'works', work('New', 'a1', { pages: 2 }));
  await post(destination, 'works', work('Copy of Present'));
  const overlaid = await post(source, 'works', work('There', 'a1', { pages: 1 }));
  await post(destination, 'works', work('Copy of There'));
  const copy = await startCopy({
    source,
    destination,
    select: `SELECT document_id FROM ${source.schema}.work`,
    policy: {
      resources: {
        'Library.Work': {
          mode: 'insert',
          onConflict: 'overlay',
          columns: { '$.title': (scope) => `'Copy of ' || ${scope.value}` },
        },
      },
    },
  });
  expect((await mapRecords(copy)).resources['Library.Work']).toMatchObject({ overlaid: 1, inserted: 4 });
  const works = resourceAt(source.model, 'works');
  await putDocument(source, works, overlaid.uuid, work('Late', 'a1', { pages: 3 }));
  await putDocument(source, works, inserted.uuid, work('Present', 'a1', { pages: 4 }));
  await finish(copy);
  const found = (await bodies(destination, 'works')).map((body) => `${String(body['title'])} ${String(body['pages'])}`);
  expect(found.filter((title) => title.startsWith('Copy of')).sort()).toEqual([
    'Copy of Late 3',
    'Copy of One undefined',
    'Copy of One undefined',
    'Copy of One undefined',
    'Copy of Present 4',
    'Copy of There undefined',
  ]);
  expect(await compareCopied(copy)).toMatchObject({ differences: 0, changedInSource: 0 });
});

test('what changes in the source when it is written and not yet linked does not keep the copy from ending', async () => {
  const { source, destination } = await pair();
  const branch = (branchId: number, parent: number, name = 'B') => ({
    branchId,
    name,
    parentOrganisationReference: { organisationId: parent },
  });
  for (const branchId of [20, 21, 22, 23, 24])
    await post(source, 'branches', branch(branchId, branchId === 20 ? 10 : branchId - 1));
  const [changed, gone] = [
    await post(source, 'branches', branch(25, 20)),
    await post(source, 'branches', branch(26, 20)),
  ];
  const copy = await startCopy({ source, destination });
  await mapRecords(copy);
  const { rows } = await library.database.pool.query(
    `SELECT count(*)::int AS n FROM ${destination.schema}.record_copy_chunk WHERE kind = 'records'`,
  );
  const { crashPoint } = crashAt('records.copy.after-chunk', Number(rows[0]?.n));
  const crashing = await library.openAnother(destination.schema, { crashPoint });
  await expect(copyRecords(await startCopy({ source, destination: crashing, parallel: 1 }))).rejects.toThrow(Crash);
  const branches = resourceAt(source.model, 'branches');
  await post(source, 'branches', branch(30, 24));
  await putDocument(source, branches, changed.uuid, branch(25, 30));
  await deleteDocument(source, branches, gone.uuid);
  await finish(copy);
  const parents = (await bodies(destination, 'branches')).map((body) => {
    const parent = body['parentOrganisationReference'] as { organisationId: number } | undefined;
    return `${String(body['branchId'])} in ${String(parent?.organisationId)}`;
  });
  expect(parents.sort()).toEqual([
    '10 in 1',
    '20 in 10',
    '21 in 20',
    '22 in 21',
    '23 in 22',
    '24 in 23',
    '25 in 30',
    '26 in undefined',
    '30 in 24',
  ]);
  expect(await compareCopied(copy)).toMatchObject({ differences: 0, changedInSource: 1 });
});

test('users who write to the destination while the copy runs lose nothing, and nothing of theirs is damaged', async () => {
  const { source, destination } = await pair();
  for (let n = 0; n < 60; n += 1)
    await post(
      source,
      'works',
      work(`Source ${n}`, `a${(n % 3) + 1}`, {
        contributors: [{ authorReference: { authorKey: `a${((n + 1) % 3) + 1}` } }],
      }),
    );
  await fill(destination);
  const copy = await startCopy({ source, destination, parallel: 4, chunkSize: 3 });
  await mapRecords(copy);
  const stop = new AbortController();
  const written: string[] = [];
  const user = async (id: number): Promise<void> => {
    for (let n = 0; !stop.signal.aborted; n += 1) {
      const title = `User ${id} ${n}`;
      await post(destination, 'works', work(title, `a${((n + id) % 3) + 1}`));
      written.push(title);
      if (n % 4 === 0)
        await post(
          destination,
          'works',
          work(`Source ${(n * 7 + id) % 60}`, `a${(((n * 7 + id) % 60) % 3) + 1}`, { pages: 1 }),
        ).catch(() => undefined);
    }
  };
  const renamer = async (): Promise<void> => {
    const author = (await bodies(destination, 'authors')).find((body) => body['authorKey'] === 'a3');
    for (let n = 0; !stop.signal.aborted; n += 1) {
      await putDocument(destination, resourceAt(destination.model, 'authors'), String(author?.['id']), {
        authorKey: n % 2 === 0 ? 'a3 renamed' : 'a3',
      }).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const users = Promise.allSettled([user(1), user(2), renamer()]);
  try {
    await copyRecords(copy);
  } finally {
    stop.abort();
    await users;
  }
  expect(await auditStore(destination)).toMatchObject({ damages: 0 });
  const titles = new Set((await bodies(destination, 'works')).map((body) => String(body['title'])));
  for (let n = 0; n < 60; n += 1) expect(titles).toContain(`Source ${n}`);
  for (const title of written) expect(titles).toContain(title);
}, 60_000);

test('connections that break are made again, and the chunk is repeated', async () => {
  const { source, destination } = await pair();
  for (let n = 0; n < 60; n += 1) await post(source, 'works', work(`Work ${n}`));
  const copy = await startCopy({ source, destination, parallel: 4, chunkSize: 3 });
  await mapRecords(copy);
  const { pool } = library.database;
  // A client that is in use tells of its end by an event as well, which must be heard.
  const heard = new WeakSet();
  pool.on('acquire', (client) => {
    if (!heard.has(client)) client.on('error', () => undefined);
    heard.add(client);
  });
  let broken = 0;
  const stop = new AbortController();
  const breaking = (async () => {
    while (!stop.signal.aborted && broken < 5) {
      const { rowCount } = await pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'INSERT INTO "${destination.schema}"%' AND pid <> pg_backend_pid() LIMIT 1`,
      );
      broken += rowCount ?? 0;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  await copyRecords(copy).finally(() => {
    stop.abort();
  });
  await breaking;
  expect(broken).toBeGreaterThan(0);
  expect(await storeContents(destination)).toEqual(await storeContents(source));
  expect(await auditStore(destination)).toMatchObject({ damages: 0 });
});

test('a rollback keeps what was changed, what others refer to, and what those stand on; the rest goes', async () => {
  const { source, destination } = await pair();
  const copy = await startCopy({ source, destination });
  await mapRecords(copy);
  await copyRecords(copy);
  const [changed] = (await bodies(destination, 'works')).filter(
    (body) => (body['authorReference'] as { authorKey: string }).authorKey === 'a1',
  );
  await putDocument(
    destination,
    resourceAt(destination.model, 'works'),
    String(changed?.['id']),
    work('One', 'a1', { pages: 1 }),
  );
  await post(destination, 'copies', {
    workReference: { authorKey: 'a2', title: 'One', languageDescriptor: language('en') },
    copyNumber: 1,
  });
  const summary = await removeCopied(copy);
  expect(summary.listed.map(({ resource, reason }) => `${resource} ${reason}`).sort()).toEqual([
    'Library.Author needed',
    'Library.Author needed',
    'Library.LanguageDescriptor needed',
    'Library.Work changed',
    'Library.Work referenced',
  ]);
  expect(summary.kept).toBe(5);
  expect((await bodies(destination, 'authors')).map((author) => String(author['authorKey'])).sort()).toEqual([
    'a1',
    'a2',
  ]);
  expect(await bodies(destination, 'works')).toHaveLength(2);
  expect(await bodies(destination, 'branches')).toEqual([]);
  expect(await auditStore(destination)).toMatchObject({ damages: 0 });
  // Again, nothing more is found.
  expect(await removeCopied(copy)).toMatchObject({ removed: {}, kept: 5 });
});

test('a descriptor that others use by now is kept', async () => {
  const { source, destination } = await pair();
  await post(destination, 'authors', { authorKey: 'mine' });
  const copy = await startCopy({ source, destination });
  await mapRecords(copy);
  await copyRecords(copy);
  await post(destination, 'works', work('Mine', 'mine'));
  const summary = await removeCopied(copy);
  expect(summary.listed).toMatchObject([{ resource: 'Library.LanguageDescriptor', reason: 'referenced' }]);
  expect(await bodies(destination, 'works')).toHaveLength(1);
});
