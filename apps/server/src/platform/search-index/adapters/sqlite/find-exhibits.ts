/**
 * Answers searches from an index file.
 *
 * A full-text table gives the ids of what it finds in ascending order, so the first condition that asks one is walked only as far as the page
 * goes; further ones are sets that are read once.
 */
import type { SQLInputValue } from 'node:sqlite';
import type { IndexedDigest, IndexQuery } from '../../Port.ts';
import { conditionOf } from './fact-terms.ts';
import type { OpenFile } from './index-files.ts';
import { exhibitOfRow, lastExhibitId, unpackPages } from './put-documents.ts';
import { IndexError } from './index-error.ts';

/** Words and phrases of a query, each as an FTS5 string. */
const termsOf = (text: string): readonly string[] => {
  const terms = [...text.matchAll(/"([^"]+)"|(\S+)/g)]
    .map(([, phrase, word]) => (phrase ?? word ?? '').replaceAll(/["\0]/g, ' ').trim())
    .filter((term) => /[\p{L}\p{N}]/u.test(term))
    .map((term) => `"${term}"`);
  if (terms.length === 0) throw new IndexError('search_query_invalid', 'The query has no word to look for.');
  return terms;
};

interface Conditions {
  /** Queries of full-text tables whose rows are exhibits. */
  readonly matches: readonly { readonly table: 'words' | 'facts'; readonly query: string }[];
  /** Sets of exhibits. */
  readonly sets: readonly { readonly sql: string; readonly values: readonly SQLInputValue[] }[];
}

const ofWords = ({ prepare }: OpenFile, text: string | undefined): Conditions => {
  if (text === undefined) return { matches: [], sets: [] };
  const terms = termsOf(text);
  if (prepare('SELECT 1 FROM exhibit WHERE parts > 1 LIMIT 1').get() === undefined)
    return { matches: [{ table: 'words', query: terms.join(' AND ') }], sets: [] };
  // The words of one exhibit may stand in several rows.
  return {
    matches: [],
    sets: terms.map((term) => ({ sql: `SELECT ${exhibitOfRow} FROM words WHERE words MATCH ?`, values: [term] })),
  };
};

const ofFields = (filters: IndexQuery['filters'] = []): Conditions => {
  const conditions = filters.map(conditionOf);
  const equal = conditions.flatMap(({ anyOf }) => (anyOf === undefined ? [] : [`("${anyOf.join('" OR "')}")`]));
  return {
    matches: equal.length === 0 ? [] : [{ table: 'facts', query: equal.join(' AND ') }],
    sets: conditions.flatMap(({ range }) =>
      range === undefined
        ? []
        : [{ sql: 'SELECT doc FROM fact WHERE term >= ? AND term <= ?', values: [range.from, range.to] }],
    ),
  };
};

/** Ids after `after` in ascending order, at most `limit`. Throws `search_query_invalid`. */
export const findExhibits = (file: OpenFile, query: IndexQuery, after: number, limit: number): number[] => {
  const words = ofWords(file, query.text);
  const fields = ofFields(query.filters);
  const [first, ...rest] = [...words.matches, ...fields.matches];
  const sets = [
    ...rest.map(({ table, query: match }) => ({
      sql: `SELECT rowid FROM ${table} WHERE ${table} MATCH ? AND rowid > ?`,
      values: [match, after],
    })),
    ...words.sets,
    ...fields.sets,
  ];
  const within = (id: string): string => sets.map(({ sql }) => `AND ${id} IN (${sql})`).join(' ');
  // A plus keeps SQLite from asking the full-text table again for each member of a set.
  const sql =
    first === undefined
      ? `SELECT exhibit_id AS id FROM exhibit WHERE exhibit_id > ? ${within('exhibit_id')} ORDER BY exhibit_id LIMIT ?`
      : `SELECT rowid AS id FROM ${first.table} WHERE ${first.table} MATCH ? AND rowid > ? AND rowid <= ${lastExhibitId} ${within('+rowid')} ORDER BY rowid LIMIT ?`;
  const rows = file
    .prepare(sql)
    .all(...(first === undefined ? [] : [first.query]), after, ...sets.flatMap(({ values }) => values), limit);
  return rows.map((row) => Number(row['id']));
};

export const findDigests = ({ prepare }: OpenFile, exhibitIds: readonly number[]): readonly IndexedDigest[] => {
  const rows = prepare(
    'SELECT exhibit_id, control_number, pages FROM exhibit WHERE exhibit_id IN (SELECT value FROM json_each(?))',
  ).all(JSON.stringify(exhibitIds));
  const found = new Map(
    rows.map((row): [number, IndexedDigest] => {
      const exhibitId = Number(row['exhibit_id']);
      const pages = row['pages'] instanceof Uint8Array ? unpackPages(row['pages']) : [];
      return [exhibitId, { exhibitId, controlNumber: String(row['control_number']), pages }];
    }),
  );
  return exhibitIds.flatMap((exhibitId) => found.get(exhibitId) ?? []);
};

export const countExhibits = ({ prepare }: OpenFile): number =>
  Number(prepare('SELECT count(*) AS n FROM exhibit').get()?.['n'] ?? 0);
