/**
 * Writes the records of a mapped job: chunk by chunk, level by level, several chunks at once.
 *
 * - A chunk is one transaction with its checkpoint in it. Whoever runs the job again, after whatever end, does the chunks that have
 *   no checkpoint; two that run it at once take turns at a chunk's row, and the second finds it done.
 * - Everything a chunk's foreign keys lead to lies in a level below or in the chunk itself.
 */
import { CaseboundError } from '@casebound/contract';
import { sqlFailureOf } from '../session.ts';
import { type Chunk, inParallel, readChunks } from './chunks.ts';
import { summariseCopy, type CopySummary } from './map-records.ts';
import { inDestination, moveTo, type RecordCopy } from './open-copy.ts';
import { reconcileMap } from './reconcile-map.ts';
import { dropStage, stageSource } from './stage-source.ts';
import { MapOutdated, writeChunk } from './write-chunk.ts';

interface Pending {
  readonly chunks: readonly Chunk[];
  /** Records whose chunk is done, and all. */
  readonly done: number;
  readonly total: number;
}

/** The chunks of the lowest level that is not done. */
const nextLevel = async (copy: RecordCopy): Promise<Pending> =>
  inDestination(copy, async (tx) => {
    const table = copy.sql.own('record_copy_chunk');
    const chunks = await readChunks(
      copy,
      tx,
      `done_at IS NULL AND level = (SELECT min(level) FROM ${table} WHERE job_id = $1 AND done_at IS NULL)`,
    );
    const { rows } = await tx.query(
      `SELECT coalesce(sum(documents), 0) AS total, coalesce(sum(documents) FILTER (WHERE done_at IS NOT NULL), 0) AS done FROM ${table} WHERE job_id = $1 AND kind <> 'links'`,
      [copy.jobId],
    );
    return { chunks, done: Number(rows[0]?.['done']), total: Number(rows[0]?.['total']) };
  });

/** The map is brought up to date this often before the job gives up; each time somebody was faster. */
const maxReconciliations = 20;

const gaveUp = (error: MapOutdated): CaseboundError =>
  sqlFailureOf(error)?.sqlState === '23505'
    ? new CaseboundError(
        'copy_conflict',
        'Records of the copy clash with records of the destination by a unique member.',
        {
          cause: error,
        },
      )
    : new CaseboundError(
        'copy_not_possible',
        'Records that the copy refers to are missing again and again; audit the source and the destination.',
        { cause: error },
      );

const runLevel = async (copy: RecordCopy, { chunks, done, total }: Pending): Promise<void> => {
  let finished = done;
  await inParallel(chunks, copy.parallel, async (chunk) => {
    await writeChunk(copy, chunk);
    finished += chunk.kind === 'links' ? 0 : chunk.documents;
    copy.onProgress({ done: finished, total });
    copy.destination.crashPoint('records.copy.after-chunk');
  });
};

/**
 * Writes what the map says and returns its counts. Repeated on a job that is done it writes nothing.
 * @throws `copy_state_invalid` before the map is complete; `copy_conflict` when somebody has meanwhile written what the policy does
 *   not allow the destination to have
 */
export const copyRecords = async (copy: RecordCopy): Promise<CopySummary> => {
  await inDestination(copy, async (tx) => moveTo(copy, tx, ['mapped', 'copying', 'copied'], 'copying'));
  for (let reconciliations = 0; ;) {
    const level = await nextLevel(copy);
    copy.onProgress(level);
    if (level.chunks.length === 0) break;
    await stageSource(copy);
    try {
      await runLevel(copy, level);
    } catch (error) {
      if (!(error instanceof MapOutdated)) throw error;
      reconciliations += 1;
      if (reconciliations > maxReconciliations) throw gaveUp(error);
      await reconcileMap(copy);
      copy.destination.crashPoint('records.copy.after-reconciling');
    }
  }
  copy.destination.crashPoint('records.copy.before-finish');
  await inDestination(copy, async (tx) => moveTo(copy, tx, ['copying'], 'copied'));
  await dropStage(copy);
  return summariseCopy(copy);
};
