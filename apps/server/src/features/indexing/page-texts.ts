/** Texts of pages: what the records say of them, and where they lie. */
import type { CaseId } from '@casebound/contract';
import type { Queryable } from '../../database/index.ts';
import { objectKey, type ObjectKey } from '../../platform/object-store/Port.ts';

/** `position` is 1-based. */
export const pageTextKey = (
  place: { readonly caseId: CaseId; readonly batchId: number; readonly documentKey: string },
  position: number,
): ObjectKey =>
  objectKey(
    `case_${place.caseId}/processed-files/${place.batchId}/txt/${place.documentKey}/attachments/${position}/content.txt`,
  );

export interface PageText {
  readonly exhibitId: number;
  /** 1-based. */
  readonly position: number;
  /** Null where the page has no text. */
  readonly sha256: string | null;
  readonly size: number | null;
}

export const readPages = async (tx: Queryable, exhibitIds: readonly number[]): Promise<Map<number, PageText[]>> => {
  const { rows } = await tx.query<{
    root_document_id: string;
    pages_ordinal: number;
    text_sha256: string | null;
    text_size: string | null;
  }>(
    `SELECT root_document_id, pages_ordinal, text_sha256, text_size FROM exhibit__pages
     WHERE root_document_id = ANY ($1::bigint[]) ORDER BY root_document_id, pages_ordinal`,
    [exhibitIds],
  );
  const found = rows.map((row): PageText => ({
    exhibitId: Number(row.root_document_id),
    position: row.pages_ordinal + 1,
    sha256: row.text_sha256,
    size: row.text_size === null ? null : Number(row.text_size),
  }));
  return Map.groupBy(found, ({ exhibitId }) => exhibitId);
};
