/**
 * Values of custom fields, segment by segment: one read and one write of an object for a thousand exhibits.
 *
 * - A repetition writes no object for exhibits that have their values already.
 * - The object of a part has a name of its own; its pointers are set where there are none yet, and once where there are, so that a repetition does
 *   not undo what somebody changed meanwhile.
 */
import { CaseboundError } from '@casebound/contract';
import type { Queryable } from '../../database/index.ts';
import type { ExchangeDependencies } from './dependencies.ts';
import {
  exhibitsPerSegment,
  type Fields,
  linkSegment,
  segmentKey,
  writeSegment,
  type WrittenSegment,
} from '../fields/index.ts';
import type { ExchangeJob } from './job-store.ts';

type Parts = Pick<ExchangeDependencies, 'sessions' | 'objects' | 'clock'> & { readonly fields: Fields };

interface PartRow {
  readonly ordinal: string;
  readonly exhibit_id: string;
  readonly source_exhibit_id: string;
  readonly action: string;
  readonly is_done: boolean;
}

export const copyFieldValues = async (parts: Parts, job: ExchangeJob, signal: AbortSignal): Promise<void> => {
  const { sessions, objects, fields } = parts;
  const { batchId, destinationCaseId, sourceCaseId, createdBy } = job;
  if (!job.request.includeCustomFields || batchId === null) return;
  for (let after = 0; ;) {
    signal.throwIfAborted();
    const from = after;
    const { rows } = await sessions.withCase(
      destinationCaseId,
      createdBy,
      async (tx) =>
        tx.query<PartRow & Record<string, unknown>>(
          `SELECT ordinal, exhibit_id, source_exhibit_id, action,
                  CASE action WHEN 'overlaid' THEN fields_before IS NOT NULL
                    ELSE EXISTS (SELECT FROM custom_field_pointer p WHERE p.exhibit_id = exchange_exhibit.exhibit_id) END AS is_done
           FROM exchange_exhibit WHERE job_id = $1 AND ordinal > $2 AND action IN ('inserted', 'overlaid') ORDER BY ordinal LIMIT $3`,
          [job.jobId, from, exhibitsPerSegment],
        ),
      { readOnly: true, signal },
    );
    const last = rows.at(-1);
    if (last === undefined) return;
    after = Number(last.ordinal);
    const left = rows.filter((row) => !row.is_done);
    if (left.length === 0) continue;
    const values = await fields.read(
      sourceCaseId,
      createdBy,
      left.map((row) => Number(row.source_exhibit_id)),
      signal,
    );
    const importedAt = job.createdAt.toISOString();
    const moved = (action: string) =>
      left.flatMap((row) => {
        const found = values.get(Number(row.source_exhibit_id));
        if (found === undefined || row.action !== action) return [];
        return [{ exhibitId: Number(row.exhibit_id), values: found.values, metadata: { importedAt, batchId } }];
      });
    const inserted = moved('inserted');
    const named = `exchange-${job.jobId}/${from}`;
    await sessions.withCase(
      destinationCaseId,
      createdBy,
      async (tx) =>
        fields.add(tx, { caseId: destinationCaseId, name: `${named}-inserted`, exhibits: inserted, by: 'system' }),
      { signal },
    );
    const overlaid = moved('overlaid');
    if (overlaid.length === 0) continue;
    const segment = await writeSegment(objects, segmentKey(destinationCaseId, `${named}-overlaid`), overlaid);
    await objects.flush();
    await sessions.withCase(
      destinationCaseId,
      createdBy,
      async (tx) => {
        await replaceValues(tx, job.jobId, segment);
      },
      { signal },
    );
  }
};

/**
 * Writes down where the values of overlaid exhibits are, and points them at the segment: once, for what somebody edits afterwards is theirs.
 * What somebody edits meanwhile comes before, and is written down, or waits and comes after.
 */
const replaceValues = async (tx: Queryable, jobId: string, segment: WrittenSegment): Promise<void> => {
  const { rows: present } = await tx.query<{ exhibit_id: string; version: number }>(
    'SELECT exhibit_id, version FROM custom_field_pointer WHERE exhibit_id = ANY ($1::bigint[]) ORDER BY exhibit_id FOR NO KEY UPDATE',
    [segment.entries.map(({ exhibitId }) => exhibitId)],
  );
  const { rows: remembered } = await tx.query<{ exhibit_id: string }>(
    `UPDATE exchange_exhibit e
     SET fields_before = coalesce((SELECT jsonb_build_object('segment_id', segment_id, 'byte_offset', byte_offset, 'byte_length', byte_length)
                                   FROM custom_field_pointer p WHERE p.exhibit_id = e.exhibit_id), 'null')
     WHERE job_id = $1 AND exhibit_id = ANY ($2::bigint[]) AND fields_before IS NULL RETURNING exhibit_id`,
    [jobId, segment.entries.map(({ exhibitId }) => exhibitId)],
  );
  const versions = new Map(present.map((row) => [Number(row.exhibit_id), row.version]));
  const waiting = new Set(remembered.map((row) => Number(row.exhibit_id)));
  const entries = segment.entries.filter(({ exhibitId }) => waiting.has(exhibitId));
  if (entries.length === 0) return;
  const linked = await linkSegment(
    tx,
    { ...segment, entries },
    { kind: 'expect', versions: entries.map(({ exhibitId }) => versions.get(exhibitId) ?? 0) },
  );
  if (linked.size === entries.length) return;
  const { rowCount } = await tx.query('SELECT FROM exhibit WHERE document_id = ANY ($1::bigint[])', [
    entries.flatMap(({ exhibitId }) => (linked.has(exhibitId) ? [] : [exhibitId])),
  ]);
  // Those that are gone have no values.
  if (rowCount > 0)
    throw new CaseboundError(
      'conflict_retries_exhausted',
      'Somebody gave values to an exhibit that had none while the exchange overlaid it; it is tried again.',
      { retryAfterSeconds: 1 },
    );
};

/** Points overlaid exhibits at the values that they had, where nobody has changed them since. */
export const restorePointers = async (
  tx: Queryable,
  jobId: string,
  exhibitIds: readonly number[],
  segmentPrefix: string,
): Promise<void> => {
  const ours = `p.segment_id IN (SELECT segment_id FROM custom_field_segment WHERE starts_with(object_key, $3))`;
  await tx.query(
    `UPDATE custom_field_pointer p
     SET segment_id = (e.fields_before->>'segment_id')::bigint, byte_offset = (e.fields_before->>'byte_offset')::int,
         byte_length = (e.fields_before->>'byte_length')::int, version = p.version + 1
     FROM exchange_exhibit e WHERE e.job_id = $1 AND e.exhibit_id = ANY ($2::bigint[]) AND p.exhibit_id = e.exhibit_id
       AND jsonb_typeof(e.fields_before) = 'object' AND ${ours}`,
    [jobId, exhibitIds, segmentPrefix],
  );
  await tx.query(
    `DELETE FROM custom_field_pointer p USING exchange_exhibit e
     WHERE e.job_id = $1 AND e.exhibit_id = ANY ($2::bigint[]) AND p.exhibit_id = e.exhibit_id AND jsonb_typeof(e.fields_before) = 'null' AND ${ours}`,
    [jobId, exhibitIds, segmentPrefix],
  );
};

/** Objects of an exchange's values lie below it. */
export const segmentPrefixOf = (job: Pick<ExchangeJob, 'jobId' | 'destinationCaseId'>): string =>
  `case_${job.destinationCaseId}/custom-fields/segments/exchange-${job.jobId}/`;
