/**
 * Derives the relational model of a loaded schema: tables, identities, aliases, query fields, abstract views.
 *
 * - Everything that names something else (identity paths, query paths, constraints, superclasses) is resolved here; what cannot be
 *   resolved is a problem, and a model with problems does not exist.
 * - Names of tables, views and indexes share one namespace per store; a clash is fatal and names both owners.
 */
import type { LoadedResource, UniquenessConstraint } from '../schema/api-schema.ts';
import { findCycle } from '../schema/check-cycles.ts';
import { parentPath } from '../schema/json-path.ts';
import { type LoadedSchema, Problems } from '../schema/load-schema.ts';
import { deriveResource, type DerivedTables } from './derive-resource.ts';
import { resolveIdentityElement, resolveQueryTarget } from './resolve-paths.ts';
import {
  type AbstractView,
  type Column,
  displayName,
  type Model,
  type QueryTarget,
  type Resource,
  resourceId,
  type ResourceName,
  type SuperclassAlias,
  type Table,
} from './model.ts';
import { limitIdentifier, snakeCase } from './naming.ts';
import { isReservedName, relationNames } from './relation-names.ts';

/** Members a descriptor may have: the columns of the shared descriptor table. */
const descriptorMembers = new Set([
  'namespace',
  'codeValue',
  'shortDescription',
  'description',
  'effectiveBeginDate',
  'effectiveEndDate',
]);

const rootTableName = (resource: LoadedResource): string => {
  if (resource.isDescriptor) return 'descriptor';
  const override = resource.relational?.rootTableNameOverride;
  if (override !== undefined) return limitIdentifier(snakeCase(override));
  const plain = snakeCase(resource.resourceName);
  return prefixedName(plain, resource.projectName, resource.isExtensionProject);
};

/** The project's name in front where the project is an extension or the store has a table or index of that name. */
const prefixedName = (plain: string, projectName: string, isExtension: boolean): string =>
  limitIdentifier(isExtension || isReservedName(plain) ? `${snakeCase(projectName)}_${plain}` : plain);

const checkTableNames = (resources: readonly Resource[], views: readonly AbstractView[], problems: Problems): void => {
  const owners = new Map<string, string>();
  const claim = (name: string, owner: string): void => {
    const other = isReservedName(name) ? 'the store itself' : owners.get(name);
    if (other !== undefined) {
      problems.add(
        owner,
        `needs the table name ${name}, which ${other} has; set relational.rootTableNameOverride or nameOverrides`,
      );
    }
    owners.set(name, owner);
  };
  for (const resource of resources) {
    for (const table of resource.tables)
      for (const name of relationNames(table)) claim(name, `${displayName(resource.name)} ${table.path}`);
  }
  for (const view of views) claim(view.viewName, displayName(view.name));
};

/** PostgreSQL holds 1,600 columns a table, fewer where they are wide; and 32 columns an index. */
const maxColumns = 1_500;
const maxKeyColumns = 32;

const checkSizes = (resource: Resource, problems: Problems): void => {
  const at = displayName(resource.name);
  const identity = new Set(resource.identity.map((element) => element.source.column)).size;
  if (identity > maxKeyColumns)
    problems.add(at, `has an identity of ${identity} columns; ${maxKeyColumns} is the most`);
  for (const table of resource.tables) {
    const columns = table.columns.length + table.ordinals.length + 1;
    if (columns > maxColumns)
      problems.add(`${at} ${table.path}`, `needs ${columns} columns; ${maxColumns} is the most`);
    for (const unique of table.uniques) {
      const keys = unique.columns.length + table.ordinals.length;
      if (keys > maxKeyColumns)
        problems.add(`${at} ${table.path}`, `is unique by ${keys} columns; ${maxKeyColumns} is the most`);
    }
  }
};

const constraintPaths = (constraint: UniquenessConstraint): readonly (readonly string[])[] => {
  if (Array.isArray(constraint)) return [constraint];
  if (!('paths' in constraint) && !('nestedConstraints' in constraint)) return [];
  const own = constraint.paths ?? [];
  const nested = (constraint.nestedConstraints ?? []).map((inner) =>
    inner.paths.map((path) =>
      inner.basePath === undefined || path.startsWith(inner.basePath) ? path : `${inner.basePath}${path.slice(1)}`,
    ),
  );
  return [...(own.length > 0 ? [own] : []), ...nested];
};

/** Applies one array-uniqueness constraint: a UNIQUE of the collection, or its key where it is one reference. */
const applyUniqueness = (at: string, derived: DerivedTables, paths: readonly string[], problems: Problems): void => {
  const found = paths.map((path) => {
    for (const table of derived.tables) {
      const column = table.columns.find(
        (candidate) =>
          candidate.path === path || (candidate.kind === 'reference' && parentPath(path) === candidate.path),
      );
      if (column !== undefined && table.kind === 'collection') return { table, column };
    }
    problems.add(`${at}.arrayUniquenessConstraints`, `names ${path}, which is no member of a collection`);
    return null;
  });
  const [first] = found;
  if (first === undefined || first === null) return;
  if (found.some((entry) => entry?.table !== first.table)) {
    if (found.every((entry) => entry !== null))
      problems.add(`${at}.arrayUniquenessConstraints`, `spans several collections: ${paths.join(', ')}`);
    return;
  }
  const columns = [...new Set(found.flatMap((entry) => (entry === null ? [] : [entry.column])))];
  const [only] = columns;
  const { table } = first;
  const canBeKey =
    columns.length === 1 &&
    only?.kind === 'reference' &&
    only.required &&
    table.valueKey === null &&
    table.children.length === 0 &&
    table.parent?.kind === 'root';
  if (canBeKey) Object.assign(table, { valueKey: only });
  else table.uniques.push({ columns: columns.map((column) => column.name), paths: [...paths] });
};

interface Draft {
  readonly source: LoadedResource;
  readonly derived: DerivedTables;
}

const aliasOf = (
  draft: Draft,
  abstracts: ReadonlyMap<string, readonly string[]>,
  problems: Problems,
): SuperclassAlias | null => {
  const { source } = draft;
  if (!source.isSubclass) return null;
  const at = `${source.projectName}.${source.endpoint}`;
  if (source.superclassResourceName === undefined) {
    problems.add(at, 'is a subclass without superclassResourceName');
    return null;
  }
  const target = {
    projectName: source.superclassProjectName ?? source.projectName,
    resourceName: source.superclassResourceName,
  };
  const paths = abstracts.get(resourceId(target));
  if (paths === undefined) {
    problems.add(at, `has the superclass ${displayName(target)}, which is no abstract resource of any project`);
    return null;
  }
  if (source.superclassIdentityJsonPath !== undefined && source.superclassIdentityJsonPath !== null) {
    if (paths.length !== 1 || source.identityJsonPaths.length !== 1 || paths[0] !== source.superclassIdentityJsonPath) {
      problems.add(at, 'renames its superclass identity, which needs one identity path on both sides');
    }
    return { target, elements: [{ path: source.superclassIdentityJsonPath, ownIndex: 0 }] };
  }
  const elements = paths.map((path) => ({ path, ownIndex: source.identityJsonPaths.indexOf(path) }));
  for (const element of elements) {
    if (element.ownIndex < 0) problems.add(at, `lacks ${element.path} of the identity of ${displayName(target)}`);
  }
  return { target, elements };
};

const identityGraph = (
  drafts: readonly Draft[],
  aliases: ReadonlyMap<Draft, SuperclassAlias | null>,
): Map<string, string[]> => {
  const graph = new Map<string, string[]>();
  const link = (from: ResourceName, to: ResourceName): void => {
    const list = graph.get(displayName(from)) ?? [];
    list.push(displayName(to));
    graph.set(displayName(from), list);
  };
  for (const draft of drafts) {
    graph.set(displayName(draft.source), graph.get(displayName(draft.source)) ?? []);
    const alias = aliases.get(draft) ?? null;
    if (alias !== null) link(alias.target, draft.source);
    for (const table of draft.derived.tables) {
      for (const column of table.columns) {
        if (column.reference?.isIdentity === true) link(draft.source, column.reference.target);
      }
    }
  }
  return graph;
};

/** Names that can change because they, or what they contain, may: fixed point over the (acyclic) identity graph. */
const mutableNames = (drafts: readonly Draft[], graph: ReadonlyMap<string, readonly string[]>): ReadonlySet<string> => {
  const mutable = new Set(
    drafts.filter((draft) => draft.source.allowIdentityUpdates).map((draft) => displayName(draft.source)),
  );
  for (let grew = true; grew;) {
    grew = false;
    for (const [name, targets] of graph) {
      if (!mutable.has(name) && targets.some((target) => mutable.has(target))) {
        mutable.add(name);
        grew = true;
      }
    }
  }
  return mutable;
};

const queryFieldsOf = (draft: Draft, at: string, problems: Problems): Map<string, QueryTarget[]> => {
  const fields = new Map<string, QueryTarget[]>();
  for (const [field, targets] of Object.entries(draft.source.queryFieldMapping)) {
    const list = targets.flatMap((target) => {
      const resolved = resolveQueryTarget(target.path, draft.derived.tables);
      if (resolved === null)
        problems.add(`${at}.queryFieldMapping.${field}`, `names ${target.path}, which has no column`);
      return resolved === null ? [] : [resolved];
    });
    fields.set(field, list);
  }
  return fields;
};

/** A bound on a number that is not there holds nothing back. (Equalities may name what is not there: published schemas do.) */
const checkDecimals = (draft: Draft, at: string, problems: Problems): void => {
  for (const { path } of draft.source.decimalPropertyValidationInfos) {
    if (resolveQueryTarget(path, draft.derived.tables) === null)
      problems.add(`${at}.decimalPropertyValidationInfos`, `names ${path}, which has no column`);
  }
};

const checkDescriptor = (root: Table, at: string, problems: Problems): void => {
  for (const member of root.members) {
    if (!descriptorMembers.has(member.name))
      problems.add(`${at} $.${member.name}`, 'is no member that a descriptor can have');
  }
  for (const name of ['namespace', 'codeValue']) {
    if (!root.columns.some((column) => column.path === `$.${name}` && column.type.kind === 'text' && column.required)) {
      problems.add(`${at} $.${name}`, 'must be a required string of every descriptor');
    }
  }
};

/** Fills in what a reference's elements are at their source: the type of the target's column, and whether it is a descriptor. */
const completeElements = (model: Model): void => {
  const sourceOf = (name: ResourceName, index: number): { isDescriptor: boolean; type: Column['type'] } | null => {
    const concrete = model.resources.get(resourceId(name));
    if (concrete !== undefined) {
      const source = concrete.identity[index]?.source;
      if (source === undefined) return null;
      if (source.kind === 'reference') return sourceOf(source.binding.target, source.elementIndex);
      return { isDescriptor: source.kind === 'descriptor', type: elementType(source) };
    }
    const [sample] = model.abstracts.get(resourceId(name))?.subclasses ?? [];
    return sample === undefined ? null : sourceOf(sample.name, sample.alias?.elements[index]?.ownIndex ?? -1);
  };
  for (const resource of model.resources.values()) {
    for (const column of resource.references) {
      column.reference?.elements.forEach((element, index) => {
        const source = sourceOf(column.reference?.target ?? resource.name, index);
        if (source !== null) Object.assign(element, { isDescriptor: source.isDescriptor, sourceType: source.type });
      });
    }
  }
};

/**
 * Derives the model of a loaded schema.
 * @throws `schema_invalid` with every problem
 */
export const deriveModel = (schema: LoadedSchema): Model => {
  const problems = new Problems();
  const resourceNames = new Map(schema.resources.map((resource) => [resourceId(resource), resource]));
  const abstractPaths = new Map(schema.abstracts.map((entry) => [resourceId(entry), entry.identityJsonPaths]));
  const drafts = schema.resources.map((source) => {
    const derived = deriveResource({
      resource: source,
      rootTableName: rootTableName(source),
      identityOf: (name) => {
        const concrete = resourceNames.get(resourceId(name));
        if (concrete !== undefined) return { paths: concrete.identityJsonPaths, isAbstract: false };
        const paths = abstractPaths.get(resourceId(name));
        return paths === undefined ? null : { paths, isAbstract: true };
      },
      isDescriptor: (name) => resourceNames.get(resourceId(name))?.isDescriptor === true,
      problems,
    });
    return { source, derived };
  });
  const aliases = new Map(drafts.map((draft) => [draft, aliasOf(draft, abstractPaths, problems)]));
  const graph = identityGraph(drafts, aliases);
  const cycle = findCycle(graph);
  if (cycle !== null) problems.add(cycle[0] ?? 'schema', `has an identity that contains itself: ${cycle.join(' -> ')}`);
  const mutable = mutableNames(drafts, graph);

  const resources: Resource[] = drafts.map((draft) => {
    const { source, derived } = draft;
    const at = `${source.projectName}.${source.endpoint}`;
    for (const constraint of source.arrayUniquenessConstraints) {
      for (const paths of constraintPaths(constraint)) applyUniqueness(at, derived, paths, problems);
    }
    checkDecimals(draft, at, problems);
    if (source.isDescriptor) checkDescriptor(derived.root, at, problems);
    else if (source.identityJsonPaths.length === 0) problems.add(`${at}.identityJsonPaths`, 'is empty');
    const identity = source.identityJsonPaths.flatMap((path) => {
      const element = resolveIdentityElement(path, derived.root);
      if (element === null)
        problems.add(`${at}.identityJsonPaths`, `names ${path}, which is no single value of the document`);
      return element === null ? [] : [element];
    });
    const columns = derived.tables.flatMap((table) => table.columns);
    for (const column of columns) {
      if (column.reference !== null) column.reference.isMutable = mutable.has(displayName(column.reference.target));
    }
    return {
      source,
      name: { projectName: source.projectName, resourceName: source.resourceName },
      projectEndpoint: source.projectEndpoint,
      endpoint: source.endpoint,
      isDescriptor: source.isDescriptor,
      root: derived.root,
      tables: source.isDescriptor ? [] : derived.tables,
      identity,
      alias: aliases.get(draft) ?? null,
      references: columns.filter((column) => column.kind === 'reference'),
      descriptors: columns.filter((column) => column.kind === 'descriptor'),
      queryFields: queryFieldsOf(draft, at, problems),
      allowIdentityUpdates: source.allowIdentityUpdates && !source.isDescriptor,
      identityIsMutable: mutable.has(displayName(source)),
      jsonSchema: source.jsonSchemaForInsert,
    };
  });
  resources.sort((a, b) => (resourceId(a.name) < resourceId(b.name) ? -1 : 1));

  const abstracts: AbstractView[] = schema.abstracts.map((entry) => {
    const subclasses = resources.filter(
      (resource) => resource.alias !== null && resourceId(resource.alias.target) === resourceId(entry),
    );
    const [sample] = subclasses;
    if (sample === undefined) problems.add(displayName(entry), 'is abstract and has no subclass');
    const taken = new Set(['document_id']);
    const columns = entry.identityJsonPaths.map((path, index) => {
      const types = subclasses.flatMap((subclass) => {
        const own = subclass.identity[subclass.alias?.elements[index]?.ownIndex ?? -1];
        return own === undefined ? [] : [elementType(own.source)];
      });
      const [type = { kind: 'text' as const }] = types;
      if (types.some((other) => other.kind !== type.kind))
        problems.add(displayName(entry), `has subclasses that disagree on the type of ${path}`);
      const plain = limitIdentifier(snakeCase(path));
      const name = taken.has(plain) ? limitIdentifier(`${plain}_${index + 1}`) : plain;
      taken.add(name);
      return { name, path, type };
    });
    return {
      name: { projectName: entry.projectName, resourceName: entry.resourceName },
      viewName: prefixedName(snakeCase(entry.resourceName), entry.projectName, entry.isExtensionProject),
      identityPaths: entry.identityJsonPaths,
      columns,
      subclasses,
    };
  });
  checkTableNames(resources, abstracts, problems);
  for (const resource of resources) checkSizes(resource, problems);
  problems.throwIfAny();
  const model: Model = {
    fingerprint: schema.fingerprint,
    components: schema.components,
    resources: new Map(resources.map((resource) => [resourceId(resource.name), resource])),
    abstracts: new Map(abstracts.map((view) => [resourceId(view.name), view])),
    byEndpoint: new Map(
      resources.map((resource) => [`${resource.projectEndpoint}/${resource.endpoint}`.toLowerCase(), resource]),
    ),
  };
  completeElements(model);
  return model;
};

const elementType = (source: Resource['identity'][number]['source']): Column['type'] => {
  if (source.kind === 'reference') return source.binding.elements[source.elementIndex]?.type ?? { kind: 'text' };
  return source.kind === 'descriptor' ? { kind: 'text' } : source.column.type;
};

/** All tables of the model, parents before children, in a stable order. */
export const allTables = (model: Model): readonly Table[] =>
  [...model.resources.values()].flatMap((resource) => resource.tables);
