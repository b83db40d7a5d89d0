/** The SQL of custom-field pointers. Each function is one statement, however many exhibits it is about. */
import type { Queryable } from '../../database/index.ts';
import type { WrittenSegment } from './segments.ts';

export interface Pointer {
  readonly exhibitId: number;
  readonly version: number;
  readonly objectKey: string;
  readonly offset: number;
  readonly length: number;
}

interface PointerRow {
  readonly exhibit_id: string;
  readonly version: number;
  readonly object_key: string;
  readonly byte_offset: number;
  readonly byte_length: number;
}

/** Pointers of those of the exhibits that have values, in order of object and offset, so that neighbours are read together. */
export const readPointers = async (tx: Queryable, exhibitIds: readonly number[]): Promise<Pointer[]> => {
  const { rows } = await tx.query<PointerRow>(
    `SELECT exhibit_id, version, object_key, byte_offset, byte_length
     FROM custom_field_pointer JOIN custom_field_segment USING (segment_id)
     WHERE exhibit_id = ANY ($1::bigint[]) ORDER BY segment_id, byte_offset`,
    [exhibitIds],
  );
  return rows.map((row) => ({
    exhibitId: Number(row.exhibit_id),
    version: row.version,
    objectKey: row.object_key,
    offset: row.byte_offset,
    length: row.byte_length,
  }));
};

/**
 * Points exhibits at a segment. With `versions` (by entry), only pointers that still have that version are swapped, 0 meaning that
 * there is none; without, what is there is replaced.
 * @returns the exhibits that now point at the segment, with their new version
 */
export const linkSegment = async (
  tx: Queryable,
  segment: WrittenSegment,
  versions?: readonly number[],
): Promise<ReadonlyMap<number, number>> => {
  const { rows } = await tx.query<{ exhibit_id: string; version: number }>(
    `WITH segment AS (
       INSERT INTO custom_field_segment (object_key, size_bytes, sha256, exhibits) VALUES ($1, $2, $3, $4)
       ON CONFLICT (object_key) DO UPDATE SET size_bytes = excluded.size_bytes, sha256 = excluded.sha256, exhibits = excluded.exhibits
       RETURNING segment_id
     ), entry AS (
       SELECT * FROM unnest($5::bigint[], $6::int[], $7::int[], $8::int[]) AS e (exhibit_id, byte_offset, byte_length, expected)
       ORDER BY exhibit_id
     )
     INSERT INTO custom_field_pointer AS pointer (exhibit_id, segment_id, byte_offset, byte_length, version)
     SELECT entry.exhibit_id, segment.segment_id, entry.byte_offset, entry.byte_length, 1
     FROM entry CROSS JOIN segment
     WHERE entry.expected IS NULL OR entry.expected = 0
        OR EXISTS (SELECT FROM custom_field_pointer AS present WHERE present.exhibit_id = entry.exhibit_id)
     ON CONFLICT (exhibit_id) DO UPDATE
       SET segment_id = excluded.segment_id, byte_offset = excluded.byte_offset, byte_length = excluded.byte_length,
           version = pointer.version + 1
       WHERE coalesce((SELECT expected FROM entry WHERE entry.exhibit_id = pointer.exhibit_id), pointer.version) = pointer.version
     RETURNING exhibit_id, version`,
    [
      segment.key,
      segment.size,
      segment.sha256,
      segment.entries.length,
      segment.entries.map((entry) => entry.exhibitId),
      segment.entries.map((entry) => entry.offset),
      segment.entries.map((entry) => entry.length),
      versions ?? segment.entries.map(() => null),
    ],
  );
  return new Map(rows.map((row) => [Number(row.exhibit_id), row.version]));
};

/** Removes the pointers of exhibits that go. */
export const unlinkExhibits = async (tx: Queryable, exhibitIds: readonly number[]): Promise<void> => {
  await tx.query('DELETE FROM custom_field_pointer WHERE exhibit_id = ANY ($1::bigint[])', [exhibitIds]);
};
