/** The derived model as plain data: what a store remembers of its schema, what `migrate` compares, what a test pins. */
import type { Model, Table } from './model.ts';
import { displayName } from './model.ts';
import { sqlType } from './scalar-type.ts';

export interface TableManifest {
  readonly name: string;
  readonly kind: string;
  readonly path: string;
  readonly key: readonly string[];
  readonly columns: Readonly<Record<string, string>>;
  readonly uniques: readonly string[];
}

export interface ResourceManifest {
  readonly identity: readonly string[];
  readonly alias: string | null;
  readonly allowIdentityUpdates: boolean;
  readonly tables: readonly TableManifest[];
}

export interface ModelManifest {
  readonly components: Readonly<Record<string, string>>;
  readonly resources: Readonly<Record<string, ResourceManifest>>;
  readonly abstracts: Readonly<Record<string, readonly string[]>>;
}

const columnText = (table: Table, index: number): string => {
  const column = table.columns[index];
  if (column === undefined) return '';
  if (column.reference !== null) return `reference ${displayName(column.reference.target)} ${column.path}`;
  if (column.descriptor !== null) return `descriptor ${displayName(column.descriptor)} ${column.path}`;
  return `${sqlType(column.type)} ${column.path}`;
};

const tableManifest = (table: Table): TableManifest => ({
  name: table.name,
  kind: table.kind,
  path: table.path,
  key: table.valueKey === null ? table.ordinals : [...table.ordinals.slice(0, -1), table.valueKey.name],
  columns: Object.fromEntries(table.columns.map((column, index) => [column.name, columnText(table, index)])),
  uniques: table.uniques.map((unique) => unique.columns.join(', ')),
});

/** The manifest of a model; key order is that of the model, which is stable. */
export const modelManifest = (model: Model): ModelManifest => ({
  components: Object.fromEntries(
    model.components.map((item) => [item.projectName, `${item.version} ${item.fingerprint}`]),
  ),
  resources: Object.fromEntries(
    [...model.resources.values()].map((resource) => [
      displayName(resource.name),
      {
        identity: resource.identity.map((element) => element.path),
        alias: resource.alias === null ? null : displayName(resource.alias.target),
        allowIdentityUpdates: resource.allowIdentityUpdates,
        tables: resource.tables.map(tableManifest),
      },
    ]),
  ),
  abstracts: Object.fromEntries(
    [...model.abstracts.values()].map((view) => [
      displayName(view.name),
      view.subclasses.map((subclass) => displayName(subclass.name)),
    ]),
  ),
});
