/**
 * The limit of an import: the rows that it wrote into the tables of its case, written by hand into the same tables of another case.
 *
 * Whoever writes by hand knows every id, has every value in its column's type, and has copied all rows into tables without indexes or
 * constraints beforehand. What is timed is one `INSERT ... SELECT` for each table, in one transaction on one connection. Files are not read,
 * values of custom fields not written, nothing is looked up, judged or reported.
 */
import type pg from 'pg';

/** What an import keeps of itself, and the objects' own registers: no part of what the rows mean. */
const isOwn = /^(?:import_|custom_field_segment$|resource_key$|effective_schema$|schema_component$)/;

const named = async (client: pg.Client, text: string, values: readonly unknown[]): Promise<readonly string[]> =>
  (await client.query<{ name: string }>(text, [...values])).rows.map(({ name }) => name);

/** Tables with rows in one case and none in the other, targets of foreign keys first. */
const tablesInOrder = async (client: pg.Client, filled: string, empty: string): Promise<readonly string[]> => {
  const all = await named(
    client,
    `SELECT relname::text AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = $1::regnamespace ORDER BY 1`,
    [empty],
  );
  const wanted = new Set<string>();
  for (const name of all) {
    if (isOwn.test(name)) continue;
    const { rows } = await client.query<{ wanted: boolean }>(
      `SELECT EXISTS (SELECT 1 FROM ${filled}."${name}") AND NOT EXISTS (SELECT 1 FROM ${empty}."${name}") AS wanted`,
    );
    if (rows[0]?.wanted === true) wanted.add(name);
  }
  const { rows: keys } = await client.query<{ referring: string; referred: string }>(
    `SELECT r.relname::text AS referring, t.relname::text AS referred FROM pg_constraint k JOIN pg_class r ON r.oid = k.conrelid JOIN pg_class t ON t.oid = k.confrelid
     WHERE k.contype = 'f' AND k.connamespace = $1::regnamespace`,
    [empty],
  );
  const ordered = new Set<string>();
  const place = (name: string): void => {
    if (!wanted.delete(name)) return;
    for (const { referring, referred } of keys) if (referring === name) place(referred);
    ordered.add(name);
  };
  for (const name of wanted) place(name);
  return [...ordered];
};

/** Milliseconds that the rows of one case's schema take into the tables of another, which is new. */
export const writeSameTables = async (client: pg.Client, filled: string, empty: string): Promise<number> => {
  const statements: string[] = [];
  for (const table of await tablesInOrder(client, filled, empty)) {
    const columns = await named(
      client,
      `SELECT quote_ident(attname) AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`,
      [`${empty}."${table}"`],
    );
    const list = columns.join(', ');
    await client.query(`CREATE UNLOGGED TABLE ${empty}."staged ${table}" AS SELECT ${list} FROM ${filled}."${table}"`);
    statements.push(
      `INSERT INTO ${empty}."${table}" (${list}) OVERRIDING SYSTEM VALUE SELECT ${list} FROM ${empty}."staged ${table}"`,
    );
  }
  const started = performance.now();
  await client.query('BEGIN');
  for (const statement of statements) await client.query(statement);
  await client.query('COMMIT');
  return performance.now() - started;
};
