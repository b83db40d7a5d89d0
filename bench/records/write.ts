/** records-write and records-bulk: one by one and in bulk, against a jsonb table and against bare set-based inserts. */
import { bulkWrite, upsertDocument } from '../../packages/records/src/index.ts';
import { clock, fill, type Figure, median, ms, runBench, sideBySide, work } from './harness.ts';

const single = Number(process.env['SINGLE'] ?? 400);
const bulk = Number(process.env['BULK'] ?? 10_000);

await runBench('records-write', 4, async ({ database, resource, store: open }) => {
  const store = await open('lib');
  await fill(store, resource);
  const works = resource('works');
  const { pool } = database;
  await pool.query(`CREATE TABLE baseline (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body jsonb NOT NULL);
    CREATE UNIQUE INDEX ON baseline ((body #>> '{authorReference,authorKey}'), (body ->> 'title'), (body ->> 'languageDescriptor'))`);
  const client = await pool.connect();
  let next = 0;
  const [ours, theirs] = await sideBySide(
    3,
    async () => {
      const from = (next += single);
      return clock(async () => {
        for (let n = from; n < from + single; n += 1) await upsertDocument(store, works, work(n, `author ${n % 100}`));
      });
    },
    async (round) =>
      clock(async () => {
        for (let n = 0; n < single; n += 1) {
          await client.query({
            name: 'baseline',
            text: 'INSERT INTO baseline (body) VALUES ($1)',
            values: [JSON.stringify(work(n + (round + 1) * 1e6, `author ${n % 100}`))],
          });
        }
      }),
  );
  client.release();
  const figures: Figure[] = [
    {
      name: 'POST of one document (20 rows, 8 tables)',
      ours: ms(ours / single),
      against: `jsonb ${ms(theirs / single)}`,
      ratio: ours / theirs,
      must: '<= 4x, aim 2x',
    },
  ];

  const documents = Array.from({ length: bulk }, (_, n) => ({
    text: JSON.stringify(work(n + 5e6, `author ${n % 100}`)),
  }));
  const rows = documents.map((document) => ({ resource: works, document }));
  const tables = ['document', 'referential_identity', ...works.tables.map((table) => table.name), 'reference_edge'];
  const owner = (table: string): string =>
    table === 'reference_edge'
      ? 'parent_document_id'
      : works.tables.some((item) => item.name === table && item.kind !== 'root')
        ? 'root_document_id'
        : 'document_id';
  const remove = async (after: number): Promise<void> => {
    await pool.query(`DELETE FROM lib.reference_edge WHERE parent_document_id > ${after}`);
    await pool.query(`DELETE FROM lib.document WHERE document_id > ${after}`);
    await pool.query('VACUUM ANALYZE');
  };
  const last = async (): Promise<number> =>
    Number((await pool.query('SELECT max(document_id) AS last FROM lib.document')).rows[0]?.last);
  const before = await last();
  const [mine, limit, jsonb]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < 4; round += 1) {
    const spent = await clock(async () => bulkWrite(store, rows));
    for (const table of tables) {
      await pool.query(`DROP TABLE IF EXISTS public."stage_${table}"`);
      await pool.query(
        `CREATE UNLOGGED TABLE public."stage_${table}" AS SELECT * FROM lib."${table}" WHERE ${owner(table)} > ${before}`,
      );
    }
    await remove(before);
    const bare = await clock(async () => {
      const text = tables.map((table) => `INSERT INTO lib."${table}" SELECT * FROM public."stage_${table}"`).join(';');
      await pool.query(`BEGIN; ${text}; COMMIT`);
    });
    await remove(before);
    await pool.query('TRUNCATE baseline');
    const json = await clock(async () => {
      for (let at = 0; at < bulk; at += 2_000)
        await pool.query('INSERT INTO baseline (body) SELECT unnest($1::text[])::jsonb', [
          documents.slice(at, at + 2_000).map((item) => item.text),
        ]);
    });
    if (round > 0) {
      mine.push(spent);
      limit.push(bare);
      jsonb.push(json);
    }
  }
  const [a, b, c] = [median(mine), median(limit), median(jsonb)];
  figures.push(
    {
      name: `bulk of ${bulk} documents from JSON text`,
      ours: ms(a),
      against: `bare INSERT ... SELECT of the same rows ${ms(b)}`,
      ratio: a / b,
      must: '<= 2x, aim 1.3x',
    },
    { name: 'the same beside', ours: ms(a), against: `jsonb table ${ms(c)}`, ratio: a / c, must: 'shown' },
  );
  return { figures, more: { bulkDocumentsPerSecond: Math.round((bulk / a) * 1000) } };
});
