/** Refusals, and what happens when something goes wrong on the way. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AccountId,
  CaseboundError,
  type CaseId,
  ExchangeRequest,
  JobId as JobIdSchema,
  type Actor,
} from '@casebound/contract';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { archiveCase } from '../cases/index.ts';
import { caseDependencies } from '../cases/testing/case-dependencies.ts';
import { requestQueue } from './consumers.ts';
import { getJob } from './job-store.ts';
import { listItems } from './list-items.ts';
import { takeDown } from './orchestrator/take-down.ts';
import { previewExchange } from './preview-exchange.ts';
import { requestExchange } from './request-exchange.ts';
import { cancelExchange, retryFailed } from './steer-exchange.ts';
import { fillCase } from './testing/fill-case.ts';
import { openTestExchange, testActor, type TestExchange } from './testing/open-test-exchange.ts';
import { watchExchange } from './watch-exchange.ts';

const plain = {
  redactionsAs: 'omit',
  highlightsAs: 'omit',
  notesAs: 'omit',
  stickersAs: 'omit',
  batesAs: 'omit',
  confidentialityCodesAs: 'omit',
  comments: 'omit',
} as const;

const signal = new AbortController().signal;
const codeOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'succeeded',
    (error: unknown) => (error instanceof CaseboundError ? error.code : String(error)),
  );

const jobCount = async ({ parts }: TestExchange): Promise<number> =>
  parts.control.transaction({ readOnly: true }, async (tx) => {
    const { rows } = await tx.query<{ n: number }>('SELECT count(*)::int AS n FROM exchange.job');
    return rows[0]?.n ?? -1;
  });

describe('what is refused before anything is made', () => {
  let world: TestExchange;
  let from: CaseId;
  let to: CaseId;
  beforeAll(async () => {
    world = await openTestExchange({ still: true, config: { maxOpenPerCase: 1 } });
    from = await world.createCase('from');
    to = await world.createCase('to');
    await fillCase(world.parts, from, [
      { controlNumber: 'A1', pages: [['one']], redacted: true, native: Buffer.from('n'), code: 'AEO' },
      { controlNumber: 'A2', pages: [['two']], parent: 'A1' },
      { controlNumber: 'A10', pages: [['ten']], withoutPdf: true },
    ]);
    await fillCase(world.parts, to, [{ controlNumber: 'A10', pages: [['mine']] }]);
  });
  afterAll(async () => world[Symbol.asyncDispose]());

  const ask = (changes: object = {}): ExchangeRequest =>
    ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId: to,
      selection: { by: 'controlNumbers', ranges: [{ from: 'A1', to: 'A2' }] },
      ...changes,
    });
  const start = async (changes: object, actor: Actor = testActor): Promise<string> =>
    codeOf(requestExchange(world.parts, actor, ask(changes), undefined));
  const weak: Actor = {
    kind: 'account',
    accountId: AccountId.parse('01890a5d-ac96-774b-bcce-b302099a8057'),
    name: 'Ann',
    permissions: ['case.manage'],
  };

  test('each with its reason, and no job is left', async () => {
    const archived = await world.createCase('archived');
    await archiveCase(caseDependencies(world.test.databases), testActor, archived);
    expect(await start({ destinationCaseId: from })).toBe('exchange_same_case');
    expect(await start({ destinationCaseId: 999 })).toBe('case_not_found');
    expect(await start({ destinationCaseId: archived })).toBe('case_archived');
    expect(await start({ selection: { by: 'label', category: 'No', name: 'No' } })).toBe('exchange_selection_empty');
    expect(await start({ selection: { by: 'query' } })).toBe('search_query_invalid');
    expect(await start({ selection: { by: 'all' } })).toBe('exchange_conflict');
    expect(await start({ annotations: { redactionsAs: 'layer' } }, weak)).toBe('exchange_unredacted_denied');
    expect(await start({ includeNatives: true, nativesOfRedacted: 'include' }, weak)).toBe(
      'exchange_unredacted_denied',
    );
    expect(await jobCount(world)).toBe(0);
    expect((await world.messaging.queues.list()).filter(({ name }) => name.startsWith('doc_'))).toEqual([]);
  });

  test('a code for which the destination has no bit', async () => {
    const full = await world.createCase('full');
    await world.parts.sessions.withCase(full, testActor, async (tx) =>
      tx.query(
        `WITH d AS (INSERT INTO document (document_uuid, resource_key_id) SELECT gen_random_uuid(), 1 FROM generate_series(0, 62) RETURNING document_id)
         INSERT INTO confidentiality_code (document_id, code, bit) SELECT document_id, 'C' || row_number() OVER (), row_number() OVER () - 1 FROM d`,
      ),
    );
    expect(await start({ destinationCaseId: full })).toBe('exchange_code_without_bit');
  });

  test('a preview counts, warns, and changes nothing', async () => {
    const preview = await previewExchange(
      world.parts,
      testActor,
      ask({ selection: { by: 'all' }, includeNatives: true, onConflict: 'skip' }),
    );
    expect(preview).toMatchObject({
      exhibits: 3,
      conflicts: 1,
      conflictExamples: ['A10'],
      redacted: 1,
      pages: 3,
      byKind: { native: { objects: 1, bytes: 1 }, pdf: { objects: 2 }, pageText: { objects: 3 } },
    });
    expect(preview.warnings.map(({ code }) => code)).toEqual(['natives_withheld', 'no_pdf', 'conflicts']);
    const family = await previewExchange(
      world.parts,
      testActor,
      ask({ selection: { by: 'controlNumbers', ranges: [{ from: 'A2', to: 'A2' }] } }),
    );
    expect(family).toMatchObject({ exhibits: 2, families: 1 });
    expect(await jobCount(world)).toBe(0);
  });

  test('more jobs than a case may have', async () => {
    const other = await world.createCase('other');
    expect(await start({ controlNumbers: { policy: 'prefix', prefix: 'P-' } })).toBe('succeeded');
    expect(await start({ destinationCaseId: other })).toBe('too_many_jobs');
  });
});

describe('on the way', () => {
  let world: TestExchange;
  beforeAll(async () => {
    world = await openTestExchange();
  });
  afterAll(async () => world[Symbol.asyncDispose]());

  const pair = async (name: string, exhibits = 3): Promise<ExchangeRequest> => {
    const from = await world.createCase(`${name} from`);
    const to = await world.createCase(`${name} to`);
    await fillCase(
      world.parts,
      from,
      Array.from({ length: exhibits }, (_, at) => ({ controlNumber: `N${at + 1}`, pages: [[`page of ${at + 1}`]] })),
    );
    return ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId: to,
      selection: { by: 'all' },
      annotations: plain,
    });
  };
  const exhibitsIn = async (caseId: CaseId): Promise<string[]> => {
    const { rows } = await world.parts.sessions.withCase(caseId, testActor, async (tx) =>
      tx.query<{ control_number: string }>('SELECT control_number FROM exhibit ORDER BY 1'),
    );
    return rows.map((row) => row.control_number);
  };
  const leftovers = async (): Promise<string[]> => {
    const [queues, workers] = [await world.messaging.queues.list(), await world.messaging.fleet.list()];
    return [...queues, ...workers].flatMap(({ name }) => (name.startsWith('doc_exch_') ? [name] : []));
  };

  test('a request that is queued is an exchange, and one that is refused is a dead letter with the reason', async () => {
    const request = await pair('queued', 1);
    const idempotencyKey = randomUUID();
    const known = await world.messaging.deadLetters.count({ queue: requestQueue });
    await world.messaging.queues.send(requestQueue, [
      { body: JSON.stringify({ idempotencyKey, request }) },
      { body: JSON.stringify({ request: { ...request, destinationCaseId: request.sourceCaseId } }) },
      { body: '{"request":1}' },
    ]);
    const jobId = await until(async () => {
      const { rows } = await world.parts.control.transaction({}, async (tx) =>
        tx.query<{ job_id: string }>('SELECT job_id FROM exchange.job WHERE idempotency_key = $1', [idempotencyKey]),
      );
      return rows[0]?.job_id;
    });
    expect((await world.settled(ExchangeJobId(jobId))).state).toBe('FINISHED');
    const letters = await until(async () => {
      const found = (await world.messaging.deadLetters.list({ queue: requestQueue }, { limit: 100 })).slice(known);
      return found.length === 2 ? found : undefined;
    });
    expect(letters.map(({ code }) => code).sort()).toEqual(['exchange_same_case', 'message_invalid']);
  }, 90_000);

  test('cancelled, it leaves nothing behind, and says so', async () => {
    const request = await pair('cancelled', 40);
    const { job } = await requestExchange(world.parts, testActor, request, undefined);
    await cancelExchange(world.parts, job.jobId);
    const ended = await world.settled(job.jobId);
    expect(ended).toMatchObject({ state: 'CANCELLED', resources: [] });
    expect(await exhibitsIn(request.destinationCaseId)).toEqual([]);
    expect(await leftovers()).toEqual([]);
    expect(await codeOf(retryFailed(world.parts, job.jobId))).toBe('exchange_state_conflict');
    expect((await cancelExchange(world.parts, job.jobId)).state).toBe('CANCELLED');
  }, 90_000);

  test('the stream tells every change and ends with the exchange', async () => {
    const { job } = await requestExchange(world.parts, testActor, await pair('stream', 2), undefined);
    let text = '';
    for await (const part of await watchExchange(world.parts, job.jobId, signal)) text += part;
    const events = [...text.matchAll(/^event: (\w+)$/gm)].map(([, name]) => name);
    expect(events.at(-1)).toBe('end');
    expect(text).toContain('"state":"FINISHED"');
    expect(
      await codeOf(watchExchange(world.parts, ExchangeJobId('01890a5d-ac96-774b-bcce-b302099a8057'), signal)),
    ).toBe('exchange_not_found');
  }, 90_000);

  test('policies of control numbers and of families', async () => {
    const from = await world.createCase('policy from');
    const to = await world.createCase('policy to');
    await fillCase(world.parts, from, [
      { controlNumber: 'P1', pages: [['parent']] },
      { controlNumber: 'P2', pages: [['child']], parent: 'P1' },
    ]);
    const ask = async (changes: object): Promise<string> =>
      (
        await world.run(
          ExchangeRequest.parse({
            sourceCaseId: from,
            destinationCaseId: to,
            selection: { by: 'all' },
            annotations: plain,
            ...changes,
          }),
        )
      ).state;
    expect(await ask({ controlNumbers: { policy: 'renumber', prefix: 'NEW', start: 7, digits: 4 } })).toBe('FINISHED');
    expect(await ask({ controlNumbers: { policy: 'prefix', prefix: 'X-' } })).toBe('FINISHED');
    expect(
      await ask({ families: 'split', selection: { by: 'controlNumbers', ranges: [{ from: 'P2', to: 'P2' }] } }),
    ).toBe('FINISHED');
    expect(await exhibitsIn(to)).toEqual(['NEW0007', 'NEW0008', 'P2', 'X-P1', 'X-P2']);
    const { rows } = await world.parts.sessions.withCase(to, testActor, async (tx) =>
      tx.query(
        `SELECT e.control_number AS child, p.control_number AS parent FROM exhibit e LEFT JOIN exhibit p ON p.document_id = e.parent_exhibit_document_id WHERE e.control_number IN ('NEW0008', 'P2', 'X-P2') ORDER BY 1`,
      ),
    );
    expect(rows).toEqual([
      { child: 'NEW0008', parent: 'NEW0007' },
      { child: 'P2', parent: null },
      { child: 'X-P2', parent: 'X-P1' },
    ]);
  }, 90_000);
});

test('a message that comes at any moment of the take-down is worked on before its queue goes', async () => {
  const world = await openTestExchange({ still: true });
  const from = await world.createCase('from');
  const to = await world.createCase('to');
  await fillCase(world.parts, from, [{ controlNumber: 'T1', pages: [['one']] }]);
  const { job } = await requestExchange(
    world.parts,
    testActor,
    ExchangeRequest.parse({ sourceCaseId: from, destinationCaseId: to, selection: { by: 'all' }, annotations: plain }),
    undefined,
  );
  await world.exchanges.driver.advance(job.jobId, signal);
  const moments = [
    'exchange.take-down.unsubscribed',
    'exchange.take-down.paused',
    'exchange.take-down.workers-deleted',
    'exchange.take-down.queue-deleted',
  ] as const;
  let started = await world.parts.control.transaction({}, async (tx) => getJob(tx, job.jobId));
  const queue = started.resources.find(({ kind, stage }) => kind === 'queue' && stage === 'search_text')?.name ?? '';
  const [place] = await world.parts.caseDatabases.list();
  const owner = world.parts.owner(place?.server ?? '', place?.databaseName ?? '');
  for (const moment of moments) {
    for (const { name } of started.resources.filter(({ kind }) => kind === 'queue'))
      await world.messaging.queues.purge(name);
    await owner.transaction({}, async (tx) => tx.query('DELETE FROM messaging.outbox'));
    const sent: Promise<unknown>[] = [];
    const taken = await takeDown(
      {
        ...world.parts,
        crashPoint: (name) => {
          if (name === moment) sent.push(world.messaging.queues.send(queue, [{ body: 'late' }]).catch(() => 'refused'));
        },
      },
      started,
      signal,
    );
    const outcomes = await Promise.all(sent);
    expect(outcomes.length).toBeGreaterThan(0);
    if (taken.kind === 'gone') {
      // The queue went while it was empty; whoever sent later was told.
      expect(outcomes).toContain('refused');
      continue;
    }
    const left = await world.messaging.queues.depth([queue]);
    expect([moment, left.get(queue)?.visible]).toEqual([moment, outcomes.filter((one) => one !== 'refused').length]);
    expect((await world.messaging.fleet.list()).some((worker) => worker.queue === queue)).toBe(true);
    started = { ...started, resources: [...taken.resources] };
  }
  await world[Symbol.asyncDispose]();
}, 90_000);

test('a document that the index never takes ends as an item with its dead letter; the others arrive', async () => {
  const world = await openTestExchange({
    change: (parts) => ({
      ...parts,
      index: {
        ...parts.index,
        put: async (caseId, documents) => {
          if (documents.some(({ controlNumber }) => controlNumber === 'BAD'))
            throw new CaseboundError('search_index_unavailable', 'The disk of the index is gone.');
          await parts.index.put(caseId, documents);
        },
      },
    }),
  });
  const from = await world.createCase('from');
  const to = await world.createCase('to');
  await fillCase(
    world.parts,
    from,
    ['GOOD', 'BAD', 'FINE'].map((controlNumber) => ({ controlNumber, pages: [['words']] })),
  );
  const job = await world.run(
    ExchangeRequest.parse({ sourceCaseId: from, destinationCaseId: to, selection: { by: 'all' }, annotations: plain }),
  );
  expect([job.state, job.resources]).toEqual(['FINISHED_WITH_ERRORS', []]);
  const { items } = await listItems(world.parts, job.jobId, { state: 'failed', limit: 10 });
  expect(items).toMatchObject([
    {
      sourceControlNumber: 'BAD',
      stage: 'search_text',
      code: 'receive_count_exceeded',
      deadLetterId: expect.any(String),
    },
  ]);
  expect(await world.parts.index.search(to, { text: 'words' }, { limit: 5 })).toHaveLength(2);
  await world[Symbol.asyncDispose]();
}, 120_000);

test('a control number that somebody takes after the start fails the exchange under `fail`, and leaves theirs alone', async () => {
  await using world = await openTestExchange({ still: true });
  const from = await world.createCase('from');
  const to = await world.createCase('to');
  await fillCase(world.parts, from, [
    { controlNumber: 'C1', pages: [['one']], custodian: 'Ann' },
    { controlNumber: 'C2', pages: [['two']] },
  ]);
  const request = ExchangeRequest.parse({
    sourceCaseId: from,
    destinationCaseId: to,
    selection: { by: 'all' },
    annotations: plain,
    onConflict: 'fail',
  });
  const { job } = await requestExchange(world.parts, testActor, request, undefined);
  await fillCase(world.parts, to, [{ controlNumber: 'C2', pages: [['theirs']] }], { batch: 'Theirs' });
  await world.messaging.start({ workers: true });
  const ended = await world.settled(job.jobId);
  expect(ended).toMatchObject({ state: 'FAILED', failure: { code: 'copy_conflict' } });
  expect(ended.failure?.reason).toContain('C2');
  const { rows } = await world.parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query('SELECT control_number, (SELECT count(*)::int FROM custodian) AS custodians FROM exhibit'),
  );
  expect(rows).toEqual([{ control_number: 'C2', custodians: 0 }]);
  expect(ended.resources).toEqual([]);
}, 60_000);

test('between two databases', async () => {
  const world = await openTestExchange({ casesPerDatabase: 1 });
  const from = await world.createCase('from');
  const to = await world.createCase('to');
  await fillCase(world.parts, from, [
    { controlNumber: 'D1', pages: [['across']], custodian: 'Ann', label: 'Hot', fields: { Matter: 'x' }, code: 'AEO' },
  ]);
  const job = await world.run(
    ExchangeRequest.parse({ sourceCaseId: from, destinationCaseId: to, selection: { by: 'all' }, annotations: plain }),
  );
  expect([job.state, job.failure]).toEqual(['FINISHED', null]);
  expect(await world.parts.index.search(to, { text: 'across' }, { limit: 5 })).toHaveLength(1);
  await world[Symbol.asyncDispose]();
}, 90_000);

const until = async <T>(look: () => Promise<T | undefined>): Promise<T> => {
  for (let tries = 0; tries < 1_000; tries += 1) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(50);
  }
  throw new Error('It did not come.');
};
const ExchangeJobId = (text: string) => JobIdSchema.parse(text);
