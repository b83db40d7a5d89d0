/**
 * What lies on an exhibit in the source: its annotations in the document engine, and whether it is redacted.
 *
 * - An exhibit that is marked as redacted counts as redacted, whatever the engine says, and one on which the engine knows a redaction does,
 *   whatever its mark says: what may be hidden stays hidden.
 */
import { BatchId, DocumentId, ExhibitId, hasCode, type CaseId } from '@casebound/contract';
import { kindOf, type InstantJson } from '@casebound/pdf';
import type { Queryable } from '../../database/index.ts';
import { formatDocumentId, type DocumentEngine, type EngineDocumentId } from '../../platform/document-engine/Port.ts';
import type { LedgerExhibit } from './ledger.ts';

export const sourceEngineId = (caseId: CaseId, exhibit: LedgerExhibit): EngineDocumentId =>
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

/** Undefined when the engine has no such document. */
export const readAnnotations = async (
  engine: DocumentEngine,
  caseId: CaseId,
  exhibit: LedgerExhibit,
  signal: AbortSignal,
): Promise<InstantJson | undefined> => {
  try {
    return await engine.exportInstantJson(sourceEngineId(caseId, exhibit), { signal });
  } catch (error) {
    if (hasCode(error, 'engine_document_not_found')) return undefined;
    throw error;
  }
};

/** Whether the engine knows a redaction on the exhibit. */
export const hasRedaction = async (
  engine: DocumentEngine,
  caseId: CaseId,
  exhibit: LedgerExhibit,
  signal: AbortSignal,
): Promise<boolean> => {
  try {
    const annotations = await engine.listAnnotations(sourceEngineId(caseId, exhibit), { signal });
    return annotations.some(({ value }) => kindOf(value) === 'redaction');
  } catch (error) {
    if (hasCode(error, 'engine_document_not_found')) return false;
    throw error;
  }
};

/** Source exhibits that are marked as redacted. */
export const markedRedacted = async (tx: Queryable, exhibitIds: readonly number[]): Promise<ReadonlySet<number>> => {
  const { rows } = await tx.query<{ document_id: string }>(
    'SELECT document_id FROM exhibit WHERE document_id = ANY ($1::bigint[]) AND redacted',
    [exhibitIds],
  );
  return new Set(rows.map((row) => Number(row.document_id)));
};
