/**
 * What a caller may refer to: a reference to a record that it may not see is answered as one to a record that does not exist.
 *
 * - Decided by the action `refer`, or by `read` where a claim set does not name `refer`.
 * - The check travels with the look-up of a write and costs no round trip. Without authorization rules, or where every record of a
 *   target may be seen, there is no statement.
 * - What a document refers to already is not asked again: its body has shown it.
 */
import { CaseboundError } from '@casebound/contract';
import { type Resource, resourceId, type ResourceName } from '../derive/model.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import type { Statement } from '../plan/write-sql.ts';
import type { StoreContext } from '../store-context.ts';
import type { Claims } from './claim-set.ts';
import { rowPredicate, type RowPredicate } from './row-predicate.ts';

export interface ReferCheck {
  /** Keys of resources of which every record may be referred to. */
  readonly freeKeys: ReadonlySet<number>;
  /** Each gives, as `referential_id`, those of the ids that the caller may refer to. */
  readonly statements: readonly Statement[];
}

const predicateOf = (ctx: StoreContext, resource: Resource, claims: Claims | null): RowPredicate | null => {
  try {
    return rowPredicate(ctx, resource, 'refer', claims, 2);
  } catch (error) {
    if (error instanceof CaseboundError && error.code === 'forbidden') return null;
    throw error;
  }
};

/** Everything that documents of a resource can name: targets of references and descriptors, itself, its superclass. */
const targetNames = (resource: Resource): readonly ResourceName[] => [
  resource.name,
  ...(resource.alias === null ? [] : [resource.alias.target]),
  ...resource.references.flatMap((column) => (column.reference === null ? [] : [column.reference.target])),
  ...resource.descriptors.flatMap((column) => (column.descriptor === null ? [] : [column.descriptor])),
];

/** The check for ids that documents of `resource` name; null where nothing is to be checked. */
export const referCheck = (
  ctx: StoreContext,
  resource: Resource,
  referentialIds: readonly string[],
  claims: Claims | null,
): ReferCheck | null => {
  if (ctx.authorization === null || referentialIds.length === 0) return null;
  const freeKeys = new Set<number>();
  const statements: Statement[] = [];
  const ids = arrayLiteral(referentialIds);
  const names = new Map(targetNames(resource).map((name) => [resourceId(name), name]));
  for (const [id, name] of names) {
    const concrete = ctx.model.resources.get(id);
    const members = concrete === undefined ? (ctx.model.abstracts.get(id)?.subclasses ?? []) : [concrete];
    const checked = members.map((member) => ({ member, predicate: predicateOf(ctx, member, claims) }));
    if (checked.every((entry) => entry.predicate?.sql === 'TRUE')) {
      freeKeys.add(ctx.resourceKey(name));
      continue;
    }
    for (const { member, predicate } of checked) {
      if (predicate === null) continue;
      const identity = ctx.writes.qualified('referential_identity');
      const ownType = member.isDescriptor ? ` AND t.resource_key_id = ${ctx.resourceKey(member.name)}` : '';
      statements.push({
        text: `SELECT i.referential_id FROM ${identity} i JOIN ${ctx.writes.qualified(member.root.name)} t ON t.document_id = i.document_id WHERE i.referential_id = ANY($1::uuid[]) AND (${predicate.sql})${ownType}`,
        values: [ids, ...predicate.values],
      });
    }
  }
  return { freeKeys, statements };
};
