/** The SQL of documents and of the objects that hold their PDFs. */
import { CaseboundError } from '@casebound/contract';
import { objectKey, type ObjectKey } from '../../../object-store/Port.ts';
import {
  type EngineDocument,
  type EngineDocumentId,
  formatDocumentId,
  parseDocumentId,
  type PageSize,
} from '../../Port.ts';
import type { CaseQueries } from './dependencies.ts';

export interface DocumentRow {
  readonly id: EngineDocumentId;
  readonly rowId: string;
  readonly key: ObjectKey;
  readonly size: number;
  readonly sha256: string;
  readonly pages: readonly PageSize[];
}

interface Columns {
  readonly engine_document_id: string;
  readonly object_key: string;
  readonly size: string;
  readonly sha256: string;
  readonly page_sizes: readonly number[];
}

const pagesOf = (sizes: readonly number[]): readonly PageSize[] =>
  Array.from({ length: sizes.length >> 1 }, (_, pageIndex) => ({
    pageIndex,
    width: sizes[pageIndex * 2] ?? 0,
    height: sizes[pageIndex * 2 + 1] ?? 0,
  }));

export const describeRow = ({ id, size, sha256, pages }: DocumentRow): EngineDocument => ({
  id,
  size,
  sha256,
  pageCount: pages.length,
});

export const documentNotFound = (id: EngineDocumentId): CaseboundError =>
  new CaseboundError('engine_document_not_found', `The document engine has no document \`${id}\`.`);

/**
 * How a row is held: `share` keeps the document while annotations on it change, `update` keeps annotations from changing while the
 * document does.
 */
export type RowLock = 'none' | 'share' | 'update';

const locks: Readonly<Record<RowLock, string>> = { none: '', share: 'FOR SHARE', update: 'FOR UPDATE' };

const rowOf = (id: EngineDocumentId, row: Columns): DocumentRow => ({
  id,
  rowId: row.engine_document_id,
  key: objectKey(row.object_key),
  size: Number(row.size),
  sha256: row.sha256,
  pages: pagesOf(row.page_sizes),
});

export const findDocument = async (
  tx: CaseQueries,
  id: EngineDocumentId,
  lock: RowLock = 'none',
): Promise<DocumentRow | undefined> => {
  const { batchId, documentId, exhibitId } = parseDocumentId(id);
  const { rows } = await tx.query<Columns>(
    `SELECT engine_document_id, object_key, size, sha256, page_sizes FROM engine_document
     WHERE batch_id = $1 AND document_id = $2 AND exhibit_id = $3 ${locks[lock]}`,
    [batchId, documentId, exhibitId],
  );
  const [row] = rows;
  return row === undefined ? undefined : rowOf(id, row);
};

const namesOf = (ids: readonly EngineDocumentId[]): readonly (readonly number[])[] => {
  const parsed = ids.map(parseDocumentId);
  return [
    parsed.map(({ batchId }) => batchId),
    parsed.map(({ documentId }) => documentId),
    parsed.map(({ exhibitId }) => exhibitId),
  ];
};

interface Placed extends Columns {
  readonly place: string;
}

/** Rows by id, locked in the order in which they were put. */
export const findDocuments = async (
  tx: CaseQueries,
  ids: readonly EngineDocumentId[],
  lock: RowLock = 'none',
): Promise<ReadonlyMap<EngineDocumentId, DocumentRow>> => {
  const { rows } = await tx.query<Placed>(
    `SELECT n.place, d.engine_document_id, d.object_key, d.size, d.sha256, d.page_sizes
     FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS n (batch_id, document_id, exhibit_id, place)
     JOIN engine_document d USING (batch_id, document_id, exhibit_id)
     ORDER BY d.engine_document_id ${lock === 'none' ? '' : `${locks[lock]} OF d`}`,
    namesOf(ids),
  );
  return new Map(
    rows.flatMap((row) => {
      const id = ids[Number(row.place) - 1];
      return id === undefined ? [] : [[id, rowOf(id, row)] as const];
    }),
  );
};

export interface OnDocument {
  readonly annotations: Readonly<Record<string, number>>;
  readonly comments: number;
}

/** How much is on documents, by the id of their row; those on which nothing is are left out. */
export const countOnDocuments = async (
  tx: CaseQueries,
  rowIds: readonly string[],
): Promise<ReadonlyMap<string, OnDocument>> => {
  const { rows } = await tx.query<{
    engine_document_id: string;
    annotations: Record<string, number>;
    comments: number;
  }>(
    `SELECT engine_document_id, jsonb_object_agg(type, count) AS annotations,
            (SELECT count(*)::int FROM engine_comment c WHERE c.engine_document_id = a.engine_document_id) AS comments
     FROM (SELECT engine_document_id, value->>'type' AS type, count(*)::int AS count FROM engine_annotation
           WHERE engine_document_id = ANY ($1::bigint[]) GROUP BY 1, 2) a GROUP BY engine_document_id`,
    [rowIds],
  );
  return new Map(
    rows.map(({ engine_document_id: rowId, annotations, comments }) => [rowId, { annotations, comments }]),
  );
};

/** Throws `engine_document_not_found`. */
export const requireDocument = async (
  tx: CaseQueries,
  id: EngineDocumentId,
  lock: RowLock = 'none',
): Promise<DocumentRow> => {
  const row = await findDocument(tx, id, lock);
  if (row === undefined) throw documentNotFound(id);
  return row;
};

export interface NewPdf {
  readonly key: ObjectKey;
  readonly size: number;
  readonly sha256: string;
  readonly pages: readonly PageSize[];
}

const sizesOf = (pages: readonly PageSize[]): readonly number[] =>
  pages.flatMap(({ width, height }) => [width, height]);

/** Ids of those that were inserted; of the others there are documents. */
export const insertDocuments = async (
  tx: CaseQueries,
  pdfs: readonly (NewPdf & { readonly id: EngineDocumentId })[],
  by: string,
): Promise<ReadonlySet<EngineDocumentId>> => {
  const { rows } = await tx.query<{ object_key: string }>(
    `INSERT INTO engine_document (batch_id, document_id, exhibit_id, object_key, size, sha256, page_sizes, put_by)
     SELECT batch_id, document_id, exhibit_id, object_key, size, sha256, sizes::double precision[], $8
     FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[])
       AS n (batch_id, document_id, exhibit_id, object_key, size, sha256, sizes)
     ON CONFLICT DO NOTHING RETURNING object_key`,
    [
      ...namesOf(pdfs.map(({ id }) => id)),
      pdfs.map(({ key }) => key),
      pdfs.map(({ size }) => size),
      pdfs.map(({ sha256 }) => sha256),
      pdfs.map(({ pages }) => `{${sizesOf(pages).join(',')}}`),
      by,
    ],
  );
  const inserted = new Set(rows.map((row) => row.object_key));
  return new Set(pdfs.filter(({ key }) => inserted.has(key)).map(({ id }) => id));
};

/** Puts another PDF in the place of a document's; the old object becomes loose. */
export const replacePdf = async (tx: CaseQueries, row: DocumentRow, pdf: NewPdf, by: string): Promise<void> => {
  await tx.query(
    `UPDATE engine_document SET object_key = $2, size = $3, sha256 = $4, page_sizes = $5, put_by = $6, put_at = now()
     WHERE engine_document_id = $1`,
    [row.rowId, pdf.key, pdf.size, pdf.sha256, sizesOf(pdf.pages), by],
  );
  await loosen(tx, [row.key]);
};

/** Deletes documents and all on them; their objects become loose. */
export const deleteDocuments = async (tx: CaseQueries, rows: readonly DocumentRow[]): Promise<void> => {
  if (rows.length === 0) return;
  await tx.query('DELETE FROM engine_document WHERE engine_document_id = ANY ($1::bigint[])', [
    rows.map(({ rowId }) => rowId),
  ]);
  await loosen(
    tx,
    rows.map(({ key }) => key),
  );
};

/** Nobody points at the objects any more: they can go at once. */
export const loosen = async (tx: CaseQueries, keys: readonly ObjectKey[]): Promise<void> => {
  if (keys.length === 0) return;
  await tx.query(
    `INSERT INTO engine_loose_object (object_key, delete_after) SELECT key, now() FROM unnest($1::text[]) AS key ORDER BY key
     ON CONFLICT (object_key) DO UPDATE SET delete_after = now()`,
    [keys],
  );
};

/** Writes down objects that are about to be written, so that they are found should this process die before documents point at them. */
export const announceObjects = async (tx: CaseQueries, keys: readonly ObjectKey[]): Promise<void> => {
  await tx.query(
    `INSERT INTO engine_loose_object (object_key, delete_after) SELECT key, now() + interval '1 day' FROM unnest($1::text[]) AS key ORDER BY key`,
    [keys],
  );
};

/**
 * Documents point at the objects now.
 * Throws `document_engine_unavailable` when a sweep was faster and one is gone, which takes a day.
 */
export const claimObjects = async (tx: CaseQueries, keys: readonly ObjectKey[]): Promise<void> => {
  const { rowCount } = await tx.query('DELETE FROM engine_loose_object WHERE object_key = ANY ($1)', [keys]);
  if (rowCount === keys.length) return;
  throw new CaseboundError(
    'document_engine_unavailable',
    'Writing the PDF took too long and it was removed; try again.',
  );
};

/** Objects that can be deleted, oldest first. */
export const listLoose = async (tx: CaseQueries, most: number): Promise<readonly ObjectKey[]> => {
  const { rows } = await tx.query<{ object_key: string }>(
    'SELECT object_key FROM engine_loose_object WHERE delete_after <= now() ORDER BY delete_after LIMIT $1',
    [most],
  );
  return rows.map((row) => objectKey(row.object_key));
};

export const forgetLoose = async (tx: CaseQueries, keys: readonly ObjectKey[]): Promise<void> => {
  await tx.query('DELETE FROM engine_loose_object WHERE object_key = ANY($1) AND delete_after <= now()', [keys]);
};

const PAGE = 1_000;

/** Names after the given one, in the order in which they were put. */
export const listDocuments = async (
  tx: CaseQueries,
  caseId: ReturnType<typeof parseDocumentId>['caseId'],
  after: string,
): Promise<{ readonly ids: readonly EngineDocumentId[]; readonly last: string }> => {
  const { rows } = await tx.query<{
    engine_document_id: string;
    batch_id: string;
    document_id: string;
    exhibit_id: string;
  }>(
    `SELECT engine_document_id, batch_id, document_id, exhibit_id FROM engine_document
     WHERE engine_document_id > $1 ORDER BY engine_document_id LIMIT ${PAGE}`,
    [after],
  );
  const ids = rows.map((row) => {
    const name = `document_${caseId}_${row.batch_id}_${row.document_id}_${row.exhibit_id}`;
    return formatDocumentId(parseDocumentId(name));
  });
  return { ids, last: rows.at(-1)?.engine_document_id ?? after };
};
