/**
 * Index documents of exhibits: the one place where they are built, from the record, the values of custom fields, and the texts of pages.
 */
import { createHash } from 'node:crypto';
import { hasCode, type Actor, type CaseId } from '@casebound/contract';
import type { Queryable } from '../../database/index.ts';
import type { Each, ObjectStore } from '../../platform/object-store/Port.ts';
import type { FieldValue, IndexDocument, IndexPage } from '../../platform/search-index/Port.ts';
import type { Fields } from '../fields/index.ts';
import { pageTextKey, type PageText } from './page-texts.ts';

const maxPageBytes = 64 * 1024 * 1024;

/** Core fields that the index answers: name there -> expression over exhibit `e`, document `d`. */
const coreFields: Readonly<Record<string, string>> = {
  controlNumber: 'e.control_number',
  relevancy: 'e.relevancy',
  privilege: 'e.privilege',
  notes: 'e.notes',
  confidentialityStatus: 'e.confidentiality_status',
  fileName: 'd.file_name',
  fileExtension: 'd.file_extension',
  mimeType: 'd.mime_type',
  fileType: 'd.file_type',
  fileSize: 'd.file_size',
  md5Hash: 'd.md5_hash',
  sha256Hash: 'd.sha256_hash',
  title: 'd.title',
  author: 'd.author',
  subject: 'd.subject',
  from: 'd."from"',
  to: 'd."to"',
  cc: 'd.cc',
  bcc: 'd.bcc',
  messageIdHash: 'd.message_id_hash',
  dateSent: 'd.date_sent',
  dateReceived: 'd.date_received',
  dateCreated: 'd.date_created',
  dateModified: 'd.date_modified',
  documentDate: 'd.document_date',
  pageCount: 'd.page_count',
};
const numbers = new Set(['confidentialityStatus', 'fileSize', 'pageCount']);

const select = `SELECT e.document_id, ${Object.entries(coreFields)
  .map(([name, sql]) => `${sql} AS "${name}"`)
  .join(', ')},
  ARRAY (SELECT c.name FROM exhibit__custodians x JOIN custodian c ON c.document_id = x.custodian_document_id WHERE x.root_document_id = e.document_id ORDER BY x.custodians_ordinal) AS custodian,
  ARRAY (SELECT g.category_name || '/' || l.name FROM exhibit__labels x JOIN label l ON l.document_id = x.label_document_id JOIN label_category g ON g.document_id = l.label_category_document_id
         WHERE x.root_document_id = e.document_id ORDER BY x.labels_ordinal) AS label,
  ARRAY (SELECT f.path FROM exhibit__folders x JOIN folder_tag f ON f.document_id = x.folder_tag_document_id WHERE x.root_document_id = e.document_id ORDER BY x.folders_ordinal) AS folder
  FROM exhibit e JOIN source_document d ON d.document_id = e.document_document_id WHERE e.document_id = ANY ($1::bigint[])`;

const valueOf = (name: string, value: unknown): FieldValue | undefined => {
  if (value === null || value === undefined || value === '') return undefined;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(String);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return undefined;
  return numbers.has(name) ? Number(value) : value;
};

/** Core fields by exhibit. */
export const readCoreFields = async (
  tx: Queryable,
  exhibitIds: readonly number[],
): Promise<Map<number, Readonly<Record<string, FieldValue>>>> => {
  const { rows } = await tx.query(select, [exhibitIds]);
  return new Map(
    rows.map(({ document_id: id, ...fields }) => [
      Number(id),
      Object.fromEntries(
        Object.entries(fields).flatMap(([name, value]) => {
          const usable = valueOf(name, value);
          return usable === undefined ? [] : [[name, usable] as const];
        }),
      ),
    ]),
  );
};

export interface ExhibitToIndex {
  readonly exhibitId: number;
  readonly controlNumber: string;
  readonly documentKey: string;
  readonly batchId: number;
  readonly pages: readonly PageText[];
  readonly fields: Readonly<Record<string, FieldValue>>;
}

export type BuiltDocument =
  | { readonly exhibitId: number; readonly document: IndexDocument }
  | { readonly exhibitId: number; readonly error: unknown };

/** Exhibits whose texts are read together: as many, or as much text as their records state. */
const mostTogether = 256;
const bytesTogether = 4 * 1024 * 1024;

const partsOf = (exhibits: readonly ExhibitToIndex[]): readonly (readonly ExhibitToIndex[])[] => {
  const parts: ExhibitToIndex[][] = [];
  let bytes = 0;
  for (const exhibit of exhibits) {
    const own = exhibit.pages.reduce((sum, { size }) => sum + (size ?? 0), 0);
    const last = parts.at(-1);
    bytes += own;
    if (last !== undefined && last.length < mostTogether && bytes <= bytesTogether) last.push(exhibit);
    else {
      parts.push([exhibit]);
      bytes = own;
    }
  }
  return parts;
};

const build = (exhibit: ExhibitToIndex, texts: readonly (Each<Uint8Array> | undefined)[]): BuiltDocument => {
  const { exhibitId, batchId, controlNumber, fields } = exhibit;
  const pages: IndexPage[] = [];
  for (const [at, { position }] of textPages(exhibit).entries()) {
    const text = texts[at];
    if (text?.ok === true) {
      pages.push({
        position,
        text: Buffer.from(text.value.buffer, text.value.byteOffset, text.value.byteLength).toString('utf8'),
        sha256: createHash('sha256').update(text.value).digest('hex'),
      });
    } else if (!hasCode(text?.error, 'object_not_found')) return { exhibitId, error: text?.error };
    // A page whose text did not arrive is found by its other pages; the ledger says that it is missing.
  }
  return { exhibitId, document: { exhibitId, batchId, controlNumber, fields, pages } };
};

const textPages = ({ pages }: ExhibitToIndex): readonly PageText[] => pages.filter(({ sha256 }) => sha256 !== null);

/** The index documents of exhibits in parts of bounded size, in their order; one whose text cannot be read is answered with why. */
export async function* buildIndexDocuments(
  objects: Pick<ObjectStore, 'readAll'>,
  caseId: CaseId,
  exhibits: readonly ExhibitToIndex[],
  signal: AbortSignal,
): AsyncGenerator<readonly BuiltDocument[]> {
  for (const part of partsOf(exhibits)) {
    const keys = part.flatMap((exhibit) =>
      textPages(exhibit).map(({ position }) =>
        pageTextKey({ caseId, batchId: exhibit.batchId, documentKey: exhibit.documentKey }, position),
      ),
    );
    const texts = await objects.readAll(keys, { maxBytes: maxPageBytes, signal });
    let at = 0;
    yield part.map((exhibit) => {
      const own = texts.slice(at, at + textPages(exhibit).length);
      at += own.length;
      return build(exhibit, own);
    });
  }
}

/** Values of custom fields as the index takes them. */
export const readCustomFields = async (
  fields: Fields,
  caseId: CaseId,
  actor: Actor,
  exhibitIds: readonly number[],
  signal: AbortSignal,
): Promise<Map<number, Readonly<Record<string, FieldValue>>>> => {
  const values = await fields.read(caseId, actor, exhibitIds, signal, { passing: true });
  return new Map(
    [...values].map(([exhibitId, { values: found }]) => [
      exhibitId,
      Object.fromEntries(
        Object.entries(found).flatMap(([title, value]) => {
          const usable = valueOf(title, value);
          return usable === undefined ? [] : [[title, usable] as const];
        }),
      ),
    ]),
  );
};

/** @throws what the texts of the exhibit could not be read for */
export const documentOf = (built: BuiltDocument): IndexDocument => {
  if ('error' in built) throw built.error;
  return built.document;
};
