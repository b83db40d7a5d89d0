import type { CaseId } from '@casebound/contract';
import { createTemporaryFolder } from '@casebound/test-kit';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLog } from '../../database/testing/open-test-databases.ts';
import { createClock } from '../../platform/clock/create-clock.ts';
import { objectKey } from '../../platform/object-store/Port.ts';
import { createSearchIndex } from '../../platform/search-index/create-search-index.ts';
import { searchIndexConfigSchema } from '../../platform/search-index/config.ts';
import type { SearchIndex } from '../../platform/search-index/Port.ts';
import { indexAnew } from '../indexing/index.ts';
import { openTestCases, testActor, type TestCases } from '../records/testing/open-test-cases.ts';
import { compactValues } from './compact-values.ts';
import { createFields } from './create-fields.ts';
import { createFindByField, type FindByField } from './find-exhibits.ts';
import {
  createStorageMigration,
  type StorageMigration,
  type StorageParts,
  storageSwitches,
} from './migrate-storage.ts';
import { reconcileValues } from './reconcile-values.ts';
import { sweepSegments } from './sweep-segments.ts';
import { fillFields } from './testing/fill-fields.ts';
import { unlinkExhibits } from './value-store.ts';

let opened: TestCases;
let index: SearchIndex;
let parts: StorageParts;
let migration: StorageMigration;
let find: FindByField;
let closeFolder: () => Promise<void>;
const { signal } = new AbortController();

beforeAll(async () => {
  opened = await openTestCases();
  const folder = await createTemporaryFolder();
  closeFolder = async () => folder[Symbol.asyncDispose]();
  index = await createSearchIndex(searchIndexConfigSchema.parse({ kind: 'sqlite' }), { defaultRoot: folder.path });
  parts = {
    sessions: opened.databases.cases,
    source: opened.fields.source,
    index,
    indexAnew: async (caseId, actor, ids, stop) =>
      indexAnew(
        { sessions: opened.databases.cases, objects: opened.objects, index, fields: opened.fields },
        caseId,
        actor,
        ids,
        stop,
      ),
  };
  migration = createStorageMigration(parts);
  find = createFindByField({ sessions: opened.databases.cases, index, fields: opened.fields, log: silentLog });
});
afterAll(async () => {
  await index.close();
  await opened.close();
  await closeFolder();
});

let made = 0;
const newCase = async (count: number): Promise<{ readonly caseId: CaseId; readonly ids: readonly number[] }> => {
  const caseId = await opened.makeCase(`Maintained ${(made += 1)}`);
  return { caseId, ids: await fillFields(opened, caseId, count) };
};
const queryCase = async <Row extends object>(caseId: CaseId, sql: string): Promise<Row[]> =>
  (await opened.databases.cases.withCase(caseId, testActor, async (tx) => tx.query<Row>(sql))).rows;
const fill = async (caseId: CaseId, ids: readonly number[], onStatement?: (text: string) => void) =>
  opened.databases.cases.withCase(
    caseId,
    testActor,
    async (tx) =>
      opened.fields.overlayValues(tx, {
        caseId,
        name: `fill/${crypto.randomUUID()}`,
        mode: 'replace',
        rows: ids.map((exhibitId, at) => ({
          exhibitId,
          values: {
            Responsive: at % 2 === 0 ? 'Yes' : 'No',
            Issues: ['A', 'B', 'C'].slice(0, at % 4),
            Pages: at,
            Hot: at % 3 === 0,
            Comment: `text ${at}`,
          },
        })),
        by: { actor: 'system' },
      }),
    onStatement === undefined ? {} : { onStatement },
  );
const readAll = async (caseId: CaseId, ids: readonly number[]) => {
  const found = await opened.fields.read(caseId, testActor, ids);
  return ids.map((id) => found.get(id));
};
const valuesOf = async (caseId: CaseId, ids: readonly number[]) =>
  (await readAll(caseId, ids)).map((one) => one?.values);
const objectsOf = async (caseId: CaseId): Promise<number> =>
  (await readdir(path.join(opened.folder, `case_${caseId}`), { recursive: true, withFileTypes: true })).filter(
    (it) => it.isFile() && /custom[-_]fields/.test(path.join(it.parentPath, it.name)),
  ).length;

test('compaction folds edits into segments, changes no value and no version, and a sweep removes what it left', async () => {
  const { caseId, ids } = await newCase(150);
  await fill(caseId, ids);
  for (const exhibitId of ids.slice(0, 120))
    await opened.fields.update(caseId, testActor, { exhibitId, values: { Comment: `edited ${exhibitId}` } });
  const before = await readAll(caseId, ids);
  expect(await compactValues(parts, caseId, testActor)).toEqual({ exhibits: 150, segments: 1 });
  expect(await readAll(caseId, ids)).toEqual(before);
  expect(await objectsOf(caseId)).toBe(122);
  expect(await sweepSegments(parts, caseId, testActor, 60_000)).toEqual({ objects: 0, waiting: 121 });
  expect(await sweepSegments(parts, caseId, testActor, 0)).toEqual({ objects: 121, waiting: 0 });
  expect(await objectsOf(caseId)).toBe(1);
  expect(await readAll(caseId, ids)).toEqual(before);
  expect(await compactValues(parts, caseId, testActor)).toEqual({ exhibits: 0, segments: 0 });
});

test('an edit during a compaction wins', async () => {
  const { caseId, ids } = await newCase(100);
  await fill(caseId, ids.slice(0, 50));
  await fill(caseId, ids.slice(50));
  await Promise.all([
    compactValues(parts, caseId, testActor),
    ...ids.map(async (exhibitId) =>
      opened.fields.update(caseId, testActor, { exhibitId, values: { Comment: 'edited' } }),
    ),
  ]);
  expect((await valuesOf(caseId, ids)).every((values) => values?.['Comment'] === 'edited')).toBe(true);
});

test('what a transaction that rolled back left is swept, and its key can be written again afterwards', async () => {
  const { caseId, ids } = await newCase(2);
  const attempt = async (fail: boolean) =>
    opened.databases.cases.withCase(caseId, testActor, async (tx) => {
      await opened.fields.overlayValues(tx, {
        caseId,
        name: 'job/0',
        mode: 'replace',
        rows: ids.map((exhibitId) => ({ exhibitId, values: { Comment: 'x' } })),
        by: { actor: 'system' },
      });
      if (fail) throw new Error('stop');
    });
  await expect(attempt(true)).rejects.toThrow('stop');
  expect(await objectsOf(caseId)).toBe(1);
  // Killed after the objects were deleted: nothing can be pointed at their keys until the next sweep has forgotten them.
  const died = sweepSegments(
    {
      ...parts,
      crashPoint: (name) => {
        if (name === 'fields.sweep.deleted') throw new Error('killed');
      },
    },
    caseId,
    testActor,
    0,
  );
  await expect(died).rejects.toThrow('killed');
  await expect(attempt(false)).rejects.toMatchObject({ code: 'object_store_unavailable' });
  expect(await sweepSegments(parts, caseId, testActor, 0)).toMatchObject({ objects: 1 });
  await attempt(false);
  expect(await valuesOf(caseId, ids)).toEqual([{ Comment: 'x' }, { Comment: 'x' }]);
});

test('a repetition does without the object that is there, which a sweep may be about to remove', async () => {
  const { caseId, ids } = await newCase(1);
  const [stored, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const write = async (flush: () => Promise<void>) =>
    opened.databases.cases.withCase(caseId, testActor, async (tx) =>
      createFields({
        sessions: opened.databases.cases,
        objects: { ...opened.objects, flush },
        clock: createClock(),
        cacheBytes: 0,
      }).overlayValues(tx, {
        caseId,
        name: 'again/0',
        mode: 'replace',
        rows: ids.map((exhibitId) => ({ exhibitId, values: { Comment: 'x' } })),
        by: { actor: 'system' },
      }),
    );
  await expect(
    write(async () => {
      throw new Error('stop');
    }),
  ).rejects.toThrow('stop');
  // Stored before the sweep deletes, pointed at after it has forgotten the key.
  let repeated: Promise<unknown> | undefined;
  const objects: typeof opened.objects = {
    ...opened.objects,
    delete: async (...given) => {
      repeated = write(async () => {
        stored.resolve();
        await goOn.promise;
      });
      await stored.promise;
      await opened.objects.delete(...given);
    },
  };
  const swept = await sweepSegments({ ...parts, source: { ...parts.source, objects } }, caseId, testActor, 0);
  goOn.resolve();
  await repeated;
  expect(swept.objects).toBe(1);
  expect(await valuesOf(caseId, ids)).toEqual([{ Comment: 'x' }]);
  expect(await objectsOf(caseId)).toBe(1);
});

test('a case with tables reads, updates and overlays as any other, set-based', async () => {
  const { caseId, ids } = await newCase(60);
  await migration.makeLegacy(caseId, testActor, signal);
  const statements: string[] = [];
  await fill(caseId, ids, (text) => statements.push(text));
  expect(statements.filter((text) => !/^(BEGIN|COMMIT|SET|SELECT set_config)/i.test(text)).length).toBeLessThanOrEqual(
    9,
  );
  expect(await queryCase(caseId, 'SELECT FROM custom_field_pointer')).toHaveLength(0);
  const [exhibitId = 0] = ids;
  const updated = await opened.fields.update(caseId, testActor, {
    exhibitId,
    values: { Issues: ['C', 'A'], Comment: null, Responsive: 'No' },
    version: 1,
  });
  expect(updated.version).toBe(2);
  await expect(
    opened.fields.update(caseId, testActor, { exhibitId, values: { Comment: 'late' }, version: 1 }),
  ).rejects.toMatchObject({ code: 'version_conflict' });
  expect((await readAll(caseId, [exhibitId]))[0]).toMatchObject({
    version: 2,
    values: { Issues: ['C', 'A'], Responsive: 'No', Pages: 0, Hot: true },
  });
  // A value is kept once, however many exhibits have it.
  expect(await queryCase(caseId, `SELECT FROM tags WHERE title = 'Issues'`)).toHaveLength(3);
});

test.each(['segments', 'tables'])(
  'values of new exhibits are given as an object or as its JSON, kept in %s',
  async (kept) => {
    const { caseId, ids } = await newCase(3);
    if (kept === 'tables') await migration.makeLegacy(caseId, testActor, signal);
    const values = { Comment: 'a "b" \u2028', Issues: ['A', 'B'], Pages: 3, Hot: false };
    const metadata = { importedAt: '2026-01-02T03:04:05.000Z', batchId: 1 };
    const given = [values, JSON.stringify(values), ''];
    await opened.databases.cases.withCase(caseId, testActor, async (tx) =>
      opened.fields.add(tx, {
        caseId,
        name: 'job/1',
        exhibits: ids.map((exhibitId, at) => ({ exhibitId, values: given[at] ?? '', metadata })),
        madeNow: true,
        by: 'system',
      }),
    );
    const found = await opened.fields.read(caseId, testActor, ids);
    expect(ids.map((id) => found.get(id)?.values)).toEqual([values, values, {}]);
    expect(ids.map((id) => found.get(id)?.version)).toEqual([1, 1, 1]);
  },
);

test('values of more exhibits than a segment holds are written into several', async () => {
  const { caseId, ids } = await newCase(2_001);
  const exhibits = ids.map((exhibitId) => ({
    exhibitId,
    values: { Pages: exhibitId },
    metadata: { importedAt: '2026-01-02T03:04:05.000Z', batchId: 1 },
  }));
  await opened.databases.cases.withCase(caseId, testActor, async (tx) =>
    opened.fields.add(tx, { caseId, name: 'job/1', exhibits, madeNow: true, by: 'system' }),
  );
  expect(await queryCase(caseId, 'SELECT count(*)::int AS n FROM custom_field_segment')).toEqual([{ n: 3 }]);
  const found = await opened.fields.read(caseId, testActor, ids);
  expect(ids.map((id) => found.get(id)?.values)).toEqual(ids.map((id) => ({ Pages: id })));
});

test('the switches are turned in their order only, each found equal, and back', async () => {
  const { caseId, ids } = await newCase(40);
  await fill(caseId, ids);
  const values = await valuesOf(caseId, ids);
  await migration.makeLegacy(caseId, testActor, signal);
  expect(await valuesOf(caseId, ids)).toEqual(values);
  for (const name of storageSwitches.slice(1))
    await expect(migration.turnOn(caseId, testActor, name, signal)).rejects.toMatchObject({
      code: 'storage_step_refused',
    });
  expect(await migration.turnOn(caseId, testActor, 'parallel-write', signal)).toMatchObject({
    copied: 40,
    compared: 40,
  });
  const [exhibitId = 0] = ids;
  const edit = async (text: string) =>
    opened.fields.update(caseId, testActor, { exhibitId, values: { Comment: text, Issues: [text] } });
  await edit('parallel');
  expect((await migration.compareValues(caseId, testActor, signal)).differing).toBe(0);

  // The tables are changed behind the product's back: the next switch is refused, with the place.
  await queryCase(
    caseId,
    `DELETE FROM taggings WHERE exhibit_id = ${ids[1]} AND tag_sha256 IN (SELECT tag_sha256 FROM tags WHERE title = 'Comment')`,
  );
  await expect(migration.turnOn(caseId, testActor, 'filters-from-index', signal)).rejects.toMatchObject({
    code: 'storage_step_refused',
    errors: [{ path: `exhibit ${ids[1]}, Comment`, message: 'null in tables, "text 1" in objects.' }],
  });
  await opened.fields.update(caseId, testActor, { exhibitId: ids[1] ?? 0, values: { Comment: 'text 1' } });

  const found = async (title: string, text: string) => (await find(caseId, testActor, { title, text }, 100)).length;
  const all = async () => [
    await found('Responsive', 'Yes'),
    await found('Pages', '7'),
    await found('Issues', 'B'),
    await found('Hot', 'no'),
  ];
  const expected = await all();
  expect(expected).toEqual([20, 1, 20, 26]);
  expect(await migration.turnOn(caseId, testActor, 'filters-from-index', signal)).toMatchObject({ storage: 'tables' });
  expect(await all()).toEqual(expected);
  await expect(found('Pages', 'seven')).rejects.toMatchObject({ code: 'validation_failed' });
  await edit('filters');
  await migration.turnOn(caseId, testActor, 'read-from-objects', signal);
  await edit('objects');
  expect((await migration.compareValues(caseId, testActor, signal)).differing).toBe(0);
  await expect(migration.turnOff(caseId, testActor, 'filters-from-index', signal)).rejects.toMatchObject({
    code: 'storage_step_refused',
  });
  const last = await migration.turnOn(caseId, testActor, 'stop-table-writes', signal);
  expect(last.switches.every(({ on }) => on)).toBe(true);
  await edit('stopped');
  await expect(queryCase(caseId, 'DELETE FROM taggings')).rejects.toThrow();
  const now = await readAll(caseId, ids);
  expect(now[0]).toMatchObject({ version: 5, values: { Comment: 'stopped', Issues: ['stopped'] } });

  for (const name of storageSwitches.toReversed()) {
    await migration.turnOff(caseId, testActor, name, signal);
    expect(await readAll(caseId, ids)).toEqual(now);
  }
  expect(await queryCase(caseId, 'SELECT FROM custom_field_pointer')).toHaveLength(0);
});

test('a switch is not turned upon what was found equal before another switch was turned', async () => {
  const { caseId, ids } = await newCase(2);
  await migration.makeLegacy(caseId, testActor, signal);
  await fill(caseId, ids);
  for (const name of storageSwitches.slice(0, 3)) await migration.turnOn(caseId, testActor, name, signal);
  const [exhibitId = 0] = ids;
  let isFirst = true;
  const sessions: typeof parts.sessions = {
    ...parts.sessions,
    withCase: async (id, actor, fn, options) => {
      if (options?.readOnly !== true && isFirst) {
        isFirst = false;
        await migration.turnOn(caseId, testActor, 'stop-table-writes', signal);
        await opened.fields.update(caseId, testActor, { exhibitId, values: { Comment: 'in objects only' } });
        // Ended before anything was copied.
        const ended = migration.turnOff(caseId, testActor, 'stop-table-writes', AbortSignal.abort());
        await expect(ended).rejects.toThrow('aborted');
      }
      return parts.sessions.withCase(id, actor, fn, options);
    },
  };
  const late = createStorageMigration({ ...parts, sessions }).turnOff(caseId, testActor, 'read-from-objects', signal);
  await expect(late).rejects.toMatchObject({ code: 'storage_step_refused' });
  expect((await valuesOf(caseId, [exhibitId]))[0]).toMatchObject({ Comment: 'in objects only' });
  await migration.turnOff(caseId, testActor, 'stop-table-writes', signal);
  await migration.turnOff(caseId, testActor, 'read-from-objects', signal);
  expect((await valuesOf(caseId, [exhibitId]))[0]).toMatchObject({ Comment: 'in objects only' });
});

test('exhibits that are removed while tables are not written do not keep them from being written again', async () => {
  const { caseId, ids } = await newCase(3);
  await migration.makeLegacy(caseId, testActor, signal);
  await fill(caseId, ids);
  for (const name of storageSwitches) await migration.turnOn(caseId, testActor, name, signal);
  const [gone = 0, ...left] = ids;
  await opened.databases.cases.withCase(caseId, testActor, async (tx) => {
    await unlinkExhibits(tx, [gone]);
    await tx.query('DELETE FROM document WHERE document_id = $1', [gone]);
  });
  expect(await migration.turnOff(caseId, testActor, 'stop-table-writes', signal)).toMatchObject({ compared: 2 });
  expect(await queryCase(caseId, `SELECT FROM taggings WHERE exhibit_id = ${gone}`)).toEqual([]);
  await migration.turnOff(caseId, testActor, 'read-from-objects', signal);
  expect((await valuesOf(caseId, left)).map((values) => values?.['Comment'])).toEqual(['text 1', 'text 2']);
});

test('a migration under writers ends equal', async () => {
  const { caseId, ids } = await newCase(60);
  await migration.makeLegacy(caseId, testActor, signal);
  await fill(caseId, ids);
  const done = new AbortController();
  const write = async (offset: number): Promise<void> => {
    for (let round = 0; !done.signal.aborted; round += 1) {
      const exhibitId = ids[(round * 7 + offset) % ids.length] ?? 0;
      await opened.fields
        .update(caseId, testActor, { exhibitId, values: { Comment: `round ${round} of ${offset}` } })
        .catch((error: unknown) => {
          if (!(error instanceof Error) || !/took a step just now/.test(error.message)) throw error;
        });
    }
  };
  const writers = [write(0), write(3)];
  await migration.turnOn(caseId, testActor, 'parallel-write', signal);
  done.abort();
  await Promise.all(writers);
  expect(await migration.compareValues(caseId, testActor, signal)).toMatchObject({ compared: 60, differing: 0 });
});

test('reconciliation repairs the index and raises incidents for the rest', async () => {
  const { caseId, ids } = await newCase(20);
  await fill(caseId, ids);
  const run = async () => reconcileValues(parts, caseId, testActor, { sample: 100, log: silentLog }, signal);
  expect(await run()).toEqual({ sampled: 20, indexRepaired: 20, incidents: [] });
  expect(await run()).toEqual({ sampled: 20, indexRepaired: 0, incidents: [] });
  const [first = 0, second = 0] = ids;
  await opened.fields.update(caseId, testActor, { exhibitId: first, values: { Comment: 'not indexed' } });
  expect(await run()).toMatchObject({ indexRepaired: 1 });
  await opened.fields.update(caseId, testActor, { exhibitId: second, values: { Comment: 'lost' } });
  await opened.objects.delete(objectKey(`case_${caseId}/exhibit_${second}_custom_fields.v2.json`));
  await queryCase(
    caseId,
    `INSERT INTO custom_field_pointer SELECT 999999, segment_id, 0, 1, 1 FROM custom_field_segment LIMIT 1`,
  );
  const found = await run();
  expect(found.incidents).toMatchObject([
    { kind: 'pointer_without_exhibit', exhibitId: 999_999 },
    { kind: 'object_missing', exhibitId: second },
  ]);
  await run();
  expect(await queryCase(caseId, 'SELECT kind FROM custom_field_incident')).toHaveLength(2);
});
