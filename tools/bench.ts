/**
 * `npm run bench [name...]`: side-by-side benchmarks. Each prints ratios measured in one run and writes its figures to
 * `bench/results/`. Without a name it lists them, for all of them together take a good while.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

interface Bench {
  readonly about: string;
  readonly script: string;
  readonly nodeOptions?: readonly string[];
}

const benches: Readonly<Record<string, Bench>> = {
  'burn-in': { about: 'redaction and stamps against a bare PDFium loop', script: 'bench/burn-in/burn-in.ts' },
  cases: {
    about: 'creating cases, catalogue size, memory of a backend, migrating all',
    script: 'bench/cases/scale.ts',
  },
  driver: { about: 'pg against postgres: COPY, pipelining, reads', script: 'bench/driver/driver.ts' },
  'exchange-annotated': {
    about: 'pages exchanged with redactions burned in against burning in alone',
    script: 'bench/exchange/annotated.ts',
  },
  'exchange-end-to-end': {
    about: 'an exchange from request to end against a loop by hand, as it grows',
    script: 'bench/exchange/end-to-end.ts',
  },
  'exchange-fairness': {
    about: 'how long a small exchange waits beside a large one',
    script: 'bench/exchange/fairness.ts',
  },
  'exchange-records': {
    about: 'record copy against hand-written INSERT ... SELECT and row by row',
    script: 'bench/records/copy.ts',
  },
  fields: {
    about: 'custom fields in segments against tags and taggings in tables',
    script: 'bench/fields/fields.ts',
  },
  import: {
    about: 'importing a load file against COPY of the same rows, as it grows',
    script: 'bench/import/import.ts',
  },
  'import-sources': {
    about: 'reading zips, mailboxes and messages against bare hashing; memory as they grow',
    script: 'bench/import-sources/import-sources.ts',
  },
  loadfile: {
    about: 'reading load files against a bare split and csv-parse',
    script: 'bench/loadfile/loadfile.bench.ts',
    nodeOptions: ['--expose-gc'],
  },
  'object-store': { about: 'small objects against bare file calls', script: 'bench/object-store/small-objects.ts' },
  queue: { about: 'the consumer against bare pg-boss and a bare SQS loop', script: 'bench/queue/run.ts' },
  'records-auth': {
    about: 'lists under relationship authorization against lists without',
    script: 'bench/records/auth.ts',
  },
  'records-contention': { about: 'hub contention and cascades', script: 'bench/records/contention.ts' },
  'records-flatten': {
    about: 'rows made in the application against rows made in the database',
    script: 'bench/records/flatten.ts',
  },
  'records-read': { about: 'pages of reads against stored JSON', script: 'bench/records/read.ts' },
  'records-scale': { about: 'a store of many documents', script: 'bench/records/scale.ts' },
  'records-show': {
    about: 'a served store: chain renamed under writers, refused delete, killed bulk write',
    script: 'bench/records/show.ts',
  },
  'records-write': { about: 'single and bulk writes against their limits', script: 'bench/records/write.ts' },
  'search-index': {
    about: 'putting exhibits into the search index against bare full-text inserts, as it grows',
    script: 'bench/search-index/put.ts',
  },
  samples: { about: 'making samples against writing the same files', script: 'bench/samples/samples.ts' },
};

const names = process.argv.slice(2);
const unknown = names.filter((name) => !Object.hasOwn(benches, name));
if (names.length === 0 || unknown.length > 0) {
  if (unknown.length > 0) console.error(`No such bench: ${unknown.join(', ')}.`);
  for (const [name, { about }] of Object.entries(benches)) console.log(`  ${name.padEnd(20)} ${about}`);
  process.exit(unknown.length > 0 ? 2 : 0);
}
for (const name of names) {
  const bench = benches[name];
  if (bench === undefined) continue;
  const { status } = spawnSync(process.execPath, [...(bench.nodeOptions ?? []), bench.script], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) process.exitCode = 1;
}
// docs/performance.md has the latest figures of each.
spawnSync(process.execPath, ['tools/write-performance.ts'], { cwd: root, stdio: 'inherit' });
