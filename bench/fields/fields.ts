/**
 * Custom fields in segments against the same in `tags` and `taggings`: `node bench/fields/fields.ts [exhibits] [fields]`.
 *
 * - Both sides run in turns on one embedded installation with the settings of a new one, with the same audit rows and the same event: one case
 *   keeps its values in segments, the other in tables, as an older case does.
 * - Tables are written set-based here, at their best. `value by value` is how applications write them: look the tag up, make it, link it, a
 *   statement each; a sample of exhibits, extrapolated.
 * - Prints a table and writes `bench/results/fields.json`.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import type { CaseId } from '@casebound/contract';
import { type BulkRow, bulkWrite } from '@casebound/records';
import { openSystem } from '../../apps/server/src/compose.ts';
import { createCase } from '../../apps/server/src/features/cases/index.ts';
import { createFields, type Fields } from '../../apps/server/src/features/fields/index.ts';
import { caseResource } from '../../apps/server/src/features/records/index.ts';
import type { Log } from '../../apps/server/src/platform/log/Port.ts';
import { loadEffective } from '../../apps/server/src/run/load-effective.ts';

const exhibits = Number(process.argv[2] ?? 10_000);
const fieldCount = Number(process.argv[3] ?? 10);
const rounds = 5;
const updates = 150;
const sampled = 100;
const pageSize = 100;
const actor = { kind: 'system', reason: 'benchmark' } as const;
const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (message, fields, error) => console.error(message, fields, error),
  with: () => log,
};

const dataDir = await mkdtemp(path.join(tmpdir(), 'casebound-bench-'));
const effective = await loadEffective(
  { dataDir, configFile: undefined, overrides: new Map([['http.port', '0']]) },
  { env: process.env, cwd: dataDir },
);
const system = await openSystem({
  effective,
  environment: process.env,
  role: 'all',
  version: 'bench',
  log,
  schema: 'migrate',
  progress: () => undefined,
});
const { fields, databases } = system;
const titles = Array.from({ length: fieldCount }, (_, index) => `Field ${index + 1}`);

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const timed = async (fn: () => Promise<unknown>): Promise<number> => {
  const before = performance.now();
  await fn();
  return performance.now() - before;
};

const fillCase = async (name: string): Promise<{ readonly caseId: CaseId; readonly ids: readonly number[] }> => {
  const { caseId } = await createCase(system.cases, actor, { name });
  const resource = (endpoint: string) => caseResource(system.records.model, endpoint);
  const store = await system.records.open(caseId, actor);
  const rows: BulkRow[] = [
    { resource: resource('batches'), document: { name: 'Batch', kind: 'import' } },
    ...titles.map((title) => ({
      resource: resource('customFields'),
      document: { title, inputType: 'text', choices: [] },
    })),
    ...Array.from({ length: exhibits }, (_, number) => number).flatMap((number): BulkRow[] => [
      { resource: resource('documents'), document: { documentKey: `doc-${number}` } },
      {
        resource: resource('exhibits'),
        document: {
          controlNumber: `EX-${String(number).padStart(7, '0')}`,
          documentReference: { documentKey: `doc-${number}` },
          batchReference: { name: 'Batch' },
          custodians: [],
          labels: [],
          folders: [],
          pages: [],
        },
      },
    ]),
  ];
  await bulkWrite(store, rows, {
    chunkSize: 2_000,
    onRow: (outcome) => {
      if (outcome.outcome === 'failed') throw outcome.error;
    },
  });
  const { rows: found } = await databases.cases.withCase(caseId, actor, async (tx) =>
    tx.query<{ document_id: string }>('SELECT document_id FROM exhibit ORDER BY document_id'),
  );
  return { caseId, ids: found.map((row) => Number(row.document_id)) };
};

/** A fifth of the fields are codes that many exhibits share; the others differ from exhibit to exhibit, as metadata does. */
const valuesOf = (round: number, at: number): Record<string, string> =>
  Object.fromEntries(
    titles.map((title, index) => [
      title,
      index % 5 === 0 ? `Code ${(at + round) % 7}` : `${round}/${at}/${index} some words of a field`,
    ]),
  );

const overlay = async (caseId: CaseId, ids: readonly number[], round: number): Promise<void> => {
  await databases.cases.withCase(
    caseId,
    actor,
    async (tx) =>
      fields.overlayValues(tx, {
        caseId,
        name: `bench/${round}`,
        mode: 'replace',
        rows: ids.map((exhibitId, at) => ({ exhibitId, values: valuesOf(round, at) })),
        by: { actor: 'system', origin: `overlay ${round}` },
      }),
    { transactionTimeoutMs: 600_000, statementTimeoutMs: 300_000 },
  );
};

/** How applications write tags: for each value look the tag up, make it when it is not there, unlink the old one, link the new one. */
const valueByValue = async (caseId: CaseId, ids: readonly number[], round: number): Promise<void> => {
  await databases.cases.withCase(
    caseId,
    actor,
    async (tx) => {
      for (const [at, exhibitId] of ids.slice(0, sampled).entries()) {
        for (const [title, value] of Object.entries(valuesOf(round, at))) {
          const key = `sha256(convert_to($1 || chr(31) || to_jsonb($2::text)::text, 'UTF8'))`;
          const found = await tx.query(`SELECT FROM tags WHERE tag_sha256 = ${key}`, [title, value]);
          if (found.rowCount === 0)
            await tx.query(
              `INSERT INTO tags (tag_sha256, title, value) VALUES (${key}, $1, to_jsonb($2::text)) ON CONFLICT DO NOTHING`,
              [title, value],
            );
          await tx.query(
            `DELETE FROM taggings USING tags WHERE tags.tag_sha256 = taggings.tag_sha256 AND exhibit_id = $1 AND title = $2`,
            [exhibitId, title],
          );
          await tx.query(
            `INSERT INTO taggings (exhibit_id, tag_sha256, user_id) VALUES ($3, ${key}, 'system') ON CONFLICT DO NOTHING`,
            [title, value, exhibitId],
          );
        }
      }
    },
    { transactionTimeoutMs: 600_000 },
  );
};

const segments = await fillCase('segments');
const tables = await fillCase('tables');
await system.handlers.makeFieldStorageLegacy({
  params: { caseId: tables.caseId },
  query: undefined,
  body: undefined,
  actor,
  requestId: 'bench',
  signal: new AbortController().signal,
});

const overlays = { ours: [] as number[], theirs: [] as number[], byValue: [] as number[] };
for (let round = 0; round < rounds; round += 1) {
  overlays.ours.push(await timed(async () => overlay(segments.caseId, segments.ids, round)));
  overlays.theirs.push(await timed(async () => overlay(tables.caseId, tables.ids, round)));
}
for (let round = rounds; round < rounds + 3; round += 1) {
  const took = await timed(async () => valueByValue(tables.caseId, tables.ids, round));
  overlays.byValue.push((took / sampled) * exhibits);
}

const single = { ours: [] as number[], theirs: [] as number[] };
const update = async ({ caseId, ids }: typeof segments, number: number): Promise<number> =>
  timed(async () =>
    fields.update(caseId, actor, {
      exhibitId: ids[number % ids.length] ?? 0,
      values: { 'Field 2': `single ${number}` },
    }),
  );
for (let number = -20; number < updates; number += 1) {
  const [ours, theirs] = [await update(segments, number + 20), await update(tables, number + 20)];
  if (number < 0) continue;
  single.ours.push(ours);
  single.theirs.push(theirs);
}

const fresh = (): Fields =>
  createFields({
    sessions: databases.cases,
    objects: system.objects,
    clock: system.clock,
    cacheBytes: 64 * 1024 * 1024,
  });
const page = (ids: readonly number[], number: number): readonly number[] => {
  const from = (number * pageSize) % Math.max(1, ids.length - pageSize);
  return ids.slice(from, from + pageSize);
};
const reads = { cold: [] as number[], warm: [] as number[], tables: [] as number[] };
for (let number = 0; number < 60; number += 1) {
  const reader = fresh();
  const cold = await timed(async () => reader.read(segments.caseId, actor, page(segments.ids, number)));
  const warm = await timed(async () => reader.read(segments.caseId, actor, page(segments.ids, number)));
  const table = await timed(async () => reader.read(tables.caseId, actor, page(tables.ids, number)));
  if (number < 10) continue;
  reads.cold.push(cold);
  reads.warm.push(warm);
  reads.tables.push(table);
}

const ms = (value: number): string => `${value < 10 ? value.toFixed(2) : Math.round(value)} ms`;
const figure = (name: string, ours: number, theirs: number, target: string) => ({
  name,
  ours: ms(ours),
  tables: ms(theirs),
  ratio: Number((ours / theirs).toFixed(2)),
  faster: Number((theirs / ours).toFixed(1)),
  target,
});
const results = [
  figure('update of one value', median(single.ours), median(single.theirs), '<= 2x, aim 1.3x'),
  figure(
    `overlay of ${exhibits}, tables set-based`,
    median(overlays.ours),
    median(overlays.theirs),
    '>= 5x faster, aim 20x',
  ),
  figure(
    `overlay of ${exhibits}, tables value by value`,
    median(overlays.ours),
    median(overlays.byValue),
    '>= 5x faster, aim 20x',
  ),
  figure(`read of ${pageSize}, cold`, median(reads.cold), median(reads.tables), ''),
  figure(`read of ${pageSize}, warm`, median(reads.warm), median(reads.tables), ''),
];
console.table(results);
const folder = path.join(import.meta.dirname, '../results');
await mkdir(folder, { recursive: true });
await writeFile(
  path.join(folder, 'fields.json'),
  `${JSON.stringify({ exhibits, fields: fieldCount, rounds, cpus: cpus().length, cpu: cpus()[0]?.model, node: process.version, results }, null, 2)}\n`,
);
await system.close();
await rm(dataDir, { recursive: true, force: true });
