/**
 * How documents of a resource become rows, compiled once: where each member goes, so that no document looks for a column's place.
 *
 * - Paths stay templates (`$.addresses[*].city`); they are written out only for what is wrong.
 */
import {
  type Column,
  type Member,
  type ReferenceBinding,
  type Resource,
  resourceId,
  type ResourceName,
  type ScalarType,
  type Table,
} from '../derive/model.ts';

export interface FlatTable {
  readonly table: Table;
  /** Place among the tables of its resource, parents before children. */
  readonly at: number;
  readonly members: FlatMembers;
  /** Places of the columns that hold references or descriptors; most tables have none. */
  readonly referring: readonly number[];
}

/** Members of an object by name. */
export type FlatMembers = ReadonlyMap<string, FlatMember>;

/** A member; `at` is the place of its column in its table, `path` the template of its place. */
export type FlatMember =
  | {
      readonly kind: 'scalar';
      readonly name: string;
      readonly path: string;
      readonly at: number;
      readonly type: ScalarType;
    }
  | {
      readonly kind: 'descriptor';
      readonly name: string;
      readonly path: string;
      readonly at: number;
      readonly target: ResourceName | null;
    }
  | {
      readonly kind: 'reference';
      readonly name: string;
      readonly path: string;
      readonly at: number;
      readonly binding: ReferenceBinding;
      readonly target: ResourceName;
    }
  | { readonly kind: 'object'; readonly name: string; readonly path: string; readonly members: FlatMembers }
  | {
      readonly kind: 'collection' | 'extension';
      readonly name: string;
      readonly path: string;
      readonly table: FlatTable;
    };

export interface FlatIdentity {
  readonly path: string;
  /** Members from the document to the value. */
  readonly names: readonly string[];
  readonly type: ScalarType;
  readonly isDescriptor: boolean;
  /** The value is part of a reference, whose own members are checked with it. */
  readonly isReference: boolean;
}

export interface FlatPlan {
  readonly resource: Resource;
  readonly name: ResourceName;
  /** Of its superclass; null where it has none. */
  readonly aliasName: ResourceName | null;
  readonly root: FlatTable;
  readonly tables: readonly FlatTable[];
  readonly tableOf: ReadonlyMap<Column, FlatTable>;
  readonly identity: readonly FlatIdentity[];
}

/** Tables that hold a document of the resource, parents before children; for a descriptor the shared table. */
export const flatTables = (resource: Resource): readonly Table[] =>
  resource.isDescriptor ? [resource.root] : resource.tables;

const text: ScalarType = { kind: 'text' };

const identityOf = (resource: Resource): FlatIdentity[] =>
  resource.identity.map(({ path, source }) => {
    const names = path.slice(2).split('.');
    if (source.kind === 'descriptor') return { path, names, type: text, isDescriptor: true, isReference: false };
    if (source.kind === 'scalar')
      return { path, names, type: source.column.type, isDescriptor: false, isReference: false };
    const element = source.binding.elements[source.elementIndex];
    const isDescriptor = element?.isDescriptor ?? false;
    return { path, names, type: element?.type ?? text, isDescriptor, isReference: true };
  });

/** One object for each name: what is found by a name is then found by the object, and no text is made for it. */
export type OneName = (name: ResourceName) => ResourceName;

export const oneNameEach = (): OneName => {
  const names = new Map<string, ResourceName>();
  return (name) => {
    const key = resourceId(name);
    const known = names.get(key) ?? name;
    names.set(key, known);
    return known;
  };
};

/** Compiles the plan of one resource. Plans of one store share `oneName`. */
export const compileFlatPlan = (resource: Resource, oneName: OneName): FlatPlan => {
  const places = new Map(flatTables(resource).map((table, at) => [table, at]));
  const tables: FlatTable[] = [];
  const tableOf = new Map<Column, FlatTable>();
  const membersOf = (members: readonly Member[], table: Table, path: string): FlatMembers =>
    new Map(members.map((member) => [member.name, memberOf(member, table, `${path}.${member.name}`)]));
  const memberOf = (member: Member, table: Table, place: string): FlatMember => {
    const { name } = member;
    switch (member.kind) {
      case 'object':
        return { kind: 'object', name, path: place, members: membersOf(member.members, table, place) };
      case 'collection':
      case 'extension':
        return { kind: member.kind, name, path: place, table: tableAt(member.table) };
      case 'scalar':
        return {
          kind: 'scalar',
          name,
          path: place,
          at: table.columns.indexOf(member.column),
          type: member.column.type,
        };
      case 'descriptor': {
        const at = table.columns.indexOf(member.column);
        return {
          kind: 'descriptor',
          name,
          path: place,
          at,
          target: member.column.descriptor === null ? null : oneName(member.column.descriptor),
        };
      }
      case 'reference': {
        const at = table.columns.indexOf(member.column);
        return {
          kind: 'reference',
          name,
          path: place,
          at,
          binding: member.binding,
          target: oneName(member.binding.target),
        };
      }
    }
  };
  const tableAt = (table: Table): FlatTable => {
    const at = places.get(table) ?? 0;
    const planned: FlatTable = {
      table,
      at,
      members: membersOf(table.members, table, table.path),
      referring: table.columns.flatMap((column, index) => (column.kind === 'scalar' ? [] : [index])),
    };
    tables[at] = planned;
    for (const column of table.columns) tableOf.set(column, planned);
    return planned;
  };
  return {
    resource,
    name: oneName(resource.name),
    aliasName: resource.alias === null ? null : oneName(resource.alias.target),
    root: tableAt(resource.root),
    tables,
    tableOf,
    identity: identityOf(resource),
  };
};
