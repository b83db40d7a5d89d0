/**
 * Compares what a set of documents should have with what they have: edges, referential ids, descriptor uris, cached JSON, place.
 *
 * - The columns are the truth. Edges and ids follow from them; nothing else may be in those tables.
 * - Set-based: a handful of statements per resource, whatever the number of documents.
 */
import type { Resource } from '../derive/model.ts';
import { documentColumn } from '../ddl/emit-ddl.ts';
import { quoteIdentifier, quoteLiteral } from '../derive/naming.ts';
import { resourceId } from '../derive/model.ts';
import { expectedEdgesSql } from './expected-edges.ts';
import { holdersOf } from './rightful-holders.ts';
import { computeIdentities } from '../identity/recompute-identities.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import type { RecordTransaction } from '../session.ts';
import type { StoreContext } from '../store-context.ts';

export type DamageKind =
  | 'edge-missing'
  | 'edge-extra'
  | 'edge-flag'
  | 'identity-missing'
  | 'identity-wrong'
  | 'identity-extra'
  | 'identity-incomplete'
  | 'identity-duplicate'
  | 'descriptor-uri'
  | 'cache-wrong'
  | 'root-missing'
  | 'row-extra'
  | 'root-of-other-resource'
  | 'resource-unknown'
  | 'descriptor-target'
  | 'abstract-target'
  | 'closure-missing'
  | 'closure-extra';

export interface Damage {
  readonly kind: DamageKind;
  readonly documentId: number;
  readonly resource: string;
  /** The other document of an edge, the id that is wrong, the column: whatever names the place. Never a value of the document. */
  readonly detail: string;
  readonly repairable: boolean;
}

const auditEdges = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  ids: string,
): Promise<Damage[]> => {
  const expected = expectedEdgesSql(ctx, resource);
  const { rows } = await tx.query(
    `SELECT coalesce(x.parent, e.parent_document_id) AS parent, coalesce(x.child, e.child_document_id) AS child, x.parent IS NULL AS extra, e.parent_document_id IS NULL AS missing
     FROM (${expected}) x FULL JOIN (SELECT * FROM ${ctx.writes.qualified('reference_edge')} WHERE parent_document_id = ANY($1::bigint[])) e
     ON e.parent_document_id = x.parent AND e.child_document_id = x.child
     WHERE x.parent IS NULL OR e.parent_document_id IS NULL OR x.ident <> e.is_identity_component`,
    [ids],
  );
  return rows.map((row) => ({
    kind: row['extra'] === true ? 'edge-extra' : row['missing'] === true ? 'edge-missing' : 'edge-flag',
    documentId: Number(row['parent']),
    resource: resource.endpoint,
    detail: `child ${String(row['child'])}`,
    repairable: true,
  }));
};

const auditIdentities = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  documentIds: readonly number[],
  ids: string,
): Promise<Damage[]> => {
  const expected = await computeIdentities(ctx, tx, resource, documentIds);
  const { rows } = await tx.query(
    `SELECT referential_id, document_id, resource_key_id FROM ${ctx.writes.qualified('referential_identity')} WHERE document_id = ANY($1::bigint[])`,
    [ids],
  );
  const actual = new Map(
    rows.map((row) => [
      `${String(row['document_id'])} ${String(row['resource_key_id'])}`,
      String(row['referential_id']),
    ]),
  );
  const damages: Damage[] = [];
  const report = (kind: DamageKind, documentId: number, detail: string, repairable = true): void => {
    damages.push({ kind, documentId, resource: resource.endpoint, detail, repairable });
  };
  const lacking = expected.filter(
    ({ referentialId, documentId, resourceKeyId }) => actual.get(`${documentId} ${resourceKeyId}`) !== referentialId,
  );
  const { rightful } = await holdersOf(
    ctx,
    tx,
    lacking.flatMap((entry) => (entry.referentialId === null ? [] : [entry.referentialId])),
  );
  for (const { referentialId, documentId, resourceKeyId } of lacking) {
    const detail = `resource key ${resourceKeyId}`;
    const holder = referentialId === null ? undefined : rightful.get(referentialId);
    if (referentialId === null) report('identity-incomplete', documentId, detail, false);
    else if (holder !== undefined && holder !== documentId)
      report('identity-duplicate', documentId, `the same as document ${holder}`, false);
    else
      report(actual.has(`${documentId} ${resourceKeyId}`) ? 'identity-wrong' : 'identity-missing', documentId, detail);
  }
  for (const { documentId, resourceKeyId } of expected) actual.delete(`${documentId} ${resourceKeyId}`);
  for (const key of actual.keys()) {
    const [documentId = '', resourceKeyId = ''] = key.split(' ');
    report('identity-extra', Number(documentId), `resource key ${resourceKeyId}`);
  }
  return damages;
};

const auditDescriptors = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  ids: string,
): Promise<Damage[]> => {
  if (!resource.isDescriptor) return [];
  const { rows } = await tx.query(
    `SELECT document_id FROM ${ctx.writes.qualified('descriptor')} WHERE document_id = ANY($1::bigint[]) AND (uri <> namespace || '#' || code_value OR resource_key_id <> $2 OR discriminator <> $3)`,
    [ids, ctx.resourceKey(resource.name), resource.name.resourceName],
  );
  return rows.map((row) => ({
    kind: 'descriptor-uri',
    documentId: Number(row['document_id']),
    resource: resource.endpoint,
    detail: 'uri',
    repairable: true,
  }));
};

const auditCache = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  ids: string,
): Promise<Damage[]> => {
  const { rows } = await tx.query(
    `SELECT d.document_id ${ctx.reads.from(resource)} JOIN ${ctx.writes.qualified('document_cache')} k ON k.document_id = d.document_id AND k.etag = d.etag WHERE d.document_id = ANY($1::bigint[]) AND NOT EXISTS (SELECT 1 FROM ${ctx.writes.qualified('etag_bump')} b WHERE b.document_id = d.document_id) AND k.body <> ${ctx.reads.body(resource)}`,
    [ids],
  );
  return rows.map((row) => ({
    kind: 'cache-wrong',
    documentId: Number(row['document_id']),
    resource: resource.endpoint,
    detail: 'body',
    repairable: true,
  }));
};

const auditRoots = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  ids: string,
): Promise<Damage[]> => {
  const { rows } = await tx.query(
    `SELECT d.document_id FROM ${ctx.writes.qualified('document')} d WHERE d.document_id = ANY($1::bigint[]) AND NOT EXISTS (SELECT 1 FROM ${ctx.writes.qualified(resource.root.name)} t WHERE t.document_id = d.document_id)`,
    [ids],
  );
  return rows.map((row) => ({
    kind: 'root-missing',
    documentId: Number(row['document_id']),
    resource: resource.endpoint,
    detail: resource.root.name,
    repairable: false,
  }));
};

/** References to abstract resources are bound to `document` only; their targets must be of a subclass. */
const auditAbstractTargets = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  ids: string,
): Promise<Damage[]> => {
  const damages: Damage[] = [];
  for (const table of resource.tables) {
    for (const column of table.columns) {
      const view = column.reference === null ? undefined : ctx.model.abstracts.get(resourceId(column.reference.target));
      if (view === undefined) continue;
      const owner = quoteIdentifier(documentColumn(table));
      const keys = view.subclasses.map((subclass) => ctx.resourceKey(subclass.name));
      const { rows } = await tx.query(
        `SELECT DISTINCT c.${owner} AS document_id FROM ${ctx.writes.qualified(table.name)} c JOIN ${ctx.writes.qualified('document')} d ON d.document_id = c.${quoteIdentifier(column.name)} WHERE c.${owner} = ANY($1::bigint[]) AND NOT d.resource_key_id = ANY($2::smallint[])`,
        [ids, keys],
      );
      for (const row of rows) {
        damages.push({
          kind: 'abstract-target',
          documentId: Number(row['document_id']),
          resource: resource.endpoint,
          detail: `${table.name}.${column.name}`,
          repairable: false,
        });
      }
    }
  }
  return damages;
};

/** Descriptor columns are bound to the shared table only; what they refer to must be of the type that the schema names. */
const auditDescriptorTargets = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  ids: string,
): Promise<Damage[]> => {
  const sql = ctx.memo(`descriptor targets ${resource.projectEndpoint}/${resource.endpoint}`, () =>
    resource.tables
      .flatMap((table) =>
        table.columns.flatMap((column) => {
          if (column.descriptor === null) return [];
          const owner = quoteIdentifier(documentColumn(table));
          return [
            `SELECT DISTINCT c.${owner} AS document_id, ${quoteLiteral(`${table.name}.${column.name}`)} AS place FROM ${ctx.writes.qualified(table.name)} c JOIN ${ctx.writes.qualified('document')} d ON d.document_id = c.${quoteIdentifier(column.name)} WHERE c.${owner} = ANY($1::bigint[]) AND d.resource_key_id <> ${ctx.resourceKey(column.descriptor)}`,
          ];
        }),
      )
      .join(' UNION ALL '),
  );
  if (sql === '') return [];
  const { rows } = await tx.query(sql, [ids]);
  return rows.map((row) => ({
    kind: 'descriptor-target',
    documentId: Number(row['document_id']),
    resource: resource.endpoint,
    detail: String(row['place']),
    repairable: false,
  }));
};

/** Everything that is wrong with documents of one resource. */
export const auditResourceDocuments = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  documentIds: readonly number[],
): Promise<readonly Damage[]> => {
  const ids = arrayLiteral(documentIds);
  return [
    ...(await auditRoots(ctx, tx, resource, ids)),
    ...(await auditEdges(ctx, tx, resource, ids)),
    ...(await auditIdentities(ctx, tx, resource, documentIds, ids)),
    ...(await auditDescriptors(ctx, tx, resource, ids)),
    ...(await auditAbstractTargets(ctx, tx, resource, ids)),
    ...(await auditDescriptorTargets(ctx, tx, resource, ids)),
    ...(await auditCache(ctx, tx, resource, ids)),
  ];
};
