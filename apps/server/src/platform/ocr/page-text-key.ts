/** Where the text of a page lies. */
import type { BatchId, CaseId, DocumentId } from '@casebound/contract';
import { objectKey, type ObjectKey } from '../object-store/Port.ts';

/**
 * `case_{caseId}/processed-files/{batchId}/txt/{documentId}/attachments/{position}/content.txt`. The position of a page counts from 1.
 * Throws `object_key_invalid` for another one.
 */
export const pageTextKey = (page: {
  readonly caseId: CaseId;
  readonly batchId: BatchId;
  readonly documentId: DocumentId;
  readonly position: number;
}): ObjectKey => {
  const position = Number.isSafeInteger(page.position) && page.position >= 1 ? String(page.position) : '';
  return objectKey(
    `case_${page.caseId}/processed-files/${page.batchId}/txt/${page.documentId}/attachments/${position}/content.txt`,
  );
};
