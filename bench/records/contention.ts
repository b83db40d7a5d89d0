/** records-hub and records-cascade: 50 writers on one record; a change of identity that reaches 10,000 documents. */
import { auditStore, bulkWrite, putDocument, upsertDocument } from '../../packages/records/src/index.ts';
import { clock, fill, type Figure, language, median, ms, quantile, runBench } from './harness.ts';

const perWriter = Number(process.env['PER_WRITER'] ?? 40);
const reach = Number(process.env['REACH'] ?? 10_000);
const writers = 50;

await runBench('records-contention', 60, async ({ database, resource, store: open }) => {
  const counts = new Map<string, number>();
  const store = await open('lib', {
    metrics: {
      count: (name, labels) =>
        void counts.set(
          `${name} ${JSON.stringify(labels)}`,
          (counts.get(`${name} ${JSON.stringify(labels)}`) ?? 0) + 1,
        ),
      observe: () => undefined,
    },
  });
  await fill(store, resource);
  const works = resource('works');
  const waits: Record<'hub' | 'spread', number[]> = { hub: [], spread: [] };
  let serial = 0;
  const run = async (which: 'hub' | 'spread'): Promise<number> => {
    serial += 1;
    const id = serial;
    return clock(async () =>
      Promise.all(
        Array.from({ length: writers }, async (_, writer) => {
          for (let n = 0; n < perWriter; n += 1) {
            const authorKey = which === 'hub' ? 'author 0' : `author ${(writer + n) % 100}`;
            waits[which].push(
              await clock(async () =>
                upsertDocument(store, works, {
                  authorReference: { authorKey },
                  title: `${id} ${writer} ${n}`,
                  languageDescriptor: language,
                }),
              ),
            );
          }
        }),
      ),
    );
  };
  const [hub, spread]: [number[], number[]] = [[], []];
  for (let round = 0; round < 4; round += 1) {
    const [a, b] = [await run('hub'), await run('spread')];
    if (round > 0) {
      hub.push(a);
      spread.push(b);
    }
  }
  const bulkRun = async (which: 'hub' | 'spread'): Promise<number> => {
    serial += 1;
    const id = serial;
    return clock(async () =>
      Promise.all(
        Array.from({ length: 10 }, async (_, writer) =>
          bulkWrite(
            store,
            Array.from({ length: 500 }, (_item, n) => ({
              resource: works,
              document: {
                authorReference: { authorKey: which === 'hub' ? 'author 0' : `author ${n % 100}` },
                title: `${id} ${writer} ${n}`,
                languageDescriptor: language,
              },
            })),
            { chunkSize: 250 },
          ),
        ),
      ),
    );
  };
  const [bulkHub, bulkSpread]: [number[], number[]] = [[], []];
  for (let round = 0; round < 4; round += 1) {
    bulkHub.push(await bulkRun('hub'));
    bulkSpread.push(await bulkRun('spread'));
  }
  const figures: Figure[] = [
    {
      name: `${writers} writers, one shared reference`,
      ours: `${Math.round((writers * perWriter * 1000) / median(hub))}/s, p99 ${ms(quantile(waits.hub, 0.99))}`,
      against: `spread ${Math.round((writers * perWriter * 1000) / median(spread))}/s, p99 ${ms(quantile(waits.spread, 0.99))}`,
      ratio: median(spread) / median(hub),
      must: '>= 0.5x, aim 0.9x, no deadlock',
    },
    {
      name: '10 bulk writers, one shared reference',
      ours: ms(median(bulkHub)),
      against: `spread ${ms(median(bulkSpread))}`,
      ratio: median(bulkSpread) / median(bulkHub),
      must: '>= 0.5x',
    },
  ];

  const author = await upsertDocument(store, resource('authors'), { authorKey: 'cascade' });
  await upsertDocument(store, works, {
    authorReference: { authorKey: 'cascade' },
    title: 'T',
    languageDescriptor: language,
  });
  const reference = { authorKey: 'cascade', title: 'T', languageDescriptor: language };
  await bulkWrite(
    store,
    Array.from({ length: reach }, (_, copyNumber) => ({
      resource: resource('copies'),
      document: { workReference: reference, copyNumber },
    })),
  );
  await database.pool.query('VACUUM ANALYZE');
  await database.pool
    .query(`CREATE TABLE plain (LIKE lib.referential_identity INCLUDING ALL); CREATE TABLE plain_document (LIKE lib.document INCLUDING ALL);
    INSERT INTO plain_document SELECT * FROM lib.document; INSERT INTO plain SELECT i.* FROM lib.referential_identity i JOIN lib.copy USING (document_id); ANALYZE plain; ANALYZE plain_document`);
  const [renames, updates]: [number[], number[]] = [[], []];
  for (let round = 0; round < 4; round += 1) {
    const rename = await clock(async () =>
      putDocument(store, resource('authors'), author.uuid, { authorKey: `cascade ${round}` }),
    );
    const update = await clock(async () =>
      database.pool.query(
        'BEGIN; UPDATE plain SET referential_id = gen_random_uuid(); UPDATE plain_document d SET etag = etag + 1, last_modified_at = now() FROM plain p WHERE p.document_id = d.document_id; COMMIT',
      ),
    );
    if (round > 0) {
      renames.push(rename);
      updates.push(update);
    }
  }
  figures.push({
    name: `change of identity reaching ${reach + 1} documents`,
    ours: ms(median(renames)),
    against: `UPDATE of ${reach} rows with the same indexes ${ms(median(updates))}`,
    ratio: median(renames) / median(updates),
    must: '<= 6x, aim 3x',
  });
  const audit = await auditStore(store);
  return {
    figures,
    more: { audit, retries: Object.fromEntries([...counts].filter(([name]) => name.includes('retr'))) },
  };
});
