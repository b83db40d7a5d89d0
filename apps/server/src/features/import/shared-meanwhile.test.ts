/** Records that an import shares with others stay as they are where they are there, also when somebody makes them in the same moment. */
import path from 'node:path';
import { type CaseId, ImportRequest } from '@casebound/contract';
import { type JsonValue, upsertDocument } from '@casebound/records';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { caseResource } from '../records/index.ts';
import { betweenStatements } from '../../database/testing/between-statements.ts';
import { createImport } from './create-import.ts';
import { openTestImport, testActor, type TestImport } from './testing/open-test-import.ts';
import { dat, writeSource } from './testing/write-source.ts';

let test: TestImport;
let folder: TemporaryFolder;
let made = 0;
beforeAll(async () => {
  test = await openTestImport();
  folder = await createTemporaryFolder();
}, 60_000);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const source = async (files: Readonly<Record<string, string>>): Promise<string> =>
  writeSource(path.join(folder.path, `s${(made += 1)}`), files);

/** Makes a record as somebody does by its form. */
const make = async (caseId: CaseId, endpoint: string, document: { [key: string]: JsonValue }): Promise<void> => {
  const { records } = test.parts;
  await upsertDocument(await records.open(caseId, testActor), caseResource(records.model, endpoint), document);
};

const rowsOf = async (caseId: CaseId, text: string) =>
  test.parts.sessions.withCase(caseId, testActor, async (tx) => (await tx.query(text)).rows);

const smith = { name: 'Smith', email: 'smith@example.com', notes: 'Keeper of the books.' };

/** True of the first look-up of a bulk write after a statement. */
const lookUpAfter = (first: string): ((text: string) => boolean) => {
  let isNear = false;
  return (text) => {
    if (isNear) return text.startsWith('SELECT i.referential_id, i.document_id');
    isNear = text.startsWith(first);
    return false;
  };
};

it('a custodian whom duplicates bring keeps what is known of them', async () => {
  const caseId = await test.makeCase('custodian');
  const memo = { 'memo.txt': 'The same words.' };
  await test.import(caseId, { path: await source(memo), ocr: 'off', deduplicate: 'case', custodian: 'Jones' });
  await make(caseId, 'custodians', smith);
  const twin = { path: await source(memo), ocr: 'off', deduplicate: 'case', custodian: 'Smith' } as const;
  expect(await test.import(caseId, { ...twin, controlNumberPrefix: 'TWIN' })).toMatchObject({
    state: 'finished',
    counts: { duplicates: 1 },
  });
  expect(await rowsOf(caseId, `SELECT name, email, notes FROM custodian WHERE name = 'Smith'`)).toEqual([smith]);
});

it('a custodian whom somebody makes while the import is about to is theirs', async () => {
  const caseId = await test.makeCase('custodian meanwhile');
  const { jobId } = await test.accept(caseId, {
    path: await source({ 'load.dat': dat(['BEGDOC', 'CUSTODIAN'], ['A1', 'Smith']) }),
    ocr: 'off',
  });
  const job = await test.run(caseId, jobId, {
    sessions: betweenStatements(test.parts.sessions, lookUpAfter(`SELECT 'custodian' AS kind`), async () =>
      make(caseId, 'custodians', smith),
    ),
  });
  expect(job).toMatchObject({ state: 'finished', counts: { imported: 1 } });
  expect(await rowsOf(caseId, 'SELECT name, email, notes FROM custodian')).toEqual([smith]);
});

it('a confidentiality code that somebody makes while the import is about to keeps its bit', async () => {
  const caseId = await test.makeCase('code meanwhile');
  const { jobId } = await test.accept(caseId, {
    path: await source({ 'load.dat': dat(['BEGDOC', 'CONFIDENTIALITY'], ['A1', 'AEO']) }),
    ocr: 'off',
  });
  const job = await test.run(caseId, jobId, {
    sessions: betweenStatements(test.parts.sessions, lookUpAfter('SELECT code, bit FROM'), async () =>
      make(caseId, 'confidentialityCodes', { code: 'AEO', labelText: 'Attorneys only', bit: 7 }),
    ),
  });
  expect(job).toMatchObject({ state: 'finished', counts: { imported: 1 } });
  expect(await rowsOf(caseId, 'SELECT code, label_text, bit::int FROM confidentiality_code')).toEqual([
    { code: 'AEO', label_text: 'Attorneys only', bit: 7 },
  ]);
  expect(await rowsOf(caseId, 'SELECT confidentiality_status::int AS status FROM exhibit')).toEqual([{ status: 128 }]);
});

it('a custom field that somebody defines while the import plans its own keeps its type', async () => {
  const caseId = await test.makeCase('field meanwhile');
  const { jobId } = await test.accept(caseId, {
    path: await source({ 'load.dat': dat(['BEGDOC', 'Score'], ['A1', '12'], ['A2', '13']) }),
    ocr: 'off',
  });
  const defined = { title: 'Score', inputType: 'text', description: 'As the reviewers give it.' };
  const running = test.run(caseId, jobId, {
    sessions: betweenStatements(test.parts.sessions, lookUpAfter('SELECT title FROM custom_field'), async () =>
      make(caseId, 'customFields', defined),
    ),
  });
  // The message is delivered again.
  await expect(running).rejects.toMatchObject({ code: 'conflict_retries_exhausted' });
  expect(await test.run(caseId, jobId)).toMatchObject({ state: 'finished', counts: { imported: 2 } });
  expect(await rowsOf(caseId, 'SELECT title, input_type AS "inputType", description FROM custom_field')).toEqual([
    defined,
  ]);
});

it('a batch that somebody makes while an import of its name is accepted stays what it is', async () => {
  const caseId = await test.makeCase('batch meanwhile');
  const batch = { name: 'Volume 1', kind: 'exchange', source: 'case 7' };
  const sessions = betweenStatements(test.parts.sessions, lookUpAfter('SELECT FROM batch WHERE name'), async () =>
    make(caseId, 'batches', batch),
  );
  const request = ImportRequest.parse({ path: await source({ 'a.txt': 'Words.' }), batch: 'Volume 1' });
  await expect(createImport({ ...test.parts, sessions }, testActor, caseId, request)).rejects.toMatchObject({
    code: 'duplicate_identity',
  });
  expect(await rowsOf(caseId, 'SELECT name, kind, source FROM batch')).toEqual([batch]);
  expect(await rowsOf(caseId, 'SELECT FROM import_job')).toEqual([]);
});
