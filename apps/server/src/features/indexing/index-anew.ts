/**
 * Makes the index have of exhibits what stands in the case.
 *
 * - Several may put an exhibit at once, and who read it before a change may put it after who read it behind the change. So each looks again
 *   once it has put, and puts again what changed since it read: whoever puts last has read what is there.
 * - A case that is deleted meanwhile leaves no index: a put that came behind its removal made it anew, so it is removed again. Ids of cases
 *   are never used twice.
 */
import { type Actor, type CaseId, hasCode } from '@casebound/contract';
import type { CaseSessions, Queryable } from '../../database/index.ts';
import type { ObjectStore } from '../../platform/object-store/Port.ts';
import type { SearchIndex } from '../../platform/search-index/Port.ts';
import type { Fields } from '../fields/index.ts';
import {
  buildIndexDocuments,
  documentOf,
  type ExhibitToIndex,
  readCoreFields,
  readCustomFields,
} from './index-documents.ts';
import { readPages } from './page-texts.ts';

export interface IndexingParts {
  readonly sessions: CaseSessions;
  readonly objects: Pick<ObjectStore, 'readAll'>;
  readonly index: Pick<SearchIndex, 'put' | 'remove' | 'drop'>;
  readonly fields: Fields;
}

/** Another one after each change of what the index has of an exhibit. */
const revisionColumn = `concat_ws(' ', own.etag, behind.etag, coalesce(p.segment_id, 0), coalesce(p.version, 0), coalesce(t.version, 0)) AS revision`;
const revised = `FROM exhibit e JOIN document own ON own.document_id = e.document_id JOIN document behind ON behind.document_id = e.document_document_id
  LEFT JOIN custom_field_pointer p ON p.exhibit_id = e.document_id LEFT JOIN tagging_versions t ON t.exhibit_id = e.document_id`;
const among = 'WHERE e.document_id = ANY ($1::bigint[])';

interface Place {
  readonly exhibit_id: string;
  readonly control_number: string;
  readonly document_key: string;
  readonly batch_id: string;
  readonly revision: string;
}

const readPlaces = async (tx: Queryable, exhibitIds: readonly number[]): Promise<ReadonlyMap<number, Place>> => {
  const { rows } = await tx.query<Place & Record<string, unknown>>(
    `SELECT e.document_id AS exhibit_id, e.control_number, d.document_key, e.batch_document_id AS batch_id, ${revisionColumn}
     ${revised} JOIN source_document d ON d.document_id = e.document_document_id ${among}`,
    [exhibitIds],
  );
  return new Map(rows.map((row) => [Number(row.exhibit_id), row]));
};

/** Revisions of those of the exhibits that are there. Read before what is put: that is as new as they say, or newer. */
export type Revisions = ReadonlyMap<number, string>;
export const readRevisions = async (tx: Queryable, exhibitIds: readonly number[]): Promise<Revisions> => {
  const { rows } = await tx.query<{ exhibit_id: string; revision: string }>(
    `SELECT e.document_id AS exhibit_id, ${revisionColumn} ${revised} ${among}`,
    [exhibitIds],
  );
  return new Map(rows.map((row) => [Number(row.exhibit_id), row.revision]));
};

/** Puts exhibits that are there, takes out those that are not. @returns the revisions that were put */
const putOnce = async (
  { sessions, objects, index, fields }: IndexingParts,
  caseId: CaseId,
  actor: Actor,
  exhibitIds: readonly number[],
  signal: AbortSignal,
): Promise<Revisions> => {
  const { there, core, pages } = await sessions.withCase(
    caseId,
    actor,
    async (tx) => ({
      // First: what the others read is as new as the revisions say, or newer.
      there: await readPlaces(tx, exhibitIds),
      core: await readCoreFields(tx, exhibitIds),
      pages: await readPages(tx, exhibitIds),
    }),
    { readOnly: true, signal },
  );
  const gone = exhibitIds.filter((exhibitId) => !there.has(exhibitId));
  if (gone.length > 0) await index.remove(caseId, gone);
  const custom = await readCustomFields(fields, caseId, actor, [...there.keys()], signal);
  const exhibits = [...there].map(([exhibitId, row]): ExhibitToIndex => ({
    exhibitId,
    controlNumber: row.control_number,
    documentKey: row.document_key,
    batchId: Number(row.batch_id),
    pages: pages.get(exhibitId) ?? [],
    fields: { ...core.get(exhibitId), ...custom.get(exhibitId) },
  }));
  for await (const part of buildIndexDocuments(objects, caseId, exhibits, signal))
    await index.put(caseId, part.map(documentOf));
  return new Map([...there].map(([exhibitId, { revision }]) => [exhibitId, revision]));
};

/** Of those that were put, the ones that changed since they were read. */
const changedSince = async (
  { sessions }: Pick<IndexingParts, 'sessions'>,
  caseId: CaseId,
  actor: Actor,
  read: Revisions,
  signal: AbortSignal,
): Promise<readonly number[]> => {
  const now = await sessions.withCase(caseId, actor, async (tx) => readRevisions(tx, [...read.keys()]), {
    readOnly: true,
    readsWithBegin: true,
    signal,
  });
  return [...read].flatMap(([exhibitId, revision]) => (now.get(exhibitId) === revision ? [] : [exhibitId]));
};

const unlessDeleted = async ({ index }: IndexingParts, caseId: CaseId, work: () => Promise<void>): Promise<void> => {
  try {
    await work();
  } catch (error) {
    // Busy: being made, and then it has no index yet, or being deleted.
    if (hasCode(error, 'case_not_found') || hasCode(error, 'case_busy')) await index.drop(caseId);
    throw error;
  }
};

/** Exhibits that are there are put, whichever way they came; those that are gone go from the index, too. */
export const indexAnew = async (
  parts: IndexingParts,
  caseId: CaseId,
  actor: Actor,
  exhibitIds: readonly number[],
  signal: AbortSignal,
): Promise<void> =>
  unlessDeleted(parts, caseId, async () => {
    for (let waiting = exhibitIds; waiting.length > 0;) {
      signal.throwIfAborted();
      const put = await putOnce(parts, caseId, actor, waiting, signal);
      waiting = put.size === 0 ? [] : await changedSince(parts, caseId, actor, put, signal);
    }
  });

/** For who has put exhibits itself: puts those again that changed since their revisions were read. */
export const indexChanged = async (
  parts: IndexingParts,
  caseId: CaseId,
  actor: Actor,
  read: Revisions,
  signal: AbortSignal,
): Promise<void> =>
  unlessDeleted(parts, caseId, async () => {
    if (read.size > 0)
      await indexAnew(parts, caseId, actor, await changedSince(parts, caseId, actor, read, signal), signal);
  });
