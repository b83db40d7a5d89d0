/**
 * Writes the records of a mapped job: chunk by chunk, level by level, several chunks at once.
 *
 * - A chunk is one transaction with its checkpoint in it. Whoever runs the job again, after whatever end, does the chunks that have
 *   no checkpoint; two that run it at once take turns at a chunk's row, and the second finds it done.
 * - Everything a chunk's foreign keys lead to lies in a level below or in the chunk itself.
 */
import { CaseboundError } from '@casebound/contract';
import { settleAll, type RecordTransaction } from '../session.ts';
import { recordStatements } from './chunk-statements.ts';
import { linkStatements, overlayStatements } from './finish-statements.ts';
import { plannedByKey, summariseCopy, type CopySummary } from './map-records.ts';
import { inDestination, moveTo, type RecordCopy } from './open-copy.ts';
import type { PlannedResource } from './compile-plan.ts';

export interface Chunk {
  readonly chunk: number;
  readonly kind: 'records' | 'links' | 'overlay';
  readonly resource: PlannedResource;
  readonly firstId: number;
  readonly lastId: number;
  readonly documents: number;
}

export const chunkValues = (copy: RecordCopy, chunk: Chunk): readonly unknown[] => [
  copy.jobId,
  chunk.firstId,
  chunk.lastId,
  copy.sql.ownKey(chunk.resource.destination.name),
];

const damaged = (resource: PlannedResource): CaseboundError =>
  new CaseboundError(
    'copy_not_possible',
    `Records of ${resource.name} in the source have no root row or no identity; audit the source with repair, then copy again.`,
  );

const writeRecords = async (copy: RecordCopy, tx: RecordTransaction, chunk: Chunk): Promise<void> => {
  const statements = recordStatements(copy.sql, chunk.resource);
  const values = chunkValues(copy, chunk);
  // A statement takes the values up to the last it names; all name the key but those that need no bounds.
  const results = await settleAll(statements.map(async ({ text }) => tx.query(text, values)));
  statements.forEach(({ rowsPerRecord }, index) => {
    if (rowsPerRecord !== null && results[index]?.rowCount !== chunk.documents * rowsPerRecord)
      throw damaged(chunk.resource);
  });
};

const writeChunk = async (copy: RecordCopy, tx: RecordTransaction, chunk: Chunk): Promise<void> => {
  if (chunk.kind === 'records') {
    await writeRecords(copy, tx, chunk);
    return;
  }
  const statements = (chunk.kind === 'links' ? linkStatements : overlayStatements)(copy.sql, chunk.resource);
  const values = chunkValues(copy, chunk);
  await settleAll(statements.map(async (text) => tx.query(text, values)));
};

/** Does a chunk, unless it is done. */
const runChunk = async (copy: RecordCopy, chunk: Chunk): Promise<void> =>
  inDestination(copy, async (tx) => {
    const table = copy.sql.own('record_copy_chunk');
    const { rows } = await tx.query(`SELECT done_at FROM ${table} WHERE job_id = $1 AND chunk = $2 FOR UPDATE`, [
      copy.jobId,
      chunk.chunk,
    ]);
    if (rows[0] === undefined || rows[0]['done_at'] !== null) return;
    await writeChunk(copy, tx, chunk);
    copy.destination.crashPoint('records.copy.before-checkpoint');
    await tx.query(`UPDATE ${table} SET done_at = now() WHERE job_id = $1 AND chunk = $2`, [copy.jobId, chunk.chunk]);
    copy.destination.crashPoint('records.copy.after-checkpoint');
  });

/** The chunks of the lowest level that is not done. */
const nextLevel = async (
  copy: RecordCopy,
): Promise<{ readonly chunks: readonly Chunk[]; readonly done: number; readonly total: number }> =>
  inDestination(copy, async (tx) => {
    const table = copy.sql.own('record_copy_chunk');
    const { rows } = await tx.query(
      `SELECT chunk, kind, resource_key_id, first_id, last_id, documents FROM ${table} WHERE job_id = $1 AND done_at IS NULL AND level = (SELECT min(level) FROM ${table} WHERE job_id = $1 AND done_at IS NULL) ORDER BY chunk`,
      [copy.jobId],
    );
    const { rows: counts } = await tx.query(
      `SELECT coalesce(sum(documents), 0) AS total, coalesce(sum(documents) FILTER (WHERE done_at IS NOT NULL), 0) AS done FROM ${table} WHERE job_id = $1 AND kind <> 'links'`,
      [copy.jobId],
    );
    const byKey = plannedByKey(copy);
    const chunks = rows.flatMap((row): Chunk[] => {
      const resource = byKey.get(Number(row['resource_key_id']));
      if (resource === undefined) return [];
      return [
        {
          chunk: Number(row['chunk']),
          kind: row['kind'] === 'links' ? 'links' : row['kind'] === 'overlay' ? 'overlay' : 'records',
          resource,
          firstId: Number(row['first_id']),
          lastId: Number(row['last_id']),
          documents: Number(row['documents']),
        },
      ];
    });
    return { chunks, done: Number(counts[0]?.['done']), total: Number(counts[0]?.['total']) };
  });

/** Runs `fn` over items, at most `width` at once; after a failure no new one is begun. */
const inParallel = async <T>(items: readonly T[], width: number, fn: (item: T) => Promise<void>): Promise<void> => {
  let next = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    for (let item = items[next]; item !== undefined && !failed; item = items[next]) {
      next += 1;
      try {
        await fn(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await settleAll(Array.from({ length: Math.min(width, items.length) }, worker));
};

/**
 * Writes what the map says and returns its counts. Repeated on a job that is done it writes nothing.
 * @throws `copy_state_invalid` before the map is complete
 */
export const copyRecords = async (copy: RecordCopy): Promise<CopySummary> => {
  const state = await inDestination(copy, async (tx) => moveTo(copy, tx, ['mapped', 'copying', 'copied'], 'copying'));
  for (;;) {
    const { chunks, done, total } = await nextLevel(copy);
    copy.onProgress({ done, total });
    if (chunks.length === 0) break;
    let finished = done;
    await inParallel(chunks, copy.parallel, async (chunk) => {
      copy.signal?.throwIfAborted();
      await runChunk(copy, chunk);
      finished += chunk.kind === 'links' ? 0 : chunk.documents;
      copy.onProgress({ done: finished, total });
      copy.destination.crashPoint('records.copy.after-chunk');
    });
  }
  if (state !== 'copied') copy.destination.crashPoint('records.copy.before-finish');
  await inDestination(copy, async (tx) => moveTo(copy, tx, ['copying'], 'copied'));
  return summariseCopy(copy);
};
