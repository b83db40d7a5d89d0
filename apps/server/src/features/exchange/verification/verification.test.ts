import { type CaseId, ExchangeRequest, type ManifestCursor, type ManifestDifference } from '@casebound/contract';
import { putDocument, readMany } from '@casebound/records';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { objectKey } from '../../../platform/object-store/Port.ts';
import { caseResource } from '../../records/index.ts';
import type { ExchangeJob } from '../job-store.ts';
import { fillCase } from '../testing/fill-case.ts';
import { openTestExchange, testActor, type TestExchange } from '../testing/open-test-exchange.ts';
import { checkManifest, readManifest } from './check-manifest.ts';
import { ManifestFileCheck } from './check-manifest-file.ts';
import { type ManifestLine, ManifestLine as ManifestLineForm } from './manifest-format.ts';
import { gatherReport } from './report/gather-report.ts';
import { renderReportHtml } from './report/render-html.ts';
import { renderReportPdf } from './report/render-pdf.ts';

let world: TestExchange;
let made = 0;
const signal = new AbortController().signal;
/** Read by several tests, changed by none. */
let untouched: ExchangeJob;
beforeAll(async () => {
  world = await openTestExchange();
  untouched = (await exchange()).job;
});
afterAll(async () => world[Symbol.asyncDispose]());

const exchange = async (): Promise<{ readonly job: ExchangeJob; readonly to: CaseId }> => {
  made += 1;
  const from = await world.createCase(`from ${made}`);
  const to = await world.createCase(`to ${made}`);
  await fillCase(world.parts, from, [
    {
      controlNumber: 'V000001',
      pages: [['Pay the amount today'], ['to Jane Doe']],
      custodian: 'Ann',
      label: 'Hot',
      folder: 'Root/One',
      fields: { Matter: 'Meridian' },
      native: Buffer.from('native one'),
    },
    { controlNumber: 'V000002', pages: [['An attachment']], parent: 'V000001' },
    { controlNumber: 'V000003', pages: [['Something <b>else</b>']] },
  ]);
  const job = await world.run(
    ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId: to,
      selection: { by: 'all' },
      includeNatives: true,
    }),
  );
  return { job, to };
};

const checkAll = async (
  job: ExchangeJob,
): Promise<{ readonly differences: ManifestDifference[]; readonly signed: boolean; readonly items: number }> => {
  const differences: ManifestDifference[] = [];
  let signed = false;
  let items = 0;
  for (let cursor: ManifestCursor | null = { offset: 0, line: 0, previous: '0'.repeat(64) }; cursor !== null;) {
    const part: Awaited<ReturnType<typeof checkManifest>> = await checkManifest(
      world.parts,
      job.jobId,
      testActor,
      cursor,
      2,
      signal,
    );
    differences.push(...part.differences);
    items += part.items;
    signed = part.signed === true;
    cursor = part.next;
  }
  return { differences, signed, items };
};

const linesOf = async (job: ExchangeJob): Promise<string[]> => {
  const { text } = await readManifest(world.parts, job.jobId, 0, signal);
  return text.split('\n').filter((line) => line !== '');
};

test('an exchange ends verified, and its manifest holds whoever reads it', async () => {
  const job = untouched;
  expect(job.failure).toBeNull();
  expect(job.state).toBe('FINISHED');
  const lines = await linesOf(job);
  expect(lines.map((line) => ManifestLineForm.parse(JSON.parse(line)).kind)).toEqual([
    'header',
    'item',
    'item',
    'item',
    'summary',
    'signature',
  ]);
  const check = new ManifestFileCheck('manifest');
  for (const line of lines) check.add(line);
  expect(check.result()).toMatchObject({ isSigned: true, differences: [], jobId: job.jobId });
  expect(await checkAll(job)).toEqual({ differences: [], signed: true, items: 3 });
  expect(lines.join('\n')).not.toMatch(/Jane Doe|Meridian|Pay the amount/);
});

test.each([
  ['a changed line', (lines: string[]) => lines.with(2, lines[2]!.replace('V000002', 'V000009')), 3],
  ['a removed line', (lines: string[]) => lines.toSpliced(2, 1), 3],
  ['a line that was slipped in', (lines: string[]) => lines.toSpliced(2, 0, lines[1]!), 3],
  ['swapped lines', (lines: string[]) => lines.with(1, lines[2]!).with(2, lines[1]!), 2],
  ['a line that is no JSON', (lines: string[]) => lines.with(3, '{'), 4],
])('%s of a manifest is named', async (_what, change, line) => {
  const job = untouched;
  const check = new ManifestFileCheck('manifest');
  for (const text of change(await linesOf(job))) check.add(text);
  const { differences } = check.result();
  expect(differences.map((one) => one.line)).toContain(line);
});

test('a manifest that is signed anew with another key is refused', async () => {
  const { job } = await exchange();
  const key = objectKey(job.manifestKey ?? '');
  const { ManifestWriter, signingKey } = await import('./manifest-format.ts');
  const writer = new ManifestWriter();
  const lines = (await linesOf(job)).slice(0, -1).map((line): string => {
    const { line: _line, previous: _previous, ...content } = JSON.parse(line) as ManifestLine;
    return writer.add(content as never);
  });
  await world.parts.objects.put(key, Buffer.from(`${lines.join('')}${writer.sign(signingKey('13'.repeat(32)))}`));
  const found = await checkAll(job);
  expect(found.signed).toBe(false);
  expect(found.differences.map((one) => one.what)).toEqual(['signature']);
});

test('one changed byte of one object is found, with its line and its key', async () => {
  const { job } = await exchange();
  const item = ManifestLineForm.parse(JSON.parse((await linesOf(job))[1]!));
  if (item.kind !== 'item') throw new Error('not an item');
  const { key } = item.facts!.objects[0]!;
  const bytes = Buffer.from('another');
  await world.parts.objects.put(objectKey(key), bytes);
  const found = await checkAll(job);
  expect(found.signed).toBe(true);
  expect(found.differences).toEqual([
    expect.objectContaining({ line: 2, controlNumber: 'V000001', what: 'object', place: key }),
  ]);
});

test('a changed record, a changed value and a removed object are found', async () => {
  const { job, to } = await exchange();
  const { sessions, records, fields, objects } = world.parts;
  const store = await records.open(to, testActor);
  const resource = caseResource(store.model, 'exhibits');
  const ids = await sessions.withCase(to, testActor, async (tx) => {
    const { rows } = await tx.query<{ id: string }>('SELECT document_id AS id FROM exhibit ORDER BY control_number');
    return rows.map((row) => Number(row.id));
  });
  const bodies = await sessions.withCase(to, testActor, async (tx) =>
    readMany(await records.within(to, tx), tx, resource, ids),
  );
  const { id, _etag, _lastModifiedDate, ...body } = JSON.parse(bodies.get(ids[2]!)!.body) as Record<string, never> & {
    id: string;
  };
  await putDocument(store, resource, id, { ...body, privilege: 'Privileged' });
  await fields.update(to, testActor, { exhibitId: ids[0]!, values: { Matter: 'Halcyon' } });
  const item = ManifestLineForm.parse(JSON.parse((await linesOf(job))[2]!));
  if (item.kind !== 'item') throw new Error('not an item');
  const gone = item.facts!.objects.at(-1)!.key;
  await objects.delete(objectKey(gone));
  const found = await checkAll(job);
  expect(found.differences.map(({ line, what }) => [line, what])).toEqual([
    [2, 'values'],
    [3, 'object'],
    [4, 'record'],
  ]);
});

test('a report says what the manifest does, escaped, as HTML and as PDF', async () => {
  const entries = (await linesOf(untouched)).map((line) => ManifestLineForm.parse(JSON.parse(line)));
  const report = await gatherReport(entries);
  if (report === null) throw new Error('no report');
  expect(report.summary?.counts).toMatchObject({ items: 3, inserted: 3, failed: 0 });
  const hostile = {
    ...report,
    operator: '<script>alert(1)</script>',
    items: report.items.map((one) => ({ ...one, from: `"><img src=x>${one.from}` })),
  };
  const html = renderReportHtml(hostile);
  expect(html).toContain('V000002');
  expect(html).not.toMatch(/<script|<img/);
  const pdf = Buffer.from(await renderReportPdf({ ...hostile, operator: 'Ünïcode 漢字 '.repeat(80) }));
  expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
  const { pages } = await world.parts.pdf.pageInfo({ pdf }, { signal });
  expect(pages.length).toBeGreaterThan(0);
});
