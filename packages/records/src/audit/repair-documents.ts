/**
 * Rebuilds what follows from the columns: edges, referential ids, descriptor uris; drops cached JSON that is wrong.
 *
 * - Documents are locked ascending and looked at again after the lock, so a repair never undoes what a writer did meanwhile.
 * - What they refer to is locked before their identities are computed: a change of identity follows edges, and does not see those that are
 *   being repaired.
 * - An id is taken from another document only while that one is locked and found to hold it wrongly. One that was free and is taken when
 *   it is written makes the caller repeat the transaction.
 */
import { expectedEdgesOf } from './expected-edges.ts';
import type { Resource } from '../derive/model.ts';
import { computeIdentities, knownIdentities } from '../identity/recompute-identities.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import type { RecordTransaction } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import { bumpEtags } from '../identity/deferred-bumps.ts';
import { type Holders, holdersOf } from './rightful-holders.ts';

/** Locks documents, ascending. */
const lockDocuments = async (ctx: StoreContext, tx: RecordTransaction, ids: Iterable<number>): Promise<void> => {
  await tx.query(
    `SELECT count(*) FROM (SELECT 1 FROM ${ctx.writes.qualified('document')} WHERE document_id = ANY($1::bigint[]) ORDER BY document_id FOR UPDATE) AS locked`,
    [arrayLiteral([...ids])],
  );
};

/** Who holds ids; those that hold one wrongly are locked when it is told, others left out. */
const lockedHolders = async (ctx: StoreContext, tx: RecordTransaction, ids: readonly string[]): Promise<Holders> => {
  const found = await holdersOf(ctx, tx, ids);
  if (found.wrongful.size === 0) return found;
  const locked = new Set(found.wrongful.values());
  await lockDocuments(ctx, tx, locked);
  const { rightful, wrongful } = await holdersOf(ctx, tx, ids);
  return { rightful, wrongful: new Map([...wrongful].filter(([, documentId]) => locked.has(documentId))) };
};

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
  await lockDocuments(ctx, tx, ids);
  if (resource.isDescriptor) {
    await tx.query(
      `UPDATE ${q('descriptor')} SET uri = namespace || '#' || code_value, resource_key_id = $2, discriminator = $3 WHERE document_id = ANY($1::bigint[])`,
      [list, ctx.resourceKey(resource.name), resource.name.resourceName],
    );
  }
  const edges = await expectedEdgesOf(ctx, tx, resource, ids);
  const lock = ctx.writes.lockReferenced([...new Set(edges.map((edge) => edge.child))]);
  for (const { text, values } of [lock, ...ctx.writes.replaceEdges(ids, edges)]) await tx.query(text, values);
  const computed = knownIdentities(await computeIdentities(ctx, tx, resource, ids));
  const { rightful, wrongful } = await lockedHolders(
    ctx,
    tx,
    computed.map((identity) => identity.referentialId),
  );
  // A duplicate goes without: the id stays with the document that holds it rightly, or goes to the first of these.
  const owners = new Map(rightful);
  const identities = computed.filter(({ referentialId, documentId }) => {
    const owner = owners.get(referentialId) ?? documentId;
    owners.set(referentialId, owner);
    return owner === documentId;
  });
  // An id that another document holds wrongly goes too; that document is damaged itself and gets its own back when it is looked at.
  await tx.query(
    `DELETE FROM ${q('referential_identity')} WHERE document_id = ANY($1::bigint[]) OR (referential_id, document_id) IN (SELECT unnest($2::uuid[]), unnest($3::bigint[]))`,
    [list, arrayLiteral([...wrongful.keys()]), arrayLiteral([...wrongful.values()])],
  );
  const insert = ctx.writes.insertIdentities(identities);
  await tx.query(insert.text, insert.values);
  await tx.query(`DELETE FROM ${q('document_cache')} WHERE document_id = ANY($1::bigint[])`, [list]);
  await bumpEtags(ctx, tx, ids);
};
