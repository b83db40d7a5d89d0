/**
 * Takes back what a job copied.
 *
 * - Goes in this order: overlaid records get back what they were; what must stay is marked; references within cycles are undone;
 *   chunks are deleted from the last level to the first. Each batch is one transaction and finds what is left of its work, so whoever
 *   runs it again, after whatever end, goes on.
 * - Never deleted: what somebody has changed since, what others refer to, and what those stand on. They are listed.
 */
import { forgetHierarchy, maintainHierarchy } from '../auth/maintain-closure.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import { settleAll, sqlFailureOf, type RecordTransaction } from '../session.ts';
import { type Chunk, chunkValues, inParallel, listChunks, plannedByKey } from './chunks.ts';
import { copyState, inDestination, moveTo, queryByHash, type RecordCopy } from './open-copy.ts';
import { dropStage } from './stage-source.ts';
import {
  deleteRecords,
  keepChanged,
  keepRecords,
  keepReferenced,
  keepUsedDescriptors,
  type KeepReason,
  lockOverlaid,
  lockRecords,
  neededBy,
  restoreRecords,
  unlinkRecords,
} from './remove-sql.ts';

export interface KeptRecord {
  readonly resource: string;
  /** Id in the destination. */
  readonly documentId: number;
  /** Somebody changed it; others refer to it; a record that is kept refers to it. */
  readonly reason: KeepReason;
}

export interface RemovalSummary {
  /** Records deleted by this call, by `Project.Resource`. */
  readonly removed: Readonly<Record<string, number>>;
  /** Overlaid records that have again what they had. */
  readonly restored: number;
  readonly kept: number;
  /** The first of those kept. */
  readonly listed: readonly KeptRecord[];
  /** Overlaid records that somebody has changed since: they stay as they are. */
  readonly overlaidKept: number;
}

const listedAtMost = 100;
/** Rounds of looking again at what others refer to now; each new reference needs a writer that is faster than a batch. */
const maxPasses = 20;

const idsOf = (rows: readonly Record<string, unknown>[]): number[] => rows.map((row) => Number(row['document_id']));

const restoreChunk = async (copy: RecordCopy, chunk: Chunk): Promise<number> =>
  inDestination(copy, async (tx) => {
    const { rows } = await tx.query(lockOverlaid(copy.sql), chunkValues(copy, chunk));
    const ids = idsOf(rows);
    if (ids.length === 0) return 0;
    const values = [copy.jobId, arrayLiteral(ids)];
    await settleAll(restoreRecords(copy.sql, chunk.resource).map(async (text) => tx.query(text, values)));
    await settleAll(
      maintainHierarchy(copy.destination, chunk.resource.destination, ids).map(async ({ text, values: bound }) =>
        tx.query(text, bound),
      ),
    );
    copy.destination.crashPoint('records.copy.in-restore');
    return ids.length;
  });

/** Marks what must stay; returns the records that this pass found. */
const markKept = async (copy: RecordCopy): Promise<readonly KeptRecord[]> =>
  inDestination(copy, async (tx) => {
    const byKey = plannedByKey(copy);
    const kept: KeptRecord[] = [];
    const note = (reason: KeepReason, rows: readonly Record<string, unknown>[]): void => {
      for (const row of rows) {
        const resource = byKey.get(Number(row['resource_key_id']))?.name ?? '';
        kept.push({ resource, documentId: Number(row['document_id']), reason });
      }
    };
    note('changed', (await tx.query(keepChanged(copy.sql), [copy.jobId])).rows);
    note('referenced', (await tx.query(keepReferenced(copy.sql), [copy.jobId])).rows);
    for (const resource of copy.plan.resources) {
      const text = resource.destination.isDescriptor ? keepUsedDescriptors(copy.sql, resource) : null;
      if (text !== null)
        note('referenced', (await tx.query(text, [copy.jobId, copy.sql.ownKey(resource.destination.name)])).rows);
    }
    for (let from = kept.map((record) => record.documentId); from.length > 0;) {
      const { rows: needed } = await tx.query(neededBy(copy.sql), [copy.jobId, arrayLiteral(from)]);
      const ids = needed.map((row) => Number(row['id']));
      const { rows } = await queryByHash(tx, keepRecords(copy.sql), [copy.jobId, arrayLiteral(ids)]);
      note('needed', rows);
      from = idsOf(rows);
    }
    return kept;
  });

const lockedIds = async (copy: RecordCopy, tx: RecordTransaction, chunk: Chunk): Promise<number[]> =>
  idsOf((await tx.query(lockRecords(copy.sql), chunkValues(copy, chunk))).rows);

const unlinkChunk = async (copy: RecordCopy, chunk: Chunk): Promise<void> =>
  inDestination(copy, async (tx) => {
    const ids = await lockedIds(copy, tx, chunk);
    if (ids.length === 0) return;
    const values = [copy.jobId, arrayLiteral(ids)];
    await settleAll([
      ...unlinkRecords(copy.sql, chunk.resource).map(async (text) => tx.query(text, values)),
      // One that gets a referrer before it is deleted is kept without its links.
      ...maintainHierarchy(copy.destination, chunk.resource.destination, ids).map(async ({ text, values: bound }) =>
        tx.query(text, bound),
      ),
    ]);
    copy.destination.crashPoint('records.copy.in-unlink');
  });

const deleteChunk = async (copy: RecordCopy, chunk: Chunk): Promise<number> =>
  inDestination(copy, async (tx) => {
    const ids = await lockedIds(copy, tx, chunk);
    if (ids.length === 0) return 0;
    const list = [arrayLiteral(ids)];
    await settleAll([
      ...forgetHierarchy(copy.destination, chunk.resource.destination, ids).map(async ({ text, values }) =>
        tx.query(text, values),
      ),
      ...deleteRecords(copy.sql, chunk.resource).map(async (text) => tx.query(text, list)),
    ]);
    copy.destination.crashPoint('records.copy.in-removal');
    return ids.length;
  });

/** Deletes the chunks, last level first; null when a record got a referrer meanwhile, so that marking must look again. */
const deleteLevels = async (
  copy: RecordCopy,
  chunks: readonly Chunk[],
  removed: Record<string, number>,
): Promise<boolean> => {
  const levels = [...Map.groupBy(chunks, (chunk) => chunk.level)].sort(([a], [b]) => b - a);
  try {
    for (const [, level] of levels) {
      await inParallel(level, copy.parallel, async (chunk) => {
        copy.signal?.throwIfAborted();
        const count = await deleteChunk(copy, chunk);
        removed[chunk.resource.name] = (removed[chunk.resource.name] ?? 0) + count;
        copy.destination.crashPoint('records.copy.after-removal');
      });
    }
    return true;
  } catch (error) {
    if (isReference(error)) return false;
    throw error;
  }
};

const isReference = (error: unknown): boolean => {
  for (let at = error; at instanceof Error; at = at.cause) if (sqlFailureOf(at)?.sqlState === '23503') return true;
  return false;
};

const countLeft = async (copy: RecordCopy): Promise<{ kept: number; overlaid: number }> =>
  inDestination(copy, async (tx) => {
    const { rows } = await tx.query(
      `SELECT (SELECT count(*) FROM ${copy.sql.own('record_copy_map')} WHERE job_id = $1 AND action = 'k') AS kept, (SELECT count(*) FROM ${copy.sql.own('record_copy_before')} WHERE job_id = $1 AND table_name = 'document') AS overlaid`,
      [copy.jobId],
    );
    return { kept: Number(rows[0]?.['kept']), overlaid: Number(rows[0]?.['overlaid']) };
  });

/**
 * Removes this job's records, whatever state the copying was left in, and lists what stays. Repeated it looks at what is left.
 * @throws `copy_state_invalid` for a job of which nothing was written
 */
export const removeCopied = async (copy: RecordCopy): Promise<RemovalSummary> => {
  await inDestination(copy, async (tx) =>
    moveTo(copy, tx, ['mapped', 'copying', 'copied', 'removing', 'removed'], 'removing'),
  );
  const all = await listChunks(copy);
  let restored = 0;
  await inParallel(
    all.filter((chunk) => chunk.kind === 'overlay'),
    copy.parallel,
    async (chunk) => {
      // Not `+= await`: that would add to what was before the wait.
      const count = await restoreChunk(copy, chunk);
      restored += count;
    },
  );
  const removed: Record<string, number> = {};
  const listed: KeptRecord[] = [];
  const linked = all.filter((chunk) => chunk.kind === 'links');
  const records = all.filter((chunk) => chunk.kind === 'records');
  for (let pass = 0; pass < maxPasses; pass += 1) {
    listed.push(...(await markKept(copy)).slice(0, listedAtMost - listed.length));
    copy.destination.crashPoint('records.copy.after-keeping');
    await inParallel(linked, copy.parallel, async (chunk) => unlinkChunk(copy, chunk));
    if (await deleteLevels(copy, records, removed)) break;
  }
  // What changed between marking and deleting was left alone by the batches; it is told as well.
  listed.push(...(await markKept(copy)).slice(0, listedAtMost - listed.length));
  const left = await countLeft(copy);
  await inDestination(copy, async (tx) => moveTo(copy, tx, ['removing'], 'removed'));
  return { removed, restored, kept: left.kept, listed, overlaidKept: left.overlaid };
};

const batchOfRows = 50_000;

/**
 * Forgets a job: its selection, map, chunks, value maps and what overlaid records were, in batches. Provenance stays, and so does the
 * job's row that it names once something was written. A forgotten job cannot be compared, continued or removed.
 */
export const forgetCopy = async (copy: RecordCopy): Promise<void> => {
  const wrote = await inDestination(copy, async (tx) => {
    const state = await copyState(copy, tx);
    await moveTo(copy, tx, [state], 'forgotten');
    return !['selecting', 'mapping', 'mapped'].includes(state);
  });
  await dropStage(copy);
  for (const table of [
    'record_copy_selection',
    'record_copy_map',
    'record_copy_chunk',
    'record_copy_value',
    'record_copy_before',
  ]) {
    const name = copy.sql.own(table);
    for (let deleted = batchOfRows; deleted >= batchOfRows;) {
      deleted = await inDestination(copy, async (tx) => {
        const { rowCount } = await tx.query(
          `DELETE FROM ${name} WHERE ctid = ANY(ARRAY(SELECT ctid FROM ${name} WHERE job_id = $1 LIMIT ${batchOfRows}))`,
          [copy.jobId],
        );
        return rowCount ?? 0;
      });
    }
  }
  if (!wrote)
    await inDestination(copy, async (tx) =>
      tx.query(`DELETE FROM ${copy.sql.own('record_copy_job')} WHERE job_id = $1`, [copy.jobId]),
    );
};
