/**
 * The files and texts of exhibits.
 *
 * - A file is looked up by exhibit, type and position; no part of a key or path comes from the caller.
 * - Size and hash are those of the case's records; an object that is of another size is refused before its first byte.
 */
import { type Actor, CaseboundError, type CaseId, type FileAnswer } from '@casebound/contract';
import { objectKey } from '../../platform/object-store/Port.ts';
import { readBytes } from '../../platform/object-store/read-bytes.ts';
import type { ExhibitDependencies } from './dependencies.ts';
import { parseRange } from './parse-range.ts';

const maxTextBytes = 64 * 1024 * 1024;

const types: Readonly<Record<string, { readonly contentType: string; readonly extension: string }>> = {
  native: { contentType: 'application/octet-stream', extension: '' },
  pdf: { contentType: 'application/pdf', extension: '.pdf' },
  text: { contentType: 'text/plain', extension: '.txt' },
  image: { contentType: 'application/octet-stream', extension: '' },
};

interface VariantRow {
  readonly control_number: string;
  readonly object_key: string | null;
  readonly size: string;
  readonly sha256: string;
  readonly mime_type: string | null;
  readonly file_name: string | null;
  readonly document_name: string | null;
}

export interface VariantWanted {
  readonly exhibitId: number;
  readonly type: string;
  readonly position: number;
}

/** Errors: those of `withCase`, `exhibit_not_found`, `variant_not_found`, `range_not_satisfiable`, those of the object store. */
export const openVariant = async (
  { sessions, objects }: ExhibitDependencies,
  actor: Actor,
  caseId: CaseId,
  wanted: VariantWanted,
  range: string | undefined,
  signal: AbortSignal,
): Promise<FileAnswer> => {
  const { exhibitId, type, position } = wanted;
  const { rows } = await sessions.withCase(
    caseId,
    actor,
    async (tx) =>
      tx.query<VariantRow & Record<string, unknown>>(
        `SELECT e.control_number, v.object_key, v.size, v.sha256, v.mime_type, v.file_name, d.file_name AS document_name
         FROM exhibit e JOIN source_document d ON d.document_id = e.document_document_id
         LEFT JOIN source_document__variants v ON v.root_document_id = d.document_id AND v.type = $2 AND v.position = $3
         WHERE e.document_id = $1`,
        [exhibitId, type, position],
      ),
    { readOnly: true, readsWithBegin: true, signal },
  );
  const [row] = rows;
  if (row === undefined) throw new CaseboundError('exhibit_not_found', `There is no exhibit ${exhibitId} in the case.`);
  if (row.object_key === null)
    throw new CaseboundError('variant_not_found', `The exhibit ${row.control_number} has no ${type} ${position}.`);
  const size = Number(row.size);
  const part = parseRange(range, size);
  const key = objectKey(row.object_key);
  if (!key.startsWith(`case_${caseId}/`))
    throw new CaseboundError(
      'object_corrupt',
      `The record of the file of ${row.control_number} leads out of its case.`,
    );
  const { body, info } = await objects.get(key, { signal, ...(part === undefined ? {} : { range: part }) });
  if (info.size !== size) {
    body.destroy();
    throw new CaseboundError(
      'object_corrupt',
      `The file of ${row.control_number} has ${info.size} bytes where ${size} were recorded.`,
    );
  }
  const kind = types[type] ?? { contentType: 'application/octet-stream', extension: '' };
  return {
    contentType: row.mime_type ?? kind.contentType,
    fileName: nameOf(row, type, position, kind.extension),
    size,
    sha256: row.sha256,
    ...(part === undefined ? {} : { part }),
    body,
  };
};

/** A native keeps its name; what was made of it is called by its control number. */
const nameOf = (row: VariantRow, type: string, position: number, extension: string): string => {
  if (row.file_name !== null && row.file_name !== '') return row.file_name;
  if (type === 'native' && row.document_name !== null && row.document_name !== '') return row.document_name;
  return `${row.control_number}${position > 1 || type === 'image' ? `-${position}` : ''}${extension}`;
};

export interface PageTextRead {
  readonly position: number;
  readonly source: string | null;
  readonly sha256: string | null;
  readonly text: string;
}

/** Errors: those of `withCase`, `exhibit_not_found`, `variant_not_found` for a page that is not there, those of the object store. */
export const readPageText = async (
  { sessions, objects }: ExhibitDependencies,
  actor: Actor,
  caseId: CaseId,
  exhibitId: number,
  position: number,
  signal: AbortSignal,
): Promise<PageTextRead> => {
  const { rows } = await sessions.withCase(
    caseId,
    actor,
    async (tx) =>
      tx.query<{
        control_number: string;
        batch_id: string;
        document_key: string;
        has_page: boolean;
        text_source: string | null;
        text_sha256: string | null;
      }>(
        `SELECT e.control_number, e.batch_document_id AS batch_id, d.document_key, p.root_document_id IS NOT NULL AS has_page, p.text_source, p.text_sha256
         FROM exhibit e JOIN source_document d ON d.document_id = e.document_document_id
         LEFT JOIN exhibit__pages p ON p.root_document_id = e.document_id AND p.pages_ordinal = $2::int - 1
         WHERE e.document_id = $1`,
        [exhibitId, position],
      ),
    { readOnly: true, readsWithBegin: true, signal },
  );
  const [row] = rows;
  if (row === undefined) throw new CaseboundError('exhibit_not_found', `There is no exhibit ${exhibitId} in the case.`);
  if (!row.has_page)
    throw new CaseboundError('variant_not_found', `The exhibit ${row.control_number} has no page ${position}.`);
  const { text_source: source, text_sha256: sha256 } = row;
  if (sha256 === null) return { position, source, sha256, text: '' };
  const key = objectKey(
    `case_${caseId}/processed-files/${row.batch_id}/txt/${row.document_key}/attachments/${position}/content.txt`,
  );
  const bytes = await readBytes(objects, key, { maxBytes: maxTextBytes, signal });
  return { position, source, sha256, text: bytes.toString('utf8') };
};
