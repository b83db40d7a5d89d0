/**
 * The DDL of a model as a list of statements.
 *
 * - Deterministic: the same model gives the same text, byte for byte.
 * - Tables first, then foreign keys, indexes and views, so that no statement depends on a later one.
 */
import { allTables } from '../derive/derive-model.ts';
import { type Column, type Model, type Resource, resourceId, type Table } from '../derive/model.ts';
import { quoteIdentifier, quoteLiteral } from '../derive/naming.ts';
import {
  columnIndexName,
  foreignKeyName,
  identityConstraintName,
  primaryKeyName,
  uniqueName,
} from '../derive/relation-names.ts';
import { sqlType } from '../derive/scalar-type.ts';
import { IdentityJoins } from '../plan/identity-sql.ts';
import { modelManifest } from '../derive/manifest.ts';
import { infrastructureDdl, type InfrastructureOptions } from './infrastructure.ts';
import { documentColumn, keyColumns } from './key-columns.ts';
import { isOwned, listOwnedTables } from './owned-tables.ts';

export { documentColumn, keyColumns };

export const columnDdl = (column: Column, inKey: boolean): string =>
  `${quoteIdentifier(column.name)} ${sqlType(column.type)}${inKey ? ' NOT NULL' : ''}`;

export const tableDdl = (schema: string, table: Table): string => {
  const lines = [
    `${quoteIdentifier(documentColumn(table))} bigint NOT NULL`,
    ...table.ordinals.map((name) => `${quoteIdentifier(name)} integer NOT NULL`),
    ...table.columns.map((column) => columnDdl(column, column === table.valueKey)),
    `CONSTRAINT ${quoteIdentifier(primaryKeyName(table))} PRIMARY KEY (${keyColumns(table).map(quoteIdentifier).join(', ')})`,
  ];
  return `CREATE TABLE ${quoteIdentifier(schema)}.${quoteIdentifier(table.name)} (\n  ${lines.join(',\n  ')}\n)`;
};

/** Key of a nested collection to the row that it stands in; null where rows go with their document (`owned-tables.ts`). */
const parentForeignKey = (schema: string, table: Table): string | null => {
  if (table.parent === null || isOwned(table)) return null;
  const s = quoteIdentifier(schema);
  const parentKey = keyColumns(table.parent);
  const ownKey = [documentColumn(table), ...parentKey.slice(1)];
  return `ALTER TABLE ${s}.${quoteIdentifier(table.name)} ADD CONSTRAINT ${quoteIdentifier(foreignKeyName(table, null))} FOREIGN KEY (${ownKey.map(quoteIdentifier).join(', ')}) REFERENCES ${s}.${quoteIdentifier(table.parent.name)} (${parentKey.map(quoteIdentifier).join(', ')}) ON DELETE CASCADE`;
};

/** Foreign key of a reference or descriptor column; null for a scalar. */
export const columnForeignKey = (model: Model, schema: string, table: Table, column: Column): string | null => {
  if (column.kind === 'scalar') return null;
  const s = quoteIdentifier(schema);
  const concrete = column.reference === null ? undefined : model.resources.get(resourceId(column.reference.target));
  const target = column.kind === 'descriptor' ? 'descriptor' : (concrete?.root.name ?? 'document');
  const name = quoteIdentifier(foreignKeyName(table, column));
  return `ALTER TABLE ${s}.${quoteIdentifier(table.name)} ADD CONSTRAINT ${name} FOREIGN KEY (${quoteIdentifier(column.name)}) REFERENCES ${s}.${quoteIdentifier(target)} (document_id)`;
};

/**
 * Whether the index of a root's reference also holds the document's id: a list by what a caller may reach merges the records of each
 * reference in the order of ids, from the index alone. Where the identity begins with the reference there is no such index.
 */
export const isOrderedReference = (resource: Resource, column: Column): boolean =>
  isOrdered(resource.root, column) && column.indexed && !leadingColumns(resource, resource.root).has(column.name);

const isOrdered = (table: Table, column: Column): boolean => table.kind === 'root' && column.kind === 'reference';

/** Index that a foreign key's checks and a filter on the column use; null where a key of the table begins with the column. */
export const columnIndex = (
  schema: string,
  table: Table,
  column: Column,
  leading: ReadonlySet<string>,
): string | null => {
  if (!column.indexed || leading.has(column.name)) return null;
  const name = quoteIdentifier(columnIndexName(table, column));
  const partial =
    column.required && column.kind !== 'scalar' ? '' : ` WHERE ${quoteIdentifier(column.name)} IS NOT NULL`;
  const columns = [column.name, ...(isOrdered(table, column) ? [documentColumn(table)] : [])];
  return `CREATE INDEX ${name} ON ${quoteIdentifier(schema)}.${quoteIdentifier(table.name)} (${columns.map(quoteIdentifier).join(', ')})${partial}`;
};

/** Distinct columns of a resource's identity, in identity order. */
export const identityColumns = (resource: Resource): readonly string[] => [
  ...new Set(resource.identity.map((element) => element.source.column.name)),
];

const uniqueDdl = (schema: string, resource: Resource): readonly string[] => {
  const s = quoteIdentifier(schema);
  const list = (columns: readonly string[]): string => columns.map(quoteIdentifier).join(', ');
  const nested = resource.tables.flatMap((table) =>
    table.uniques.map(
      (unique, index) =>
        `ALTER TABLE ${s}.${quoteIdentifier(table.name)} ADD CONSTRAINT ${quoteIdentifier(uniqueName(table, index))} UNIQUE NULLS NOT DISTINCT (${list([documentColumn(table), ...table.ordinals.slice(0, -1), ...unique.columns])})`,
    ),
  );
  return [
    `ALTER TABLE ${s}.${quoteIdentifier(resource.root.name)} ADD CONSTRAINT ${quoteIdentifier(identityConstraintName(resource))} UNIQUE NULLS NOT DISTINCT (${list(identityColumns(resource))})`,
    ...nested,
  ];
};

const leadingColumns = (resource: Resource, table: Table): ReadonlySet<string> => {
  const [first] = identityColumns(resource);
  return new Set(table.kind === 'root' && first !== undefined ? [first] : []);
};

/** All statements beyond the bare tables of one resource, in the order they must run. */
export const resourceConstraints = (model: Model, schema: string, resource: Resource): readonly string[] => [
  ...resource.tables.map((table) => parentForeignKey(schema, table)).filter((sql) => sql !== null),
  ...uniqueDdl(schema, resource),
  ...resource.tables.flatMap((table) =>
    table.columns
      .map((column) => columnIndex(schema, table, column, leadingColumns(resource, table)))
      .filter((sql) => sql !== null),
  ),
  ...resource.tables.flatMap((table) =>
    table.columns.map((column) => columnForeignKey(model, schema, table, column)).filter((sql) => sql !== null),
  ),
];

const viewDdl = (model: Model, schema: string): readonly string[] => {
  const views = [...model.abstracts.values()].map((view) => {
    const selects = view.subclasses.map((subclass) => {
      const joins = new IdentityJoins(model, schema);
      const columns = view.columns.map((column, index) => {
        const own = subclass.alias?.elements[index]?.ownIndex ?? 0;
        return `${joins.element(subclass, 't', own).sql} AS ${quoteIdentifier(column.name)}`;
      });
      const from = `${quoteIdentifier(schema)}.${quoteIdentifier(subclass.root.name)} t`;
      return `SELECT t.document_id, ${columns.join(', ')} FROM ${[from, ...joins.joins].join(' ')}`;
    });
    return {
      view,
      sql: `CREATE OR REPLACE VIEW ${quoteIdentifier(schema)}.${quoteIdentifier(view.viewName)} AS\n${selects.join('\nUNION ALL\n')}`,
    };
  });
  // A view whose subclasses refer to another abstract resource needs that one's view first.
  const uses = (from: string, to: string): boolean =>
    from.includes(`${quoteIdentifier(schema)}.${quoteIdentifier(to)} `);
  return views
    .sort((a, b) => (uses(a.sql, b.view.viewName) ? 1 : uses(b.sql, a.view.viewName) ? -1 : 0))
    .map((entry) => entry.sql);
};

/** INSERTs of the resource keys, numbered by name from `first`. */
export const resourceKeyRows = (model: Model): readonly { project: string; resource: string; version: string }[] =>
  [
    ...[...model.resources.values()].map((resource) => ({
      project: resource.name.projectName,
      resource: resource.name.resourceName,
      version: resource.source.projectVersion,
    })),
    ...[...model.abstracts.values()].map((view) => ({
      project: view.name.projectName,
      resource: view.name.resourceName,
      version: model.components.find((component) => component.projectName === view.name.projectName)?.version ?? '',
    })),
  ].sort((a, b) => (`${a.project}\u0000${a.resource}` < `${b.project}\u0000${b.resource}` ? -1 : 1));

const seedDdl = (model: Model, schema: string): readonly string[] => {
  const s = quoteIdentifier(schema);
  const keys = resourceKeyRows(model).map(
    (row, index) =>
      `(${index + 1}, ${quoteLiteral(row.project)}, ${quoteLiteral(row.resource)}, ${quoteLiteral(row.version)})`,
  );
  const components = model.components.map(
    (item) => `(${quoteLiteral(item.projectName)}, ${quoteLiteral(item.version)}, ${quoteLiteral(item.fingerprint)})`,
  );
  return [
    `INSERT INTO ${s}.resource_key (resource_key_id, project_name, resource_name, resource_version) VALUES\n  ${keys.join(',\n  ')}`,
    ...listOwnedTables(model, schema),
    `INSERT INTO ${s}.schema_component (project_name, version, fingerprint) VALUES\n  ${components.join(',\n  ')}`,
    `INSERT INTO ${s}.effective_schema (fingerprint, manifest) VALUES (${quoteLiteral(model.fingerprint)}, ${quoteLiteral(JSON.stringify(modelManifest(model)))}::jsonb)`,
  ];
};

/** Every statement that makes an empty store of a model in an existing database schema. */
export const emitDdl = (
  model: Model,
  schema: string,
  options: InfrastructureOptions = { edgePartitions: 1 },
): readonly string[] => {
  const resources = [...model.resources.values()].filter((resource) => !resource.isDescriptor);
  return [
    ...infrastructureDdl(schema, options),
    ...allTables(model).map((table) => tableDdl(schema, table)),
    ...resources.flatMap((resource) => resourceConstraints(model, schema, resource)),
    ...viewDdl(model, schema),
    ...seedDdl(model, schema),
  ];
};

export { viewDdl };
