/**
 * The last word on redacted exhibits: where redactions were burned in, what shows the words beneath them is not in the destination.
 *
 * - Annotations of the source can change while an exchange runs, and files and PDFs are worked on by different stages. Both ask this when
 *   they end an item, under the exhibit's lock: whoever comes second takes back what the first could not know to withhold.
 */
import type { ExchangeRequest, JobId } from '@casebound/contract';
import type { Queryable } from '../../database/index.ts';
import { bumpRecords } from './variants.ts';

interface Job {
  readonly jobId: JobId;
  readonly request: ExchangeRequest;
}

/** Removes the rows of such variants, and answers the keys of their objects, which are to be deleted after the commit. */
export const withholdFromRedacted = async (
  tx: Queryable,
  { jobId, request }: Job,
  exhibitIds: readonly number[],
): Promise<readonly string[]> => {
  const types = ['image', 'text', ...(request.nativesOfRedacted === 'withhold' ? ['native'] : [])];
  const { rows } = await tx.query<{ document_id: string; object_key: string }>(
    `DELETE FROM source_document__variants v USING exchange_exhibit e, exchange_item i
     WHERE e.job_id = $1 AND e.exhibit_id = ANY ($2::bigint[]) AND i.job_id = e.job_id AND i.exhibit_id = e.exhibit_id AND i.stage = 'pre_uploader'
       AND i.state = 'done' AND (i.detail->>'redactions')::int > 0 AND v.root_document_id = e.document_id AND v.type = ANY ($3)
     RETURNING v.root_document_id AS document_id, v.object_key`,
    [jobId, exhibitIds, types],
  );
  await bumpRecords(
    tx,
    rows.map((row) => Number(row.document_id)),
  );
  return rows.map((row) => row.object_key);
};
