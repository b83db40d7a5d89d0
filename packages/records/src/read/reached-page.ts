/**
 * Finds the ids of a page, and counts, for a caller whose rule is one reference to what lies below its groups.
 *
 * - One way looks at the records in their order, like a list without authorization, which is short where the caller sees many of them.
 * - The other merges the records of each member below the groups, in the order of ids, from the index of the reference alone: some of
 *   each member, and then, of members that gave all they were asked for, what still lies before the last id that the page can have.
 *   It reads about twice the page and a few of each member, however few of all records the caller sees.
 * - Where members are few beside the page it merges at once. Otherwise it looks first, at as many records as cost what a merge costs,
 *   so that the records it looks at in vain at most double the price. Where members are too many it looks as far as it must.
 * - Both ways give the same ids: of what the caller may see in the statement's one snapshot, the first so many.
 */
import { maxHashed, type Reach } from '../auth/row-predicate.ts';

/** Of so few ids each member is asked for all: a second search of a member costs as much as 25 of its ids. */
const fewIds = 50;

/**
 * A number in the text of the statement that is not less than the ids wanted (offset and limit together); null where they are too many
 * to be merged, which holds a multiple of them.
 */
export const mergedAtMost = (wanted: number): number | null =>
  [fewIds, 500, 5_000].find((atMost) => wanted <= atMost) ?? null;

export interface ReachedPage {
  readonly reach: Reach;
  /** The root table, qualified. */
  readonly root: string;
  /** Condition on a row `t` of it where the page begins. */
  readonly begin: string;
  readonly limit: string;
  readonly offset: string;
  /** Of `mergedAtMost`, for limit and offset together. */
  readonly atMost: number;
}

/**
 * A SELECT of `document_id` of the page, in no order.
 *
 * - A record looked at costs 0.1 us, an id merged 0.3, a member 5: hence the numbers.
 * - Limits by number stand below those that the planner cannot know, so that it reads few rows in order and sorts no table.
 * - The order and `= ANY` of one member leave it the index (reference, document) only: in the order of ids alone it could search the
 *   whole table for a member without records.
 */
export const reachedIdsSql = ({ reach, root, begin, limit, offset, atMost }: ReachedPage): string => {
  const each = atMost <= fewIds ? 'n' : 'least(n, 3 * n / (2 * greatest(k, 1)) + 6)';
  const asked = `SELECT q.*, ${each} AS each, CASE WHEN skip = 0 AND k <= 8 + n / 8 THEN 0 WHEN k <= ${maxHashed} THEN 250 + 3 * n + 40 * k END AS looks FROM (SELECT ${limit} AS size, ${offset} AS skip, ${limit} + ${offset} AS n, count(*) AS k FROM below) q`;
  const inOrder = `SELECT * FROM ${root} t WHERE ${begin} ORDER BY t.document_id LIMIT a.looks`;
  const seen = `CASE WHEN a.k <= ${maxHashed} THEN t.${reach.column} IN (SELECT id FROM below) ELSE ${reach.probe} END`;
  const roughly = `SELECT t.document_id FROM (${inOrder}) t WHERE ${seen} ORDER BY t.document_id LIMIT ${atMost}`;
  const look = `SELECT y.document_id FROM asked a CROSS JOIN LATERAL (SELECT y.document_id FROM (${roughly}) y ORDER BY y.document_id LIMIT a.size OFFSET a.skip) y`;
  const ofMember = (from: string, count: string): string => {
    const rows = `SELECT t.${reach.column} AS id, t.document_id FROM ${root} t WHERE t.${reach.column} = ANY(ARRAY[m.id]) AND ${from} ORDER BY t.${reach.column}, t.document_id LIMIT ${atMost}`;
    return `CROSS JOIN LATERAL (SELECT y.document_id FROM (${rows}) y ORDER BY y.id, y.document_id LIMIT ${count}) o`;
  };
  const merging = `a.looks = 0 OR a.looks > 0 AND (SELECT count(*) FROM look) < a.size`;
  const members = `SELECT ${reach.repeats ? 'DISTINCT ' : ''}id FROM below WHERE a.size > 0 AND (${merging})`;
  const taken = `SELECT m.id, o.document_id FROM asked a CROSS JOIN LATERAL (${members}) m ${ofMember(begin, 'a.each')}`;
  const last = `coalesce((SELECT document_id FROM taken ORDER BY document_id OFFSET (SELECT greatest(n - 1, 0) FROM asked) LIMIT 1), ${Number.MAX_SAFE_INTEGER})`;
  const giving = `SELECT id, max(document_id) AS given FROM taken WHERE a.each < a.n GROUP BY id HAVING count(*) = a.each AND max(document_id) < ${last}`;
  const more = `SELECT o.document_id FROM asked a CROSS JOIN LATERAL (${giving}) m ${ofMember('t.document_id > m.given', 'a.n - a.each')}`;
  const merged = `SELECT document_id FROM taken${atMost <= fewIds ? '' : ` UNION ALL ${more}`} ORDER BY document_id LIMIT (SELECT size FROM asked) OFFSET (SELECT skip FROM asked)`;
  return [
    `WITH below AS MATERIALIZED (${reach.below})`,
    `asked AS MATERIALIZED (${asked})`,
    `look AS MATERIALIZED (${look})`,
    // Where nothing was taken, nothing was to be merged, or there is nothing to see either way.
    `taken AS MATERIALIZED (${taken}) SELECT document_id FROM look WHERE NOT EXISTS (SELECT 1 FROM taken) UNION ALL SELECT document_id FROM (${merged}) z`,
  ].join(', ');
};

/** A SELECT of `total`: how many records the caller may see. */
export const reachedCountSql = ({ reach, root }: Pick<ReachedPage, 'reach' | 'root'>): string => {
  const members = `SELECT ${reach.repeats ? 'DISTINCT ' : ''}id FROM below`;
  // Summed by member, from the index alone: a join costs three times as much a record.
  const ofMembers = `SELECT coalesce(sum(o.n), 0) FROM (${members}) m CROSS JOIN LATERAL (SELECT count(*) AS n FROM ${root} t WHERE t.${reach.column} = ANY(ARRAY[m.id])) o`;
  const inOrder = `SELECT count(*) FROM ${root} t WHERE ${reach.probe}`;
  const either = `CASE WHEN (SELECT count(*) <= ${maxHashed} FROM below) THEN (${ofMembers}) ELSE (${inOrder}) END`;
  return `SELECT c.total FROM (WITH below AS MATERIALIZED (${reach.below}) SELECT ${either} AS total) c`;
};
