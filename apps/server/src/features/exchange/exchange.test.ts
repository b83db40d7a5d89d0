import { ExchangeRequest } from '@casebound/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
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
