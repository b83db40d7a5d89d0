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
  if (row === undefined) return undefined;
  return {
    id,
    rowId: row.engine_document_id,
    key: objectKey(row.object_key),
    size: Number(row.size),
    sha256: row.sha256,
    pages: pagesOf(row.page_sizes),
  };
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

/** False when there is a document of this name. */
export const insertDocument = async (
  tx: CaseQueries,
  id: EngineDocumentId,
  pdf: NewPdf,
  by: string,
): Promise<boolean> => {
  const { batchId, documentId, exhibitId } = parseDocumentId(id);
  const { rowCount } = await tx.query(
    `INSERT INTO engine_document (batch_id, document_id, exhibit_id, object_key, size, sha256, page_sizes, put_by)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
    [batchId, documentId, exhibitId, pdf.key, pdf.size, pdf.sha256, sizesOf(pdf.pages), by],
  );
  return rowCount === 1;
};

/** Puts another PDF in the place of a document's; the old object becomes loose. */
export const replacePdf = async (tx: CaseQueries, row: DocumentRow, pdf: NewPdf, by: string): Promise<void> => {
  await tx.query(
    `UPDATE engine_document SET object_key = $2, size = $3, sha256 = $4, page_sizes = $5, put_by = $6, put_at = now()
     WHERE engine_document_id = $1`,
    [row.rowId, pdf.key, pdf.size, pdf.sha256, sizesOf(pdf.pages), by],
  );
  await loosen(tx, row.key);
};

/** Deletes a document and all on it; its object becomes loose. */
export const deleteDocument = async (tx: CaseQueries, row: DocumentRow): Promise<void> => {
  await tx.query('DELETE FROM engine_document WHERE engine_document_id = $1', [row.rowId]);
  await loosen(tx, row.key);
};

/** Nobody points at the object any more: it can go at once. */
export const loosen = async (tx: CaseQueries, key: ObjectKey): Promise<void> => {
  await tx.query(
    `INSERT INTO engine_loose_object (object_key, delete_after) VALUES ($1, now())
     ON CONFLICT (object_key) DO UPDATE SET delete_after = now()`,
    [key],
  );
};

/** Writes down an object that is about to be written, so that it is found should this process die before a document points at it. */
export const announceObject = async (tx: CaseQueries, key: ObjectKey): Promise<void> => {
  await tx.query(`INSERT INTO engine_loose_object (object_key, delete_after) VALUES ($1, now() + interval '1 day')`, [
    key,
  ]);
};

/** A document points at the object now. False when a sweep was faster, and the object is gone. */
export const claimObject = async (tx: CaseQueries, key: ObjectKey): Promise<boolean> => {
  const { rowCount } = await tx.query('DELETE FROM engine_loose_object WHERE object_key = $1', [key]);
  return rowCount === 1;
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
