/**
 * What a migration does to rows: resource keys, records of resources that go, edges of references that go, etags.
 *
 * - Everything here runs in the migration's one transaction: a store is of one schema, with rows to match, or of the other.
 */
import { CaseboundError } from '@casebound/contract';
import { documentColumn, resourceKeyRows } from '../ddl/emit-ddl.ts';
import { displayName, type Model, type Resource } from '../derive/model.ts';
import { quoteIdentifier } from '../derive/naming.ts';
import { type RecordTransaction, sqlFailureOf } from '../session.ts';
import { parseManifest, type SchemaChange } from './compare-manifests.ts';

/** Adds the keys of new resources and brings versions up to date. A key that was given once stays with its name. */
export const updateKeys = async (tx: RecordTransaction, schema: string, model: Model): Promise<void> => {
  const table = `${quoteIdentifier(schema)}.resource_key`;
  const rows = resourceKeyRows(model);
  const values = [rows.map((row) => row.project), rows.map((row) => row.resource), rows.map((row) => row.version)];
  const given = 'unnest($1::text[], $2::text[], $3::text[]) AS u(p, r, v)';
  await tx.query(
    `UPDATE ${table} k SET resource_version = u.v FROM ${given} WHERE k.project_name = u.p AND k.resource_name = u.r AND k.resource_version <> u.v`,
    values,
  );
  await tx.query(
    `INSERT INTO ${table} (resource_key_id, project_name, resource_name, resource_version)
     SELECT (SELECT coalesce(max(resource_key_id), 0) FROM ${table}) + row_number() OVER (ORDER BY u.p, u.r), u.p, u.r, u.v
     FROM ${given} WHERE NOT EXISTS (SELECT 1 FROM ${table} k WHERE k.project_name = u.p AND k.resource_name = u.r)`,
    values,
  );
};

const splitName = (name: string): readonly [project: string, resource: string] => [
  name.slice(0, name.lastIndexOf('.')),
  name.slice(name.lastIndexOf('.') + 1),
];

/**
 * Removes tables and records of resources that the new schema does not have. Columns that referred to them are gone by then.
 * Fails (23503) where a reference of another kind, to an abstract resource or a descriptor, still leads to such a record.
 */
export const dropResources = async (
  tx: RecordTransaction,
  schema: string,
  stored: unknown,
  removed: readonly string[],
): Promise<void> => {
  if (removed.length === 0) return;
  const manifest = parseManifest(stored);
  const s = quoteIdentifier(schema);
  const tables = removed.flatMap((name) => manifest.resources[name]?.tables ?? []);
  // In one statement, because they may refer to each other.
  if (tables.length > 0)
    await tx.query(`DROP TABLE ${tables.map((table) => `${s}.${quoteIdentifier(table.name)}`).join(', ')}`);
  const values = [removed.map((name) => splitName(name)[0]), removed.map((name) => splitName(name)[1])];
  const documents = `SELECT d.document_id FROM ${s}.document d JOIN ${s}.resource_key k USING (resource_key_id) JOIN unnest($1::text[], $2::text[]) AS u(p, r) ON u.p = k.project_name AND u.r = k.resource_name`;
  for (const [table, column] of [
    ['reference_edge', 'parent_document_id'],
    ['authorization_closure', 'descendant_document_id'],
    ['authorization_closure', 'ancestor_document_id'],
    ['etag_bump', 'document_id'],
    ['document', 'document_id'],
  ])
    await tx.query(`DELETE FROM ${s}.${table} WHERE ${column} IN (${documents})`, values);
};

/** Resources whose records show something else after the changes. */
const shownOtherwise = (changes: readonly SchemaChange[]): ReadonlySet<string> =>
  new Set(
    changes.flatMap((change) => {
      switch (change.kind) {
        case 'remove-table':
        case 'remove-column':
        case 'change-type':
        case 'change-path':
          return [change.resource];
        default:
          return [];
      }
    }),
  );

const edgesThatRemain = (schema: string, resource: Resource): string => {
  const selects = resource.tables.flatMap((table) =>
    table.columns.flatMap((column) =>
      column.reference === null
        ? []
        : [
            `SELECT 1 FROM ${quoteIdentifier(schema)}.${quoteIdentifier(table.name)} x WHERE x.${quoteIdentifier(documentColumn(table))} = e.parent_document_id AND x.${quoteIdentifier(column.name)} = e.child_document_id`,
          ],
    ),
  );
  return selects.length === 0 ? 'SELECT 1 WHERE false' : selects.join(' UNION ALL ');
};

/**
 * Takes away the edges of references that are gone, and gives a new etag to the records whose JSON has changed by it: an etag
 * never stands for two bodies.
 */
export const followChanges = async (
  tx: RecordTransaction,
  model: Model,
  schema: string,
  changes: readonly SchemaChange[],
): Promise<void> => {
  const s = quoteIdentifier(schema);
  const touched = shownOtherwise(changes);
  for (const resource of model.resources.values()) {
    if (!touched.has(displayName(resource.name)) || resource.isDescriptor) continue;
    const key = `(SELECT resource_key_id FROM ${s}.resource_key WHERE project_name = $1 AND resource_name = $2)`;
    const values = [resource.name.projectName, resource.name.resourceName];
    await tx.query(
      `DELETE FROM ${s}.reference_edge e USING ${s}.document d WHERE d.document_id = e.parent_document_id AND d.resource_key_id = ${key} AND NOT EXISTS (${edgesThatRemain(schema, resource)})`,
      values,
    );
    await tx.query(
      `UPDATE ${s}.document SET etag = etag + 1, last_modified_at = now() WHERE resource_key_id = ${key}`,
      values,
    );
  }
};

/** What records that exist do not allow, as a refusal; any other failure as it is. */
export const refusedByRecords = (error: unknown): unknown => {
  const failure = sqlFailureOf(error);
  if (failure === null) return error;
  const reason =
    failure.sqlState === '23503'
      ? 'other records refer to records that the new schema has no place for; delete those first'
      : failure.sqlState === '23505'
        ? 'there are records that are not unique in the way that the new schema asks for'
        : failure.sqlState.startsWith('22')
          ? 'there are values that the new type of their column cannot hold'
          : null;
  if (reason === null) return error;
  const place = failure.table === null ? '' : ` (table ${failure.table})`;
  return new CaseboundError('schema_change_refused', `The store stays as it is: ${reason}${place}.`, { cause: error });
};
