/**
 * Removes objects of values that nothing points at any more: of edits that others followed, of what compaction folded, of transactions that
 * rolled back.
 *
 * 1. An object goes a grace period after it was seen without a pointer (or, never pointed at, after it was written): who read a pointer just
 *    before can still follow it.
 * 2. Before an object is deleted its key is doomed, in a transaction that is committed: from then on nothing can be pointed at it
 *    (`linkSegment`), so that no pointer is left without its object, whatever runs at the same time.
 * 3. Killed anywhere, the next sweep goes on.
 * 4. Segments that an exchange may point back to when it is rolled back stay.
 */
import type { Actor, CaseId } from '@casebound/contract';
import type { Queryable } from '../../database/index.ts';
import type { CrashPoint } from '../../platform/crash-points/Port.ts';
import {
  casePrefix,
  type ListedObject,
  objectKey,
  objectPrefix,
  type ObjectStore,
} from '../../platform/object-store/Port.ts';
import type { MaintenanceParts } from './compact-values.ts';

export interface SweptSegments {
  /** Objects that were deleted. */
  readonly objects: number;
  /** Segments that have no pointers now and wait for the end of their grace period. */
  readonly waiting: number;
}

const deletedAtOnce = 1_000;
const isOfValues = (key: string): boolean =>
  /^case_\d+\/(custom-fields\/segments\/.+|exhibit_\d+_custom_fields\.v[^/]+\.json)$/.test(key);

/** Condition of a segment that an exchange of the case has written down as where values were. */
const heldBy = async (tx: Queryable): Promise<string> => {
  const { rows } = await tx.query<{ has: boolean }>(
    `SELECT EXISTS (SELECT FROM information_schema.columns
       WHERE table_schema = current_schema() AND table_name = 'exchange_exhibit' AND column_name = 'fields_before') AS has`,
  );
  return rows[0]?.has === true
    ? `EXISTS (SELECT FROM exchange_exhibit WHERE jsonb_typeof(fields_before) = 'object' AND (fields_before->>'segment_id')::bigint = s.segment_id)`
    : 'false';
};

const mark = async (tx: Queryable, graceMs: number): Promise<number> => {
  const held = await heldBy(tx);
  const free = `NOT EXISTS (SELECT FROM custom_field_pointer p WHERE p.segment_id = s.segment_id) AND NOT ${held}`;
  await tx.query(
    `UPDATE custom_field_segment s SET orphaned_at = CASE WHEN ${free} THEN now() END
     WHERE NOT doomed AND (orphaned_at IS NULL) = (${free})`,
  );
  await tx.query(
    `UPDATE custom_field_segment s SET doomed = true WHERE NOT doomed AND orphaned_at <= now() - $1 * interval '1 millisecond' AND ${free}`,
    [graceMs],
  );
  const { rows } = await tx.query<{ waiting: string }>(
    'SELECT count(*) AS waiting FROM custom_field_segment WHERE orphaned_at IS NOT NULL AND NOT doomed',
  );
  return Number(rows[0]?.waiting ?? 0);
};

/** Dooms keys that no segment has. A key that a transaction is about to point at is waited for, and found taken. */
const doomUnknown = async (tx: Queryable, keys: readonly string[]): Promise<void> => {
  await tx.query(
    `INSERT INTO custom_field_segment (object_key, size_bytes, sha256, exhibits, orphaned_at, doomed)
     SELECT key, 0, '', 0, now(), true FROM unnest($1::text[]) AS key
     WHERE NOT EXISTS (SELECT FROM custom_field_segment WHERE object_key = key) ORDER BY key ON CONFLICT (object_key) DO NOTHING`,
    [keys],
  );
};

/**
 * Keys of objects of values that were written before the grace period. Those of edits stand among everything else of the case, so the listing
 * starts at them and ends behind them.
 */
async function* oldObjects(
  objects: ObjectStore,
  caseId: CaseId,
  graceMs: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly string[]> {
  const options = signal === undefined ? {} : { signal };
  const isOld = ({ key, lastModified }: ListedObject): boolean =>
    isOfValues(key) && lastModified.getTime() <= Date.now() - graceMs;
  const root = casePrefix(caseId);
  for await (const page of objects.list(objectPrefix(`${root}custom-fields/segments/`), options))
    yield page.filter(isOld).map(({ key }) => key);
  const edits = `${root}exhibit_`;
  for await (const page of objects.list(root, { ...options, after: objectKey(edits) })) {
    yield page.filter(isOld).map(({ key }) => key);
    if (page.some(({ key }) => !key.startsWith(edits))) return;
  }
}

export const sweepSegments = async (
  { sessions, source, crashPoint = () => undefined }: MaintenanceParts & { readonly crashPoint?: CrashPoint },
  caseId: CaseId,
  actor: Actor,
  graceMs: number,
  signal?: AbortSignal,
): Promise<SweptSegments> => {
  const { objects } = source;
  const options = signal === undefined ? {} : { signal };
  const waiting = await sessions.withCase(caseId, actor, async (tx) => mark(tx, graceMs), options);
  for await (const keys of oldObjects(objects, caseId, graceMs, signal))
    await sessions.withCase(caseId, actor, async (tx) => doomUnknown(tx, keys), options);
  crashPoint('fields.sweep.doomed');
  let deleted = 0;
  for (;;) {
    const { rows } = await sessions.withCase(
      caseId,
      actor,
      async (tx) =>
        tx.query<{ segment_id: string; object_key: string }>(
          'SELECT segment_id, object_key FROM custom_field_segment WHERE doomed ORDER BY segment_id LIMIT $1',
          [deletedAtOnce],
        ),
      { readOnly: true, ...options },
    );
    if (rows.length === 0) return { objects: deleted, waiting };
    await objects.delete(
      rows.map((row) => objectKey(row.object_key)),
      options,
    );
    crashPoint('fields.sweep.deleted');
    await sessions.withCase(
      caseId,
      actor,
      async (tx) =>
        tx.query('DELETE FROM custom_field_segment WHERE doomed AND segment_id = ANY ($1::bigint[])', [
          rows.map((row) => row.segment_id),
        ]),
      options,
    );
    deleted += rows.length;
  }
};
