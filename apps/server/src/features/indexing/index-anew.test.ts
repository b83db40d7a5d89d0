/** Several who put the same exhibits into the index at once: what stands there in the end is what stands in the case. */
import { ExhibitChange } from '@casebound/contract';
import { createTemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSearchIndex } from '../../platform/search-index/create-search-index.ts';
import { searchIndexConfigSchema } from '../../platform/search-index/config.ts';
import type { SearchIndex } from '../../platform/search-index/Port.ts';
import { deleteCase } from '../cases/index.ts';
import { changeExhibit } from '../exhibits/change-exhibit.ts';
import { createExhibitsChanged } from '../fields/index.ts';
import { fillFields } from '../fields/testing/fill-fields.ts';
import { openTestCases, testActor, type TestCases } from '../records/testing/open-test-cases.ts';
import { indexAnew, type IndexingParts } from './index-anew.ts';

let opened: TestCases;
let index: SearchIndex;
let closeFolder: () => Promise<void>;
const { signal } = new AbortController();

beforeAll(async () => {
  opened = await openTestCases();
  const folder = await createTemporaryFolder();
  closeFolder = async () => folder[Symbol.asyncDispose]();
  index = await createSearchIndex(searchIndexConfigSchema.parse({ kind: 'sqlite' }), { defaultRoot: folder.path });
});
afterAll(async () => {
  await index.close();
  await opened.close();
  await closeFolder();
});

const partsWith = (own: IndexingParts['index']): IndexingParts => ({
  sessions: opened.databases.cases,
  objects: opened.objects,
  index: own,
  fields: opened.fields,
});

/** With a new case whose exhibits have been put. */
const indexed = async (name: string, count: number) => {
  const caseId = await opened.makeCase(name);
  const ids = await fillFields(opened, caseId, count);
  await indexAnew(partsWith(index), caseId, testActor, ids, signal);
  return { caseId, ids };
};

/** Changes something after the documents of the first put were read, and before they are put. */
const between = (change: () => Promise<void>): IndexingParts => {
  let isFirst = true;
  return partsWith({
    ...index,
    put: async (...given) => {
      const mine = isFirst;
      isFirst = false;
      if (mine) await change();
      await index.put(...given);
    },
  });
};

const finds = async (caseId: Parameters<SearchIndex['search']>[0], field: string, equals: string) =>
  index.search(caseId, { filters: [{ field, equals }] }, { limit: 10 });

test('who read an exhibit before a change and puts it after who read it behind the change does not have the last word', async () => {
  const caseId = await opened.makeCase('Read before');
  const [exhibitId = 0, other = 0] = await fillFields(opened, caseId, 2);
  await opened.fields.update(caseId, testActor, { exhibitId, values: { Comment: 'old' } });
  const put = async () => indexAnew(partsWith(index), caseId, testActor, [exhibitId], signal);
  const late = async (change: () => Promise<unknown>) =>
    indexAnew(
      between(async () => {
        await change();
        await put();
      }),
      caseId,
      testActor,
      [exhibitId, other],
      signal,
    );
  await late(async () => opened.fields.update(caseId, testActor, { exhibitId, values: { Comment: 'new' } }));
  expect([await finds(caseId, 'Comment', 'old'), await finds(caseId, 'Comment', 'new')]).toEqual([[], [exhibitId]]);
  await late(async () =>
    changeExhibit(
      {
        sessions: opened.databases.cases,
        records: opened.records,
        fields: opened.fields,
        objects: opened.objects,
        engine: { listAnnotations: async () => [] },
        findByField: async () => [],
        changed: createExhibitsChanged(opened.publish, 'exhibits'),
      },
      testActor,
      caseId,
      exhibitId,
      ExhibitChange.parse({ privilege: 'Privileged', addLabels: [{ category: 'Issue', name: 'Fraud' }] }),
      'request',
    ),
  );
  expect([await finds(caseId, 'privilege', 'Privileged'), await finds(caseId, 'label', 'Issue/Fraud')]).toEqual([
    [exhibitId],
    [exhibitId],
  ]);
});

test('an exhibit that goes while it is put is not left in the index, and one that is gone is taken out', async () => {
  const caseId = await opened.makeCase('Gone meanwhile');
  const [first = 0, second = 0] = await fillFields(opened, caseId, 2);
  const remove = async (exhibitId: number): Promise<void> => {
    await opened.databases.cases.withCase(caseId, testActor, async (tx) =>
      tx.query('DELETE FROM document WHERE document_id = $1', [exhibitId]),
    );
  };
  await indexAnew(
    between(async () => {
      await remove(first);
      await index.remove(caseId, [first]);
    }),
    caseId,
    testActor,
    [first, second],
    signal,
  );
  expect(await finds(caseId, 'controlNumber', 'EX-000001')).toEqual([]);
  expect(await finds(caseId, 'controlNumber', 'EX-000002')).toEqual([second]);
  await remove(second);
  await indexAnew(partsWith(index), caseId, testActor, [first, second], signal);
  expect(await index.count(caseId)).toBe(0);
});

test('a case that is deleted while its exhibits are put leaves no index behind', async () => {
  const { caseId, ids } = await indexed('Deleted meanwhile', 2);
  const gone = between(async () => {
    await deleteCase(opened.cases, testActor, caseId);
    await index.drop(caseId);
  });
  await expect(indexAnew(gone, caseId, testActor, ids, signal)).rejects.toMatchObject({ code: 'case_not_found' });
  expect(await index.count(caseId)).toBe(0);
});
