/** What duplicates add to the exhibits that they are the same as: audited, told to the index, and taken back when their import is undone. */
import path from 'node:path';
import type { AnyEvent, CaseId, JobId } from '@casebound/contract';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cancelImport } from './look-at-imports.ts';
import { describeCase } from './testing/describe-case.ts';
import { openTestImport, testActor, type TestImport } from './testing/open-test-import.ts';
import { writeSource } from './testing/write-source.ts';

let test: TestImport;
let folder: TemporaryFolder;
const published: AnyEvent[] = [];
let made = 0;
beforeAll(async () => {
  test = await openTestImport({
    change: (parts) => ({
      ...parts,
      outbox: {
        ...parts.outbox,
        publish: async (tx, topic, events) => {
          published.push(...events);
          return parts.outbox.publish(tx, topic, events);
        },
      },
    }),
  });
  folder = await createTemporaryFolder();
}, 60_000);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const twins = 600;

/** A folder with one document, many times, each in a folder of its own. */
const source = async (copies: readonly string[]): Promise<string> =>
  writeSource(
    path.join(folder.path, `s${(made += 1)}`),
    Object.fromEntries(copies.map((copy) => [`${copy}/memo.txt`, 'The same words.'])),
  );

const originalIn = async (caseId: CaseId) => {
  const { exhibits } = await describeCase(test, caseId);
  const found = Object.values(
    exhibits as Record<string, { exhibit: Record<string, unknown>; document: Record<string, unknown> }>,
  );
  expect(found).toHaveLength(1);
  return {
    custodians: ((found[0]?.exhibit['custodians'] ?? []) as { custodianReference: { name: string } }[]).map(
      ({ custodianReference }) => custodianReference.name,
    ),
    paths: ((found[0]?.document['allPaths'] ?? []) as string[]).length,
  };
};

const auditOf = async (caseId: CaseId, origin: string) =>
  test.parts.sessions.withCase(caseId, testActor, async (tx) => {
    const { rows } = await tx.query<{ record_key: string; changes: Record<string, unknown> }>(
      'SELECT record_key, changes FROM model_audit WHERE origin = $1 ORDER BY audit_id',
      [origin],
    );
    return rows;
  });

const csvSource = async (...rows: readonly string[]): Promise<string> =>
  writeSource(path.join(folder.path, `s${(made += 1)}`), {
    'load.csv': ['BEGDOC,CUSTODIAN,MD5HASH,NATIVELINK', ...rows, ''].join('\r\n'),
  });

const stopAt = async (caseId: CaseId, jobId: JobId, point: string): Promise<void> =>
  expect(
    test.run(caseId, jobId, {
      crashPoint: (name) => {
        if (name === point) throw new Error('stopped here');
      },
    }),
  ).rejects.toThrow('stopped here');

const twinsOf = async (caseId: CaseId) =>
  test.accept(caseId, {
    path: await source(Array.from({ length: twins }, (_, at) => `copy${String(at).padStart(4, '0')}`)),
    ocr: 'off',
    deduplicate: 'case',
    custodian: 'Miller',
    controlNumberPrefix: 'TWIN',
  });

it('additions are audited at the original and told to the index; an undo takes them back', async () => {
  const caseId = await test.makeCase('originals');
  await test.import(caseId, { path: await source(['first']), ocr: 'off', deduplicate: 'case', custodian: 'Smith' });
  const before = await originalIn(caseId);
  expect(before.custodians).toEqual(['Smith']);

  published.length = 0;
  const { jobId } = await twinsOf(caseId);
  await stopAt(caseId, jobId, 'import.linked');
  expect(await originalIn(caseId)).toEqual({ custodians: ['Smith', 'Miller'], paths: before.paths + twins });
  const origin = `import ${jobId} duplicates`;
  const added = await auditOf(caseId, origin);
  // In sets of 500.
  expect(added.map((one) => Object.keys(one.changes).toSorted())).toEqual([
    ['document.allPaths', 'exhibit.custodians'],
    ['document.allPaths'],
  ]);
  const told = () => published.filter((event) => event.eventType === 'EXHIBITS_CHANGED').length;
  expect(told()).toBe(2);

  await cancelImport(test.parts, testActor, caseId, jobId);
  expect((await test.run(caseId, jobId)).state).toBe('cancelled');
  expect(await originalIn(caseId)).toEqual(before);
  expect(await auditOf(caseId, `${origin} undone`)).toHaveLength(2);
  expect(told()).toBe(4);
  expect(await test.problems(caseId, jobId)).toEqual([]);
});

it('what somebody changed of an original since stays, and is told', async () => {
  const caseId = await test.makeCase('originals changed');
  await test.import(caseId, { path: await source(['first']), ocr: 'off', deduplicate: 'case', custodian: 'Smith' });
  const { jobId } = await twinsOf(caseId);
  await stopAt(caseId, jobId, 'import.linked');
  await test.parts.sessions.withCase(caseId, testActor, async (tx) =>
    tx.query(
      'DELETE FROM exhibit__custodians WHERE custodian_document_id = (SELECT document_id FROM custodian WHERE name = $1)',
      ['Smith'],
    ),
  );
  await cancelImport(test.parts, testActor, caseId, jobId);
  await test.run(caseId, jobId);
  expect((await originalIn(caseId)).custodians).toEqual(['Miller']);
  expect(await test.problems(caseId, jobId)).toMatchObject([
    { code: 'original_left', severity: 'warning', field: 'exhibit.custodians' },
  ]);
});

it('what was left out as a duplicate of a row that was refused is told, once, however often the run is taken up', async () => {
  const caseId = await test.makeCase('originals refused');
  const hash = 'a'.repeat(32);
  const root = await csvSource(`A1,Smith,${hash},`, `A2,Jones,${hash},`);
  const { jobId } = await test.accept(caseId, { path: root, ocr: 'off', deduplicate: 'case' });
  await stopAt(caseId, jobId, 'import.staged');
  // Somebody takes the number of the first row meanwhile.
  await test.import(caseId, { path: await csvSource(`A1,Miller,${'b'.repeat(32)},`), ocr: 'off' });
  await stopAt(caseId, jobId, 'import.linked');
  const job = await test.run(caseId, jobId);
  expect(job).toMatchObject({
    state: 'finished_with_errors',
    counts: { rows: 2, imported: 0, duplicates: 1, rejected: 1 },
  });
  const told = (await test.problems(caseId, jobId)).filter(({ code }) => code === 'original_missing');
  expect(told).toMatchObject([{ row: 2, severity: 'error' }]);
  expect((await originalIn(caseId)).custodians).toEqual(['Miller']);
});
