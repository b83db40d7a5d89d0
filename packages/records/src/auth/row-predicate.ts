/**
 * Compiles the strategies of a claim set into one SQL predicate over a root row `t`.
 *
 * - For few rows the predicate asks the closure by the row's own reference column, by its primary key (descendant, ancestor), so its
 *   cost is per row looked at and does not grow with what the caller may see.
 * - For a list, which may have to look at many rows to find a page, it first reads what lies below the caller's groups into a hash
 *   table, by the index (ancestor, descendant), where that is at most `maxHashed`; a look into it costs a tenth of the other.
 * - A list whose rule is one reference needs no predicate: `Reach` tells how its records are found (`read/reached-page.ts`).
 * - Several strategies for one action must all hold.
 */
import { CaseboundError } from '@casebound/contract';
import { isOrderedReference } from '../ddl/emit-ddl.ts';
import { displayName, type Resource } from '../derive/model.ts';
import { quoteIdentifier } from '../derive/naming.ts';
import type { StoreContext } from '../store-context.ts';
import { misfit } from './check-rules.ts';
import type { AuthorizationStrategy, Claims, RecordAction } from './claim-set.ts';

/**
 * A rule that is one reference to what lies below the caller's groups, and nothing else. Where the index of the reference is in the
 * order of ids, a page can be found from what the caller may reach instead of by looking at every record.
 */
export interface Reach {
  /** Column of the root that must hold one of the documents; quoted. */
  readonly column: string;
  /** Document ids (`id`) below the groups, one more than `maxHashed` at most. */
  readonly below: string;
  /** What is below several groups stands there more than once. */
  readonly repeats: boolean;
  /** Whether the row `t` may be seen, asked by the row's own column. */
  readonly probe: string;
}

/** A predicate with its values; parameters are numbered from `first`. */
export interface RowPredicate {
  readonly sql: string;
  readonly values: readonly unknown[];
  /** Set for a list, where the predicate is of this form. */
  readonly reach: Reach | null;
}

/** Members below a caller's groups that are read for a list before its first row. */
export const maxHashed = 2_000;

// Behind a subselect the groups do not tempt the planner to make a plan for these very groups at every call.
const fromBelow = (closure: string, groups: string): string =>
  `FROM ${closure} z WHERE z.ancestor_document_id = ANY((SELECT ${groups}::bigint[])::bigint[])`;

/** The condition that changes nothing (`>= x`) keeps the planner from hashing all of it where asking row by row is meant. */
const probeSql = (closure: string, x: string, groups: string): string =>
  `EXISTS (SELECT 1 ${fromBelow(closure, groups)} AND z.descendant_document_id = ${x} AND z.descendant_document_id >= ${x})`;

/** Whether the document `x` lies below one of the groups. */
const belowSql = (closure: string, x: string, groups: string, looksAt: 'few' | 'many'): string => {
  const below = fromBelow(closure, groups);
  if (looksAt === 'few') return `EXISTS (SELECT 1 ${below} AND z.descendant_document_id = ${x})`;
  return `CASE WHEN (SELECT count(*) <= ${maxHashed} FROM (SELECT 1 ${below} LIMIT ${maxHashed + 1}) c) THEN ${x} IN (SELECT z.descendant_document_id ${below}) ELSE ${probeSql(closure, x, groups)} END`;
};

const everything: RowPredicate = { sql: 'TRUE', values: [], reach: null };

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

/** How a page is found by strategies that come to one reference with an ordered index; `groups` is the first parameter. */
const reachOf = (
  ctx: StoreContext,
  resource: Resource,
  strategies: readonly AuthorizationStrategy[],
  claims: Claims,
  groups: string,
): Reach | null => {
  const [only, ...others] = strategies.filter((strategy) => strategy.kind !== 'none');
  if (only?.kind !== 'relationship' || others.length > 0) return null;
  const [path, ...morePaths] = only.paths;
  const found = resource.root.columns.find((column) => column.kind === 'reference' && column.path === path);
  if (found === undefined || morePaths.length > 0 || !isOrderedReference(resource, found)) return null;
  const closure = `${quoteIdentifier(ctx.schema)}.authorization_closure`;
  const column = quoteIdentifier(found.name);
  return {
    column,
    below: `SELECT z.descendant_document_id AS id ${fromBelow(closure, groups)} LIMIT ${maxHashed + 1}`,
    repeats: (claims.groupDocumentIds ?? []).length > 1,
    probe: probeSql(closure, `t.${column}`, groups),
  };
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
    reach: looksAt === 'many' ? reachOf(ctx, resource, strategies, claims, `$${first}`) : null,
  };
};
