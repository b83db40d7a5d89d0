/** One exhibit with everything attached to it: a dozen reads sent at once, in one state of the case. */
import {
  type Actor,
  BatchId,
  CaseboundError,
  type CaseId,
  DocumentId,
  ExhibitId,
  type ExhibitDetail,
  hasCode,
} from '@casebound/contract';
import type { Transaction } from '../../database/index.ts';
import { formatDocumentId } from '../../platform/document-engine/Port.ts';
import type { ExhibitDependencies } from './dependencies.ts';
import { exhibitTables, type SummaryRow, summaryColumns, toSummary } from './list-exhibits.ts';

const shownMembers = 1_000;
const shownPages = 1_000;

interface DetailRow extends SummaryRow {
  readonly batch: string;
  readonly notes: string | null;
  readonly etag: string;
  readonly source_id: string;
  readonly source: Record<string, unknown>;
  readonly labels: { category: string; name: string }[];
  readonly folders: string[];
  readonly codes: string[];
  readonly variants: ExhibitDetail['variants'];
}

const detailSql = `SELECT ${summaryColumns}, b.name AS batch, e.notes, r.etag, d.document_id AS source_id,
  to_jsonb(d) - 'document_id' - 'family_root_document_id' AS source,
  coalesce((SELECT jsonb_agg(jsonb_build_object('category', g.category_name, 'name', l.name) ORDER BY x.labels_ordinal)
            FROM exhibit__labels x JOIN label l ON l.document_id = x.label_document_id JOIN label_category g ON g.document_id = l.label_category_document_id
            WHERE x.root_document_id = e.document_id), '[]') AS labels,
  ARRAY (SELECT f.path FROM exhibit__folders x JOIN folder_tag f ON f.document_id = x.folder_tag_document_id
         WHERE x.root_document_id = e.document_id ORDER BY x.folders_ordinal) AS folders,
  ARRAY (SELECT k.code FROM confidentiality_code k WHERE (coalesce(e.confidentiality_status, 0) & (1::bigint << k.bit::int)) <> 0 ORDER BY k.bit) AS codes,
  coalesce((SELECT jsonb_agg(jsonb_build_object('type', v.type, 'position', v.position, 'size', v.size, 'sha256', v.sha256,
                                                'mimeType', v.mime_type, 'fileName', v.file_name) ORDER BY v.type, v.position)
            FROM source_document__variants v WHERE v.root_document_id = d.document_id), '[]') AS variants
  FROM ${exhibitTables} JOIN batch b ON b.document_id = e.batch_document_id JOIN document r ON r.document_id = e.document_id
  WHERE e.document_id = $1`;

/** Of the source item what it has, by the names of the case model. */
const documentOf = (source: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(source)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name.replaceAll(/_([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase()), value]),
  );

const readPages = async (tx: Transaction, exhibitId: number): Promise<ExhibitDetail['pageList']> => {
  const { rows } = await tx.query<{
    pages_ordinal: number;
    bates_number: string | null;
    width: string | null;
    height: string | null;
    text_source: string | null;
    text_size: string | null;
  }>(
    `SELECT pages_ordinal, bates_number, width, height, text_source, text_size FROM exhibit__pages
     WHERE root_document_id = $1 ORDER BY pages_ordinal LIMIT $2`,
    [exhibitId, shownPages],
  );
  return rows.map((row) => ({
    position: row.pages_ordinal + 1,
    batesNumber: row.bates_number,
    width: row.width === null ? null : Number(row.width),
    height: row.height === null ? null : Number(row.height),
    textSource: row.text_source,
    textSize: row.text_size === null ? null : Number(row.text_size),
  }));
};

const readFamily = async (tx: Transaction, exhibitId: number): Promise<ExhibitDetail['family']> => {
  const { rows } = await tx.query<{ document_id: string; control_number: string; parent: string | null }>(
    `WITH root AS (SELECT coalesce(family_document_id, document_id) AS id FROM exhibit WHERE document_id = $1)
     SELECT e.document_id, e.control_number, e.parent_exhibit_document_id AS parent FROM exhibit e, root
     WHERE e.family_document_id = root.id OR e.document_id = root.id ORDER BY e.control_number LIMIT $2`,
    [exhibitId, shownMembers],
  );
  return rows.map((row) => ({
    exhibitId: Number(row.document_id),
    controlNumber: row.control_number,
    parentExhibitId: row.parent === null ? null : Number(row.parent),
  }));
};

const countAnnotations = async (
  { engine }: ExhibitDependencies,
  caseId: CaseId,
  row: DetailRow,
  signal: AbortSignal | undefined,
): Promise<number | null> => {
  const id = formatDocumentId({
    caseId,
    batchId: BatchId.parse(Number(row.batch_document_id)),
    documentId: DocumentId.parse(Number(row.source_id)),
    exhibitId: ExhibitId.parse(Number(row.document_id)),
  });
  try {
    return (await engine.listAnnotations(id, signal === undefined ? {} : { signal })).length;
  } catch (error) {
    if (hasCode(error, 'engine_document_not_found')) return null;
    throw error;
  }
};

/** Errors: those of `withCase`, `exhibit_not_found`, those of reading the values of custom fields. */
export const getExhibit = async (
  dependencies: ExhibitDependencies,
  actor: Actor,
  caseId: CaseId,
  exhibitId: number,
  signal?: AbortSignal,
): Promise<ExhibitDetail> => {
  const { sessions, fields } = dependencies;
  const read = await sessions.withCase(
    caseId,
    actor,
    async (tx) => {
      const [{ rows }, pageList, family, values] = await Promise.all([
        tx.query<DetailRow & Record<string, unknown>>(detailSql, [exhibitId]),
        readPages(tx, exhibitId),
        readFamily(tx, exhibitId),
        fields.readWithin(tx, [exhibitId], signal),
      ]);
      return { row: rows[0], pageList, family, values: values.get(exhibitId) };
    },
    { readOnly: true, isolation: 'repeatable read', ...(signal === undefined ? {} : { signal }) },
  );
  const { row, pageList, family, values } = read;
  if (row === undefined) throw new CaseboundError('exhibit_not_found', `There is no exhibit ${exhibitId} in the case.`);
  return {
    ...toSummary(row),
    batch: row.batch,
    notes: row.notes,
    version: Number(row.etag),
    document: documentOf(row.source),
    variants: row.variants,
    fields: { ...values?.values },
    fieldsVersion: values?.version ?? 0,
    labels: row.labels,
    folders: row.folders,
    confidentialityCodes: row.codes,
    family,
    pageList,
    annotations: await countAnnotations(dependencies, caseId, row, signal),
  };
};
