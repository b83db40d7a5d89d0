/**
 * The name of a document in the engine: `document_{caseId}_{batchId}_{documentId}_{exhibitId}`.
 *
 * It is made of the four ids alone, so a message that was lost and sent again names the same document, and the case of a
 * document is known from its name.
 */
import { BatchId, CaseboundError, CaseId, DocumentId, ExhibitId } from '@casebound/contract';
import { z } from 'zod';

const pattern = /^document_([1-9]\d{0,15})_([1-9]\d{0,15})_([1-9]\d{0,15})_([1-9]\d{0,15})$/;

/** `document_7_3_41_99` */
export const EngineDocumentId = z
  .string()
  .regex(pattern, 'is not of the form document_{caseId}_{batchId}_{documentId}_{exhibitId}')
  .brand<'EngineDocumentId'>();
export type EngineDocumentId = z.infer<typeof EngineDocumentId>;

/** The ids that a name is made of. */
const EngineDocumentParts = z.object({
  caseId: CaseId,
  batchId: BatchId,
  documentId: DocumentId,
  exhibitId: ExhibitId,
});
export type EngineDocumentParts = z.infer<typeof EngineDocumentParts>;

export const formatDocumentId = (parts: EngineDocumentParts): EngineDocumentId => {
  const id = `document_${parts.caseId}_${parts.batchId}_${parts.documentId}_${parts.exhibitId}`;
  // What the schema checks, without its cost: a bulk operation makes several for each exhibit.
  return pattern.test(id) ? (id as EngineDocumentId) : EngineDocumentId.parse(id);
};

/** The ids within a name. Throws `validation_failed` when the text is no such name. */
export const parseDocumentId = (id: string): EngineDocumentParts => {
  const [, caseId, batchId, documentId, exhibitId] = (pattern.exec(id) ?? []).map(Number);
  const parsed = EngineDocumentParts.safeParse({ caseId, batchId, documentId, exhibitId });
  if (parsed.success) return parsed.data;
  throw new CaseboundError(
    'validation_failed',
    'The id of a document in the engine is of the form document_{caseId}_{batchId}_{documentId}_{exhibitId}, each a positive whole number.',
  );
};
