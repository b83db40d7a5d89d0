import { afterAll, beforeAll, expect, test } from 'vitest';
import { fillLibrary, fullWork, openLibrary, type OpenedLibrary } from '../testing/open-library.ts';
import { runCopy } from '../testing/start-copy.ts';
import { upsertDocument } from '../write/write-document.ts';
import { compareCopied } from './compare-copied.ts';
import type { RecordCopy } from './open-copy.ts';
import { prefixValue } from './policy.ts';

let library: OpenedLibrary;
let copy: RecordCopy;
let ids: Record<'work' | 'author' | 'matched' | 'branch' | 'list' | 'language', number>;
beforeAll(async () => {
  library = await openLibrary();
  await fillLibrary(library.post);
  await library.post('works', fullWork());
  await library.post('readingLists', {
    name: 'l',
    authors: [{ authorReference: { authorKey: 'a3' }, note: 'n' }, { authorReference: { authorKey: 'a1' } }],
  });
  const destination = await library.openAnother('d');
  await upsertDocument(destination, library.resource('authors'), { authorKey: 'a2' });
  copy = await runCopy({
    source: library.store,
    destination,
    policy: {
      resources: { 'Library.ReadingList': { columns: { '$.name': prefixValue('p') }, rows: { '$.works': 'exclude' } } },
      parameters: { p: 'copied ' },
    },
  });
  const { rows } = await library.database.pool.query(
    `SELECT (SELECT document_id FROM d.work WHERE price IS NOT NULL) AS work, (SELECT document_id FROM d.author WHERE author_key = 'a1') AS author, (SELECT document_id FROM d.author WHERE author_key = 'a2') AS matched, (SELECT document_id FROM d.branch) AS branch, (SELECT document_id FROM d.reading_list) AS list, (SELECT document_id FROM d.descriptor WHERE code_value = 'de') AS language`,
  );
  ids =
    rows.map(
      (row: Record<string, unknown>) =>
        Object.fromEntries(Object.entries(row).map(([name, id]) => [name, Number(id)])) as typeof ids,
    )[0] ?? ids;
});
afterAll(async () => library.close());

/** Damage to the destination as SQL, and what must be told of it: kind, table, columns. */
const damages = (): readonly (readonly [sql: string, told: readonly string[]])[] => [
  [`UPDATE d.work SET price = price + 0.01 WHERE document_id = ${ids.work}`, ['row-differs work price']],
  [
    `UPDATE d.work SET is_rare = NULL, title = title || '.' WHERE document_id = ${ids.work}`,
    ['row-differs work title,is_rare'],
  ],
  [
    `UPDATE d.work SET registered_at = registered_at + interval '1 microsecond' WHERE document_id = ${ids.work}`,
    ['row-differs work registered_at'],
  ],
  [
    `UPDATE d.work SET properties = properties || '{"a":false}' WHERE document_id = ${ids.work}`,
    ['row-differs work properties'],
  ],
  [
    `UPDATE d.work SET language_descriptor_id = (SELECT min(document_id) FROM d.descriptor) WHERE document_id = ${ids.work}`,
    ['row-differs work language_descriptor_id'],
  ],
  [
    `DELETE FROM d.work__subjects WHERE root_document_id = ${ids.work} AND subjects_ordinal = 3`,
    ['row-missing work__subjects '],
  ],
  [`INSERT INTO d.work__subjects VALUES (${ids.work}, 4, 'more')`, ['row-extra work__subjects ']],
  [
    `UPDATE d.work__subjects s SET value = o.value FROM d.work__subjects o WHERE s.root_document_id = ${ids.work} AND o.root_document_id = ${ids.work} AND s.subjects_ordinal + o.subjects_ordinal = 1`,
    ['row-differs work__subjects value', 'row-differs work__subjects value'],
  ],
  [
    `UPDATE d.reading_list__authors SET authors_ordinal = authors_ordinal + 5 WHERE root_document_id = ${ids.list} AND note IS NULL`,
    ['row-differs reading_list__authors authors_ordinal'],
  ],
  [
    `UPDATE d.work__editions__printings__copies SET weight = NULL WHERE weight IS NOT NULL`,
    ['row-differs work__editions__printings__copies weight'],
  ],
  [`DELETE FROM d.work__editions__archive`, ['row-missing work__editions__archive ']],
  [`UPDATE d.work__archive SET keeper_document_id = NULL`, ['row-differs work__archive keeper_document_id']],
  [`INSERT INTO d.reading_list__works VALUES (${ids.list}, 0, ${ids.work})`, ['row-extra reading_list__works ']],
  [
    `UPDATE d.descriptor SET short_description = 'other' WHERE document_id = ${ids.language}`,
    ['row-differs descriptor short_description'],
  ],
  [
    `UPDATE d.referential_identity SET referential_id = gen_random_uuid() WHERE document_id = ${ids.list}`,
    ['identity referential_identity referential_id'],
  ],
  [
    `DELETE FROM d.referential_identity WHERE document_id = ${ids.branch} AND resource_key_id <> (SELECT resource_key_id FROM d.document WHERE document_id = ${ids.branch})`,
    ['identity referential_identity '],
  ],
  [
    `UPDATE d.referential_identity SET referential_id = gen_random_uuid() WHERE document_id = ${ids.matched}`,
    ['matched-missing referential_identity referential_id'],
  ],
  [
    `DELETE FROM d.reference_edge WHERE parent_document_id = ${ids.work} AND child_document_id = ${ids.matched}`,
    ['edge reference_edge '],
  ],
  [`INSERT INTO d.reference_edge VALUES (${ids.author}, ${ids.matched}, false)`, ['edge reference_edge ']],
  [
    `UPDATE d.reference_edge SET is_identity_component = NOT is_identity_component WHERE parent_document_id = ${ids.work} AND child_document_id = ${ids.author}`,
    ['edge reference_edge is_identity_component'],
  ],
  [`DELETE FROM d.record_copy_provenance WHERE document_id = ${ids.work}`, ['provenance record_copy_provenance ']],
  [
    `DELETE FROM d.reading_list WHERE document_id = ${ids.list}; DELETE FROM d.reference_edge WHERE parent_document_id = ${ids.list}; DELETE FROM d.document WHERE document_id = ${ids.list}`,
    [
      'edge reference_edge ',
      'edge reference_edge ',
      'identity referential_identity ',
      'record-missing document ',
      'row-missing reading_list ',
      'row-missing reading_list__authors ',
      'row-missing reading_list__authors ',
    ],
  ],
];

test('a copy that nothing was done to compares equal, to the last record', async () => {
  const compared = await compareCopied(copy);
  expect(compared).toMatchObject({ differences: 0, listed: [], changedInSource: 0, changedInDestination: 0 });
  const { rows } = await library.database.pool.query('SELECT count(*)::int AS n FROM library.document');
  // One author was there and is only looked for.
  expect(Object.values(compared.compared).reduce((sum, count) => sum + count, 0)).toBe(Number(rows[0]?.n) - 1);
});

test('every planted difference is found at its place, and nothing else', async () => {
  // Each is undone by putting back what the tables held.
  const { pool } = library.database;
  const tables = [
    'document',
    'descriptor',
    'referential_identity',
    'reference_edge',
    'record_copy_provenance',
    ...copy.plan.resources.flatMap((resource) => resource.destination.tables.map((table) => table.name)),
  ];
  await pool.query(
    `CREATE SCHEMA kept; ${tables.map((name) => `CREATE TABLE kept."${name}" AS TABLE d."${name}"`).join('; ')}`,
  );
  for (const [sql, told] of damages()) {
    await pool.query(sql);
    const { differences, listed } = await compareCopied(copy);
    expect([sql, listed.map(({ kind, table, columns }) => `${kind} ${table} ${columns.join(',')}`).sort()]).toEqual([
      sql,
      told,
    ]);
    expect(differences).toBe(told.length);
    await pool.query(
      `TRUNCATE ${tables.map((name) => `d."${name}"`).join(', ')} CASCADE; ${tables.map((name) => `INSERT INTO d."${name}" TABLE kept."${name}"`).join('; ')}`,
    );
  }
  expect(await compareCopied(copy)).toMatchObject({ differences: 0 });
}, 60_000);

test('the list is bounded, the count is not; changes on either side are told apart', async () => {
  const { pool } = library.database;
  await pool.query(`UPDATE d.work__subjects SET value = value || '!'`);
  const few = await compareCopied(copy, { limit: 2 });
  expect(few.listed).toHaveLength(2);
  expect(few.differences).toBe(4);
  await pool.query(`UPDATE d.work__subjects SET value = left(value, -1)`);
  await library.post('authors', { authorKey: 'a3', born: '2000-01-01' });
  await upsertDocument(copy.destination, library.resource('authors'), { authorKey: 'a1', born: '2001-01-01' });
  const compared = await compareCopied(copy);
  expect(compared).toMatchObject({ differences: 1, changedInSource: 1, changedInDestination: 1 });
  expect(compared.listed).toMatchObject([
    { kind: 'row-differs', resource: 'Library.Author', documentId: ids.author, columns: ['born'] },
  ]);
});
