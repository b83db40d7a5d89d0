/**
 * Brings the source's rows into staging tables of the destination when it lies in another database; the statements of the copy then
 * read those.
 *
 * - One snapshot of the source (REPEATABLE READ) and one transaction of the destination: staging is whole or not there.
 * - Rows go from COPY to COPY in binary, with backpressure; memory is a few buffers, whatever their number.
 * - Staging tables are unlogged. A server that crashed has emptied them, which the marker shows; they are then made again.
 * - What is staged is everything that the selection can lead to, were nothing in the destination yet.
 */
import { pipeline } from 'node:stream/promises';
import { CaseboundError } from '@casebound/contract';
import { documentColumn, keyColumns } from '../ddl/emit-ddl.ts';
import type { Table } from '../derive/model.ts';
import { quoteIdentifier } from '../derive/naming.ts';
import { sqlType } from '../derive/scalar-type.ts';
import { stageName } from './copy-sql.ts';
import { expansionSelects } from './map-sql.ts';
import {
  inDestination,
  type CopyAcross,
  type CopyState,
  parseState,
  type RecordCopy,
  type StreamingTransaction,
} from './open-copy.ts';

interface StagedTable {
  readonly name: string;
  readonly columns: readonly (readonly [name: string, type: string])[];
  /** Column by which rows belong to a document. */
  readonly owner: string;
  readonly key: readonly string[];
}

const infrastructure: readonly StagedTable[] = [
  {
    name: 'document',
    columns: [
      ['document_id', 'bigint'],
      ['document_uuid', 'uuid'],
      ['resource_key_id', 'smallint'],
      ['etag', 'bigint'],
    ],
    owner: 'document_id',
    key: ['document_id'],
  },
  {
    name: 'referential_identity',
    columns: [
      ['referential_id', 'uuid'],
      ['document_id', 'bigint'],
      ['resource_key_id', 'smallint'],
    ],
    owner: 'document_id',
    key: ['document_id', 'resource_key_id'],
  },
  {
    name: 'reference_edge',
    columns: [
      ['parent_document_id', 'bigint'],
      ['child_document_id', 'bigint'],
      ['is_identity_component', 'boolean'],
    ],
    owner: 'parent_document_id',
    key: ['parent_document_id', 'child_document_id'],
  },
  {
    name: 'descriptor',
    columns: [
      ['document_id', 'bigint'],
      ['namespace', 'text'],
      ['code_value', 'text'],
      ['short_description', 'text'],
      ['description', 'text'],
      ['effective_begin_date', 'date'],
      ['effective_end_date', 'date'],
      ['uri', 'text'],
    ],
    owner: 'document_id',
    key: ['document_id'],
  },
];

const staged = (table: Table): StagedTable => ({
  name: table.name,
  columns: [
    [documentColumn(table), 'bigint'],
    ...table.ordinals.map((name) => [name, 'integer'] as const),
    ...table.columns.map((column) => [column.name, sqlType(column.type)] as const),
  ],
  owner: documentColumn(table),
  key: keyColumns(table),
});

const stagedTables = (copy: RecordCopy): readonly StagedTable[] => [
  ...infrastructure,
  ...copy.plan.resources
    .filter((resource) => !resource.source.isDescriptor)
    .flatMap((resource) => resource.tables.map((table) => staged(table.source))),
];

const member = 'pg_temp.record_copy_member';
const markerName = (copy: RecordCopy): string => copy.sql.own(stageName(copy.jobId, 'marker'));

/** Streams the rows of a SELECT of one database into a table of the other. */
const stream = async (
  from: StreamingTransaction,
  select: string,
  to: StreamingTransaction,
  table: string,
  columns: readonly string[],
): Promise<void> => {
  await pipeline(
    from.copyTo(`COPY (${select}) TO STDOUT (FORMAT binary)`),
    to.copyFrom(`COPY ${table} (${columns.map(quoteIdentifier).join(', ')}) FROM STDIN (FORMAT binary)`),
  );
};

/** Fills the temporary table of members: the selection, what is mapped already, and all they lead to. */
const collectMembers = async (
  copy: RecordCopy,
  source: StreamingTransaction,
  destination: StreamingTransaction,
): Promise<void> => {
  const { plan, sql } = copy;
  const own = (name: string): string => `${quoteIdentifier(copy.source.schema)}.${quoteIdentifier(name)}`;
  const keys = plan.resources.map((resource) => sql.sourceKey(resource.source.name)).join(', ');
  await source.query(`CREATE TEMPORARY TABLE record_copy_start (id bigint) ON COMMIT DROP`);
  await source.query(
    `CREATE TEMPORARY TABLE record_copy_member (source_document_id bigint PRIMARY KEY, resource_key_id smallint NOT NULL, generation integer NOT NULL) ON COMMIT DROP`,
  );
  const start = `SELECT source_document_id FROM ${sql.own('record_copy_selection')} WHERE job_id = ${copy.jobId} UNION SELECT source_document_id FROM ${sql.own('record_copy_map')} WHERE job_id = ${copy.jobId}`;
  await stream(destination, start, source, 'pg_temp.record_copy_start', ['id']);
  const add = async (ids: string, generation: number): Promise<number> => {
    const { rowCount } = await source.query(
      `INSERT INTO ${member} SELECT d.document_id, d.resource_key_id, $1::integer FROM (${ids}) n JOIN ${own('document')} d ON d.document_id = n.id WHERE d.resource_key_id IN (${keys}) AND NOT EXISTS (SELECT 1 FROM ${member} o WHERE o.source_document_id = d.document_id)`,
      [generation],
    );
    await source.query(`ANALYZE ${member}`);
    return rowCount ?? 0;
  };
  const selects = expansionSelects(plan, plan.resources, {
    table: own,
    key: (resource) => sql.sourceKey(resource.source.name),
    // Which rows stay behind is decided in the destination, where the value maps are.
    filter: () => null,
  });
  let added = await add('SELECT id FROM pg_temp.record_copy_start', 0);
  for (let generation = 1; added > 0 && selects.length > 0; generation += 1) {
    added = await add(
      `WITH f AS MATERIALIZED (SELECT source_document_id, resource_key_id FROM ${member} WHERE generation = $1::integer - 1) SELECT DISTINCT id FROM (${selects.join(' UNION ALL ')}) e`,
      generation,
    );
  }
};

const loadTable = async (
  copy: RecordCopy,
  source: StreamingTransaction,
  destination: StreamingTransaction,
  table: StagedTable,
): Promise<void> => {
  const stage = copy.sql.source(table.name);
  const names = table.columns.map(([name]) => name);
  const columns = table.columns.map(([name, type]) => `${quoteIdentifier(name)} ${type}`);
  await destination.query(`CREATE UNLOGGED TABLE ${stage} (${columns.join(', ')})`);
  await stream(
    source,
    `SELECT ${names.map((name) => `t.${quoteIdentifier(name)}`).join(', ')} FROM ${quoteIdentifier(copy.source.schema)}.${quoteIdentifier(table.name)} t JOIN ${member} m ON m.source_document_id = t.${quoteIdentifier(table.owner)}`,
    destination,
    stage,
    names,
  );
  await destination.query(`CREATE INDEX ON ${stage} (${table.key.map(quoteIdentifier).join(', ')})`);
  await destination.query(`ANALYZE ${stage}`);
  copy.destination.crashPoint('records.copy.in-staging');
};

const dropTables = async (copy: RecordCopy, tx: StreamingTransaction): Promise<void> => {
  const { rows } = await tx.query(
    `SELECT tablename FROM pg_tables WHERE schemaname = $1 AND starts_with(tablename, $2)`,
    [copy.destination.schema, `record_copy_stage_${copy.jobId}_`],
  );
  for (const row of rows) await tx.query(`DROP TABLE ${copy.sql.own(String(row['tablename']))}`);
};

const isStaged = async (copy: RecordCopy): Promise<boolean> =>
  inDestination(copy, async (tx) => {
    const { rows } = await tx.query('SELECT to_regclass($1) IS NOT NULL AS present', [markerName(copy)]);
    if (rows[0]?.['present'] !== true) return false;
    const { rows: marks } = await tx.query(`SELECT count(*) AS n FROM ${markerName(copy)}`);
    return Number(marks[0]?.['n']) > 0;
  });

const stage = async (copy: RecordCopy, across: CopyAcross, onlyWhile: CopyState | null): Promise<void> =>
  across.destination.transaction(async (destination) => {
    const { rows: jobs } = await destination.query(
      `SELECT state FROM ${copy.sql.own('record_copy_job')} WHERE job_id = $1 FOR UPDATE`,
      [copy.jobId],
    );
    // Another process was faster, and works with what it staged.
    if (onlyWhile !== null && parseState(jobs[0]?.['state']) !== onlyWhile) return;
    await dropTables(copy, destination);
    await across.source.transaction(async (source) => {
      const { rows } = await source.query(`SELECT current_setting('transaction_isolation') AS level`);
      if (rows[0]?.['level'] === 'read committed')
        throw new CaseboundError('internal', 'Transactions of the source of a copy must be REPEATABLE READ.');
      await collectMembers(copy, source, destination);
      for (const table of stagedTables(copy)) await loadTable(copy, source, destination, table);
    });
    await destination.query(`CREATE UNLOGGED TABLE ${markerName(copy)} AS SELECT 1 AS staged`);
  });

/**
 * Stages the source unless it is staged. `again`: also when it is, from what the source holds now; given a state, only while the job
 * is in it. Does nothing within one database.
 */
export const stageSource = async (copy: RecordCopy, again: CopyState | boolean = false): Promise<void> => {
  if (copy.across === null || (again === false && (await isStaged(copy)))) return;
  await stage(copy, copy.across, typeof again === 'string' ? again : null);
  copy.destination.crashPoint('records.copy.after-staging');
};

/** Drops the staging tables; may be repeated. */
export const dropStage = async (copy: RecordCopy): Promise<void> => {
  if (copy.across !== null) await copy.across.destination.transaction((tx) => dropTables(copy, tx));
};
