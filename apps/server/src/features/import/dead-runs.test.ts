/** An import whose message died ends where it stands, says so, and is carried on, put back or undone from there. */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CaseboundError, type CaseId, type ImportJob, jobCatalogue, type JobId } from '@casebound/contract';
import {
  type BatchHandler,
  createMessaging,
  createPoolDatabase,
  createPostgresTransport,
  type Messaging,
  queueSettingsOf,
  type SqlDatabase,
} from '@casebound/messaging';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../database/testing/open-test-databases.ts';
import { createSample, type SampleSummary } from '../samples/index.ts';
import type { ImportDependencies } from './dependencies.ts';
import { createDeadRunFollower } from './follow-dead-runs.ts';
import { cancelImport, getImport, listImports, resumeImport } from './look-at-imports.ts';
import { runImport } from './run-import.ts';
import { importQueue } from './send-run.ts';
import { stopImport } from './store.ts';
import { type CaseDescription, describeCase } from './testing/describe-case.ts';
import { openTestImport, testActor, type TestImport } from './testing/open-test-import.ts';

const chunkRows = 10;
let test: TestImport;
let folder: TemporaryFolder;
let sample: SampleSummary;
let whole: CaseDescription;
let pool: pg.Pool;
let messaging: Messaging;
let parts: ImportDependencies;
/** The worker meets what kills its message at once. */
let isBroken = true;

const query = async (text: string, values: readonly unknown[] = []) => pool.query(text, [...values]);

/** Works until a chunk is committed, then meets what no other try would mend. */
const handle: BatchHandler = async (deliveries, signal) => {
  for (const { body } of deliveries) {
    const { context } = JSON.parse(body) as { context: { caseId: CaseId; jobId: JobId } };
    const run = async (changes: Partial<ImportDependencies>) =>
      runImport({ ...parts, ...changes }, context.caseId, context.jobId, signal);
    if (!isBroken) {
      await run({});
      continue;
    }
    const stopped = new Error('stopped here');
    const crashPoint = (name: string): void => {
      if (name === 'import.chunk.committed') throw stopped;
    };
    await run({ crashPoint }).catch((error: unknown) => {
      if (error !== stopped) throw error;
    });
    throw new CaseboundError('message_invalid', 'The disk is full.');
  }
  return [];
};

const openMessaging = (): Messaging => {
  const control = createPoolDatabase(pool, { random: Math.random, sleep: async (ms) => sleep(ms) });
  const { clock } = test.parts;
  const owned = (server: string, name: string): SqlDatabase => {
    const owner = test.databases.owner(server, name);
    return {
      query: async (text, values) => owner.transaction({ alongside: true }, async (tx) => tx.query(text, values)),
      transaction: async (work) => owner.transaction({ alongside: true }, work),
    };
  };
  return createMessaging({
    control,
    caseDatabases: async () =>
      (await test.databases.caseDatabases.list()).map(({ server, databaseName }) => ({
        name: `${server}/${databaseName}`,
        database: owned(server, databaseName),
      })),
    transport: () => createPostgresTransport({ control, clock, worker: 'test', pollMs: 50 }),
    payloads: { put: async () => {}, get: async () => Promise.reject(new Error('none')), delete: async () => {} },
    clock,
    log: silentLog,
    worker: 'test',
    workerTotal: 4,
    handlers: () => ({
      ...createDeadRunFollower({
        sessions: test.parts.sessions,
        log: silentLog,
        messaging: () => messaging,
      }).catalogue(),
      run_import: { handle, handlerTimeoutMs: 60_000, reserved: 1 },
    }),
  });
};

beforeAll(async () => {
  test = await openTestImport({ chunkRows });
  folder = await createTemporaryFolder();
  sample = await createSample(path.join(folder.path, 'sample'), { documents: 30, seed: 'dead', loadFileOnly: true });
  const caseId = await test.makeCase('whole');
  await test.import(caseId, { path: sample.folder, ocr: 'off' });
  whole = await describeCase(test, caseId);
}, 120_000);
beforeEach(async () => {
  isBroken = true;
  pool = new pg.Pool({ ...test.place.target, max: 8 });
  messaging = openMessaging();
  parts = { ...test.parts, queues: messaging.queues, outbox: messaging.outbox, topic: messaging.topic };
});
afterEach(async () => {
  await messaging.stop(1_000);
  await pool.end();
});
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const start = async (options: { readonly workers: boolean }): Promise<void> => {
  await messaging.queues.create(queueSettingsOf(importQueue, jobCatalogue.run_import));
  await messaging.start(options);
  await messaging.fleet.create({
    name: 'imports_worker',
    queue: importQueue,
    handler: 'run_import',
    concurrency: 1,
    batchSize: 1,
    batchWindowMs: 0,
  });
  await createDeadRunFollower({ sessions: test.parts.sessions, log: silentLog, messaging: () => messaging }).start();
};

const accepted = async (): Promise<{ readonly caseId: CaseId; readonly jobId: JobId }> => {
  const caseId = await test.makeCase(`dead ${randomUUID()}`);
  return { caseId, jobId: (await test.accept(caseId, { path: sample.folder, ocr: 'off' })).jobId };
};

const until = async (caseId: CaseId, jobId: JobId, ends: readonly ImportJob['state'][]): Promise<ImportJob> => {
  for (const deadline = performance.now() + 40_000; performance.now() < deadline; await sleep(50)) {
    const job = await getImport(parts, testActor, caseId, jobId);
    if (ends.includes(job.state)) return job;
  }
  throw new Error(`The import is ${(await getImport(parts, testActor, caseId, jobId)).state}.`);
};

const expectWhole = async (caseId: CaseId): Promise<void> => {
  const { exhibits, leftovers, shared } = await describeCase(test, caseId);
  expect({ exhibits, leftovers, shared }).toEqual({
    exhibits: whole.exhibits,
    leftovers: whole.leftovers,
    shared: whole.shared,
  });
};

describe('an import whose message died', () => {
  const died = async () => {
    const { caseId, jobId } = await accepted();
    await start({ workers: true });
    const job = await until(caseId, jobId, ['failed']);
    expect(job).toMatchObject({
      resumable: true,
      stalled: null,
      error: { code: 'message_invalid', detail: expect.stringContaining('The disk is full.') as string },
      progress: { done: chunkRows, total: sample.documents },
    });
    expect(Object.keys((await describeCase(test, caseId)).exhibits)).toHaveLength(chunkRows);
    isBroken = false;
    return { caseId, jobId };
  };

  it('is resumed, and ends as if it had not died', async () => {
    const { caseId, jobId } = await died();
    expect(await resumeImport(parts, testActor, caseId, jobId)).toMatchObject({ state: 'importing', error: null });
    expect(await until(caseId, jobId, ['finished'])).toMatchObject({ resumable: false, error: null });
    await expectWhole(caseId);
  }, 60_000);

  it('goes on when its dead letter is put back', async () => {
    const { caseId, jobId } = await died();
    expect(await messaging.deadLetters.redriveBatch({ queue: importQueue, fairnessKey: caseId }, 10)).toBe(1);
    await until(caseId, jobId, ['finished']);
    await expectWhole(caseId);
  }, 60_000);

  it('is cancelled, and leaves nothing', async () => {
    const { caseId, jobId } = await died();
    await cancelImport(parts, testActor, caseId, jobId);
    await until(caseId, jobId, ['cancelled']);
    expect(await describeCase(test, caseId)).toMatchObject({ exhibits: {}, objects: [], leftovers: [] });
  }, 60_000);

  it('is stopped once, however often its death is told', async () => {
    const { caseId, jobId } = await accepted();
    const told = { code: 'message_invalid', reason: 'It died.', diedAt: new Date(Date.now() + 1_000) };
    const stop = async (reason: string): Promise<boolean> =>
      parts.sessions.withCase(caseId, testActor, async (tx) => stopImport(tx, jobId, { ...told, reason }));
    const stopped = await Promise.all([stop('once'), stop('once'), stop('once')]);
    expect(stopped.filter((did) => did)).toHaveLength(1);
    expect(await stop('again')).toBe(false);
    const job = await getImport(parts, testActor, caseId, jobId);
    expect(job).toMatchObject({ state: 'failed', resumable: true, error: { detail: 'once' } });
    expect(await resumeImport(parts, testActor, caseId, jobId)).toMatchObject({ state: 'accepted', finishedAt: null });
  });

  it('does not stop one that was taken up or resumed since', async () => {
    const { caseId, jobId } = await accepted();
    const diedAt = new Date(Date.now() - 1_000);
    const stop = async (): Promise<boolean> =>
      parts.sessions.withCase(caseId, testActor, async (tx) =>
        stopImport(tx, jobId, { code: 'x', reason: 'x', diedAt }),
      );
    await resumeImport(parts, testActor, caseId, jobId);
    expect(await stop()).toBe(false);
    expect((await getImport(parts, testActor, caseId, jobId)).state).toBe('accepted');
  });
});

describe('an import that nothing carries on', () => {
  /** As it looks a minute later. */
  const later = async (caseId: CaseId, jobId: JobId): Promise<ImportJob> => {
    const clock = { ...parts.clock, now: () => new Date(Date.now() + 60_000) };
    const job = await getImport({ ...parts, clock }, testActor, caseId, jobId);
    expect((await listImports({ ...parts, clock }, testActor, caseId)).imports).toEqual([job]);
    return job;
  };
  const arrived = async (caseId: CaseId): Promise<void> => {
    const there = async () => query('SELECT FROM messaging.message WHERE fairness_key = $1', [caseId]);
    for (const deadline = performance.now() + 20_000; (await there()).rowCount === 0; await sleep(20))
      expect(performance.now()).toBeLessThan(deadline);
  };

  it('says that its message is gone, and what to do', async () => {
    await start({ workers: false });
    const { caseId, jobId } = await accepted();
    await arrived(caseId);
    expect(await later(caseId, jobId)).toMatchObject({ state: 'accepted', stalled: null });
    await messaging.queues.purge(importQueue);
    expect((await later(caseId, jobId)).stalled).toContain(`casebound import resume ${jobId} --case ${caseId}`);
    expect((await getImport(parts, testActor, caseId, jobId)).stalled).toBe(null);
  }, 60_000);

  it('says that nobody works', async () => {
    await start({ workers: false });
    const { caseId, jobId } = await accepted();
    await arrived(caseId);
    await query(`UPDATE messaging.message SET sent_at = sent_at - interval '1 minute'`);
    expect((await later(caseId, jobId)).stalled).toContain('casebound up --role worker');
  }, 60_000);
});
