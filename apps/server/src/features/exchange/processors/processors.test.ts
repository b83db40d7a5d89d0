/** Each processor has one effect, however its message is delivered and wherever its process dies. */
import { createHash } from 'node:crypto';
import { ExchangeRequest, type ExchangeStage } from '@casebound/contract';
import { createCircuitBreaker, type BatchHandler } from '@casebound/messaging';
import { expectIdempotent, type IdempotencyWorld } from '@casebound/messaging/testing';
import { expect, test } from 'vitest';
import { highlight, redaction } from '../../../platform/document-engine/testing/sample-annotations.ts';
import { EngineDocumentId } from '../../../platform/document-engine/Port.ts';
import { objectPrefix } from '../../../platform/object-store/Port.ts';
import { indexAnew } from '../../indexing/index.ts';
import type { StepDependencies } from '../orchestrator/steps.ts';
import { requestExchange } from '../request-exchange.ts';
import { fillCase } from '../testing/fill-case.ts';
import { openTestExchange, testActor, type TestExchange } from '../testing/open-test-exchange.ts';
import { createObjectCopy } from './object-copy.ts';
import { createPreUploader } from './pre-uploader.ts';
import { createJobReader, stageHandler, type Processor } from './process-message.ts';
import { createReOcr } from './re-ocr.ts';
import { createSearchText } from './search-text.ts';
import { createUploader } from './uploader.ts';

const processorOf = (stage: ExchangeStage, parts: StepDependencies): Processor => {
  switch (stage) {
    case 'object_copy':
      return createObjectCopy(parts);
    case 'pre_uploader':
      return createPreUploader(parts);
    case 'uploader':
      return createUploader({ ...parts, breaker: createCircuitBreaker({ name: 'engine', clock: parts.clock }) });
    case 're_ocr':
      return createReOcr(parts);
    case 'search_text':
      return createSearchText(parts);
  }
};

const handlerOf = (stage: ExchangeStage, parts: StepDependencies): BatchHandler =>
  stageHandler(parts, createJobReader(parts), stage, processorOf(stage, parts));

const delivery = (body: string) => {
  const signal = new AbortController().signal;
  const message = {
    queue: 'q',
    messageId: 'm',
    token: '1',
    fencingToken: 1,
    receiveCount: 1,
    maxReceiveCount: 5,
    fairnessKey: 0,
    sentAt: new Date(0),
    body,
    attributes: {},
    leaseMs: 60_000,
    receivedAtMs: 0,
  };
  return { message, body, signal };
};

/** Columns that differ between installations: ids, keys made of them, versions of rows, times. */
const generated =
  /(_id|_uuid|_at|_key|^number|sha256|size|detail|body|^name|^control_number_|hash|fingerprint|token_secret|written_by|destination|object_key|source_store|manifest)$/;

/** An installation with one exhibit under way, as far as the stages before have brought it. */
const openWorld = async (stage: ExchangeStage): Promise<IdempotencyWorld> => {
  const world: TestExchange = await openTestExchange({ still: true });
  const { parts } = world;
  const from = await world.createCase('from');
  const to = await world.createCase('to');
  await fillCase(parts, from, [
    {
      controlNumber: 'A1',
      pages: [['Pay the SECRET amount'], ['two']],
      native: Buffer.from('native'),
      fields: { Matter: 'x' },
      annotations: [redaction('r', [60, 85, 300, 20]), highlight('h', 1)],
    },
  ]);
  const { job } = await requestExchange(
    parts,
    testActor,
    ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId: to,
      selection: { by: 'all' },
      includeNatives: true,
      nativesOfRedacted: 'include',
    }),
    'key',
  );
  await world.exchanges.driver.advance(job.jobId, new AbortController().signal);
  const { rows } = await parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query<{ exhibit_id: string; document_id: string }>('SELECT exhibit_id, document_id FROM exchange_exhibit'),
  );
  const [row] = rows;
  const batch = await parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query<{ id: string }>('SELECT batch_document_id AS id FROM exhibit'),
  );
  const bodyOf = (job_: ExchangeStage): string =>
    JSON.stringify({
      job: job_,
      context: { jobId: job.jobId, caseId: to, batchId: Number(batch.rows[0]?.id), traceparent: job.traceparent },
      payload: { documents: [{ documentId: Number(row?.document_id), exhibitIds: [Number(row?.exhibit_id)] }] },
    });
  const before: readonly ExchangeStage[] = ['object_copy', 'pre_uploader', 'uploader', 're_ocr', 'search_text'];
  for (const earlier of before.slice(0, before.indexOf(stage))) {
    const one = delivery(bodyOf(earlier));
    expect(await handlerOf(earlier, parts)([one], one.signal)).toEqual([]);
  }
  const [place] = await parts.caseDatabases.list();
  const owner = parts.owner(place?.server ?? '', place?.databaseName ?? '');
  const sql = {
    query: async (text: string, values?: readonly unknown[]) =>
      owner.transaction({ alongside: true }, async (tx) => tx.query(text, values)),
  };
  const columns = await sql.query(
    `SELECT table_name || '.' || column_name AS name, column_name FROM information_schema.columns WHERE table_schema IN ($1, 'messaging')`,
    [`case_${to}`],
  );
  const digestsOf = async (): Promise<{ key: string; digest: string }[]> => {
    const found: { key: string; digest: string }[] = [];
    for await (const page of parts.objects.list(objectPrefix(`case_${to}/`)))
      for (const { key } of page) {
        const hash = createHash('sha256');
        for await (const chunk of (await parts.objects.get(key)).body) hash.update(chunk as Uint8Array);
        // A PDF that is written anew has another identifier within it.
        const isMade = key.includes('/pdf/') || key.includes('/engine') || key.includes('/documents/');
        found.push({
          key: key
            .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'uuid')
            .replaceAll(/[0-9a-f]{16}-[0-9a-f]+(?=[.]pdf$)/g, 'name')
            .replaceAll(/\d+/g, 'n')
            .replaceAll(/[0-9a-f]{64}/g, 'hash'),
          digest: isMade || key.includes('custom-fields') ? 'made' : hash.digest('hex'),
        });
      }
    const indexed = await parts.index.search(to, { text: 'two' }, { limit: 5 });
    return [...found, { key: 'index', digest: String(indexed.length) }];
  };
  return {
    handler: (crashPoint) => {
      const handle = handlerOf(stage, { ...parts, crashPoint: (name) => void crashPoint(name) });
      return async (deliveries, signal) =>
        handle(
          deliveries.map((one) => ({ ...one, body: bodyOf(stage) })),
          signal,
        );
    },
    sql,
    schemas: [`case_${to}`, 'messaging'],
    // The engine counts its versions on, also for a call that finds what it brings.
    ignore: [
      'engine_annotation.ordinal',
      'engine_annotation.version',
      ...columns.rows.flatMap((column) =>
        generated.test(String(column['column_name'])) ? [String(column['name'])] : [],
      ),
    ],
    objects: digestsOf,
    close: async () => world[Symbol.asyncDispose](),
  };
};

test.each(['object_copy', 'pre_uploader', 'uploader', 're_ocr', 'search_text'] as const)(
  '%s has one effect',
  async (stage) => {
    await expectIdempotent({ world: async () => openWorld(stage), body: '{}', concurrency: 3 });
  },
  240_000,
);

test('a redaction that is made after the files were copied takes back what shows it', async () => {
  const world = await openTestExchange({ still: true });
  const { parts } = world;
  const [from, to] = [await world.createCase('from'), await world.createCase('to')];
  const filled = await fillCase(parts, from, [
    { controlNumber: 'A1', pages: [['Pay the SECRET amount']], native: Buffer.from('SECRET native') },
  ]);
  const { job } = await requestExchange(
    parts,
    testActor,
    ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId: to,
      selection: { by: 'all' },
      includeNatives: true,
    }),
    'late',
  );
  await world.exchanges.driver.advance(job.jobId, new AbortController().signal);
  const { rows } = await parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query<{ exhibit_id: string; document_id: string; batch_id: string }>(
      'SELECT exhibit_id, x.document_id, e.batch_document_id AS batch_id FROM exchange_exhibit x JOIN exhibit e ON e.document_id = exhibit_id',
    ),
  );
  const [row] = rows;
  const run = async (stage: ExchangeStage): Promise<void> => {
    const one = delivery(
      JSON.stringify({
        job: stage,
        context: { jobId: job.jobId, caseId: to, batchId: Number(row?.batch_id), traceparent: job.traceparent },
        payload: { documents: [{ documentId: Number(row?.document_id), exhibitIds: [Number(row?.exhibit_id)] }] },
      }),
    );
    expect(await handlerOf(stage, parts)([one], one.signal)).toEqual([]);
  };
  const contents = async (): Promise<string> => {
    let all = '';
    for await (const page of parts.objects.list(objectPrefix(`case_${to}/`)))
      for (const { key } of page)
        for await (const chunk of (await parts.objects.get(key)).body)
          all += Buffer.from(chunk as Uint8Array).toString('latin1');
    return all;
  };
  await run('object_copy');
  expect(await contents()).toContain('SECRET');
  const source = filled.get('A1');
  await parts.engine.createAnnotations(
    EngineDocumentId.parse(`document_${from}_${source?.batchId}_${source?.documentId}_${source?.exhibitId}`),
    [redaction('r', [60, 85, 300, 20])],
  );
  await run('pre_uploader');
  expect(await contents()).not.toContain('SECRET');
  for (const stage of ['uploader', 're_ocr', 'search_text'] as const) await run(stage);
  expect(await contents()).not.toContain('SECRET');
  expect(await parts.index.search(to, { text: 'secret' }, { limit: 5 })).toEqual([]);
  const variants = await parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query('SELECT type FROM source_document__variants ORDER BY 1'),
  );
  expect(variants.rows).toEqual([{ type: 'pdf' }]);
  await world[Symbol.asyncDispose]();
}, 90_000);

test('what somebody codes while an exhibit is put into the index is not put back', async () => {
  const world = await openTestExchange();
  const { parts } = world;
  const [from, to] = [await world.createCase('from'), await world.createCase('to')];
  await fillCase(parts, from, [{ controlNumber: 'A1', pages: [['words']] }]);
  await world.run(ExchangeRequest.parse({ sourceCaseId: from, destinationCaseId: to, selection: { by: 'all' } }));
  const { rows } = await parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query<{ id: string; document_key: string; batch_id: string }>(
      'SELECT e.document_id AS id, document_key, batch_document_id AS batch_id FROM exhibit e JOIN source_document d ON d.document_id = document_document_id',
    ),
  );
  const [row] = rows;
  const exhibitId = Number(row?.id);
  const { signal } = new AbortController();
  let isCoded = false;
  const put: typeof parts.index.put = async (...given) => {
    if (!isCoded) {
      isCoded = true;
      await parts.sessions.withCase(to, testActor, async (tx) => {
        await tx.query(`UPDATE exhibit SET privilege = 'Privileged' WHERE document_id = $1`, [exhibitId]);
        await tx.query('UPDATE document SET etag = etag + 1 WHERE document_id = $1', [exhibitId]);
      });
      // As the event about it is followed.
      await indexAnew(parts, to, testActor, [exhibitId], signal);
    }
    await parts.index.put(...given);
  };
  await createSearchText({ ...parts, index: { ...parts.index, put } })({
    job: { destinationCaseId: to, createdBy: testActor, batchId: Number(row?.batch_id) },
    exhibits: [{ exhibitId, documentKey: row?.document_key ?? '', controlNumber: 'A1' }],
    signal,
  } as unknown as Parameters<Processor>[0]);
  const query = { filters: [{ field: 'privilege', equals: 'Privileged' }] };
  expect(await parts.index.search(to, query, { limit: 5 })).toEqual([exhibitId]);
  await world[Symbol.asyncDispose]();
}, 90_000);
