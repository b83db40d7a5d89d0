/** Whether a claim-set document fits a model: every place that names what is not there, told when the store is opened. */
import { CaseboundError, type FieldError } from '@casebound/contract';
import { displayName, type Model, type Resource } from '../derive/model.ts';
import { quoteIdentifier } from '../derive/naming.ts';
import type { StoreContext } from '../store-context.ts';
import type { AuthorizationRules, AuthorizationStrategy } from './claim-set.ts';

const isReferencePath = (resource: Resource, path: string): boolean =>
  resource.root.columns.some((column) => column.kind === 'reference' && column.path === path);

/** What a strategy names that a resource does not have; null where it fits. */
export const misfit = (resource: Resource, strategy: AuthorizationStrategy): string | null => {
  const name = displayName(resource.name);
  switch (strategy.kind) {
    case 'none':
      return null;
    case 'namespace': {
      const fits = resource.root.columns.some(
        (column) => column.kind === 'scalar' && column.type.kind === 'text' && column.path === strategy.path,
      );
      return fits ? null : `names ${strategy.path}, which is no text of ${name}`;
    }
    case 'relationship': {
      const odd = strategy.paths.find((path) => path !== '$' && !isReferencePath(resource, path));
      return odd === undefined ? null : `names ${odd}, which is no reference of ${name}`;
    }
    case 'customView':
      return strategy.path === '$' || isReferencePath(resource, strategy.path)
        ? null
        : `names ${strategy.path}, which is no reference of ${name}`;
  }
};

const refuse = (errors: readonly FieldError[]): void => {
  const [first] = errors;
  if (first === undefined) return;
  throw new CaseboundError(
    'config_invalid',
    `The claim-set document does not fit the schema: ${first.path} ${first.message}.`,
    { errors },
  );
};

/** Throws `config_invalid` naming every place. A grant for `*` may name what only some resources have: others are not granted. */
export const checkRules = (rules: AuthorizationRules, model: Model): void => {
  const errors: FieldError[] = [];
  const byName = new Map([...model.resources.values()].map((resource) => [displayName(resource.name), resource]));
  rules.hierarchy.members.forEach((member, index) => {
    const path = `$.hierarchy.members[${index}]`;
    const resource = byName.get(member.resource);
    if (resource === undefined) errors.push({ path, message: `names ${member.resource}, which is no resource` });
    else
      for (const parent of member.parentPaths)
        if (!isReferencePath(resource, parent))
          errors.push({ path, message: `names ${parent}, which is no reference of ${member.resource}` });
  });
  for (const [name, { grants }] of Object.entries(rules.claimSets)) {
    grants.forEach((grant, index) => {
      const path = `$.claimSets.${name}.grants[${index}]`;
      if (grant.resource === '*') return;
      const resource = byName.get(grant.resource);
      if (resource === undefined) errors.push({ path, message: `names ${grant.resource}, which is no resource` });
      else
        for (const strategies of Object.values(grant.actions))
          for (const strategy of strategies) {
            const message = misfit(resource, strategy);
            if (message !== null) errors.push({ path, message });
          }
    });
  }
  refuse(errors);
};

/** Throws `config_invalid` for views that the rules name and the store's database schema does not have. */
export const requireCustomViews = async (ctx: StoreContext): Promise<void> => {
  const strategies = Object.values(ctx.authorization?.claimSets ?? {}).flatMap(({ grants }) =>
    grants.flatMap((grant) => Object.values(grant.actions).flat()),
  );
  const views = [...new Set(strategies.flatMap((strategy) => (strategy.kind === 'customView' ? [strategy.view] : [])))];
  if (views.length === 0) return;
  const { rows } = await ctx.database.transaction((tx) =>
    tx.query('SELECT v FROM unnest($1::text[], $2::text[]) AS u(v, q) WHERE to_regclass(q) IS NULL', [
      views,
      views.map((view) => `${quoteIdentifier(ctx.schema)}.${quoteIdentifier(view)}`),
    ]),
  );
  refuse(
    rows.map((row) => ({ path: '$.claimSets', message: `names the view ${String(row['v'])}, which is not there` })),
  );
};
