/**
 * `pg` against `postgres` for what the server does all day: `node bench/driver/driver.ts [rounds]`.
 *
 * Both work on one embedded server, in turns, so that what the machine does meanwhile meets both. The figure is the median
 * of the rounds; `ratio` is pg's time over postgres's (below 1: pg is faster).
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import postgres from 'postgres';
import { startEmbedded } from '../../apps/server/src/database/index.ts';

const rounds = Number(process.argv[2] ?? 7);
const dataDir = await mkdtemp(path.join(tmpdir(), 'casebound-bench-'));
const server = await startEmbedded({ dataDir, durable: false });
const ours = new pg.Client({ ...server.target });
await ours.connect();
const pipelined = new pg.Client({ ...server.target, pipeline: true });
await pipelined.connect();
// Pooler-safe: no named statements.
const theirs = postgres({ ...server.target, max: 1, prepare: false, fetch_types: false });
await ours.query('CREATE TABLE line (id bigint, title text, note text)');

const line = (index: number): string => `${index}\tExhibit ${index}\t${'privileged and confidential '.repeat(5)}\n`;
const lines = Buffer.from(Array.from({ length: 1000 }, (_, index) => line(index)).join(''));
const blocks = 200;
const source = (): Readable => Readable.from(Array.from({ length: blocks }, () => lines));
const drain = async (stream: Readable): Promise<void> => {
  stream.resume();
  await once(stream, 'end');
};
const queries = 1000;
const read = 'SELECT id, title, note FROM line WHERE id < $1 LIMIT 20000';

const trials: Record<string, { pg: () => Promise<unknown>; postgres: () => Promise<unknown> }> = {
  'COPY in, 200,000 rows': {
    pg: async () => pipeline(source(), ours.query(copyFrom('COPY line FROM STDIN'))),
    postgres: async () => pipeline(source(), await theirs`COPY line FROM STDIN`.writable()),
  },
  'COPY out, 200,000 rows': {
    pg: async () => drain(ours.query(copyTo('COPY (SELECT * FROM line LIMIT 200000) TO STDOUT'))),
    postgres: async () => drain(await theirs`COPY (SELECT * FROM line LIMIT 200000) TO STDOUT`.readable()),
  },
  '1,000 statements, one after another': {
    async pg() {
      for (let index = 0; index < queries; index += 1) await ours.query('SELECT $1::int AS n', [index]);
    },
    async postgres() {
      for (let index = 0; index < queries; index += 1) await theirs.unsafe('SELECT $1::int AS n', [index]);
    },
  },
  '1,000 statements, pipelined': {
    pg: async () =>
      Promise.all(Array.from({ length: queries }, async (_, index) => pipelined.query('SELECT $1::int AS n', [index]))),
    postgres: async () =>
      Promise.all(Array.from({ length: queries }, async (_, index) => theirs.unsafe('SELECT $1::int AS n', [index]))),
  },
  'read 20,000 rows': {
    pg: async () => ours.query(read, [1_000_000]),
    postgres: async () => theirs.unsafe(read, [1_000_000]),
  },
};

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

try {
  const table: Record<string, { 'pg ms': number; 'postgres ms': number; ratio: number }> = {};
  for (const [name, trial] of Object.entries(trials)) {
    const times = { pg: [] as number[], postgres: [] as number[] };
    for (let round = 0; round < rounds; round += 1) {
      for (const driver of ['pg', 'postgres'] as const) {
        const before = performance.now();
        await trial[driver]();
        times[driver].push(performance.now() - before);
      }
    }
    const [first, second] = [median(times.pg), median(times.postgres)];
    table[name] = {
      'pg ms': Math.round(first),
      'postgres ms': Math.round(second),
      ratio: Number((first / second).toFixed(2)),
    };
  }
  console.table(table);
  console.log(JSON.stringify(table));
} finally {
  await ours.end();
  await pipelined.end();
  await theirs.end();
  await server.stop();
  await rm(dataDir, { recursive: true, force: true });
}
