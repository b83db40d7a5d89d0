/**
 * The statements that build the identity map: what a round finds, what becomes of it, which chunks follow.
 *
 * - A round takes the records that the round before decided to write and adds what they refer to, and what depends on them by the
 *   policy's rules. Records that match, or are skipped, lead no further.
 * - Ids are drawn from the destination's sequence in the order in which records will be inserted, so they land side by side.
 */
import { documentColumn } from '../ddl/emit-ddl.ts';
import { quoteIdentifier, quoteLiteral } from '../derive/naming.ts';
import { type CopyPlan, type PlannedResource, targetsOf } from './compile-plan.ts';
import type { CopySql } from './copy-sql.ts';
import type { MappedTable } from './map-tables.ts';

const takenAction = (resource: PlannedResource): 'm' | 'c' | 's' | 'o' => {
  if (resource.mode === 'match') return 'm';
  switch (resource.onConflict) {
    case 'fail':
      return 'c';
    case 'skip':
      return 's';
    case 'overlay':
      return 'o';
  }
};

/** `(source key, own key, order, recompute, action when taken)` of every resource that travels. */
const keyRows = (sql: CopySql): string =>
  sql.plan.resources
    .map(
      (resource, order) =>
        `(${sql.sourceKey(resource.source.name)}::smallint, ${sql.ownKey(resource.destination.name)}::smallint, ${order}, ${String(resource.recompute)}, '${takenAction(resource)}'::"char")`,
    )
    .join(', ');

/** `(source key, own key, action when taken)`. */
export const takenActions = (sql: CopySql): string =>
  sql.plan.resources
    .map(
      (resource) =>
        `(${sql.sourceKey(resource.source.name)}::smallint, ${sql.ownKey(resource.destination.name)}::smallint, '${takenAction(resource)}'::"char")`,
    )
    .join(', ');

/** Where an expansion reads. */
export interface ExpansionScope {
  readonly table: (name: string) => string;
  readonly key: (resource: PlannedResource) => number;
  /** Condition on rows `t` of a collection whose rows are filtered; null to follow all of them. */
  readonly filter: (table: MappedTable) => string | null;
}

const columnSelects = (resource: PlannedResource, scope: ExpansionScope): readonly string[] =>
  resource.tables.flatMap((mapped) => {
    const owner = quoteIdentifier(documentColumn(mapped.source));
    const filter = scope.filter(mapped);
    return mapped.columns.flatMap(({ value }) => {
      if (value.kind !== 'reference' || value.optional || (value.column.reference !== null && resource.edgesComplete))
        return [];
      const column = `t.${quoteIdentifier(value.column.name)}`;
      return [
        `SELECT ${column} AS id FROM f JOIN ${scope.table(mapped.source.name)} t ON t.${owner} = f.source_document_id WHERE f.resource_key_id = ${scope.key(resource)} AND ${column} IS NOT NULL${filter === null ? '' : ` AND (${filter}) IS TRUE`}`,
      ];
    });
  });

/** Selects that find what records of the given resources lead to; `f(source_document_id, resource_key_id)` holds the records. */
export const expansionSelects = (
  plan: CopyPlan,
  resources: readonly PlannedResource[],
  scope: ExpansionScope,
): readonly string[] => {
  const complete = resources.filter((resource) => resource.edgesComplete && resource.source.references.length > 0);
  const byEdge =
    complete.length === 0
      ? []
      : [
          `SELECT e.child_document_id AS id FROM f JOIN ${scope.table('reference_edge')} e ON e.parent_document_id = f.source_document_id WHERE f.resource_key_id IN (${complete.map(scope.key).join(', ')})`,
        ];
  const dependents = plan.dependents.flatMap(({ table, column }) => {
    const targets = column.reference === null ? [] : targetsOf(plan.source, column.reference.target);
    const keys = resources.filter((item) => targets.includes(item.source)).map(scope.key);
    if (keys.length === 0) return [];
    return [
      `SELECT t.${quoteIdentifier(documentColumn(table))} AS id FROM f JOIN ${scope.table(table.name)} t ON t.${quoteIdentifier(column.name)} = f.source_document_id WHERE f.resource_key_id IN (${keys.join(', ')})`,
    ];
  });
  return [...byEdge, ...resources.flatMap((resource) => columnSelects(resource, scope)), ...dependents];
};

/** `SELECT id` of what round `$2` starts from: the selection, or what the records of the round before lead to. Null: nothing. */
export const roundIds = (sql: CopySql, resources: readonly PlannedResource[] | 'selection'): string | null => {
  if (resources === 'selection')
    return `SELECT source_document_id AS id FROM ${sql.own('record_copy_selection')} WHERE job_id = $1`;
  const selects = expansionSelects(sql.plan, resources, {
    table: (name) => sql.source(name),
    key: (resource) => sql.ownKey(resource.destination.name),
    filter: (table) => table.filter?.(sql.scope(table, null, 't')) ?? null,
  });
  return selects.length === 0
    ? null
    : `WITH f AS MATERIALIZED (SELECT source_document_id, resource_key_id FROM ${sql.own('record_copy_map')} WHERE job_id = $1 AND generation = $2::integer - 1 AND action IN ('i', 'o')) SELECT DISTINCT id FROM (${selects.join(' UNION ALL ')}) e`;
};

/** An id of the destination's own for a record that will be inserted. */
export const nextId = (sql: CopySql): string => `nextval(${quoteLiteral(sql.facts.idSequence)}::regclass)`;

/** Adds what `ids` finds to the map, as round `$2` and in batch `$3`. Records whose identity must be computed first are left pending. */
export const insertRound = (sql: CopySql, ids: string): string => {
  const map = sql.own('record_copy_map');
  return `INSERT INTO ${map} (job_id, source_document_id, document_id, resource_key_id, generation, batch, action, source_etag)
SELECT $1, q.id, CASE WHEN NOT q.recompute THEN coalesce(q.existing, ${nextId(sql)}) END, q.own_key, $2::smallint, $3::smallint,
  CASE WHEN q.recompute THEN 'p'::"char" WHEN q.existing IS NULL THEN 'i'::"char" ELSE q.taken END, q.etag
FROM (
  SELECT d.document_id AS id, d.etag, k.own_key, k.recompute, k.taken, x.document_id AS existing
  FROM (${ids}) n
  JOIN ${sql.source('document')} d ON d.document_id = n.id
  JOIN (VALUES ${keyRows(sql)}) k(source_key, own_key, place, recompute, taken) ON k.source_key = d.resource_key_id
  LEFT JOIN ${sql.source('referential_identity')} si ON NOT k.recompute AND si.document_id = d.document_id AND si.resource_key_id = d.resource_key_id
  LEFT JOIN ${sql.own('referential_identity')} x ON x.referential_id = si.referential_id AND x.resource_key_id = k.own_key
  WHERE NOT EXISTS (SELECT 1 FROM ${map} o WHERE o.job_id = $1 AND o.source_document_id = d.document_id)
  ORDER BY k.place, d.document_id
) q`;
};

/**
 * Decides about the pending records of a resource (`$2` its key), whose referential ids have been computed. Records that match and that
 * the policy gives one identity become one: the first is inserted, the others join it (`j`).
 */
export const resolvePending = (sql: CopySql, resource: PlannedResource): readonly string[] => {
  const map = sql.own('record_copy_map');
  const found = `FROM ${map} p LEFT JOIN ${sql.own('referential_identity')} x ON x.referential_id = p.referential_id AND x.resource_key_id = p.resource_key_id`;
  const pending = `p.job_id = $1 AND p.resource_key_id = $2 AND p.action = 'p'`;
  const decided = `SET document_id = coalesce(q.joined, q.existing, ${nextId(sql)}), action = CASE WHEN q.joined IS NOT NULL THEN 'j'::"char" WHEN q.existing IS NULL THEN 'i'::"char" ELSE '${takenAction(resource)}'::"char" END`;
  if (resource.mode === 'insert')
    return [
      `UPDATE ${map} m ${decided} FROM (SELECT p.source_document_id AS id, x.document_id AS existing, NULL::bigint AS joined ${found} WHERE ${pending} ORDER BY p.source_document_id) q WHERE m.job_id = $1 AND m.source_document_id = q.id`,
    ];
  const leader = (of: string): string =>
    `o.job_id = $1 AND o.resource_key_id = $2 AND o.referential_id = ${of}.referential_id`;
  const first = `SELECT DISTINCT ON (p.referential_id) p.source_document_id AS id, x.document_id AS existing, o.document_id AS joined ${found} LEFT JOIN ${map} o ON ${leader('p')} AND o.action = 'i' WHERE ${pending} ORDER BY p.referential_id, p.source_document_id`;
  return [
    `UPDATE ${map} m ${decided} FROM (SELECT * FROM (${first}) f ORDER BY f.id) q WHERE m.job_id = $1 AND m.source_document_id = q.id`,
    `UPDATE ${map} m SET document_id = o.document_id, action = CASE o.action WHEN 'i' THEN 'j'::"char" ELSE o.action END FROM ${map} o WHERE m.job_id = $1 AND m.resource_key_id = $2 AND m.action = 'p' AND ${leader('m')} AND o.action IN ('i', 'j', 'm')`,
  ];
};

/** Records of a subclass whose superclass identity another record of the destination has; `$2` the resource's key. */
export const takenAliases = (sql: CopySql, resource: PlannedResource): string | null => {
  const [source, destination] = [resource.source.alias, resource.destination.alias];
  if (source === null || destination === null) return null;
  return `SELECT m.source_document_id, x.document_id FROM ${sql.own('record_copy_map')} m
LEFT JOIN ${sql.source('referential_identity')} si ON si.document_id = m.source_document_id AND si.resource_key_id = ${sql.sourceKey(source.target)}
JOIN ${sql.own('referential_identity')} x ON x.referential_id = coalesce(m.alias_id, si.referential_id) AND x.resource_key_id = ${sql.ownKey(destination.target)} AND x.document_id <> m.document_id
WHERE m.job_id = $1 AND m.resource_key_id = $2 AND m.action = 'i'`;
};

/** Chunks of the records of batch `$3`: runs of `$2` records of one resource by source id, numbered on from what there is. */
export const insertChunks = (sql: CopySql): string => {
  const levels = sql.plan.resources
    .map(
      (resource) =>
        `(${sql.ownKey(resource.destination.name)}::smallint, ${resource.level}, ${String(hasDeferred(resource))})`,
    )
    .join(', ');
  const after = Math.max(0, ...sql.plan.resources.map((resource) => resource.level)) + 1;
  const chunk = sql.own('record_copy_chunk');
  return `INSERT INTO ${chunk} (job_id, chunk, level, kind, resource_key_id, batch, first_id, last_id, documents)
SELECT $1, coalesce((SELECT max(chunk) + 1 FROM ${chunk} WHERE job_id = $1), 0) + row_number() OVER (ORDER BY y.level, y.key, y.first) - 1, y.level, y.kind, y.key, $3::smallint, y.first, y.last, y.n
FROM (
  SELECT k.key, w.kind, CASE w.kind WHEN 'records' THEN k.level WHEN 'links' THEN ${after} ELSE ${after + 1} END AS level, p.first, p.last, p.n
  FROM (
    SELECT resource_key_id AS key, action, min(source_document_id) AS first, max(source_document_id) AS last, count(*)::integer AS n
    FROM (
      SELECT m.resource_key_id, m.action, m.source_document_id, (row_number() OVER (PARTITION BY m.resource_key_id, m.action ORDER BY m.source_document_id) - 1) / $2::bigint AS part
      FROM ${sql.own('record_copy_map')} m WHERE m.job_id = $1 AND m.batch = $3::smallint AND m.action IN ('i', 'o')
    ) n GROUP BY resource_key_id, action, part
  ) p
  JOIN (VALUES ${levels}) k(key, level, deferred) ON k.key = p.key
  JOIN (VALUES ('records', 'i'::"char"), ('links', 'i'::"char"), ('overlay', 'o'::"char")) w(kind, action) ON w.action = p.action AND (w.kind <> 'links' OR k.deferred)
) y`;
};

/** Something of the resource is written when all levels are done. */
export const hasDeferred = (resource: PlannedResource): boolean =>
  resource.tables.some(
    (table) => table.deferred || table.columns.some((item) => item.value.kind === 'reference' && item.value.deferred),
  );
