import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { CaseId } from '@casebound/contract';
import { createTemporaryFolder, spawnScript, watchForLeaks, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { searchIndexConformance } from '../../conformance.ts';
import type { IndexDocument, SearchIndex } from '../../Port.ts';
import { openSqliteSearchIndex } from './sqlite-search-index.ts';

const leaks = watchForLeaks();
afterAll(async () => leaks.expectNone());

searchIndexConformance(async () => {
  const folder = await createTemporaryFolder();
  const index = await openSqliteSearchIndex({ root: folder.path, openFiles: 1, busyTimeoutMs: 1_000 });
  return {
    index,
    close: async () => {
      await index.close();
      await folder[Symbol.asyncDispose]();
    },
  };
});

const caseId = CaseId.parse(1);
const unavailable = { code: 'search_index_unavailable' };
const documents = (first: number, count: number, word: string): IndexDocument[] =>
  Array.from({ length: count }, (_, at) => ({
    exhibitId: first + at,
    batchId: 1,
    controlNumber: `ACME${first + at}`,
    fields: { word },
    pages: [],
  }));

describe('an index in threads', () => {
  let folder: TemporaryFolder;
  let index: SearchIndex;
  const workers: Worker[] = [];
  const remember = (worker: Worker): void => void workers.push(worker);
  beforeEach(async () => {
    folder = await createTemporaryFolder();
    index = await openSqliteSearchIndex({ root: folder.path, openFiles: 2, busyTimeoutMs: 1_500, underWay: 100_000 });
    process.on('worker', remember);
  });
  afterEach(async () => {
    process.off('worker', remember);
    workers.length = 0;
    await index.close();
    await folder[Symbol.asyncDispose]();
  });
  const found = async (word: string): Promise<number> =>
    (await index.search(caseId, { text: word }, { limit: 10_000 })).length;

  it('fails the calls of a thread that dies, each with all or nothing done, and starts another', async () => {
    await index.put(caseId, documents(1, 10, 'first'));
    const puts = Array.from({ length: 10 }, async (_, at) =>
      index.put(caseId, documents(100 * at + 1, 100, `put${at}`)),
    );
    const outcomes = Promise.allSettled(puts);
    await puts[0];
    await workers[0]?.terminate();
    let failed = 0;
    for (const [at, outcome] of (await outcomes).entries()) {
      const there = await found(`put${at}`);
      if (outcome.status === 'fulfilled') expect(there).toBe(100);
      else {
        failed += 1;
        expect(outcome.reason).toMatchObject(unavailable);
        expect([0, 100]).toContain(there);
      }
    }
    // Puts that waited for room went to the next thread.
    expect(failed).toBeGreaterThan(0);
    expect(failed).toBeLessThan(10);
    await index.put(caseId, documents(5_000, 10, 'after'));
    expect(await found('after')).toBe(10);
  });

  it('fails a put that died between its parts', async () => {
    await index.put(caseId, documents(1, 1, 'first'));
    const put = Promise.allSettled([index.put(caseId, documents(1, 5_000, 'parts'))]);
    await workers[0]?.terminate();
    expect(await put).toMatchObject([{ status: 'rejected', reason: unavailable }]);
    expect(await found('parts')).toBe(0);
  });

  it('starts a thread anew that died while it had nothing to do', async () => {
    await index.put(caseId, documents(1, 3, 'word'));
    expect(await found('word')).toBe(3);
    await Promise.all(workers.map(async (worker) => worker.terminate()));
    expect(await found('word')).toBe(3);
    await index.put(caseId, documents(4, 3, 'word'));
    expect(await found('word')).toBe(6);
    expect(workers).toHaveLength(4);
  });

  it('waits for another writer, in its thread, and gives up when that takes too long', async () => {
    await index.put(caseId, documents(1, 1, 'word'));
    const other = new DatabaseSync(path.join(folder.path, 'case_1.sqlite'));
    let ticks = 0;
    const ticking = setInterval(() => (ticks += 1), 10);
    other.exec('BEGIN IMMEDIATE');
    const given = index.put(caseId, documents(2, 1, 'word'));
    await expect(given).rejects.toMatchObject({ ...unavailable, cause: { message: 'database is locked' } });
    const late = index.put(caseId, documents(2, 1, 'word'));
    await sleep(200);
    expect(await found('word')).toBe(1);
    other.exec('ROLLBACK');
    await late;
    expect(await found('word')).toBe(2);
    expect(ticks).toBeGreaterThan(50);
    clearInterval(ticking);
    other.close();
  });

  it('closes after what is under way, and leaves one whole file', async () => {
    const puts = Array.from({ length: 5 }, async (_, at) => index.put(caseId, documents(1_000 * at + 1, 500, 'word')));
    await index.close();
    await Promise.all(puts);
    await expect(found('word')).rejects.toMatchObject(unavailable);
    expect(await readdir(folder.path)).toEqual(['case_1.sqlite']);
    index = await openSqliteSearchIndex({ root: folder.path, openFiles: 2, busyTimeoutMs: 1_000 });
    expect(await index.count(caseId)).toBe(2_500);
  });

  it('removes the file of a case that both threads use', async () => {
    await index.put(caseId, documents(1, 3, 'word'));
    expect(await found('word')).toBe(3);
    const [, after] = await Promise.all([index.drop(caseId), found('word')]);
    expect(after).toBe(0);
    await index.drop(caseId);
    expect(await readdir(folder.path)).toEqual([]);
  });

  it('says that a file is broken, and serves others', async () => {
    const other = CaseId.parse(2);
    await index.put(other, documents(1, 1, 'word'));
    await writeFile(
      path.join(folder.path, 'case_1.sqlite'),
      'no database, but long enough to be taken for one '.repeat(50),
    );
    await expect(index.put(caseId, documents(1, 1, 'word'))).rejects.toMatchObject(unavailable);
    await expect(found('word')).rejects.toMatchObject(unavailable);
    expect(await index.count(other)).toBe(1);
  });
});

describe('several processes', () => {
  const script = path.join(import.meta.dirname, '../../testing/put-process.ts');
  const perCall = 40;
  const open = async (root: string): Promise<SearchIndex> =>
    openSqliteSearchIndex({ root, openFiles: 2, busyTimeoutMs: 30_000 });

  it('write into one file in turns, from its first moment on', async () => {
    await using folder = await createTemporaryFolder();
    const processes = [0, 100, 200].map((first) => spawnScript(script, { args: [folder.path, String(first), '15'] }));
    const index = await open(folder.path);
    await index.put(caseId, documents(100_000, 10, 'own'));
    for (const { stderr, exitCode } of await Promise.all(processes.map(async ({ ended }) => ended))) {
      expect(stderr).toBe('');
      expect(exitCode).toBe(0);
    }
    expect(await index.count(caseId)).toBe(3 * 15 * perCall + 10);
    for (const call of [0, 14, 107, 214])
      expect(await index.search(caseId, { text: `call${call}` }, { limit: 100 })).toHaveLength(perCall);
    await index.close();
  }, 120_000);

  it('that are killed leave all of a put or nothing, and all of what was answered', async () => {
    await using folder = await createTemporaryFolder();
    for (let round = 0; round < 4; round += 1) {
      const child = spawnScript(script, { args: [folder.path, String(round * 1_000), '1000'] });
      await child.waitForLine(new RegExp(`^begin ${round * 1_000 + 3 + round}$`));
      await sleep(round * 3);
      await child.kill();
      const { stdout } = await child.ended;
      const calls = (word: string): number[] =>
        [...stdout.matchAll(new RegExp(`^${word} (\\d+)$`, 'gm'))].map(([, call]) => Number(call));
      const done = new Set(calls('done'));
      const index = await open(folder.path);
      for (const call of calls('begin')) {
        const byText = await index.search(caseId, { text: `call${call}` }, { limit: 100 });
        const byField = await index.search(caseId, { filters: [{ field: 'call', equals: call }] }, { limit: 100 });
        expect(byField).toEqual(byText);
        expect(done.has(call) ? [perCall] : [0, perCall]).toContain(byText.length);
        const ids = Array.from({ length: perCall }, (_, at) => call * perCall + at + 1);
        expect(await index.digests(caseId, ids)).toHaveLength(byText.length);
      }
      await index.close();
    }
  }, 120_000);
});
