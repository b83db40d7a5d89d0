/**
 * Compiles the plan of a copy from two models and a policy. Nothing in it names a table that the models do not.
 *
 * - Everything of the source's model is either mapped to a place in the destination's or left out by the policy; what is neither is a
 *   reason to refuse, and all reasons are told at once.
 * - The plan is plain data and hooks; it knows no database. `fingerprint` covers both models and the SQL of every hook, so a job
 *   that was begun with one plan is not continued with another.
 */
import { createHash } from 'node:crypto';
import { CaseboundError } from '@casebound/contract';
import {
  type Column,
  displayName,
  type Model,
  type Resource,
  resourceId,
  type ResourceName,
  type Table,
} from '../derive/model.ts';
import { orderResources, type Dependency } from './order-resources.ts';
import { parameterSql, type ConflictPolicy, type CopyPolicy, type ResourceMode } from './policy.ts';
import { mapTables, type MappedTable } from './map-tables.ts';

export interface PlannedResource {
  readonly name: string;
  readonly source: Resource;
  readonly destination: Resource;
  readonly mode: 'match' | 'insert';
  readonly onConflict: ConflictPolicy;
  readonly level: number;
  /** A hook changes its identity, or that of something its identity contains. */
  readonly recompute: boolean;
  /** Root first, parents before children. A descriptor has its one shared table. */
  readonly tables: readonly MappedTable[];
  /** Every reference of the source travels, so its edges say what it depends on. */
  readonly edgesComplete: boolean;
}

export interface PlannedDependent {
  readonly resource: PlannedResource;
  readonly table: Table;
  readonly column: Column;
}

export interface CopyPlan {
  readonly fingerprint: string;
  readonly source: Model;
  readonly destination: Model;
  readonly policy: CopyPolicy;
  /** By ascending level. */
  readonly resources: readonly PlannedResource[];
  /** By `resourceId`. */
  readonly byName: ReadonlyMap<string, PlannedResource>;
  readonly dependents: readonly PlannedDependent[];
}

/** Whether records of the resource may become one record of the destination. */
export const mayJoin = (resource: PlannedResource): boolean => resource.recompute && resource.mode === 'match';

/** Concrete resources that a reference can lead to. */
export const targetsOf = (model: Model, target: ResourceName): readonly Resource[] => {
  const concrete = model.resources.get(resourceId(target));
  return concrete === undefined ? (model.abstracts.get(resourceId(target))?.subclasses ?? []) : [concrete];
};

const identityOf = (resource: Resource): string =>
  JSON.stringify([
    resource.isDescriptor,
    resource.identity.map((element) => element.path),
    resource.alias === null ? null : [displayName(resource.alias.target), resource.alias.elements],
  ]);

const modeOf = (policy: CopyPolicy, name: string): ResourceMode =>
  policy.resources?.[name]?.mode ?? policy.mode ?? 'match';

interface Draft {
  readonly name: string;
  readonly source: Resource;
  readonly destination: Resource;
  readonly tables: readonly MappedTable[];
  readonly mode: 'match' | 'insert';
}

class Compiler {
  private readonly source: Model;
  private readonly destination: Model;
  private readonly policy: CopyPolicy;
  readonly reasons: { path: string; message: string }[] = [];
  private readonly drafts = new Map<string, Draft>();

  constructor(source: Model, destination: Model, policy: CopyPolicy) {
    this.source = source;
    this.destination = destination;
    this.policy = policy;
  }

  refuse(path: string, message: string): void {
    this.reasons.push({ path, message });
  }

  private draft(): void {
    for (const [id, resource] of this.source.resources) {
      const name = displayName(resource.name);
      const mode = modeOf(this.policy, name);
      if (mode === 'exclude') continue;
      const counterpart = this.destination.resources.get(id);
      if (counterpart === undefined) {
        this.refuse(name, 'does not exist in the destination');
        continue;
      }
      if (identityOf(resource) !== identityOf(counterpart))
        this.refuse(name, 'has another identity in the destination');
      const tables = mapTables(resource, counterpart, this.policy.resources?.[name] ?? {}, (path, message) => {
        this.refuse(`${name} ${path}`, message);
      });
      this.drafts.set(id, { name, source: resource, destination: counterpart, tables, mode });
    }
    const known = new Set([...this.source.resources.values()].map((resource) => displayName(resource.name)));
    for (const name of Object.keys(this.policy.resources ?? {}))
      if (!known.has(name)) this.refuse(name, 'is named by the policy and does not exist in the source');
  }

  private dependencies(): Dependency[] {
    const all: Dependency[] = [];
    for (const [from, draft] of this.drafts) {
      const items = draft.tables.flatMap((table) => table.columns.map((item) => ({ table, value: item.value })));
      for (const { table, value } of items) {
        if (value.kind !== 'reference') continue;
        const { column } = value;
        const targets =
          column.descriptor === null
            ? column.reference === null
              ? []
              : targetsOf(this.source, column.reference.target)
            : targetsOf(this.source, column.descriptor);
        for (const target of targets) {
          const to = resourceId(target.name);
          if (this.drafts.has(to)) {
            all.push({ from, to, isIdentity: column.reference?.isIdentity === true });
          } else if (!value.optional && modeOf(this.policy, displayName(target.name)) === 'exclude') {
            this.refuse(
              `${draft.name} ${column.path}`,
              `refers to ${displayName(target.name)}, which does not travel; leave out the member or ${table.source.path}`,
            );
          }
        }
      }
    }
    return all;
  }

  /** Resources whose identity a hook changes, and what contains theirs. */
  private renamed(dependencies: readonly Dependency[]): ReadonlySet<string> {
    const renamed = new Set<string>();
    for (const [id, draft] of this.drafts) {
      const identity = new Set(draft.source.identity.map((element) => element.source.column));
      const [root] = draft.tables;
      for (const { source, value } of root?.columns ?? []) {
        if (source === null || !identity.has(source)) continue;
        if (value.kind === 'hook') renamed.add(id);
        if (value.kind === 'null')
          this.refuse(`${draft.name} ${source.path}`, 'is part of the identity and cannot be left out');
      }
    }
    for (let grew = true; grew;) {
      grew = false;
      for (const { from, to, isIdentity } of dependencies) {
        if (isIdentity && renamed.has(to) && !renamed.has(from)) {
          renamed.add(from);
          grew = true;
        }
      }
    }
    return renamed;
  }

  private dependents(resources: ReadonlyMap<string, PlannedResource>): PlannedDependent[] {
    return (this.policy.dependents ?? []).flatMap((rule) => {
      const resource = [...resources.values()].find((item) => item.name === rule.resource);
      if (resource === undefined) {
        if (modeOf(this.policy, rule.resource) !== 'exclude')
          this.refuse(rule.resource, 'is named as a dependent and does not travel');
        return [];
      }
      for (const { source } of resource.tables) {
        const column = source.columns.find((item) => item.kind === 'reference' && item.path === rule.reference);
        if (column !== undefined) return [{ resource, table: source, column }];
      }
      this.refuse(`${rule.resource} ${rule.reference}`, 'is named as a dependent and is no reference that travels');
      return [];
    });
  }

  private checkParameters(): void {
    for (const [name, value] of Object.entries(this.policy.parameters ?? {}))
      if (typeof value === 'number' && !Number.isFinite(value))
        this.refuse(`parameters.${name}`, 'must be a finite number');
  }

  private fingerprint(resources: readonly PlannedResource[], dependents: readonly PlannedDependent[]): string {
    const text = JSON.stringify([
      this.source.fingerprint,
      this.destination.fingerprint,
      resources.map((resource) => [
        resource.name,
        resource.mode,
        resource.onConflict,
        resource.tables.map((table) => [
          table.source.name,
          table.destination.name,
          table.filter?.(plainScope(this.policy)) ?? null,
          table.columns.map(({ destination, value }) => [
            destination.name,
            value.kind === 'hook' ? value.hook(plainScope(this.policy)) : value.kind,
            value.kind === 'reference' && value.optional,
          ]),
        ]),
      ]),
      dependents.map((rule) => [rule.resource.name, rule.column.path]),
    ]);
    return createHash('sha256').update(text).digest('hex');
  }

  compile(): CopyPlan {
    this.draft();
    this.checkParameters();
    const dependencies = this.dependencies();
    const levels = orderResources([...this.drafts.keys()], dependencies);
    const renamed = this.renamed(dependencies);
    const planned = new Map<string, PlannedResource>();
    for (const [id, draft] of this.drafts) {
      const level = levels.get(id) ?? 0;
      const isDeferred = (column: Column): boolean =>
        targetsOf(this.source, column.descriptor ?? column.reference?.target ?? draft.source.name).some(
          (target) => (levels.get(resourceId(target.name)) ?? -1) >= level,
        );
      const tables = draft.tables.map((table) => deferTable(table, isDeferred));
      const deferredPaths = new Set(tables.filter((table) => table.deferred).map((table) => table.source));
      const complete = draft.source.tables.every((table) => {
        const mapped = draft.tables.find((item) => item.source === table);
        const references = table.columns.filter((column) => column.reference !== null);
        return (
          references.length === 0 ||
          (mapped !== undefined &&
            mapped.filter === null &&
            references.every((column) =>
              mapped.columns.some(
                (item) => item.value.kind === 'reference' && item.value.column === column && !item.value.optional,
              ),
            ))
        );
      });
      planned.set(id, {
        name: draft.name,
        source: draft.source,
        destination: draft.destination,
        mode: draft.mode,
        onConflict: this.policy.resources?.[draft.name]?.onConflict ?? this.policy.onConflict ?? 'fail',
        level,
        recompute: renamed.has(id),
        // What hangs below a table that waits has to wait with it.
        tables: tables.map((table) => ({
          ...table,
          deferred: table.deferred || hasAncestor(table.source, deferredPaths),
        })),
        edgesComplete: complete,
      });
    }
    const dependents = this.dependents(planned);
    if (this.reasons.length > 0) {
      throw new CaseboundError(
        'copy_not_possible',
        `Records of the source cannot be copied to the destination: ${this.reasons
          .slice(0, 3)
          .map((reason) => `${reason.path} ${reason.message}`)
          .join('; ')}${this.reasons.length > 3 ? ` and ${this.reasons.length - 3} more reasons` : ''}.`,
        { errors: this.reasons },
      );
    }
    const resources = [...planned.values()].sort((a, b) => a.level - b.level);
    return {
      fingerprint: this.fingerprint(resources, dependents),
      source: this.source,
      destination: this.destination,
      policy: this.policy,
      resources,
      byName: planned,
      dependents,
    };
  }
}

const hasAncestor = (table: Table, among: ReadonlySet<Table>): boolean =>
  table.parent !== null && (among.has(table.parent) || hasAncestor(table.parent, among));

/** A root's reference that must wait is set later; a collection with one waits as a whole. */
const deferTable = (table: MappedTable, isDeferred: (column: Column) => boolean): MappedTable => {
  const waits = (item: MappedTable['columns'][number]): boolean =>
    item.value.kind === 'reference' && isDeferred(item.value.column);
  if (table.source.kind !== 'root') return { ...table, deferred: table.columns.some(waits) };
  return {
    ...table,
    columns: table.columns.map((item) =>
      item.value.kind === 'reference' ? { ...item, value: { ...item.value, deferred: waits(item) } } : item,
    ),
  };
};

const plainScope = (policy: CopyPolicy): Parameters<NonNullable<MappedTable['filter']>>[0] => ({
  value: 'value',
  documentId: 'id',
  column: (path) => path,
  parameter: (name) => parameterSql(policy, name),
  valueMap: (name) => `map ${name}`,
});

/**
 * Compiles a plan.
 * @throws `copy_not_possible` with every reason
 */
export const compileCopyPlan = (source: Model, destination: Model, policy: CopyPolicy): CopyPlan =>
  new Compiler(source, destination, policy).compile();
