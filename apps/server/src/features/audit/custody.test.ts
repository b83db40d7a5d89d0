import type { CaseId } from '@casebound/contract';
import { type BulkRow, bulkWrite, type JsonValue } from '@casebound/records';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { caseResource } from '../records/index.ts';
import { openTestCases, testActor, type TestCases } from '../records/testing/open-test-cases.ts';
import { createAuditSealer } from './audit-sealer.ts';
import { recordChanges } from './record-changes.ts';
import { type AuditHandlers, createAuditHandlers } from './routes.ts';
import { createClock } from '../../platform/clock/create-clock.ts';
import { silentLog } from '../../database/testing/open-test-databases.ts';

let opened: TestCases;
let handlers: AuditHandlers;
let caseId: CaseId;
beforeAll(async () => {
  opened = await openTestCases();
  const { cases: sessions, control } = opened.databases;
  const sealer = createAuditSealer({ sessions, clock: createClock(), log: silentLog });
  handlers = createAuditHandlers({ sessions, control, seal: sealer.seal });
});
beforeEach(async () => {
  caseId = await opened.makeCase('Custody');
});
afterAll(async () => opened.close());

const call = { actor: testActor, requestId: 'r', signal: new AbortController().signal } as const;
const write = async (changes: Record<string, readonly [unknown, unknown]>): Promise<void> =>
  opened.databases.cases.withCase(caseId, testActor, async (tx) =>
    recordChanges(tx, { actor: 'someone' }, 'exhibits', [{ recordId: 7, recordKey: 'EX-7', changes }]),
  );
const verify = async (head?: string) =>
  handlers.verifyAudit({ ...call, params: { caseId }, query: undefined, body: head === undefined ? {} : { head } });

/** What a transaction of another test on the server still holds back is sealed by a later look. */
const whole = async (blocks: number): Promise<void> => {
  await expect
    .poll(async () => verify(), { timeout: 20_000 })
    .toMatchObject({ blocks, sealedRows: blocks, unsealedRows: 0, findings: [] });
};

test('a trail that nobody sealed is sealed before it is verified, and a head that was kept is found again', async () => {
  await write({ Comment: [null, 'a'] });
  await whole(1);
  const head = (await verify()).head ?? '';
  await write({ Comment: ['a', 'b'] });
  await whole(2);
  expect(await verify(head)).toMatchObject({ blocks: 2, findings: [] });
  expect((await verify('0'.repeat(64))).findings).toMatchObject([{ kind: 'head_missing' }]);
});

test('history tells one field by itself, and what is sealed', async () => {
  await write({ Comment: [null, 'a'] });
  await whole(1);
  await write({ Comment: ['a', 'b'] });
  await whole(2);
  await write({ privilege: [null, 'Privileged'] });
  const read = async (field?: string) =>
    handlers.readAuditHistory({
      ...call,
      params: { caseId, exhibitId: 7 as never },
      query: { after: 0, limit: 100, ...(field === undefined ? {} : { field }) },
      body: undefined,
    });
  expect((await read()).entries.map((it) => [Object.keys(it.changes)[0], it.sealed])).toEqual([
    ['Comment', true],
    ['Comment', true],
    ['privilege', false],
  ]);
  expect((await read('privilege')).entries).toMatchObject([{ changes: { privilege: [null, 'Privileged'] } }]);
});

test('custody tells the import, the file with its hashes, and its renditions', async () => {
  const { model } = opened.records;
  const row = (endpoint: string, document: { [key: string]: JsonValue }): BulkRow => ({
    resource: caseResource(model, endpoint),
    document,
  });
  const file = (type: string, sha256: string): { [key: string]: JsonValue } => ({
    type,
    position: 1,
    objectKey: `case_${caseId}/x/${type}`,
    size: 3,
    sha256,
  });
  await bulkWrite(await opened.records.open(caseId, testActor), [
    row('batches', { name: 'First', kind: 'import', jobId: 'job-1', source: '/in/prod', createdBy: 'ann' }),
    row('documents', {
      documentKey: 'd',
      sourcePath: 'C:\\mail\\a.eml',
      sha256Hash: 'a'.repeat(64),
      variants: [file('native', 'a'.repeat(64)), file('pdf', 'b'.repeat(64))],
    }),
    row('exhibits', {
      controlNumber: 'C-1',
      documentReference: { documentKey: 'd' },
      batchReference: { name: 'First' },
      custodians: [],
      labels: [],
      folders: [],
      pages: [],
    }),
  ]);
  const { rows } = await opened.databases.cases.withCase(caseId, testActor, async (tx) =>
    tx.query<{ document_id: string }>('SELECT document_id FROM exhibit'),
  );
  const exhibitId = Number(rows[0]?.document_id);
  const chain = await handlers.getChainOfCustody({
    ...call,
    params: { caseId, exhibitId: exhibitId as never },
    query: undefined,
    body: undefined,
  });
  expect(chain).toMatchObject({
    controlNumber: 'C-1',
    source: { path: 'C:\\mail\\a.eml', sha256: 'a'.repeat(64) },
    events: [
      { kind: 'imported', jobId: 'job-1', by: 'ann', files: [{ type: 'native', sha256: 'a'.repeat(64) }] },
      { kind: 'rendition', files: [{ type: 'pdf', sha256: 'b'.repeat(64) }] },
    ],
  });
  await expect(
    handlers.getChainOfCustody({
      ...call,
      params: { caseId, exhibitId: 999_999 as never },
      query: undefined,
      body: undefined,
    }),
  ).rejects.toMatchObject({ code: 'exhibit_not_found' });
});
