/**
 * What stands in the destination for exhibits: the same reading when an exchange is verified, and whenever its manifest is checked later.
 *
 * - A page of exhibits costs a fixed number of statements; of the engine, a call more for each on which something lies; of the object
 *   store, one for each object.
 */
import { BatchId, DocumentId, ExhibitId, hasCode, type Actor, type CaseId } from '@casebound/contract';
import { formatInstantJson, kindOf, type InstantJson } from '@casebound/pdf';
import { readMany } from '@casebound/records';
import { formatDocumentId, type EngineDocumentId } from '../../../platform/document-engine/Port.ts';
import { objectKey } from '../../../platform/object-store/Port.ts';
import type { Fields } from '../../fields/index.ts';
import { caseResource } from '../../records/index.ts';
import { pageTextKey, readPages } from '../../indexing/index.ts';
import type { ExchangeDependencies } from '../dependencies.ts';
import { readVariants } from '../variants.ts';
import { canonicalHash, type ItemFacts, type ManifestObject } from './manifest-format.ts';

export interface DestinationExhibit {
  readonly exhibitId: number;
  readonly documentId: number;
  readonly documentKey: string;
}

export type VerificationParts = ExchangeDependencies & { readonly fields: Fields };
export type FactsParts = Pick<VerificationParts, 'sessions' | 'records' | 'fields' | 'objects' | 'engine'>;

/** `stated`: sizes and hashes as the records and the store state them. `read`: every byte is read and hashed. */
export type Thoroughness = 'stated' | 'read';

export interface FoundFacts {
  readonly facts: ItemFacts;
  /** Objects that are not there, or are not what the records say. */
  readonly faults: readonly { readonly key: string; readonly reason: string }[];
  /** SHA-256 that the document states of its file. */
  readonly statedHash: string | null;
}

const concurrency = 8;
const nothing: InstantJson = { annotations: [], comments: [], attachments: new Map() };

const withoutVersion = (body: string): Readonly<Record<string, unknown>> => {
  const { _etag, _lastModifiedDate, ...record } = JSON.parse(body) as Record<string, unknown>;
  return record;
};

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);

export const countKinds = (json: Pick<InstantJson, 'annotations' | 'comments'>): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const one of [...json.annotations, ...json.comments]) counts[kindOf(one)] = (counts[kindOf(one)] ?? 0) + 1;
  return counts;
};

/** Facts by exhibit; an exhibit that is gone is not in the map. */
export const readFacts = async (
  parts: FactsParts,
  caseId: CaseId,
  batchId: number,
  actor: Actor,
  exhibits: readonly DestinationExhibit[],
  thoroughness: Thoroughness,
  signal: AbortSignal,
): Promise<Map<number, FoundFacts>> => {
  const exhibitIds = exhibits.map((it) => it.exhibitId);
  const documentIds = [...new Set(exhibits.map((it) => it.documentId))];
  const { bodies, documents, variants, pages, values } = await parts.sessions.withCase(
    caseId,
    actor,
    async (tx) => {
      const store = await parts.records.within(caseId, tx);
      return {
        bodies: await readMany(store, tx, caseResource(store.model, 'exhibits'), exhibitIds),
        documents: await readMany(store, tx, caseResource(store.model, 'documents'), documentIds),
        variants: await readVariants(tx, documentIds),
        pages: await readPages(tx, exhibitIds),
        values: await parts.fields.readWithin(tx, exhibitIds, signal),
      };
    },
    { statementTimeoutMs: 300_000, transactionTimeoutMs: 600_000, signal },
  );

  /** Objects that the records of an exhibit state, by key. */
  const statedOf = ({ documentId, documentKey, exhibitId }: DestinationExhibit): readonly ManifestObject[] => {
    const place = { caseId, batchId, documentKey };
    const stated = (variants.get(documentId) ?? []).map(({ objectKey: key, size, sha256 }) => ({ key, size, sha256 }));
    const taken = new Set(stated.map(({ key }) => key));
    const texts = (pages.get(exhibitId) ?? []).flatMap(({ position, size, sha256 }) => {
      const key: string = pageTextKey(place, position);
      return sha256 === null || taken.has(key) ? [] : [{ key, size: size ?? 0, sha256 }];
    });
    return [...stated, ...texts].toSorted((a, b) => (a.key < b.key ? -1 : 1));
  };
  const lookAt =
    thoroughness === 'read'
      ? async (key: string) => readWhole(parts, key, signal)
      : await headAll(parts, exhibits.flatMap(statedOf), signal);

  const engineIdOf = ({ documentId, exhibitId }: DestinationExhibit): EngineDocumentId =>
    formatDocumentId({
      caseId,
      batchId: BatchId.parse(batchId),
      documentId: DocumentId.parse(documentId),
      exhibitId: ExhibitId.parse(exhibitId),
    });
  const surveys = await parts.engine.surveyDocuments(exhibits.map(engineIdOf), { signal });
  const annotationsOn = async (id: EngineDocumentId): Promise<InstantJson | undefined> => {
    const survey = surveys.get(id);
    if (survey === undefined) return undefined;
    if (survey.comments === 0 && Object.keys(survey.annotations).length === 0) return nothing;
    return parts.engine.exportInstantJson(id, { signal }).catch((error: unknown) => {
      if (hasCode(error, 'engine_document_not_found')) return undefined;
      throw error;
    });
  };

  const factsOf = async (exhibit: DestinationExhibit): Promise<FoundFacts | undefined> => {
    const body = bodies.get(exhibit.exhibitId);
    const document = documents.get(exhibit.documentId);
    if (body === undefined || document === undefined) return undefined;
    const ofDocument = withoutVersion(document.body);
    const faults: { key: string; reason: string }[] = [];
    const objects: ManifestObject[] = [];
    const ownPages = pages.get(exhibit.exhibitId) ?? [];
    for (const one of statedOf(exhibit)) {
      const found = await lookAt(one.key);
      if (typeof found === 'string') faults.push({ key: one.key, reason: found });
      else {
        objects.push({ key: one.key, size: found.size, sha256: found.sha256 });
        if (found.sha256 !== one.sha256 || found.size !== one.size) {
          faults.push({
            key: one.key,
            reason: `The object has the SHA-256 ${found.sha256}, the record states ${one.sha256}.`,
          });
        }
      }
    }
    const annotations = await annotationsOn(engineIdOf(exhibit));
    const own = values.get(exhibit.exhibitId);
    return {
      facts: {
        record: canonicalHash([withoutVersion(body.body), ofDocument]),
        values: own === undefined ? null : canonicalHash(own.values),
        objects,
        annotations: annotations === undefined ? null : canonicalHash(formatInstantJson(annotations)),
        annotationCounts: annotations === undefined ? {} : countKinds(annotations),
        pages: ownPages.length,
        textPages: ownPages.filter((page) => page.sha256 !== null).length,
      },
      faults,
      statedHash: textOf(ofDocument['sha256Hash']),
    };
  };

  const found = new Map<number, FoundFacts>();
  const waiting = exhibits.toReversed();
  const work = async (): Promise<void> => {
    for (let exhibit = waiting.pop(); exhibit !== undefined; exhibit = waiting.pop()) {
      signal.throwIfAborted();
      const facts = await factsOf(exhibit);
      if (facts !== undefined) found.set(exhibit.exhibitId, facts);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, exhibits.length) }, work));
  return found;
};

/** Size and hash of an object, or why there are none. */
type Found = { readonly size: number; readonly sha256: string } | string;

const absent = 'There is no such object.';

const readWhole = async (
  { objects }: Pick<FactsParts, 'objects'>,
  key: string,
  signal: AbortSignal,
): Promise<Found> => {
  try {
    // A whole read ends only when size and SHA-256 of the bytes were found to be those recorded with the object.
    const { info, body } = await objects.get(objectKey(key), { signal });
    for await (const _chunk of body) continue;
    return { size: info.size, sha256: info.sha256 };
  } catch (error) {
    if (hasCode(error, 'object_not_found')) return absent;
    if (hasCode(error, 'object_corrupt')) return 'The bytes of the object are not those that were stored.';
    throw error;
  }
};

/** What the store states of objects, asked for all of them at once. */
const headAll = async (
  { objects }: Pick<FactsParts, 'objects'>,
  stated: readonly ManifestObject[],
  signal: AbortSignal,
): Promise<(key: string) => Promise<Found>> => {
  const answers = await objects.headAll(
    stated.map(({ key }) => objectKey(key)),
    { signal },
  );
  const byKey = new Map(stated.map(({ key }, at) => [key, answers[at]]));
  return async (key) => {
    const answer = byKey.get(key);
    if (answer?.ok === false) throw answer.error;
    return Promise.resolve(answer?.value ?? absent);
  };
};
