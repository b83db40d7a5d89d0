/** Chunks of a job: runs of records of one resource, by source id. */
import type { RecordTransaction } from '../session.ts';
import { settleAll } from '../session.ts';
import type { PlannedResource } from './compile-plan.ts';
import { inDestination, type RecordCopy } from './open-copy.ts';

export interface Chunk {
  readonly chunk: number;
  readonly level: number;
  /** New records; references within cycles, when all levels are done; records that exist and get the source's content. */
  readonly kind: 'records' | 'links' | 'overlay';
  readonly resource: PlannedResource;
  /** Records that were decided about together; 0 but for those that came in while the job ran. */
  readonly batch: number;
  readonly firstId: number;
  readonly lastId: number;
  readonly documents: number;
}

/** `$1` to `$5` of a chunk's statements. */
export const chunkValues = (copy: RecordCopy, chunk: Chunk): readonly unknown[] => [
  copy.jobId,
  chunk.firstId,
  chunk.lastId,
  copy.sql.ownKey(chunk.resource.destination.name),
  chunk.batch,
];

/** Resources by their key in the destination. */
export const plannedByKey = (copy: RecordCopy): ReadonlyMap<number, PlannedResource> =>
  copy.sql.memo(
    'by key',
    () => new Map(copy.plan.resources.map((resource) => [copy.sql.ownKey(resource.destination.name), resource])),
  );

/** Reads chunks; `which` is a condition on `record_copy_chunk`, whose job is `$1`. */
export const readChunks = async (
  copy: RecordCopy,
  tx: RecordTransaction,
  which = 'true',
): Promise<readonly Chunk[]> => {
  const { rows } = await tx.query(
    `SELECT chunk, level, kind, resource_key_id, batch, first_id, last_id, documents FROM ${copy.sql.own('record_copy_chunk')} WHERE job_id = $1 AND ${which} ORDER BY chunk`,
    [copy.jobId],
  );
  const byKey = plannedByKey(copy);
  return rows.flatMap((row): Chunk[] => {
    const resource = byKey.get(Number(row['resource_key_id']));
    if (resource === undefined) return [];
    const kind = row['kind'];
    return [
      {
        chunk: Number(row['chunk']),
        level: Number(row['level']),
        kind: kind === 'links' || kind === 'overlay' ? kind : 'records',
        resource,
        batch: Number(row['batch']),
        firstId: Number(row['first_id']),
        lastId: Number(row['last_id']),
        documents: Number(row['documents']),
      },
    ];
  });
};

export const listChunks = async (copy: RecordCopy): Promise<readonly Chunk[]> =>
  inDestination(copy, async (tx) => readChunks(copy, tx));

/** Runs `fn` over items, at most `width` at once; after a failure no new one is begun. */
export const inParallel = async <T>(
  items: readonly T[],
  width: number,
  fn: (item: T) => Promise<void>,
): Promise<void> => {
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
