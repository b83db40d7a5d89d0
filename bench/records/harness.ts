/**
 * What the record benchmarks share: a PostgreSQL of their own, side-by-side rounds, medians, results as a table and as JSON.
 *
 * - Both sides of a comparison run in the same process on the same server, in turns, so that noise meets both.
 */
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import type { JsonValue, Model, Resource, StoreContext } from '../../packages/records/src/index.ts';
import {
  deriveModel,
  loadSchema,
  openStore,
  type OpenStoreOptions,
  provisionStore,
  upsertDocument,
} from '../../packages/records/src/index.ts';
import { librarySchemas } from '../../packages/records/src/testing/library-schema.ts';
import { openRecordDatabase, type TestRecordDatabase } from '../../packages/records/src/testing/open-database.ts';
import { startEmbedded } from '../../apps/server/src/database/embedded/index.ts';

export interface Bench {
  readonly database: TestRecordDatabase;
  readonly model: Model;
  store(schema: string, options?: Partial<OpenStoreOptions>): Promise<StoreContext>;
  resource(endpoint: string): Resource;
}

export interface Figure {
  readonly name: string;
  readonly ours: string;
  readonly against: string;
  /** Our cost as a multiple of the other side's (for throughputs: theirs over ours). */
  readonly ratio: number;
  readonly must: string;
}

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
export const quantile = (values: readonly number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? Number.NaN;

/** Milliseconds of one run. */
export const clock = async (fn: () => Promise<unknown>): Promise<number> => {
  const started = performance.now();
  await fn();
  return performance.now() - started;
};

/** Milliseconds of processor time that a process has had; NaN where the system does not tell. */
export const processorMs = (pid: number): number => {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
  } catch {
    return Number.NaN;
  }
};

/** Medians of two sides that run in turns, after one round that does not count. */
export const sideBySide = async (
  rounds: number,
  ours: (round: number) => Promise<number>,
  theirs: (round: number) => Promise<number>,
): Promise<[number, number]> => {
  const [a, b]: [number[], number[]] = [[], []];
  for (let round = 0; round <= rounds; round += 1) {
    const [x, y] = [await ours(round), await theirs(round)];
    if (round > 0) {
      a.push(x);
      b.push(y);
    }
  }
  return [median(a), median(b)];
};

export const ms = (value: number): string => `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;

export const language = 'uri://library.example/LanguageDescriptor#en';

/** A work of 20 rows in 8 tables (6 collection levels, one extension), about 1.1 kB of JSON. */
export const work = (n: number, authorKey: string): { [key: string]: JsonValue } => ({
  authorReference: { authorKey },
  title: `A work of some length, number ${n}`,
  languageDescriptor: language,
  price: 12.5,
  pages: n % 900,
  isRare: n % 2 === 0,
  registeredAt: '2020-02-29T18:29:59Z',
  subjects: ['history', 'law', `subject ${n % 50}`],
  properties: { source: 'import', row: n },
  origin: { place: 'Ulm' },
  contributors: [
    { authorReference: { authorKey: `author ${(n + 1) % 100}` } },
    { authorReference: { authorKey: `author ${(n + 2) % 100}` } },
  ],
  editions: [1, 2, 3].map((number) => ({
    number,
    printings: [
      {
        printedOn: '1950-01-01',
        copies: [
          { shelf: 'A', weight: 0.5 },
          { shelf: 'B', weight: 0.75 },
        ],
      },
    ],
  })),
  _ext: { archive: { signature: `S${n}` } },
});

/** The descriptor and 100 authors that works refer to. */
export const fill = async (store: StoreContext, resource: (endpoint: string) => Resource): Promise<void> => {
  await upsertDocument(store, resource('languageDescriptors'), {
    namespace: 'uri://library.example/LanguageDescriptor',
    codeValue: 'en',
    shortDescription: 'en',
  });
  for (let n = 0; n < 100; n += 1) await upsertDocument(store, resource('authors'), { authorKey: `author ${n}` });
};

/** Runs a benchmark on a server in a temporary folder and stores its figures. */
export const runBench = async (
  name: string,
  connections: number,
  body: (bench: Bench) => Promise<{ readonly figures: readonly Figure[]; readonly more?: unknown }>,
  schemas: readonly unknown[] = librarySchemas(),
): Promise<void> => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'casebound-bench-'));
  const server = await startEmbedded({
    dataDir,
    command: `bench ${name}`,
    maxConnections: 150,
    settings: { shared_buffers: '512MB', max_wal_size: '4GB', checkpoint_timeout: '30min' },
  });
  const { host, port, user, password, database: databaseName } = server.target;
  const database = openRecordDatabase({ host, port, user, password, database: databaseName }, { max: connections });
  const model = deriveModel(loadSchema(schemas));
  const resource = (endpoint: string): Resource => {
    const found = [...model.resources.values()].find((candidate) => candidate.endpoint === endpoint);
    if (found === undefined) throw new Error(endpoint);
    return found;
  };
  try {
    const result = await body({
      database,
      model,
      resource,
      store: async (schema, options = {}) => {
        await provisionStore(database, model, schema);
        return openStore({ model, database, schema, ...options });
      },
    });
    console.table(result.figures.map((figure) => ({ ...figure, ratio: `${figure.ratio.toFixed(2)}x` })));
    if (result.more !== undefined) console.log(JSON.stringify(result.more, null, 1));
    const folder = new URL('../results/', import.meta.url);
    await mkdir(folder, { recursive: true });
    const machine = { cpus: cpus().length, model: cpus()[0]?.model, node: process.version };
    await writeFile(new URL(`${name}.json`, folder), `${JSON.stringify({ name, machine, ...result }, null, 2)}\n`);
  } finally {
    await database.close();
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
};
