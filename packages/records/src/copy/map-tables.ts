/**
 * Maps the tables and columns of a resource from one model to another, by JSON path, as far as the policy lets them travel.
 */
import type { Column, Resource, Table } from '../derive/model.ts';
import { displayName } from '../derive/model.ts';
import type { ColumnHook, ReferenceRule, ResourcePolicy, RowHook } from './policy.ts';

export type MappedValue =
  | { readonly kind: 'copy'; readonly column: Column }
  /** A document id of the source, translated by the identity map. Where it is optional, it goes when its target does not travel. */
  | { readonly kind: 'reference'; readonly column: Column; readonly optional: boolean; readonly deferred: boolean }
  | { readonly kind: 'hook'; readonly hook: ColumnHook }
  | { readonly kind: 'null' };

export interface MappedColumn {
  /** Null for a column that only the destination has. */
  readonly source: Column | null;
  readonly destination: Column;
  readonly value: MappedValue;
}

export interface MappedTable {
  readonly source: Table;
  readonly destination: Table;
  readonly columns: readonly MappedColumn[];
  readonly filter: RowHook | null;
  /** Written when all levels are done, because it refers to records of its own level or a later one. */
  readonly deferred: boolean;
}

type Refuse = (path: string, message: string) => void;

const sizeOf = (column: Column): readonly [number, number] => {
  if (column.type.kind !== 'numeric') return [0, 0];
  const { precision, scale } = column.type;
  if (precision === null) return [Infinity, Infinity];
  return [precision - (scale ?? 0), scale ?? 0];
};

/** Every value of `from` can be kept in `to`, unchanged. */
const fits = (from: Column, to: Column): boolean => {
  if (from.type.kind !== to.type.kind)
    return from.type.kind === 'bigint' && to.type.kind === 'numeric' && sizeOf(to)[0] >= 19;
  const [a, b] = [sizeOf(from), sizeOf(to)];
  return a[0] <= b[0] && a[1] <= b[1];
};

const mapColumn = (
  from: Column,
  to: Column,
  rule: ColumnHook | ReferenceRule | undefined,
  refuse: Refuse,
): MappedColumn | null => {
  if (rule === 'null') {
    if (to.required) refuse(from.path, 'is required by the destination and cannot be left out');
    return { source: from, destination: to, value: { kind: 'null' } };
  }
  if (from.kind !== to.kind) {
    refuse(from.path, `is a ${from.kind} in the source and a ${to.kind} in the destination`);
    return null;
  }
  if (from.kind === 'scalar') {
    if (rule === 'ifCopied') refuse(from.path, 'is no reference');
    if (typeof rule === 'function') return { source: from, destination: to, value: { kind: 'hook', hook: rule } };
    if (!fits(from, to))
      refuse(from.path, `of type ${from.type.kind} does not fit into the destination's ${to.type.kind}`);
    return { source: from, destination: to, value: { kind: 'copy', column: from } };
  }
  const target = (column: Column): string => {
    const name = column.descriptor ?? column.reference?.target;
    return name === undefined ? '' : displayName(name);
  };
  if (typeof rule === 'function') refuse(from.path, 'is a reference, which can be left out but not replaced');
  if (rule === 'ifCopied' && (to.required || from.reference?.isIdentity === true))
    refuse(from.path, 'is required, so what it refers to must travel');
  if (target(from) !== target(to))
    refuse(from.path, `refers to ${target(from)} in the source and to ${target(to)} in the destination`);
  return {
    source: from,
    destination: to,
    value: { kind: 'reference', column: from, optional: rule === 'ifCopied', deferred: false },
  };
};

const mapColumns = (
  source: Table,
  destination: Table,
  policy: ResourcePolicy,
  refuse: Refuse,
): readonly MappedColumn[] => {
  const mapped: MappedColumn[] = [];
  for (const from of source.columns) {
    const rule = policy.columns?.[from.path];
    const to = destination.columns.find((column) => column.path === from.path);
    if (to === undefined) {
      if (rule !== 'null') refuse(from.path, 'has no place in the destination; leave it out or add it there');
      continue;
    }
    if (rule === 'null' && from === source.valueKey)
      refuse(from.path, 'is the key of its collection; leave the collection out');
    const column = mapColumn(from, to, rule, refuse);
    if (column !== null) mapped.push(column);
  }
  for (const to of destination.columns) {
    if (source.columns.some((column) => column.path === to.path)) continue;
    const rule = policy.columns?.[to.path];
    if (typeof rule === 'function' && to.kind === 'scalar')
      mapped.push({ source: null, destination: to, value: { kind: 'hook', hook: rule } });
    else if (to.required) refuse(to.path, 'is required by the destination and unknown to the source; give it a value');
  }
  return mapped;
};

const checkShape = (source: Table, destination: Table, refuse: Refuse): void => {
  if (source.kind !== destination.kind || source.ordinals.length !== destination.ordinals.length)
    refuse(source.path, 'is nested in another way in the destination');
  if (source.valueKey?.path !== destination.valueKey?.path) refuse(source.path, 'has another key in the destination');
  const uniques = (table: Table): Set<string> =>
    new Set(table.uniques.map((unique) => [...unique.paths].sort().join()));
  const known = uniques(source);
  for (const unique of uniques(destination))
    if (!known.has(unique))
      refuse(source.path, `must be unique by ${unique} in the destination and need not in the source`);
};

/** `$.labels` and `$.labels[*]` both name the collection. */
const ruleOf = (policy: ResourcePolicy, table: Table): RowHook | 'exclude' | undefined =>
  policy.rows?.[table.path] ?? policy.rows?.[table.path.replace(/\[\*\]$/, '')];

const checkNames = (source: Resource, destination: Resource, policy: ResourcePolicy, refuse: Refuse): void => {
  const tables = source.isDescriptor ? [source.root] : source.tables;
  const columns = new Set(
    [...tables, ...destination.tables].flatMap((table) => table.columns.map((column) => column.path)),
  );
  for (const path of Object.keys(policy.columns ?? {}))
    if (!columns.has(path)) refuse(path, 'is named by the policy and is no column');
  const paths = new Set(
    tables.filter((table) => table.kind !== 'root').flatMap((table) => [table.path, table.path.replace(/\[\*\]$/, '')]),
  );
  for (const path of Object.keys(policy.rows ?? {}))
    if (!paths.has(path)) refuse(path, 'is named by the policy and is no collection or extension');
};

/** The mapping of a resource; what cannot be mapped goes to `refuse`. */
export const mapTables = (
  source: Resource,
  destination: Resource,
  policy: ResourcePolicy,
  refuse: Refuse,
): readonly MappedTable[] => {
  checkNames(source, destination, policy, refuse);
  if (source.isDescriptor) {
    if (Object.keys(policy.columns ?? {}).length > 0) refuse('$', 'is a descriptor, which travels as it is');
    return [{ source: source.root, destination: destination.root, columns: [], filter: null, deferred: false }];
  }
  const excluded = new Set<Table>();
  return source.tables.flatMap((table): MappedTable[] => {
    const rule = ruleOf(policy, table);
    if (rule === 'exclude' || (table.parent !== null && excluded.has(table.parent))) {
      excluded.add(table);
      return [];
    }
    const counterpart = destination.tables.find((item) => item.path === table.path);
    if (counterpart === undefined) {
      refuse(table.path, 'has no place in the destination; leave it out or add it there');
      return [];
    }
    if (rule !== undefined && table.children.length > 0)
      refuse(table.path, 'has collections of its own, so its rows cannot be filtered; leave it out whole');
    checkShape(table, counterpart, refuse);
    const columns = mapColumns(table, counterpart, policy, refuse);
    return [{ source: table, destination: counterpart, columns, filter: rule ?? null, deferred: false }];
  });
};
