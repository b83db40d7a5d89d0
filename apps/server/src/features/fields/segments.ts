/**
 * Segments: the values of up to 1,000 exhibits in one immutable object of JSON lines, read back by byte range.
 *
 * - The object is written before the transaction that points at it commits; a transaction that rolls back changes nothing readable.
 * - An object is never replaced: pointers of a transaction that was committed may lead into it. A repetition takes a key of its own, also for
 *   the same values: nothing points at the object of an attempt that failed, so that a sweep may be about to remove it.
 * - Offsets are bytes, not characters.
 */
import { hasCode, type CaseId } from '@casebound/contract';
import { objectKey, type ObjectKey, type ObjectStore } from '../../platform/object-store/Port.ts';
import { encodeValues, type ExhibitValues, type WritableValues } from './field-values.ts';

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

/** Key of a segment; `name` is unique in the case (`{job}/{chunk}`). */
export const segmentKey = (caseId: CaseId, name: string): ObjectKey =>
  objectKey(`case_${caseId}/custom-fields/segments/${name}.jsonl`);

/** Key of the object that an edit writes for its exhibit. */
const editKey = (caseId: CaseId, exhibitId: number, version: number): ObjectKey =>
  objectKey(`case_${caseId}/exhibit_${exhibitId}_custom_fields.v${version}.json`);

/** The same place, for another attempt. */
const besides = (key: ObjectKey): ObjectKey =>
  objectKey(key.replace(/(\.[^./]+)$/, `-${crypto.randomUUID().slice(0, 13)}$1`));

const putNew = async (
  objects: ObjectStore,
  key: ObjectKey,
  bytes: Uint8Array,
  contentType: string,
): Promise<Omit<WrittenSegment, 'entries'>> => {
  const options = { ifAbsent: true, contentType };
  const first = await objects.put(key, bytes, options).catch((error: unknown) => {
    if (!hasCode(error, 'object_exists')) throw error;
    return undefined;
  });
  const { key: own, size, sha256 } = first?.created === true ? first : await objects.put(besides(key), bytes, options);
  return { key: own, size, sha256 };
};

/** Writes the values of exhibits as one object; its key is `key`, or one beside it. */
export const writeSegment = async (
  objects: ObjectStore,
  key: ObjectKey,
  exhibits: readonly WritableValues[],
): Promise<WrittenSegment> => {
  const entries: SegmentEntry[] = [];
  const lines: string[] = [];
  let offset = 0;
  for (const exhibit of exhibits) {
    const line = `${encodeValues(exhibit)}\n`;
    const length = Buffer.byteLength(line) - 1;
    entries.push({ exhibitId: exhibit.exhibitId, offset, length });
    lines.push(line);
    offset += length + 1;
  }
  const bytes = Buffer.allocUnsafe(offset);
  for (const [index, { offset: start }] of entries.entries()) bytes.write(lines[index] ?? '', start);
  return { ...(await putNew(objects, key, bytes, 'application/x-ndjson')), entries };
};

/** Writes the values of one exhibit as an object of its own. */
export const writeEdit = async (
  objects: ObjectStore,
  caseId: CaseId,
  exhibit: ExhibitValues,
  version: number,
): Promise<WrittenSegment> => {
  const body = Buffer.from(encodeValues(exhibit), 'utf8');
  const key = editKey(caseId, exhibit.exhibitId, version);
  const written = await putNew(objects, key, body, 'application/json');
  return { ...written, entries: [{ exhibitId: exhibit.exhibitId, offset: 0, length: body.length }] };
};
