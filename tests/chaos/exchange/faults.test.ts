/**
 * What an exchange works with fails, and what it works on is changed by others, while it goes on. Each ends verified, or with the item
 * named, and leaves nothing behind. (A message at each moment of the take-down is tested beside the code.)
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { CaseboundError, ExchangeRequest, type CaseId, type JobId } from '@casebound/contract';
import { deleteDocument, putDocument, readMany } from '@casebound/records';
import { createTemporaryFolder } from '@casebound/test-kit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startEmbedded } from '../../../apps/server/src/database/embedded/index.ts';
import { listItems } from '../../../apps/server/src/features/exchange/list-items.ts';
import { requestExchange } from '../../../apps/server/src/features/exchange/request-exchange.ts';
import {
  fillCase,
  type ExhibitSpec,
  type FilledExhibit,
} from '../../../apps/server/src/features/exchange/testing/fill-case.ts';
import {
  joinTestExchange,
  openTestExchange,
  testActor,
  type TestExchange,
} from '../../../apps/server/src/features/exchange/testing/open-test-exchange.ts';
import { retryFailed } from '../../../apps/server/src/features/exchange/steer-exchange.ts';
import { readManifest } from '../../../apps/server/src/features/exchange/verification/check-manifest.ts';
import { ManifestLine } from '../../../apps/server/src/features/exchange/verification/manifest-format.ts';
import { caseResource } from '../../../apps/server/src/features/records/index.ts';
import { objectKey } from '../../../apps/server/src/platform/object-store/Port.ts';
import {
  createFaultyStore,
  type FaultyStore,
} from '../../../apps/server/src/platform/object-store/testing/faulty-store.ts';
import { jobOf, proofOf, type Proof } from './open-lane.ts';
import { createRandom } from '../messaging/seeded-random.ts';

/** What a test makes happen before a call. */
interface Hooks {
  beforePut?: (() => Promise<void>) | undefined;
  beforeCopy?: (() => Promise<void>) | undefined;
  beforeIndex?: (() => Promise<void>) | undefined;
}

const plain = {
  redactionsAs: 'omit',
  highlightsAs: 'omit',
  notesAs: 'omit',
  stickersAs: 'omit',
  batesAs: 'omit',
  confidentialityCodesAs: 'omit',
  comments: 'omit',
} as const;

/** `CASEBOUND_OUTAGES=full` lasts as long as the product promises to bear; by default as long as shows the same. */
const outage =
  process.env['CASEBOUND_OUTAGES'] === 'full'
    ? { storeMs: 30_000, engineMs: 60_000 }
    : { storeMs: 5_000, engineMs: 6_000 };

let world: TestExchange;
let faulty: FaultyStore;
const hooks: Hooks = {};
beforeAll(async () => {
  world = await openTestExchange({
    config: {
      handlerTimeoutMs: 10_000,
      messageDocuments: 4,
      breakerThreshold: 2,
      breakerOpenMs: 1_000,
      maxOpenPerCase: 3,
    },
    wrapStore: (store) => {
      faulty = createFaultyStore(store, createRandom(7));
      return {
        ...faulty.store,
        copyAll: async (...args) => {
          await hooks.beforeCopy?.();
          return faulty.store.copyAll(...args);
        },
      };
    },
    change: (parts) => ({
      ...parts,
      engine: {
        ...parts.engine,
        putStored: async (...args) => {
          await hooks.beforePut?.();
          return parts.engine.putStored(...args);
        },
      },
      index: {
        ...parts.index,
        put: async (...args) => {
          await hooks.beforeIndex?.();
          await parts.index.put(...args);
        },
      },
    }),
    settleMs: 120_000,
  });
});
afterAll(async () => world[Symbol.asyncDispose]());
afterEach(() => {
  faulty.faults.rate = 0;
  hooks.beforePut = undefined;
  hooks.beforeCopy = undefined;
  hooks.beforeIndex = undefined;
});

interface Pair {
  readonly from: CaseId;
  readonly to: CaseId;
  readonly filled: ReadonlyMap<string, FilledExhibit>;
  readonly request: ExchangeRequest;
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, at) => `N${String(at + 1)}`);

const pair = async (
  name: string,
  count: number,
  more: Partial<ExhibitSpec> = {},
  changes: object = {},
): Promise<Pair> => {
  const from = await world.createCase(`${name} from`);
  const to = await world.createCase(`${name} to`);
  const filled = await fillCase(
    world.parts,
    from,
    numbers(count).map((controlNumber) => ({
      controlNumber,
      pages: [[`page of ${controlNumber}`]],
      native: Buffer.from(`native of ${controlNumber}`),
      fields: { Matter: `matter of ${controlNumber}` },
      ...more,
    })),
  );
  const request = ExchangeRequest.parse({
    sourceCaseId: from,
    destinationCaseId: to,
    selection: { by: 'all' },
    includeNatives: true,
    annotations: plain,
    ...changes,
  });
  return { from, to, filled, request };
};

const start = async ({ request }: Pair): Promise<JobId> =>
  (await requestExchange(world.parts, testActor, request, undefined)).job.jobId;

const failedItems = async (jobId: JobId): Promise<[string, string, string | null][]> => {
  const { items } = await listItems(world.parts, jobId, { state: 'failed', limit: 100 });
  return items.map(({ sourceControlNumber, stage, code }) => [sourceControlNumber, stage, code]);
};

const arrived = async (to: CaseId): Promise<string[]> => {
  const { rows } = await world.parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query<{ control_number: string }>('SELECT control_number FROM exhibit ORDER BY document_id'),
  );
  return rows.map((row) => row.control_number);
};

/** Ends well: verified, signed, nothing left. */
const expectWhole = (proof: Proof, exhibits: number): void => {
  expect([proof.job.state, proof.job.failure, proof.job.resources]).toEqual(['FINISHED', null, []]);
  expect(proof).toMatchObject({ differences: [], leftovers: [], signed: true });
  expect(proof.shape).toMatchObject({
    indexed: exhibits,
    engineDocuments: exhibits,
    rows: { exhibit: exhibits, source_document: exhibits, exchange_exhibit: exhibits },
  });
};

const clearDeadLetters = async (): Promise<void> => {
  await world.databases.control.transaction({}, async (tx) => tx.query('DELETE FROM messaging.dead_letter'));
};

/** Resolves when `promise` shows that work came so far. */
const gate = () => {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  return {
    reached: reached.promise,
    open: opened.resolve,
    pass: async (): Promise<void> => {
      reached.resolve();
      await opened.promise;
    },
  };
};

describe('the object store', () => {
  test('fails one call in twenty: everything arrives, and once', async () => {
    const it = await pair('flaky', 24);
    faulty.faults.code = 'object_store_unavailable';
    faulty.faults.rate = 0.05;
    const before = faulty.failed();
    const { jobId } = await world.settled(await start(it));
    faulty.faults.rate = 0;
    expect(faulty.failed() - before).toBeGreaterThan(2);
    expectWhole(await proofOf(world, jobId), 24);
  }, 180_000);

  test('is gone for seconds, in the middle: what was tried too often is named, and a retry brings it', async () => {
    const it = await pair('outage', 12);
    const here = gate();
    hooks.beforePut = here.pass;
    const jobId = await start(it);
    await here.reached;
    faulty.faults.rate = 1;
    hooks.beforePut = undefined;
    here.open();
    await sleep(outage.storeMs);
    faulty.faults.rate = 0;
    const ended = await world.settled(jobId);
    const failed = await failedItems(jobId);
    if (failed.length > 0) {
      expect(ended.state).toBe('FINISHED_WITH_ERRORS');
      await retryFailed(world.parts, jobId);
      await world.settled(jobId);
    }
    await clearDeadLetters();
    expectWhole(await proofOf(world, jobId), 12);
  }, 180_000);

  test('is full: the exhibits are named, and arrive by a retry when there is room', async () => {
    const it = await pair('full', 5);
    const here = gate();
    hooks.beforeCopy = here.pass;
    const jobId = await start(it);
    await here.reached;
    faulty.faults.code = 'object_store_full';
    faulty.faults.rate = 1;
    here.open();
    // Room is made when exhibits had to be given up; the manifest needs some, too.
    for (const deadline = performance.now() + 100_000; performance.now() < deadline; await sleep(100)) {
      const failed = await failedItems(jobId);
      if (failed.some(([number]) => number === 'N5')) break;
    }
    faulty.faults.rate = 0;
    faulty.faults.code = 'object_store_unavailable';
    const ended = await world.settled(jobId);
    const failed = await failedItems(jobId);
    expect(ended.state).toBe('FINISHED_WITH_ERRORS');
    expect(failed.length).toBeGreaterThan(0);
    for (const [, , code] of failed) expect(code).toMatch(/object_store_full|receive_count_exceeded/);
    await retryFailed(world.parts, jobId);
    await world.settled(jobId);
    await clearDeadLetters();
    expectWhole(await proofOf(world, jobId), 5);
  }, 240_000);
});

test('while the document engine is down its breaker is open, receives are not counted, and it recovers', async () => {
  const it = await pair('engine', 8);
  let calls = 0;
  let isDown = true;
  hooks.beforePut = async () => {
    calls += 1;
    if (isDown) throw new CaseboundError('document_engine_unavailable', 'The engine is down.');
    return Promise.resolve();
  };
  const jobId = await start(it);
  const stateOf = async (): Promise<string | undefined> =>
    (await world.messaging.breakers.list()).find(({ name }) => name === 'document-engine')?.state;
  for (const deadline = performance.now() + 20_000; performance.now() < deadline && (await stateOf()) !== 'open';)
    await sleep(50);
  expect(await stateOf()).toBe('open');
  await sleep(outage.engineMs);
  const { rows } = await world.databases.control.transaction({ readOnly: true }, async (tx) =>
    tx.query<{ most: number }>(
      `SELECT coalesce(max(receive_count), 0)::int AS most FROM messaging.message JOIN messaging.queue USING (queue_id) WHERE name LIKE 'doc_exch_uploader%'`,
    ),
  );
  // As long as that with an open breaker are many more receives than a message has.
  expect(rows[0]?.most).toBeLessThan(5);
  expect(calls).toBeLessThan(14 + outage.engineMs / 1_000);
  expect(await failedItems(jobId)).toEqual([]);
  isDown = false;
  await world.settled(jobId);
  expectWhole(await proofOf(world, jobId), 8);
  expect(await stateOf()).not.toBe('open');
}, 120_000);

test('starts of one request that race, from two processes, are one job', async () => {
  const it = await pair('race', 4);
  await using other = await joinTestExchange(world.place, { still: true });
  const both = [world.parts, other.parts];
  const key = randomUUID();
  const started = await Promise.all(
    Array.from({ length: 16 }, async (_, at) =>
      requestExchange(both[at % 2] ?? world.parts, testActor, it.request, key),
    ),
  );
  const jobs = new Set(started.map(({ job }) => job.jobId));
  expect(jobs.size).toBe(1);
  expect(started.filter(({ created }) => created)).toHaveLength(1);
  const [jobId] = jobs;
  if (jobId === undefined) throw new Error('no job');
  await world.settled(jobId);
  expectWhole(await proofOf(world, jobId), 4);
}, 60_000);

describe('others change', () => {
  const changeExhibit = async (caseId: CaseId, controlNumber: string, change: object): Promise<void> => {
    const { sessions, records } = world.parts;
    const store = await records.open(caseId, testActor);
    const resource = caseResource(store.model, 'exhibits');
    const found = await sessions.withCase(caseId, testActor, async (tx) => {
      const { rows } = await tx.query<{ id: string }>(
        'SELECT document_id AS id FROM exhibit WHERE control_number = $1',
        [controlNumber],
      );
      const exhibitId = Number(rows[0]?.id);
      return (await readMany(await records.within(caseId, tx), tx, resource, [exhibitId])).get(exhibitId);
    });
    const { id, _etag, _lastModifiedDate, ...body } = JSON.parse(found?.body ?? '{}') as Record<string, never> & {
      id: string;
    };
    await putDocument(store, resource, id, { ...body, ...change });
  };

  test('the destination meanwhile: their change stays, and the manifest names it', async () => {
    const it = await pair('changed', 4);
    const here = gate();
    hooks.beforePut = here.pass;
    const jobId = await start(it);
    await here.reached;
    await changeExhibit(it.to, 'N2', { privilege: 'Privileged' });
    const { rows } = await world.parts.sessions.withCase(it.to, testActor, async (tx) =>
      tx.query<{ id: string }>(`SELECT document_id AS id FROM exhibit WHERE control_number = 'N3'`),
    );
    const third = Number(rows[0]?.id);
    await world.parts.fields.update(it.to, testActor, { exhibitId: third, values: { Matter: 'theirs' } });
    here.open();
    // What verification finds is no longer what was brought: it says so, of the exhibits that were changed and of no other.
    const ended = await world.settled(jobId);
    expect(ended).toMatchObject({ state: 'FINISHED_WITH_ERRORS', failure: { code: 'verification_failed' } });
    const { text } = await readManifest(world.parts, jobId, 0, new AbortController().signal);
    const named = text.split('\n').flatMap((line) => {
      const parsed = line === '' ? undefined : ManifestLine.parse(JSON.parse(line));
      return parsed?.kind === 'item' && parsed.exceptions.length > 0 ? [parsed.source.controlNumber] : [];
    });
    expect(named).toEqual(['N2', 'N3']);
    const proof = await proofOf(world, jobId);
    expect(proof).toMatchObject({ differences: [], leftovers: [], signed: true });
    expect(proof.shape).toMatchObject({ indexed: 4, engineDocuments: 4, rows: { exhibit: 4 } });
    expect((await world.parts.fields.read(it.to, testActor, [third])).get(third)?.values['Matter']).toBe('theirs');
    const kept = await world.parts.sessions.withCase(it.to, testActor, async (tx) =>
      tx.query(`SELECT control_number, privilege FROM exhibit WHERE privilege IS NOT NULL`),
    );
    expect(kept.rows).toEqual([{ control_number: 'N2', privilege: 'Privileged' }]);
  }, 90_000);

  test('the source, which loses exhibits and files meanwhile: each is named, the rest arrives', async () => {
    const it = await pair('deleted', 6);
    const here = gate();
    hooks.beforeCopy = here.pass;
    const jobId = await start(it);
    await here.reached;
    const { records, sessions, objects } = world.parts;
    const store = await records.open(it.from, testActor);
    const { rows } = await sessions.withCase(it.from, testActor, async (tx) =>
      tx.query<{ uuid: string }>(
        `SELECT document_uuid AS uuid FROM document JOIN exhibit USING (document_id) WHERE control_number = 'N2'`,
      ),
    );
    await deleteDocument(store, caseResource(store.model, 'exhibits'), rows[0]?.uuid ?? '');
    for (const number of ['N2', 'N4']) {
      const one = it.filled.get(number);
      for (const file of [`native/${one?.documentKey}/content`, `pdf/${one?.documentKey}/content.pdf`])
        await objects.delete(objectKey(`case_${it.from}/processed-files/${one?.batchId}/${file}`));
    }
    here.open();
    const ended = await world.settled(jobId);
    const failed = await failedItems(jobId);
    expect(ended.state).toBe('FINISHED_WITH_ERRORS');
    expect(failed.map(([number, stage, code]) => `${number} ${stage} ${code ?? ''}`)).toEqual([
      'N2 object_copy DOCUMENT_NOT_FOUND',
      'N4 object_copy DOCUMENT_NOT_FOUND',
    ]);
    expect(await arrived(it.to)).toEqual(numbers(6));
    const proof = await proofOf(world, jobId);
    expect(proof).toMatchObject({ differences: [], leftovers: [], signed: true });
    expect(proof.shape.engineDocuments).toBe(4);
  }, 90_000);
});

test('a processor that outlives its time, and its message, has one effect', async () => {
  const it = await pair('slow', 3);
  let waits = 1;
  const late = Promise.withResolvers<void>();
  hooks.beforeIndex = async () => {
    if (waits === 0) return;
    waits -= 1;
    // Deaf to the signal: it comes back when its message has long been another's.
    await sleep(14_000);
    late.resolve();
  };
  const jobId = await start(it);
  await world.settled(jobId);
  await late.promise;
  await sleep(300);
  expectWhole(await proofOf(world, jobId), 3);
}, 120_000);

test('the database dies and comes again while documents are worked on', async () => {
  await using folder = await createTemporaryFolder();
  const server = await startEmbedded({
    dataDir: `${folder.path}/database`,
    command: 'exchange chaos',
    maxConnections: 100,
  });
  try {
    const { host, port, user, password, database } = server.target;
    const place = { target: { host, port, user, password, database }, folder: folder.path };
    const own = await joinTestExchange(place, { config: { messageDocuments: 2 }, settleMs: 120_000 });
    try {
      const from = await own.createCase('from');
      const to = await own.createCase('to');
      await fillCase(
        own.parts,
        from,
        numbers(16).map((controlNumber) => ({ controlNumber, pages: [[`page of ${controlNumber}`]] })),
      );
      const request = ExchangeRequest.parse({
        sourceCaseId: from,
        destinationCaseId: to,
        selection: { by: 'all' },
        annotations: plain,
      });
      const { job } = await requestExchange(own.parts, testActor, request, undefined);
      for (const deadline = performance.now() + 60_000; performance.now() < deadline; await sleep(10)) {
        const { state } = await jobOf(own, job.jobId);
        if (state === 'PROCESSING') break;
      }
      for (let kills = 0; kills < 2; kills += 1) {
        await sleep(100);
        process.kill(server.pid(), 'SIGKILL');
        await sleep(500);
        for (const deadline = performance.now() + 60_000; performance.now() < deadline; await sleep(200)) {
          const found = await jobOf(own, job.jobId).catch(() => undefined);
          if (found !== undefined) break;
        }
      }
      for (const deadline = performance.now() + 90_000; performance.now() < deadline; await sleep(200)) {
        const found = await jobOf(own, job.jobId).catch(() => undefined);
        if (found?.finishedAt !== null && found !== undefined) break;
      }
      expectWhole(await proofOf(own, job.jobId), 16);
    } finally {
      await own[Symbol.asyncDispose]();
    }
  } finally {
    await server.stop();
  }
}, 240_000);
