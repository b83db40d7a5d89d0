/**
 * Variants of documents, and what is written of page texts: what the source has, and what of it has arrived.
 *
 * - A variant's row in the destination is written in the transaction that ends the item whose work brought its object, and says its size and
 *   hash as they were checked. With it the record's version moves on, there and in what the record copy remembers of it, so that a
 *   rollback can tell it from a change that somebody made.
 */
import type { Queryable } from '../../database/index.ts';

export interface Variant {
  readonly documentId: number;
  readonly type: string;
  readonly position: number;
  readonly objectKey: string;
  readonly size: number;
  readonly sha256: string;
  readonly mimeType: string | null;
  readonly fileName: string | null;
}

export const readVariants = async (tx: Queryable, documentIds: readonly number[]): Promise<Map<number, Variant[]>> => {
  const { rows } = await tx.query<{
    root_document_id: string;
    type: string;
    position: string;
    object_key: string;
    size: string;
    sha256: string;
    mime_type: string | null;
    file_name: string | null;
  }>(
    `SELECT root_document_id, type, position, object_key, size, sha256, mime_type, file_name FROM source_document__variants
     WHERE root_document_id = ANY ($1::bigint[]) ORDER BY root_document_id, type, position`,
    [documentIds],
  );
  const found = rows.map((row): Variant => ({
    documentId: Number(row.root_document_id),
    type: row.type,
    position: Number(row.position),
    objectKey: row.object_key,
    size: Number(row.size),
    sha256: row.sha256,
    mimeType: row.mime_type,
    fileName: row.file_name,
  }));
  return Map.groupBy(found, ({ documentId }) => documentId);
};

/** Moves the versions of records that the exchange itself changed. */
export const bumpRecords = async (tx: Queryable, documentIds: readonly number[]): Promise<void> => {
  if (documentIds.length === 0) return;
  await tx.query(
    `WITH bumped AS (
       UPDATE document d SET etag = d.etag + 1, last_modified_at = now()
       FROM (SELECT document_id FROM document WHERE document_id = ANY ($1::bigint[]) ORDER BY document_id FOR NO KEY UPDATE) AS locked
       WHERE d.document_id = locked.document_id RETURNING d.document_id, d.etag
     )
     UPDATE record_copy_provenance p SET etag = b.etag FROM bumped b WHERE p.document_id = b.document_id AND p.etag = b.etag - 1`,
    [[...new Set(documentIds)]],
  );
};

/** Writes variants that arrived; one that is there already is replaced. */
export const addVariants = async (tx: Queryable, arrived: readonly Variant[]): Promise<void> => {
  if (arrived.length === 0) return;
  // Two exhibits of one document bring its variants twice.
  const variants = [...new Map(arrived.map((one) => [`${one.documentId}/${one.type}/${one.position}`, one])).values()];
  const ids = [...new Set(variants.map(({ documentId }) => documentId))];
  // The records first: two stages of one document take turns here, and find the ordinals of each other.
  await bumpRecords(tx, ids);
  const values = [
    variants.map(({ documentId }) => documentId),
    variants.map(({ type }) => type),
    variants.map(({ position }) => position),
    variants.map(({ objectKey }) => objectKey),
    variants.map(({ size }) => size),
    variants.map(({ sha256 }) => sha256),
    variants.map(({ mimeType }) => mimeType),
    variants.map(({ fileName }) => fileName),
  ];
  await tx.query(
    `DELETE FROM source_document__variants v USING unnest($1::bigint[], $2::text[], $3::bigint[]) AS n (document_id, type, position)
     WHERE v.root_document_id = n.document_id AND v.type = n.type AND v.position = n.position`,
    values.slice(0, 3),
  );
  await tx.query(
    `INSERT INTO source_document__variants (root_document_id, variants_ordinal, type, position, object_key, size, sha256, mime_type, file_name)
     SELECT n.document_id,
            coalesce((SELECT max(v.variants_ordinal) FROM source_document__variants v WHERE v.root_document_id = n.document_id), -1)
              + row_number() OVER (PARTITION BY n.document_id ORDER BY n.ord),
            n.type, n.position, n.object_key, n.size, n.sha256, n.mime_type, n.file_name
     FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[])
       WITH ORDINALITY AS n (document_id, type, position, object_key, size, sha256, mime_type, file_name, ord)`,
    values,
  );
};

export interface NewPageText {
  readonly exhibitId: number;
  readonly position: number;
  readonly source: 'document' | 'ocr' | 'none';
  readonly size: number | null;
  readonly sha256: string | null;
}

/** States what text pages have now. */
export const setPageTexts = async (tx: Queryable, pages: readonly NewPageText[]): Promise<void> => {
  if (pages.length === 0) return;
  await bumpRecords(
    tx,
    pages.map(({ exhibitId }) => exhibitId),
  );
  await tx.query(
    `INSERT INTO exhibit__pages (root_document_id, pages_ordinal, text_source, text_size, text_sha256)
     SELECT exhibit_id, position - 1, source, size, sha256
     FROM unnest($1::bigint[], $2::int[], $3::text[], $4::bigint[], $5::text[]) AS n (exhibit_id, position, source, size, sha256)
     ON CONFLICT (root_document_id, pages_ordinal) DO UPDATE
       SET text_source = excluded.text_source, text_size = excluded.text_size, text_sha256 = excluded.text_sha256`,
    [
      pages.map(({ exhibitId }) => exhibitId),
      pages.map(({ position }) => position),
      pages.map(({ source }) => source),
      pages.map(({ size }) => size),
      pages.map(({ sha256 }) => sha256),
    ],
  );
};
