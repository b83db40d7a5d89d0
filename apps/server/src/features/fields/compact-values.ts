/**
 * Folds the objects of single edits, and segments that most exhibits have left, into new segments of up to 1,000 exhibits.
 *
 * - Only where the values are changes, not what they are: versions stay, nothing is audited, and who edits meanwhile wins.
 * - What was folded stays readable until a sweep, a grace period later: a reader may still hold its pointer.
 */
import type { Actor, CaseId } from '@casebound/contract';
import type { CaseSessions } from '../../database/index.ts';
import { readStoredValues } from './read-values.ts';
import { exhibitsPerSegment, segmentKey, writeSegment } from './segments.ts';
import { linkSegment, type Pointer } from './store.ts';
import type { ValueSource } from './value-store.ts';

export interface MaintenanceParts {
  readonly sessions: CaseSessions;
  readonly source: ValueSource;
}

export interface Compaction {
  /** Exhibits whose values moved. */
  readonly exhibits: number;
  /** Segments that were written. */
  readonly segments: number;
}

/** Fewer exhibits than this are not worth an object of their own. */
const worthFolding = 100;

const thinPointers = `
  WITH live AS (SELECT segment_id, count(*) AS pointers FROM custom_field_pointer GROUP BY segment_id),
       thin AS (SELECT segment_id, object_key FROM custom_field_segment JOIN live USING (segment_id)
                WHERE exhibits < ${worthFolding} OR pointers * 2 < exhibits)
  SELECT exhibit_id, version, object_key, byte_offset, byte_length FROM custom_field_pointer JOIN thin USING (segment_id)
  WHERE exhibit_id > $1 ORDER BY exhibit_id LIMIT $2`;

/** Two statements and one object for a thousand exhibits. */
export const compactValues = async (
  { sessions, source }: MaintenanceParts,
  caseId: CaseId,
  actor: Actor,
  signal?: AbortSignal,
): Promise<Compaction> => {
  const options = signal === undefined ? {} : { signal };
  let exhibits = 0;
  let segments = 0;
  for (let after = 0; ;) {
    const from = after;
    const { rows } = await sessions.withCase(
      caseId,
      actor,
      async (tx) =>
        tx.query<{
          exhibit_id: string;
          version: number;
          object_key: string;
          byte_offset: number;
          byte_length: number;
        }>(thinPointers, [from, exhibitsPerSegment]),
      { readOnly: true, ...options },
    );
    if (rows.length < worthFolding) return { exhibits, segments };
    const pointers = rows.map((row): Pointer => ({
      exhibitId: Number(row.exhibit_id),
      version: row.version,
      objectKey: row.object_key,
      offset: row.byte_offset,
      length: row.byte_length,
    }));
    after = pointers.at(-1)?.exhibitId ?? after;
    const inOrder = pointers.toSorted((a, b) => a.objectKey.localeCompare(b.objectKey) || a.offset - b.offset);
    const values = await readStoredValues(source.objects, source.cache, inOrder, signal);
    const kept = pointers.flatMap(({ exhibitId }) => values.get(exhibitId) ?? []);
    const key = segmentKey(caseId, `compacted/${crypto.randomUUID()}`);
    const segment = await writeSegment(source.objects, key, kept);
    await source.objects.flush();
    const moved = await sessions.withCase(
      caseId,
      actor,
      async (tx) => linkSegment(tx, segment, { kind: 'move', versions: kept.map(({ version }) => version) }),
      options,
    );
    exhibits += moved.size;
    segments += 1;
  }
};
