/**
 * An import of a load file against COPY: `node bench/import/import.ts [rows,…]`.
 *
 * - Rows have 50 custom fields. Ours plans, stages, judges, writes documents and exhibits with what they refer to, values in segments, audit
 *   and index. The other side copies the same rows, parsed beforehand, into one flat table of text and writes the same bytes to disk.
 * - Beside it stands the limit (`same-tables.ts`): the rows that an import writes, ready made, by hand into the same tables of another case.
 * - Two figures: until all rows are in the case (`imported`), and until they are in the search index as well (`indexed`).
 * - Both run in turns on one embedded installation with the settings of a new one, which is a process of its own (`serve.ts`): memory and
 *   processor time are the server's, not those of what is compared with it. The cost of a row at each size is a row of its own.
 * - `BENCH_BESIDE=1` adds two imports side by side in two cases. `BENCH_SAMPLE=DIR` imports what is there once, and tells time and memory.
 *   `CASEBOUND_DATABASE_URL` (of a server without a case) runs both on your own PostgreSQL, whose processor time is not counted.
 *   `BENCH_UNTIL=imported` ends with the rows in the case; no further import is measured after it, for the first goes on.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { DelimitedReader } from '@casebound/loadfile';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { createSample } from '../../apps/server/src/features/samples/index.ts';
import { median, round } from '../exchange/open-bench.ts';
import { writeSameTables } from './same-tables.ts';
import type { CasePlace, Measured, Question } from './serve.ts';

const sizes = (process.argv[2] ?? '6250,25000,100000').split(',').map(Number);
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 5);
const whole = process.env['BENCH_UNTIL'] !== 'imported';

const dataDir = await mkdtemp(path.join(tmpdir(), 'casebound-bench-'));

/** The installation, and questions to it. */
class Server {
  readonly #process: ChildProcess;
  /** Answers come in the order of the questions. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  static async start(): Promise<Server> {
    const server = new Server(fork(path.join(import.meta.dirname, 'serve.ts'), [dataDir]));
    await server.#answer();
    return server;
  }

  async #answer(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#process.once('exit', (code) => reject(new Error(`The installation ended with ${code}.`)));
      this.#process.once('message', (message: { readonly value?: unknown; readonly error?: string }) => {
        this.#process.removeAllListeners('exit');
        if (message.error === undefined) resolve(message.value);
        else reject(new Error(message.error));
      });
    });
  }

  async ask(question: Question): Promise<unknown> {
    const asked = this.#last.then(async () => {
      this.#process.send(question);
      return this.#answer();
    });
    this.#last = asked.catch(() => undefined);
    return asked;
  }

  async import(folder: string): Promise<Measured> {
    return (await this.ask({ ask: 'import', folder, whole })) as Measured;
  }

  async close(): Promise<void> {
    await this.ask({ ask: 'close' });
    this.#process.kill();
  }
}

const server = await Server.start();

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
  const { schema, connection } = (await server.ask({ ask: 'case' })) as CasePlace;
  const folder = path.join(dataDir, `by-hand-${schema}`);
  await mkdir(folder);
  const client = new pg.Client(connection);
  await client.connect();
  const names = Array.from({ length: columns }, (_, at) => `c${at}`);
  const table = `${schema}.flat`;
  await client.query(`CREATE TABLE ${table} (${names.map((name) => `${name} text`).join(', ')})`);
  const started = performance.now();
  const sink = client.query(copyFrom(`COPY ${table} FROM STDIN`));
  for (const chunk of chunks) if (!sink.write(chunk)) await new Promise((resolve) => sink.once('drain', resolve));
  sink.end();
  await finished(sink);
  for (const [at, chunk] of chunks.entries()) {
    const handle = await open(path.join(folder, `${at}.txt`), 'w');
    await handle.writeFile(chunk);
    await handle.sync();
    await handle.close();
  }
  const ms = performance.now() - started;
  await client.query(`DROP TABLE ${table}`);
  await client.end();
  await rm(folder, { recursive: true });
  return ms;
};

/** The limit: what an import wrote, into the tables of a new case. Both cases are on one server, and may be in one database. */
const intoSameTables = async (filled: string): Promise<number> => {
  const { schema, connection } = (await server.ask({ ask: 'case' })) as CasePlace;
  const client = new pg.Client(connection);
  await client.connect();
  try {
    return await writeSameTables(client, filled, schema);
  } finally {
    await client.end();
  }
};

const sampleOf = async (rows: number): Promise<string> => {
  const folder = path.join(dataDir, `sample-${rows}`);
  await createSample(folder, { documents: rows, fields: 50, seed: 'bench', loadFileOnly: true });
  return folder;
};

const measure = async (rows: number): Promise<Readonly<Record<string, unknown>>> => {
  const folder = await sampleOf(rows);
  const flat = await flatten(path.join(folder, 'MERIDIAN.dat'));
  const [ours, theirs, limits]: [Measured[], number[], number[]] = [[], [], []];
  for (let at = 0; at < rounds; at += 1) {
    const measured = await server.import(folder);
    ours.push(measured);
    theirs.push(await byHand(flat));
    // What is still being indexed changes none of these rows, and takes the processor.
    if (whole) limits.push(await intoSameTables(measured.schema));
  }
  const imported = median(ours.map((one) => one.importedMs));
  const indexed = median(ours.map((one) => one.ms));
  const hand = median(theirs);
  return {
    rows,
    importedMs: Math.round(imported),
    indexedMs: Math.round(indexed),
    byHandMs: Math.round(hand),
    sameTablesMs: whole ? Math.round(median(limits)) : null,
    ratioImported: round(imported / hand),
    ratioLimit: whole ? round(imported / median(limits)) : null,
    ratioIndexed: round(indexed / hand),
    usPerRow: Math.round((imported / rows) * 1_000),
    cpuUsPerRow: Math.round((median(ours.map((one) => one.importedCpuMs)) / rows) * 1_000),
    importedPeakRssMb: Math.max(...ours.map((one) => one.importedPeakRssMb)),
    peakRssMb: Math.max(...ours.map((one) => one.peakRssMb)),
    marks: ours.at(-1)?.marks,
  };
};

const single = process.env['BENCH_SAMPLE'];
if (single !== undefined) {
  console.log(JSON.stringify(await server.import(path.resolve(single))));
} else {
  const figures: Readonly<Record<string, unknown>>[] = [];
  for (const rows of sizes) {
    const figure = await measure(rows);
    figures.push(figure);
    console.log(JSON.stringify(figure));
  }
  let beside: unknown;
  if (process.env['BENCH_BESIDE'] !== undefined) {
    const folder = await sampleOf(sizes[0] ?? 6_250);
    const alone = (await server.import(folder)).ms;
    const two = (await server.ask({ ask: 'two', folder })) as readonly Measured[];
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
await server.close();
await rm(dataDir, { recursive: true, force: true });
