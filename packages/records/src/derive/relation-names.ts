/**
 * Names of what stands beside tables in a store's database schema: keys, indexes, constraints, and the store's own tables.
 *
 * - Tables, views and indexes share one namespace. A table's name holds `__` where a member follows; names here hold `___`, so a
 *   collection named `identity` is not the index of an identity. What still meets (names cut to 63 bytes) is refused at load.
 */
import type { Column, Resource, Table } from './model.ts';
import { limitIdentifier } from './naming.ts';

/** Tables every store has, and the indexes and sequences that PostgreSQL and the store make beside them. */
const infrastructure = [
  'resource_key',
  'document',
  'referential_identity',
  'descriptor',
  'reference_edge',
  'document_cache',
  'effective_schema',
  'schema_component',
  'etag_bump',
  'bulk_stage',
  'audit_progress',
  'authorization_closure',
  'owned_table',
] as const;
const infrastructureIndexes = [
  'resource_key_project_name_resource_name_key',
  'document_document_id_seq',
  'document_document_uuid_key',
  'referential_identity_document',
  'descriptor_resource',
  'descriptor_code_value',
  'descriptor_identity',
  'reference_edge_child',
  'reference_edge_identity',
  'authorization_closure_ancestor',
] as const;

const reserved: ReadonlySet<string> = new Set([
  ...infrastructure,
  ...infrastructure.map((name) => `${name}_pkey`),
  ...infrastructureIndexes,
]);

/** Whether a table of this name would meet something of the store itself; partitions of the edges have numbers, copies have staging. */
export const isReservedName = (name: string): boolean =>
  reserved.has(name) || /^reference_edge_\d/.test(name) || name.startsWith('record_copy_');

export const primaryKeyName = (table: Table): string => limitIdentifier(`${table.name}___key`);

export const identityConstraintName = (resource: Pick<Resource, 'root'>): string =>
  limitIdentifier(`${resource.root.name}___identity`);

export const uniqueName = (table: Table, index: number): string =>
  limitIdentifier(`${table.name}___unique_${index + 1}`);

export const columnIndexName = (table: Table, column: Column): string =>
  limitIdentifier(`${table.name}___${column.name}`);

/** Names of constraints that have no index; they need to be unique within their table only. */
export const foreignKeyName = (table: Table, column: Column | null): string =>
  limitIdentifier(`${table.name}___${column === null ? 'parent' : column.name}___fk`);

/** Every name that a table of a resource takes in the namespace of relations. */
export const relationNames = (table: Table): readonly string[] => [
  table.name,
  primaryKeyName(table),
  ...(table.kind === 'root' ? [identityConstraintName({ root: table })] : []),
  ...table.uniques.map((_, index) => uniqueName(table, index)),
  ...table.columns.filter((column) => column.indexed).map((column) => columnIndexName(table, column)),
];
