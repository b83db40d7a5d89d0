/** What comes between the statements by which an exchange is steered: each order of two requests ends as one of them alone would. */
import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { type CaseId, ExchangeRequest, hasCode, type JobId } from '@casebound/contract';
import { upsertDocument } from '@casebound/records';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { betweenStatements, betweenStatementsOf } from '../../database/testing/between-statements.ts';
import { objectKey, objectPrefix } from '../../platform/object-store/Port.ts';
import { readBytes } from '../../platform/object-store/read-bytes.ts';
import { caseResource } from '../records/index.ts';
import { ensureBatch, stateBatch } from './batch-record.ts';
import { getJob } from './job-store.ts';
import { requestExchange } from './request-exchange.ts';
import { cancelExchange, retryFailed } from './steer-exchange.ts';
import { fillCase } from './testing/fill-case.ts';
import { openTestExchange, testActor, type TestExchange } from './testing/open-test-exchange.ts';

let world: TestExchange;
let atTheEnd: (() => Promise<unknown>) | undefined;
let beforeFiles: (() => Promise<unknown>) | undefined;
beforeAll(async () => {
  world = await openTestExchange({
    settleMs: 30_000,
    // So that an exchange is at work for a while after its last item has ended.
    config: { pollMs: 1_000 },
    change: (parts) => ({
      ...parts,
      sessions: betweenStatements(
        parts.sessions,
        (text) => beforeFiles !== undefined && text.startsWith('SELECT root_document_id, type, position'),
        async () => beforeFiles?.(),
      ),
      control: betweenStatementsOf(
        parts.control,
        (text, values) =>
          atTheEnd !== undefined && text.startsWith('UPDATE exchange.job') && values.includes('FINISHED'),
        async () => atTheEnd?.(),
      ),
    }),
  });
});
afterAll(async () => world[Symbol.asyncDispose]());

const noAnnotations = {
  redactionsAs: 'omit',
  highlightsAs: 'omit',
  notesAs: 'omit',
  stickersAs: 'omit',
  batesAs: 'omit',
  confidentialityCodesAs: 'omit',
  comments: 'omit',
} as const;

const requestOf = (from: CaseId, to: CaseId, more: object = {}): ExchangeRequest =>
  ExchangeRequest.parse({
    sourceCaseId: from,
    destinationCaseId: to,
    selection: { by: 'all' },
    includeNatives: true,
    ...more,
  });

const jobOf = async (jobId: JobId) =>
  world.parts.control.transaction({ readOnly: true }, async (tx) => getJob(tx, jobId));

const until = async (isSo: () => Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await setTimeout(20);
};

const hasFailedAgain = async (caseId: CaseId, jobId: JobId): Promise<boolean> =>
  world.parts.sessions.withCase(caseId, testActor, async (tx) => {
    const { rowCount } = await tx.query(
      `SELECT FROM exchange_item WHERE job_id = $1 AND stage = 'object_copy' AND state = 'failed' AND attempts = 2`,
      [jobId],
    );
    return rowCount === 1;
  });

test('a retry comes to its end where one of two stages that run side by side failed', async () => {
  const [from, to] = [await world.createCase('side by side from'), await world.createCase('side by side to')];
  const filled = await fillCase(world.parts, from, [
    { controlNumber: 'A1', pages: [['words']], native: Buffer.from('native') },
  ]);
  const { batchId, documentKey } = filled.get('A1') ?? { batchId: 0, documentKey: '' };
  const native = objectKey(`case_${from}/processed-files/${batchId}/native/${documentKey}/content`);
  await world.parts.objects.delete(native);
  // Annotations travel, so that the PDF is brought beside the native.
  const { jobId, state } = await world.run(requestOf(from, to));
  expect(state).toBe('FINISHED_WITH_ERRORS');
  await world.parts.objects.put(native, Buffer.from('native'));
  expect(await retryFailed(world.parts, jobId)).toMatchObject({ items: 1 });
  expect(await world.settled(jobId)).toMatchObject({ state: 'FINISHED', round: 1 });
}, 90_000);

test('two who retry the failed items of one exchange open them once', async () => {
  const [from, to] = [await world.createCase('retried from'), await world.createCase('retried to')];
  const filled = await fillCase(world.parts, from, [
    { controlNumber: 'B1', pages: [['gone']], native: Buffer.from('gone') },
  ]);
  const { batchId } = filled.get('B1') ?? { batchId: 0 };
  await world.parts.objects.deletePrefix(objectPrefix(`case_${from}/processed-files/${batchId}/native/`));
  const { jobId, state } = await world.run(requestOf(from, to));
  expect(state).toBe('FINISHED_WITH_ERRORS');
  let other: Promise<unknown> = Promise.resolve();
  const sessions = betweenStatements(
    world.parts.sessions,
    (text) => text.startsWith('WITH broken'),
    async () => {
      other = retryFailed(world.parts, jobId).catch((error: unknown) => error);
      // It waits where the row of the job is locked; else its item fails once more while the exchange is still at work.
      await Promise.race([until(async () => hasFailedAgain(to, jobId)), setTimeout(3_000)]);
    },
  );
  const mine = await retryFailed({ ...world.parts, sessions }, jobId).catch((error: unknown) => error);
  const refused = [mine, await other].filter((one) => hasCode(one, 'exchange_state_conflict'));
  expect(refused).toHaveLength(1);
  expect(await world.settled(jobId)).toMatchObject({ state: 'FINISHED_WITH_ERRORS', round: 1 });
  const { rows } = await world.parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query(`SELECT stage, state FROM exchange_item WHERE job_id = $1 AND state = 'pending'`, [jobId]),
  );
  expect(rows).toEqual([]);
}, 60_000);

test('an exchange that is cancelled while it ends is cancelled', async () => {
  const [from, to] = [await world.createCase('late from'), await world.createCase('late to')];
  await fillCase(world.parts, from, [{ controlNumber: 'C1', pages: [['words']] }]);
  const { job } = await requestExchange(world.parts, testActor, requestOf(from, to), undefined);
  atTheEnd = async () => cancelExchange({ ...world.parts, control: world.databases.control }, job.jobId);
  expect(await world.settled(job.jobId)).toMatchObject({ state: 'CANCELLED', resources: [] });
  const { rows } = await world.parts.sessions.withCase(to, testActor, async (tx) => tx.query('SELECT FROM exhibit'));
  expect(rows).toEqual([]);
}, 60_000);

test('a batch that gets the name of an exchange while that makes its own stays what it is', async () => {
  const [from, to] = [await world.createCase('named from'), await world.createCase('named to')];
  await fillCase(world.parts, from, [{ controlNumber: 'D1', pages: [['words']] }]);
  const { jobId } = await world.run(requestOf(from, to));
  const job = await jobOf(jobId);
  const { records } = world.parts;
  const own = { ...job, request: { ...job.request, batchName: 'Volume 1' } };
  const sessions = betweenStatements(
    world.parts.sessions,
    (text) => text.startsWith('SELECT i.referential_id'),
    async () =>
      upsertDocument(await records.open(to, testActor), caseResource(records.model, 'batches'), {
        name: 'Volume 1',
        kind: 'import',
        source: 'a disk',
      }),
  );
  const { signal } = new AbortController();
  const failure = await ensureBatch({ records, sessions }, own, signal).catch((error: unknown) => error);
  expect(failure).toMatchObject({ family: 'recoverable' });
  await expect(ensureBatch({ records, sessions: world.parts.sessions }, own, signal)).rejects.toMatchObject({
    code: 'exchange_conflict',
  });
  const { rows } = await world.parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query(`SELECT kind, source FROM batch WHERE name = 'Volume 1'`),
  );
  expect(rows).toEqual([{ kind: 'import', source: 'a disk' }]);
}, 60_000);

test('a batch tells the newest state of its exchange, whoever read an older one and tells it later', async () => {
  const [from, to] = [await world.createCase('told from'), await world.createCase('told to')];
  await fillCase(world.parts, from, [{ controlNumber: 'E1', pages: [['words']] }]);
  const { jobId } = await world.run(requestOf(from, to));
  const ended = await jobOf(jobId);
  const { records, sessions, control } = world.parts;
  const states: string[] = [];
  // Who read the job before it ended, and is slow to tell.
  await stateBatch({ records, sessions, control }, { ...ended, state: 'INITIATED', finishedAt: null });
  const { rows } = await sessions.withCase(to, testActor, async (tx) =>
    tx.query<{ state: string }>('SELECT state FROM batch WHERE document_id = $1', [ended.batchId]),
  );
  states.push(...rows.map((row) => row.state));
  expect(states).toEqual(['FINISHED']);
}, 60_000);

test('a file that is replaced in the source after its record was copied is told, and no proof of the old one', async () => {
  const [from, to] = [await world.createCase('replaced from'), await world.createCase('replaced to')];
  const filled = await fillCase(world.parts, from, [
    { controlNumber: 'F1', pages: [['words']], native: Buffer.from('old native') },
  ]);
  const { batchId, documentKey } = filled.get('F1') ?? { batchId: 0, documentKey: '' };
  const native = objectKey(`case_${from}/processed-files/${batchId}/native/${documentKey}/content`);
  const bytes = Buffer.from('new native');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const sessions = world.databases.cases;
  // As an overlay does.
  beforeFiles = async () => {
    await world.parts.objects.put(native, bytes);
    await sessions.withCase(from, testActor, async (tx) => {
      await tx.query(`UPDATE source_document__variants SET sha256 = $1, size = $2 WHERE type = 'native'`, [
        sha256,
        bytes.length,
      ]);
      await tx.query('UPDATE source_document SET sha256_hash = $1', [sha256]);
      await tx.query(
        'UPDATE document SET etag = etag + 1 WHERE document_id IN (SELECT document_id FROM source_document)',
      );
    });
  };
  const job = await world.run(requestOf(from, to, { annotations: noAnnotations }));
  const { rows } = await sessions.withCase(to, testActor, async (tx) =>
    tx.query<{ is_one: boolean }>(
      `SELECT d.sha256_hash = $1 AS is_one FROM source_document d JOIN source_document__variants v ON v.root_document_id = d.document_id WHERE v.sha256 = $1`,
      [sha256],
    ),
  );
  // The record is of the old file, and the new one came.
  expect(rows).toEqual([{ is_one: false }]);
  expect(job).toMatchObject({ state: 'FINISHED_WITH_ERRORS' });
  const manifest = await readBytes(world.parts.objects, objectKey(job.manifestKey ?? ''), { maxBytes: 1_000_000 });
  expect(manifest.toString()).toContain('"source_changed"');
}, 60_000);

test('two confidentiality codes never share a bit: one that takes it while records are copied ends the exchange', async () => {
  const cases: CaseId[] = [];
  await using own = await openTestExchange({
    change: (parts) => ({
      ...parts,
      sessions: betweenStatements(
        parts.sessions,
        // The bits are chosen, and no record is written yet.
        (text) => text.startsWith('SELECT ordinal, source_exhibit_id, source_control_number'),
        async () => {
          const [destination] = cases;
          if (destination === undefined) return;
          const store = await parts.records.open(destination, testActor);
          await upsertDocument(store, caseResource(store.model, 'confidentialityCodes'), { code: 'OTHER', bit: 0 });
        },
      ),
    }),
  });
  const from = await own.createCase('coded from');
  const to = await own.createCase('coded to');
  cases.push(to);
  await fillCase(own.parts, from, [{ controlNumber: 'G1', pages: [['words']], code: 'AEO' }]);
  const job = await own.run(requestOf(from, to, { annotations: noAnnotations }));
  expect(job).toMatchObject({ state: 'FAILED', failure: { code: 'exchange_conflict' } });
  const { rows } = await own.databases.cases.withCase(to, testActor, async (tx) =>
    tx.query('SELECT code, bit::int FROM confidentiality_code'),
  );
  expect(rows).toEqual([{ code: 'OTHER', bit: 0 }]);
  // Asked for once more, it finds another bit.
  expect(await own.run(requestOf(from, to, { annotations: noAnnotations }), 'again')).toMatchObject({
    state: 'FINISHED',
  });
}, 90_000);
