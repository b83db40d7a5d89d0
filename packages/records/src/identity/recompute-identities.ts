/**
 * Referential ids as they follow from the columns: one statement per resource reads the identity texts of all its documents, the
 * ids are hashed here, one statement writes those that differ.
 */
import type { Resource } from '../derive/model.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import type { RecordTransaction } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import { uuidV5 } from './referential-id.ts';

export interface ComputedIdentity {
  readonly referentialId: string;
  readonly documentId: number;
  readonly resourceKeyId: number;
}

/** Computes the ids (and superclass ids) that documents of one resource should have. */
export const computeIdentities = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  documentIds: readonly number[],
): Promise<readonly ComputedIdentity[]> => {
  const sql = ctx.memo(`identity ${resource.projectEndpoint}/${resource.endpoint}`, () => {
    const own = ctx.reads.identity(resource, 'own');
    const alias = resource.alias === null ? null : ctx.reads.identity(resource, 'alias');
    return `SELECT t.document_id, ${own.text} AS own, ${alias === null ? 'NULL' : alias.text} AS alias FROM ${ctx.writes.qualified(resource.root.name)} t ${own.joins} ${alias?.joins ?? ''} WHERE t.document_id = ANY($1::bigint[])`;
  });
  const { rows } = await tx.query(sql, [arrayLiteral(documentIds)]);
  const prefix = `${resource.name.projectName}${resource.name.resourceName}`;
  return rows.flatMap((row) => {
    const documentId = Number(row['document_id']);
    const own = {
      referentialId: uuidV5(`${prefix}${String(row['own'])}`),
      documentId,
      resourceKeyId: ctx.resourceKey(resource.name),
    };
    if (resource.alias === null) return [own];
    const { target } = resource.alias;
    const aliasId = uuidV5(`${target.projectName}${target.resourceName}${String(row['alias'])}`);
    return [own, { referentialId: aliasId, documentId, resourceKeyId: ctx.resourceKey(target) }];
  });
};

/** Rewrites the referential ids of documents from their columns; returns how many rows changed. */
export const recomputeIdentities = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  members: ReadonlyMap<number, Resource>,
): Promise<number> => {
  const byResource = Map.groupBy(members.keys(), (id) => members.get(id));
  let changed = 0;
  for (const [resource, documentIds] of byResource) {
    if (resource === undefined) continue;
    const statement = ctx.writes.updateIdentities(await computeIdentities(ctx, tx, resource, documentIds));
    const { rowCount } = await tx.query(statement.text, statement.values);
    changed += rowCount ?? 0;
  }
  return changed;
};
