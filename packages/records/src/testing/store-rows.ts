/** Every row of every table of a store, as text, for comparing a store with what it was. */
import type { TestRecordDatabase } from './open-database.ts';

/** Rows by table, sorted. Without the journal of copies and, when asked, without columns that every write changes. */
export const storeRows = async (
  database: TestRecordDatabase,
  schema: string,
  without: readonly string[] = [],
): Promise<Readonly<Record<string, readonly string[]>>> => {
  const { rows: tables } = await database.pool.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND relname NOT LIKE 'record\\_copy\\_%' ORDER BY 1`,
    [schema],
  );
  const all: Record<string, readonly string[]> = {};
  for (const { name } of tables) {
    const { rows } = await database.pool.query<{ text: string }>(
      `SELECT (to_jsonb(t) - $1::text[])::text AS text FROM "${schema}"."${name}" t ORDER BY 1`,
      [without],
    );
    all[name] = rows.map((row) => row.text);
  }
  return all;
};
