/**
 * Compiles the strategies of a claim set into one SQL predicate over a root row `t`.
 *
 * - For few rows the predicate asks the closure by the row's own reference column, by its primary key (descendant, ancestor), so its
 *   cost is per row looked at and does not grow with what the caller may see.
 * - For a list, which may have to look at many rows to find a page, it first reads what lies below the caller's groups into a hash
 *   table, by the index (ancestor, descendant), where that is at most `maxHashed`; a look into it costs a tenth of the other.
 * - Several strategies for one action must all hold.
 */
import { CaseboundError } from '@casebound/contract';
import { displayName, type Resource } from '../derive/model.ts';
import { quoteIdentifier } from '../derive/naming.ts';
import type { StoreContext } from '../store-context.ts';
import { misfit } from './check-rules.ts';
import type { AuthorizationStrategy, Claims, RecordAction } from './claim-set.ts';

/** A predicate with its values; parameters are numbered from `first`. */
export interface RowPredicate {
  readonly sql: string;
  readonly values: readonly unknown[];
}

/** Members below a caller's groups that are read for a list before its first row. */
const maxHashed = 2_000;

/**
 * Whether the document `x` lies below one of the groups. The condition that changes nothing (`>= x`) keeps the planner from hashing
 * the whole of it in the place where asking row by row is meant.
 */
const belowSql = (closure: string, x: string, groups: string, looksAt: 'few' | 'many'): string => {
  // Behind a subselect the groups do not tempt the planner to make a plan for these very groups at every call.
  const below = `FROM ${closure} z WHERE z.ancestor_document_id = ANY((SELECT ${groups}::bigint[])::bigint[])`;
  const probe = `EXISTS (SELECT 1 ${below} AND z.descendant_document_id = ${x}`;
  if (looksAt === 'few') return `${probe})`;
  return `CASE WHEN (SELECT count(*) <= ${maxHashed} FROM (SELECT 1 ${below} LIMIT ${maxHashed + 1}) c) THEN ${x} IN (SELECT z.descendant_document_id ${below}) ELSE ${probe} AND z.descendant_document_id >= ${x}) END`;
};

const everything: RowPredicate = { sql: 'TRUE', values: [] };

const forbidden = (action: RecordAction, resource: Resource): CaseboundError =>
  new CaseboundError('forbidden', `The claim set does not allow to ${action} ${displayName(resource.name)}.`);

const rowDocument = (resource: Resource, path: string): string => {
  if (path === '$') return 't.document_id';
  const column = resource.root.columns.find((candidate) => candidate.kind === 'reference' && candidate.path === path);
  if (column === undefined) {
    throw new CaseboundError(
      'config_invalid',
      `The claim set names ${path}, which is no reference of ${displayName(resource.name)}.`,
    );
  }
  return `t.${quoteIdentifier(column.name)}`;
};

const strategySql = (
  ctx: StoreContext,
  resource: Resource,
  strategy: AuthorizationStrategy,
  claims: Claims,
  bind: (value: unknown) => string,
  looksAt: 'few' | 'many',
): string => {
  const s = quoteIdentifier(ctx.schema);
  switch (strategy.kind) {
    case 'none':
      return 'TRUE';
    case 'namespace': {
      const column = resource.root.columns.find(
        (candidate) => candidate.kind === 'scalar' && candidate.path === strategy.path,
      );
      if (column === undefined) {
        throw new CaseboundError(
          'config_invalid',
          `The claim set names ${strategy.path}, which is no value of ${displayName(resource.name)}.`,
        );
      }
      return `EXISTS (SELECT 1 FROM unnest(${bind(claims.namespacePrefixes ?? [])}::text[]) AS n(prefix) WHERE n.prefix <> '' AND starts_with(t.${quoteIdentifier(column.name)}, n.prefix))`;
    }
    case 'relationship': {
      const groups = bind(claims.groupDocumentIds ?? []);
      const tests = strategy.paths.map((path) =>
        belowSql(`${s}.authorization_closure`, rowDocument(resource, path), groups, looksAt),
      );
      return `(${tests.join(strategy.match === 'any' ? ' OR ' : ' AND ')})`;
    }
    case 'customView': {
      const claim =
        strategy.claimColumn === undefined
          ? ''
          : ` AND v.${quoteIdentifier(strategy.claimColumn)} = ANY(${bind(claims.groupDocumentIds ?? [])}::bigint[])`;
      return `EXISTS (SELECT 1 FROM ${s}.${quoteIdentifier(strategy.view)} v WHERE v.document_id = ${rowDocument(resource, strategy.path)}${claim})`;
    }
  }
};

/**
 * The predicate of an action for a caller. Without rules, or without claims in a store without rules, everything is allowed.
 * @throws `forbidden` when the claim set does not grant the action at all
 */
export const rowPredicate = (
  ctx: StoreContext,
  resource: Resource,
  action: RecordAction,
  claims: Claims | null,
  first: number,
  looksAt: 'few' | 'many' = 'few',
): RowPredicate => {
  if (ctx.authorization === null) return everything;
  if (claims === null) throw forbidden(action, resource);
  const grants = ctx.authorization.claimSets[claims.claimSet]?.grants ?? [];
  const grant =
    grants.find((entry) => entry.resource === displayName(resource.name)) ??
    grants.find((entry) => entry.resource === '*');
  const strategies = grant?.actions[action] ?? (action === 'refer' ? grant?.actions.read : undefined);
  if (strategies === undefined || strategies.some((strategy) => misfit(resource, strategy) !== null))
    throw forbidden(action, resource);
  const values: unknown[] = [];
  const bind = (value: unknown): string => {
    values.push(value);
    return `$${first + values.length - 1}`;
  };
  return {
    sql: strategies.every((strategy) => strategy.kind === 'none')
      ? 'TRUE'
      : strategies.map((strategy) => strategySql(ctx, resource, strategy, claims, bind, looksAt)).join(' AND '),
    values,
  };
};
