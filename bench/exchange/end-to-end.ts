/**
 * exchange-end-to-end: exhibits with native, PDF and page text, no annotations, embedded: from the request to the signed manifest; against a
 * loop that links each file and inserts one multi-row batch per 1,000 exhibits.
 *
 * `EXHIBITS=10000` is the full size; `GROWTH=1` runs 1/16, 1/4 and 1 of it and shows the cost per exhibit. `ROUNDS` per size, interleaved.
 * Cases are filled by a process of their own, so that the memory shown is that of a server that carries an exchange.
 */
import { execFile } from 'node:child_process';
import { link, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { CaseId } from '@casebound/contract';
import { cpuOfAll, median, openBench, plain, report, round } from './open-bench.ts';

const size = Number(process.env['EXHIBITS'] ?? 1_000);
const rounds = Number(process.env['ROUNDS'] ?? 3);
const sizes = process.env['GROWTH'] === '1' ? [size / 16, size / 4, size].map(Math.round) : [size];

const filesOf = (folder: string, exhibits: number): string => path.join(folder, `files-${exhibits}`);

/** Fills a case for each size, and a folder with the same files for the loop. Prints the numbers of the cases. */
const fillCases = async (folder: string): Promise<void> => {
  const bench = await openBench(folder);
  const cases: number[] = [];
  for (const exhibits of sizes) {
    const filled = await bench.fill(`source ${exhibits}`, { exhibits });
    cases.push(filled.caseId);
    await mkdir(filesOf(folder, exhibits));
    for (const [at, bytes] of filled.objects.entries())
      await writeFile(path.join(filesOf(folder, exhibits), String(at)), bytes);
  }
  await bench.close();
  process.stdout.write(`${JSON.stringify(cases)}\n`);
};

/** The most memory that this process has while `work` runs, in MB. */
const watchMemory = async <T>(work: () => Promise<T>): Promise<{ readonly value: T; readonly peakMb: number }> => {
  let peak = 0;
  const look = (): void => {
    peak = Math.max(peak, process.memoryUsage.rss());
  };
  const timer = setInterval(look, 50);
  try {
    const value = await work();
    look();
    return { value, peakMb: Math.round(peak / 1024 / 1024) };
  } finally {
    clearInterval(timer);
  }
};

const measure = async (folder: string, cases: readonly number[]): Promise<void> => {
  const bench = await openBench(folder);
  const { system } = bench;

  /** By hand: link each file, insert one batch of rows a thousand exhibits. */
  const loop = async (files: readonly string[], exhibits: number, name: string): Promise<number> => {
    const target = path.join(folder, name);
    await mkdir(target);
    const caseId = await bench.createCase(name);
    const place = (await system.databases.caseDatabases.list())[0];
    const owner = system.databases.owner(place?.server ?? '', place?.databaseName ?? '');
    await owner.transaction({}, async (tx) =>
      tx.script(
        `CREATE TABLE case_${caseId}.by_hand (id bigint, control_number text, document_key text, object_key text, size bigint)`,
      ),
    );
    const started = performance.now();
    const perExhibit = files.length / exhibits;
    for (let first = 0; first < exhibits; first += 1000) {
      const part = files.slice(first * perExhibit, Math.min(exhibits, first + 1000) * perExhibit);
      for (const file of part) await link(file, path.join(target, path.basename(file)));
      const at = part.map((_, index) => first * perExhibit + index);
      await owner.transaction({}, async (tx) =>
        tx.query(
          `INSERT INTO case_${caseId}.by_hand SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[])`,
          [at, at.map((one) => `BENCH${one}`), at.map((one) => `key-${one}`), part, at.map(() => 100)],
        ),
      );
    }
    return performance.now() - started;
  };

  const figures = [];
  for (const [index, exhibits] of sizes.entries()) {
    const from = CaseId.parse(cases[index]);
    const names = await readdir(filesOf(folder, exhibits));
    const files = names.map(Number).toSorted((a, b) => a - b);
    const paths = files.map((name) => path.join(filesOf(folder, exhibits), String(name)));
    const [ours, theirs, cpu, peaks]: [number[], number[], number[], number[]] = [[], [], [], []];
    let marks = {};
    for (let at = 0; at < rounds; at += 1) {
      const to = await bench.createCase(`ours ${exhibits} ${at}`);
      const before = await cpuOfAll();
      const { value, peakMb } = await watchMemory(async () => {
        const jobId = await bench.start(from, to, {
          includeNatives: true,
          nativesOfRedacted: 'include',
          annotations: plain,
        });
        return bench.until(jobId, 'ended');
      });
      cpu.push((await cpuOfAll()) - before);
      ({ marks } = value);
      ours.push(value.ms);
      peaks.push(peakMb);
      theirs.push(await loop(paths, exhibits, `loop-${exhibits}-${at}`));
    }
    figures.push({
      exhibits,
      oursMs: Math.round(median(ours)),
      loopMs: Math.round(median(theirs)),
      ratio: round(median(ours.map((ms, at) => ms / (theirs[at] ?? Number.NaN)))),
      must: '<= 4x, aim 2x',
      perExhibitMs: round(median(ours) / exhibits, 3),
      /** Of this process and its database: what others on the machine do changes it little. */
      cpuPerExhibitMs: round(median(cpu) / exhibits, 3),
      peakRssMb: Math.max(...peaks),
      marks,
    });
  }
  await report('exchange-end-to-end', figures);
  await bench.close();
};

const [, script = '', there] = process.argv;
if (there === undefined) {
  const folder = await mkdtemp(path.join(tmpdir(), 'casebound-bench-'));
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [script, folder], { maxBuffer: 1024 * 1024 });
    await measure(folder, JSON.parse(stdout.trim().split('\n').at(-1) ?? '[]') as number[]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
} else await fillCases(there);
