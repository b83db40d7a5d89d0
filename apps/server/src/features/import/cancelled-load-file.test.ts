/** A cancelled import of rows without files leaves no documents either, for which later rows would be taken as duplicates. */
import path from 'node:path';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cancelImport } from './look-at-imports.ts';
import { describeCase } from './testing/describe-case.ts';
import { openTestImport, testActor, type TestImport } from './testing/open-test-import.ts';
import { dat, writeSource } from './testing/write-source.ts';

let test: TestImport;
let folder: TemporaryFolder;

beforeAll(async () => {
  test = await openTestImport({ chunkRows: 10 });
  folder = await createTemporaryFolder();
}, 60_000);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** Families of five: a parent, its children, and a child of a child. */
const rows = Array.from({ length: 45 }, (_, at) => {
  const place = at % 5;
  const number = (of: number): string => `A${String(of).padStart(4, '0')}`;
  const parent = place === 0 ? '' : number(place === 4 ? at - 1 : at - place);
  return [number(at), parent, at.toString(16).padStart(32, '0'), ''];
});

const load = dat(['BEGDOC', 'PARENTID', 'MD5HASH', 'NATIVELINK'], ...rows);

it('and the same file is imported again as if it had not been', async () => {
  const root = await writeSource(path.join(folder.path, 'production'), { 'load.dat': load });
  const request = { path: root, ocr: 'off', deduplicate: 'case' } as const;
  const untouched = await test.makeCase('untouched');
  await test.import(untouched, request);

  const caseId = await test.makeCase('cancelled');
  const { jobId } = await test.accept(caseId, request);
  let chunks = 0;
  const stop = (name: string): void => {
    if (name === 'import.chunk.committed' && (chunks += 1) === 3) throw new Error('stopped here');
  };
  await expect(test.run(caseId, jobId, { crashPoint: stop })).rejects.toThrow('stopped here');
  expect(Object.keys((await describeCase(test, caseId)).exhibits).length).toBeGreaterThanOrEqual(30);
  await cancelImport(test.parts, testActor, caseId, jobId);
  expect((await test.run(caseId, jobId)).state).toBe('cancelled');
  expect(await describeCase(test, caseId)).toMatchObject({ exhibits: {}, objects: [], leftovers: [], problems: [] });

  const again = await test.import(caseId, request);
  expect(again.counts).toMatchObject({ rows: 45, imported: 45, duplicates: 0 });
  const { exhibits } = await describeCase(test, caseId);
  expect(exhibits).toEqual((await describeCase(test, untouched)).exhibits);
});

it('and a document that lost its exhibit is the original of nothing', async () => {
  const root = await writeSource(path.join(folder.path, 'again'), { 'load.dat': load });
  const caseId = await test.makeCase('without exhibits');
  await test.import(caseId, { path: root, ocr: 'off' });
  await test.parts.sessions.withCase(caseId, testActor, async (tx) => {
    await tx.query('DELETE FROM reference_edge WHERE parent_document_id IN (SELECT document_id FROM exhibit)');
    await tx.query('DELETE FROM document WHERE document_id IN (SELECT document_id FROM exhibit)');
  });
  const again = await test.import(caseId, { path: root, ocr: 'off', deduplicate: 'case' });
  expect(again.counts).toMatchObject({ rows: 45, imported: 45, duplicates: 0 });
});
