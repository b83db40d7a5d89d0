/** Exhibits that are removed while their values are written: nobody is told that it was done, and nothing is left that points at values. */
import type { CaseId } from '@casebound/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CaseTransaction } from '../../database/index.ts';
import { createClock } from '../../platform/clock/create-clock.ts';
import type { ObjectStore } from '../../platform/object-store/Port.ts';
import { createSearchIndex } from '../../platform/search-index/create-search-index.ts';
import { searchIndexConfigSchema } from '../../platform/search-index/config.ts';
import { openTestCases, testActor, type TestCases } from '../records/testing/open-test-cases.ts';
import { compactValues } from './compact-values.ts';
import { createFields, type Fields } from './create-fields.ts';
import { createStorageMigration } from './migrate-storage.ts';
import { fillFields } from './testing/fill-fields.ts';
import { waitUntilBlocking } from './testing/wait-until-blocking.ts';
import { unlinkExhibits } from './value-store.ts';

let opened: TestCases;
let made = 0;
const { signal } = new AbortController();
beforeAll(async () => {
  opened = await openTestCases();
});
afterAll(async () => opened.close());

const newCase = async (count: number): Promise<{ readonly caseId: CaseId; readonly ids: readonly number[] }> => {
  const caseId = await opened.makeCase(`Gone ${(made += 1)}`);
  return { caseId, ids: await fillFields(opened, caseId, count) };
};
const within = async <T>(caseId: CaseId, fn: (tx: CaseTransaction) => Promise<T>): Promise<T> =>
  opened.databases.cases.withCase(caseId, testActor, fn);
const remove = async (tx: CaseTransaction, exhibitId: number): Promise<void> => {
  await unlinkExhibits(tx, [exhibitId]);
  await tx.query('DELETE FROM document WHERE document_id = $1', [exhibitId]);
};
const rowsOf = async (caseId: CaseId, exhibitId: number) =>
  within(caseId, async (tx) => {
    const { rows } = await tx.query<{ what: string }>(
      `SELECT 'pointer' AS what FROM custom_field_pointer WHERE exhibit_id = $1
       UNION ALL SELECT 'version' FROM tagging_versions WHERE exhibit_id = $1
       UNION ALL SELECT 'tagging' FROM taggings WHERE exhibit_id = $1
       UNION ALL SELECT 'audit' FROM model_audit WHERE record_id = $1`,
      [exhibitId],
    );
    return rows.map(({ what }) => what);
  });

/** Fields whose writers wait, between what they read and what they write, for something to be done. */
const pausing = (meanwhile: () => Promise<void>, objects: ObjectStore = opened.objects): Fields =>
  createFields({
    sessions: opened.databases.cases,
    objects: {
      ...objects,
      flush: async () => {
        await meanwhile();
        await objects.flush();
      },
    },
    clock: createClock(),
    cacheBytes: 0,
  });

/** Removes an exhibit in a transaction that is still open when `meanwhile` resolves; it commits once another one waits for it. */
const removeSlowly = (caseId: CaseId, exhibitId: number) => {
  let removed: Promise<void> | undefined;
  return {
    meanwhile: async (): Promise<void> => {
      if (removed !== undefined) return;
      const isGone = Promise.withResolvers<void>();
      removed = within(caseId, async (tx) => {
        await remove(tx, exhibitId);
        const { rows } = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
        isGone.resolve();
        await waitUntilBlocking(opened.databases.control, rows[0]?.pid ?? 0);
      });
      await isGone.promise;
    },
    done: async () => removed,
  };
};

test.each(['segments', 'tables'])('an update, values kept in %s', async (kept) => {
  const { caseId, ids } = await newCase(4);
  if (kept === 'tables') {
    const index = await createSearchIndex(searchIndexConfigSchema.parse({ kind: 'sqlite' }), {
      defaultRoot: `${opened.folder}-index`,
    });
    const parts = { sessions: opened.databases.cases, source: opened.fields.source, index };
    const migration = createStorageMigration({ ...parts, indexAnew: async () => Promise.resolve() });
    await migration.makeLegacy(caseId, testActor, signal);
    await migration.turnOn(caseId, testActor, 'parallel-write', signal);
    await index.close();
  }
  const [bare = 0, slowlyBare = 0, filled = 0, slowlyFilled = 0] = ids;
  for (const exhibitId of [filled, slowlyFilled])
    await opened.fields.update(caseId, testActor, { exhibitId, values: { Comment: 'old' } });
  const update = async (exhibitId: number, meanwhile: () => Promise<void>) =>
    pausing(meanwhile)
      .update(caseId, testActor, { exhibitId, values: { Comment: 'new' } })
      .then(
        () => 'done',
        (error: unknown) => (error as { code?: string }).code,
      );
  const told: unknown[] = [];
  for (const exhibitId of [bare, filled])
    told.push(await update(exhibitId, async () => within(caseId, async (tx) => remove(tx, exhibitId))));
  for (const exhibitId of [slowlyBare, slowlyFilled]) {
    const removal = removeSlowly(caseId, exhibitId);
    told.push(await update(exhibitId, removal.meanwhile));
    await removal.done();
  }
  expect(told).toEqual(Array.from({ length: 4 }, () => 'exhibit_not_found'));
  const left: readonly (readonly string[])[] = await Promise.all(ids.map(async (id) => rowsOf(caseId, id)));
  expect(left).toEqual([[], [], ['audit'], ['audit']]);
});

test('a compaction', async () => {
  const { caseId, ids } = await newCase(101);
  for (const exhibitId of ids) await opened.fields.update(caseId, testActor, { exhibitId, values: { Comment: 'x' } });
  const [exhibitId = 0] = ids;
  const removal = removeSlowly(caseId, exhibitId);
  const { source } = pausing(removal.meanwhile);
  const moved = await compactValues({ sessions: opened.databases.cases, source }, caseId, testActor);
  await removal.done();
  expect(moved).toEqual({ exhibits: 100, segments: 1 });
  expect(await rowsOf(caseId, exhibitId)).toEqual(['audit']);
});
