/**
 * Items through three chained queues while workers and the database are killed at random, and the proof from the tables that each
 * item had exactly one effect in each stage.
 *
 * What is killed when follows from the seed: a run can be repeated. (What the processes do between two kills is theirs.)
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import {
  caseDatabaseMigrations,
  controlMigrations,
  createPoolDatabase,
  createPostgresQueues,
} from '@casebound/messaging';
import { spawnScript } from '../../../packages/test-kit/src/spawn-script.ts';
import type { SpawnedScript } from '../../../packages/test-kit/src/spawn-script.ts';
import { startEmbedded } from '../../../apps/server/src/database/embedded/index.ts';
import { createRandom } from './seeded-random.ts';
import { queueOf, stages } from './stages.ts';

export interface ChaosOptions {
  readonly seed: number;
  readonly items: number;
  /** How long kills go on; afterwards the rest is drained in peace. */
  readonly seconds: number;
  /** They go on until so many workers, and the database once, were killed, on a machine on which that takes longer. Default 0. */
  readonly leastKilled?: number;
  readonly workers: number;
  readonly report: (line: string) => void;
}

export interface ChaosProof {
  readonly workersKilled: number;
  readonly workersDiedAtCrashPoints: number;
  readonly databaseKills: number;
  readonly redeliveries: number;
  /** For each stage: effects, distinct items. Both must be the number of items. */
  readonly stages: readonly { readonly stage: string; readonly effects: number; readonly items: number }[];
  readonly deadLetters: number;
  readonly messagesLeft: number;
  readonly outboxLeft: number;
  readonly holds: boolean;
  readonly elapsedSeconds: number;
}

const worker = fileURLToPath(new URL('chaos-worker.ts', import.meta.url));

export const runChaos = async (options: ChaosOptions): Promise<ChaosProof> => {
  const { seed, items, seconds, workers, leastKilled = 0, report } = options;
  const random = createRandom(seed);
  const began = performance.now();
  const dataDir = await mkdtemp(path.join(tmpdir(), 'casebound-chaos-'));
  const server = await startEmbedded({ dataDir, command: 'chaos run', maxConnections: 100 });
  const { host, port, user, password, database } = server.target;
  const url = `postgres://${user}:${password}@${host}:${port}/${database}`;
  const pool = new pg.Pool({ connectionString: url, max: 3, connectionTimeoutMillis: 5000 });
  pool.on('error', () => undefined); // Killed on purpose.
  const running = new Map<number, SpawnedScript>();
  /** Slots whose worker works. One that is still starting is not worth a kill. */
  const ready = new Set<number>();
  const counts = { killed: 0, died: 0, databaseKills: 0 };

  /** The database is down for moments: asks until it answers. */
  const insist = async <T>(ask: () => Promise<T>): Promise<T> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await ask();
      } catch (error) {
        if (attempt >= 200) throw error;
        await sleep(100);
      }
    }
  };
  const number = async (text: string): Promise<number> =>
    insist(async () => Number((await pool.query<{ n: string }>(text)).rows[0]?.n));

  let peace = false;
  const keepRunning = (slot: number, generation: number): void => {
    const script = spawnScript(worker, {
      env: {
        CHAOS_URL: url,
        CHAOS_WORKER: `w${slot}-${generation}`,
        CHAOS_SEED: String(seed * 1000 + slot * 100 + generation),
        CHAOS_DEATH: peace ? '0' : '0.0002',
      },
      timeoutMs: 600_000,
    });
    running.set(slot, script);
    ready.delete(slot);
    void script.waitForLine(/^ready$/, 60_000).then(
      () => {
        if (running.get(slot) === script) ready.add(slot);
      },
      () => undefined,
    );
    void script.ended.then(({ signal }) => {
      if (running.get(slot) !== script) return;
      if (signal === 'SIGKILL') counts.died += 1;
      keepRunning(slot, generation + 1);
    });
  };

  try {
    for (const folder of [controlMigrations, caseDatabaseMigrations]) {
      for (const file of (await readdir(folder)).sort())
        await pool.query(await readFile(new URL(file, folder), 'utf8'));
    }
    await pool.query('CREATE TABLE chaos_effect (stage int NOT NULL, item int NOT NULL, worker text NOT NULL)');
    const queues = createPostgresQueues({
      sql: createPoolDatabase(pool, { random: Math.random, sleep: async (ms) => sleep(ms) }),
      clock: { monotonicMs: () => performance.now(), sleep: async (ms) => sleep(ms) },
      worker: 'chaos',
    });
    for (const stage of stages.keys())
      await queues.create({ name: queueOf(stage), visibilityTimeoutMs: 3000, maxReceiveCount: 100 });
    for (let item = 0; item < items; item += 1000) {
      await queues.send(
        queueOf(0),
        Array.from({ length: Math.min(1000, items - item) }, (_, n) => ({
          body: JSON.stringify({ item: item + n }),
          fairnessKey: 1 + ((item + n) % 7),
        })),
      );
    }
    report(`seed ${seed}: ${items} items, ${workers} workers, ${seconds} s of kills`);
    for (let slot = 0; slot < workers; slot += 1) keepRunning(slot, 0);

    for (const deadline = performance.now() + 60_000; ready.size < workers && performance.now() < deadline;)
      await sleep(50);
    const until = performance.now() + seconds * 1000;
    let nextDatabaseKill = performance.now() + (4 + random() * 8) * 1000;
    const enough = (): boolean => leastKilled === 0 || (counts.killed >= leastKilled && counts.databaseKills > 0);
    while (performance.now() < until || (!enough() && performance.now() < until + 60_000)) {
      await sleep(400 + random() * 1600);
      const slot = Math.floor(random() * workers);
      const script = running.get(slot);
      if (script !== undefined && ready.delete(slot)) {
        counts.killed += 1;
        counts.died -= 1; // `ended` counts it as one more death.
        script.signal('SIGKILL');
      }
      if (performance.now() > nextDatabaseKill) {
        counts.databaseKills += 1;
        process.kill(server.pid(), 'SIGKILL');
        report(`${((performance.now() - began) / 1000).toFixed(0)} s: database killed (${counts.databaseKills})`);
        nextDatabaseKill = performance.now() + (14 + random() * 8) * 1000;
      }
    }
    peace = true;
    report(
      `${((performance.now() - began) / 1000).toFixed(0)} s: peace; ${await number('SELECT count(*) AS n FROM chaos_effect')} effects so far`,
    );
    // Those of the wild time alone: what replaces them takes their slots.
    const wild = Array.from(running);
    for (const [slot, script] of wild) {
      running.delete(slot);
      await script.kill();
      keepRunning(slot, 100_000);
    }
    const left = async (): Promise<number> =>
      number('SELECT (SELECT count(*) FROM messaging.message) + (SELECT count(*) FROM messaging.outbox) AS n');
    for (const deadline = performance.now() + 240_000; (await left()) > 0;) {
      if (performance.now() > deadline) break;
      await sleep(500);
    }
    const { rows } = await pool.query<{ stage: number; effects: string; items: string }>(
      'SELECT stage, count(*) AS effects, count(DISTINCT item) AS items FROM chaos_effect GROUP BY stage ORDER BY stage',
    );
    const perStage = stages.map((stage, index) => {
      const row = rows.find((found) => found.stage === index);
      return { stage, effects: Number(row?.effects ?? 0), items: Number(row?.items ?? 0) };
    });
    const proof = {
      workersKilled: counts.killed,
      workersDiedAtCrashPoints: Math.max(0, counts.died),
      databaseKills: counts.databaseKills,
      redeliveries: await number('SELECT count(*) AS n FROM messaging.effect WHERE fencing_token > 1'),
      stages: perStage,
      deadLetters: await number('SELECT count(*) AS n FROM messaging.dead_letter'),
      messagesLeft: await number('SELECT count(*) AS n FROM messaging.message'),
      outboxLeft: await number('SELECT count(*) AS n FROM messaging.outbox'),
    };
    const holds =
      proof.deadLetters === 0 &&
      proof.messagesLeft === 0 &&
      proof.outboxLeft === 0 &&
      perStage.every((stage) => stage.effects === items && stage.items === items);
    return { ...proof, holds, elapsedSeconds: Math.round((performance.now() - began) / 100) / 10 };
  } finally {
    const scripts = [...running.values()];
    running.clear();
    await Promise.all(scripts.map(async (script) => script.kill()));
    await pool.end();
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
};
