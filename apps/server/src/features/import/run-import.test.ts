/** An import ends alike however often it is killed, and a cancelled one leaves nothing. */
import { createHash } from 'node:crypto';
import path from 'node:path';
import type { CaseId, JobId } from '@casebound/contract';
import { expectIdempotent, type IdempotencyWorld } from '@casebound/messaging/testing';
import { createTemporaryFolder, spawnScript, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSample, type SampleSummary } from '../samples/index.ts';
import { cancelImport } from './look-at-imports.ts';
import { createRunImportHandler } from './run-import.handler.ts';
import { type CaseDescription, describeCase } from './testing/describe-case.ts';
import { openTestImport, testActor, type TestImport } from './testing/open-test-import.ts';

const script = path.join(import.meta.dirname, 'testing/run-one-import.ts');
const chunkRows = 15;

let test: TestImport;
let folder: TemporaryFolder;
let sample: SampleSummary;
let whole: CaseDescription;

beforeAll(async () => {
  test = await openTestImport({ chunkRows });
  folder = await createTemporaryFolder();
  sample = await createSample(path.join(folder.path, 'sample'), { documents: 40, seed: 'killed', flaws: true });
  const caseId = await test.makeCase('whole');
  await test.import(caseId, request());
  whole = await describeCase(test, caseId);
}, 120_000);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const request = (from = sample) => ({ path: from.folder, ocr: 'off', deduplicate: 'case' }) as const;

const accepted = async (name: string, from = sample): Promise<{ readonly caseId: CaseId; readonly jobId: JobId }> => {
  const caseId = await test.makeCase(name);
  return { caseId, jobId: (await test.accept(caseId, request(from))).jobId };
};

/** Runs the import in a process that dies at the crash point, if it comes there. @returns whether it died */
const runAndDie = async (caseId: CaseId, jobId: JobId, point: string): Promise<boolean> => {
  const child = spawnScript(script, {
    args: [JSON.stringify(test.place), String(caseId), jobId, String(chunkRows)],
    env: { CASEBOUND_CRASH_AT: point },
  });
  const { signal, exitCode, stderr } = await child.ended;
  expect(signal === 'SIGKILL' || exitCode === 0, stderr).toBe(true);
  return signal === 'SIGKILL';
};

const points = [
  'import.planned',
  'import.staged',
  'import.chunk.written',
  'import.chunk.committed',
  'import.linked',
  'import.set.processed',
  'import.finishing',
] as const;

describe('an import that is killed', () => {
  it('has a whole one to be compared with', () => {
    expect(Object.keys(whole.exhibits).length).toBeGreaterThan(35);
    expect(whole.leftovers).toEqual([]);
    expect(whole.objects.filter((line) => line.includes('/pdf/')).length).toBeGreaterThan(5);
  });

  it.each(points)(
    'at %s ends as if it had not been',
    async (point) => {
      const { caseId, jobId } = await accepted(`killed at ${point}`);
      expect(await runAndDie(caseId, jobId, point)).toBe(true);
      expect((await test.run(caseId, jobId)).state).toBe('finished_with_errors');
      expect(await describeCase(test, caseId)).toEqual(whole);
    },
    60_000,
  );

  it('after every chunk it writes ends as if it had not been', async () => {
    const { caseId, jobId } = await accepted('killed again and again');
    let deaths = 0;
    while (await runAndDie(caseId, jobId, 'import.chunk.committed')) deaths += 1;
    expect(deaths).toBe(3);
    expect(await describeCase(test, caseId)).toEqual(whole);
  }, 120_000);

  it('with the database server, which loses the stage, ends as if it had not been', async () => {
    const { caseId, jobId } = await accepted('lost stage');
    expect(await runAndDie(caseId, jobId, 'import.chunk.committed')).toBe(true);
    await test.parts.sessions.withCase(caseId, testActor, async (tx) => {
      await tx.query('DELETE FROM import_row');
      await tx.query('DELETE FROM import_page');
    });
    await test.run(caseId, jobId);
    expect(await describeCase(test, caseId)).toEqual(whole);
  }, 60_000);
});

describe('an import that is cancelled', () => {
  const untouched = async (caseId: CaseId): Promise<void> => {
    const left = await describeCase(test, caseId);
    expect(left.exhibits).toEqual({});
    expect(left.objects).toEqual([]);
    expect(left.leftovers).toEqual([]);
    expect(left.jobs).toMatchObject([{ state: 'cancelled', imported: '0' }]);
  };

  it.each(points)(
    'at %s is undone',
    async (point) => {
      const { caseId, jobId } = await accepted(`cancelled at ${point}`);
      let cancelled = false;
      await test
        .run(caseId, jobId, {
          crashPoint: (name) => {
            if (name === point && !cancelled) {
              cancelled = true;
              throw new Error('stopped here');
            }
          },
        })
        .catch(() => undefined);
      expect(cancelled).toBe(true);
      await cancelImport(test.parts, testActor, caseId, jobId);
      expect((await test.run(caseId, jobId)).state).toBe('cancelled');
      await untouched(caseId);
    },
    60_000,
  );

  it('while a worker is at it is undone, and the worker commits nothing more', async () => {
    const { caseId, jobId } = await accepted('cancelled meanwhile');
    let cancelling: Promise<unknown> | undefined;
    await test.run(caseId, jobId, {
      crashPoint: (name) => {
        if (name === 'import.chunk.committed') cancelling ??= cancelImport(test.parts, testActor, caseId, jobId);
      },
    });
    await cancelling;
    await test.run(caseId, jobId);
    await untouched(caseId);
    await expect(cancelImport(test.parts, testActor, caseId, jobId)).rejects.toMatchObject({ code: 'import_busy' });
  }, 60_000);
});

describe('the message that carries an import on', () => {
  let small: SampleSummary;
  beforeAll(async () => {
    small = await createSample(path.join(folder.path, 'small'), { documents: 12, seed: 'delivered' });
  });

  const openWorld = async (): Promise<IdempotencyWorld> => {
    const { caseId, jobId } = await accepted(`delivered ${crypto.randomUUID()}`, small);
    const [place] = await test.databases.caseDatabases.list();
    const owner = test.databases.owner(place?.server ?? '', place?.databaseName ?? '');
    const sql = {
      query: async (text: string, values?: readonly unknown[]) =>
        owner.transaction({ alongside: true }, async (tx) => tx.query(text, values)),
    };
    return {
      handler: (crashPoint) => {
        const handle = createRunImportHandler({ ...test.parts, crashPoint: (name) => void crashPoint(name) });
        const body = JSON.stringify({
          job: 'run_import',
          context: { jobId, caseId, batchId: 1, traceparent: `00-${'1'.repeat(32)}-${'1'.repeat(16)}-01` },
          payload: {},
        });
        return async (deliveries, signal) =>
          handle(
            deliveries.map((one) => ({ ...one, body })),
            signal,
          );
      },
      sql,
      // What the world is, is described in words that all worlds share.
      schemas: [],
      objects: async () => {
        const described = await describeCase(test, caseId);
        return Object.entries(described).map(([key, value]) => ({
          key,
          digest: createHash('sha256').update(JSON.stringify(value)).digest('hex'),
        }));
      },
      close: async () => Promise.resolve(),
    };
  };

  it('has one effect, however it is delivered', async () => {
    await expectIdempotent({ world: openWorld, body: '{}', concurrency: 3 });
  }, 240_000);
});
