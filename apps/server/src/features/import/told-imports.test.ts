/** What an import says of itself while it runs and when it has ended. */
import path from 'node:path';
import type { ImportJob, ImportRequest } from '@casebound/contract';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { indexAnew } from '../indexing/index.ts';
import { previewImport } from './create-import.ts';
import { getImport } from './look-at-imports.ts';
import { buildZip } from './sources/testing/build-zip.ts';
import { openTestImport, testActor, type TestImport } from './testing/open-test-import.ts';
import { dat, writeSource } from './testing/write-source.ts';

let test: TestImport;
let folder: TemporaryFolder;
let made = 0;
beforeAll(async () => {
  test = await openTestImport({ chunkRows: 10 });
  folder = await createTemporaryFolder();
}, 60_000);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const write = async (files: Readonly<Record<string, string | Buffer>>): Promise<string> =>
  writeSource(path.join(folder.path, `s${(made += 1)}`), files);
const request = (at: string): ImportRequest => ({
  path: at,
  mapping: { columns: {}, timeZone: 'UTC', dialect: {} },
  deduplicate: 'none',
  controlNumberPrefix: 'DOC',
  rootedPaths: 'refuse',
  ocr: 'off',
  strict: false,
});
const importOf = async (at: string): Promise<ImportJob> =>
  test.import(await test.makeCase(`told ${(made += 1)}`), request(at));

describe('a source with nothing in it', () => {
  it.each([
    ['a folder', async () => write({})],
    ['a zip', async () => path.join(await write({ 'empty.zip': buildZip([]) }), 'empty.zip')],
  ])('is told: %s', async (_, make) => {
    const at = await make();
    const job = await importOf(at);
    expect(job).toMatchObject({ state: 'finished', counts: { rows: 0, problems: 1 } });
    const told = await test.problems(job.caseId, job.jobId);
    expect(told).toContainEqual(expect.objectContaining({ code: 'source_empty', severity: 'warning', path: at }));
    const preview = await previewImport(test.parts, testActor, request(at));
    expect(preview.problems.map((one) => one.code)).toContain('source_empty');
  });
});

it('a document whose text nothing reads is imported whole, with a warning', async () => {
  const job = await importOf(await write({ 'x.bin': Buffer.from([0, 1, 2, 3, 0, 255]) }));
  expect(job).toMatchObject({ state: 'finished', counts: { rows: 1, imported: 1, rejected: 0, problems: 1 } });
  expect(await test.problems(job.caseId, job.jobId)).toMatchObject([{ code: 'no_extractor', severity: 'warning' }]);
});

it('the step that indexes has numbers of its own, in the job and in its events', async () => {
  const count = 1_100;
  const rows = Array.from({ length: count }, (_, at) => [`A${String(at).padStart(5, '0')}`, 'words']);
  const caseId = await test.makeCase('indexed');
  const { jobId } = await test.accept(
    caseId,
    request(await write({ 'load.dat': dat(['BEGDOC', 'SUBJECT'], ...rows) })),
  );
  const looks: Promise<ImportJob>[] = [];
  await test.run(caseId, jobId, {
    chunkRows: 500,
    crashPoint: (name) => {
      if (name === 'import.set.indexed') looks.push(getImport(test.parts, testActor, caseId, jobId));
    },
  });
  const [first, ...more] = await Promise.all(looks);
  expect(more).toHaveLength(2);
  expect(first).toMatchObject({ state: 'indexing', progress: { total: count } });
  expect([500, 1_000]).toContain(first?.progress.done);
  expect(first?.progress.perSecond).toBeGreaterThan(0);
  const [place] = await test.databases.caseDatabases.list();
  const owner = test.databases.owner(place?.server ?? '', place?.databaseName ?? '');
  const { rows: events } = await owner.transaction({}, async (tx) =>
    tx.query<{ body: string }>(
      `SELECT body FROM messaging.outbox WHERE body LIKE $1 AND body LIKE '%IMPORT_PROGRESSED%'`,
      [`%${jobId}%`],
    ),
  );
  const told = events.map(
    (one) => (JSON.parse(one.body) as { eventDetail: { stage: string; progress: { total: number } } }).eventDetail,
  );
  for (const { stage, progress } of told) if (stage === 'indexing') expect(progress.total).toBe(count);
  expect((await getImport(test.parts, testActor, caseId, jobId)).progress).toMatchObject({ done: count, total: count });
});

it('what somebody codes while it is being indexed is not put back in the index', async () => {
  const caseId = await test.makeCase('coded meanwhile');
  const { sessions, index } = test.parts;
  const at = await write({ 'load.dat': dat(['BEGDOC', 'SUBJECT'], ['A1', 'words'], ['A2', 'words']) });
  const { jobId } = await test.accept(caseId, request(at));
  let coded: number | undefined;
  const put: typeof index.put = async (...given) => {
    if (coded === undefined) {
      const { rows } = await sessions.withCase(caseId, testActor, async (tx) =>
        tx.query<{ id: string }>(
          `WITH one AS (UPDATE exhibit SET privilege = 'Privileged' WHERE control_number = 'A1' RETURNING document_id)
           UPDATE document SET etag = etag + 1 FROM one WHERE document.document_id = one.document_id RETURNING one.document_id AS id`,
        ),
      );
      coded = Number(rows[0]?.id);
      // As the event about it is followed.
      await indexAnew(test.parts, caseId, testActor, [coded], new AbortController().signal);
    }
    await index.put(...given);
  };
  expect(await test.run(caseId, jobId, { index: { ...index, put } })).toMatchObject({ state: 'finished' });
  const query = { filters: [{ field: 'privilege', equals: 'Privileged' }] };
  expect(await index.search(caseId, query, { limit: 10 })).toEqual([coded]);
});
