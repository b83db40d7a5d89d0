/**
 * The SQL of annotations, comments and attachments: sets in, sets out. The caller holds the document's row.
 *
 * - A repeat of what is there already and equal changes nothing; what differs is refused.
 */
import { CaseboundError } from '@casebound/contract';
import type { Attachment, CommentAnnotation, InstantJson, PageAnnotation } from '@casebound/pdf';
import type { AnnotationChange, AnnotationRemoval, Stored } from '../../Port.ts';
import type { CaseQueries } from './dependencies.ts';

interface Columns<T> {
  readonly value: T;
  readonly version: string;
  readonly created_by: string;
  readonly updated_by: string;
  readonly created_at: Date;
  readonly updated_at: Date;
}

const columns = 'value, version, created_by, updated_by, created_at, updated_at';

const storedOf = <T extends PageAnnotation | CommentAnnotation>(row: Columns<T>): Stored<T> => ({
  value: row.value,
  version: row.version,
  createdBy: row.created_by,
  updatedBy: row.updated_by,
  createdAt: row.created_at.toISOString(),
  updatedAt: row.updated_at.toISOString(),
});

/** Values a statement; a parameter of 100,000 annotations would be tens of megabytes at once. */
const CHUNK = 5_000;

function* chunksOf<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += CHUNK) yield items.slice(at, at + CHUNK);
}

const jsonOf = (values: readonly unknown[]): string => {
  const text = JSON.stringify(values);
  // PostgreSQL keeps no NUL in a text.
  if (/(?<!\\)(?:\\\\)*\\u0000/.test(text))
    throw new CaseboundError('annotation_invalid', 'The text of an annotation holds the character U+0000.');
  return text;
};

export const listAnnotations = async (
  tx: CaseQueries,
  rowId: string,
  pageIndex?: number,
): Promise<readonly Stored<PageAnnotation>[]> => {
  const { rows } = await tx.query<Columns<PageAnnotation>>(
    `SELECT ${columns} FROM engine_annotation WHERE engine_document_id = $1 AND ($2::integer IS NULL OR page_index = $2)
     ORDER BY page_index, ordinal`,
    [rowId, pageIndex ?? null],
  );
  return rows.map(storedOf);
};

export const findAnnotations = async (
  tx: CaseQueries,
  rowId: string,
  ids: readonly string[],
  lock: 'none' | 'update' = 'none',
): Promise<ReadonlyMap<string, Stored<PageAnnotation>>> => {
  const { rows } = await tx.query<Columns<PageAnnotation>>(
    `SELECT ${columns} FROM engine_annotation WHERE engine_document_id = $1 AND annotation_id = ANY($2)
     ORDER BY annotation_id ${lock === 'update' ? 'FOR UPDATE' : ''}`,
    [rowId, ids],
  );
  return new Map(rows.map((row) => [row.value.id, storedOf(row)]));
};

const existsAlready = (what: string, id: string): CaseboundError =>
  new CaseboundError('annotation_exists', `The document has another ${what} with the id \`${id}\`.`);

/** What a chunk of values became: one row each, in the order given. `same` is false where another value was there. */
const insertChunk = async <T extends PageAnnotation | CommentAnnotation>(
  tx: CaseQueries,
  insert: string,
  select: string,
  values: readonly T[],
  [rowId, by]: readonly [string, string],
  what: string,
): Promise<readonly Stored<T>[]> => {
  const json = jsonOf(values);
  await tx.query(insert, [rowId, json, by]);
  const { rows } = await tx.query<Columns<T> & { readonly same: boolean }>(select, [rowId, json]);
  for (const row of rows) if (!row.same) throw existsAlready(what, row.value.id);
  return rows.map(storedOf);
};

/** Reads what is stored under the ids that are given, in their order. */
const presentSql = (
  table: 'engine_annotation' | 'engine_comment',
  id: 'annotation_id' | 'comment_id',
): string => `SELECT ${columns
  .split(', ')
  .map((column) => `own.${column}`)
  .join(', ')}, own.value = given.value AS same
  FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS given (value, place)
  JOIN ${table} own ON own.engine_document_id = $1 AND own.${id} = given.value->>'id'
  ORDER BY place`;

export const insertAnnotations = async (
  tx: CaseQueries,
  rowId: string,
  values: readonly PageAnnotation[],
  by: string,
): Promise<readonly Stored<PageAnnotation>[]> => {
  const stored: Stored<PageAnnotation>[] = [];
  for (const chunk of chunksOf(values))
    stored.push(
      ...(await insertChunk(
        tx,
        `INSERT INTO engine_annotation (engine_document_id, annotation_id, page_index, kind, value, created_by, updated_by)
         SELECT $1, value->>'id', (value->>'pageIndex')::integer, value->>'type', value, $3, $3
         FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS given (value, place) ORDER BY place
         ON CONFLICT DO NOTHING`,
        presentSql('engine_annotation', 'annotation_id'),
        chunk,
        [rowId, by],
        'annotation',
      )),
    );
  return stored;
};

export const insertComments = async (
  tx: CaseQueries,
  rowId: string,
  values: readonly CommentAnnotation[],
  by: string,
): Promise<readonly Stored<CommentAnnotation>[]> => {
  const stored: Stored<CommentAnnotation>[] = [];
  for (const chunk of chunksOf(values))
    stored.push(
      ...(await insertChunk(
        tx,
        `INSERT INTO engine_comment (engine_document_id, comment_id, root_id, value, created_by, updated_by)
         SELECT $1, value->>'id', value->>'rootId', value, $3, $3
         FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS given (value, place) ORDER BY place
         ON CONFLICT DO NOTHING`,
        presentSql('engine_comment', 'comment_id'),
        chunk,
        [rowId, by],
        'comment',
      )),
    );
  return stored;
};

/** Writes new values; their versions were checked under a lock. */
export const updateAnnotations = async (
  tx: CaseQueries,
  rowId: string,
  changes: readonly AnnotationChange[],
  by: string,
): Promise<void> => {
  for (const chunk of chunksOf(changes))
    await tx.query(
      `UPDATE engine_annotation own
       SET value = given.value, page_index = (given.value->>'pageIndex')::integer, version = nextval('engine_version'),
           updated_by = $3, updated_at = now()
       FROM jsonb_array_elements($2::jsonb) AS given (value)
       WHERE own.engine_document_id = $1 AND own.annotation_id = given.value->>'id'`,
      [rowId, jsonOf(chunk.map(({ value }) => value)), by],
    );
};

export const deleteAnnotations = async (
  tx: CaseQueries,
  rowId: string,
  removals: readonly Pick<AnnotationRemoval, 'id'>[],
): Promise<void> => {
  await tx.query('DELETE FROM engine_annotation WHERE engine_document_id = $1 AND annotation_id = ANY($2)', [
    rowId,
    removals.map(({ id }) => id),
  ]);
};

export const deleteAllAnnotations = async (tx: CaseQueries, rowId: string): Promise<void> => {
  await tx.query('DELETE FROM engine_annotation WHERE engine_document_id = $1', [rowId]);
};

export const listComments = async (
  tx: CaseQueries,
  rowId: string,
  rootId?: string,
): Promise<readonly Stored<CommentAnnotation>[]> => {
  const { rows } = await tx.query<Columns<CommentAnnotation>>(
    `SELECT ${columns} FROM engine_comment WHERE engine_document_id = $1 AND ($2::text IS NULL OR root_id = $2)
     ORDER BY ordinal`,
    [rowId, rootId ?? null],
  );
  return rows.map(storedOf);
};

export const deleteComments = async (tx: CaseQueries, rowId: string, ids: readonly string[]): Promise<void> => {
  await tx.query('DELETE FROM engine_comment WHERE engine_document_id = $1 AND comment_id = ANY($2)', [rowId, ids]);
};

interface AttachmentColumns {
  readonly attachment_id: string;
  readonly content_type: string;
  readonly bytes: Uint8Array;
}

export const putAttachments = async (
  tx: CaseQueries,
  rowId: string,
  attachments: InstantJson['attachments'],
): Promise<void> => {
  for (const [id, { bytes, contentType }] of attachments)
    await tx.query(
      `INSERT INTO engine_attachment (engine_document_id, attachment_id, content_type, bytes) VALUES ($1, $2, $3, $4)
       ON CONFLICT DO NOTHING`,
      [rowId, id, contentType, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)],
    );
};

/** Those of the ids that are there; all without ids. */
export const findAttachments = async (
  tx: CaseQueries,
  rowId: string,
  ids?: readonly string[],
): Promise<ReadonlyMap<string, Attachment>> => {
  const { rows } = await tx.query<AttachmentColumns>(
    `SELECT attachment_id, content_type, bytes FROM engine_attachment
     WHERE engine_document_id = $1 AND ($2::text[] IS NULL OR attachment_id = ANY($2)) ORDER BY attachment_id`,
    [rowId, ids ?? null],
  );
  return new Map(
    rows.map((row) => [row.attachment_id, { bytes: Uint8Array.from(row.bytes), contentType: row.content_type }]),
  );
};

/** Throws `attachment_missing` when a sticker's attachment is not there. */
export const requireAttachments = async (
  tx: CaseQueries,
  rowId: string,
  annotations: readonly PageAnnotation[],
): Promise<void> => {
  const wanted = new Map(
    annotations.flatMap((one) => (one.type === 'pspdfkit/image' ? [[one.imageAttachmentId, one.id] as const] : [])),
  );
  if (wanted.size === 0) return;
  const { rows } = await tx.query<{ attachment_id: string }>(
    'SELECT attachment_id FROM engine_attachment WHERE engine_document_id = $1 AND attachment_id = ANY($2)',
    [rowId, [...wanted.keys()]],
  );
  for (const { attachment_id: id } of rows) wanted.delete(id);
  const [missing] = wanted;
  if (missing !== undefined)
    throw new CaseboundError(
      'attachment_missing',
      `The sticker \`${missing[1]}\` refers to the attachment \`${missing[0]}\`, which is not on the document.`,
    );
};
