/**
 * Brings a store from the schema it has to another one.
 *
 * - Additions (resources, columns, arrays, extensions) and wider types are applied; whatever could lose data, or rewrites a table
 *   under a lock, is refused unless it is named in `accept`, word for word as the refusal names it.
 * - Two phases: one short transaction with everything that needs no scan, foreign keys NOT VALID included; then, each by itself and
 *   repeatable, indexes built CONCURRENTLY and keys validated. A run that was interrupted is simply run again, or goes on to a schema
 *   that is newer yet: what the store still owes is done first.
 */
import { CaseboundError } from '@casebound/contract';
import { readEffectiveSchema } from '../ddl/provision.ts';
import {
  columnDdl,
  columnForeignKey,
  columnIndex,
  documentColumn,
  identityColumns,
  resourceConstraints,
  tableDdl,
  viewDdl,
} from '../ddl/emit-ddl.ts';
import { foreignKeyName, uniqueName } from '../derive/relation-names.ts';
import { modelManifest } from '../derive/manifest.ts';
import { type Column, displayName, type Model, type Resource, type Table } from '../derive/model.ts';
import { quoteIdentifier } from '../derive/naming.ts';
import { type RecordDatabase, settleAll } from '../session.ts';
import { dropResources, followChanges, refusedByRecords, updateKeys } from './follow-changes.ts';
import { compareManifests, describeChange, parseManifest, type SchemaChange } from './compare-manifests.ts';
import { identityKeys, identityRenewal, renewIdentities } from './renew-identities.ts';
import { outdatedIndexes, renewIndexes } from './renew-indexes.ts';
import { followDocuments, ownedKeys, renewRows, rowRenewal } from './renew-rows.ts';

export interface MigrationPlan {
  readonly changes: readonly SchemaChange[];
  /** Changes that must be accepted by name. */
  readonly refused: readonly string[];
  /** Statements of the first, transactional phase that take away; what comes after may use their names again. */
  readonly removals: readonly string[];
  /** Statements of the first phase that add and change. */
  readonly transactional: readonly string[];
  /** Statements of the second phase, each to run outside a transaction. */
  readonly online: readonly string[];
}

export interface MigrateOptions {
  /** Losses and rewrites that are accepted, as the refusal words them. */
  readonly accept?: readonly string[];
  readonly dryRun?: boolean;
}

/** Runs one statement outside a transaction; CREATE INDEX CONCURRENTLY needs it. */
export interface AutocommitSession {
  execute(text: string): Promise<void>;
}

const needsConsent = (change: SchemaChange): boolean => {
  switch (change.kind) {
    case 'add-resource':
    case 'add-table':
    case 'add-column':
      return false;
    case 'change-type':
      return change.safety !== 'online';
    case 'change-unique':
      return change.added.length > 0;
    default:
      return true;
  }
};

const impossible = (change: SchemaChange): boolean =>
  change.kind === 'change-identity' || change.kind === 'change-key' || change.kind === 'change-target';

class MigrationBuilder {
  readonly transactional: string[] = [];
  readonly online: string[] = [];
  private readonly model: Model;
  private readonly schema: string;
  private readonly byName: ReadonlyMap<string, Resource>;

  constructor(model: Model, schema: string) {
    this.model = model;
    this.schema = schema;
    this.byName = new Map([...model.resources.values()].map((resource) => [displayName(resource.name), resource]));
  }

  private qualified(name: string): string {
    return `${quoteIdentifier(this.schema)}.${quoteIdentifier(name)}`;
  }

  private locate(resourceName: string, tableName: string): { resource: Resource; table: Table } | null {
    const resource = this.byName.get(resourceName);
    const table = resource?.tables.find((candidate) => candidate.name === tableName);
    return resource === undefined || table === undefined ? null : { resource, table };
  }

  private column(resource: Resource, table: Table, column: Column): void {
    this.transactional.push(
      `ALTER TABLE ${this.qualified(table.name)} ADD COLUMN IF NOT EXISTS ${columnDdl(column, false)}`,
    );
    const key = columnForeignKey(this.model, this.schema, table, column);
    if (key !== null) {
      this.transactional.push(`${key} NOT VALID`);
      const name = quoteIdentifier(foreignKeyName(table, column));
      this.online.push(`ALTER TABLE ${this.qualified(table.name)} VALIDATE CONSTRAINT ${name}`);
    }
    const index = columnIndex(this.schema, table, column, new Set(identityColumns(resource).slice(0, 1)));
    if (index !== null) this.online.push(index.replace('CREATE INDEX ', 'CREATE INDEX CONCURRENTLY IF NOT EXISTS '));
  }

  apply(change: SchemaChange): void {
    switch (change.kind) {
      case 'add-resource': {
        const resource = this.byName.get(change.resource);
        if (resource === undefined || resource.isDescriptor) return;
        this.transactional.push(...resource.tables.map((table) => tableDdl(this.schema, table)));
        this.transactional.push(...resourceConstraints(this.model, this.schema, resource));
        return;
      }
      case 'add-table': {
        const found = this.locate(change.resource, change.table);
        if (found === null) return;
        this.transactional.push(tableDdl(this.schema, found.table));
        // The new table alone: `resourceConstraints` of a resource cut to it.
        const only: Resource = { ...found.resource, tables: [found.table] };
        const constraints = resourceConstraints(this.model, this.schema, only);
        this.transactional.push(...constraints.filter((sql) => sql.includes(`${quoteIdentifier(found.table.name)} `)));
        return;
      }
      case 'add-column': {
        const found = this.locate(change.resource, change.table);
        const column = found?.table.columns.find((candidate) => candidate.name === change.column);
        if (found !== null && column !== undefined) this.column(found.resource, found.table, column);
        return;
      }
      case 'change-type':
        this.transactional.push(
          `ALTER TABLE ${this.qualified(change.table)} ALTER COLUMN ${quoteIdentifier(change.column)} TYPE ${change.to} USING ${quoteIdentifier(change.column)}::${change.to}`,
        );
        return;
      case 'remove-column':
        this.transactional.push(
          `ALTER TABLE ${this.qualified(change.table)} DROP COLUMN IF EXISTS ${quoteIdentifier(change.column)}`,
        );
        return;
      case 'remove-table':
        this.transactional.push(`DROP TABLE IF EXISTS ${this.qualified(change.table)}`);
        return;
      case 'change-unique':
        this.unique(change);
        return;
      case 'remove-resource':
      case 'change-path':
      case 'change-target':
      case 'change-identity':
      case 'change-key':
        return;
    }
  }

  private unique(change: SchemaChange & { kind: 'change-unique' }): void {
    const found = this.locate(change.resource, change.table);
    if (found === null) return;
    const { table } = found;
    const alter = `ALTER TABLE ${this.qualified(table.name)}`;
    const count = Math.max(table.uniques.length, table.uniques.length + change.removed.length - change.added.length);
    for (let index = 0; index < count; index += 1) {
      this.transactional.push(`${alter} DROP CONSTRAINT IF EXISTS ${quoteIdentifier(uniqueName(table, index))}`);
    }
    table.uniques.forEach((unique, index) => {
      const columns = [documentColumn(table), ...table.ordinals.slice(0, -1), ...unique.columns]
        .map(quoteIdentifier)
        .join(', ');
      this.transactional.push(
        `${alter} ADD CONSTRAINT ${quoteIdentifier(uniqueName(table, index))} UNIQUE NULLS NOT DISTINCT (${columns})`,
      );
    });
  }

  views(): void {
    const names = [...this.model.abstracts.values()].map((view) => this.qualified(view.viewName));
    if (names.length > 0)
      this.transactional.push(`DROP VIEW IF EXISTS ${names.join(', ')} CASCADE`, ...viewDdl(this.model, this.schema));
  }
}

/** Plans the migration from a stored manifest to a model. */
export const planMigration = (
  stored: unknown,
  model: Model,
  schema: string,
  accept: readonly string[] = [],
): MigrationPlan => {
  const changes = compareManifests(parseManifest(stored), modelManifest(model));
  const blocked = changes.filter(impossible);
  const [first] = blocked;
  if (first !== undefined) {
    throw new CaseboundError(
      'schema_change_refused',
      `The new schema ${describeChange(first)}, which cannot be done to records that exist; copy them into a new store instead.`,
      {
        errors: blocked.map((change) => ({ path: '$', message: describeChange(change) })),
      },
    );
  }
  const refused = changes
    .filter((change) => needsConsent(change) && !accept.includes(describeChange(change)))
    .map(describeChange);
  const builder = new MigrationBuilder(model, schema);
  for (const change of changes) if (change.kind.startsWith('remove')) builder.apply(change);
  const removals = builder.transactional.splice(0);
  for (const change of changes) if (change.kind === 'change-unique') builder.apply(change);
  // Tables before the keys between them: resources first, then what is added to those that exist.
  const order = ['add-resource', 'add-table', 'add-column', 'change-type'];
  const additions = changes
    .filter((change) => order.includes(change.kind))
    .sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  for (const change of additions) builder.apply(change);
  const creates = builder.transactional.filter((sql) => sql.startsWith('CREATE TABLE'));
  const rest = builder.transactional.filter((sql) => !sql.startsWith('CREATE TABLE'));
  builder.transactional.length = 0;
  builder.transactional.push(...creates, ...rest);
  builder.views();
  return { changes, refused, removals, transactional: builder.transactional, online: builder.online };
};

/**
 * Migrates one store.
 * @returns what was (or, with `dryRun`, would be) changed, in words
 * @throws `schema_change_refused` naming what must be accepted, `store_not_provisioned`
 */
export const migrateStore = async (
  database: RecordDatabase,
  autocommit: AutocommitSession,
  model: Model,
  schema: string,
  options: MigrateOptions = {},
): Promise<readonly string[]> => {
  const outcome = await database.transaction(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`records provision ${schema}`]);
    const current = await readEffectiveSchema(tx, schema);
    if (current === null)
      throw new CaseboundError('store_not_provisioned', `There is no record store in the database schema ${schema}.`);
    const planned = planMigration(current.manifest, model, schema, options.accept);
    if (planned.refused.length > 0) {
      throw new CaseboundError(
        'schema_change_refused',
        `The new schema could lose data or rewrites tables: it ${planned.refused.slice(0, 5).join('; it ')}.`,
        {
          errors: planned.refused.map((message) => ({ path: '$', message })),
        },
      );
    }
    const outdated = (await outdatedIndexes(tx, model, schema)).map(({ words }) => words);
    if ((await identityKeys(tx, schema)).length > 0) outdated.push(identityRenewal);
    if ((await ownedKeys(tx, model, schema)).length > 0) outdated.push(rowRenewal);
    const done = { plan: planned, renewals: outdated };
    if (options.dryRun === true || current.fingerprint === model.fingerprint) return done;
    if (current.isOwing) return null;
    // Every write reads it before anything else: those at work end first, those that come later see the new schema and are refused.
    await tx.query(`LOCK TABLE ${quoteIdentifier(schema)}.effective_schema IN ACCESS EXCLUSIVE MODE`);
    const removed = planned.changes.flatMap((change) => (change.kind === 'remove-resource' ? [change.resource] : []));
    await updateKeys(tx, schema, model);
    await followDocuments(tx, model, schema);
    const drops = [...model.abstracts.values()].map(
      (view) => `${quoteIdentifier(schema)}.${quoteIdentifier(view.viewName)}`,
    );
    if (drops.length > 0) await tx.query(`DROP VIEW IF EXISTS ${drops.join(', ')} CASCADE`);
    const s = quoteIdentifier(schema);
    try {
      await settleAll(planned.removals.map(async (statement) => tx.query(statement)));
      await dropResources(tx, schema, current.manifest, removed);
      await settleAll(planned.transactional.map(async (statement) => tx.query(statement)));
    } catch (error) {
      throw refusedByRecords(error);
    }
    await followChanges(tx, model, schema, planned.changes);
    await tx.query(`DELETE FROM ${s}.document_cache`);
    await tx.query(`DELETE FROM ${s}.schema_component`);
    await tx.query(
      `INSERT INTO ${s}.schema_component (project_name, version, fingerprint) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])`,
      [
        model.components.map((item) => item.projectName),
        model.components.map((item) => item.version),
        model.components.map((item) => item.fingerprint),
      ],
    );
    await tx.query(
      `UPDATE ${s}.effective_schema SET fingerprint = $1, manifest = $2::jsonb, pending = $3::text[], applied_at = now()`,
      [model.fingerprint, JSON.stringify(modelManifest(model)), planned.online],
    );
    return done;
  });
  if (outcome === null) {
    await finishOnline(database, autocommit, schema);
    return migrateStore(database, autocommit, model, schema, options);
  }
  if (options.dryRun !== true) {
    await finishOnline(database, autocommit, schema);
    await renewIndexes(database, async (text) => autocommit.execute(text), model, schema);
    await renewIdentities(database, schema);
    await renewRows(database, model, schema);
  }
  return [...outcome.plan.changes.map(describeChange), ...outcome.renewals];
};

/**
 * Runs what migrations left for their second phase; each statement can be run again. What is done is taken off the list by itself, so
 * that nothing is lost which another run has added meanwhile.
 * @returns how many statements it ran
 */
export const finishOnline = async (
  database: RecordDatabase,
  autocommit: AutocommitSession,
  schema: string,
): Promise<number> => {
  const table = `${quoteIdentifier(schema)}.effective_schema`;
  const next = async (done: string | null): Promise<string | undefined> => {
    const { rows } = await database.transaction(async (tx) => {
      if (done !== null) await tx.query(`UPDATE ${table} SET pending = array_remove(pending, $1::text)`, [done]);
      return tx.query(`SELECT pending[1] AS statement FROM ${table} WHERE cardinality(pending) > 0`);
    });
    return rows[0] === undefined ? undefined : String(rows[0]['statement']);
  };
  let count = 0;
  for (let statement = await next(null); statement !== undefined; statement = await next(statement)) {
    const index = /^CREATE INDEX CONCURRENTLY IF NOT EXISTS ("(?:[^"]|"")+")/.exec(statement)?.[1];
    // A build that was interrupted leaves an invalid index of that name behind.
    if (index !== undefined) await autocommit.execute(`DROP INDEX IF EXISTS ${quoteIdentifier(schema)}.${index}`);
    await autocommit.execute(statement);
    count += 1;
  }
  return count;
};
