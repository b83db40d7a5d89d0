/**
 * The SQL of values in rows, for cases that keep them so: `tags` holds each value once, `taggings` says which exhibit has it.
 *
 * - Writes are set-based and ask nothing before: a tag that is there is left as it is.
 * - Each function is one statement, however many exhibits it is about.
 */
import type { Queryable } from '../../database/index.ts';
import type { FieldValue, FieldValues } from './field-values.ts';
import { lockedExhibits } from './store.ts';

export interface TaggedChange {
  readonly exhibitId: number;
  /** Title -> what it is now; null for nothing any more. */
  readonly values: Readonly<Record<string, FieldValue | null>>;
}

/** SHA-256 of a value of a field: what identifies a tag. */
const tagKey = (title: string, value: string): string => `sha256(convert_to(${title} || chr(31) || ${value}, 'UTF8'))`;

interface Columns {
  readonly exhibits: number[];
  readonly titles: string[];
  readonly values: (string | null)[];
  readonly ordinals: (number | null)[];
}

/** One entry a tag, and one without a value for a field that has none any more. */
const toColumns = (changes: readonly TaggedChange[]): Columns => {
  const columns: Columns = { exhibits: [], titles: [], values: [], ordinals: [] };
  const add = (exhibitId: number, title: string, value: FieldValue | null, ordinal: number | null): void => {
    columns.exhibits.push(exhibitId);
    columns.titles.push(title);
    columns.values.push(value === null ? null : JSON.stringify(value));
    columns.ordinals.push(ordinal);
  };
  for (const { exhibitId, values } of changes) {
    for (const [title, value] of Object.entries(values)) {
      if (!Array.isArray(value)) add(exhibitId, title, value, null);
      else if (value.length === 0) add(exhibitId, title, null, null);
      else value.forEach((one, ordinal) => add(exhibitId, title, one, ordinal));
    }
  }
  return columns;
};

/** Makes the named fields of exhibits what is given. */
export const writeTaggings = async (tx: Queryable, userId: string, changes: readonly TaggedChange[]): Promise<void> => {
  const { exhibits, titles, values, ordinals } = toColumns(changes);
  if (exhibits.length === 0) return;
  await tx.query(
    `WITH given AS MATERIALIZED (
       SELECT exhibit_id, title, value, ordinal, CASE WHEN value IS NOT NULL THEN ${tagKey('title', 'value')} END AS tag_sha256
       FROM unnest($1::bigint[], $2::text[], $3::text[], $4::int[]) AS given (exhibit_id, title, value, ordinal)
     ), new_tag AS (
       INSERT INTO tags (tag_sha256, title, value)
       SELECT DISTINCT ON (tag_sha256) tag_sha256, title, value::jsonb FROM given WHERE value IS NOT NULL ORDER BY tag_sha256
       ON CONFLICT (tag_sha256) DO NOTHING
     ), gone AS (
       DELETE FROM taggings USING tags, (SELECT DISTINCT exhibit_id, title FROM given) AS field
       WHERE taggings.exhibit_id = field.exhibit_id AND tags.tag_sha256 = taggings.tag_sha256 AND tags.title = field.title
         AND (taggings.exhibit_id, taggings.tag_sha256) NOT IN (SELECT exhibit_id, tag_sha256 FROM given WHERE tag_sha256 IS NOT NULL)
     )
     INSERT INTO taggings (exhibit_id, tag_sha256, ordinal, user_id)
     SELECT DISTINCT ON (exhibit_id, tag_sha256) exhibit_id, tag_sha256, ordinal, $5 FROM given WHERE value IS NOT NULL
     ORDER BY exhibit_id, tag_sha256, ordinal
     ON CONFLICT (exhibit_id, tag_sha256) DO UPDATE SET ordinal = excluded.ordinal
       WHERE taggings.ordinal IS DISTINCT FROM excluded.ordinal`,
    [exhibits, titles, values, ordinals, userId],
  );
};

/** Versions of the exhibits as the tables know them; one that has no values is not among them. */
export const readTaggingVersions = async (
  tx: Queryable,
  exhibitIds: readonly number[],
): Promise<ReadonlyMap<number, number>> => {
  const { rows } = await tx.query<{ exhibit_id: string; version: number }>(
    'SELECT exhibit_id, version FROM tagging_versions WHERE exhibit_id = ANY ($1::bigint[])',
    [exhibitIds],
  );
  return new Map(rows.map((row) => [Number(row.exhibit_id), row.version]));
};

/** Moves versions on of exhibits that are there and still have the one expected (0: none). @returns the new version of those moved */
export const moveTaggingVersions = async (
  tx: Queryable,
  exhibitIds: readonly number[],
  expected: readonly number[],
): Promise<ReadonlyMap<number, number>> => {
  const { rows } = await tx.query<{ exhibit_id: string; version: number }>(
    `WITH ${lockedExhibits('tagging_versions', '$1')}
     INSERT INTO tagging_versions AS known (exhibit_id, version)
     SELECT exhibit_id, expected + 1 FROM unnest($1::bigint[], $2::int[]) AS entry (exhibit_id, expected)
     WHERE exhibit_id IN (SELECT exhibit_id FROM here) OR (expected = 0 AND exhibit_id IN (SELECT exhibit_id FROM bare))
     ORDER BY exhibit_id
     ON CONFLICT (exhibit_id) DO UPDATE SET version = known.version + 1 WHERE excluded.version = known.version + 1
     RETURNING exhibit_id, version`,
    [exhibitIds, expected],
  );
  return new Map(rows.map((row) => [Number(row.exhibit_id), row.version]));
};

/** States versions, whatever they were. */
export const setTaggingVersions = async (tx: Queryable, versions: ReadonlyMap<number, number>): Promise<void> => {
  if (versions.size === 0) return;
  await tx.query(
    `INSERT INTO tagging_versions (exhibit_id, version) SELECT * FROM unnest($1::bigint[], $2::int[]) ORDER BY 1
     ON CONFLICT (exhibit_id) DO UPDATE SET version = excluded.version`,
    [[...versions.keys()], [...versions.values()]],
  );
};

/** Values by exhibit as the tables have them. */
export const readTaggings = async (
  tx: Queryable,
  exhibitIds: readonly number[],
): Promise<ReadonlyMap<number, FieldValues>> => {
  const { rows } = await tx.query<{ exhibit_id: string; title: string; value: FieldValue; ordinal: number | null }>(
    `SELECT exhibit_id, title, value, ordinal FROM taggings JOIN tags USING (tag_sha256)
     WHERE exhibit_id = ANY ($1::bigint[]) ORDER BY exhibit_id, title, ordinal`,
    [exhibitIds],
  );
  const found = new Map<number, Map<string, FieldValue>>();
  for (const { exhibit_id: id, title, value, ordinal } of rows) {
    const values = found.get(Number(id)) ?? new Map<string, FieldValue>();
    found.set(Number(id), values);
    const before = values.get(title);
    if (ordinal === null) values.set(title, value);
    else values.set(title, [...(Array.isArray(before) ? before : []), String(value)]);
  }
  return new Map([...found].map(([id, values]) => [id, Object.fromEntries(values)]));
};

/** Removes what exhibits that go have. */
export const deleteTaggings = async (tx: Queryable, exhibitIds: readonly number[]): Promise<void> => {
  await tx.query(
    `WITH gone AS (DELETE FROM taggings WHERE exhibit_id = ANY ($1::bigint[])) DELETE FROM tagging_versions WHERE exhibit_id = ANY ($1::bigint[])`,
    [exhibitIds],
  );
};

/** Removes what exhibits that are gone had when the tables could not be written. */
export const deleteTaggingsOfGone = async (tx: Queryable): Promise<void> => {
  await tx.query(
    `WITH gone AS (DELETE FROM tagging_versions v WHERE NOT EXISTS (SELECT FROM exhibit WHERE document_id = v.exhibit_id) RETURNING exhibit_id)
     DELETE FROM taggings USING gone WHERE taggings.exhibit_id = gone.exhibit_id`,
  );
};

/** Exhibits after `after` that have any of the values in a field, in ascending order. */
export const filterTaggings = async (
  tx: Queryable,
  filter: { readonly title: string; readonly value: FieldValue },
  page: { readonly after: number; readonly limit: number },
): Promise<readonly number[]> => {
  const { rows } = await tx.query<{ exhibit_id: string }>(
    `SELECT exhibit_id FROM taggings WHERE tag_sha256 = ${tagKey('$1::text', '$2::text')} AND exhibit_id > $3 ORDER BY exhibit_id LIMIT $4`,
    [filter.title, JSON.stringify(filter.value), page.after, page.limit],
  );
  return rows.map((row) => Number(row.exhibit_id));
};
