/**
 * Putting exhibits into the search index against the least that full text costs: `node bench/search-index/put.ts [exhibits,…]`.
 *
 * - Ours is the index as the server opens it: values of fields that answer equality and ranges, words, digests, commits that wait for the disk, all of
 *   it in a thread. The other side is a bare loop in one thread: one flat table with the fields as JSON and one FTS5 table with all words;
 *   its commits do not wait.
 * - Both put 500 exhibits a call, the same ones, in turns. What counts is processor time an exhibit, of all threads; making the documents is left out.
 * - Rows: by number of custom fields (5,000 exhibits), with two pages of text each, and as the index grows (50 fields). `replaced` is the cost
 *   of putting all of them a second time. `mainUs` is what of it the calling thread spends.
 */
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CaseId } from '@casebound/contract';
import { searchIndexConfigSchema } from '../../apps/server/src/platform/search-index/config.ts';
import { createSearchIndex } from '../../apps/server/src/platform/search-index/create-search-index.ts';
import type { IndexDocument } from '../../apps/server/src/platform/search-index/Port.ts';
import { makeDocument, type Shape } from './make-documents.ts';

const sizes = (process.argv[2] ?? '5000,20000,80000').split(',').map(Number);
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3);
const perPut = 500;
const caseId = CaseId.parse(1);
const folder = await mkdtemp(path.join(tmpdir(), 'casebound-bench-'));

interface Side {
  readonly put: (documents: readonly IndexDocument[]) => Promise<void>;
  /** Bytes of the file. */
  readonly close: () => Promise<number>;
}

const bytesOf = async (file: string): Promise<number> => (await stat(file)).size;

const openOurs = async (root: string): Promise<Side> => {
  const index = await createSearchIndex(searchIndexConfigSchema.parse(undefined), { defaultRoot: root });
  // The thread starts before the clock does.
  await index.remove(caseId, [1]);
  return {
    put: async (documents) => index.put(caseId, documents),
    close: async () => {
      await index.close();
      return bytesOf(path.join(root, 'case_1.sqlite'));
    },
  };
};

const openBare = async (root: string): Promise<Side> => {
  await mkdir(root);
  const file = path.join(root, 'bare.sqlite');
  const database = new DatabaseSync(file);
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
    CREATE TABLE flat (exhibit_id INTEGER PRIMARY KEY, control_number TEXT, fields TEXT);
    CREATE VIRTUAL TABLE words USING fts5 (text, content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 2");`);
  const addRow = database.prepare('INSERT OR REPLACE INTO flat VALUES (?, ?, ?)');
  const addWords = database.prepare('INSERT OR REPLACE INTO words (rowid, text) VALUES (?, ?)');
  return {
    put: async (documents) => {
      database.exec('BEGIN');
      for (const { exhibitId, controlNumber, fields, pages } of documents) {
        addRow.run(exhibitId, controlNumber, JSON.stringify(fields));
        addWords.run(exhibitId, [...Object.values(fields).flat(), ...pages.map(({ text }) => text)].join('\n'));
      }
      database.exec('COMMIT');
    },
    close: async () => {
      database.close();
      return bytesOf(file);
    },
  };
};

interface Cost {
  /** Microseconds an exhibit. */
  readonly cpu: number;
  readonly main: number;
  readonly wall: number;
}

const putAll = async (side: Side, exhibits: number, shape: Shape): Promise<Cost> => {
  let [cpu, main, wall] = [0, 0, 0];
  for (let first = 1; first <= exhibits; first += perPut) {
    const documents = Array.from({ length: perPut }, (_, at) => makeDocument(first + at, shape));
    const [all, own, started] = [process.cpuUsage(), process.threadCpuUsage(), performance.now()];
    await side.put(documents);
    const [allEnd, ownEnd] = [process.cpuUsage(all), process.threadCpuUsage(own)];
    wall += (performance.now() - started) * 1_000;
    cpu += allEnd.user + allEnd.system;
    main += ownEnd.user + ownEnd.system;
  }
  return { cpu: cpu / exhibits, main: main / exhibits, wall: wall / exhibits };
};

interface Run {
  readonly fresh: Cost;
  readonly replaced: Cost | undefined;
  readonly bytes: number;
}

let runs = 0;
const run = async (
  open: (root: string) => Promise<Side>,
  exhibits: number,
  shape: Shape,
  again: boolean,
): Promise<Run> => {
  runs += 1;
  const root = path.join(folder, String(runs));
  const side = await open(root);
  const fresh = await putAll(side, exhibits, shape);
  const replaced = again ? await putAll(side, exhibits, shape) : undefined;
  const bytes = (await side.close()) / exhibits;
  await rm(root, { recursive: true });
  return { fresh, replaced, bytes };
};

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const rounded = (value: number): number => Math.round(value * 10) / 10;

const measure = async (exhibits: number, shape: Shape, again = false): Promise<Readonly<Record<string, number>>> => {
  const [ours, bare]: [Run[], Run[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    ours.push(await run(openOurs, exhibits, shape, again));
    bare.push(await run(openBare, exhibits, shape, again));
  }
  const of = (side: readonly Run[], pick: (one: Run) => number): number => rounded(median(side.map(pick)));
  const oursUs = of(ours, ({ fresh }) => fresh.cpu);
  const bareUs = of(bare, ({ fresh }) => fresh.cpu);
  const row = {
    exhibits,
    fields: shape.fields,
    pages: shape.pages,
    oursUs,
    bareUs,
    ratio: Math.round((oursUs / bareUs) * 100) / 100,
    mainUs: of(ours, ({ fresh }) => fresh.main),
    oursWallUs: of(ours, ({ fresh }) => fresh.wall),
    oursBytes: Math.round(of(ours, ({ bytes }) => bytes)),
    bareBytes: Math.round(of(bare, ({ bytes }) => bytes)),
    ...(again ? { replacedUs: of(ours, ({ replaced }) => replaced?.cpu ?? Number.NaN) } : {}),
  };
  console.log(JSON.stringify(row));
  return row;
};

try {
  const first = sizes[0] ?? 5_000;
  const byFields = [];
  for (const fields of [0, 10, 50]) byFields.push(await measure(first, { fields, pages: 0, words: 0 }, true));
  byFields.push(await measure(first, { fields: 50, pages: 2, words: 300 }, true));
  const growth = [];
  for (const exhibits of sizes) growth.push(await measure(exhibits, { fields: 50, pages: 0, words: 0 }));
  console.table(byFields);
  console.table(growth);
  await mkdir('bench/results', { recursive: true });
  await writeFile(
    'bench/results/search-index.json',
    `${JSON.stringify({ bench: 'search-index', at: new Date().toISOString(), machine: { cpus: cpus().length, model: cpus()[0]?.model, node: process.version }, rounds, perPut, byFields, growth }, undefined, 2)}\n`,
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}
