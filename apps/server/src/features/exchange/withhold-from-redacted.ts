/**
 * The last word on redacted exhibits: where redactions were burned in, what shows the words beneath them is not in the destination.
 *
 * - Annotations of the source can change while an exchange runs, and files and PDFs are worked on by different stages. Both ask this when
 *   they end an item, under the exhibit's lock: whoever comes second takes back what the first could not know to withhold.
 * - Page text goes too, until it has been read anew from the PDF that arrived: should that fail, there is no text rather than the old one.
 */
import type { BatchId, CaseId, ExchangeRequest, JobId } from '@casebound/contract';
import type { Queryable } from '../../database/index.ts';
import { pageTextKey } from '../indexing/index.ts';
import { bumpRecords } from './variants.ts';

interface Job {
  readonly jobId: JobId;
  readonly destinationCaseId: CaseId;
  readonly batchId: BatchId;
  readonly request: ExchangeRequest;
}

interface Redacted {
  readonly exhibitId: number;
  readonly documentId: number;
  readonly documentKey: string;
  readonly isReadAnew: boolean;
}

/** Those of the exhibits into whose PDF redactions were burned. */
const readRedacted = async (tx: Queryable, jobId: JobId, exhibitIds: readonly number[]): Promise<Redacted[]> => {
  const { rows } = await tx.query<{ exhibit_id: string; document_id: string; document_key: string; is_read: boolean }>(
    `SELECT e.exhibit_id, e.document_id, e.document_key,
            EXISTS (SELECT FROM exchange_item o WHERE o.job_id = e.job_id AND o.exhibit_id = e.exhibit_id AND o.stage = 're_ocr' AND o.state = 'done') AS is_read
     FROM exchange_exhibit e JOIN exchange_item i ON i.job_id = e.job_id AND i.exhibit_id = e.exhibit_id
     WHERE e.job_id = $1 AND e.exhibit_id = ANY ($2::bigint[]) AND i.stage = 'pre_uploader' AND i.state = 'done' AND (i.detail->>'redactions')::int > 0`,
    [jobId, exhibitIds],
  );
  return rows.map((row) => ({
    exhibitId: Number(row.exhibit_id),
    documentId: Number(row.document_id),
    documentKey: row.document_key,
    isReadAnew: row.is_read,
  }));
};

/**
 * Removes the rows of such variants, and answers the keys of objects that are to be deleted after the commit. `hasOldText`: whether page text
 * of the source may lie there; where it cannot, what lies there is being read anew.
 */
export const withholdFromRedacted = async (
  tx: Queryable,
  { jobId, destinationCaseId, batchId, request }: Job,
  exhibitIds: readonly number[],
  hasOldText: (exhibitId: number) => boolean,
): Promise<readonly string[]> => {
  const redacted = await readRedacted(tx, jobId, exhibitIds);
  if (redacted.length === 0) return [];
  const types = ['image', 'text', ...(request.nativesOfRedacted === 'withhold' ? ['native'] : [])];
  const { rows } = await tx.query<{ document_id: string; type: string; object_key: string }>(
    `DELETE FROM source_document__variants v WHERE v.root_document_id = ANY ($1::bigint[]) AND v.type = ANY ($2)
     RETURNING v.root_document_id AS document_id, v.type, v.object_key`,
    [redacted.map(({ documentId }) => documentId), types],
  );
  await bumpRecords(
    tx,
    rows.map((row) => Number(row.document_id)),
  );
  const stale = redacted.filter(({ exhibitId, isReadAnew }) => !isReadAnew && hasOldText(exhibitId));
  const { rows: pages } = await tx.query<{ root_document_id: string; pages_ordinal: number }>(
    'SELECT root_document_id, pages_ordinal FROM exhibit__pages WHERE root_document_id = ANY ($1::bigint[])',
    [stale.map(({ exhibitId }) => exhibitId)],
  );
  const keyOf = new Map(stale.map(({ exhibitId, documentKey }) => [exhibitId, documentKey]));
  const texts = pages.flatMap((page) => {
    const documentKey = keyOf.get(Number(page.root_document_id));
    if (documentKey === undefined) return [];
    return [pageTextKey({ caseId: destinationCaseId, batchId, documentKey }, page.pages_ordinal + 1)];
  });
  const readAnew = new Set(redacted.filter(({ isReadAnew }) => isReadAnew).map(({ documentId }) => documentId));
  // A variant of text may be the very object that was written anew.
  const variants = rows.filter((row) => row.type !== 'text' || !readAnew.has(Number(row.document_id)));
  return [...variants.map((row) => row.object_key), ...texts];
};
