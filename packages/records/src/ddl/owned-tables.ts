/**
 * Rows that go with their document: those of its root table and of the tables right beneath it.
 *
 * - They have no foreign key to the document or the root. Nothing but the statements that write a document write them, so the check
 *   would say what is known; row by row, with a lock on each document and a record of it in the log, it was a tenth of a bulk write.
 * - What such keys did on deletion, a trigger of the statement does, for whoever deletes documents, in one statement over all tables:
 *   keys between them are checked at its end.
 * - Rows of nested collections keep their key to the row they stand in, and go with it.
 */
import type { Model, Resource, Table } from '../derive/model.ts';
import { quoteIdentifier, quoteLiteral } from '../derive/naming.ts';
import { documentColumn } from './key-columns.ts';

/** The tables of a resource whose rows have no key to what they belong to. Descriptors share a table that keeps its key. */
export const ownedTables = (resource: Resource): readonly Table[] =>
  resource.isDescriptor ? [] : resource.tables.filter(isOwned);

export const isOwned = (table: Table): boolean => table.parent === null || table.parent.parent === null;

/** Table and trigger of a store; without effect where they are. */
export const rowsFollowDocuments = (schema: string): readonly string[] => {
  const s = quoteIdentifier(schema);
  const deletion = `format('d%s AS (DELETE FROM %I.%I t USING gone g WHERE t.%I = g.document_id)', o.n, ${quoteLiteral(schema)}, o.table_name, o.document_column)`;
  return [
    `CREATE TABLE IF NOT EXISTS ${s}.owned_table (
  resource_key_id smallint NOT NULL,
  table_name name NOT NULL,
  document_column name NOT NULL,
  PRIMARY KEY (resource_key_id, table_name)
)`,
    // As a literal: the schema's name is its caller's, and may hold whatever would end a dollar quote.
    `CREATE OR REPLACE FUNCTION ${s}.records_forget_rows() RETURNS trigger LANGUAGE plpgsql AS ${quoteLiteral(`
DECLARE
  deletion text;
BEGIN
  SELECT 'WITH ' || string_agg(${deletion}, ', ') || ' SELECT 1' INTO deletion
  FROM (SELECT row_number() OVER () AS n, w.table_name, w.document_column FROM ${s}.owned_table w
        WHERE w.resource_key_id IN (SELECT g.resource_key_id FROM gone g)) o;
  IF deletion IS NOT NULL THEN
    EXECUTE deletion;
  END IF;
  RETURN NULL;
END`)}`,
    `CREATE OR REPLACE TRIGGER document_rows AFTER DELETE ON ${s}.document REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION ${s}.records_forget_rows()`,
  ];
};

/** Makes `owned_table` say what the model says; the keys of its resources are there. */
export const listOwnedTables = (model: Model, schema: string): readonly string[] => {
  const s = quoteIdentifier(schema);
  const rows = [...model.resources.values()].flatMap((resource) =>
    ownedTables(resource).map(
      (table) =>
        `(${[resource.name.projectName, resource.name.resourceName, table.name, documentColumn(table)].map(quoteLiteral).join(', ')})`,
    ),
  );
  const empty = `DELETE FROM ${s}.owned_table`;
  if (rows.length === 0) return [empty];
  return [
    empty,
    `INSERT INTO ${s}.owned_table (resource_key_id, table_name, document_column)
SELECT k.resource_key_id, v.t, v.c FROM (VALUES\n  ${rows.join(',\n  ')}\n) AS v(p, r, t, c) JOIN ${s}.resource_key k ON k.project_name = v.p AND k.resource_name = v.r`,
  ];
};
