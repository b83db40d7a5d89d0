/** A stand-in for the case model: as many tables, columns, keys and indexes, without its meaning. */

export const tablesPerCase = 60;

/** DDL of one case: 60 tables of ten columns, each with a primary key, a unique key and an index. */
export function syntheticSchema(tables = tablesPerCase): string {
  return Array.from(
    { length: tables },
    (_, index) => `
      CREATE TABLE t${index} (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        parent bigint, name text NOT NULL, title text, size bigint, made timestamptz, flags int, hash bytea,
        note text, changed timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT t${index}_name_unique UNIQUE (name));
      CREATE INDEX t${index}_parent ON t${index} (parent);`,
  ).join('');
}
