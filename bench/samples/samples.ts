/**
 * Making samples against a bare loop that writes the very same files, already made, to the same disk; and load files alone.
 *
 * The two sides take turns in one run. Usage: node bench/samples/samples.ts [documents, default 2000]
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createSample } from '../../apps/server/src/features/samples/index.ts';

const documents = Number(process.argv[2] ?? '2000');
const rows = documents * 20;
const fields = 50;
const rounds = 3;
const writesAtATime = 16;
const results = fileURLToPath(new URL('../results/samples.json', import.meta.url));

const seconds = async (body: () => Promise<unknown>): Promise<number> => {
  const started = performance.now();
  await body();
  return (performance.now() - started) / 1000;
};

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const readAll = async (folder: string): Promise<readonly (readonly [name: string, bytes: Buffer])[]> => {
  const files: (readonly [string, Buffer])[] = [];
  for (const name of await readdir(folder, { recursive: true }))
    if ((await stat(path.join(folder, name))).isFile()) files.push([name, await readFile(path.join(folder, name))]);
  return files;
};

/** Writes files that are in memory, hashing each as a sample does. */
const writeBare = async (folder: string, files: Awaited<ReturnType<typeof readAll>>): Promise<void> => {
  for (const name of new Set(files.map(([file]) => path.dirname(file))))
    await mkdir(path.join(folder, name), { recursive: true });
  let next = 0;
  const work = async (): Promise<void> => {
    for (let at = next++; at < files.length; at = next++) {
      const [name = '', bytes = new Uint8Array(0)] = files[at] ?? [];
      for (const kind of ['md5', 'sha1', 'sha256']) createHash(kind).update(bytes).digest();
      await writeFile(path.join(folder, name), bytes);
    }
  };
  await Promise.all(Array.from({ length: writesAtATime }, work));
};

const root = await mkdtemp(path.join(tmpdir(), 'casebound-bench-samples-'));
try {
  const times: Record<'sample' | 'bare' | 'rows', number[]> = { sample: [], bare: [], rows: [] };
  let bytes = 0;
  let files = 0;
  for (let round = 0; round < rounds; round += 1) {
    const place = (name: string): string => path.join(root, `${name}-${round}`);
    times.sample.push(
      await seconds(async () => {
        ({ bytes, files } = await createSample(place('sample'), { documents, fields }));
      }),
    );
    const made = await readAll(place('sample'));
    times.bare.push(await seconds(() => writeBare(place('bare'), made)));
    times.rows.push(await seconds(() => createSample(place('rows'), { documents: rows, fields, loadFileOnly: true })));
    for (const name of ['sample', 'bare', 'rows']) await rm(place(name), { recursive: true });
  }
  const [sample, bare, rowsOnly] = [median(times.sample), median(times.bare), median(times.rows)];
  const result = {
    documents,
    fields,
    files,
    bytes,
    documentsPerSecond: Math.round(documents / sample),
    bareDocumentsPerSecond: Math.round(documents / bare),
    timesBareLoop: Number((sample / bare).toFixed(2)),
    loadFileRows: rows,
    loadFileRowsPerSecond: Math.round(rows / rowsOnly),
    peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1024),
  };
  console.table(result);
  await mkdir(path.dirname(results), { recursive: true });
  await writeFile(results, `${JSON.stringify(result, null, 2)}\n`);
} finally {
  await rm(root, { recursive: true, force: true });
}
