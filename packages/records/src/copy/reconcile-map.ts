/**
 * Brings the map up to date with a source or a destination that others have changed while the job runs.
 *
 * - One transaction. Records that are written already stay as they are, but for links that are to be set yet. Those that are not are
 *   decided about anew, and what they now lead to comes in as a batch of its own, with chunks of its own.
 * - Gone from the source: no longer copied. Changed there: as it is now. Appeared in the destination: matched, skipped, overlaid or
 *   a conflict, by the policy. Gone from the destination although others need it: inserted. To be overlaid and another record by now:
 *   left alone, and what has the identity is overlaid, or inserted.
 */
import type { RecordTransaction } from '../session.ts';
import { goneFromSource } from './chunk-statements.ts';
import { plannedByKey } from './chunks.ts';
import type { PlannedResource } from './compile-plan.ts';
import type { CopySql } from './copy-sql.ts';
import { movedRecords } from './finish-statements.ts';
import { insertChunks, nextId, takenActions } from './map-sql.ts';
import { checkResource, runRound, settlePending } from './map-records.ts';
import { inDestination, queryByHash, type RecordCopy } from './open-copy.ts';

const unwritten = (sql: CopySql): string =>
  `(CASE m.action WHEN 'o' THEN EXISTS (SELECT 1 FROM ${sql.own('record_copy_chunk')} c WHERE c.job_id = $1 AND c.kind = 'overlay' AND c.done_at IS NULL AND c.resource_key_id = m.resource_key_id AND c.batch = m.batch AND m.source_document_id BETWEEN c.first_id AND c.last_id) ELSE NOT EXISTS (SELECT 1 FROM ${sql.own('record_copy_provenance')} p WHERE p.document_id = m.document_id AND p.job_id = $1) END)`;

const gone = (sql: CopySql): string =>
  `NOT EXISTS (SELECT 1 FROM ${sql.own('document')} d WHERE d.document_id = m.document_id)`;

/** Unwritten records that the source no longer has. */
const dropGone = (sql: CopySql): string =>
  `DELETE FROM ${sql.own('record_copy_map')} m WHERE m.job_id = $1 AND m.action IN ('i', 'o') AND ${unwritten(sql)} AND NOT EXISTS (SELECT 1 FROM ${sql.source('document')} s WHERE s.document_id = m.source_document_id)`;

/**
 * Unwritten records that the source has changed: their identity is looked up anew, and what they lead to is followed again. Those that are
 * decided about by it may come to be written in another way, for which the chunks of their batch have no place: they get a new batch.
 */
const renewChanged = (sql: CopySql, recomputed: readonly number[]): string => {
  const isRecomputed = `m.resource_key_id IN (${[-1, ...recomputed].join(', ')})`;
  return `UPDATE ${sql.own('record_copy_map')} m SET source_etag = s.etag, generation = $2::smallint, referential_id = NULL, alias_id = NULL, action = CASE WHEN ${isRecomputed} THEN 'p'::"char" ELSE m.action END, batch = CASE WHEN ${isRecomputed} THEN $3::smallint ELSE m.batch END FROM ${sql.source('document')} s WHERE m.job_id = $1 AND m.action IN ('i', 'o') AND ${unwritten(sql)} AND s.document_id = m.source_document_id AND s.etag <> m.source_etag`;
};

/**
 * Records that are written and not yet linked, and that the source has changed: they are linked as they are now, and what they lead to
 * comes in.
 */
const renewLinked = (sql: CopySql): string => {
  const [map, document] = [sql.own('record_copy_map'), sql.source('document')];
  const linking = `EXISTS (SELECT 1 FROM ${sql.own('record_copy_chunk')} c WHERE c.job_id = $1 AND c.kind = 'links' AND c.done_at IS NULL AND c.resource_key_id = m.resource_key_id AND c.batch = m.batch AND m.source_document_id BETWEEN c.first_id AND c.last_id)`;
  return `UPDATE ${map} m SET source_etag = coalesce((SELECT s.etag FROM ${document} s WHERE s.document_id = m.source_document_id), ${goneFromSource}), generation = $2::smallint WHERE m.job_id = $1 AND m.action = 'i' AND ${linking} AND NOT ${unwritten(sql)} AND NOT EXISTS (SELECT 1 FROM ${document} s WHERE s.document_id = m.source_document_id AND s.etag = m.source_etag)`;
};

/** Records that were there and are not: to be decided about (`q`), in the new batch. */
const reopenGone = (sql: CopySql): string =>
  `UPDATE ${sql.own('record_copy_map')} m SET action = 'q', batch = $3::smallint, generation = $2::smallint WHERE m.job_id = $1 AND m.action IN ('m', 's', 'o') AND ${gone(sql)}`;

/** Records to be overlaid in the place of one that is another by now: to be decided about anew. */
const reopenMoved = (sql: CopySql, resource: PlannedResource): string => {
  const map = sql.own('record_copy_map');
  const members = `(SELECT m.source_document_id, m.document_id FROM ${map} m WHERE m.job_id = $1 AND m.resource_key_id = ${sql.ownKey(resource.destination.name)} AND m.action = 'o' AND ${unwritten(sql)}) m`;
  return `UPDATE ${map} m SET action = 'q', batch = $3::smallint, generation = $2::smallint FROM (${movedRecords(sql, resource, members)}) v WHERE m.job_id = $1 AND m.document_id = v.id AND m.action = 'o'`;
};

/** Records that the job wrote, somebody deleted, and unwritten ones refer to. */
const reopenDeleted = (sql: CopySql): string => {
  const map = sql.own('record_copy_map');
  return `WITH r AS (UPDATE ${map} m SET action = 'q', batch = $3::smallint, generation = $2::smallint WHERE m.job_id = $1 AND m.action = 'i' AND NOT ${unwritten(sql)} AND ${gone(sql)} AND EXISTS (SELECT 1 FROM ${sql.source('reference_edge')} e JOIN ${map} o ON o.job_id = $1 AND o.source_document_id = e.parent_document_id AND o.action IN ('i', 'o') AND NOT EXISTS (SELECT 1 FROM ${sql.own('record_copy_provenance')} w WHERE w.document_id = o.document_id AND w.job_id = $1) WHERE e.child_document_id = m.source_document_id) RETURNING m.document_id) DELETE FROM ${sql.own('record_copy_provenance')} p USING r WHERE p.document_id = r.document_id`;
};

/** Decides about `q` records, and about unwritten ones whose identity the destination has by now. */
const decide = (sql: CopySql): string => {
  const map = sql.own('record_copy_map');
  return `UPDATE ${map} m SET document_id = coalesce(q.existing, ${nextId(sql)}), action = CASE WHEN q.existing IS NULL THEN 'i'::"char" ELSE q.taken END, batch = CASE WHEN q.existing IS NOT NULL AND q.taken = 'o' THEN $2::smallint ELSE m.batch END
FROM (
  SELECT m.source_document_id AS id, x.document_id AS existing, k.taken
  FROM ${map} m
  JOIN (VALUES ${takenActions(sql)}) k(source_key, own_key, taken) ON k.own_key = m.resource_key_id
  LEFT JOIN ${sql.source('referential_identity')} si ON si.document_id = m.source_document_id AND si.resource_key_id = k.source_key
  LEFT JOIN ${sql.own('referential_identity')} x ON x.referential_id = coalesce(m.referential_id, si.referential_id) AND x.resource_key_id = k.own_key
  WHERE m.job_id = $1 AND (m.action = 'q' OR (m.action = 'i' AND x.document_id IS NOT NULL AND ${unwritten(sql)}))
  ORDER BY m.resource_key_id, m.source_document_id
) q
WHERE m.job_id = $1 AND m.source_document_id = q.id`;
};

/** Records that joined one that is no longer to be inserted under that id: to be decided about again. */
const reopenJoined = (sql: CopySql): string => {
  const map = sql.own('record_copy_map');
  return `UPDATE ${map} m SET action = 'p', batch = $3::smallint, generation = $2::smallint WHERE m.job_id = $1 AND m.action = 'j' AND NOT EXISTS (SELECT 1 FROM ${map} o WHERE o.job_id = $1 AND o.resource_key_id = m.resource_key_id AND o.action = 'i' AND o.document_id = m.document_id)`;
};

const reconcile = async (copy: RecordCopy, tx: RecordTransaction): Promise<void> => {
  const { sql, plan } = copy;
  const job = sql.own('record_copy_job');
  const { rows } = await tx.query(`SELECT generation, batch FROM ${job} WHERE job_id = $1 FOR UPDATE`, [copy.jobId]);
  const batch = Number(rows[0]?.['batch']) + 1;
  let generation = Number(rows[0]?.['generation']) + 1;
  const recomputed = plan.resources.filter((resource) => resource.recompute);
  await tx.query(dropGone(sql), [copy.jobId]);
  await tx.query(
    renewChanged(
      sql,
      recomputed.map((resource) => sql.ownKey(resource.destination.name)),
    ),
    [copy.jobId, generation, batch],
  );
  await tx.query(renewLinked(sql), [copy.jobId, generation]);
  await tx.query(reopenGone(sql), [copy.jobId, generation, batch]);
  for (const resource of plan.resources)
    if (resource.onConflict === 'overlay' && resource.destination.allowIdentityUpdates)
      await queryByHash(tx, reopenMoved(sql, resource), [copy.jobId, generation, batch]);
  await tx.query(reopenDeleted(sql), [copy.jobId, generation, batch]);
  await queryByHash(tx, reopenJoined(sql), [copy.jobId, generation, batch]);
  for (const resource of recomputed) await settlePending(copy, tx, resource);
  await tx.query(decide(sql), [copy.jobId, batch]);
  for (const resource of plannedByKey(copy).values()) await checkResource(copy, tx, resource);
  for (let added = 1; added > 0;) {
    generation += 1;
    added = await runRound(copy, tx, generation, batch);
  }
  await tx.query(insertChunks(sql), [copy.jobId, copy.chunkSize, batch]);
  await tx.query(`UPDATE ${job} SET generation = $2, batch = $3 WHERE job_id = $1`, [copy.jobId, generation, batch]);
};

/**
 * Brings the map up to date.
 * @throws `copy_conflict` when the destination by now has what the policy does not allow it to have
 */
export const reconcileMap = async (copy: RecordCopy): Promise<void> =>
  inDestination(copy, async (tx) => reconcile(copy, tx));
