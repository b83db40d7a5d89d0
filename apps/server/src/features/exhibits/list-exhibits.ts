/**
 * Lists of exhibits, in the order of their control numbers, by keyset: a page costs the same wherever it is.
 *
 * - Filters are those that the database answers well: core fields and what is linked to an exhibit. A custom field is asked of the index first.
 * - Counting stops at 100,000, so that a count cannot be made to read a whole case of any size.
 */
import { type Actor, CaseboundError, type CaseId, type ExhibitFilters, type ExhibitSummary } from '@casebound/contract';
import type { Queryable } from '../../database/index.ts';
import type { ExhibitDependencies } from './dependencies.ts';

export interface ExhibitPage {
  readonly exhibits: ExhibitSummary[];
  /** Control number to go on after. */
  readonly next: string | null;
  readonly total: number | null;
  readonly totalIsExact: boolean;
}

const countLimit = 100_000;

/** Date of a document as people know it: what it says itself, else when it was sent, else when it was last changed. */
const dateSql = 'coalesce(d.document_date, d.date_sent, d.date_received, d.date_modified)';

export const summaryColumns = `e.document_id, e.control_number, e.control_number_end, e.batch_document_id, e.parent_exhibit_document_id,
  e.family_document_id, d.file_name, d.mime_type, d.file_size, ${dateSql} AS document_date, d.subject, d."from", e.relevancy, e.privilege,
  coalesce(e.confidentiality_status, 0) AS confidentiality_status, coalesce(e.redacted, false) AS redacted,
  ARRAY (SELECT c.name FROM exhibit__custodians x JOIN custodian c ON c.document_id = x.custodian_document_id
         WHERE x.root_document_id = e.document_id ORDER BY x.custodians_ordinal) AS custodians,
  (SELECT count(*) FROM exhibit__pages p WHERE p.root_document_id = e.document_id) AS pages`;

export const exhibitTables = 'exhibit e JOIN source_document d ON d.document_id = e.document_document_id';

export interface SummaryRow {
  readonly document_id: string;
  readonly control_number: string;
  readonly control_number_end: string | null;
  readonly batch_document_id: string;
  readonly parent_exhibit_document_id: string | null;
  readonly family_document_id: string | null;
  readonly file_name: string | null;
  readonly mime_type: string | null;
  readonly file_size: string | null;
  readonly document_date: Date | null;
  readonly subject: string | null;
  readonly from: string | null;
  readonly relevancy: string | null;
  readonly privilege: string | null;
  readonly confidentiality_status: string;
  readonly redacted: boolean;
  readonly custodians: string[];
  readonly pages: string;
}

const numberOrNull = (value: string | null): number | null => (value === null ? null : Number(value));

export const toSummary = (row: SummaryRow): ExhibitSummary => ({
  exhibitId: Number(row.document_id),
  controlNumber: row.control_number,
  controlNumberEnd: row.control_number_end,
  batchId: Number(row.batch_document_id),
  parentExhibitId: numberOrNull(row.parent_exhibit_document_id),
  familyId: numberOrNull(row.family_document_id),
  fileName: row.file_name,
  mimeType: row.mime_type,
  fileSize: numberOrNull(row.file_size),
  documentDate: row.document_date?.toISOString() ?? null,
  subject: row.subject,
  from: row.from,
  custodians: row.custodians,
  relevancy: row.relevancy,
  privilege: row.privilege,
  confidentialityStatus: Number(row.confidentiality_status),
  redacted: row.redacted,
  pages: Number(row.pages),
});

interface Condition {
  readonly sql: readonly string[];
  readonly values: unknown[];
}

const hashColumns: Readonly<Record<number, string>> = { 32: 'd.md5_hash', 40: 'd.sha1_hash', 64: 'd.sha256_hash' };

const conditionsOf = (filters: ExhibitFilters, found: readonly number[] | undefined): Condition => {
  const sql: string[] = [];
  const values: unknown[] = [];
  const add = (value: unknown, condition: (placeholder: string) => string): void => {
    if (value === undefined) return;
    values.push(value);
    sql.push(condition(`$${values.length}`));
  };
  add(filters.from, (p) => `e.control_number >= ${p}`);
  add(filters.to, (p) => `e.control_number <= ${p}`);
  add(
    filters.custodian,
    (p) =>
      `EXISTS (SELECT FROM exhibit__custodians x JOIN custodian c ON c.document_id = x.custodian_document_id WHERE x.root_document_id = e.document_id AND c.name = ${p})`,
  );
  const ofLabel = (condition: string): string =>
    `EXISTS (SELECT FROM exhibit__labels x JOIN label l ON l.document_id = x.label_document_id JOIN label_category g ON g.document_id = l.label_category_document_id
             WHERE x.root_document_id = e.document_id AND ${condition})`;
  if (filters.label !== undefined && filters.labelCategory !== undefined) {
    values.push(filters.label, filters.labelCategory);
    sql.push(ofLabel(`l.name = $${values.length - 1} AND g.category_name = $${values.length}`));
  } else {
    add(filters.label, (p) => ofLabel(`l.name = ${p}`));
    add(filters.labelCategory, (p) => ofLabel(`g.category_name = ${p}`));
  }
  add(
    filters.folder,
    (p) =>
      `EXISTS (SELECT FROM exhibit__folders x JOIN folder_tag f ON f.document_id = x.folder_tag_document_id
               WHERE x.root_document_id = e.document_id AND (f.path = ${p} OR starts_with(f.path, ${p} || '/')))`,
  );
  add(filters.batchId, (p) => `e.batch_document_id = ${p}`);
  add(filters.familyId, (p) => `(e.family_document_id = ${p} OR e.document_id = ${p})`);
  add(filters.dateFrom, (p) => `${dateSql} >= (${p}::date)::timestamp AT TIME ZONE 'UTC'`);
  add(filters.dateTo, (p) => `${dateSql} < (${p}::date + 1)::timestamp AT TIME ZONE 'UTC'`);
  if (filters.hash !== undefined)
    add(filters.hash.toLowerCase(), (p) => `${hashColumns[filters.hash?.length ?? 0] ?? 'd.sha256_hash'} = ${p}`);
  add(
    filters.redacted === undefined ? undefined : filters.redacted === 'true',
    (p) => `coalesce(e.redacted, false) = ${p}`,
  );
  add(
    filters.confidentialityCode,
    (p) =>
      `EXISTS (SELECT FROM confidentiality_code k WHERE k.code = ${p} AND (coalesce(e.confidentiality_status, 0) & (1::bigint << k.bit::int)) <> 0)`,
  );
  add(filters.relevancy, (p) => `e.relevancy = ${p}`);
  add(filters.privilege, (p) => `e.privilege = ${p}`);
  add(found, (p) => `e.document_id = ANY (${p}::bigint[])`);
  return { sql, values };
};

const countAll = async (tx: Queryable, { sql, values }: Condition): Promise<number> => {
  const where = sql.length === 0 ? '' : `WHERE ${sql.join(' AND ')}`;
  const { rows } = await tx.query<{ total: string }>(
    `SELECT count(*) AS total FROM (SELECT FROM ${exhibitTables} ${where} LIMIT $${values.length + 1}) AS matching`,
    [...values, countLimit + 1],
  );
  return Number(rows[0]?.total ?? 0);
};

/** The index answers for custom fields; what it finds narrows the list. */
const findFirst = async (
  findByField: ExhibitDependencies['findByField'],
  actor: Actor,
  caseId: CaseId,
  { field, fieldValue }: ExhibitFilters,
): Promise<readonly number[] | undefined> => {
  if (field === undefined && fieldValue === undefined) return undefined;
  if (field === undefined || fieldValue === undefined)
    throw new CaseboundError('validation_failed', 'A filter on a custom field names both `field` and `fieldValue`.');
  return findByField(caseId, actor, { title: field, text: fieldValue }, countLimit);
};

/** One statement, two with a count, in one state of the case. */
export const listExhibits = async (
  { sessions, findByField }: Pick<ExhibitDependencies, 'sessions' | 'findByField'>,
  actor: Actor,
  caseId: CaseId,
  filters: ExhibitFilters,
  page: { readonly after?: string | undefined; readonly limit: number; readonly count: boolean },
  signal?: AbortSignal,
): Promise<ExhibitPage> => {
  const found = await findFirst(findByField, actor, caseId, filters);
  return sessions.withCase(
    caseId,
    actor,
    async (tx) => {
      const condition = conditionsOf(filters, found);
      const { sql, values } = condition;
      const [{ rows }, counted] = await Promise.all([
        tx.query<SummaryRow & Record<string, unknown>>(
          `SELECT ${summaryColumns} FROM ${exhibitTables}
           WHERE ${[...sql, `e.control_number > $${values.length + 1}`].join(' AND ')}
           ORDER BY e.control_number LIMIT $${values.length + 2}`,
          [...values, page.after ?? '', page.limit + 1],
        ),
        page.count ? countAll(tx, condition) : null,
      ]);
      const exhibits = rows.slice(0, page.limit).map(toSummary);
      return {
        exhibits,
        next: rows.length > page.limit ? (exhibits.at(-1)?.controlNumber ?? null) : null,
        total: counted === null ? null : Math.min(counted, countLimit),
        totalIsExact: counted !== null && counted <= countLimit,
      };
    },
    { readOnly: true, ...(signal === undefined ? {} : { signal }), isolation: 'repeatable read' },
  );
};
