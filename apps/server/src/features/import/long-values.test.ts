/** Rows with long texts are committed before a chunk has as many rows as it may. */
import path from 'node:path';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestImport, type TestImport } from './testing/open-test-import.ts';
import { dat, writeSource } from './testing/write-source.ts';

let test: TestImport;
let folder: TemporaryFolder;

beforeAll(async () => {
  test = await openTestImport({});
  folder = await createTemporaryFolder();
}, 60_000);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

it('so that a chunk is no more than some millions of characters', async () => {
  const million = 'a long value '.repeat(80_000).slice(0, 1_000_000);
  const rows = Array.from({ length: 36 }, (_, at) => [`L${at}`, `${at} ${million}`]);
  const root = await writeSource(path.join(folder.path, 'long'), { 'load.dat': dat(['BEGDOC', 'Remarks'], ...rows) });
  const caseId = await test.makeCase('long values');
  const { jobId } = await test.accept(caseId, { path: root, ocr: 'off' });
  let chunks = 0;
  const job = await test.run(caseId, jobId, {
    crashPoint: (name) => {
      if (name === 'import.chunk.committed') chunks += 1;
    },
  });
  expect(job.counts).toMatchObject({ rows: 36, imported: 36, rejected: 0 });
  expect(chunks).toBe(3);
});
