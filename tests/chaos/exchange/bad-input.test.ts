/** Exhibits that cannot travel as they are: ledger, manifest and report name each with why, and the rest arrives. */
import { ExchangeRequest, type CaseId } from '@casebound/contract';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gatherReport, renderReportHtml } from '../../../apps/server/src/features/exchange/index.ts';
import type { ExchangeJob } from '../../../apps/server/src/features/exchange/job-store.ts';
import { listItems } from '../../../apps/server/src/features/exchange/list-items.ts';
import { fillCase } from '../../../apps/server/src/features/exchange/testing/fill-case.ts';
import {
  openTestExchange,
  testActor,
  type TestExchange,
} from '../../../apps/server/src/features/exchange/testing/open-test-exchange.ts';
import { readManifest } from '../../../apps/server/src/features/exchange/verification/check-manifest.ts';
import { ManifestLine } from '../../../apps/server/src/features/exchange/verification/manifest-format.ts';
import { redaction } from '../../../apps/server/src/platform/document-engine/testing/sample-annotations.ts';
import { objectKey } from '../../../apps/server/src/platform/object-store/Port.ts';
import { createHash } from 'node:crypto';
import { proofOf } from './open-lane.ts';

let world: TestExchange;
beforeAll(async () => {
  world = await openTestExchange();
});
afterAll(async () => world[Symbol.asyncDispose]());

const manifestOf = async (job: ExchangeJob): Promise<ManifestLine[]> => {
  const { text } = await readManifest(world.parts, job.jobId, 0, new AbortController().signal);
  return text.split('\n').flatMap((line) => (line === '' ? [] : [ManifestLine.parse(JSON.parse(line))]));
};

test('a corrupt PDF, an unknown annotation, a missing and a changed object are named, each; the rest arrives', async () => {
  const from = await world.createCase('bad from');
  const to = await world.createCase('bad to');
  const { objects, sessions } = world.parts;
  const filled = await fillCase(
    world.parts,
    from,
    ['GOOD1', 'CORRUPT', 'UNKNOWN', 'MISSING', 'CHANGED', 'GOOD2'].map((controlNumber) => ({
      controlNumber,
      pages: [['A page with SECRETWORD on it']],
      native: Buffer.from(`native of ${controlNumber}`),
      ...(controlNumber === 'UNKNOWN' ? { annotations: [redaction('r', [60, 85, 300, 20])] } : {}),
    })),
    { engine: true },
  );
  const of = (number: string) => {
    const found = filled.get(number);
    if (found === undefined) throw new Error(`no ${number}`);
    return found;
  };
  const keyOf = (number: string, file: string) =>
    objectKey(`case_${from}/processed-files/${of(number).batchId}/${file.replace('*', of(number).documentKey)}`);
  const garbage = Buffer.from('%PDF-1.7\nnothing that a reader could use');
  await objects.put(keyOf('CORRUPT', 'pdf/*/content.pdf'), garbage);
  await sessions.withCase(from, testActor, async (tx) => {
    await tx.query(
      `UPDATE source_document__variants SET size = $2, sha256 = $3 WHERE root_document_id = $1 AND type = 'pdf'`,
      [of('CORRUPT').documentId, garbage.length, createHash('sha256').update(garbage).digest('hex')],
    );
    await tx.query(`DELETE FROM engine_document WHERE document_id = $1`, [of('CORRUPT').documentId]);
    await tx.query(`UPDATE engine_annotation SET value = jsonb_set(value, '{type}', '"acme/hologram"')`);
  });
  await objects.delete(keyOf('MISSING', 'native/*/content'));
  await objects.put(keyOf('CHANGED', 'native/*/content'), Buffer.from('something else'));

  const job = await world.run(
    ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId: to,
      selection: { by: 'all' },
      includeNatives: true,
    }),
  );
  expect(job.state).toBe('FINISHED_WITH_ERRORS');
  const expected = {
    CORRUPT: 'pdf_damaged',
    UNKNOWN: 'annotation_unknown_type',
    MISSING: 'DOCUMENT_NOT_FOUND',
    CHANGED: 'object_corrupt',
  };
  const { items } = await listItems(world.parts, job.jobId, { state: 'failed', limit: 100 });
  const ledger = Object.fromEntries(items.map((item) => [item.sourceControlNumber, item.code]));
  expect(ledger).toEqual(expected);

  const lines = await manifestOf(job);
  const named = Object.fromEntries(
    lines.flatMap((line) =>
      line.kind === 'item' && line.exceptions.length > 0
        ? [[line.source.controlNumber, line.exceptions.map(({ code }) => code)]]
        : [],
    ),
  );
  expect(Object.keys(named).sort()).toEqual(Object.keys(expected).sort());
  for (const [number, code] of Object.entries(expected)) expect(named[number]).toContain(code);

  const report = await gatherReport(lines);
  if (report === null) throw new Error('no report');
  const html = renderReportHtml(report);
  for (const [number, code] of Object.entries(expected)) {
    expect(html).toContain(number);
    expect(html).toContain(code);
  }

  const proof = await proofOf(world, job.jobId);
  expect(proof).toMatchObject({ differences: [], leftovers: [], signed: true });
  // All records arrive; in the engine are the PDFs that could be put there.
  expect(proof.shape.rows).toMatchObject({ exhibit: 6 });
  expect(proof.shape.engineDocuments).toBe(4);
  const { rows } = await sessions.withCase(to, testActor, async (tx) =>
    tx.query(
      `SELECT e.control_number FROM exhibit e JOIN source_document__variants v ON v.root_document_id = e.document_document_id WHERE v.type = 'native' ORDER BY 1`,
    ),
  );
  expect(rows.map((row) => (row as { control_number: string }).control_number)).toEqual(
    expect.arrayContaining(['CORRUPT', 'GOOD1', 'GOOD2']),
  );
}, 90_000);

describe('a control number that the destination has', () => {
  const pair = async (name: string): Promise<readonly [CaseId, CaseId]> => {
    const from = await world.createCase(`${name} from`);
    const to = await world.createCase(`${name} to`);
    await fillCase(world.parts, from, [
      { controlNumber: 'C1', pages: [['fresh one']] },
      { controlNumber: 'C2', pages: [['fresh two']] },
    ]);
    await fillCase(world.parts, to, [{ controlNumber: 'C1', pages: [['old one']] }]);
    return [from, to];
  };
  const found = async (caseId: CaseId, text: string): Promise<number> =>
    (await world.parts.index.search(caseId, { text }, { limit: 10 })).length;

  test.each([
    ['skip', 'skipped', 1],
    ['overlay', 'overlaid', 2],
  ] as const)(
    'under %s is %s, and the manifest says so',
    async (onConflict, action, fresh) => {
      const [from, to] = await pair(onConflict);
      const job = await world.run(
        ExchangeRequest.parse({ sourceCaseId: from, destinationCaseId: to, selection: { by: 'all' }, onConflict }),
      );
      expect([job.state, job.failure]).toEqual(['FINISHED', null]);
      const actions = Object.fromEntries(
        (await manifestOf(job)).flatMap((line) =>
          line.kind === 'item' ? [[line.source.controlNumber, line.action]] : [],
        ),
      );
      expect(actions).toEqual({ C1: action, C2: 'inserted' });
      expect(await found(to, 'fresh')).toBe(fresh);
      const { rows } = await world.parts.sessions.withCase(to, testActor, async (tx) =>
        tx.query('SELECT control_number FROM exhibit ORDER BY 1'),
      );
      expect(rows).toEqual([{ control_number: 'C1' }, { control_number: 'C2' }]);
    },
    60_000,
  );

  test('under fail is refused before anything is made', async () => {
    const [from, to] = await pair('fail');
    const request = ExchangeRequest.parse({ sourceCaseId: from, destinationCaseId: to, selection: { by: 'all' } });
    await expect(world.run(request)).rejects.toMatchObject({ code: 'exchange_conflict' });
    expect((await world.messaging.queues.list()).filter(({ name }) => name.startsWith('doc_exch_'))).toEqual([]);
  }, 60_000);
});
