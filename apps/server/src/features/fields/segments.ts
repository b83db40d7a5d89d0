/**
 * Segments: the values of up to 1,000 exhibits in one immutable object of JSON lines, read back by byte range.
 *
 * - The object is written before the transaction that points at it commits; a transaction that rolls back changes nothing readable.
 * - Offsets are bytes, not characters.
 */
import { objectKey, type ObjectKey, type ObjectStore } from '../../platform/object-store/Port.ts';
import type { CaseId } from '@casebound/contract';
import { encodeValues, type ExhibitValues } from './field-values.ts';

export const exhibitsPerSegment = 1_000;

export interface SegmentEntry {
  readonly exhibitId: number;
  readonly offset: number;
  readonly length: number;
}

export interface WrittenSegment {
  readonly key: ObjectKey;
  readonly size: number;
  readonly sha256: string;
  readonly entries: readonly SegmentEntry[];
}

/** Key of a segment; `name` is unique in the case (`{job}/{chunk}`), so that a repeated chunk writes the same object. */
export const segmentKey = (caseId: CaseId, name: string): ObjectKey =>
  objectKey(`case_${caseId}/custom-fields/segments/${name}.jsonl`);

/** Key of the object that an edit writes for its exhibit. */
export const editKey = (caseId: CaseId, exhibitId: number, version: number, suffix = ''): ObjectKey =>
  objectKey(`case_${caseId}/exhibit_${exhibitId}_custom_fields.v${version}${suffix}.json`);

/** Writes the values of exhibits as one object. */
export const writeSegment = async (
  objects: ObjectStore,
  key: ObjectKey,
  exhibits: readonly ExhibitValues[],
): Promise<WrittenSegment> => {
  const entries: SegmentEntry[] = [];
  const lines: Buffer[] = [];
  let offset = 0;
  for (const exhibit of exhibits) {
    const line = Buffer.from(`${encodeValues(exhibit)}\n`, 'utf8');
    entries.push({ exhibitId: exhibit.exhibitId, offset, length: line.length - 1 });
    lines.push(line);
    offset += line.length;
  }
  const { size, sha256 } = await objects.put(key, Buffer.concat(lines, offset), {
    contentType: 'application/x-ndjson',
  });
  return { key, size, sha256, entries };
};
