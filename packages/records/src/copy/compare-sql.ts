/**
 * The statements of a comparison: what a chunk's records should be in the destination, by the map and the policy, against what they
 * are. `$1` to `$5` as in a copy, `$6` is how many differences are listed; `total` counts all.
 */
import { documentColumn, keyColumns } from '../ddl/emit-ddl.ts';
import type { Table } from '../derive/model.ts';
import { quoteIdentifier, quoteLiteral } from '../derive/naming.ts';
import { identityRows } from './chunk-statements.ts';
import type { PlannedResource } from './compile-plan.ts';
import type { CopySql } from './copy-sql.ts';
import { overlaidRows } from './finish-statements.ts';
import type { MappedTable } from './map-tables.ts';

export type DifferenceKind =
  | 'record-missing'
  | 'row-missing'
  | 'row-extra'
  | 'row-differs'
  | 'identity'
  | 'edge'
  | 'provenance'
  | 'matched-missing';

export interface ComparisonStatement {
  readonly kind: DifferenceKind;
  /** Table whose rows are compared. */
  readonly table: string;
  /** Rows: `document_id`, `place`, `columns`, `missing`, `extra`, `total`. */
  readonly text: string;
}

/**
 * What the owner of a copy changes by itself afterwards, by the destination's table: all of it, or some columns, with rows that only the
 * destination has.
 */
export type ComparisonExceptions = Readonly<
  Record<string, 'table' | { readonly columns: readonly string[]; readonly extraRows: boolean }>
>;

const tail = `ORDER BY 1, 2 LIMIT $6`;

const compareTable = (
  sql: CopySql,
  resource: PlannedResource,
  table: MappedTable,
  action: 'i' | 'o',
  exception: Exclude<ComparisonExceptions[string], 'table'> | undefined,
): string => {
  const { destination } = table;
  const members = sql.unchangedMembers(action);
  const rows = action === 'i' ? sql.rows(resource, table, true, members) : overlaidRows(sql, resource, table, members);
  const owner = quoteIdentifier(documentColumn(destination));
  const key = keyColumns(destination);
  const compared = rows.columns.filter((name) => !key.includes(name) && exception?.columns.includes(name) !== true);
  const extra = exception?.extraRows === true ? 'false' : `e.${owner} IS NULL`;
  const actual = `SELECT ${rows.columns.map((name) => `x.${quoteIdentifier(name)}`).join(', ')} FROM ${members} JOIN ${sql.own(destination.name)} x ON x.${owner} = m.document_id`;
  const on = key.map((name) => `e.${quoteIdentifier(name)} = a.${quoteIdentifier(name)}`).join(' AND ');
  const place = key.slice(1).map((name) => `coalesce(e.${quoteIdentifier(name)}, a.${quoteIdentifier(name)})`);
  const differs = (name: string): string => `e.${quoteIdentifier(name)} IS DISTINCT FROM a.${quoteIdentifier(name)}`;
  const columns = compared.map((name) => `CASE WHEN ${differs(name)} THEN ${quoteLiteral(name)} END`);
  return `SELECT coalesce(e.${owner}, a.${owner}) AS document_id, array_to_string(ARRAY[${place.join(', ')}]::text[], ',') AS place, array_to_string(ARRAY[${columns.join(', ')}]::text[], ',') AS columns, a.${owner} IS NULL AS missing, e.${owner} IS NULL AS extra, count(*) OVER () AS total
FROM (${sql.select(rows)}) e FULL JOIN (${actual}) a ON ${on}
WHERE ${extra} OR a.${owner} IS NULL${compared.length === 0 ? '' : ` OR (e.${owner} IS NOT NULL AND (${compared.map(differs).join(' OR ')}))`} ${tail}`;
};

/** Rows in a table of the destination that nothing of the source stands for. */
const compareUnmapped = (sql: CopySql, table: Table, members: string): string => {
  const owner = quoteIdentifier(documentColumn(table));
  return `SELECT x.${owner} AS document_id, '' AS place, '' AS columns, false AS missing, true AS extra, count(*) OVER () AS total FROM ${members} JOIN ${sql.own(table.name)} x ON x.${owner} = m.document_id ${tail}`;
};

const compareIdentities = (sql: CopySql, resource: PlannedResource, members: string): string =>
  `SELECT coalesce(e.document_id, a.document_id) AS document_id, '' AS place, 'referential_id' AS columns, a.document_id IS NULL AS missing, e.document_id IS NULL AS extra, count(*) OVER () AS total
FROM (${identityRows(sql, resource, members)}) e FULL JOIN (SELECT i.* FROM ${members} JOIN ${sql.own('referential_identity')} i ON i.document_id = m.document_id) a ON a.document_id = e.document_id AND a.resource_key_id = e.resource_key_id
WHERE e.referential_id IS DISTINCT FROM a.referential_id ${tail}`;

/** Edges that the source's columns call for, translated, against those of the destination. */
const compareEdges = (sql: CopySql, resource: PlannedResource, members: string): string => {
  const selects = resource.tables.flatMap((table) => {
    const rows = sql.select(sql.rows(resource, table, true, members));
    return table.columns
      .filter((item) => item.value.kind === 'reference' && item.destination.reference !== null)
      .map((item) => {
        const child = quoteIdentifier(item.destination.name);
        return `SELECT n.${quoteIdentifier(documentColumn(table.destination))} AS parent, n.${child} AS child, ${String(item.destination.reference?.isIdentity === true)} AS ident FROM (${rows}) n WHERE n.${child} IS NOT NULL`;
      });
  });
  const expected =
    selects.length === 0
      ? 'SELECT NULL::bigint AS parent, NULL::bigint AS child, false AS ident WHERE false'
      : `SELECT parent, child, bool_or(ident) AS ident FROM (${selects.join(' UNION ALL ')}) s GROUP BY parent, child`;
  return `SELECT coalesce(e.parent, a.parent_document_id) AS document_id, coalesce(e.child, a.child_document_id)::text AS place, 'is_identity_component' AS columns, a.parent_document_id IS NULL AS missing, e.parent IS NULL AS extra, count(*) OVER () AS total
FROM (${expected}) e FULL JOIN (SELECT g.* FROM ${members} JOIN ${sql.own('reference_edge')} g ON g.parent_document_id = m.document_id) a ON a.parent_document_id = e.parent AND a.child_document_id = e.child
WHERE e.parent IS NULL OR a.parent_document_id IS NULL OR e.ident <> a.is_identity_component ${tail}`;
};

const missingRecords = (sql: CopySql, members: string): string =>
  `SELECT m.document_id, '' AS place, '' AS columns, true AS missing, false AS extra, count(*) OVER () AS total FROM ${members} LEFT JOIN ${sql.own('document')} d ON d.document_id = m.document_id AND d.resource_key_id = $4 WHERE d.document_id IS NULL ${tail}`;

const compareProvenance = (sql: CopySql, members: string): string =>
  `SELECT m.document_id, '' AS place, 'source_document_uuid' AS columns, p.document_id IS NULL AS missing, false AS extra, count(*) OVER () AS total FROM ${members} JOIN ${sql.source('document')} s ON s.document_id = m.source_document_id LEFT JOIN ${sql.own('record_copy_provenance')} p ON p.document_id = m.document_id AND p.job_id = $1 WHERE p.source_document_uuid IS DISTINCT FROM s.document_uuid ${tail}`;

/** All comparisons of a chunk of a resource: of inserted (`i`) or overlaid (`o`) records. */
export const comparisonStatements = (
  sql: CopySql,
  resource: PlannedResource,
  action: 'i' | 'o',
  except: ComparisonExceptions = {},
): readonly ComparisonStatement[] =>
  sql.memo(`compare ${action} ${resource.name} ${JSON.stringify(except)}`, () => {
    const members = sql.unchangedMembers(action);
    const mapped = new Set(resource.tables.map((table) => table.destination));
    const unmapped = resource.destination.tables.filter(
      (table) => !mapped.has(table) && except[table.name] !== 'table',
    );
    const inserted: readonly ComparisonStatement[] = [
      { kind: 'provenance', table: 'record_copy_provenance', text: compareProvenance(sql, members) },
      { kind: 'edge', table: 'reference_edge', text: compareEdges(sql, resource, members) },
      ...unmapped.map((table): ComparisonStatement => ({
        kind: 'row-extra',
        table: table.name,
        text: compareUnmapped(sql, table, members),
      })),
    ];
    return [
      { kind: 'record-missing', table: 'document', text: missingRecords(sql, members) },
      { kind: 'identity', table: 'referential_identity', text: compareIdentities(sql, resource, members) },
      ...resource.tables.flatMap((table): readonly ComparisonStatement[] => {
        const { name } = table.destination;
        const exception = except[name];
        if (exception === 'table') return [];
        return [{ kind: 'row-differs', table: name, text: compareTable(sql, resource, table, action, exception) }];
      }),
      // Of an overlaid record, what the source does not know stays as it was.
      ...(action === 'i' ? inserted : []),
    ];
  });

/** Matched and skipped records of a resource that are gone, or no longer have the identity they were matched by. */
export const matchedStatement = (sql: CopySql, resource: PlannedResource): string =>
  sql.memo(
    `compare matched ${resource.name}`,
    () =>
      `SELECT m.document_id, '' AS place, 'referential_id' AS columns, x.document_id IS NULL AS missing, false AS extra, count(*) OVER () AS total FROM ${sql.own('record_copy_map')} m JOIN ${sql.source('document')} d ON d.document_id = m.source_document_id AND d.etag = m.source_etag LEFT JOIN ${sql.source('referential_identity')} si ON si.document_id = m.source_document_id AND si.resource_key_id = ${sql.sourceKey(resource.source.name)} LEFT JOIN ${sql.own('referential_identity')} x ON x.document_id = m.document_id AND x.resource_key_id = $2 WHERE m.job_id = $1 AND m.resource_key_id = $2 AND m.action IN ('m', 's', 'j') AND x.referential_id IS DISTINCT FROM coalesce(m.referential_id, si.referential_id) ORDER BY 1 LIMIT $3`,
  );
