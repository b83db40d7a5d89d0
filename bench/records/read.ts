/** records-read: pages against stored jsonb text; and the ways to put a document together, against each other. */
import { bulkWrite, listDocuments } from '../../packages/records/src/index.ts';
import type { Member, Resource, Table } from '../../packages/records/src/derive/model.ts';
import { fillCacheStatement } from '../../packages/records/src/read/document-cache.ts';
import type { StoreContext } from '../../packages/records/src/store-context.ts';
import { type Bench, clock, fill, type Figure, median, ms, processorMs, quantile, runBench, work } from './harness.ts';

const documents = Number(process.env['DOCUMENTS'] ?? 20_000);
const repeats = Number(process.env['REPEATS'] ?? 60);

/** The same documents by `json_build_object` and `json_agg`, absent members dropped by `json_strip_nulls`. */
const jsonBuildSql = (store: StoreContext, resource: Resource): string => {
  let alias = 0;
  const q = (name: string): string => `"${store.schema}"."${name}"`;
  const members = (list: readonly Member[], at: string, table: Table): string =>
    `json_build_object(${list.map((member) => `'${member.name}', ${one(member, at, table)}`).join(', ')})`;
  const one = (member: Member, at: string, table: Table): string => {
    alias += 1;
    const x = `x${alias}`;
    const owner = table.kind === 'root' ? 'document_id' : 'root_document_id';
    switch (member.kind) {
      case 'scalar':
        return `${at}."${member.column.name}"`;
      case 'descriptor':
        return `(SELECT ${x}.uri FROM ${q('descriptor')} ${x} WHERE ${x}.document_id = ${at}."${member.column.name}")`;
      case 'reference':
        return member.binding.target.resourceName === 'Author'
          ? `(SELECT json_build_object('authorKey', ${x}.author_key) FROM ${q('author')} ${x} WHERE ${x}.document_id = ${at}."${member.column.name}")`
          : 'NULL';
      case 'object':
        return members(member.members, at, table);
      case 'extension':
        return `(SELECT ${members(member.table.members, x, member.table)} FROM ${q(member.table.name)} ${x} WHERE ${x}.root_document_id = ${at}.${owner})`;
      case 'collection': {
        const inner = member.table;
        const same = [
          `${x}.root_document_id = ${at}.${owner}`,
          ...table.ordinals.map((name) => `${x}."${name}" = ${at}."${name}"`),
        ];
        const [only] = inner.members;
        const item =
          member.scalarItems && only?.kind === 'scalar'
            ? `${x}."${only.column.name}"`
            : members(inner.members, x, inner);
        return `(SELECT json_agg(${item} ORDER BY ${x}."${inner.ordinals.at(-1) ?? ''}") FROM ${q(inner.name)} ${x} WHERE ${same.join(' AND ')})`;
      }
    }
  };
  return `SELECT json_strip_nulls(${members(resource.root.members, 't', resource.root)})::text AS body FROM ${q(resource.root.name)} t WHERE t.document_id = ANY($1::bigint[]) ORDER BY t.document_id`;
};

/** The same documents put together in the application: one select per table, in one round trip, then objects, then text. */
const inApplication = async (
  bench: Bench,
  store: StoreContext,
  resource: Resource,
  ids: readonly number[],
): Promise<number> => {
  const texts = await bench.database.transaction(async (tx) => {
    const sent = resource.tables.map(async (table) =>
      tx.query(
        `SELECT * FROM "${store.schema}"."${table.name}" WHERE ${table.kind === 'root' ? 'document_id' : 'root_document_id'} = ANY($1::bigint[]) ORDER BY ${[table.kind === 'root' ? 'document_id' : 'root_document_id', ...table.ordinals].join(', ')}`,
        [ids],
      ),
    );
    const references = tx.query(`SELECT document_id, author_key FROM "${store.schema}".author`);
    tx.sendCommit?.();
    const rows = await Promise.all(sent);
    const authors = new Map((await references).rows.map((row) => [row['document_id'], row['author_key']]));
    const byParent = new Map<Table, Map<string, Record<string, unknown>[]>>();
    resource.tables.forEach((table, index) => {
      const groups = new Map<string, Record<string, unknown>[]>();
      for (const row of rows[index]?.rows ?? []) {
        const key = [
          row[table.kind === 'root' ? 'document_id' : 'root_document_id'],
          ...(table.parent?.ordinals ?? []).map((name) => row[name]),
        ].join();
        const group = groups.get(key);
        if (group === undefined) groups.set(key, [row]);
        else group.push(row);
      }
      byParent.set(table, groups);
    });
    const build = (list: readonly Member[], row: Record<string, unknown>, key: string): Record<string, unknown> => {
      const out: Record<string, unknown> = {};
      for (const member of list) {
        if (member.kind === 'scalar') {
          const cell = row[member.column.name];
          if (cell !== null)
            out[member.name] =
              member.column.type.kind === 'bigint' || member.column.type.kind === 'numeric' ? Number(cell) : cell;
        } else if (member.kind === 'reference') {
          const cell = row[member.column.name];
          if (cell !== null) out[member.name] = { authorKey: authors.get(cell) };
        } else if (member.kind === 'object') out[member.name] = build(member.members, row, key);
        else if (member.kind === 'collection') {
          const items = byParent.get(member.table)?.get(key);
          const [only] = member.table.members;
          const ordinal = member.table.ordinals.at(-1) ?? '';
          if (items !== undefined)
            out[member.name] = items.map((item) =>
              member.scalarItems && only?.kind === 'scalar'
                ? item[only.column.name]
                : build(member.table.members, item, `${key},${String(item[ordinal])}`),
            );
        } else if (member.kind === 'extension') {
          const [item] = byParent.get(member.table)?.get(key) ?? [];
          if (item !== undefined) out[member.name] = build(member.table.members, item, key);
        }
      }
      return out;
    };
    return [...(byParent.get(resource.root)?.values() ?? [])]
      .flat()
      .map((row) => JSON.stringify(build(resource.root.members, row, String(row['document_id']))));
  });
  return texts.length;
};

// One connection, so that all processor time of the database is that of one process.
await runBench('records-read', 1, async (bench) => {
  const { database, resource } = bench;
  const store = await bench.store('lib');
  await fill(store, resource);
  const works = resource('works');
  await bulkWrite(
    store,
    Array.from({ length: documents }, (_, n) => ({ resource: works, document: work(n, `author ${n % 100}`) })),
  );
  await database.pool.query('VACUUM ANALYZE');
  const cached = { ...(await bench.store('lib', { cacheMode: 'on-write' })) };
  const { rows } = await database.pool.query('SELECT document_id FROM lib.work ORDER BY 1');
  const all = rows.map((row) => Number(row.document_id));
  for (let at = 0; at < all.length; at += 1_000) {
    const statement = fillCacheStatement(cached, works, all.slice(at, at + 1_000));
    await database.pool.query(statement.text, [...statement.values]);
  }
  await database.pool.query(
    `CREATE TABLE stored AS SELECT document_id AS id, body::jsonb AS body FROM lib.document_cache; ALTER TABLE stored ADD PRIMARY KEY (id); ANALYZE stored`,
  );
  const build = jsonBuildSql(store, works);
  const backend = Number((await database.pool.query('SELECT pg_backend_pid() AS pid')).rows[0]?.pid);
  const figures: Figure[] = [];
  const more: Record<string, unknown> = {};
  for (const size of [25, 100, 200]) {
    const offsets = Array.from({ length: repeats }, () => Math.floor(Math.random() * (all.length - size)));
    const tokens = new Map<number, string>();
    for (const at of offsets) {
      const { nextPageToken } = await listDocuments(store, works, { limit: 1, offset: at });
      if (nextPageToken !== null) tokens.set(at, nextPageToken);
    }
    const next = (at: number): { limit: number; pageToken: string } => ({
      limit: size,
      pageToken: tokens.get(at) ?? '',
    });
    const ways: Record<string, (at: number) => Promise<unknown>> = {
      stored: async (at) =>
        database.transaction(async (tx) => {
          const sent = tx.query('SELECT body::text AS body FROM stored WHERE id > $1 ORDER BY id LIMIT $2', [
            all[at],
            size,
          ]);
          tx.sendCommit?.();
          return sent;
        }),
      miss: async (at) => listDocuments(store, works, next(at)),
      hit: async (at) => listDocuments(cached, works, next(at)),
      correlated: async (at) =>
        database.transaction(async (tx) => {
          const sent = tx.query(
            `SELECT ${store.reads.body(works)} AS body ${store.reads.from(works)} WHERE t.document_id = ANY($1::bigint[]) ORDER BY t.document_id`,
            [all.slice(at, at + size)],
          );
          tx.sendCommit?.();
          return sent;
        }),
      jsonBuildObject: async (at) =>
        database.transaction(async (tx) => {
          const sent = tx.query(build, [all.slice(at, at + size)]);
          tx.sendCommit?.();
          return sent;
        }),
      inApplication: async (at) => inApplication(bench, store, works, all.slice(at, at + size)),
    };
    const spent: Record<string, number[]> = {};
    const processor: Record<string, number[]> = {};
    for (const [round, at] of [offsets[0] ?? 0, ...offsets].entries()) {
      for (const [name, way] of Object.entries(ways)) {
        const before = processorMs(backend);
        const took = await clock(async () => way(at));
        if (round > 5) {
          (spent[name] ??= []).push(took);
          (processor[name] ??= []).push(processorMs(backend) - before);
        }
      }
    }
    const p = (name: string, q = 0.5): number => quantile(spent[name] ?? [], q);
    figures.push(
      {
        name: `page of ${size}, cache miss`,
        ours: `${ms(p('miss'))} (p99 ${ms(p('miss', 0.99))})`,
        against: `stored jsonb ${ms(p('stored'))}`,
        ratio: p('miss') / p('stored'),
        must: '<= 6x, aim 3.5x',
      },
      {
        name: `page of ${size}, cache hit`,
        ours: `${ms(p('hit'))} (p99 ${ms(p('hit', 0.99))})`,
        against: `stored jsonb ${ms(p('stored'))}`,
        ratio: p('hit') / p('stored'),
        must: '<= 1.5x, aim 1.2x',
      },
    );
    more[`ways to build ${size}, median ms, of which database processor ms`] = Object.fromEntries(
      Object.keys(spent).map((name) => [
        name,
        `${median(spent[name] ?? []).toFixed(2)}, ${median(processor[name] ?? []).toFixed(2)}`,
      ]),
    );
  }
  return { figures, more };
});
