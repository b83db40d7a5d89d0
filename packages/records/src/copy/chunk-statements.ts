/**
 * The statements that write one chunk, in their order: documents, identities, rows with parents before children, edges, provenance.
 *
 * - Edges are read back from the rows that were just written, so they cannot disagree with the foreign keys.
 * - The last statements look again at what was read without locks: the source's records are as they were mapped, and what the
 *   identities of the chunk contain is still called so in the destination.
 */
import { quoteIdentifier } from '../derive/naming.ts';
import { resourceId } from '../derive/model.ts';
import type { PlannedResource } from './compile-plan.ts';
import { type CopySql, identityReferences } from './copy-sql.ts';

/** What `records_guard` says when a record of the source has changed or gone since it was mapped. */
export const sourceChanged = 'copy.source';
/** ... when a record whose identity is part of a copied one has got another name in the destination. */
export const identityMoved = 'copy.identity';

/** ... when a record that is to be overlaid is gone from the destination, or is another one by now. */
export const overlaidMoved = 'copy.overlaid';

const newUuid = (sql: CopySql): string =>
  sql.facts.hasUuidV7
    ? 'uuidv7()'
    : `encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid`;

const insertDocuments = (sql: CopySql): string =>
  `INSERT INTO ${sql.own('document')} (document_id, document_uuid, resource_key_id) SELECT m.document_id, ${newUuid(sql)}, $4::smallint FROM ${sql.members} ORDER BY m.document_id`;

/** `SELECT referential_id, document_id, resource_key_id` of records, as the source has them or as they were computed. */
export const identityRows = (sql: CopySql, resource: PlannedResource, members: string): string => {
  const { alias } = resource.source;
  const own = sql.ownKey(resource.destination.name);
  const superclass = resource.destination.alias === null ? null : sql.ownKey(resource.destination.alias.target);
  if (resource.recompute) {
    const aliases =
      superclass === null ? '' : ` UNION ALL SELECT m.alias_id, m.document_id, ${superclass} FROM ${members}`;
    return `SELECT m.referential_id, m.document_id, ${own} AS resource_key_id FROM ${members}${aliases}`;
  }
  const keys = [[sql.sourceKey(resource.source.name), own]];
  if (alias !== null && superclass !== null) keys.push([sql.sourceKey(alias.target), superclass]);
  return `SELECT i.referential_id, m.document_id, k.own_key AS resource_key_id FROM ${members} JOIN ${sql.source('referential_identity')} i ON i.document_id = m.source_document_id JOIN (VALUES ${keys.map(([from, to]) => `(${String(from)}, ${String(to)})`).join(', ')}) k(source_key, own_key) ON k.source_key = i.resource_key_id`;
};

const insertProvenance = (sql: CopySql): string =>
  `INSERT INTO ${sql.own('record_copy_provenance')} (document_id, job_id, source_document_uuid, etag) SELECT m.document_id, $1, d.document_uuid, 1 FROM ${sql.members} JOIN ${sql.source('document')} d ON d.document_id = m.source_document_id`;

export const guard = (sql: CopySql, count: string, what: string): string =>
  `SELECT ${sql.own('records_guard')}((${count}), 0, '${what}')`;

/** `source_etag` of a record that was written, and is gone from the source while its links are still to be set: there are none. */
export const goneFromSource = -1;

export const sourceGuard = (sql: CopySql, members = sql.members): string =>
  guard(
    sql,
    `SELECT count(*) FROM ${members} LEFT JOIN ${sql.source('document')} d ON d.document_id = m.source_document_id AND d.etag = m.source_etag WHERE d.document_id IS NULL AND m.source_etag <> ${goneFromSource}`,
    sourceChanged,
  );

/** Compares the referential ids of what identities contain with those the copied ones were made of; null where none can change. */
const identityGuard = (sql: CopySql, resource: PlannedResource): string | null => {
  const counts = identityReferences(resource.source).flatMap((column) => {
    const target = column.reference?.target;
    if (target === undefined || column.reference?.isMutable !== true) return [];
    const reference = `t.${quoteIdentifier(column.name)}`;
    const planned = sql.plan.byName.get(resourceId(target));
    const [from, to] = [sql.sourceKey(target), sql.ownKey(target)];
    // A superclass id of a renamed record is in the map as its alias.
    const computed = planned === undefined ? 'r.alias_id' : 'r.referential_id';
    return [
      `SELECT count(*) FROM ${sql.members} JOIN ${sql.source(resource.source.root.name)} t ON t.document_id = m.source_document_id ${sql.mapJoin('r', reference)} LEFT JOIN ${sql.source('referential_identity')} si ON si.document_id = ${reference} AND si.resource_key_id = ${from} LEFT JOIN ${sql.own('referential_identity')} x ON x.document_id = r.document_id AND x.resource_key_id = ${to} WHERE ${reference} IS NOT NULL AND x.referential_id IS DISTINCT FROM coalesce(${computed}, si.referential_id)`,
    ];
  });
  return counts.length === 0 ? null : guard(sql, counts.map((count) => `(${count})`).join(' + '), identityMoved);
};

export interface ChunkStatement {
  readonly text: string;
  /** Rows it must write, as a multiple of the chunk's records; null when that cannot be told. */
  readonly rowsPerRecord: number | null;
}

/**
 * The statements of a chunk of new records. `named`: with their identities, and a look at whether what those contain is still called
 * so; without, the caller computes them from the rows that were written.
 */
export const recordStatements = (sql: CopySql, resource: PlannedResource, named: boolean): readonly ChunkStatement[] =>
  sql.memo(`records ${resource.name} ${String(named)}`, () => {
    const tables = resource.tables.filter((table) => !table.deferred);
    const edges = sql.insertEdges(
      tables.map((table) => table.destination),
      sql.members,
    );
    const identityCheck = named ? identityGuard(sql, resource) : null;
    const identities: ChunkStatement = {
      text: `INSERT INTO ${sql.own('referential_identity')} (referential_id, document_id, resource_key_id) ${identityRows(sql, resource, sql.members)}`,
      rowsPerRecord: resource.destination.alias === null ? 1 : 2,
    };
    const statements: ChunkStatement[] = [
      { text: insertDocuments(sql), rowsPerRecord: 1 },
      ...(named ? [identities] : []),
      ...tables.map((table) => ({
        text: sql.insert(table.destination, sql.rows(resource, table, false)),
        rowsPerRecord: table.source.kind === 'root' ? 1 : null,
      })),
    ];
    if (edges !== null) statements.push({ text: edges, rowsPerRecord: null });
    statements.push({ text: insertProvenance(sql), rowsPerRecord: 1 });
    if (identityCheck !== null) statements.push({ text: identityCheck, rowsPerRecord: null });
    statements.push({ text: sourceGuard(sql), rowsPerRecord: null });
    return statements;
  });
