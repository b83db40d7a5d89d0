/**
 * What separates the manifest a store was made with from the one it should have, as a list of single changes.
 *
 * - Every change says whether it can be applied online, and what it would lose when it cannot.
 */
import { z } from 'zod';
import type { ModelManifest, ResourceManifest, TableManifest } from '../derive/manifest.ts';

const tableForm = z.object({
  name: z.string(),
  kind: z.string(),
  path: z.string(),
  key: z.array(z.string()),
  columns: z.record(z.string(), z.string()),
  uniques: z.array(z.string()),
});
const manifestForm = z.object({
  components: z.record(z.string(), z.string()),
  resources: z.record(
    z.string(),
    z.object({
      identity: z.array(z.string()),
      alias: z.string().nullable(),
      allowIdentityUpdates: z.boolean(),
      tables: z.array(tableForm),
    }),
  ),
  abstracts: z.record(z.string(), z.array(z.string())),
});

export type SchemaChange =
  | { readonly kind: 'add-resource'; readonly resource: string }
  | { readonly kind: 'remove-resource'; readonly resource: string }
  | { readonly kind: 'add-table'; readonly resource: string; readonly table: string }
  | { readonly kind: 'remove-table'; readonly resource: string; readonly table: string }
  | { readonly kind: 'add-column'; readonly resource: string; readonly table: string; readonly column: string }
  | { readonly kind: 'remove-column'; readonly resource: string; readonly table: string; readonly column: string }
  | {
      readonly kind: 'change-type';
      readonly resource: string;
      readonly table: string;
      readonly column: string;
      readonly from: string;
      readonly to: string;
      readonly safety: 'online' | 'rewrite' | 'lossy';
    }
  | {
      readonly kind: 'change-unique';
      readonly resource: string;
      readonly table: string;
      readonly added: readonly string[];
      readonly removed: readonly string[];
    }
  | {
      /** The same table or column stands for another member: what is stored would be read as something else. */
      readonly kind: 'change-path';
      readonly resource: string;
      readonly table: string;
      readonly column: string | null;
      readonly from: string;
      readonly to: string;
    }
  | {
      /** A value becomes a reference, a reference a value, or leads to another resource. */
      readonly kind: 'change-target';
      readonly resource: string;
      readonly table: string;
      readonly column: string;
    }
  | { readonly kind: 'change-identity'; readonly resource: string }
  | { readonly kind: 'change-key'; readonly resource: string; readonly table: string };

/** Reads a stored manifest; a store of a version that kept none has none of it. */
export const parseManifest = (input: unknown): ModelManifest =>
  manifestForm.catch({ components: {}, resources: {}, abstracts: {} }).parse(input);

/** `numeric(5,2) $.price` or `reference Library.Author $.authorReference`: what it is, and where it stands. Paths begin with `$`. */
const partsOf = (text: string): { readonly type: string; readonly path: string } => {
  const at = text.indexOf(' $');
  return { type: text.slice(0, at), path: text.slice(at + 1) };
};

const isLink = (type: string): boolean => type.startsWith('reference ') || type.startsWith('descriptor ');

const numericForm = /^numeric(?:\((\d+)(?:,(\d+))?\))?$/;

const typeSafety = (from: string, to: string): 'online' | 'rewrite' | 'lossy' => {
  const [before, after] = [numericForm.exec(from), numericForm.exec(to)];
  if (after !== null && from === 'bigint') return after[1] === undefined ? 'rewrite' : 'lossy';
  if (before !== null && after !== null) {
    if (after[1] === undefined) return 'online';
    const sameScale = (before[2] ?? '0') === (after[2] ?? '0');
    if (before[1] !== undefined && sameScale && Number(after[1]) >= Number(before[1])) return 'online';
    const scaleGrows = Number(after[2] ?? 0) >= Number(before[2] ?? 0);
    const wholeGrows =
      Number(after[1]) - Number(after[2] ?? 0) >= Number(before[1] ?? Infinity) - Number(before[2] ?? 0);
    return scaleGrows && wholeGrows ? 'rewrite' : 'lossy';
  }
  if (to === 'text' && ['bigint', 'numeric', 'boolean', 'date', 'time'].some((kind) => from.startsWith(kind)))
    return 'rewrite';
  return 'lossy';
};

const compareColumn = (
  resource: string,
  table: string,
  column: string,
  before: string,
  after: string,
): readonly SchemaChange[] => {
  const [old, wanted] = [partsOf(before), partsOf(after)];
  const changes: SchemaChange[] = [];
  if (old.path !== wanted.path)
    changes.push({ kind: 'change-path', resource, table, column, from: old.path, to: wanted.path });
  if (old.type === wanted.type) return changes;
  if (isLink(old.type) || isLink(wanted.type)) return [...changes, { kind: 'change-target', resource, table, column }];
  const [from, to] = [old.type, wanted.type];
  return [...changes, { kind: 'change-type', resource, table, column, from, to, safety: typeSafety(from, to) }];
};

const compareTables = (resource: string, before: TableManifest, after: TableManifest): SchemaChange[] => {
  const changes: SchemaChange[] = [];
  const table = after.name;
  if (before.key.join() !== after.key.join() || before.kind !== after.kind)
    changes.push({ kind: 'change-key', resource, table });
  if (before.path !== after.path)
    changes.push({ kind: 'change-path', resource, table, column: null, from: before.path, to: after.path });
  for (const [column, text] of Object.entries(after.columns)) {
    const old = Object.hasOwn(before.columns, column) ? before.columns[column] : undefined;
    if (old === undefined) changes.push({ kind: 'add-column', resource, table, column });
    else changes.push(...compareColumn(resource, table, column, old, text));
  }
  for (const column of Object.keys(before.columns)) {
    if (!Object.hasOwn(after.columns, column)) changes.push({ kind: 'remove-column', resource, table, column });
  }
  const added = after.uniques.filter((unique) => !before.uniques.includes(unique));
  const removed = before.uniques.filter((unique) => !after.uniques.includes(unique));
  if (added.length + removed.length > 0) changes.push({ kind: 'change-unique', resource, table, added, removed });
  return changes;
};

const compareResources = (resource: string, before: ResourceManifest, after: ResourceManifest): SchemaChange[] => {
  const changes: SchemaChange[] = [];
  if (before.identity.join() !== after.identity.join() || before.alias !== after.alias)
    changes.push({ kind: 'change-identity', resource });
  const oldTables = new Map(before.tables.map((table) => [table.name, table]));
  for (const table of after.tables) {
    const old = oldTables.get(table.name);
    oldTables.delete(table.name);
    if (old === undefined) changes.push({ kind: 'add-table', resource, table: table.name });
    else changes.push(...compareTables(resource, old, table));
  }
  for (const table of oldTables.keys()) changes.push({ kind: 'remove-table', resource, table });
  return changes;
};

/** All changes from one manifest to another, in an order in which additions can be applied. */
export const compareManifests = (before: ModelManifest, after: ModelManifest): readonly SchemaChange[] => {
  const changes: SchemaChange[] = [];
  for (const [resource, manifest] of Object.entries(after.resources)) {
    const old = before.resources[resource];
    if (old === undefined) changes.push({ kind: 'add-resource', resource });
    else changes.push(...compareResources(resource, old, manifest));
  }
  for (const resource of Object.keys(before.resources)) {
    if (after.resources[resource] === undefined) changes.push({ kind: 'remove-resource', resource });
  }
  return changes;
};

/** One change in words. */
export const describeChange = (change: SchemaChange): string => {
  switch (change.kind) {
    case 'add-resource':
      return `adds the resource ${change.resource}`;
    case 'remove-resource':
      return `removes the resource ${change.resource}`;
    case 'add-table':
      return `adds the table ${change.table}`;
    case 'remove-table':
      return `removes the table ${change.table}`;
    case 'add-column':
      return `adds ${change.table}.${change.column}`;
    case 'remove-column':
      return `removes ${change.table}.${change.column}`;
    case 'change-type':
      return `changes ${change.table}.${change.column} from ${change.from} to ${change.to}`;
    case 'change-unique':
      return `changes what is unique in ${change.table}`;
    case 'change-path':
      return `reads ${change.column === null ? change.table : `${change.table}.${change.column}`} as ${change.to} instead of ${change.from}`;
    case 'change-target':
      return `changes what ${change.table}.${change.column} refers to`;
    case 'change-identity':
      return `changes the identity of ${change.resource}`;
    case 'change-key':
      return `changes the key of ${change.table}`;
  }
};

/** Differences for people; when tables do not differ, the components whose fingerprints do. */
export const describeDifference = (before: unknown, after: ModelManifest): readonly string[] => {
  const old = parseManifest(before);
  const changes = compareManifests(old, after).map(describeChange);
  if (changes.length > 0) return changes;
  return Object.entries(after.components)
    .filter(([name, text]) => old.components[name] !== text)
    .map(
      ([name, text]) =>
        `has other rules for ${name} with the same tables (version ${text.split(' ')[0]} here, ${old.components[name]?.split(' ')[0] ?? 'none'} in the store)`,
    );
};
