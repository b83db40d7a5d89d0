/**
 * records-flatten: rows made in the application and bound as arrays, against rows made in the database from the document's JSON
 * (`jsonb_array_elements ... WITH ORDINALITY`, and `JSON_TABLE`). Same tables, same rows, same merged statement.
 *
 * - Validating documents, finding their references and hashing them is the application's work either way, because PostgreSQL has no
 *   SHA-1 of its own; it is done before. What is timed is the making of the values and the statement; each round is rolled back.
 */
import type { JsonValue, Resource } from '../../packages/records/src/index.ts';
import { quoteIdentifier, quoteLiteral } from '../../packages/records/src/derive/naming.ts';
import { sqlType } from '../../packages/records/src/derive/scalar-type.ts';
import type { Column, Member, Table } from '../../packages/records/src/derive/model.ts';
import type { StoreContext } from '../../packages/records/src/store-context.ts';
import type { FlatDocument } from '../../packages/records/src/write/flatten-document.ts';
import { prepareDocument } from '../../packages/records/src/write/prepare-document.ts';
import { buildStatements } from '../../packages/records/src/write/write-statements.ts';
import { uuidV7 } from '../../packages/records/src/identity/uuid-v7.ts';
import { clock, fill, type Figure, median, ms, runBench, work } from './harness.ts';

const repeats = Number(process.env['REPEATS'] ?? 150);

interface Place {
  readonly column: Column;
  /** Members from the row's object to the value; empty for an item that is a scalar. */
  readonly path: readonly string[];
}

/** Where each column's value stands in the object of its row. */
const placesOf = (members: readonly Member[], before: readonly string[] = []): Place[] =>
  members.flatMap((member): Place[] => {
    if (member.kind === 'object') return placesOf(member.members, [...before, member.name]);
    return member.kind === 'collection' || member.kind === 'extension'
      ? []
      : [{ column: member.column, path: [...before, member.name] }];
  });

interface Step {
  readonly table: Table;
  /** Members from the object of the parent row to this table's array or object. */
  readonly path: readonly string[];
  readonly scalarItems: boolean;
}

const stepsTo = (resource: Resource, wanted: Table): Step[] => {
  const find = (members: readonly Member[], before: readonly string[]): Step[] | null => {
    for (const member of members) {
      const path = [...before, member.name];
      if (member.kind === 'object') {
        const found = find(member.members, path);
        if (found !== null) return found;
      } else if (member.kind === 'collection' || member.kind === 'extension') {
        const step: Step = {
          table: member.table,
          path,
          scalarItems: member.kind === 'collection' && member.scalarItems,
        };
        if (member.table === wanted) return [step];
        const deeper = find(member.table.members, []);
        if (deeper !== null) return [step, ...deeper];
      }
    }
    return null;
  };
  return find(resource.root.members, []) ?? [];
};

const pathLiteral = (path: readonly string[]): string => quoteLiteral(`{${path.join(',')}}`);
const columnType = (column: Column): string => (column.kind === 'scalar' ? sqlType(column.type) : 'bigint');

const insertInto = (store: StoreContext, table: Table, select: (columns: readonly string[]) => string): string => {
  const names = [
    table.kind === 'root' ? 'document_id' : 'root_document_id',
    ...table.ordinals,
    ...table.columns.map((column) => column.name),
  ];
  return `INSERT INTO ${store.writes.qualified(table.name)} (${names.map(quoteIdentifier).join(', ')}) ${select(names)}`;
};

/** `$1` is a JSON array of `{ "i": document id, "d": document }`. */
const byElements = (store: StoreContext, resource: Resource, table: Table): string => {
  const steps = stepsTo(resource, table);
  const from = [`jsonb_array_elements((SELECT doc FROM input)) AS r(v)`];
  let object = `(r.v -> 'd')`;
  const ordinals: string[] = [];
  for (const [depth, step] of steps.entries()) {
    const at = `${object} #> ${pathLiteral(step.path)}`;
    if (step.table.kind === 'extension') {
      object = `(${at})`;
      continue;
    }
    from.push(`jsonb_array_elements(${at}) WITH ORDINALITY AS e${depth}(v, o)`);
    object = `e${depth}.v`;
    ordinals.push(`(e${depth}.o - 1)::int`);
  }
  const scalarItems = steps.at(-1)?.scalarItems === true;
  const places = new Map(placesOf(table.members).map((place) => [place.column, place.path]));
  const cells = table.columns.map((column) => {
    const path = scalarItems ? [] : (places.get(column) ?? []);
    const value = `${object} ${column.type.kind === 'json' ? '#>' : '#>>'} ${pathLiteral(path)}`;
    return `(${value})::${columnType(column)}`;
  });
  const where = table.kind === 'extension' ? ` WHERE ${object} IS NOT NULL` : '';
  return insertInto(
    store,
    table,
    () => `SELECT ${[`(r.v ->> 'i')::bigint`, ...ordinals, ...cells].join(', ')} FROM ${from.join(', ')}${where}`,
  );
};

/** The same by `JSON_TABLE`, one path with its nested ones for each table. */
const byJsonTable = (store: StoreContext, resource: Resource, table: Table): string => {
  const steps = stepsTo(resource, table);
  const scalarItems = steps.at(-1)?.scalarItems === true;
  const jsonPath = (names: readonly string[]): string => names.map((name) => `.${JSON.stringify(name)}`).join('');
  const places = new Map(placesOf(table.members).map((place) => [place.column, place.path]));
  const own = table.columns.map((column, index) => {
    const path = scalarItems ? '$' : `$${jsonPath(places.get(column) ?? [])}`;
    const type = column.type.kind === 'json' && column.kind === 'scalar' ? 'jsonb' : columnType(column);
    return `c${index} ${type} PATH ${quoteLiteral(path)}`;
  });
  let inner = own.join(', ');
  const ordinals: string[] = [];
  for (const [depth, step] of [...steps.entries()].reverse()) {
    const many = step.table.kind !== 'extension';
    const columns = [...(many ? [`o${depth} FOR ORDINALITY`] : []), inner].filter((part) => part !== '');
    inner = `NESTED PATH ${quoteLiteral(`$${jsonPath(step.path)}${many ? '[*]' : ''}`)} COLUMNS (${columns.join(', ')})`;
    if (many) ordinals.unshift(`j.o${depth} - 1`);
  }
  inner = `NESTED PATH '$.d' COLUMNS (${inner})`;
  const test = ordinals.length > 0 ? ` WHERE j.o${steps.length - 1} IS NOT NULL` : '';
  const nonNull =
    table.kind === 'extension'
      ? ` WHERE (${own.map((_, index) => `j.c${index}`).join(', ')}) IS DISTINCT FROM (${own.map(() => 'NULL').join(', ')})`
      : test;
  return insertInto(
    store,
    table,
    () =>
      `SELECT ${['j.i', ...ordinals, ...own.map((_, index) => `j.c${index}`)].join(', ')} FROM JSON_TABLE((SELECT doc FROM input), '$[*]' COLUMNS (i bigint PATH '$.i', ${inner})) AS j${nonNull}`,
  );
};

/** The document with document ids in the place of references and descriptors. */
const resolved = (members: readonly Member[], value: { [key: string]: JsonValue }, ids: () => number): JsonValue => {
  const out: { [key: string]: JsonValue } = {};
  for (const member of members) {
    const own = value[member.name];
    if (own === undefined || own === null) continue;
    if (member.kind === 'scalar') out[member.name] = own;
    else if (member.kind === 'reference' || member.kind === 'descriptor') out[member.name] = ids();
    else if (member.kind === 'object') out[member.name] = resolved(member.members, own as never, ids);
    else if (member.kind === 'extension') out[member.name] = resolved(member.table.members, own as never, ids);
    else
      out[member.name] = member.scalarItems
        ? own
        : (own as { [key: string]: JsonValue }[]).map((item) => resolved(member.table.members, item, ids));
  }
  return out;
};

await runBench('records-flatten', 2, async ({ database, resource, store: open }) => {
  const store = await open('lib');
  await fill(store, resource);
  const works = resource('works');
  const { pool } = database;
  const { rows: authors } = await pool.query('SELECT min(document_id)::int AS author FROM lib.author');
  const { rows: languages } = await pool.query('SELECT min(document_id)::int AS language FROM lib.descriptor');
  const author = Number(authors[0]?.author);
  const language = Number(languages[0]?.language);
  const client = await pool.connect();
  try {
    let nextId = 1_000_000;
    const names = new Map<string, string>();
    const nameOf = (text: string): string => {
      const name = names.get(text) ?? `a${names.size}`;
      names.set(text, name);
      return name;
    };
    const resolutionOf = (flats: readonly FlatDocument[]): Map<string, number> =>
      new Map(
        flats.flatMap((flat) =>
          flat.references.map((item): [string, number] => [
            item.referentialId,
            item.column.kind === 'descriptor' ? language : author,
          ]),
        ),
      );
    const jsonStatement = (make: typeof byElements): string => {
      const s = (name: string): string => store.writes.qualified(name);
      const parts = [
        `INSERT INTO ${s('document')} (document_id, document_uuid, resource_key_id) SELECT u.i, u.u, $2::smallint FROM unnest($3::bigint[], $4::uuid[]) AS u(i, u)`,
        `INSERT INTO ${s('referential_identity')} (referential_id, document_id, resource_key_id) SELECT u.r, u.i, $2::smallint FROM unnest($5::uuid[], $3::bigint[]) AS u(r, i)`,
        ...works.tables.map((table) => make(store, works, table)),
      ];
      const edges = `INSERT INTO ${s('reference_edge')} (parent_document_id, child_document_id, is_identity_component) SELECT u.i, $6::bigint, true FROM unnest($3::bigint[]) AS u(i)`;
      return `WITH input AS MATERIALIZED (SELECT $1::jsonb AS doc), ${parts.map((part, index) => `w${index} AS (${part})`).join(', ')} ${edges}`;
    };
    const figures: Figure[] = [];
    for (const size of [1, 20, 1_000]) {
      const spent: Record<string, number[]> = {};
      const rounds = size === 1_000 ? 12 : repeats;
      const counts: Record<string, number> = {};
      const ways: Record<
        string,
        (documents: { [key: string]: JsonValue }[], flats: FlatDocument[]) => Promise<unknown>
      > = {
        application: async (_documents, flats) => {
          const items = flats.map((flat) => ({
            flat,
            documentId: (nextId += 1),
            uuid: uuidV7(Date.now()),
            existing: null,
          }));
          const statements = buildStatements(store, works, items, resolutionOf(flats), { skipLocks: true });
          // Without the second look, which the other ways would need as well.
          const inserts = statements.filter(({ text }) => !text.startsWith('SELECT'));
          await Promise.all(
            inserts.map(async ({ text, values }) => client.query({ name: nameOf(text), text, values: [...values] })),
          );
        },
        ...Object.fromEntries(
          [
            ['jsonb_array_elements', jsonStatement(byElements)] as const,
            ['JSON_TABLE', jsonStatement(byJsonTable)] as const,
          ].map(([name, text]) => [
            name,
            async (documents: { [key: string]: JsonValue }[], flats: FlatDocument[]): Promise<unknown> => {
              const ids = documents.map(() => (nextId += 1));
              const input = documents.map((document, index) => ({
                i: ids[index] ?? 0,
                d: resolved(works.root.members, document, () => author),
              }));
              for (const item of input) (item.d as { [key: string]: JsonValue })['languageDescriptor'] = language;
              return client.query({
                name,
                text,
                values: [
                  JSON.stringify(input),
                  store.resourceKey(works.name),
                  ids,
                  ids.map(() => uuidV7(Date.now())),
                  flats.map((flat) => flat.referentialId),
                  author,
                ],
              });
            },
          ]),
        ),
      };
      for (let round = 0; round < rounds + 6; round += 1) {
        const documents = Array.from({ length: size }, (_, n) => work(round * size + n, `author 0`));
        const flats = documents.map((document) => prepareDocument(store, works, document));
        for (const [name, way] of Object.entries(ways)) {
          await client.query('BEGIN');
          const before = nextId;
          const took = await clock(async () => way(documents, flats));
          if (round >= 6) (spent[name] ??= []).push(took / size);
          if (round === 0) {
            const { rows } = await client.query(
              works.tables
                .map(
                  (table) =>
                    `SELECT ${quoteLiteral(table.name)} AS t, count(*)::int AS n FROM ${store.writes.qualified(table.name)} WHERE ${table.kind === 'root' ? 'document_id' : 'root_document_id'} > ${before}`,
                )
                .join(' UNION ALL '),
            );
            counts[name] = rows.reduce((sum: number, row) => sum + Number(row.n), 0);
          }
          await client.query('ROLLBACK');
        }
      }
      if (new Set(Object.values(counts)).size !== 1)
        throw new Error(`the ways wrote different rows: ${JSON.stringify(counts)}`);
      const application = median(spent['application'] ?? []);
      for (const other of ['jsonb_array_elements', 'JSON_TABLE']) {
        const theirs = median(spent[other] ?? []);
        figures.push({
          name: `${size} document${size === 1 ? '' : 's'} a statement, rows made in the application`,
          ours: `${ms(application)} a document`,
          against: `${other} ${ms(theirs)}`,
          ratio: application / theirs,
          must: 'shown',
        });
      }
    }
    return { figures };
  } finally {
    client.release();
  }
});
