/**
 * Compares what a job copied with the source: every row and column of every table through the map, with the policy's changes applied,
 * order of collections, identities, edges, provenance; and that what was matched is still there.
 *
 * - Set-based, chunk by chunk. What differs comes back as a bounded list with counts; equal rows never leave the database.
 * - Records that have changed in the source since are counted and not compared: the source no longer says what they were.
 */
import { settleAll, type RecordTransaction } from '../session.ts';
import {
  comparisonStatements,
  matchedStatement,
  type ComparisonExceptions,
  type DifferenceKind,
} from './compare-sql.ts';
import { inDestination, moveTo, type RecordCopy } from './open-copy.ts';
import { type Chunk, chunkValues, inParallel, listChunks } from './chunks.ts';
import { dropStage, stageSource } from './stage-source.ts';

export interface CopyDifference {
  readonly kind: DifferenceKind;
  /** `Project.Resource` */
  readonly resource: string;
  /** Id in the destination. */
  readonly documentId: number;
  readonly table: string;
  /** Ordinals of the row in its collection, or the other end of an edge; '' for the root. Never a value of the record. */
  readonly place: string;
  /** Columns that differ. */
  readonly columns: readonly string[];
}

export interface CopyComparison {
  /** Records compared, by resource. */
  readonly compared: Readonly<Record<string, number>>;
  readonly differences: number;
  /** The first of them. */
  readonly listed: readonly CopyDifference[];
  /** Records whose source has changed or gone since; they were not compared. */
  readonly changedInSource: number;
  /** Records that somebody has changed in the destination since; they were compared. */
  readonly changedInDestination: number;
}

const kindOf = (kind: DifferenceKind, row: Record<string, unknown>): DifferenceKind => {
  if (kind !== 'row-differs') return kind;
  if (row['missing'] === true) return 'row-missing';
  return row['extra'] === true ? 'row-extra' : 'row-differs';
};

const differenceOf = (
  kind: DifferenceKind,
  resource: string,
  table: string,
  row: Record<string, unknown>,
): CopyDifference => ({
  kind: kindOf(kind, row),
  resource,
  documentId: Number(row['document_id']),
  table,
  place: String(row['place']),
  columns: row['missing'] === true || row['extra'] === true ? [] : String(row['columns']).split(',').filter(Boolean),
});

class Tally {
  readonly compared: Record<string, number> = {};
  readonly listed: CopyDifference[] = [];
  differences = 0;
  private readonly limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }

  add(kind: DifferenceKind, resource: string, table: string, rows: readonly Record<string, unknown>[]): void {
    this.differences += Number(rows[0]?.['total'] ?? 0);
    for (const row of rows)
      if (this.listed.length < this.limit) this.listed.push(differenceOf(kind, resource, table, row));
  }
}

const compareChunk = async (
  copy: RecordCopy,
  tx: RecordTransaction,
  chunk: Chunk,
  tally: Tally,
  limit: number,
  except: ComparisonExceptions | undefined,
): Promise<void> => {
  const statements = comparisonStatements(copy.sql, chunk.resource, chunk.kind === 'overlay' ? 'o' : 'i', except);
  const values = [...chunkValues(copy, chunk), limit];
  const results = await settleAll(statements.map(async ({ text }) => tx.query(text, values)));
  statements.forEach(({ kind, table }, index) => {
    tally.add(kind, chunk.resource.name, table, results[index]?.rows ?? []);
  });
  tally.compared[chunk.resource.name] = (tally.compared[chunk.resource.name] ?? 0) + chunk.documents;
};

const countChanged = async (copy: RecordCopy): Promise<{ source: number; destination: number }> =>
  inDestination(copy, async (tx) => {
    const { sql } = copy;
    const map = sql.own('record_copy_map');
    const { rows } = await tx.query(
      `SELECT (SELECT count(*) FROM ${map} m LEFT JOIN ${sql.source('document')} d ON d.document_id = m.source_document_id AND d.etag = m.source_etag WHERE m.job_id = $1 AND m.action IN ('i', 'o') AND d.document_id IS NULL) AS source,
       (SELECT count(*) FROM ${map} m JOIN ${sql.own('record_copy_provenance')} p ON p.document_id = m.document_id AND p.job_id = $1 JOIN ${sql.own('document')} d ON d.document_id = m.document_id WHERE m.job_id = $1 AND m.action = 'i' AND d.etag <> p.etag) AS destination`,
      [copy.jobId],
    );
    return { source: Number(rows[0]?.['source']), destination: Number(rows[0]?.['destination']) };
  });

/**
 * Compares a finished copy with its source; from another database, with what the source holds now.
 * @param options.limit differences that are listed; default 100
 * @param options.except what the owner of the copy has changed by itself since
 * @throws `copy_state_invalid` before the copy is done
 */
export const compareCopied = async (
  copy: RecordCopy,
  options: { readonly limit?: number; readonly except?: ComparisonExceptions } = {},
): Promise<CopyComparison> => {
  const limit = options.limit ?? 100;
  await inDestination(copy, async (tx) => moveTo(copy, tx, ['copied'], 'copied'));
  await stageSource(copy, true);
  const tally = new Tally(limit);
  const chunks = (await listChunks(copy)).filter((chunk) => chunk.kind !== 'links');
  await inParallel(chunks, copy.parallel, async (chunk) => {
    copy.signal?.throwIfAborted();
    await copy.destination.database.transaction((tx) => compareChunk(copy, tx, chunk, tally, limit, options.except));
  });
  await copy.destination.database.transaction(async (tx) => {
    for (const resource of copy.plan.resources) {
      const key = copy.sql.ownKey(resource.destination.name);
      const { rows } = await tx.query(matchedStatement(copy.sql, resource), [copy.jobId, key, limit]);
      tally.add('matched-missing', resource.name, 'referential_identity', rows);
    }
  });
  const changed = await countChanged(copy);
  await dropStage(copy);
  return {
    compared: tally.compared,
    differences: tally.differences,
    listed: tally.listed.toSorted((a, b) => a.documentId - b.documentId),
    changedInSource: changed.source,
    changedInDestination: changed.destination,
  };
};
