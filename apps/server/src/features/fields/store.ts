/**
 * The SQL of custom-field pointers. Each function is one statement, however many exhibits it is about.
 */
import { CaseboundError } from '@casebound/contract';
import { arrayLiteral } from '@casebound/records';
import type { Queryable } from '../../database/index.ts';
import type { WrittenSegment } from './segments.ts';

export interface Pointer {
  readonly exhibitId: number;
  readonly version: number;
  readonly objectKey: string;
  readonly offset: number;
  readonly length: number;
}

/** How a case that keeps its values in tables has come on its way to segments; null for a case that has no tables. */
export interface LegacyStorage {
  readonly parallelWrite: boolean;
  readonly filtersFromIndex: boolean;
  readonly readFromObjects: boolean;
  readonly tableWritesStopped: boolean;
}

/** Where values of exhibits are. */
export interface Placed {
  readonly legacy: LegacyStorage | null;
  /** In order of object and offset, so that neighbours are read together. */
  readonly pointers: readonly Pointer[];
}

export interface PlacedExhibit {
  readonly exhibitId: number;
  readonly controlNumber: string;
  readonly batchId: number;
  readonly importedAt: string;
}

interface StorageColumns {
  readonly legacy: {
    readonly parallel_write: boolean;
    readonly filters_from_index: boolean;
    readonly read_from_objects: boolean;
    readonly table_writes_stopped: boolean;
  } | null;
}

interface PointerColumns {
  readonly exhibit_id: string | null;
  readonly version: number | null;
  readonly object_key: string | null;
  readonly byte_offset: number | null;
  readonly byte_length: number | null;
}

const storageColumn = '(SELECT to_jsonb(storage) FROM custom_field_storage AS storage) AS legacy';

const toLegacy = (row: StorageColumns | undefined): LegacyStorage | null =>
  row === undefined || row.legacy === null
    ? null
    : {
        parallelWrite: row.legacy.parallel_write,
        filtersFromIndex: row.legacy.filters_from_index,
        readFromObjects: row.legacy.read_from_objects,
        tableWritesStopped: row.legacy.table_writes_stopped,
      };

const toPointers = (rows: readonly PointerColumns[]): Pointer[] =>
  rows.flatMap(({ exhibit_id: exhibitId, version, object_key: key, byte_offset: offset, byte_length: length }) =>
    exhibitId === null || version === null || key === null || offset === null || length === null
      ? []
      : [{ exhibitId: Number(exhibitId), version, objectKey: key, offset, length }],
  );

/** Where the values of those of the exhibits that have any are. */
export const readPlaced = async (tx: Queryable, exhibitIds: readonly number[]): Promise<Placed> => {
  const { rows } = await tx.query<StorageColumns & PointerColumns>(
    `SELECT ${storageColumn}, pointer.exhibit_id, pointer.version, segment.object_key, pointer.byte_offset, pointer.byte_length
     FROM (SELECT) AS one
     LEFT JOIN (custom_field_pointer AS pointer JOIN custom_field_segment AS segment USING (segment_id))
       ON pointer.exhibit_id = ANY ($1::bigint[])
     ORDER BY segment_id, byte_offset`,
    [exhibitIds],
  );
  return { legacy: toLegacy(rows[0]), pointers: toPointers(rows) };
};

/** As `readPlaced`, with what an update has to know of the exhibits; one that is not there is not among them. */
export const readPlacedExhibits = async (
  tx: Queryable,
  exhibitIds: readonly number[],
): Promise<Placed & { readonly exhibits: ReadonlyMap<number, PlacedExhibit> }> => {
  const { rows } = await tx.query<
    StorageColumns &
      PointerColumns & {
        readonly id: string;
        readonly control_number: string;
        readonly batch_id: string;
        readonly imported_at: Date;
      }
  >(
    `SELECT ${storageColumn}, exhibit.document_id AS id, exhibit.control_number, exhibit.batch_document_id AS batch_id,
            document.created_at AS imported_at,
            pointer.exhibit_id, pointer.version, segment.object_key, pointer.byte_offset, pointer.byte_length
     FROM exhibit JOIN document USING (document_id)
     LEFT JOIN (custom_field_pointer AS pointer JOIN custom_field_segment AS segment USING (segment_id))
       ON pointer.exhibit_id = exhibit.document_id
     WHERE exhibit.document_id = ANY ($1::bigint[])
     ORDER BY segment_id, byte_offset`,
    [exhibitIds],
  );
  const exhibits = rows.map(
    (row) =>
      [
        Number(row.id),
        {
          exhibitId: Number(row.id),
          controlNumber: row.control_number,
          batchId: Number(row.batch_id),
          importedAt: row.imported_at.toISOString(),
        },
      ] as const,
  );
  return { legacy: toLegacy(rows[0]), pointers: toPointers(rows), exhibits: new Map(exhibits) };
};

/** How the case keeps its values. */
export const readLegacy = async (tx: Queryable): Promise<LegacyStorage | null> => {
  const { rows } = await tx.query<StorageColumns>(`SELECT ${storageColumn}`);
  return toLegacy(rows[0]);
};

/**
 * What happens to pointers that are there. `expect`: those that have the version given (by entry; 0: there is none) are swapped. `move`:
 * likewise, and they keep their version. `set`: swapped, whatever their version was, and it becomes the one given plus one.
 */
export interface LinkRule {
  readonly kind: 'expect' | 'move' | 'set';
  readonly versions: readonly number[];
}

const insertSegment = `INSERT INTO custom_field_segment AS known (object_key, size_bytes, sha256, exhibits) VALUES ($1, $2, $3, $4)
       ON CONFLICT (object_key) DO UPDATE
         SET size_bytes = excluded.size_bytes, sha256 = excluded.sha256, exhibits = excluded.exhibits, orphaned_at = NULL
         WHERE NOT known.doomed
       RETURNING segment_id`;

/**
 * CTEs over the exhibits $ids: `here`, those with a row in the table, and `bare`, those of the others that exist. Both are locked, so that
 * nobody removes them until the transaction ends: an insertion that waited for a removal would bring the row of a gone exhibit back. Rows
 * first, as who removes exhibits does.
 */
export const lockedExhibits = (table: 'custom_field_pointer' | 'tagging_versions', ids: string): string =>
  `here AS MATERIALIZED (
     SELECT exhibit_id FROM ${table} WHERE exhibit_id = ANY (${ids}::bigint[]) ORDER BY exhibit_id FOR NO KEY UPDATE
   ), bare AS MATERIALIZED (
     SELECT document_id AS exhibit_id FROM exhibit
     WHERE document_id = ANY (${ids}::bigint[]) AND document_id NOT IN (SELECT exhibit_id FROM here) ORDER BY document_id FOR KEY SHARE
   )`;

const beingRemoved = (segment: WrittenSegment): CaseboundError =>
  new CaseboundError(
    'object_store_unavailable',
    `The object ${segment.key} is being removed; write it again in a while.`,
  );

export const storageChanged = (): CaseboundError =>
  new CaseboundError(
    'conflict_retries_exhausted',
    'The case is on its way to another storage of custom fields, and took a step just now; try again.',
  );

/** Whether the case keeps its values in tables, as the statement sees it that writes pointers. */
const tablesColumn = '(SELECT count(*) FROM custom_field_storage) AS tables';

/**
 * Points exhibits that this transaction made at a segment, in a case without tables; half of what `linkSegment` costs. Errors: as there, with
 * `withoutTables`.
 */
export const linkNewExhibits = async (tx: Queryable, segment: WrittenSegment): Promise<void> => {
  const { entries } = segment;
  const { rows } = await tx.query<{ segments: string; tables: string }>(
    `WITH segment AS (
       ${insertSegment}
     ), linked AS (
       INSERT INTO custom_field_pointer (exhibit_id, segment_id, byte_offset, byte_length, version)
       SELECT unnest($5::bigint[]), segment_id, unnest($6::int[]), unnest($7::int[]), 1 FROM segment
     )
     SELECT count(*) AS segments, ${tablesColumn} FROM segment`,
    [
      segment.key,
      segment.size,
      segment.sha256,
      entries.length,
      arrayLiteral(entries.map((entry) => entry.exhibitId)),
      arrayLiteral(entries.map((entry) => entry.offset)),
      arrayLiteral(entries.map((entry) => entry.length)),
    ],
  );
  if (rows[0]?.segments === '0') throw beingRemoved(segment);
  if (rows[0]?.tables !== '0') throw storageChanged();
};

/**
 * Points those of the exhibits at a segment that are there.
 * @returns the exhibits that now point at the segment, with their new version
 * Errors: `object_store_unavailable` when the object of this key is being removed; the caller writes it again later. With `withoutTables`,
 *   `conflict_retries_exhausted` when the case keeps its values in tables by now.
 */
export const linkSegment = async (
  tx: Queryable,
  segment: WrittenSegment,
  rule: LinkRule,
  { withoutTables = false }: { readonly withoutTables?: boolean } = {},
): Promise<ReadonlyMap<number, number>> => {
  const { rows } = await tx.query<{ segments: string; linked: string | null; tables: string }>(
    `WITH segment AS (
       ${insertSegment}
     ), ${lockedExhibits('custom_field_pointer', '$5')}, linked AS (
       INSERT INTO custom_field_pointer AS pointer (exhibit_id, segment_id, byte_offset, byte_length, version)
       SELECT entry.exhibit_id, segment.segment_id, entry.byte_offset, entry.byte_length, entry.expected + 1
       FROM unnest($5::bigint[], $6::int[], $7::int[], $8::int[]) AS entry (exhibit_id, byte_offset, byte_length, expected)
       CROSS JOIN segment
       WHERE entry.exhibit_id IN (SELECT exhibit_id FROM here)
          OR (($9 NOT IN ('expect', 'move') OR entry.expected = 0) AND entry.exhibit_id IN (SELECT exhibit_id FROM bare))
       ORDER BY entry.exhibit_id
       ON CONFLICT (exhibit_id) DO UPDATE
         SET segment_id = excluded.segment_id, byte_offset = excluded.byte_offset, byte_length = excluded.byte_length,
             version = CASE $9 WHEN 'move' THEN pointer.version ELSE excluded.version END
         WHERE $9 NOT IN ('expect', 'move') OR excluded.version = pointer.version + 1
       RETURNING exhibit_id, version
     )
     SELECT (SELECT count(*) FROM segment) AS segments, ${tablesColumn},
            (SELECT string_agg(exhibit_id || ' ' || version, ',') FROM linked) AS linked`,
    [
      segment.key,
      segment.size,
      segment.sha256,
      segment.entries.length,
      arrayLiteral(segment.entries.map((entry) => entry.exhibitId)),
      arrayLiteral(segment.entries.map((entry) => entry.offset)),
      arrayLiteral(segment.entries.map((entry) => entry.length)),
      arrayLiteral(rule.versions),
      rule.kind,
    ],
  );
  if (rows[0]?.segments === '0') throw beingRemoved(segment);
  if (withoutTables && rows[0]?.tables !== '0') throw storageChanged();
  const linked = rows[0]?.linked ?? null;
  if (linked === null) return new Map();
  return new Map(
    linked.split(',').map((pair) => {
      const space = pair.indexOf(' ');
      return [Number(pair.slice(0, space)), Number(pair.slice(space + 1))] as const;
    }),
  );
};

/** Removes the pointers of exhibits that go. @returns how the case keeps its values */
export const deletePointers = async (tx: Queryable, exhibitIds: readonly number[]): Promise<LegacyStorage | null> => {
  const { rows } = await tx.query<StorageColumns>(
    `WITH gone AS (DELETE FROM custom_field_pointer WHERE exhibit_id = ANY ($1::bigint[])) SELECT ${storageColumn}`,
    [exhibitIds],
  );
  return toLegacy(rows[0]);
};
