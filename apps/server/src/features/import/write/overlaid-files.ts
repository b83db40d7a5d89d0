/**
 * What becomes of the files that an overlay stored beside those of its exhibits, once the exhibits' records say what they have taken.
 *
 * - Natives and images stay where they lie. Texts that were taken go to the places of their pages, under the locks of the exhibits and when
 *   the import is known to be the worker's own: what is stored in them is then what the record says that commits last.
 * - What no record names is deleted after the commit.
 */
import type { JsonValue } from '@casebound/records';
import type { CaseId } from '@casebound/contract';
import { type CopyRequest, type ObjectKey, objectKey, type ObjectStore } from '../../../platform/object-store/Port.ts';
import type { ExhibitState } from './change-exhibits.ts';
import type { ChunkRow } from './import-chunk.ts';
import { pageTextKey, storedTextKey } from './object-keys.ts';

export interface OverlaidFiles {
  readonly places: readonly CopyRequest[];
  readonly unused: readonly ObjectKey[];
}

const listOf = (value: JsonValue | undefined): readonly JsonValue[] => (Array.isArray(value) ? value : []);

const memberOf = (value: JsonValue | undefined, name: string): JsonValue | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value[name] : undefined;

/** `state` is what the exhibit has become; undefined where it takes nothing. */
export const filesOfRow = (
  { staged: { match }, stored }: ChunkRow,
  { caseId, jobId }: { readonly caseId: CaseId; readonly jobId: string },
  state: ExhibitState | undefined,
): OverlaidFiles => {
  if (match === null) return { places: [], unused: [] };
  const place = { caseId, batchId: match.batchId, documentKey: match.documentKey };
  const pages = listOf(state?.exhibit['pages']);
  const named = new Set(listOf(state?.document['variants']).map((variant) => memberOf(variant, 'objectKey')));
  const places: CopyRequest[] = [];
  const unused: ObjectKey[] = [];
  for (const { type, position, objectKey: key, size, sha256 } of stored.variants) {
    // Written by `storeFiles`.
    if (typeof key !== 'string' || typeof sha256 !== 'string') continue;
    if (type !== 'text') {
      if (!named.has(key)) unused.push(objectKey(key));
      continue;
    }
    const at = Number(position);
    const source = storedTextKey({ ...place, overlay: jobId }, at);
    unused.push(source);
    if (memberOf(pages[at - 1], 'textSha256') !== sha256) continue;
    const expected = { size: Number(size), sha256 };
    places.push({ source, destination: pageTextKey(place, at), expected });
  }
  return { places, unused };
};

/** Brings the texts to their places. Throws what kept one from it. */
export const placeTexts = async (objects: ObjectStore, { places }: OverlaidFiles): Promise<void> => {
  if (places.length === 0) return;
  for (const answer of await objects.copyAll(places)) if (!answer.ok) throw answer.error;
  await objects.flush();
};
