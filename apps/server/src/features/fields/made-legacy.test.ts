/** A case that is made one with tables while values are written that know nothing of it. */
import type { CaseId } from '@casebound/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClock } from '../../platform/clock/create-clock.ts';
import { createSearchIndex } from '../../platform/search-index/create-search-index.ts';
import { searchIndexConfigSchema } from '../../platform/search-index/config.ts';
import type { SearchIndex } from '../../platform/search-index/Port.ts';
import { openTestCases, testActor, type TestCases } from '../records/testing/open-test-cases.ts';
import { createFields } from './create-fields.ts';
import { createStorageMigration, type StorageMigration } from './migrate-storage.ts';
import { fillFields } from './testing/fill-fields.ts';
import { waitUntilBlocking } from './testing/wait-until-blocking.ts';

let opened: TestCases;
let index: SearchIndex;
let migration: StorageMigration;
const { signal } = new AbortController();
beforeAll(async () => {
  opened = await openTestCases();
  index = await createSearchIndex(searchIndexConfigSchema.parse({ kind: 'sqlite' }), {
    defaultRoot: `${opened.folder}/index`,
  });
  migration = createStorageMigration({
    sessions: opened.databases.cases,
    source: opened.fields.source,
    index,
    indexAnew: async () => Promise.resolve(),
  });
});
afterAll(async () => {
  await index.close();
  await opened.close();
});

const newCase = async (): Promise<{ readonly caseId: CaseId; readonly ids: readonly number[] }> => {
  const caseId = await opened.makeCase('Made legacy');
  return { caseId, ids: await fillFields(opened, caseId, 2) };
};
const metadata = { importedAt: '2026-01-02T03:04:05.000Z', batchId: 1 };

test('who has not yet written is refused', async () => {
  const { caseId, ids } = await newCase();
  const [updated = 0, added = 0] = ids;
  let isMade = false;
  const fields = createFields({
    sessions: opened.databases.cases,
    objects: {
      ...opened.objects,
      flush: async () => {
        if (isMade) return;
        isMade = true;
        await migration.makeLegacy(caseId, testActor, signal);
      },
    },
    clock: createClock(),
    cacheBytes: 0,
  });
  const update = async () => fields.update(caseId, testActor, { exhibitId: updated, values: { Comment: 'x' } });
  await expect(update()).rejects.toMatchObject({ code: 'conflict_retries_exhausted' });
  await update();
  expect((await opened.fields.read(caseId, testActor, ids)).get(updated)?.values).toEqual({ Comment: 'x' });

  const other = await newCase();
  const exhibits = [{ exhibitId: other.ids[1] ?? added, values: { Comment: 'x' }, metadata }];
  const add = async (meanwhile: () => Promise<unknown>) =>
    opened.databases.cases.withCase(other.caseId, testActor, async (tx) =>
      createFields({
        sessions: opened.databases.cases,
        objects: {
          ...opened.objects,
          flush: async () => {
            await meanwhile();
          },
        },
        clock: createClock(),
        cacheBytes: 0,
      }).add(tx, { caseId: other.caseId, name: 'job/0', exhibits, madeNow: true, by: 'system' }),
    );
  const made = Promise.withResolvers<unknown>();
  const asked = Promise.withResolvers<void>();
  const adding = add(async () => {
    asked.resolve();
    await made.promise;
  });
  await asked.promise;
  made.resolve(await migration.makeLegacy(other.caseId, testActor, signal));
  await expect(adding).rejects.toMatchObject({ code: 'conflict_retries_exhausted' });
});

test('who has written and not yet committed is waited for', async () => {
  const { caseId, ids } = await newCase();
  const [written, goOn] = [Promise.withResolvers<number>(), Promise.withResolvers<void>()];
  const adding = opened.databases.cases.withCase(caseId, testActor, async (tx) => {
    const exhibits = ids.map((exhibitId) => ({ exhibitId, values: { Comment: 'x' }, metadata }));
    await opened.fields.add(tx, { caseId, name: 'job/0', exhibits, madeNow: true, by: 'system' });
    const { rows } = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    written.resolve(rows[0]?.pid ?? 0);
    await goOn.promise;
  });
  const pid = await written.promise;
  const making = migration.makeLegacy(caseId, testActor, signal);
  await waitUntilBlocking(opened.databases.control, pid);
  goOn.resolve();
  await adding;
  await making;
  const found = await opened.fields.read(caseId, testActor, ids);
  expect(ids.map((id) => found.get(id)?.values)).toEqual([{ Comment: 'x' }, { Comment: 'x' }]);
});
