/**
 * Which of some referential ids are held by a document whose columns call for them.
 *
 * - An id that such a document holds is not to be taken from it: another document that calls for the same id is a duplicate that
 *   only a person can settle, by deleting one or changing its identity.
 */
import { resourcesByKey } from '../identity/change-identity.ts';
import { computeIdentities } from '../identity/recompute-identities.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import type { RecordTransaction } from '../session.ts';
import type { StoreContext } from '../store-context.ts';

/** Referential id -> the document that holds it rightly. */
export const rightfulHolders = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  referentialIds: readonly string[],
): Promise<ReadonlyMap<string, number>> => {
  const holders = new Map<string, number>();
  if (referentialIds.length === 0) return holders;
  const { rows } = await tx.query(
    `SELECT i.referential_id, i.document_id, d.resource_key_id FROM ${ctx.writes.qualified('referential_identity')} i JOIN ${ctx.writes.qualified('document')} d ON d.document_id = i.document_id WHERE i.referential_id = ANY($1::uuid[])`,
    [arrayLiteral(referentialIds)],
  );
  const byKey = resourcesByKey(ctx);
  const held = new Map(rows.map((row) => [String(row['referential_id']), Number(row['document_id'])]));
  for (const [key, group] of Map.groupBy(rows, (row) => Number(row['resource_key_id']))) {
    const resource = byKey.get(key);
    if (resource === undefined) continue;
    const ids = [...new Set(group.map((row) => Number(row['document_id'])))];
    for (const { referentialId, documentId } of await computeIdentities(ctx, tx, resource, ids)) {
      if (referentialId !== null && held.get(referentialId) === documentId) holders.set(referentialId, documentId);
    }
  }
  return holders;
};
