/**
 * What lies on an exhibit in the source: its annotations in the document engine, and whether it is redacted.
 *
 * - An exhibit that is marked as redacted counts as redacted, whatever the engine says, and one on which the engine knows a redaction does,
 *   whatever its mark says: what may be hidden stays hidden.
 */
import { BatchId, CaseboundError, DocumentId, ExhibitId, hasCode, type CaseId } from '@casebound/contract';
import { kindOf, type InstantJson } from '@casebound/pdf';
import type { Queryable } from '../../database/index.ts';
import { formatDocumentId, type DocumentEngine, type EngineDocumentId } from '../../platform/document-engine/Port.ts';
import type { ObjectKey, ObjectStore } from '../../platform/object-store/Port.ts';
import { importedAnnotationsKey } from './document-keys.ts';
import type { LedgerExhibit } from './ledger.ts';

/** Type of a redaction in Instant JSON. */
const redactionType = 'pspdfkit/markup/redaction';

type SourceExhibit = Pick<
  LedgerExhibit,
  'sourceExhibitId' | 'sourceDocumentId' | 'sourceDocumentKey' | 'sourceBatchId'
>;

export const sourceEngineId = (caseId: CaseId, exhibit: SourceExhibit): EngineDocumentId =>
  formatDocumentId({
    caseId,
    batchId: BatchId.parse(exhibit.sourceBatchId),
    documentId: DocumentId.parse(exhibit.sourceDocumentId),
    exhibitId: ExhibitId.parse(exhibit.sourceExhibitId),
  });

export const destinationEngineId = (caseId: CaseId, batchId: BatchId, exhibit: LedgerExhibit): EngineDocumentId =>
  formatDocumentId({
    caseId,
    batchId,
    documentId: DocumentId.parse(exhibit.documentId),
    exhibitId: ExhibitId.parse(exhibit.exhibitId),
  });

/** Whoever does not know what an annotation is does not know what it hides. */
const refuseUnknown = (found: InstantJson): InstantJson => {
  for (const one of found.annotations) {
    // An engine answers with what lies on the document, whoever put it there.
    const kind: unknown = kindOf(one);
    if (kind === undefined)
      throw new CaseboundError('annotation_unknown_type', `The annotation ${one.id} is a ${one.type}.`);
  }
  return found;
};

/**
 * Undefined when the engine has no such document.
 * @throws CaseboundError `annotation_unknown_type`
 */
export const readAnnotations = async (
  engine: DocumentEngine,
  caseId: CaseId,
  exhibit: LedgerExhibit,
  signal: AbortSignal,
): Promise<InstantJson | undefined> => {
  try {
    return refuseUnknown(await engine.exportInstantJson(sourceEngineId(caseId, exhibit), { signal }));
  } catch (error) {
    if (hasCode(error, 'engine_document_not_found')) return undefined;
    throw error;
  }
};

const importedKeyOf = (caseId: CaseId, { sourceBatchId, sourceDocumentKey }: SourceExhibit): ObjectKey =>
  importedAnnotationsKey({ caseId, batchId: sourceBatchId, documentKey: sourceDocumentKey });

/**
 * Whether an import brought annotations of the exhibit that are not in the engine: it has not come to them yet, or could not read them.
 * Nobody knows then what they hide.
 */
export const hasUnreadAnnotations = async (
  objects: ObjectStore,
  caseId: CaseId,
  exhibit: SourceExhibit,
  signal: AbortSignal,
): Promise<boolean> => (await objects.head(importedKeyOf(caseId, exhibit), { signal })) !== undefined;

/** Source exhibits under whose redactions something may lie: the engine knows a redaction, or cannot know. */
const redactedAmong = async (
  { engine, objects }: { readonly engine: DocumentEngine; readonly objects: ObjectStore },
  caseId: CaseId,
  exhibits: readonly SourceExhibit[],
  signal: AbortSignal,
): Promise<ReadonlySet<number>> => {
  const surveys = await engine.surveyDocuments(
    exhibits.map((exhibit) => sourceEngineId(caseId, exhibit)),
    { signal },
  );
  const redacted = new Set<number>();
  const unknown: SourceExhibit[] = [];
  for (const exhibit of exhibits) {
    const found = surveys.get(sourceEngineId(caseId, exhibit));
    if (found === undefined) unknown.push(exhibit);
    else if ((found.annotations[redactionType] ?? 0) > 0) redacted.add(exhibit.sourceExhibitId);
  }
  const unread = await objects.headAll(
    unknown.map((exhibit) => importedKeyOf(caseId, exhibit)),
    { signal },
  );
  for (const [at, answer] of unread.entries()) {
    if (!answer.ok) throw answer.error;
    const exhibit = unknown[at];
    if (answer.value !== undefined && exhibit !== undefined) redacted.add(exhibit.sourceExhibitId);
  }
  return redacted;
};

/**
 * Whether an exhibit is among those: all are asked about together, and each by itself when that fails, so that one that cannot be asked about
 * stops no other.
 */
export const askForRedactions = async (
  parts: { readonly engine: DocumentEngine; readonly objects: ObjectStore },
  caseId: CaseId,
  exhibits: readonly SourceExhibit[],
  signal: AbortSignal,
): Promise<(exhibit: SourceExhibit) => Promise<boolean>> => {
  const together = await redactedAmong(parts, caseId, exhibits, signal).catch(() => undefined);
  signal.throwIfAborted();
  return async (exhibit) => {
    const found = together ?? (await redactedAmong(parts, caseId, [exhibit], signal));
    return found.has(exhibit.sourceExhibitId);
  };
};

/** Source exhibits that are marked as redacted. */
export const markedRedacted = async (tx: Queryable, exhibitIds: readonly number[]): Promise<ReadonlySet<number>> => {
  const { rows } = await tx.query<{ document_id: string }>(
    'SELECT document_id FROM exhibit WHERE document_id = ANY ($1::bigint[]) AND redacted',
    [exhibitIds],
  );
  return new Set(rows.map((row) => Number(row.document_id)));
};

export interface Attached extends SourceExhibit {
  /** The exhibit it is attached to, directly or through others. */
  readonly ancestor: number;
  readonly isMarked: boolean;
}

/** Attachments of exhibits, however deep, in the source; whether they travel makes no difference to what the native holds. */
export const readAttached = async (tx: Queryable, exhibitIds: readonly number[]): Promise<Attached[]> => {
  const { rows } = await tx.query<{
    ancestor: string;
    document_id: string;
    document_document_id: string;
    document_key: string;
    batch_document_id: string;
    is_marked: boolean;
  }>(
    `WITH RECURSIVE below AS (
       SELECT e.parent_exhibit_document_id AS ancestor, e.document_id, e.document_document_id, e.batch_document_id, e.redacted, 1 AS depth
       FROM exhibit e WHERE e.parent_exhibit_document_id = ANY ($1::bigint[])
       UNION ALL
       SELECT b.ancestor, e.document_id, e.document_document_id, e.batch_document_id, e.redacted, b.depth + 1
       FROM below b JOIN exhibit e ON e.parent_exhibit_document_id = b.document_id WHERE b.depth < 100
     )
     SELECT b.ancestor, b.document_id, b.document_document_id, d.document_key, b.batch_document_id, coalesce(b.redacted, false) AS is_marked
     FROM below b JOIN source_document d ON d.document_id = b.document_document_id`,
    [exhibitIds],
  );
  return rows.map((row) => ({
    ancestor: Number(row.ancestor),
    sourceExhibitId: Number(row.document_id),
    sourceDocumentId: Number(row.document_document_id),
    sourceDocumentKey: row.document_key,
    sourceBatchId: Number(row.batch_document_id),
    isMarked: row.is_marked,
  }));
};

/**
 * Source exhibits with an attachment that is redacted. The native of a message holds its attachments as they were, so it shows what was redacted
 * in one of them.
 */
export const holdRedacted = async (
  parts: { readonly engine: DocumentEngine; readonly objects: ObjectStore },
  caseId: CaseId,
  attached: readonly Attached[],
  signal: AbortSignal,
): Promise<ReadonlySet<number>> => {
  const found = new Set(attached.filter(({ isMarked }) => isMarked).map(({ ancestor }) => ancestor));
  const open = attached.filter(({ ancestor }) => !found.has(ancestor));
  const redacted = await redactedAmong(parts, caseId, open, signal);
  for (const { ancestor, sourceExhibitId } of open) if (redacted.has(sourceExhibitId)) found.add(ancestor);
  return found;
};
