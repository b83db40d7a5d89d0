/**
 * An import of a load file against COPY: `node bench/import/import.ts [rows,…]`.
 *
 * - Rows have 50 custom fields. Ours plans, stages, judges, writes documents and exhibits with what they refer to, values in segments, audit
 *   and index. The other side copies the same rows, parsed beforehand, into one flat table of text and writes the same bytes to disk.
 * - Two figures: until all rows are in the case (`imported`), and until they are in the search index as well (`indexed`).
 * - Both run in turns on one embedded installation with the settings of a new one. The cost of a row at each size is a row of its own.
 * - `BENCH_BESIDE=1` adds two imports side by side in two cases. `BENCH_SAMPLE=DIR` imports what is there once, and tells time and memory.
 */
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ImportRequest, type CaseId, type ImportCounts, type JobId } from '@casebound/contract';
import { DelimitedReader } from '@casebound/loadfile';
import { openSystem, type System } from '../../apps/server/src/compose.ts';
import { createCase } from '../../apps/server/src/features/cases/index.ts';
import { createSample } from '../../apps/server/src/features/samples/index.ts';
import type { Log } from '../../apps/server/src/platform/log/Port.ts';
import { loadEffective } from '../../apps/server/src/run/load-effective.ts';

const sizes = (process.argv[2] ?? '6250,25000,100000').split(',').map(Number);
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3);
const actor = { kind: 'system', reason: 'benchmark' } as const;
const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: (message, fields) => console.error(message, fields),
  error: (message, fields, error) => console.error(message, fields, error),
  with: () => log,
};

const dataDir = await mkdtemp(path.join(tmpdir(), 'casebound-bench-'));
const effective = await loadEffective(
  { dataDir, configFile: undefined, overrides: new Map([['http.port', '0']]) },
  { env: process.env, cwd: dataDir },
);
const system: System = await openSystem({
  effective,
  environment: process.env,
  role: 'all',
  version: 'bench',
  log,
  schema: 'migrate',
  progress: () => undefined,
});
await system.start({ workers: true });

let cases = 0;
const makeCase = async (): Promise<CaseId> => {
  cases += 1;
  return (await createCase(system.cases, actor, { name: `bench ${cases}` })).caseId;
};

interface Measured {
  readonly ms: number;
  readonly counts: ImportCounts;
  /** Milliseconds until each state was first seen. */
  readonly marks: Readonly<Record<string, number>>;
}

const call = { actor, signal: new AbortController().signal, requestId: 'bench', query: undefined } as const;
const ours = async (folder: string): Promise<Measured> => {
  const caseId = await makeCase();
  const started = performance.now();
  const body = ImportRequest.parse({ path: folder });
  const { jobId: given } = await system.handlers.createImport({ ...call, params: { caseId }, body });
  // An id is what it was, whatever type the call gave it.
  const jobId = given as JobId;
  const marks: Record<string, number> = {};
  for (;;) {
    const job = await system.handlers.getImport({ ...call, params: { caseId, jobId }, body: undefined });
    marks[job.state] ??= Math.round(performance.now() - started);
    if (job.state.startsWith('finished')) return { ms: performance.now() - started, counts: job.counts, marks };
    if (['failed', 'cancelled'].includes(job.state)) throw new Error(JSON.stringify(job.error));
    await sleep(20);
  }
};

interface Flat {
  readonly columns: number;
  /** Lines of COPY's text format, a thousand rows each. */
  readonly chunks: readonly string[];
}

const flatten = async (file: string): Promise<Flat> => {
  const reader = await DelimitedReader.open(createReadStream(file), {});
  const chunks: string[] = [];
  let lines: string[] = [];
  for await (const { cells } of reader.rows()) {
    lines.push(
      cells
        .map((cell) =>
          cell.replaceAll(/[\\\t\n\r]/g, (it) => ({ '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' })[it] ?? it),
        )
        .join('\t'),
    );
    if (lines.length < 1_000) continue;
    chunks.push(`${lines.join('\n')}\n`);
    lines = [];
  }
  if (lines.length > 0) chunks.push(`${lines.join('\n')}\n`);
  return { columns: reader.columns.length, chunks };
};

/** By hand: one COPY of all rows, and their bytes as files that are on disk when it ends. */
const byHand = async ({ columns, chunks }: Flat): Promise<number> => {
  const caseId = await makeCase();
  const folder = path.join(dataDir, `by-hand-${cases}`);
  await mkdir(folder);
  const [place] = await system.databases.caseDatabases.list();
  const owner = system.databases.owner(place?.server ?? '', place?.databaseName ?? '');
  const names = Array.from({ length: columns }, (_, at) => `c${at}`);
  const table = `case_${caseId}.flat`;
  await owner.transaction({}, async (tx) =>
    tx.script(`CREATE TABLE ${table} (${names.map((name) => `${name} text`).join(', ')})`),
  );
  const started = performance.now();
  await owner.transaction({}, async (tx) => {
    const sink = tx.copyFrom(`COPY ${table} FROM STDIN`);
    for (const chunk of chunks) if (!sink.write(chunk)) await new Promise((resolve) => sink.once('drain', resolve));
    sink.end();
    await finished(sink);
  });
  for (const [at, chunk] of chunks.entries()) {
    const handle = await open(path.join(folder, `${at}.txt`), 'w');
    await handle.writeFile(chunk);
    await handle.sync();
    await handle.close();
  }
  const ms = performance.now() - started;
  await owner.transaction({}, async (tx) => tx.script(`DROP TABLE ${table}`));
  await rm(folder, { recursive: true });
  return ms;
};

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const sampleOf = async (rows: number): Promise<string> => {
  const folder = path.join(dataDir, `sample-${rows}`);
  await createSample(folder, { documents: rows, fields: 50, seed: 'bench', loadFileOnly: true });
  return folder;
};

const single = process.env['BENCH_SAMPLE'];
if (single !== undefined) {
  const { ms, counts, marks } = await ours(path.resolve(single));
  console.log(JSON.stringify({ ms, counts, marks, peakRssMb: process.resourceUsage().maxRSS / 1024 }));
} else {
  const figures = [];
  for (const rows of sizes) {
    const folder = await sampleOf(rows);
    const flat = await flatten(path.join(folder, 'MERIDIAN.dat'));
    const [a, b, c]: [number[], number[], number[]] = [[], [], []];
    let marks: Measured['marks'] = {};
    for (let round = 0; round < rounds; round += 1) {
      const mine = await ours(folder);
      marks = mine.marks;
      a.push(mine.ms);
      c.push(mine.marks['processing'] ?? mine.ms);
      b.push(await byHand(flat));
    }
    const figure = {
      rows,
      importedMs: Math.round(median(c)),
      indexedMs: Math.round(median(a)),
      byHandMs: Math.round(median(b)),
      ratioImported: Math.round((median(c) / median(b)) * 100) / 100,
      ratioIndexed: Math.round((median(a) / median(b)) * 100) / 100,
      usPerRow: Math.round((median(c) / rows) * 1_000),
      peakRssMb: Math.round(process.resourceUsage().maxRSS / 1024),
      marks,
    };
    figures.push(figure);
    console.log(JSON.stringify(figure));
  }
  let beside: unknown;
  if (process.env['BENCH_BESIDE'] !== undefined) {
    const folder = await sampleOf(sizes[0] ?? 6_250);
    const alone = (await ours(folder)).ms;
    const two = await Promise.all([ours(folder), ours(folder)]);
    beside = { aloneMs: Math.round(alone), besideMs: two.map(({ ms }) => Math.round(ms)) };
    console.log(JSON.stringify(beside));
  }
  console.table(figures.map((figure) => ({ ...figure, marks: undefined })));
  await mkdir('bench/results', { recursive: true });
  await writeFile(
    'bench/results/import.json',
    `${JSON.stringify({ at: new Date().toISOString(), cpus: cpus().map(({ model }) => model), rounds, figures, beside }, undefined, 2)}\n`,
  );
}
await system.close();
await rm(dataDir, { recursive: true, force: true });
