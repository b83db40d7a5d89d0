/**
 * Which of some referential ids are held by a document whose columns call for them, and which by another.
 *
 * - An id that such a document holds is not to be taken from it: another document that calls for the same id is a duplicate that
 *   only a person can settle, by deleting one or changing its identity.
 */
import { resourcesByKey } from '../identity/change-identity.ts';
import { computeIdentities } from '../identity/recompute-identities.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import type { RecordTransaction } from '../session.ts';
import type { StoreContext } from '../store-context.ts';

export interface Holders {
  /** Referential id -> the document that holds it rightly. */
  readonly rightful: ReadonlyMap<string, number>;
  /** ... and the one that holds it although its columns call for another, or that is gone. */
  readonly wrongful: ReadonlyMap<string, number>;
}

/** Who holds some ids, as far as anybody does. */
export const holdersOf = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  referentialIds: readonly string[],
): Promise<Holders> => {
  const rightful = new Map<string, number>();
  if (referentialIds.length === 0) return { rightful, wrongful: rightful };
  const { rows } = await tx.query(
    `SELECT i.referential_id, i.document_id, d.resource_key_id FROM ${ctx.writes.qualified('referential_identity')} i LEFT JOIN ${ctx.writes.qualified('document')} d ON d.document_id = i.document_id WHERE i.referential_id = ANY($1::uuid[])`,
    [arrayLiteral(referentialIds)],
  );
  const byKey = resourcesByKey(ctx);
  const there = rows.filter((row) => row['resource_key_id'] !== null);
  const held = new Map(rows.map((row) => [String(row['referential_id']), Number(row['document_id'])]));
  for (const [key, group] of Map.groupBy(there, (row) => Number(row['resource_key_id']))) {
    const resource = byKey.get(key);
    if (resource === undefined) continue;
    const ids = [...new Set(group.map((row) => Number(row['document_id'])))];
    for (const { referentialId, documentId } of await computeIdentities(ctx, tx, resource, ids)) {
      if (referentialId !== null && held.get(referentialId) === documentId) rightful.set(referentialId, documentId);
    }
  }
  return { rightful, wrongful: new Map([...held].filter(([id]) => !rightful.has(id))) };
};
