/**
 * Burn-in with redactions and stamps, with and without proof, against PDFium alone; then text, pages, redactions and stamps one by one,
 * also against other programs where they are installed; start-up; large documents. Sides are interleaved round by round, and a ratio
 * is the median of the rounds' ratios, by the clock and by time on a core.
 *
 *   npm run bench burn-in
 *   node bench/burn-in/burn-in.ts [FILE.pdf] [--seconds 0.7] [--rounds 5] [--query word] [--no-large]
 */
import { compilePdfium, createPdfEngine, locatePdfiumWasm } from '@casebound/pdf';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { pdfWorkersConfigSchema } from '../../apps/server/src/platform/document-engine/config.ts';
import { createPdfWorkers } from '../../apps/server/src/platform/document-engine/pdf-workers/create-pdf-workers.ts';
import { findOtherPrograms } from './other-programs.ts';
import type { BenchAnswer, BenchKind, BenchStart } from './worker.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '0.7' },
    rounds: { type: 'string', default: '5' },
    query: { type: 'string', default: 'JavaScript' },
    'no-large': { type: 'boolean', default: false },
  },
});
const file = positionals[0] ?? path.resolve(import.meta.dirname, '../../../shared/data/pdf/tracemonkey.pdf');
if (!existsSync(file)) {
  console.error(`There is no file ${file}; name a PDF with text.`);
  process.exit(2);
}
const pdf = readFileSync(file);
const wasm = readFileSync(locatePdfiumWasm());
const milliseconds = Number(values.seconds) * 1000;
const rounds = Number(values.rounds);

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((one, other) => one - other)[numbers.length >> 1] ?? 0;
const round = (value: number, digits = 2): number => Number(value.toFixed(digits));

const startWorker = (): Worker =>
  new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: { pdf, wasm, query: values.query } satisfies BenchStart,
  });

const ask = async (worker: Worker, kind: BenchKind, time: number): Promise<BenchAnswer> =>
  new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(error);
    worker.once('error', fail);
    worker.once('message', (answer: BenchAnswer) => {
      worker.off('error', fail);
      resolve(answer);
    });
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker of Node has no origin
    worker.postMessage({ kind, milliseconds: time });
  });

let redactions = 0;
let engineMemory = 0;

interface Side {
  readonly kind: string;
  /** Pages a second of all workers together. */
  readonly rate: number;
  /** To the first kind, by the clock. */
  readonly ratio: number;
  /** The same by time on a core. */
  readonly cpuRatio: number;
}

/** Runs the kinds one after the other, round by round. */
const compare = async (workers: readonly Worker[], kinds: readonly BenchKind[]): Promise<readonly Side[]> => {
  const seen = new Map<BenchKind, { rate: number; cpuRate: number }[]>(kinds.map((kind) => [kind, []]));
  for (const kind of kinds) await Promise.all(workers.map(async (worker) => ask(worker, kind, 1)));
  for (let at = 0; at < rounds; at += 1)
    for (const kind of kinds) {
      const answers = await Promise.all(workers.map(async (worker) => ask(worker, kind, milliseconds)));
      seen.get(kind)?.push({
        rate: answers.reduce((sum, { pages, seconds }) => sum + pages / seconds, 0),
        cpuRate: answers.reduce((sum, { pages, cpuSeconds }) => sum + pages / cpuSeconds, 0),
      });
      redactions = answers[0]?.redactions ?? 0;
      engineMemory = Math.max(engineMemory, ...answers.map(({ memory }) => memory));
    }
  const [first] = kinds;
  const base = (first === undefined ? undefined : seen.get(first)) ?? [];
  return kinds.map((kind) => {
    const own = seen.get(kind) ?? [];
    return {
      kind,
      rate: round(median(own.map(({ rate }) => rate)), 1),
      ratio: round(median(own.map(({ rate }, at) => rate / (base[at]?.rate ?? rate)))),
      cpuRatio: round(median(own.map(({ cpuRate }, at) => cpuRate / (base[at]?.cpuRate ?? cpuRate)))),
    };
  });
};

const burnIn: Record<string, unknown>[] = [];
const operations: Record<string, unknown>[] = [];
const two = [startWorker(), startWorker()];
for (const workers of [two.slice(0, 1), two])
  for (const { kind, rate, ratio, cpuRatio } of await compare(workers, [
    'burn-in bare',
    'burn-in unproved',
    'burn-in proved',
  ]))
    burnIn.push({
      workers: workers.length,
      way: kind.replace('burn-in ', ''),
      'pages/s': rate,
      ratio,
      'CPU ratio': cpuRatio,
    });
console.table(burnIn);

using others = await findOtherPrograms(file, wasm);
const pagesOfFile = (await ask(two[0] ?? startWorker(), 'text ours', 1)).pages;
for (const work of ['text', 'render', 'redact', 'stamp'] as const)
  for (const workers of [two.slice(0, 1), two]) {
    for (const { kind, rate, ratio, cpuRatio } of await compare(workers, [`${work} bare`, `${work} ours`]))
      operations.push({
        work,
        by: kind.replace(`${work} `, ''),
        workers: workers.length,
        'pages/s': rate,
        ratio,
        'CPU ratio': cpuRatio,
      });
    if (workers.length > 1) continue;
    const base = operations.at(-2)?.['pages/s'];
    for (const program of others.programs.filter((one) => one.work === work)) {
      const times = Array.from({ length: rounds }, () => program.run()).filter((time) => time !== undefined);
      if (times.length === 0) continue;
      const rate = (pagesOfFile / median(times)) * 1000;
      const ratio = typeof base === 'number' ? round(rate / base) : undefined;
      operations.push({ work, by: program.name, workers: 1, 'pages/s': round(rate, 1), ratio });
    }
  }
console.table(operations);
await Promise.all(two.map(async (worker) => worker.terminate()));

const time = async (body: () => Promise<unknown>): Promise<number> => {
  const started = performance.now();
  await body();
  return performance.now() - started;
};
const compiled = await compilePdfium(wasm);
const startUp = {
  'engine from bytes ms': round(median(await repeat(async () => createPdfEngine({ wasm }))), 1),
  'engine from a compiled module ms': round(median(await repeat(async () => createPdfEngine({ wasm: compiled }))), 1),
  'pool, first task ms': round(median(await repeat(firstTask)), 1),
};
console.table(startUp);

async function repeat(body: () => Promise<unknown>): Promise<readonly number[]> {
  const times: number[] = [];
  for (let at = 0; at < 5; at += 1) times.push(await time(body));
  return times;
}

async function firstTask(): Promise<void> {
  const pool = createPdfWorkers(pdfWorkersConfigSchema.parse({ workers: 1 }));
  await pool.pageInfo({ pdf: Uint8Array.from(pdf) });
  await pool.close();
}

const large = values['no-large']
  ? []
  : (['pages', 'bytes'] as const).map((what) => {
      const { stdout, stderr, status } = spawnSync(
        process.execPath,
        [path.join(import.meta.dirname, 'large-document.ts'), what],
        { encoding: 'utf8' },
      );
      if (status !== 0) throw new Error(`The large document failed: ${stderr}`);
      const parsed: unknown = JSON.parse(stdout);
      return parsed;
    });
if (large.length > 0) console.table(large);
console.log(
  `${path.basename(file)}: ${redactions} redactions, 2 stamps a page; ${cpus()[0]?.model ?? 'unknown CPU'} x ${cpus().length}; engine memory at most ${Math.round(engineMemory / 1048576)} MiB`,
);
const results = path.resolve(import.meta.dirname, '../results');
mkdirSync(results, { recursive: true });
writeFileSync(
  path.join(results, 'burn-in.json'),
  `${JSON.stringify({ file: path.basename(file), redactions, cores: cpus().length, burnIn, operations, startUp, large }, undefined, 2)}\n`,
);
