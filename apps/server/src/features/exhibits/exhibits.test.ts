import { type CaseId, ExhibitChange } from '@casebound/contract';
import { type BulkRow, bulkWrite, type JsonValue, upsertDocument } from '@casebound/records';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { betweenStatements } from '../../database/testing/between-statements.ts';
import { objectKey } from '../../platform/object-store/Port.ts';
import { createExhibitsChanged } from '../fields/index.ts';
import { caseResource } from '../records/index.ts';
import { openTestCases, testActor, type TestCases } from '../records/testing/open-test-cases.ts';
import { changeExhibit } from './change-exhibit.ts';
import type { ExhibitDependencies } from './dependencies.ts';
import { getExhibit } from './get-exhibit.ts';
import { listExhibits } from './list-exhibits.ts';
import { parseRange } from './parse-range.ts';
import { openVariant, readPageText } from './read-files.ts';

let opened: TestCases;
let parts: ExhibitDependencies;
let caseId: CaseId;
let ids: ReadonlyMap<string, number>;
const { signal } = new AbortController();

const row = (resource: string, document: { [key: string]: JsonValue }): BulkRow => ({
  resource: caseResource(opened.records.model, resource),
  document,
});
const text = Buffer.from('The first page.', 'utf8');
const md5 = (number: number): string => String(number).padStart(32, '0');

const exhibit = (number: number, more: { [key: string]: JsonValue } = {}): BulkRow[] => [
  row('documents', {
    documentKey: `doc-${number}`,
    fileName: `Über "file" ${number}.txt`,
    md5Hash: md5(number),
    documentDate: `2026-01-${String(number).padStart(2, '0')}T23:30:00Z`,
    variants:
      number === 1
        ? [
            {
              type: 'native',
              position: 1,
              objectKey: `case_${caseId}/processed-files/1/native/doc-1/content`,
              size: text.length,
              sha256: 'a'.repeat(64),
              mimeType: 'text/html',
            },
            {
              type: 'pdf',
              position: 1,
              objectKey: 'case_999999/processed-files/1/pdf/x/content.pdf',
              size: 5,
              sha256: 'b'.repeat(64),
            },
          ]
        : [],
  }),
  row('exhibits', {
    controlNumber: `EX-${String(number).padStart(3, '0')}`,
    documentReference: { documentKey: `doc-${number}` },
    batchReference: { name: 'Batch' },
    custodians: [{ custodianReference: { name: number % 2 === 0 ? 'Ann' : 'Bob' } }],
    labels: number === 3 ? [{ labelReference: { categoryName: 'Issue', name: 'Fraud' } }] : [],
    folders: number === 4 ? [{ folderTagReference: { path: 'Hot/2026' } }] : [],
    pages: number === 1 ? [{ textSource: 'document', textSize: text.length, textSha256: 'c'.repeat(64) }, {}] : [],
    ...more,
  }),
];

beforeAll(async () => {
  opened = await openTestCases();
  caseId = await opened.makeCase('Exhibits');
  parts = {
    sessions: opened.databases.cases,
    records: opened.records,
    fields: opened.fields,
    objects: opened.objects,
    engine: { listAnnotations: async () => [] },
    findByField: async (_case, _actor, { text: given }) => (given === 'five' ? [idOf(5)] : []),
    changed: createExhibitsChanged(opened.publish, 'exhibits'),
  };
  const store = await opened.records.open(caseId, testActor);
  const rows = [
    row('batches', { name: 'Batch', kind: 'import' }),
    row('custodians', { name: 'Ann' }),
    row('custodians', { name: 'Bob' }),
    row('labelCategories', { categoryName: 'Issue' }),
    row('labelCategories', { categoryName: 'Review', isExclusive: true }),
    row('labels', { labelCategoryReference: { categoryName: 'Issue' }, name: 'Fraud' }),
    row('folderTags', { path: 'Hot' }),
    row('folderTags', { path: 'Hot/2026', parentFolderReference: { path: 'Hot' } }),
    row('confidentialityCodes', { code: 'C', bit: 0 }),
    row('confidentialityCodes', { code: 'AEO', bit: 3 }),
    ...exhibit(1),
    ...exhibit(2, {
      parentExhibitReference: { controlNumber: 'EX-001' },
      familyReference: { controlNumber: 'EX-001' },
      redacted: true,
      confidentialityStatus: 8,
    }),
    ...[3, 4, 5, 6, 7].flatMap((number) => exhibit(number)),
  ];
  await bulkWrite(store, rows, {
    onRow: (outcome) => {
      if (outcome.outcome === 'failed') throw outcome.error;
    },
  });
  const found = await opened.databases.cases.withCase(caseId, testActor, async (tx) =>
    tx.query<{ document_id: string; control_number: string }>('SELECT document_id, control_number FROM exhibit'),
  );
  ids = new Map(found.rows.map((it) => [it.control_number, Number(it.document_id)]));
  await opened.objects.put(objectKey(`case_${caseId}/processed-files/1/native/doc-1/content`), text);
  const batch = (await listExhibits(parts, testActor, caseId, {}, { limit: 1, count: false })).exhibits[0]?.batchId;
  await opened.objects.put(
    objectKey(`case_${caseId}/processed-files/${batch}/txt/doc-1/attachments/1/content.txt`),
    text,
  );
});
afterAll(async () => opened.close());

const list = async (filters: Parameters<typeof listExhibits>[3]) =>
  (await listExhibits(parts, testActor, caseId, filters, { limit: 100, count: false })).exhibits.map((it) =>
    it.controlNumber.slice(-1),
  );
const idOf = (number: number): number => ids.get(`EX-00${number}`) ?? 0;
const change = async (number: number, given: object, version?: number) =>
  changeExhibit(
    parts,
    testActor,
    caseId,
    idOf(number),
    ExhibitChange.parse({ ...given, ...(version === undefined ? {} : { version }) }),
    'req-7',
  );
const queryCase = async <Row extends object>(sql: string): Promise<Row[]> =>
  (await opened.databases.cases.withCase(caseId, testActor, async (tx) => tx.query<Row>(sql))).rows;

test.each([
  [{ from: 'EX-003', to: 'EX-005' }, ['3', '4', '5']],
  [{ custodian: 'Ann' }, ['2', '4', '6']],
  [{ custodian: "'; DROP TABLE exhibit; --" }, []],
  [{ label: 'Fraud' }, ['3']],
  [{ label: 'Fraud', labelCategory: 'Issue' }, ['3']],
  [{ label: 'Fraud', labelCategory: 'Review' }, []],
  [{ folder: 'Hot' }, ['4']],
  [{ folder: 'Ho' }, []],
  [{ hash: md5(5).toUpperCase() }, ['5']],
  [{ redacted: 'true' as const }, ['2']],
  [{ confidentialityCode: 'AEO' }, ['2']],
  [{ confidentialityCode: 'C' }, []],
  [{ field: 'Any', fieldValue: 'five' }, ['5']],
  [{ field: 'Any', fieldValue: 'five', custodian: 'Ann' }, []],
  [{ dateFrom: '2026-01-06' }, ['6', '7']],
  [{ dateTo: '2026-01-02', redacted: 'false' as const }, ['1']],
])('the filter %j finds %j', async (filters, expected) => {
  expect(await list(filters)).toEqual(expected);
});

test('a family is found by its root, pages follow each other, and a count comes along', async () => {
  expect(await list({ familyId: idOf(1) })).toEqual(['1', '2']);
  const seen: string[] = [];
  for (let after: string | undefined; ;) {
    const page = await listExhibits(parts, testActor, caseId, {}, { after, limit: 3, count: true });
    expect(page).toMatchObject({ total: 7, totalIsExact: true });
    seen.push(...page.exhibits.map((it) => it.controlNumber));
    if (page.next === null) break;
    after = page.next;
  }
  expect(seen).toEqual([...ids.keys()].toSorted());
});

test('the list is read by the index of control numbers', async () => {
  const plan = await opened.databases.cases.withCase(caseId, testActor, async (tx) => {
    for (const other of ['seqscan', 'bitmapscan', 'sort']) await tx.query(`SET LOCAL enable_${other} = off`);
    return tx.query<Record<string, string>>(
      `EXPLAIN SELECT FROM exhibit e WHERE e.control_number > '' ORDER BY e.control_number LIMIT 51`,
    );
  });
  expect(JSON.stringify(plan.rows)).toContain('Index Only Scan using exhibit___identity');
});

test('one exhibit comes with everything attached', async () => {
  await opened.databases.cases.withCase(caseId, testActor, async (tx) =>
    opened.fields.overlayValues(tx, {
      caseId,
      name: 'one',
      mode: 'replace',
      rows: [{ exhibitId: idOf(2), values: { Anything: 'value' } }],
      by: { actor: 'system' },
    }),
  );
  expect(await getExhibit(parts, testActor, caseId, idOf(2))).toMatchObject({
    controlNumber: 'EX-002',
    batch: 'Batch',
    custodians: ['Ann'],
    redacted: true,
    confidentialityStatus: 8,
    confidentialityCodes: ['AEO'],
    fields: { Anything: 'value' },
    fieldsVersion: 1,
    family: [
      { controlNumber: 'EX-001', parentExhibitId: null },
      { controlNumber: 'EX-002', parentExhibitId: idOf(1) },
    ],
    document: { documentKey: 'doc-2', md5Hash: md5(2) },
    annotations: 0,
  });
  await expect(getExhibit(parts, testActor, caseId, 999_999)).rejects.toMatchObject({ code: 'exhibit_not_found' });
});

test('coding an exhibit is one audited change, logged and stated', async () => {
  const before = await getExhibit(parts, testActor, caseId, idOf(5));
  await change(
    5,
    {
      relevancy: 'Relevant',
      privilege: 'Attorney-Client',
      confidentialityCodes: ['AEO', 'C'],
      addLabels: [
        { category: 'Issue', name: 'Tax' },
        { category: 'Review', name: 'First' },
      ],
      addFolders: ['Binder\\A/ B '],
      reason: 'second look',
    },
    before.version,
  );
  const after = await getExhibit(parts, testActor, caseId, idOf(5));
  expect(after).toMatchObject({
    relevancy: 'Relevant',
    privilege: 'Attorney-Client',
    confidentialityStatus: 9,
    labels: [
      { category: 'Issue', name: 'Tax' },
      { category: 'Review', name: 'First' },
    ],
    folders: ['Binder/A/B'],
  });
  expect(await list({ folder: 'Binder' })).toEqual(['5']);
  expect(
    await queryCase(`SELECT request_id, changes FROM model_audit WHERE record_id = ${idOf(5)} ORDER BY audit_id`),
  ).toEqual([
    {
      request_id: 'req-7',
      changes: {
        relevancy: [null, 'Relevant'],
        privilege: [null, 'Attorney-Client'],
        confidentialityStatus: [0, 9],
        labels: [[], ['Issue/Tax', 'Review/First']],
        folders: [[], ['Binder/A/B']],
      },
    },
  ]);
  await change(5, {
    relevancy: null,
    addLabels: [{ category: 'Review', name: 'Second' }],
    removeFolders: ['Binder/A/B'],
  });
  const last = await getExhibit(parts, testActor, caseId, idOf(5));
  expect(last).toMatchObject({ relevancy: null, folders: [] });
  expect(last.labels.map(({ name }) => name)).toEqual(['Tax', 'Second']);
  expect(
    await queryCase(
      `SELECT sequence, old_relevancy, new_relevancy, changed_by, reason FROM relevancy_log ORDER BY sequence`,
    ),
  ).toEqual([
    { sequence: '1', old_relevancy: null, new_relevancy: 'Relevant', changed_by: 'system', reason: 'second look' },
    { sequence: '2', old_relevancy: 'Relevant', new_relevancy: null, changed_by: 'system', reason: null },
  ]);
  expect(await queryCase('SELECT old_status, new_status FROM confidentiality_log')).toEqual([
    { old_status: '0', new_status: '9' },
  ]);
  await expect(change(5, { relevancy: 'x' }, before.version)).rejects.toMatchObject({
    code: 'version_conflict',
    errors: [{ path: '$.relevancy', message: 'now null, wanted "x"' }],
  });
  await expect(change(5, { confidentialityCodes: ['Nobody'] })).rejects.toMatchObject({ code: 'unresolved_reference' });
});

test('changes of one exhibit at the same time are all made', async () => {
  const logged = async () => queryCase(`SELECT FROM relevancy_log WHERE exhibit_document_id = ${idOf(6)}`);
  const before = (await logged()).length;
  await Promise.all(
    ['a', 'b', 'c', 'd', 'e'].map(async (name) =>
      change(6, { addLabels: [{ category: 'Issue', name }], relevancy: name }),
    ),
  );
  const { labels } = await getExhibit(parts, testActor, caseId, idOf(6));
  expect(labels.map(({ name }) => name).toSorted()).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect((await logged()).length - before).toBe(5);
  const audited = await queryCase(`SELECT FROM model_audit WHERE record_id = ${idOf(6)}`);
  await change(6, { addLabels: [{ category: 'Issue', name: 'a' }] });
  expect(await queryCase(`SELECT FROM model_audit WHERE record_id = ${idOf(6)}`)).toHaveLength(audited.length);
});

const download = async (type: string, range?: string) => {
  const file = await openVariant(parts, testActor, caseId, { exhibitId: idOf(1), type, position: 1 }, range, signal);
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.body) chunks.push(chunk);
  return { ...file, text: Buffer.concat(chunks).toString('utf8') };
};

test('a category that somebody makes while a label of it is added stays as they made it', async () => {
  let isAsked = false;
  const sessions = betweenStatements(
    parts.sessions,
    (statement) => {
      const isNext = isAsked;
      isAsked ||= statement.startsWith(`SELECT 'category' AS kind`);
      return isNext;
    },
    async () => {
      const store = await opened.records.open(caseId, testActor);
      const document = { categoryName: 'Responsiveness', isExclusive: true };
      await upsertDocument(store, caseResource(opened.records.model, 'labelCategories'), document);
    },
  );
  const coding = ExhibitChange.parse({ addLabels: [{ category: 'Responsiveness', name: 'Yes' }] });
  const code = async () => changeExhibit({ ...parts, sessions }, testActor, caseId, idOf(6), coding, 'request');
  await expect(code()).rejects.toMatchObject({ code: 'conflict_retries_exhausted' });
  await code();
  const { rows } = await parts.sessions.withCase(caseId, testActor, async (tx) =>
    tx.query(`SELECT is_exclusive FROM label_category WHERE category_name = 'Responsiveness'`),
  );
  expect(rows).toEqual([{ is_exclusive: true }]);
  expect((await getExhibit(parts, testActor, caseId, idOf(6))).labels).toContainEqual({
    category: 'Responsiveness',
    name: 'Yes',
  });
});

test('files come whole or in part, and only from their own case', async () => {
  expect(await download('native')).toMatchObject({ text: 'The first page.', fileName: 'Über "file" 1.txt', size: 15 });
  expect(await download('native', 'bytes=4-8')).toMatchObject({ text: 'first', part: { start: 4, end: 9 } });
  expect(await download('native', 'bytes=-5')).toMatchObject({ text: 'page.' });
  await expect(download('native', 'bytes=15-')).rejects.toMatchObject({ code: 'range_not_satisfiable' });
  await expect(download('image')).rejects.toMatchObject({ code: 'variant_not_found' });
  await expect(download('pdf')).rejects.toMatchObject({ code: 'object_corrupt' });
});

test('the text of a page, of one without text, and of one that is not there', async () => {
  const page = async (position: number) => readPageText(parts, testActor, caseId, idOf(1), position, signal);
  expect(await page(1)).toMatchObject({ text: 'The first page.', source: 'document' });
  expect(await page(2)).toMatchObject({ text: '', source: null });
  await expect(page(3)).rejects.toMatchObject({ code: 'variant_not_found' });
});

test('a range is within the file or refused, whatever the header says', () => {
  const header = fc.oneof(
    fc.string(),
    fc.tuple(fc.option(fc.nat()), fc.option(fc.nat())).map(([a, b]) => `bytes=${a ?? ''}-${b ?? ''}`),
  );
  fc.assert(
    fc.property(header, fc.nat({ max: 1_000 }), (given, size) => {
      try {
        const range = parseRange(given, size);
        return range === undefined || (range.start >= 0 && range.start < range.end && range.end <= size);
      } catch (error) {
        return error instanceof Error && /there are none/.test(error.message);
      }
    }),
  );
});
