import { CaseId } from '@casebound/contract';
import { upsertDocument } from '@casebound/records';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLog } from '../../database/testing/open-test-databases.ts';
import type { Log } from '../../platform/log/Port.ts';
import { caseResource, createCaseRecords } from './case-records.ts';
import { openTestCases, type TestCases, testActor } from './testing/open-test-cases.ts';
import { watchCaseRecords } from './watch-case-records.ts';

let opened: TestCases;
let cases: readonly CaseId[];
beforeAll(async () => {
  opened = await openTestCases({ sets: [] });
  cases = [await opened.makeCase('Sound'), await opened.makeCase('Damaged')];
  for (const caseId of cases) {
    const store = await opened.records.open(caseId, testActor);
    await upsertDocument(store, caseResource(opened.records.model, 'labelCategories'), { categoryName: 'Issue' });
    await upsertDocument(store, caseResource(opened.records.model, 'labels'), {
      labelCategoryReference: { categoryName: 'Issue' },
      name: 'Hot',
    });
  }
});
afterAll(async () => opened.close());

test('damage in one case is found in a round, repaired, and told; a case that is gone does not stop the round', async () => {
  const told: [string, number | undefined, string | undefined][] = [];
  const log: Log = {
    ...silentLog,
    error: (message, fields) => void told.push([message, fields?.caseId, fields?.operation]),
  };
  const round = async (): Promise<number> =>
    watchCaseRecords({
      records: opened.records,
      cases: [CaseId.parse(999_999), ...cases],
      log,
      signal: new AbortController().signal,
      casesARound: 3,
    });
  expect(await round()).toBe(0);
  expect(told).toEqual([['The records of a case could not be watched', 999_999, undefined]]);
  told.length = 0;

  const [, damaged] = cases;
  const store = await opened.records.open(damaged ?? CaseId.parse(1), testActor);
  await store.database.transaction(async (tx) => tx.query('DELETE FROM reference_edge'));
  expect(await round()).toBe(1);
  expect(told).toContainEqual(['Damage of records was repaired', damaged, 'edge-missing']);
  expect(await round()).toBe(0);
});

test('a round takes some of the cases, and stops when the server does', async () => {
  const asked: CaseId[] = [];
  const records: Pick<TestCases['records'], 'open' | 'takeSampledCommits'> = {
    takeSampledCommits: () => new Map(),
    open: async (caseId, actor, signal) => {
      asked.push(caseId);
      return opened.records.open(caseId, actor, signal);
    },
  };
  const signal = new AbortController().signal;
  await watchCaseRecords({ records, cases, log: silentLog, signal, casesARound: 1 });
  expect(asked).toHaveLength(1);
  await watchCaseRecords({ records, cases, log: silentLog, signal: AbortSignal.abort() });
  expect(asked).toHaveLength(1);
});

test('documents that were written and drawn are looked at in the next round, once', async () => {
  const { databases } = opened;
  const every = createCaseRecords({ sessions: databases.cases, model: opened.records.model, commitShare: 1 });
  const none = createCaseRecords({ sessions: databases.cases, model: opened.records.model, commitShare: 0 });
  const [caseId = CaseId.parse(1)] = cases;
  const labels = caseResource(every.model, 'labels');
  const label = (name: string) => ({ labelCategoryReference: { categoryName: 'Issue' }, name });
  const store = await every.open(caseId, testActor);
  const written = await upsertDocument(store, labels, label('Drawn'));
  await upsertDocument(await none.open(caseId, testActor), labels, label('Not drawn'));
  await store.database.transaction(async (tx) =>
    tx.query('DELETE FROM referential_identity WHERE document_id = $1', [written.documentId]),
  );
  const signal = new AbortController().signal;
  const round = async (): Promise<number> => watchCaseRecords({ records: every, cases: [], log: silentLog, signal });
  expect(none.takeSampledCommits().size).toBe(0);
  expect(await round()).toBe(1);
  expect(await round()).toBe(0);
  await upsertDocument(store, labels, label('Forgotten'));
  every.forget(caseId);
  expect(every.takeSampledCommits().size).toBe(0);
});
