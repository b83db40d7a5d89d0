/**
 * Moves a file of the first layout to this one: a row of words a page, fields as rows. Texts are not kept, but the full-text table knows every
 * word of them and its place, in the form in which words are compared; a text of these words is found by the same queries.
 */
import type { DatabaseSync } from 'node:sqlite';
import { FactWriter } from './fact-terms.ts';
import type { OpenFile } from './index-files.ts';
import { createTables } from './layout.ts';
import { insertRow, joinTexts, packPages } from './put-documents.ts';

const before = `
DROP INDEX IF EXISTS exhibit_batch;
ALTER TABLE exhibit RENAME TO first_exhibit;
ALTER TABLE page RENAME TO first_page;
ALTER TABLE field RENAME TO first_field;
ALTER TABLE words RENAME TO first_words;
CREATE VIRTUAL TABLE temp.first_word USING fts5vocab (main, first_words, instance);
CREATE TEMP TABLE first_text (exhibit_id INTEGER NOT NULL, position INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (exhibit_id, position)) WITHOUT ROWID;
INSERT INTO first_text
  SELECT exhibit_id, position, group_concat(term, ' ' ORDER BY offset)
  FROM first_word CROSS JOIN first_page ON page_id = doc GROUP BY exhibit_id, position;
`;
const after = `
DROP TABLE temp.first_text;
DROP TABLE temp.first_word;
DROP TABLE first_words;
DROP TABLE first_field;
DROP TABLE first_page;
DROP TABLE first_exhibit;
`;

const moveExhibit = (file: OpenFile, facts: FactWriter, exhibitId: number): void => {
  const { prepare } = file;
  const row = prepare('SELECT batch_id, control_number FROM first_exhibit WHERE exhibit_id = ?').get(exhibitId);
  const fields = prepare('SELECT name, text_value, number_value FROM first_field WHERE exhibit_id = ?').all(exhibitId);
  for (const { name, text_value: text, number_value: number } of fields)
    facts.add(String(name), typeof number === 'number' ? number : String(text));
  const pages = prepare('SELECT position, sha256 FROM first_page WHERE exhibit_id = ? AND position > 0').all(exhibitId);
  const [said = '', ...texts] = prepare('SELECT text FROM temp.first_text WHERE exhibit_id = ? ORDER BY position')
    .all(exhibitId)
    .map(({ text }) => String(text));
  insertRow(file, {
    exhibitId,
    batchId: Number(row?.['batch_id']),
    controlNumber: String(row?.['control_number']),
    texts: joinTexts(said, texts),
    facts: facts.take(),
    pages: packPages(pages.map((page) => ({ position: Number(page['position']), sha256: String(page['sha256']) }))),
  });
};

export const migrateFirstLayout = (database: DatabaseSync): void => {
  database.exec(before);
  createTables(database);
  const statements = new Map<string, ReturnType<DatabaseSync['prepare']>>();
  const file: OpenFile = {
    database,
    prepare: (text) => {
      const found = statements.get(text) ?? database.prepare(text);
      statements.set(text, found);
      return found;
    },
  };
  const facts = new FactWriter();
  for (const { exhibit_id: id } of database.prepare('SELECT exhibit_id FROM first_exhibit ORDER BY exhibit_id').all())
    moveExhibit(file, facts, Number(id));
  statements.clear();
  database.exec(after);
};
