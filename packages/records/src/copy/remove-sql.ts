/**
 * The statements of a rollback: what must stay and why, and what takes the rest away. `$1` is the job; `$2` to `$5` bound a chunk.
 *
 * - Kept records get the action `k` in the map. Whatever they refer to is kept too, so nothing that stays loses what it stands on.
 */
import { documentColumn } from '../ddl/emit-ddl.ts';
import type { Resource } from '../derive/model.ts';
import { quoteIdentifier, quoteLiteral } from '../derive/naming.ts';
import type { PlannedResource } from './compile-plan.ts';
import type { CopySql } from './copy-sql.ts';

/** This job's records that are there: `m`, with their provenance `p` and document `d`. */
const written = (sql: CopySql): string =>
  `${sql.own('record_copy_map')} m JOIN ${sql.own('record_copy_provenance')} p ON p.document_id = m.document_id AND p.job_id = $1 JOIN ${sql.own('document')} d ON d.document_id = m.document_id`;

const foreignParent = (sql: CopySql, column: string): string =>
  `NOT EXISTS (SELECT 1 FROM ${sql.own('record_copy_provenance')} o WHERE o.document_id = ${column} AND o.job_id = $1)`;

export type KeepReason = 'changed' | 'referenced' | 'needed';

/** Marks records that somebody has changed since. */
export const keepChanged = (sql: CopySql): string =>
  `UPDATE ${sql.own('record_copy_map')} u SET action = 'k' FROM ${written(sql)} WHERE m.job_id = $1 AND m.action = 'i' AND d.etag <> p.etag AND u.job_id = $1 AND u.source_document_id = m.source_document_id RETURNING u.resource_key_id, u.source_document_id, u.document_id`;

/** Marks records that others than this job's refer to. */
export const keepReferenced = (sql: CopySql): string =>
  `UPDATE ${sql.own('record_copy_map')} u SET action = 'k' FROM ${written(sql)} WHERE m.job_id = $1 AND m.action = 'i' AND EXISTS (SELECT 1 FROM ${sql.own('reference_edge')} e WHERE e.child_document_id = m.document_id AND e.parent_document_id <> m.document_id AND ${foreignParent(sql, 'e.parent_document_id')}) AND u.job_id = $1 AND u.source_document_id = m.source_document_id RETURNING u.resource_key_id, u.source_document_id, u.document_id`;

/** Columns of a destination that hold descriptors of a resource. */
const descriptorColumns = (
  resources: Iterable<Resource>,
  descriptor: Resource,
): readonly (readonly [table: string, owner: string, column: string])[] =>
  [...resources].flatMap((resource) =>
    resource.tables.flatMap((table) =>
      table.columns
        .filter(
          (column) =>
            column.descriptor?.resourceName === descriptor.name.resourceName &&
            column.descriptor.projectName === descriptor.name.projectName,
        )
        .map((column) => [table.name, documentColumn(table), column.name] as const),
    ),
  );

/** Marks descriptors (`$2` their key) that others' records use; they have no edges. Null when nothing can. */
export const keepUsedDescriptors = (sql: CopySql, resource: PlannedResource): string | null => {
  const columns = descriptorColumns(sql.plan.destination.resources.values(), resource.destination);
  if (columns.length === 0) return null;
  const uses = columns.map(
    ([table, owner, column]) =>
      `EXISTS (SELECT 1 FROM ${sql.own(table)} x WHERE x.${quoteIdentifier(column)} = m.document_id AND ${foreignParent(sql, `x.${quoteIdentifier(owner)}`)})`,
  );
  return `UPDATE ${sql.own('record_copy_map')} u SET action = 'k' FROM ${written(sql)} WHERE m.job_id = $1 AND m.resource_key_id = $2 AND m.action = 'i' AND (${uses.join(' OR ')}) AND u.job_id = $1 AND u.source_document_id = m.source_document_id RETURNING u.resource_key_id, u.source_document_id, u.document_id`;
};

/** `SELECT id` of this job's records that records `$2` (ids) refer to. */
export const neededBy = (sql: CopySql): string => {
  const descriptors = sql.plan.resources
    .filter((resource) => resource.destination.isDescriptor)
    .flatMap((resource) => descriptorColumns(sql.plan.destination.resources.values(), resource.destination));
  const used = descriptors.map(
    ([table, owner, column]) =>
      `SELECT x.${quoteIdentifier(column)} AS id FROM k JOIN ${sql.own(table)} x ON x.${quoteIdentifier(owner)} = k.id WHERE x.${quoteIdentifier(column)} IS NOT NULL`,
  );
  const needed = [
    `SELECT e.child_document_id AS id FROM k JOIN ${sql.own('reference_edge')} e ON e.parent_document_id = k.id`,
    ...used,
  ];
  return `WITH k(id) AS MATERIALIZED (SELECT unnest($2::bigint[])) SELECT DISTINCT n.id FROM (${needed.join(' UNION ALL ')}) n JOIN ${sql.own('record_copy_provenance')} p ON p.document_id = n.id AND p.job_id = $1`;
};

/** Marks records `$2` (ids). */
export const keepRecords = (sql: CopySql): string =>
  `UPDATE ${sql.own('record_copy_map')} u SET action = 'k' FROM unnest($2::bigint[]) n(id) WHERE u.job_id = $1 AND u.action = 'i' AND u.document_id = n.id RETURNING u.resource_key_id, u.source_document_id, u.document_id`;

/** Locks a chunk's records that are there and unchanged, in ascending order, and returns their ids. */
export const lockRecords = (sql: CopySql): string =>
  `SELECT m.document_id FROM ${sql.own('record_copy_map')} m JOIN ${sql.own('record_copy_provenance')} p ON p.document_id = m.document_id AND p.job_id = $1 JOIN ${sql.own('document')} d ON d.document_id = m.document_id WHERE m.job_id = $1 AND m.source_document_id BETWEEN $2 AND $3 AND m.resource_key_id = $4 AND m.batch = $5 AND m.action = 'i' AND d.etag = p.etag ORDER BY d.document_id FOR UPDATE OF d`;

/** The statements that delete records `$1` (ids): children before parents, then what hangs on the document. */
export const deleteRecords = (sql: CopySql, resource: PlannedResource): readonly string[] =>
  sql.memo(`delete ${resource.name}`, () => {
    const tables = [...resource.destination.tables].reverse();
    return [
      ...tables.map(
        (table) =>
          `DELETE FROM ${sql.own(table.name)} WHERE ${quoteIdentifier(documentColumn(table))} = ANY($1::bigint[])`,
      ),
      `DELETE FROM ${sql.own('reference_edge')} WHERE parent_document_id = ANY($1::bigint[])`,
      `DELETE FROM ${sql.own('referential_identity')} WHERE document_id = ANY($1::bigint[])`,
      `DELETE FROM ${sql.own('document')} WHERE document_id = ANY($1::bigint[])`,
      `DELETE FROM ${sql.own('record_copy_provenance')} WHERE document_id = ANY($1::bigint[])`,
    ];
  });

/**
 * The statements that undo what a chunk's records (`$2` the ids that are locked, `$1` the job) refer to within cycles beyond the ids
 * themselves, so that chunks can be deleted in any order.
 */
export const unlinkRecords = (sql: CopySql, resource: PlannedResource): readonly string[] =>
  sql.memo(`unlink ${resource.name}`, () => {
    const [root] = resource.tables;
    const columns = (root?.columns ?? []).flatMap((item) =>
      item.value.kind === 'reference' && item.value.deferred ? [quoteIdentifier(item.destination.name)] : [],
    );
    const tables = resource.tables.filter((table) => table.deferred && table.source.parent?.kind === 'root');
    const ids = '$2::bigint[]';
    const beyond = (column: string): string =>
      `x.${column} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM unnest(${ids}) z(id) WHERE z.id = x.${column})`;
    const work = [
      ...(root === undefined
        ? []
        : columns.map(
            (column) =>
              `SELECT x.document_id AS id FROM ${sql.own(root.destination.name)} x WHERE x.document_id = ANY(${ids}) AND ${beyond(column)}`,
          )),
      ...tables.map(
        (table) =>
          `SELECT x.root_document_id AS id FROM ${sql.own(table.destination.name)} x WHERE x.root_document_id = ANY(${ids})`,
      ),
    ];
    if (work.length === 0) return [];
    const touched = `WITH w AS MATERIALIZED (SELECT DISTINCT id FROM (${work.join(' UNION ALL ')}) s), b AS (UPDATE ${sql.own('document')} d SET etag = d.etag + 1, last_modified_at = now() FROM w WHERE d.document_id = w.id RETURNING d.document_id) UPDATE ${sql.own('record_copy_provenance')} p SET etag = p.etag + 1 FROM b WHERE p.document_id = b.document_id AND p.job_id = $1`;
    const gone = `DELETE FROM ${sql.own('reference_edge')} e WHERE e.parent_document_id = ANY(${ids}) AND NOT EXISTS (SELECT 1 FROM (${expectedOf(sql, resource, ids)}) x WHERE x.parent = e.parent_document_id AND x.child = e.child_document_id) AND $1::integer IS NOT NULL`;
    return [
      touched,
      ...(root === undefined
        ? []
        : columns.map(
            (column) =>
              `UPDATE ${sql.own(root.destination.name)} x SET ${column} = NULL WHERE x.document_id = ANY(${ids}) AND ${beyond(column)} AND $1::integer IS NOT NULL`,
          )),
      ...tables.map(
        (table) =>
          `DELETE FROM ${sql.own(table.destination.name)} x WHERE x.root_document_id = ANY(${ids}) AND $1::integer IS NOT NULL`,
      ),
      gone,
    ];
  });

const expectedOf = (sql: CopySql, resource: PlannedResource, ids: string): string => {
  const selects = resource.destination.tables.flatMap((table) =>
    table.columns
      .filter((column) => column.reference !== null)
      .map((column) => {
        const owner = quoteIdentifier(documentColumn(table));
        return `SELECT x.${owner} AS parent, x.${quoteIdentifier(column.name)} AS child FROM ${sql.own(table.name)} x WHERE x.${owner} = ANY(${ids}) AND x.${quoteIdentifier(column.name)} IS NOT NULL`;
      }),
  );
  return selects.join(' UNION ALL ');
};

/** Overlaid records that nobody changed since, locked; `before` is in `record_copy_before`. */
export const lockOverlaid = (sql: CopySql): string =>
  `SELECT d.document_id FROM ${sql.own('record_copy_before')} b JOIN ${sql.own('document')} d ON d.document_id = b.document_id JOIN ${sql.own('record_copy_map')} m ON m.job_id = $1 AND m.document_id = b.document_id AND m.resource_key_id = $4 AND m.batch = $5 AND m.source_document_id BETWEEN $2 AND $3 AND m.action = 'o' WHERE b.job_id = $1 AND b.table_name = 'document' AND d.etag = (b.body->>'etag')::bigint + 1 ORDER BY d.document_id FOR UPDATE OF d`;

/** The statements that give overlaid records `$2` (ids) of job `$1` what they were. */
export const restoreRecords = (sql: CopySql, resource: PlannedResource): readonly string[] =>
  sql.memo(`restore ${resource.name}`, () => {
    const before = sql.own('record_copy_before');
    const own = resource.destination.isDescriptor ? [resource.destination.root] : resource.destination.tables;
    const [root, ...collections] = own;
    if (root === undefined) return [];
    const columns = root.columns.map((column) => quoteIdentifier(column.name));
    const kept = (table: string): string =>
      `SELECT r.* FROM ${before} b, jsonb_populate_record(NULL::${sql.own(table)}, b.body) r WHERE b.job_id = $1 AND b.document_id = ANY($2::bigint[]) AND b.table_name = ${quoteLiteral(table)}`;
    const edges = resource.destination.tables.flatMap((table) =>
      table.columns
        .filter((column) => column.reference !== null)
        .map((column) => {
          const owner = quoteIdentifier(documentColumn(table));
          return `SELECT x.${owner} AS parent, x.${quoteIdentifier(column.name)} AS child, ${String(column.reference?.isIdentity === true)} AS ident FROM ${sql.own(table.name)} x WHERE x.${owner} = ANY($2::bigint[]) AND x.${quoteIdentifier(column.name)} IS NOT NULL`;
        }),
    );
    const job = 'AND $1::integer IS NOT NULL';
    return [
      ...collections
        .filter((table) => table.parent?.kind === 'root')
        .map((table) => `DELETE FROM ${sql.own(table.name)} WHERE root_document_id = ANY($2::bigint[]) ${job}`),
      `UPDATE ${sql.own(root.name)} x SET ${columns.map((name) => `${name} = r.${name}`).join(', ')} FROM (${kept(root.name)}) r WHERE x.document_id = r.document_id`,
      ...collections.map((table) => `INSERT INTO ${sql.own(table.name)} ${kept(table.name)}`),
      `DELETE FROM ${sql.own('reference_edge')} WHERE parent_document_id = ANY($2::bigint[]) ${job}`,
      ...(edges.length === 0
        ? []
        : [
            `INSERT INTO ${sql.own('reference_edge')} (parent_document_id, child_document_id, is_identity_component) SELECT parent, child, bool_or(ident) FROM (${edges.join(' UNION ALL ')}) e WHERE $1::integer IS NOT NULL GROUP BY parent, child`,
          ]),
      `UPDATE ${sql.own('document')} SET etag = etag + 1, last_modified_at = now() WHERE document_id = ANY($2::bigint[]) ${job}`,
      `DELETE FROM ${before} WHERE job_id = $1 AND document_id = ANY($2::bigint[])`,
    ];
  });
