/**
 * exchange-records: the copy of exhibits with documents, custodians, labels, folders and pages into another store of the same
 * database, against statements written by hand over a ready id map, and against copying row by row.
 *
 * `EXHIBITS=100000` sets the size, `GROWTH=1` runs 1/16, 1/4 and 1 of it instead and shows the cost per exhibit.
 */
import { readFileSync } from 'node:fs';
import {
  bulkWrite,
  compileCopyPlan,
  compareCopied,
  copyRecords,
  mapRecords,
  openCopy,
  removeCopied,
  selectRecordsBy,
  type CopyPolicy,
  type JsonValue,
  type StoreContext,
} from '../../packages/records/src/index.ts';
import type { TestRecordDatabase } from '../../packages/records/src/testing/open-database.ts';
import { copyByHand, makeIdMap } from './copy-by-hand.ts';
import { clock, type Figure, median, ms, runBench } from './harness.ts';

const size = Number(process.env['EXHIBITS'] ?? 100_000);
const rounds = Number(process.env['ROUNDS'] ?? 3);
const growth = process.env['GROWTH'] === '1';
const rowByRowSample = Number(process.env['ROW_BY_ROW'] ?? 300);
const schema: unknown = JSON.parse(
  readFileSync(new URL('../../schemas/case.api-schema.json', import.meta.url), 'utf8'),
);

const custodians = 200;
const folders = 500;

/** The shared records. */
const fillShared = async (store: StoreContext): Promise<void> => {
  const rows: { endpoint: string; document: JsonValue }[] = [
    { endpoint: 'batches', document: { name: 'import', kind: 'import' } },
  ];
  for (let n = 0; n < custodians; n += 1) rows.push({ endpoint: 'custodians', document: { name: `Custodian ${n}` } });
  for (let n = 0; n < 5; n += 1)
    rows.push({ endpoint: 'labelCategories', document: { categoryName: `Category ${n}` } });
  for (let n = 0; n < 100; n += 1)
    rows.push({
      endpoint: 'labels',
      document: { labelCategoryReference: { categoryName: `Category ${n % 5}` }, name: `Label ${n}` },
    });
  for (let n = 0; n < folders; n += 1)
    rows.push({
      endpoint: 'folderTags',
      document: {
        path: `/folder/${n}`,
        ...(n === 0 ? {} : { parentFolderReference: { path: `/folder/${Math.floor(n / 10)}` } }),
      },
    });
  await write(store, rows);
};

const write = async (
  store: StoreContext,
  rows: readonly { endpoint: string; document: JsonValue }[],
): Promise<void> => {
  const byEndpoint = new Map([...store.model.resources.values()].map((resource) => [resource.endpoint, resource]));
  const summary = await bulkWrite(
    store,
    rows.flatMap(({ endpoint, document }) => {
      const resource = byEndpoint.get(endpoint);
      if (resource === undefined) throw new Error(endpoint);
      return [{ resource, document }];
    }),
    {
      onRow: (row) => {
        if (row.outcome === 'failed') throw new Error(`${row.error.message} ${JSON.stringify(row.error.errors)}`);
      },
    },
  );
  if (summary.failed > 0) throw new Error('rows failed');
};

const control = (n: number): string => `ABC${String(n).padStart(9, '0')}`;

const sourceDocument = (n: number): JsonValue => ({
  documentKey: `key-${n}`,
  fileName: `message ${n}.msg`,
  fileExtension: 'msg',
  sourcePath: `/mail/box ${n % 50}/message ${n}.msg`,
  mimeType: 'application/vnd.ms-outlook',
  fileSize: 10_000 + n,
  sha256Hash: n.toString(16).padStart(64, '0'),
  from: 'a@example.org',
  to: 'b@example.org',
  subject: `Subject of message ${n}`,
  dateSent: '2020-02-29T18:29:59Z',
  pageCount: 3,
  variants: [
    { type: 'native', position: 1, objectKey: `native/${n}`, size: 10_000, sha256: n.toString(16).padStart(64, '0') },
    { type: 'pdf', position: 1, objectKey: `pdf/${n}`, size: 20_000, sha256: n.toString(16).padStart(64, 'a') },
  ],
});

/** Families of three: the first is the parent of the next two. */
const exhibit = (n: number): JsonValue => ({
  controlNumber: control(n),
  documentReference: { documentKey: `key-${n}` },
  batchReference: { name: 'import' },
  ...(n % 3 === 0 ? {} : { parentExhibitReference: { controlNumber: control(n - (n % 3)) } }),
  number: n,
  relevancy: 'relevant',
  confidentialityStatus: n % 8,
  custodians: [{ custodianReference: { name: `Custodian ${n % custodians}` }, isPrimary: true }],
  labels: [0, 1].map((at) => ({
    labelReference: { categoryName: `Category ${(n + at) % 5}`, name: `Label ${(n + at) % 100}` },
  })),
  folders: [{ folderTagReference: { path: `/folder/${n % folders}` } }],
  pages: [1, 2, 3].map((page) => ({ batesNumber: `${control(n)}.${page}`, width: 612, height: 792, textSize: 1_800 })),
});

const fillExhibits = async (store: StoreContext, from: number, to: number): Promise<void> => {
  const step = 20_000;
  for (let at = from; at < to; at += step) {
    const numbers = Array.from({ length: Math.min(step, to - at) }, (_, n) => at + n);
    await write(
      store,
      numbers.map((n) => ({ endpoint: 'documents', document: sourceDocument(n) })),
    );
    await write(
      store,
      numbers.map((n) => ({ endpoint: 'exhibits', document: exhibit(n) })),
    );
  }
};

const policy: CopyPolicy = {
  resources: {
    'Casebound.Exhibit': { mode: 'insert' },
    'Casebound.Document': { mode: 'insert', columns: { '$.documentProperties': 'null' } },
  },
  dependents: [
    { resource: 'Casebound.ConfidentialityLog', reference: '$.exhibitReference' },
    { resource: 'Casebound.RelevancyLog', reference: '$.exhibitReference' },
  ],
};

/** Row by row, as a program without sets does it: one statement a row, ids looked up one by one. */
const copyRowByRow = async (database: TestRecordDatabase, sample: number): Promise<number> => {
  const client = await database.pool.connect();
  try {
    await client.query('BEGIN');
    const { rows } = await client.query<{ source: string; own: string; key: number }>(
      `SELECT source_id AS source, own_id AS own, resource_key_id AS key FROM public.idmap JOIN source.document d ON d.document_id = source_id WHERE d.document_id IN (SELECT document_id FROM source.exhibit ORDER BY 1 LIMIT $1) OR d.document_id IN (SELECT document_document_id FROM source.exhibit ORDER BY document_id LIMIT $1) ORDER BY 2`,
      [sample],
    );
    const tables: Readonly<Record<string, readonly string[]>> = {
      exhibit: ['exhibit__custodians', 'exhibit__labels', 'exhibit__folders', 'exhibit__pages'],
      source_document: ['source_document__all_paths', 'source_document__variants'],
    };
    const map = async (id: unknown): Promise<unknown> =>
      (await client.query<{ own_id: string }>('SELECT own_id FROM public.idmap WHERE source_id = $1', [id])).rows[0]
        ?.own_id;
    const insert = async (table: string, row: Record<string, unknown>): Promise<void> => {
      const names = Object.keys(row);
      await client.query(
        `INSERT INTO rows.${table} (${names.map((name) => `"${name}"`).join(', ')}) VALUES (${names.map((_, index) => `$${index + 1}`).join(', ')})`,
        Object.values(row),
      );
    };
    const copyRow = async (table: string, row: Record<string, unknown>): Promise<void> => {
      for (const [name, value] of Object.entries(row))
        if (name.endsWith('document_id') && value !== null) row[name] = await map(value);
      await insert(table, row);
    };
    return await clock(async () => {
      for (const { source, own, key } of rows) {
        await insert('document', { document_id: own, document_uuid: crypto.randomUUID(), resource_key_id: key });
        const identity = await client.query<{ referential_id: string }>(
          'SELECT referential_id FROM source.referential_identity WHERE document_id = $1',
          [source],
        );
        await insert('referential_identity', {
          referential_id: identity.rows[0]?.referential_id,
          document_id: own,
          resource_key_id: key,
        });
        for (const [root, collections] of Object.entries(tables)) {
          const roots = await client.query<Record<string, unknown>>(
            `SELECT * FROM source.${root} WHERE document_id = $1`,
            [source],
          );
          for (const row of roots.rows) await copyRow(root, row);
          for (const table of roots.rows.length === 0 ? [] : collections) {
            const items = await client.query<Record<string, unknown>>(
              `SELECT * FROM source.${table} WHERE root_document_id = $1`,
              [source],
            );
            for (const row of items.rows) await copyRow(table, row);
          }
        }
        const edges = await client.query<Record<string, unknown>>(
          'SELECT * FROM source.reference_edge WHERE parent_document_id = $1',
          [source],
        );
        for (const row of edges.rows) await copyRow('reference_edge', row);
      }
      await client.query('ROLLBACK');
    });
  } finally {
    client.release();
  }
};

await runBench(
  growth ? 'exchange-records-growth' : 'exchange-records',
  20,
  async ({ database, model, store: open }) => {
    const plan = compileCopyPlan(model, model, policy);
    const source = await open('source');
    const fresh = async (name: string): Promise<StoreContext> => {
      await database.pool.query(`DROP SCHEMA IF EXISTS ${name} CASCADE`);
      return open(name);
    };
    let serial = 0;
    const ours = async (
      parallel: number,
    ): Promise<{ total: number; mapping: number; destination: StoreContext; key: string }> => {
      const destination = await fresh('ours');
      serial += 1;
      const key = `bench ${serial}`;
      const copy = await openCopy({ plan, source, destination, key, sourceStore: 'bench', parallel });
      let mapping = 0;
      const total = await clock(async () => {
        mapping = await clock(async () => {
          await selectRecordsBy(copy, 'SELECT document_id FROM source.exhibit', []);
          await mapRecords(copy);
        });
        await copyRecords(copy);
      });
      return { total, mapping, destination, key };
    };
    const byHand = async (): Promise<number> => {
      await fresh('hand');
      await makeIdMap(database.pool, 'hand');
      return clock(async () => copyByHand(database.pool));
    };

    const measure = async (): Promise<{ hand: number; one: number; mapping: number; many: number }> => {
      await database.pool.query('VACUUM ANALYZE');
      const figures: { hand: number; one: number; mapping: number; many: number }[] = [];
      for (let round = 0; round <= rounds; round += 1) {
        const hand = await byHand();
        const one = await ours(1);
        const many = await ours(8);
        console.log(
          `  round ${round}: by hand ${ms(hand)}, ours on 1 connection ${ms(one.total)} (map ${ms(one.mapping)}), on 8 ${ms(many.total)}`,
        );
        if (round > 0) figures.push({ hand, one: one.total, mapping: one.mapping, many: many.total });
      }
      const of = (name: 'hand' | 'one' | 'mapping' | 'many'): number => median(figures.map((figure) => figure[name]));
      return { hand: of('hand'), one: of('one'), mapping: of('mapping'), many: of('many') };
    };

    await fillShared(source);
    const figures: Figure[] = [];
    const steps = growth ? [size / 16, size / 4, size] : [size];
    let filled = 0;
    let base: number | null = null;
    let more: Record<string, unknown> = {};
    for (const step of steps.map(Math.round)) {
      const took = await clock(async () => fillExhibits(source, filled, step));
      filled = step;
      console.log(`${step} exhibits are there, ${ms(took)}`);
      const { hand, one, mapping, many } = await measure();
      base ??= one / step;
      figures.push(
        {
          name: `${step} exhibits, 1 connection`,
          ours: `${ms(one)}, of it the map ${ms(mapping)}`,
          against: `by hand ${ms(hand)}`,
          ratio: one / hand,
          must: '<= 3x, aim 1.5x',
        },
        {
          name: `${step} exhibits, 8 connections`,
          ours: ms(many),
          against: `by hand ${ms(hand)}`,
          ratio: many / hand,
          must: '<= 3x, aim 1.5x',
        },
      );
      if (growth) {
        figures.push({
          name: `${step} exhibits, cost of one`,
          ours: `${((one / step) * 1000).toFixed(0)} us`,
          against: `at 1x ${(base * 1000).toFixed(0)} us`,
          ratio: one / step / base,
          must: '<= 1.25x',
        });
        continue;
      }
      await fresh('rows');
      await makeIdMap(database.pool, 'rows');
      await copyByHand(database.pool, 'shared');
      const sample = await copyRowByRow(database, rowByRowSample);
      const extrapolated = (sample / rowByRowSample) * step;
      figures.push({
        name: 'row by row',
        ours: ms(one),
        against: `${ms(extrapolated)}, from ${rowByRowSample}`,
        ratio: one / extrapolated,
        must: '<= 0.05x, aim 0.01x',
      });
      const last = await ours(8);
      const copy = await openCopy({ plan, source, destination: last.destination, key: last.key, sourceStore: 'bench' });
      const comparing = await clock(async () => {
        const compared = await compareCopied(copy);
        if (compared.differences > 0) throw new Error(JSON.stringify(compared.listed[0]));
      });
      const removing = await clock(async () => removeCopied(copy));
      more = { compareMs: Math.round(comparing), removeMs: Math.round(removing) };
    }
    return { figures, more };
  },
  [schema],
);
