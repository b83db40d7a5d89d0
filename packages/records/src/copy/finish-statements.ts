/**
 * What is written when all levels are done: references within cycles, and the content of records that are overlaid.
 *
 * - Both change records that readers may have seen, so both bump etags, once, and only where something changes.
 * - A record that somebody changed since the copy wrote it is not linked: what that person wrote stands.
 * - An overlaid record is locked, and then looked at whether it still is the one that has the identity.
 */
import { documentColumn, identityColumns } from '../ddl/emit-ddl.ts';
import { quoteIdentifier, quoteLiteral } from '../derive/naming.ts';
import { spellingColumns } from '../write/keep-spelling.ts';
import type { PlannedResource } from './compile-plan.ts';
import { guard, overlaidMoved, sourceGuard } from './chunk-statements.ts';
import type { CopySql, MappedRows } from './copy-sql.ts';
import type { MappedTable } from './map-tables.ts';

const waitingColumns = (table: MappedTable): readonly string[] =>
  table.columns.flatMap((item) =>
    item.value.kind === 'reference' && item.value.deferred ? [item.destination.name] : [],
  );

/** Etag of a record that was linked; before, it had 1. */
const linkedEtag = 2;

/** The statements that set what a chunk's records refer to within cycles. */
export const linkStatements = (sql: CopySql, resource: PlannedResource): readonly string[] =>
  sql.memo(`links ${resource.name}`, () => {
    const [document, provenance] = [sql.own('document'), sql.own('record_copy_provenance')];
    const roots = resource.tables.filter((table) => waitingColumns(table).length > 0 && table.source.kind === 'root');
    const tables = resource.tables.filter((table) => table.deferred);
    const work = [
      ...roots.map((table) => {
        const rows = sql.select(sql.rows(resource, table, true));
        const different = waitingColumns(table).map(
          (name) => `n.${quoteIdentifier(name)} IS DISTINCT FROM x.${quoteIdentifier(name)}`,
        );
        return `SELECT n.document_id AS id FROM (${rows}) n JOIN ${sql.own(table.destination.name)} x ON x.document_id = n.document_id WHERE ${different.join(' OR ')}`;
      }),
      ...tables.map(
        (table) =>
          `SELECT n.${quoteIdentifier(documentColumn(table.destination))} AS id FROM (${sql.select(sql.rows(resource, table, true))}) n`,
      ),
    ];
    const bump = `WITH l AS MATERIALIZED (${work.join(' UNION ')}), b AS (UPDATE ${document} d SET etag = d.etag + 1, last_modified_at = now() FROM l JOIN ${provenance} p ON p.document_id = l.id WHERE d.document_id = l.id AND d.etag = p.etag RETURNING d.document_id) UPDATE ${provenance} p SET etag = p.etag + 1 FROM b WHERE p.document_id = b.document_id`;
    const linked = `(SELECT m.* FROM ${sql.members} JOIN ${provenance} p ON p.document_id = m.document_id AND p.etag = ${linkedEtag} JOIN ${document} d ON d.document_id = m.document_id AND d.etag = p.etag) m`;
    const edges = sql.insertEdges(
      [...roots, ...tables].map((table) => table.destination),
      linked,
    );
    return [
      bump,
      ...roots.map((table) => {
        const sets = waitingColumns(table).map((name) => `${quoteIdentifier(name)} = n.${quoteIdentifier(name)}`);
        return `UPDATE ${sql.own(table.destination.name)} x SET ${sets.join(', ')} FROM (${sql.select(sql.rows(resource, table, true, linked))}) n WHERE x.document_id = n.document_id`;
      }),
      ...tables.map((table) => sql.insert(table.destination, sql.rows(resource, table, true, linked))),
      ...(edges === null ? [] : [`${edges} ON CONFLICT (parent_document_id, child_document_id) DO NOTHING`]),
      sourceGuard(sql),
    ];
  });

/** What an overlaid record gets of a table: a descriptor keeps its own letter case. */
export const overlaidRows = (
  sql: CopySql,
  resource: PlannedResource,
  table: MappedTable,
  members: string,
): MappedRows => {
  const rows = sql.rows(resource, table, true, members);
  if (!resource.destination.isDescriptor) return rows;
  const isKept = (at: number): boolean => rows.columns[at] === 'uri' || spellingColumns.has(rows.columns[at] ?? '');
  return {
    from: rows.from,
    columns: rows.columns.filter((_, at) => !isKept(at)),
    expressions: rows.expressions.filter((_, at) => !isKept(at)),
  };
};

/** `SELECT id` of a chunk's overlaid records that are not yet what the source says. */
const differing = (sql: CopySql, resource: PlannedResource, members: string): string =>
  resource.tables
    .flatMap((table) => {
      const rows = overlaidRows(sql, resource, table, members);
      const owner = quoteIdentifier(documentColumn(table.destination));
      const list = rows.columns.map((name) => `x.${quoteIdentifier(name)}`).join(', ');
      const actual = `SELECT ${list} FROM ${members} JOIN ${sql.own(table.destination.name)} x ON x.${owner} = m.document_id`;
      const expected = sql.select(rows);
      return [
        `SELECT e.${owner} AS id FROM ((${expected}) EXCEPT ALL (${actual})) e`,
        `SELECT a.${owner} AS id FROM ((${actual}) EXCEPT ALL (${expected})) a`,
      ];
    })
    .join(' UNION ');

/**
 * `SELECT id` of records to be overlaid that are not there any more, or whose own members of the identity are not those of the source:
 * somebody has renamed them since they were found by their identity, here or there. What is named after another record and called
 * otherwise because that one is, is still the same.
 */
export const movedRecords = (sql: CopySql, resource: PlannedResource, members: string): string => {
  const gone = `SELECT m.document_id AS id FROM ${members} WHERE NOT EXISTS (SELECT 1 FROM ${sql.own('document')} d WHERE d.document_id = m.document_id)`;
  const [root] = resource.tables;
  if (root === undefined || !resource.destination.allowIdentityUpdates) return gone;
  const rows = sql.rows(resource, root, true, members);
  const different = identityColumns(resource.destination)
    .filter((name) => rows.columns.includes(name))
    .map((name) => `n.${quoteIdentifier(name)} IS DISTINCT FROM x.${quoteIdentifier(name)}`);
  return `${gone} UNION ALL SELECT n.document_id FROM (${sql.select(rows)}) n JOIN ${sql.own(root.destination.name)} x ON x.document_id = n.document_id WHERE ${different.join(' OR ')}`;
};

/** The statements that give overlaid records the content of the source, and keep what they were. */
export const overlayStatements = (sql: CopySql, resource: PlannedResource): readonly string[] =>
  sql.memo(`overlay ${resource.name}`, () => {
    const all = sql.membersWith('o');
    const [document, before, edge] = [sql.own('document'), sql.own('record_copy_before'), sql.own('reference_edge')];
    const changed = `(SELECT m.* FROM ${all} JOIN ${before} b ON b.job_id = $1 AND b.document_id = m.document_id AND b.table_name = 'document') m`;
    const own = resource.destination.isDescriptor ? [resource.destination.root] : resource.destination.tables;
    const mappedRoot = resource.tables.find((table) => table.source.kind === 'root');
    const collections = resource.tables.filter((table) => table.source.kind !== 'root');
    const sets = (table: MappedTable): string => {
      const { columns } = overlaidRows(sql, resource, table, all);
      return columns
        .slice(1)
        .map((name) => `${quoteIdentifier(name)} = n.${quoteIdentifier(name)}`)
        .join(', ');
    };
    const edges = sql.insertEdges(own, changed);
    return [
      `SELECT count(*) FROM (SELECT 1 FROM ${document} d JOIN ${all} ON m.document_id = d.document_id ORDER BY d.document_id FOR NO KEY UPDATE OF d) locked`,
      guard(sql, `SELECT count(*) FROM (${movedRecords(sql, resource, all)}) v`, overlaidMoved),
      `INSERT INTO ${before} (job_id, document_id, table_name, body) SELECT $1, d.document_id, 'document', to_jsonb(d) FROM (${differing(sql, resource, all)}) n JOIN ${document} d ON d.document_id = n.id`,
      ...own.map((table) => {
        const owner = quoteIdentifier(documentColumn(table));
        return `INSERT INTO ${before} (job_id, document_id, table_name, body) SELECT $1, x.${owner}, ${quoteLiteral(table.name)}, to_jsonb(x) FROM ${changed} JOIN ${sql.own(table.name)} x ON x.${owner} = m.document_id`;
      }),
      ...collections
        .filter((table) => table.source.parent?.kind === 'root')
        .map((table) => {
          const owner = quoteIdentifier(documentColumn(table.destination));
          return `DELETE FROM ${sql.own(table.destination.name)} x USING ${changed} WHERE x.${owner} = m.document_id`;
        }),
      ...(mappedRoot === undefined
        ? []
        : [
            `UPDATE ${sql.own(mappedRoot.destination.name)} x SET ${sets(mappedRoot)} FROM (${sql.select(overlaidRows(sql, resource, mappedRoot, changed))}) n WHERE x.document_id = n.document_id`,
          ]),
      ...collections.map((table) => sql.insert(table.destination, sql.rows(resource, table, true, changed))),
      `DELETE FROM ${edge} e USING ${changed} WHERE e.parent_document_id = m.document_id`,
      ...(edges === null ? [] : [edges]),
      `UPDATE ${document} d SET etag = d.etag + 1, last_modified_at = now() FROM ${changed} WHERE d.document_id = m.document_id`,
      sourceGuard(sql, all),
    ];
  });
