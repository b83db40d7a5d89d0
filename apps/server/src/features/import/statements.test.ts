/** What an import and an overlay cost the database: statements, everything counted. */
import path from 'node:path';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createSample } from '../samples/index.ts';
import { openTestImport, testActor, type TestImport } from './testing/open-test-import.ts';

const rows = 5_000;
let test: TestImport;
let folder: TemporaryFolder;
let statements = 0;

beforeAll(async () => {
  folder = await createTemporaryFolder();
  test = await openTestImport({
    change: (parts) => ({
      ...parts,
      sessions: {
        ...parts.sessions,
        withCase: async (caseId, actor, fn, options) =>
          parts.sessions.withCase(caseId, actor, fn, { ...options, onStatement: () => (statements += 1) }),
      },
    }),
  });
}, 60_000);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

it('an import costs less than a tenth of a statement a document, and an overlay too', async () => {
  const sample = await createSample(path.join(folder.path, 'sample'), {
    documents: rows,
    fields: 50,
    seed: 'statements',
    loadFileOnly: true,
  });
  const caseId = await test.makeCase('counted');
  const job = await test.import(caseId, { path: sample.folder });
  expect(job.counts).toMatchObject({ rows, imported: rows });
  const imported = statements / rows;
  expect(imported).toBeLessThan(0.1);

  statements = 0;
  const overlaid = await test.import(caseId, { path: sample.folder, overlay: { mode: 'merge' } });
  expect(overlaid.counts).toMatchObject({ rows, overlaid: rows, rejected: 0 });
  expect(statements / rows).toBeLessThan(0.1);

  const changed = await createSample(path.join(folder.path, 'changed'), {
    documents: rows,
    fields: 50,
    seed: 'other values',
    loadFileOnly: true,
  });
  statements = 0;
  const again = await test.import(caseId, { path: changed.folder, overlay: { mode: 'replace' } });
  const { overlaid: laid, rejected } = again.counts;
  // Numbers count pages, so that only some of another sample's are those of this one.
  expect(laid + rejected).toBe(rows);
  expect(laid).toBeGreaterThan(rows / 4);
  expect(statements / rows).toBeLessThan(0.1);
  const { rows: audited } = await test.parts.sessions.withCase(caseId, testActor, async (tx) =>
    tx.query<{ count: string; segments: string }>(
      `SELECT count(*), (SELECT count(*) FROM custom_field_segment WHERE object_key LIKE '%' || $1 || '%') AS segments FROM model_audit WHERE origin = $2`,
      [again.jobId, `overlay ${again.jobId}`],
    ),
  );
  expect(Number(audited[0]?.count)).toBe(laid);
  expect(Number(audited[0]?.segments)).toBeLessThanOrEqual(Math.ceil(rows / 1_000));
}, 240_000);
