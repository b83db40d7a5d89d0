/**
 * Keeps `authorization_closure` equal to the reachability of the hierarchy, in the transaction that changes it.
 *
 * - Changes of the hierarchy are rare and must not interleave: they queue on one transaction-level advisory lock of the store.
 * - Only the part below the changed members is recomputed. A cycle among members is followed once around and no further.
 */
import { displayName, type Resource } from '../derive/model.ts';
import { quoteIdentifier, quoteLiteral } from '../derive/naming.ts';
import type { Statement } from '../plan/write-sql.ts';
import type { StoreContext } from '../store-context.ts';

interface HierarchyPart {
  readonly resource: Resource;
  readonly columns: readonly string[];
}

const hierarchyParts = (ctx: StoreContext): readonly HierarchyPart[] =>
  ctx.memo('hierarchy', () => {
    const members = ctx.authorization?.hierarchy.members ?? [];
    const byName = new Map([...ctx.model.resources.values()].map((resource) => [displayName(resource.name), resource]));
    return members.flatMap((member) => {
      const resource = byName.get(member.resource);
      if (resource === undefined) return [];
      const columns = resource.root.columns
        .filter((column) => column.kind === 'reference' && member.parentPaths.includes(column.path))
        .map((column) => column.name);
      return [{ resource, columns }];
    });
  });

/** `SELECT child, parent` over all members; NULL-free. */
const linksSql = (ctx: StoreContext): string => {
  const selects = hierarchyParts(ctx).flatMap(({ resource, columns }) =>
    columns.map(
      (column) =>
        `SELECT document_id AS child, ${quoteIdentifier(column)} AS parent FROM ${ctx.writes.qualified(resource.root.name)} WHERE ${quoteIdentifier(column)} IS NOT NULL`,
    ),
  );
  return selects.length === 0
    ? 'SELECT NULL::bigint AS child, NULL::bigint AS parent WHERE false'
    : selects.join(' UNION ALL ');
};

const membersSql = (ctx: StoreContext): string =>
  hierarchyParts(ctx)
    .map(({ resource }) => `SELECT document_id FROM ${ctx.writes.qualified(resource.root.name)}`)
    .join(' UNION ALL ');

/** `SELECT ancestor, descendant` as the columns say, for the members in `$1` and all below them, or for all. */
export const closureSql = (ctx: StoreContext, scope: 'below' | 'all'): string => {
  const start =
    scope === 'below'
      ? `WITH RECURSIVE links AS (${linksSql(ctx)}), below(id) AS (SELECT unnest($1::bigint[]) UNION SELECT l.child FROM below b JOIN links l ON l.parent = b.id), members AS (${membersSql(ctx)})`
      : `WITH RECURSIVE links AS (${linksSql(ctx)}), members AS (${membersSql(ctx)}), below(id) AS (SELECT document_id FROM members)`;
  return `${start}, up(descendant, ancestor) AS (SELECT b.id, b.id FROM below b JOIN members m ON m.document_id = b.id UNION SELECT u.descendant, l.parent FROM up u JOIN links l ON l.child = u.ancestor) SELECT ancestor, descendant FROM up`;
};

export const hasHierarchy = (ctx: StoreContext): boolean => hierarchyParts(ctx).length > 0;

const hierarchyLock = (ctx: StoreContext): Statement => ({
  text: `SELECT pg_advisory_xact_lock(hashtextextended(${quoteLiteral(`records hierarchy ${ctx.schema}`)}, 0))`,
  values: [],
});

/** Statements that bring the closure up to date after members were written; none for a resource outside the hierarchy. */
export const maintainHierarchy = (
  ctx: StoreContext,
  resource: Resource,
  documentIds: readonly number[],
): readonly Statement[] => {
  if (!hierarchyParts(ctx).some((part) => part.resource === resource)) return [];
  const closure = ctx.writes.qualified('authorization_closure');
  const values = [documentIds];
  const affected = `WITH RECURSIVE links AS (${linksSql(ctx)}), below(id) AS (SELECT unnest($1::bigint[]) UNION SELECT l.child FROM below b JOIN links l ON l.parent = b.id)`;
  return [
    hierarchyLock(ctx),
    { text: `${affected} DELETE FROM ${closure} c USING below b WHERE c.descendant_document_id = b.id`, values },
    {
      text: `INSERT INTO ${closure} (ancestor_document_id, descendant_document_id) ${closureSql(ctx, 'below')} ON CONFLICT DO NOTHING`,
      values,
    },
  ];
};

/**
 * Statements for members that go; nothing can be below them, because what refers to them keeps them from being deleted. They queue
 * too: a recomputation above them that has not committed would put them back.
 */
export const forgetHierarchy = (
  ctx: StoreContext,
  resource: Resource,
  documentIds: readonly number[],
): readonly Statement[] => {
  if (!hierarchyParts(ctx).some((part) => part.resource === resource)) return [];
  return [
    hierarchyLock(ctx),
    {
      text: `DELETE FROM ${ctx.writes.qualified('authorization_closure')} WHERE descendant_document_id = ANY($1::bigint[]) OR ancestor_document_id = ANY($1::bigint[])`,
      values: [documentIds],
    },
  ];
};
