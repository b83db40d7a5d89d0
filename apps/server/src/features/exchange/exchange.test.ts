import { createHash, randomUUID } from 'node:crypto';
import { ExchangeRequest, type CaseId } from '@casebound/contract';
import { formatInstantJson } from '@casebound/pdf';
import { listDocuments, putDocument } from '@casebound/records';
import { z } from 'zod';
import { caseResource } from '../records/index.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EngineDocumentId } from '../../platform/document-engine/Port.ts';
import {
  comment,
  highlight,
  note,
  redaction,
  samplePng,
  stamp,
  sticker,
} from '../../platform/document-engine/testing/sample-annotations.ts';
import { objectKey, objectPrefix } from '../../platform/object-store/Port.ts';
import { deleteCase } from '../cases/index.ts';
import { caseDependencies } from '../cases/testing/case-dependencies.ts';
import { listItems } from './list-items.ts';
import { requestExchange } from './request-exchange.ts';
import { retryFailed, rollBack } from './steer-exchange.ts';
import { fillCase } from './testing/fill-case.ts';
import { openTestExchange, testActor, type TestExchange } from './testing/open-test-exchange.ts';

const noAnnotations = {
  redactionsAs: 'omit',
  highlightsAs: 'omit',
  notesAs: 'omit',
  stickersAs: 'omit',
  batesAs: 'omit',
  confidentialityCodesAs: 'omit',
  comments: 'omit',
} as const;

let world: TestExchange;
beforeAll(async () => {
  world = await openTestExchange();
});
afterAll(async () => world[Symbol.asyncDispose]());

test('exhibits travel with files, text, fields, labels and folders, and the exchange ends', async () => {
  const from = await world.createCase('from');
  const to = await world.createCase('to');
  await fillCase(world.parts, from, [
    {
      controlNumber: 'ACME000001',
      pages: [['Pay the amount today'], ['to Jane Doe']],
      custodian: 'Ann',
      label: 'Hot',
      folder: 'Root/One',
      code: 'AEO',
      fields: { Matter: 'Meridian' },
      native: Buffer.from('native one'),
    },
    { controlNumber: 'ACME000002', pages: [['An attachment']], parent: 'ACME000001', custodian: 'Bob' },
  ]);
  const job = await world.run(
    ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId: to,
      selection: { by: 'controlNumbers', ranges: [{ from: 'ACME000002', to: 'ACME000002' }] },
      annotations: noAnnotations,
      includeNatives: true,
    }),
  );
  expect(job.failure).toBeNull();
  expect(job.state).toBe('FINISHED');
  expect(job.resources).toEqual([]);
  const { rows } = await world.parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query(
      `SELECT e.control_number, e.number IS NOT NULL AS numbered, e.confidentiality_status::int AS status,
        (SELECT json_agg(v.type ORDER BY v.type) FROM source_document__variants v WHERE v.root_document_id = e.document_document_id) AS variants,
        (SELECT name FROM batch WHERE document_id = e.batch_document_id) AS batch
       FROM exhibit e ORDER BY 1`,
    ),
  );
  expect(rows).toMatchObject([
    {
      control_number: 'ACME000001',
      numbered: true,
      status: 1,
      variants: ['native', 'pdf'],
      batch: `Exchange ${job.jobId}`,
    },
    { control_number: 'ACME000002', variants: ['pdf'] },
  ]);
  expect(await world.parts.index.search(to, { text: 'jane meridian' }, { limit: 10 })).toHaveLength(1);
  expect(
    await world.parts.index.search(to, { filters: [{ field: 'Matter', equals: 'Meridian' }] }, { limit: 10 }),
  ).toHaveLength(1);
  expect((await world.messaging.queues.list()).filter(({ name }) => name.startsWith('doc_exch_'))).toEqual([]);
  const listed = [];
  for await (const page of world.parts.engine.listDocuments(to)) listed.push(...page);
  expect(listed).toHaveLength(2);
}, 90_000);

const keyedText = async (caseId: CaseId): Promise<string> => {
  let all = '';
  for await (const page of world.parts.objects.list(objectPrefix(`case_${caseId}/`)))
    for (const { key } of page) {
      // What was proved of an exchange stays, also when it is rolled back.
      if (key.includes('/exchanges/')) continue;
      const { body } = await world.parts.objects.get(key);
      for await (const chunk of body) all += Buffer.from(chunk as Uint8Array).toString('latin1');
    }
  return all;
};

test('a redaction is burned in, layers travel, and nothing beneath it is in the destination', async () => {
  const from = await world.createCase('redacted from');
  const to = await world.createCase('redacted to');
  const attached = samplePng();
  const id = createHash('sha256').update(attached).digest('hex');
  await fillCase(world.parts, from, [
    {
      controlNumber: 'R1',
      pages: [['Pay the SECRET amount today'], ['Second page']],
      native: Buffer.from('SECRET native'),
      instantJson: formatInstantJson({
        annotations: [
          redaction('r', [60, 85, 300, 20]),
          highlight('h', 1),
          sticker('s', id),
          stamp('b', 'ACME000001'),
          note('n', 'a note'),
        ],
        comments: [comment('c', 'h', 'look at this')],
        attachments: new Map([[id, { bytes: attached, contentType: 'image/png' }]]),
      }),
    },
    { controlNumber: 'R2', pages: [['An innocent page']], native: Buffer.from('plain native') },
    { controlNumber: 'R3', pages: [['no pdf at all']], withoutPdf: true },
  ]);
  const job = await world.run(
    ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId: to,
      selection: { by: 'all' },
      includeNatives: true,
      annotations: { batesAs: 'brand_in' },
    }),
  );
  expect(job.failure).toBeNull();
  const { items } = await listItems(world.parts, job.jobId, { limit: 100 });
  const ends = Object.fromEntries(
    items.map((item) => [`${item.sourceControlNumber} ${item.stage}`, item.code ?? item.state]),
  );
  expect(ends).toMatchObject({
    'R1 object_copy': 'done',
    'R1 pre_uploader': 'done',
    'R1 uploader': 'done',
    'R1 re_ocr': 'done',
    'R1 search_text': 'done',
    'R2 re_ocr': 'text_copied',
    'R3 pre_uploader': 'no_pdf',
    'R3 uploader': 'no_pdf',
    'R3 re_ocr': 'text_copied',
    'R3 search_text': 'done',
  });
  expect(job.state).toBe('FINISHED');
  expect(await keyedText(to)).not.toContain('SECRET');
  expect(await world.parts.index.search(to, { text: 'SECRET' }, { limit: 10 })).toEqual([]);
  expect(await world.parts.index.search(to, { text: 'innocent' }, { limit: 10 })).toHaveLength(1);
  expect(await world.parts.index.search(to, { text: '"second page"' }, { limit: 10 })).toHaveLength(1);
  const first = items.find(({ sourceControlNumber, stage }) => sourceControlNumber === 'R1' && stage === 'uploader');
  const engineId = EngineDocumentId.parse(first?.detail?.['engineDocumentId']);
  const there = await world.parts.engine.exportInstantJson(engineId);
  expect(there.annotations.map((one) => one.id).sort()).toEqual(['h', 'n', 's']);
  expect(there.comments.map((one) => one.id)).toEqual(['c']);
  expect((await world.parts.engine.pageText(engineId, 0)).text).not.toContain('SECRET');
  expect((await world.parts.engine.pageText(engineId, 0)).text).toContain('ACME000001');
  const { rows } = await world.parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query(
      `SELECT e.control_number, (SELECT json_agg(v.type ORDER BY v.type) FROM source_document__variants v WHERE v.root_document_id = e.document_document_id) AS variants FROM exhibit e ORDER BY 1`,
    ),
  );
  expect(rows).toEqual([
    { control_number: 'R1', variants: ['pdf'] },
    { control_number: 'R2', variants: ['native', 'pdf'] },
    { control_number: 'R3', variants: null },
  ]);
}, 90_000);

test('the same key is the same job; another body under it is refused; a rollback leaves the case as it was', async () => {
  const from = await world.createCase('key from');
  const to = await world.createCase('key to');
  await fillCase(world.parts, from, [
    { controlNumber: 'K1', pages: [['one']], custodian: 'Ann', label: 'Hot', fields: { Matter: 'x' } },
    { controlNumber: 'K2', pages: [['two']], parent: 'K1' },
  ]);
  await fillCase(world.parts, to, [{ controlNumber: 'Z1', pages: [['mine']], custodian: 'Ann' }]);
  const tables = async () => {
    const { rows } = await world.parts.sessions.withCase(to, testActor, async (tx) =>
      tx.query<{ name: string }>(
        `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema() AND table_name NOT LIKE 'exchange_%' AND table_name <> 'record_copy_job' ORDER BY 1`,
      ),
    );
    const contents: Record<string, unknown> = {};
    for (const { name } of rows) {
      const { rows: found } = await world.parts.sessions.withCase(to, testActor, async (tx) =>
        tx.query(`SELECT to_jsonb(t)::text AS row FROM "${name}" t ORDER BY 1`),
      );
      contents[name] = found;
    }
    return contents;
  };
  const before = await tables();
  const objectsBefore = await keyedText(to);
  const request = ExchangeRequest.parse({ sourceCaseId: from, destinationCaseId: to, selection: { by: 'all' } });
  const key = randomUUID();
  const [one, two] = await Promise.all([
    requestExchange(world.parts, testActor, request, key),
    requestExchange(world.parts, testActor, request, key),
  ]);
  expect([one.created, two.created].filter(Boolean)).toHaveLength(1);
  expect(one.job.jobId).toBe(two.job.jobId);
  await expect(requestExchange(world.parts, testActor, { ...request, includeText: false }, key)).rejects.toMatchObject({
    code: 'idempotency_key_reused',
  });
  const job = await world.settled(one.job.jobId);
  expect(job.state).toBe('FINISHED');
  await expect(world.run(request, `${key} other`)).rejects.toMatchObject({ code: 'exchange_conflict' });
  const again = await world.run({ ...request, onConflict: 'skip' }, `${key} third`);
  expect(again.state).toBe('FINISHED');
  expect(again.counters.records['Casebound.Exhibit'] ?? 0).toBe(0);
  const dedupe = await world.run({ ...request, deduplicate: 'destination' }, `${key} fourth`);
  expect(dedupe.state).toBe('FINISHED');
  for (const id of [dedupe.jobId, again.jobId, job.jobId]) {
    await rollBack(world.parts, id);
    const ended = await world.settled(id);
    expect(ended).toMatchObject({ state: 'ROLLED_BACK', resources: [] });
  }
  expect(await tables()).toEqual(before);
  expect(await keyedText(to)).toEqual(objectsBefore);
  expect(await world.parts.index.count(to)).toBe(0);
}, 120_000);

test('missing and damaged objects end their items, the rest arrives, and a retry brings what was mended', async () => {
  const from = await world.createCase('bad from');
  const to = await world.createCase('bad to');
  const filled = await fillCase(
    world.parts,
    from,
    [
      { controlNumber: 'B1', pages: [['good']], native: Buffer.from('good') },
      { controlNumber: 'B2', pages: [['gone']], native: Buffer.from('gone') },
      { controlNumber: 'B3', pages: [['changed']], native: Buffer.from('old') },
    ],
    { engine: false },
  );
  const nativeOf = (number: string) => {
    const one = filled.get(number);
    return objectKey(`case_${from}/processed-files/${one?.batchId}/native/${one?.documentKey}/content`);
  };
  await world.parts.objects.delete(nativeOf('B2'));
  await world.parts.objects.put(nativeOf('B3'), Buffer.from('new'));
  const job = await world.run(
    ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId: to,
      selection: { by: 'all' },
      includeNatives: true,
      annotations: noAnnotations,
    }),
  );
  expect(job.state).toBe('FINISHED_WITH_ERRORS');
  const failed = await listItems(world.parts, job.jobId, { state: 'failed', limit: 10 });
  expect(failed.items.map(({ sourceControlNumber, code }) => [sourceControlNumber, code])).toEqual([
    ['B2', 'DOCUMENT_NOT_FOUND'],
    ['B3', 'object_corrupt'],
  ]);
  await world.parts.objects.put(nativeOf('B2'), Buffer.from('gone'));
  await world.parts.objects.put(nativeOf('B3'), Buffer.from('old'));
  expect(await retryFailed(world.parts, job.jobId)).toMatchObject({ items: 2 });
  const ended = await world.settled(job.jobId);
  expect(ended).toMatchObject({ state: 'FINISHED', round: 1, resources: [] });
  const { rows } = await world.parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query(`SELECT count(*)::int AS n FROM source_document__variants WHERE type = 'native'`),
  );
  expect(rows).toEqual([{ n: 3 }]);
}, 90_000);

test('an exhibit that was overlaid has again what it had when that is rolled back', async () => {
  const from = await world.createCase('overlay from');
  const to = await world.createCase('overlay to');
  await fillCase(world.parts, from, [{ controlNumber: 'O1', pages: [['fresh words']], fields: { Matter: 'new' } }]);
  const there = await fillCase(world.parts, to, [
    { controlNumber: 'O1', pages: [['old words']], fields: { Matter: 'old' }, custodian: 'Ann' },
  ]);
  const exhibitId = there.get('O1')?.exhibitId ?? 0;
  const valueOf = async () =>
    (await world.parts.fields.read(to, testActor, [exhibitId])).get(exhibitId)?.values['Matter'];
  const found = async (text: string) => world.parts.index.search(to, { text }, { limit: 5 });
  const job = await world.run(
    ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId: to,
      selection: { by: 'all' },
      annotations: noAnnotations,
      onConflict: 'overlay',
    }),
  );
  expect(job.state).toBe('FINISHED');
  expect([await valueOf(), await found('fresh'), await found('new')]).toEqual(['new', [exhibitId], [exhibitId]]);
  await rollBack(world.parts, job.jobId);
  expect((await world.settled(job.jobId)).state).toBe('ROLLED_BACK');
  expect([await valueOf(), await found('fresh'), await found('old')]).toEqual(['old', [], [exhibitId]]);
  const { rows } = await world.parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query(
      `SELECT d.document_key, (SELECT count(*)::int FROM source_document) AS documents FROM exhibit e JOIN source_document d ON d.document_id = e.document_document_id`,
    ),
  );
  expect(rows).toEqual([{ document_key: there.get('O1')?.documentKey, documents: 1 }]);
}, 90_000);

test('a rollback needs the destination alone, and a deleted destination needs no rollback', async () => {
  const [from, to, lost] = [
    await world.createCase('gone'),
    await world.createCase('stays'),
    await world.createCase('lost'),
  ];
  await fillCase(world.parts, from, [{ controlNumber: 'G1', pages: [['words']] }]);
  const ask = (destinationCaseId: CaseId): ExchangeRequest =>
    ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId,
      selection: { by: 'all' },
      annotations: noAnnotations,
    });
  const [stays, gone] = [await world.run(ask(to)), await world.run(ask(lost))];
  const cases = caseDependencies(world.test.databases);
  await deleteCase(cases, testActor, from);
  await deleteCase(cases, testActor, lost);
  for (const { jobId } of [stays, gone]) {
    await rollBack(world.parts, jobId);
    expect(await world.settled(jobId)).toMatchObject({ state: 'ROLLED_BACK' });
  }
  const { rows } = await world.parts.sessions.withCase(to, testActor, async (tx) => tx.query('SELECT 1 FROM exhibit'));
  expect(rows).toEqual([]);
}, 90_000);

test('a rollback keeps and lists what somebody changed, with its files', async () => {
  const [from, to] = [await world.createCase('kept from'), await world.createCase('kept to')];
  await fillCase(world.parts, from, [
    { controlNumber: 'C1', pages: [['changed words']], label: 'Hot' },
    { controlNumber: 'C2', pages: [['other words']] },
  ]);
  const job = await world.run(
    ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId: to,
      selection: { by: 'all' },
      annotations: noAnnotations,
    }),
  );
  const store = await world.parts.records.open(to, testActor);
  const exhibits = caseResource(store.model, 'exhibits');
  const { bodies } = await listDocuments(store, exhibits, { filters: [{ field: 'controlNumber', value: 'C1' }] });
  const found = z.looseObject({ id: z.string() }).parse(JSON.parse(bodies[0] ?? '{}'));
  await putDocument(store, exhibits, found.id, { ...found, notes: 'mine' });
  await rollBack(world.parts, job.jobId);
  const ended = await world.settled(job.jobId);
  expect(ended.state).toBe('ROLLED_BACK');
  expect(ended.checkpoint.kept?.some((line) => /^Casebound\.Exhibit \d+: changed$/.test(line))).toBe(true);
  const { rows } = await world.parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query<{ control_number: string; object_key: string }>(
      `SELECT e.control_number, v.object_key FROM exhibit e JOIN source_document__variants v ON v.root_document_id = e.document_document_id`,
    ),
  );
  expect(rows.map((row) => row.control_number)).toEqual(['C1']);
  expect(await world.parts.objects.head(objectKey(rows[0]?.object_key ?? ''))).toBeDefined();
  expect(await world.parts.index.search(to, { text: 'words' }, { limit: 5 })).toHaveLength(1);
}, 90_000);

test('an exhibit whose imported annotations the engine does not have ends as failed, and nothing of it leaks', async () => {
  const [from, to] = [await world.createCase('unread from'), await world.createCase('unread to')];
  const filled = await fillCase(
    world.parts,
    from,
    [{ controlNumber: 'U1', pages: [['the SECRET words']], native: Buffer.from('SECRET') }],
    { engine: false },
  );
  const one = filled.get('U1');
  const annotations = Buffer.from(
    JSON.stringify(
      formatInstantJson({ annotations: [redaction('r', [60, 85, 300, 20])], comments: [], attachments: new Map() }),
    ),
  );
  await world.parts.objects.put(
    objectKey(`case_${from}/processed-files/${one?.batchId}/annotations/${one?.documentKey}/instant.json`),
    annotations,
  );
  const job = await world.run(
    ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId: to,
      selection: { by: 'all' },
      includeNatives: true,
    }),
  );
  expect(job.state).toBe('FINISHED_WITH_ERRORS');
  const { items } = await listItems(world.parts, job.jobId, { state: 'failed', limit: 10 });
  expect(items).toMatchObject([{ stage: 'pre_uploader', code: 'annotations_unread' }]);
  expect(await keyedText(to)).not.toContain('SECRET');
  expect(await world.parts.index.search(to, { text: 'secret' }, { limit: 5 })).toEqual([]);
}, 90_000);
