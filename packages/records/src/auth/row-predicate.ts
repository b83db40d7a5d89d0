/**
 * Compiles the strategies of a claim set into one SQL predicate over a root row `t`.
 *
 * - The predicate asks the closure by the row's own reference column, by its primary key (descendant, ancestor), so its cost is
 *   per row looked at and does not grow with what the caller may see.
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
      const tests = strategy.paths.map(
        (path) =>
          `EXISTS (SELECT 1 FROM ${s}.authorization_closure z WHERE z.descendant_document_id = ${rowDocument(resource, path)} AND z.ancestor_document_id = ANY(${groups}::bigint[]))`,
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
      : strategies.map((strategy) => strategySql(ctx, resource, strategy, claims, bind)).join(' AND '),
    values,
  };
};
