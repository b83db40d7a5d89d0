/**
 * The SQL of a copy: one text per table and purpose, rendered from the plan once per job and kept.
 *
 * - `$1` is the job in every statement; in those of a chunk `$2` and `$3` bound its source ids, `$4` is the resource's key in the
 *   destination, `$5` the batch. A chunk's records are the inserted ones of the map within these bounds.
 * - A reference without an entry in the map becomes a negative id, which no record has: its foreign key then fails the chunk. A
 *   reference can not be lost silently, and no row pays for a check.
 */
import { documentColumn, keyColumns } from '../ddl/emit-ddl.ts';
import { type Column, type Resource, resourceId, type ResourceName, type Table } from '../derive/model.ts';
import { limitIdentifier, quoteIdentifier, quoteLiteral } from '../derive/naming.ts';
import { sqlType } from '../derive/scalar-type.ts';
import type { StoreContext } from '../store-context.ts';
import { type CopyPlan, mayJoin, type PlannedResource, targetsOf } from './compile-plan.ts';
import type { MappedColumn, MappedTable } from './map-tables.ts';
import { parameterSql, type RowScope, valueMapSql } from './policy.ts';

/** Rows of a table as the destination should have them: columns of the key first, then the mapped columns. */
export interface MappedRows {
  readonly columns: readonly string[];
  readonly expressions: readonly string[];
  /** FROM and WHERE. */
  readonly from: string;
}

/** Name of a staging table. */
export const stageName = (jobId: number, table: string): string =>
  limitIdentifier(`record_copy_stage_${jobId}_${table}`);

/** What the destination's server says once. */
export interface DestinationFacts {
  /** Sequence of document ids, as a quoted name. */
  readonly idSequence: string;
  /** PostgreSQL makes UUIDv7 itself (18 and later). */
  readonly hasUuidV7: boolean;
}

export class CopySql {
  readonly plan: CopyPlan;
  readonly facts: DestinationFacts;
  private readonly sourceStore: StoreContext;
  private readonly destination: StoreContext;
  private readonly stagedBy: number | null;
  private readonly memos = new Map<string, unknown>();

  /** `stagedBy` is the job whose staging tables stand for the source; null within one database. */
  constructor(
    plan: CopyPlan,
    sourceStore: StoreContext,
    destination: StoreContext,
    facts: DestinationFacts,
    stagedBy: number | null,
  ) {
    this.plan = plan;
    this.facts = facts;
    this.sourceStore = sourceStore;
    this.destination = destination;
    this.stagedBy = stagedBy;
  }

  memo<T>(key: string, make: () => T): T {
    if (!this.memos.has(key)) this.memos.set(key, make());
    return this.memos.get(key) as T;
  }

  /** A table of the destination. */
  own(table: string): string {
    return `${quoteIdentifier(this.destination.schema)}.${quoteIdentifier(table)}`;
  }

  /** A table of the source, or what stands for it. */
  source(table: string): string {
    return this.stagedBy === null
      ? `${quoteIdentifier(this.sourceStore.schema)}.${quoteIdentifier(table)}`
      : this.own(stageName(this.stagedBy, table));
  }

  sourceKey(name: ResourceName): number {
    return this.sourceStore.resourceKey(name);
  }

  ownKey(name: ResourceName): number {
    return this.destination.resourceKey(name);
  }

  /** What a hook sees of a row with the given alias. */
  scope(table: MappedTable, column: Column | null, alias: string): RowScope {
    const { policy } = this.plan;
    return {
      value: column === null ? 'NULL' : `${alias}.${quoteIdentifier(column.name)}`,
      documentId: `${alias}.${quoteIdentifier(documentColumn(table.source))}`,
      column: (path) => {
        const found = table.source.columns.find((item) => item.path === path && item.kind === 'scalar');
        return found === undefined ? 'NULL' : `${alias}.${quoteIdentifier(found.name)}`;
      },
      parameter: (name) => parameterSql(policy, name),
      valueMap: (name) => valueMapSql(this.destination.schema, name),
    };
  }

  /** `FROM` of a chunk's records, alias `m`. */
  get members(): string {
    return this.membersWith('i');
  }

  membersWith(action: 'i' | 'o'): string {
    return `(SELECT source_document_id, document_id, source_etag, referential_id, alias_id FROM ${this.own('record_copy_map')} WHERE job_id = $1 AND source_document_id BETWEEN $2 AND $3 AND resource_key_id = $4 AND batch = $5 AND action = '${action}') m`;
  }

  /** Those of which the source still is what was copied. */
  unchangedMembers(action: 'i' | 'o'): string {
    return `(SELECT m.* FROM ${this.membersWith(action)} JOIN ${this.source('document')} d ON d.document_id = m.source_document_id AND d.etag = m.source_etag) m`;
  }

  /** LEFT JOIN of the map entry of a source id. */
  mapJoin(alias: string, sourceId: string): string {
    return `LEFT JOIN ${this.own('record_copy_map')} ${alias} ON ${alias}.job_id = $1 AND ${alias}.source_document_id = ${sourceId}`;
  }

  private valueSql(table: MappedTable, item: MappedColumn, joins: string[], final: boolean): string {
    const { value } = item;
    const type = sqlType(item.destination.type);
    if (value.kind === 'null') return `NULL::${type}`;
    if (value.kind === 'hook') return `(${value.hook(this.scope(table, item.source, 't'))})::${type}`;
    const column = `t.${quoteIdentifier(value.column.name)}`;
    if (value.kind === 'copy') return column;
    const alias = `r${joins.length + 1}`;
    joins.push(this.mapJoin(alias, column));
    const mapped = value.optional ? `${alias}.document_id` : `coalesce(${alias}.document_id, -${column})`;
    if (!value.deferred || final) return mapped;
    const here = `${alias}.resource_key_id = $4 AND ${alias}.batch = $5 AND ${alias}.source_document_id BETWEEN $2 AND $3`;
    return `CASE WHEN ${alias}.action = 'j' OR ${alias}.action = 'i' AND NOT (${here}) THEN NULL ELSE ${mapped} END`;
  }

  /** The rows of a table of the chunk's records. `final`: as they are when deferred references are set too. */
  rows(resource: PlannedResource, table: MappedTable, final: boolean, members = this.members): MappedRows {
    const { source, destination } = table;
    if (source.name === 'descriptor' && resource.source.isDescriptor) return this.descriptorRows(resource, members);
    const joins: string[] = [];
    const values = table.columns.map((item) => this.valueSql(table, item, joins, final));
    const id = quoteIdentifier(documentColumn(source));
    const ordinals = source.ordinals.map((name) => `t.${quoteIdentifier(name)}`);
    const last = ordinals.at(-1);
    if (table.filter !== null && source.kind === 'collection' && source.valueKey === null && last !== undefined) {
      // Ordinals have no gaps.
      const outer = [`t.${id}`, ...ordinals.slice(0, -1)].join(', ');
      ordinals[ordinals.length - 1] = `(row_number() OVER (PARTITION BY ${outer} ORDER BY ${last}) - 1)::integer`;
    }
    const where = table.filter === null ? '' : ` WHERE (${table.filter(this.scope(table, null, 't'))}) IS TRUE`;
    const rows: MappedRows = {
      columns: [
        documentColumn(destination),
        ...destination.ordinals,
        ...table.columns.map((item) => item.destination.name),
      ],
      expressions: ['m.document_id', ...ordinals, ...values],
      from: `FROM ${members} JOIN ${this.source(source.name)} t ON t.${id} = m.source_document_id ${joins.join(' ')}${where}`,
    };
    return this.keyMayRepeat(table) ? this.distinctByKey(rows, destination) : rows;
  }

  /** Two rows of a collection may come to refer to one record, and to have the same key. */
  private keyMayRepeat(table: MappedTable): boolean {
    const target = table.source.valueKey?.reference?.target;
    if (target === undefined) return false;
    return targetsOf(this.plan.source, target).some((resource) => {
      const planned = this.plan.byName.get(resourceId(resource.name));
      return planned !== undefined && mayJoin(planned);
    });
  }

  private distinctByKey(rows: MappedRows, table: Table): MappedRows {
    const key = keyColumns(table).map(quoteIdentifier).join(', ');
    const order = [key, ...table.ordinals.slice(-1).map(quoteIdentifier)].join(', ');
    return {
      columns: rows.columns,
      expressions: rows.columns.map((name) => `u.${quoteIdentifier(name)}`),
      from: `FROM (SELECT DISTINCT ON (${key}) * FROM (${this.select(rows)}) w ORDER BY ${order}) u`,
    };
  }

  private descriptorRows(resource: PlannedResource, members: string): MappedRows {
    const copied = [
      'namespace',
      'code_value',
      'short_description',
      'description',
      'effective_begin_date',
      'effective_end_date',
      'uri',
    ];
    return {
      columns: ['document_id', ...copied, 'resource_key_id', 'discriminator'],
      expressions: [
        'm.document_id',
        ...copied.map((name) => `t.${name}`),
        '$4::smallint',
        quoteLiteral(resource.destination.name.resourceName),
      ],
      from: `FROM ${members} JOIN ${this.source('descriptor')} t ON t.document_id = m.source_document_id`,
    };
  }

  /** `SELECT` of mapped rows. */
  select(rows: MappedRows): string {
    const list = rows.columns.map((name, index) => `${rows.expressions[index] ?? 'NULL'} AS ${quoteIdentifier(name)}`);
    return `SELECT ${list.join(', ')} ${rows.from}`;
  }

  insert(table: Table, rows: MappedRows): string {
    return `INSERT INTO ${this.own(table.name)} (${rows.columns.map(quoteIdentifier).join(', ')}) SELECT ${rows.expressions.join(', ')} ${rows.from}`;
  }

  /** `SELECT parent, child, ident` of the edges that rows of the destination call for, of the records `members`; one row a pair. */
  expectedEdges(tables: readonly Table[], members: string): string | null {
    const selects = tables.flatMap((table) =>
      table.columns
        .filter((column) => column.reference !== null)
        .map((column) => {
          const owner = quoteIdentifier(documentColumn(table));
          const child = quoteIdentifier(column.name);
          return `SELECT x.${owner} AS parent, x.${child} AS child, ${String(column.reference?.isIdentity === true)} AS ident FROM c JOIN ${this.own(table.name)} x ON x.${owner} = c.document_id WHERE x.${child} IS NOT NULL`;
        }),
    );
    if (selects.length === 0) return null;
    return `WITH c AS MATERIALIZED (SELECT m.document_id FROM ${members}) SELECT parent, child, bool_or(ident) AS ident FROM (${selects.join(' UNION ALL ')}) e GROUP BY parent, child`;
  }

  insertEdges(tables: readonly Table[], members: string): string | null {
    const edges = this.expectedEdges(tables, members);
    return edges === null
      ? null
      : `INSERT INTO ${this.own('reference_edge')} (parent_document_id, child_document_id, is_identity_component) ${edges}`;
  }
}

/** Columns through which an identity contains those of other records. */
export const identityReferences = (resource: Resource): readonly Column[] => [
  ...new Set(
    resource.identity.flatMap((element) => (element.source.kind === 'reference' ? [element.source.column] : [])),
  ),
];
