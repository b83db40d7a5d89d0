/**
 * exchange-end-to-end: exhibits with native, PDF and page text, no annotations, embedded: from the request to the signed manifest; against a
 * loop that links each file and inserts one multi-row batch per 1,000 exhibits.
 *
 * `EXHIBITS=10000` is the full size; `GROWTH=1` runs 1/16, 1/4 and 1 of it and shows the cost per exhibit. `ROUNDS` per size, interleaved.
 */
import { link, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { cpuOfAll, median, openBench, plain, report, round, type FilledCase } from './open-bench.ts';

const size = Number(process.env['EXHIBITS'] ?? 1_000);
const rounds = Number(process.env['ROUNDS'] ?? 3);
const sizes = process.env['GROWTH'] === '1' ? [size / 16, size / 4, size].map(Math.round) : [size];

const bench = await openBench();
const { system, folder } = bench;

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

const writeFiles = async ({ objects }: FilledCase, name: string): Promise<string[]> => {
  const target = path.join(folder, name);
  await mkdir(target);
  const files: string[] = [];
  for (const [at, bytes] of objects.entries()) {
    const file = path.join(target, String(at));
    await writeFile(file, bytes);
    files.push(file);
  }
  return files;
};

const figures = [];
for (const exhibits of sizes) {
  const filled = await bench.fill(`source ${exhibits}`, { exhibits });
  const files = await writeFiles(filled, `files-${exhibits}`);
  const [ours, theirs, cpu]: [number[], number[], number[]] = [[], [], []];
  let marks = {};
  for (let at = 0; at < rounds; at += 1) {
    const to = await bench.createCase(`ours ${exhibits} ${at}`);
    const jobId = await bench.start(filled.caseId, to, {
      includeNatives: true,
      nativesOfRedacted: 'include',
      annotations: plain,
    });
    const before = await cpuOfAll();
    const timed = await bench.until(jobId, 'ended');
    cpu.push((await cpuOfAll()) - before);
    ({ marks } = timed);
    ours.push(timed.ms);
    theirs.push(await loop(files, exhibits, `loop-${exhibits}-${at}`));
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
    peakRssMb: Math.round(process.resourceUsage().maxRSS / 1024),
    marks,
  });
}
await report('exchange-end-to-end', figures);
await bench.close();
