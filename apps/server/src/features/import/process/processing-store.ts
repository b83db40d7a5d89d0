/** The SQL of documents that are still to be processed. */
import type { Queryable } from '../../../database/index.ts';

export interface Processable {
  readonly exhibitId: number;
  readonly documentId: number;
  readonly documentKey: string;
  /** Below which its files lie. */
  readonly batchId: number;
  readonly row: number;
  readonly line: number | null;
  readonly hasAnnotations: boolean;
}

/** Notes exhibits of a chunk, by exhibit id; their documents follow from them. */
export const insertProcessing = async (
  tx: Queryable,
  jobId: string,
  exhibits: readonly Omit<Processable, 'documentId' | 'batchId'>[],
): Promise<void> => {
  if (exhibits.length === 0) return;
  await tx.query(
    `INSERT INTO import_processing (job_id, exhibit_id, document_id, document_key, row_no, line, has_annotations)
     SELECT $1, p.exhibit_id, exhibit.document_document_id, p.document_key, p.row_no, p.line, p.has_annotations
     FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::boolean[]) AS p (exhibit_id, document_key, row_no, line, has_annotations)
     JOIN exhibit ON exhibit.document_id = p.exhibit_id
     ON CONFLICT DO NOTHING`,
    [
      jobId,
      exhibits.map((it) => it.exhibitId),
      exhibits.map((it) => it.documentKey),
      exhibits.map((it) => it.row),
      exhibits.map((it) => it.line),
      exhibits.map((it) => it.hasAnnotations),
    ],
  );
};

/** The next documents to process, in the order of their exhibits. */
export const readPending = async (tx: Queryable, jobId: string, limit: number): Promise<Processable[]> => {
  const { rows } = await tx.query<{
    exhibit_id: string;
    document_id: string;
    document_key: string;
    batch_id: string;
    row_no: string;
    line: string | null;
    has_annotations: boolean;
  }>(
    `SELECT it.exhibit_id, it.document_id, it.document_key, coalesce(exhibit.batch_document_id, 0) AS batch_id, it.row_no, it.line, it.has_annotations
     FROM import_processing AS it LEFT JOIN exhibit ON exhibit.document_id = it.exhibit_id
     WHERE it.job_id = $1 AND NOT it.done ORDER BY it.exhibit_id LIMIT $2`,
    [jobId, limit],
  );
  return rows.map((row) => ({
    exhibitId: Number(row.exhibit_id),
    documentId: Number(row.document_id),
    documentKey: row.document_key,
    batchId: Number(row.batch_id),
    row: Number(row.row_no),
    line: row.line === null ? null : Number(row.line),
    hasAnnotations: row.has_annotations,
  }));
};

export const markProcessed = async (tx: Queryable, jobId: string, exhibitIds: readonly number[]): Promise<void> => {
  await tx.query('UPDATE import_processing SET done = true WHERE job_id = $1 AND exhibit_id = ANY ($2::bigint[])', [
    jobId,
    exhibitIds,
  ]);
};
