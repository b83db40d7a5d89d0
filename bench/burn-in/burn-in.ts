/**
 * burn-in: pages a second with redactions and two stamps a page, against a bare PDFium loop that does the same without repair of structure,
 * scrubbing or proof. Both in the same run, alternating, median of several rounds, on 1 and 2 workers.
 *
 *   node bench/burn-in/burn-in.ts [FILE.pdf] [--seconds 1.5] [--rounds 3]
 */
import { locatePdfiumWasm } from '@casebound/pdf';
import { existsSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';

interface Outcome {
  readonly pages: number;
  readonly seconds: number;
  readonly redactions: number;
  readonly memory: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '1.5' },
    rounds: { type: 'string', default: '3' },
    query: { type: 'string', default: 'JavaScript' },
  },
});
const file = positionals[0] ?? path.resolve(import.meta.dirname, '../../../shared/data/pdf/tracemonkey.pdf');
if (!existsSync(file)) {
  console.error(`There is no file ${file}; name a PDF with text.`);
  process.exit(2);
}
const pdf = readFileSync(file);
const wasm = readFileSync(locatePdfiumWasm());
const ways = ['bare', 'ours', 'verified'] as const;

const run = (way: (typeof ways)[number]): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: { way, pdf, wasm, milliseconds: Number(values.seconds) * 1000, query: values.query },
    });
    worker.on('message', (outcome: Outcome) => resolve(outcome));
    worker.on('error', reject);
  });

const median = (numbers: readonly number[]): number =>
  [...numbers].sort((one, other) => one - other)[numbers.length >> 1] ?? 0;

const results: { workers: number; way: string; pagesPerSecond: number; ratio: number }[] = [];
let redactions = 0;
let memory = 0;
for (const workers of [1, 2]) {
  const rates = new Map<string, number[]>(ways.map((way) => [way, []]));
  for (let round = 0; round < Number(values.rounds); round += 1)
    for (const way of ways) {
      const outcomes = await Promise.all(Array.from({ length: workers }, () => run(way)));
      rates.get(way)?.push(outcomes.reduce((sum, { pages, seconds }) => sum + pages / seconds, 0));
      redactions = outcomes[0]?.redactions ?? 0;
      memory = Math.max(memory, ...outcomes.map((outcome) => outcome.memory));
    }
  const base = median(rates.get('bare') ?? []);
  for (const way of ways) {
    const rate = median(rates.get(way) ?? []);
    results.push({
      workers,
      way,
      pagesPerSecond: Math.round(rate * 10) / 10,
      ratio: Math.round((rate / base) * 100) / 100,
    });
  }
}
console.table(results);
console.log(
  `${path.basename(file)}: ${redactions} redactions, 2 stamps a page; ${cpus()[0]?.model ?? 'unknown CPU'} x ${cpus().length}; engine memory at most ${Math.round(memory / 1048576)} MiB`,
);
console.log(JSON.stringify({ bench: 'burn-in', file: path.basename(file), redactions, results }));
