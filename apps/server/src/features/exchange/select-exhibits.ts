/**
 * Which exhibits of a case a selection means, as SQL over the case's own tables.
 *
 * - The statement answers ids of exhibits and whether each was selected itself or travels with its family.
 * - Control numbers of a range are compared by their beginning and their last digits, so that `A9` lies between `A1` and `A10`; a range
 *   without digits is compared as text.
 */
import { CaseboundError, type CaseId, type ExchangeRequest, type ExchangeSelection } from '@casebound/contract';
import type { Queryable } from '../../database/index.ts';
import type { SearchIndex } from '../../platform/search-index/Port.ts';

export interface SelectionSql {
  /** `SELECT document_id` of exhibits. */
  readonly text: string;
  readonly values: readonly unknown[];
}

const searchPage = 10_000;

const numbered = /^(.*?)(\d{1,18})$/s;

const rangeSql = (
  { from, to }: { readonly from: string; readonly to: string },
  at: number,
): { sql: string; values: unknown[] } => {
  const [low, high] = [numbered.exec(from), numbered.exec(to)];
  if (low !== null && high !== null && low[1] === high[1]) {
    return {
      sql: `(starts_with(control_number, $${at}) AND substr(control_number, length($${at}) + 1) ~ '^[0-9]{1,18}$'
        AND substr(control_number, length($${at}) + 1)::bigint BETWEEN $${at + 1}::bigint AND $${at + 2}::bigint)`,
      values: [low[1], low[2], high[2]],
    };
  }
  return {
    sql: `(control_number COLLATE "C" BETWEEN $${at} AND $${at + 1} AND $${at + 2}::text IS NULL)`,
    values: [from, to, null],
  };
};

const runQuery = async (
  index: SearchIndex,
  caseId: CaseId,
  { text, filters }: Extract<ExchangeSelection, { by: 'query' }>,
): Promise<number[]> => {
  if (text === undefined && filters.length === 0)
    throw new CaseboundError('search_query_invalid', 'The query has neither words nor filters.');
  const found: number[] = [];
  for (;;) {
    const page = await index.search(caseId, { text, filters }, { limit: searchPage, after: found.at(-1) ?? 0 });
    found.push(...page);
    if (page.length < searchPage) return found;
  }
};

const selectedSql = async (index: SearchIndex, caseId: CaseId, selection: ExchangeSelection): Promise<SelectionSql> => {
  switch (selection.by) {
    case 'all':
      return { text: 'SELECT document_id FROM exhibit', values: [] };
    case 'exhibits':
      return {
        text: 'SELECT document_id FROM exhibit WHERE document_id = ANY ($1::bigint[])',
        values: [selection.exhibitIds],
      };
    case 'controlNumbers': {
      const ranges = selection.ranges.map((range, at) => rangeSql(range, at * 3 + 1));
      return {
        text: `SELECT document_id FROM exhibit WHERE ${ranges.map(({ sql }) => sql).join(' OR ')}`,
        values: ranges.flatMap(({ values }) => values),
      };
    }
    case 'label':
      return {
        text: `SELECT root_document_id AS document_id FROM exhibit__labels
          JOIN label ON label.document_id = label_document_id JOIN label_category ON label_category.document_id = label_category_document_id
          WHERE label_category.category_name = $1 AND label.name = $2`,
        values: [selection.category, selection.name],
      };
    case 'folder':
      return {
        text: `SELECT DISTINCT root_document_id AS document_id FROM exhibit__folders JOIN folder_tag ON folder_tag.document_id = folder_tag_document_id
          WHERE folder_tag.path = $1 OR ($2 AND starts_with(folder_tag.path, $3))`,
        values: [selection.path, selection.includeSubfolders, `${selection.path.replace(/\/+$/, '')}/`],
      };
    case 'batch':
      return {
        text: 'SELECT exhibit.document_id FROM exhibit JOIN batch ON batch.document_id = batch_document_id WHERE batch.name = $1',
        values: [selection.name],
      };
    case 'query':
      return {
        text: 'SELECT document_id FROM exhibit WHERE document_id = ANY ($1::bigint[])',
        values: [await runQuery(index, caseId, selection)],
      };
  }
};

/** The selection with families where they are kept: columns `document_id`, `by_family`. */
export const selectionSql = async (
  index: SearchIndex,
  request: Pick<ExchangeRequest, 'sourceCaseId' | 'selection' | 'families'>,
): Promise<SelectionSql> => {
  const { text, values } = await selectedSql(index, request.sourceCaseId, request.selection);
  if (request.families === 'split')
    return { text: `SELECT document_id, false AS by_family FROM (${text}) AS selected`, values };
  return {
    // Down to all members of the families that were met, and up to whatever these refer to as their parent.
    text: `WITH RECURSIVE selected AS MATERIALIZED (${text}),
      roots AS MATERIALIZED (SELECT DISTINCT coalesce(family_document_id, exhibit.document_id) AS root FROM exhibit JOIN selected USING (document_id)),
      members AS (
        SELECT exhibit.document_id FROM exhibit JOIN roots ON roots.root = exhibit.family_document_id
        UNION SELECT root FROM roots
        UNION SELECT document_id FROM selected
      ),
      whole AS (
        SELECT document_id FROM members
        UNION SELECT up.document_id FROM whole JOIN exhibit USING (document_id)
          CROSS JOIN LATERAL (VALUES (parent_exhibit_document_id), (family_document_id)) AS up (document_id) WHERE up.document_id IS NOT NULL
      )
      SELECT whole.document_id, selected.document_id IS NULL AS by_family FROM whole LEFT JOIN selected USING (document_id)`,
    values,
  };
};

export interface SelectedExhibit {
  readonly exhibitId: number;
  readonly documentId: number;
  readonly controlNumber: string;
  readonly batchId: number;
  readonly documentKey: string;
  /** Of the family's root where families are kept together, of its own document otherwise. */
  readonly hash: string | null;
  readonly byFamily: boolean;
}

/** In the order of the exchange: families together, by control number; in pages of at most `pageSize`. Reads through a cursor. */
export async function* readSelection(
  tx: Queryable,
  selection: SelectionSql,
  { pageSize, keepFamilies }: { readonly pageSize: number; readonly keepFamilies: boolean },
): AsyncGenerator<readonly SelectedExhibit[]> {
  await tx.query(
    `DECLARE exchange_selection NO SCROLL CURSOR FOR
     SELECT e.document_id, e.document_document_id, e.control_number, e.batch_document_id, d.document_key,
            coalesce(f.sha256_hash, d.sha256_hash) AS hash, s.by_family
     FROM (${selection.text}) AS s JOIN exhibit e USING (document_id) JOIN source_document d ON d.document_id = e.document_document_id
       LEFT JOIN exhibit root ON root.document_id = e.family_document_id
       LEFT JOIN source_document f ON f.document_id = root.document_document_id AND ${keepFamilies ? 'true' : 'false'}
     ORDER BY coalesce(root.control_number, e.control_number) COLLATE "C", (root.document_id IS NOT NULL AND root.document_id <> e.document_id), e.control_number COLLATE "C"`,
    selection.values,
  );
  for (;;) {
    const { rows } = await tx.query<{
      document_id: string;
      document_document_id: string;
      control_number: string;
      batch_document_id: string;
      document_key: string;
      hash: string | null;
      by_family: boolean;
    }>(`FETCH ${Math.trunc(pageSize)} FROM exchange_selection`);
    if (rows.length === 0) break;
    yield rows.map((row) => ({
      exhibitId: Number(row.document_id),
      documentId: Number(row.document_document_id),
      controlNumber: row.control_number,
      batchId: Number(row.batch_document_id),
      documentKey: row.document_key,
      hash: row.hash,
      byFamily: row.by_family,
    }));
  }
  await tx.query('CLOSE exchange_selection');
}
