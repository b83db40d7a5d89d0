import { CaseboundError, type CaseId } from '@casebound/contract';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestCases, testActor, type TestCases } from '../records/testing/open-test-cases.ts';
import { createClock } from '../../platform/clock/create-clock.ts';
import { createFields } from './create-fields.ts';
import type { FieldValues } from './field-values.ts';
import type { OverlayRow, ValueOverlay } from './overlay-values.ts';
import { fillFields } from './testing/fill-fields.ts';

let opened: TestCases;
let made = 0;
beforeAll(async () => {
  opened = await openTestCases();
});
afterAll(async () => opened.close());

const newCase = async (count: number): Promise<{ readonly caseId: CaseId; readonly ids: readonly number[] }> => {
  const caseId = await opened.makeCase(`Fields ${(made += 1)}`);
  return { caseId, ids: await fillFields(opened, caseId, count) };
};

const overlay = async (
  caseId: CaseId,
  rows: readonly OverlayRow[],
  more: Partial<ValueOverlay> = {},
  onStatement: (text: string) => void = () => undefined,
) =>
  opened.databases.cases.withCase(
    caseId,
    testActor,
    async (tx) =>
      opened.fields.overlayValues(tx, {
        caseId,
        name: `overlay-${crypto.randomUUID()}`,
        mode: 'replace',
        rows,
        by: { actor: 'system', origin: 'overlay test' },
        ...more,
      }),
    { onStatement },
  );

const valuesOf = async (caseId: CaseId, ids: readonly number[]): Promise<readonly (FieldValues | undefined)[]> => {
  const found = await opened.fields.read(caseId, testActor, ids);
  return ids.map((id) => found.get(id)?.values);
};

const queryCase = async <Row extends object>(caseId: CaseId, sql: string): Promise<Row[]> =>
  (await opened.databases.cases.withCase(caseId, testActor, async (tx) => tx.query<Row>(sql))).rows;

const eventsOf = async (
  caseId: CaseId,
): Promise<readonly { readonly eventType: string; readonly exhibitIds: number[] }[]> => {
  const { rows } = await opened.databases.control.transaction({ readOnly: true }, async (tx) =>
    tx.query<{ database_name: string }>(
      'SELECT database_name FROM core.case_placement JOIN core.case_database USING (case_database_id) WHERE case_id = $1',
      [caseId],
    ),
  );
  const owner = opened.databases.owner('main', rows[0]?.database_name ?? '');
  const found = await owner.transaction({ alongside: true }, async (tx) =>
    tx.query<{ body: string }>('SELECT body FROM messaging.outbox WHERE fairness_key = $1 ORDER BY outbox_id', [
      caseId,
    ]),
  );
  return found.rows.map(({ body }) => JSON.parse(body));
};

test('an update is read back, audited and stated, in two transactions of few statements', async () => {
  const { caseId, ids } = await newCase(2);
  const [id = 0] = ids;
  await opened.fields.definitions(caseId, testActor);
  const statements: string[] = [];
  const updated = await opened.fields.update(
    caseId,
    testActor,
    { exhibitId: id, values: { Responsive: 'Yes', Issues: ['Fraud', 'Tax'], Pages: 3, Hot: true }, version: 0 },
    'req-1',
    { onStatement: (text) => statements.push(text) },
  );
  expect(updated.version).toBe(1);
  expect(statements.filter((text) => !/^(BEGIN|COMMIT|SET|SELECT set_config)/i.test(text))).toHaveLength(4);
  expect(await valuesOf(caseId, ids)).toEqual([
    { Responsive: 'Yes', Issues: ['Fraud', 'Tax'], Pages: 3, Hot: true },
    undefined,
  ]);
  const audit = await queryCase<{ request_id: string; record_key: string; changes: object }>(
    caseId,
    'SELECT request_id, record_key, changes FROM model_audit',
  );
  expect(audit).toEqual([
    {
      request_id: 'req-1',
      record_key: 'EX-000001',
      changes: { Responsive: [null, 'Yes'], Issues: [null, ['Fraud', 'Tax']], Pages: [null, 3], Hot: [null, true] },
    },
  ]);
  expect(await eventsOf(caseId)).toMatchObject([{ eventType: 'EXHIBITS_CHANGED', exhibitIds: [id] }]);
});

test('a loser is told both values, whether it states a version that is old or loses the race', async () => {
  const { caseId, ids } = await newCase(1);
  const [exhibitId = 0] = ids;
  const attempts = await Promise.allSettled(
    ['a', 'b', 'c', 'd'].map(async (text) =>
      opened.fields.update(caseId, testActor, { exhibitId, values: { Comment: text }, version: 0 }),
    ),
  );
  const lost = attempts.filter((it) => it.status === 'rejected').map((it) => it.reason as CaseboundError);
  expect(lost).toHaveLength(3);
  const [values] = await valuesOf(caseId, ids);
  for (const error of lost) {
    expect(error).toMatchObject({ code: 'version_conflict' });
    expect(error.errors?.[0]?.message).toContain(`now ${JSON.stringify(values?.['Comment'])}`);
  }
  expect(await queryCase(caseId, 'SELECT FROM model_audit')).toHaveLength(1);
});

test('updates that state no version are all made, one upon the other', async () => {
  const { caseId, ids } = await newCase(1);
  const [exhibitId = 0] = ids;
  await Promise.all(
    ['Comment', 'Pages', 'Hot'].map(async (title) =>
      opened.fields.update(caseId, testActor, {
        exhibitId,
        values: { [title]: title === 'Comment' ? 'x' : title === 'Pages' ? 1 : true },
      }),
    ),
  );
  expect(await valuesOf(caseId, ids)).toEqual([{ Comment: 'x', Pages: 1, Hot: true }]);
});

test('values that do not fit are all named, and nothing is written', async () => {
  const { caseId, ids } = await newCase(1);
  await expect(
    opened.fields.update(caseId, testActor, {
      exhibitId: ids[0] ?? 0,
      values: { Responsive: 'Maybe', Pages: 'three', 'Reviewed on': '2026-02-30', Nothing: 'x' },
    }),
  ).rejects.toMatchObject({
    code: 'validation_failed',
    errors: [
      { path: '$.values["Responsive"]' },
      { path: '$.values["Pages"]' },
      { path: '$.values["Reviewed on"]' },
      { path: '$.values["Nothing"]' },
    ],
  });
  expect(await valuesOf(caseId, ids)).toEqual([undefined]);
});

test('a transaction that rolls back after its object was written changes nothing that can be read', async () => {
  const { caseId, ids } = await newCase(3);
  await overlay(caseId, [{ exhibitId: ids[0] ?? 0, values: { Comment: 'before' } }]);
  await expect(
    opened.databases.cases.withCase(caseId, testActor, async (tx) => {
      await opened.fields.overlayValues(tx, {
        caseId,
        name: 'job/0',
        mode: 'replace',
        rows: ids.map((exhibitId) => ({ exhibitId, values: { Comment: 'after' } })),
        by: { actor: 'system' },
      });
      throw new CaseboundError('internal', 'killed here');
    }),
  ).rejects.toMatchObject({ code: 'internal' });
  expect(await valuesOf(caseId, ids)).toEqual([{ Comment: 'before' }, undefined, undefined]);
  expect(await queryCase(caseId, 'SELECT FROM model_audit')).toHaveLength(1);
  expect(await eventsOf(caseId)).toHaveLength(1);
  // Made again under the same name, with other values: the object of the first attempt is left as it is.
  await overlay(
    caseId,
    ids.map((exhibitId) => ({ exhibitId, values: { Comment: `again ${exhibitId}` } })),
    { name: 'job/0' },
  );
  expect(await valuesOf(caseId, ids)).toEqual(ids.map((id) => ({ Comment: `again ${id}` })));
});

test('an overlay of n exhibits costs an object and four statements for a thousand', async () => {
  const { caseId, ids } = await newCase(2_500);
  const statements: string[] = [];
  const outcome = await overlay(
    caseId,
    [
      ...ids.map((exhibitId) => ({ exhibitId, values: { Comment: `c${exhibitId}`, Issues: ['Fraud'] } })),
      { exhibitId: 999_999_999, values: { Comment: 'nobody' } },
    ],
    {},
    (text) => statements.push(text),
  );
  expect(outcome).toMatchObject({ unchanged: 0, missing: [999_999_999] });
  expect(outcome.changed).toHaveLength(2_500);
  const counted = statements.filter((text) => !/^(BEGIN|COMMIT|SET|SELECT set_config)/i.test(text));
  expect(counted).toHaveLength(12);
  expect(await queryCase(caseId, 'SELECT FROM custom_field_segment')).toHaveLength(3);
  expect(await queryCase(caseId, `SELECT FROM model_audit WHERE origin = 'overlay test'`)).toHaveLength(2_500);
  expect((await eventsOf(caseId)).map((event) => event.exhibitIds.length)).toEqual([1_000, 1_000, 500]);
  const again = await overlay(
    caseId,
    ids.map((exhibitId) => ({ exhibitId, values: { Issues: ['Fraud'] } })),
  );
  expect(again).toMatchObject({ changed: [], unchanged: 2_500 });
});

test('an overlay and updates at the same time lose nothing of each other', async () => {
  const { caseId, ids } = await newCase(200);
  await Promise.all([
    overlay(
      caseId,
      ids.map((exhibitId) => ({ exhibitId, values: { Issues: ['Fraud'] } })),
      { mode: 'merge' },
    ),
    overlay(
      caseId,
      ids.toReversed().map((exhibitId) => ({ exhibitId, values: { Issues: ['Tax'] } })),
      { mode: 'merge' },
    ),
    ...ids
      .slice(0, 20)
      .map(async (exhibitId) => opened.fields.update(caseId, testActor, { exhibitId, values: { Comment: 'mine' } })),
  ]);
  const values = await valuesOf(caseId, ids);
  expect(values.every((one) => new Set(one?.['Issues'] as string[]).size === 2)).toBe(true);
  expect(values.filter((one) => one?.['Comment'] === 'mine')).toHaveLength(20);
});

test('append fills what is empty, replace removes by an empty value, merge joins lists', async () => {
  const { caseId, ids } = await newCase(1);
  const [exhibitId = 0] = ids;
  const one = async (mode: ValueOverlay['mode'], values: OverlayRow['values']) => {
    await overlay(caseId, [{ exhibitId, values }], { mode });
    return (await valuesOf(caseId, ids))[0];
  };
  expect(await one('replace', { Comment: 'a', Issues: ['Tax'] })).toEqual({ Comment: 'a', Issues: ['Tax'] });
  expect(await one('append', { Comment: 'b', Pages: 2 })).toEqual({ Comment: 'a', Issues: ['Tax'], Pages: 2 });
  expect(await one('merge', { Issues: ['Fraud', 'Tax'], Comment: null })).toEqual({
    Comment: 'a',
    Issues: ['Tax', 'Fraud'],
    Pages: 2,
  });
  expect(await one('replace', { Comment: '', Issues: [] })).toEqual({ Pages: 2 });
});

test('an overlay is the same as updates one by one, in any order and in any parts', async () => {
  const { caseId, ids } = await newCase(8);
  const change = fc.record(
    {
      Comment: fc.option(fc.string({ unit: 'grapheme', maxLength: 8 }).filter((text) => !text.includes('\0'))),
      Pages: fc.option(fc.integer()),
      Issues: fc.option(fc.uniqueArray(fc.constantFrom('A', 'B', 'C'), { maxLength: 3 })),
    },
    { requiredKeys: [] },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 4, maxLength: 4 }), async (changes) => {
      const [bulk, single] = [ids.slice(0, 4), ids.slice(4)];
      await overlay(
        caseId,
        bulk.map((exhibitId, index) => ({ exhibitId, values: changes[index] ?? {} })),
      );
      for (const [index, exhibitId] of single.entries())
        await opened.fields.update(caseId, testActor, { exhibitId, values: changes[index] ?? {} });
      const [a, b] = [await valuesOf(caseId, bulk), await valuesOf(caseId, single)];
      expect(a.map((one) => one ?? {})).toEqual(b.map((one) => one ?? {}));
    }),
    { numRuns: 10 },
  );
});

test('killed between object and commit, an update changes nothing, and is made again', async () => {
  const { caseId, ids } = await newCase(1);
  const [exhibitId = 0] = ids;
  let dies = true;
  const fields = createFields({
    sessions: opened.databases.cases,
    objects: opened.objects,
    clock: createClock(),
    cacheBytes: 1_000_000,
    publish: opened.publish,
    crashPoint: (name) => {
      if (name === 'fields.update.written' && dies) throw new Error('killed');
    },
  });
  const update = async (text: string) =>
    fields.update(caseId, testActor, { exhibitId, values: { Comment: text }, version: 0 });
  await expect(update('lost')).rejects.toThrow('killed');
  expect(await valuesOf(caseId, ids)).toEqual([undefined]);
  expect(await queryCase(caseId, 'SELECT FROM model_audit')).toHaveLength(0);
  dies = false;
  // Its object has the key of the one that was lost, and other bytes: it takes a key beside it.
  expect(await update('kept')).toMatchObject({ version: 1 });
  expect(await valuesOf(caseId, ids)).toEqual([{ Comment: 'kept' }]);
});

test('a read of any number is one statement, and the cache spares the objects', async () => {
  const { caseId, ids } = await newCase(300);
  await overlay(
    caseId,
    ids.map((exhibitId) => ({ exhibitId, values: { Comment: `c${exhibitId}` } })),
  );
  let gets = 0;
  const objects: typeof opened.objects = {
    ...opened.objects,
    get: async (...given) => {
      gets += 1;
      return opened.objects.get(...given);
    },
  };
  const fields = createFields({
    sessions: opened.databases.cases,
    objects,
    clock: createClock(),
    cacheBytes: 1_000_000,
  });
  const statements: string[] = [];
  const read = async () =>
    fields.read(caseId, testActor, ids, undefined, { onStatement: (text) => statements.push(text) });
  expect((await read()).size).toBe(300);
  expect(gets).toBe(1);
  expect((await read()).size).toBe(300);
  expect(gets).toBe(1);
  expect(statements.filter((text) => !/^(BEGIN|COMMIT|SET|SELECT set_config)/i.test(text))).toHaveLength(2);
});

test('a pass over a case leaves what people read in memory, and nothing of its own', async () => {
  const { caseId, ids } = await newCase(40);
  await overlay(
    caseId,
    ids.map((exhibitId) => ({ exhibitId, values: { Comment: `c${exhibitId}` } })),
  );
  const asked: string[] = [];
  const objects: typeof opened.objects = {
    ...opened.objects,
    get: async (...given) => {
      asked.push(given[0]);
      return opened.objects.get(...given);
    },
  };
  // Holds the values of ten exhibits, and not of forty.
  const cacheBytes = 1_600;
  const fields = createFields({ sessions: opened.databases.cases, objects, clock: createClock(), cacheBytes });
  const people = async () => fields.read(caseId, testActor, ids.slice(0, 5));
  const first = await people();
  const passed = await fields.read(caseId, testActor, ids, undefined, { passing: true });
  expect([...passed].slice(0, 5)).toEqual([...first]);
  expect(passed.size).toBe(40);
  expect(asked).toHaveLength(2);
  await people();
  expect(asked).toHaveLength(2);
});
