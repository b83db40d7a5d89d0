/**
 * Rebuilds what follows from the columns: edges, referential ids, descriptor uris; drops cached JSON that is wrong.
 *
 * - Documents are locked ascending and looked at again after the lock, so a repair never undoes what a writer did meanwhile.
 */
import { expectedEdgesOf } from './expected-edges.ts';
import type { Resource } from '../derive/model.ts';
import { computeIdentities, knownIdentities } from '../identity/recompute-identities.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import type { RecordTransaction } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import { bumpEtags } from '../identity/deferred-bumps.ts';
import { rightfulHolders } from './rightful-holders.ts';

/** Repairs documents of one resource in the caller's transaction; etags of documents whose JSON could have been wrong are bumped. */
export const repairResourceDocuments = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  documentIds: readonly number[],
): Promise<void> => {
  const ids = [...documentIds].sort((a, b) => a - b);
  const list = arrayLiteral(ids);
  const q = (name: string): string => ctx.writes.qualified(name);
  await tx.query(
    `SELECT count(*) FROM (SELECT 1 FROM ${q('document')} WHERE document_id = ANY($1::bigint[]) ORDER BY document_id FOR UPDATE) AS locked`,
    [list],
  );
  if (resource.isDescriptor) {
    await tx.query(
      `UPDATE ${q('descriptor')} SET uri = namespace || '#' || code_value, resource_key_id = $2, discriminator = $3 WHERE document_id = ANY($1::bigint[])`,
      [list, ctx.resourceKey(resource.name), resource.name.resourceName],
    );
  }
  for (const statement of ctx.writes.replaceEdges(ids, await expectedEdgesOf(ctx, tx, resource, ids)))
    await tx.query(statement.text, statement.values);
  const computed = knownIdentities(await computeIdentities(ctx, tx, resource, ids));
  const holders = await rightfulHolders(
    ctx,
    tx,
    computed.map((identity) => identity.referentialId),
  );
  // A duplicate goes without: the id stays with the document that holds it rightly, or goes to the first of these.
  const owners = new Map(holders);
  const identities = computed.filter(({ referentialId, documentId }) => {
    const owner = owners.get(referentialId) ?? documentId;
    owners.set(referentialId, owner);
    return owner === documentId;
  });
  // An id that another document holds wrongly goes too; that document is damaged itself and gets its own back when it is looked at.
  await tx.query(
    `DELETE FROM ${q('referential_identity')} WHERE document_id = ANY($1::bigint[]) OR referential_id = ANY($2::uuid[])`,
    [list, arrayLiteral(identities.map((identity) => identity.referentialId))],
  );
  const insert = ctx.writes.insertIdentities(identities);
  await tx.query(insert.text, insert.values);
  await tx.query(`DELETE FROM ${q('document_cache')} WHERE document_id = ANY($1::bigint[])`, [list]);
  await bumpEtags(ctx, tx, ids);
};
