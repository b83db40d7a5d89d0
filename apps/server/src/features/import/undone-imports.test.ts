/** What is left of an import that was undone: entries of the audit trail that say so, and nothing else. */
import { readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { AccountId, type Actor, BatchId, type CaseId, DocumentId, ExhibitId, type JobId } from '@casebound/contract';
import { upsertDocument } from '@casebound/records';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../database/testing/open-test-databases.ts';
import { formatDocumentId } from '../../platform/document-engine/Port.ts';
import { samplePdf } from '../../platform/document-engine/testing/sample-pdf.ts';
import { type AuditHandlerParts, createAuditHandlers, createAuditSealer } from '../audit/index.ts';
import { caseResource } from '../records/index.ts';
import { cancelImport } from './look-at-imports.ts';
import { describeCase } from './testing/describe-case.ts';
import { openTestImport, testActor, type TestImport } from './testing/open-test-import.ts';
import { dat, writeSource } from './testing/write-source.ts';

const accountId = AccountId.parse('0196f0c0-0000-7000-8000-000000000001');
const someone: Actor = { kind: 'account', accountId, name: 'Ann', permissions: ['case.write'] };
const numbers = Array.from({ length: 12 }, (_, at) => `A${String(at + 1).padStart(4, '0')}`);

let test: TestImport;
let folder: TemporaryFolder;
let made = 0;
beforeAll(async () => {
  test = await openTestImport({ chunkRows: 4 });
  folder = await createTemporaryFolder();
}, 60_000);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** Roots with a child each, so that an undo takes more than one set. */
const source = async (subject = 'subject'): Promise<string> =>
  writeSource(path.join(folder.path, `s${(made += 1)}`), {
    'load.dat': dat(
      ['BEGDOC', 'PARENTID', 'SUBJECT'],
      ...numbers.map((number, at) => [number, at % 2 === 0 ? '' : (numbers[at - 1] ?? ''), `${subject} ${number}`]),
    ),
  });

/** Runs an import, and stops it at the nth time that it comes to a point. */
const stopAt = async (caseId: CaseId, jobId: JobId, point: string, nth = 1): Promise<void> => {
  let times = 0;
  const running = test.run(caseId, jobId, {
    crashPoint: (name) => {
      if (name === point && (times += 1) === nth) throw new Error('stopped here');
    },
  });
  await expect(running).rejects.toThrow('stopped here');
};

interface Entry {
  readonly actor: string;
  readonly origin: string;
  readonly resource: string;
  readonly record_id: string;
  readonly record_key: string;
  readonly changes: Record<string, unknown>;
}

const entriesOf = async (caseId: CaseId): Promise<readonly Entry[]> =>
  test.parts.sessions.withCase(caseId, testActor, async (tx) => {
    const { rows } = await tx.query<Entry & Record<string, unknown>>('SELECT * FROM model_audit ORDER BY audit_id');
    return rows;
  });

const historyOf = async (caseId: CaseId, exhibitId: number) => {
  const { sessions, clock } = test.parts;
  const parts: AuditHandlerParts = {
    sessions,
    control: test.databases.control,
    seal: createAuditSealer({ sessions, clock, log: silentLog }).seal,
  };
  const { entries } = await createAuditHandlers(parts).readAuditHistory({
    actor: testActor,
    requestId: 'r',
    signal: new AbortController().signal,
    params: { caseId, exhibitId: ExhibitId.parse(exhibitId) },
    query: { after: 0, limit: 10 },
    body: undefined,
  });
  return entries;
};

const cancelled = async (interrupt: boolean) => {
  const caseId = await test.makeCase(`undone ${(made += 1)}`);
  const { jobId, batch } = await test.accept(caseId, { path: await source(), ocr: 'off' });
  await stopAt(caseId, jobId, 'import.chunk.committed', 3);
  await cancelImport(test.parts, someone, caseId, jobId);
  if (interrupt) await stopAt(caseId, jobId, 'import.set.undone');
  expect((await test.run(caseId, jobId)).state).toBe('cancelled');
  return { caseId, jobId, batch };
};

describe('the audit trail of an import that was cancelled', () => {
  it.each([
    ['in one go', false],
    ['with an interruption', true],
  ])('says of each exhibit and of the batch who had it undone, %s', async (_, interrupt) => {
    const { caseId, jobId, batch } = await cancelled(interrupt);
    const entries = await entriesOf(caseId);
    const of = (origin: string, resource: string) =>
      entries.filter((one) => one.origin === origin && one.resource === resource);
    const brought = of(`import ${jobId}`, 'exhibits');
    const undone = of(`import ${jobId} undone`, 'exhibits');
    expect(brought.map((one) => one.record_key).toSorted()).toEqual(numbers);
    expect(undone.map((one) => one.record_key).toSorted()).toEqual(numbers);
    expect(undone.every((one) => one.actor === accountId)).toBe(true);
    expect(of(`import ${jobId} undone`, 'batches')).toMatchObject([
      {
        actor: accountId,
        record_key: batch,
        changes: { exhibits: [12, 0], undone: [null, 'The import was cancelled.'] },
      },
    ]);
    expect(entries).toHaveLength(2 * numbers.length + 1);
    for (const { record_id: id, record_key: number } of brought) {
      const changes = (await historyOf(caseId, Number(id))).map((one) => one.changes);
      expect(changes).toEqual([{ imported: [null, number] }, { imported: [number, null] }]);
    }
  });

  it('leaves the history of what is imported anew to itself', async () => {
    const { caseId } = await cancelled(false);
    const { jobId } = await test.import(caseId, { path: await source(), ocr: 'off' });
    const { rows } = await test.parts.sessions.withCase(caseId, testActor, async (tx) =>
      tx.query<{ document_id: string }>('SELECT document_id FROM exhibit WHERE control_number = $1', [numbers[3]]),
    );
    expect(await historyOf(caseId, Number(rows[0]?.document_id))).toMatchObject([
      { origin: `import ${jobId}`, changes: { imported: [null, numbers[3]] } },
    ]);
  });

  it('says of an overlay how many it had changed', async () => {
    const caseId = await test.makeCase(`undone ${(made += 1)}`);
    await test.import(caseId, { path: await source(), ocr: 'off' });
    const overlay = { mode: 'replace' } as const;
    const { jobId } = await test.accept(caseId, { path: await source('other'), overlay, ocr: 'off' });
    await stopAt(caseId, jobId, 'import.chunk.committed', 3);
    await cancelImport(test.parts, someone, caseId, jobId);
    await test.run(caseId, jobId);
    const undone = (await entriesOf(caseId)).filter((one) => one.origin === `overlay ${jobId} undone`);
    expect(undone.every((one) => one.actor === accountId)).toBe(true);
    expect(undone.filter((one) => one.resource === 'exhibits')).toHaveLength(12);
    expect(undone.at(-1)).toMatchObject({ resource: 'batches', changes: { overlaid: [12, 0] } });
  });
});

it('an import that failed is undone to its end, though what failed it is gone when it is taken up again', async () => {
  const caseId = await test.makeCase(`undone ${(made += 1)}`);
  const root = await source();
  const file = path.join(root, 'load.dat');
  const [was, { atime, mtime }] = [readFileSync(file), statSync(file)];
  utimesSync(file, atime, new Date(Math.floor(mtime.getTime() / 1000) * 1000));
  const { jobId } = await test.accept(caseId, { path: root, ocr: 'off' });
  await stopAt(caseId, jobId, 'import.chunk.committed', 2);
  writeFileSync(file, 'something else');
  await stopAt(caseId, jobId, 'import.set.undone');
  writeFileSync(file, was);
  utimesSync(file, atime, new Date(Math.floor(mtime.getTime() / 1000) * 1000));
  expect(await test.run(caseId, jobId)).toMatchObject({ state: 'failed', resumable: false, counts: { imported: 0 } });
  expect(await describeCase(test, caseId)).toMatchObject({ exhibits: {}, objects: [], leftovers: [] });
  const undone = (await entriesOf(caseId)).filter((one) => one.origin === `import ${jobId} undone`);
  expect(undone.at(-1)).toMatchObject({ actor: 'system', resource: 'batches', changes: { exhibits: [8, 0] } });
});

/** As if all exhibits of the import had come with annotations. */
const putIntoEngine = async (caseId: CaseId, jobId: JobId) => {
  const { rows } = await test.parts.sessions.withCase(caseId, testActor, async (tx) =>
    tx.query<{ exhibit_id: string; document_id: string; batch_id: string; number: string }>(
      `WITH marked AS (
         INSERT INTO import_processing (job_id, exhibit_id, document_id, document_key, row_no, has_annotations)
         SELECT $1, e.document_id, d.document_id, document_key, e.document_id, true FROM exhibit e JOIN source_document d ON d.document_id = document_document_id
         RETURNING exhibit_id, document_id)
       SELECT marked.*, batch_document_id AS batch_id, control_number AS number FROM marked JOIN exhibit e ON e.document_id = exhibit_id`,
      [jobId],
    ),
  );
  const documents = rows.map((row) => ({
    number: row.number,
    id: formatDocumentId({
      caseId,
      batchId: BatchId.parse(Number(row.batch_id)),
      documentId: DocumentId.parse(Number(row.document_id)),
      exhibitId: ExhibitId.parse(Number(row.exhibit_id)),
    }),
  }));
  for (const { id } of documents) await test.parts.engine.putDocument(id, samplePdf([['words']]));
  return documents;
};

it('an exhibit that is left, for others refer to it, keeps its values and is found', async () => {
  const caseId = await test.makeCase(`left ${(made += 1)}`);
  const at = await writeSource(path.join(folder.path, `s${made}`), {
    'load.dat': dat(['BEGDOC', 'SUBJECT', 'Matter'], ['A1', 'words', 'kept'], ['A2', 'words', 'gone']),
  });
  const { jobId } = await test.accept(caseId, { path: at, ocr: 'off' });
  await stopAt(caseId, jobId, 'import.set.indexed');
  const { sessions, records, fields, index, engine } = test.parts;
  const store = await records.open(caseId, testActor);
  await upsertDocument(store, caseResource(records.model, 'relevancyLogs'), {
    exhibitReference: { controlNumber: 'A1' },
    sequence: 1,
    newRelevancy: 'Relevant',
    changedBy: 'Ann',
    changedAt: '2026-01-02T03:04:05Z',
  });
  const lying = await putIntoEngine(caseId, jobId);
  await cancelImport(test.parts, someone, caseId, jobId);
  expect((await test.run(caseId, jobId)).state).toBe('cancelled');
  const left = lying.map(async ({ number, id }) => ((await engine.findDocument(id)) === undefined ? '' : number));
  expect((await Promise.all(left)).join('')).toBe('A1');
  const { rows } = await sessions.withCase(caseId, testActor, async (tx) =>
    tx.query<{ id: string; control_number: string }>('SELECT document_id AS id, control_number FROM exhibit'),
  );
  expect(rows).toMatchObject([{ control_number: 'A1' }]);
  const exhibitId = Number(rows[0]?.id);
  expect((await fields.read(caseId, testActor, [exhibitId])).get(exhibitId)?.values).toEqual({ Matter: 'kept' });
  expect(await index.search(caseId, { text: 'words' }, { limit: 10 })).toEqual([exhibitId]);
});
