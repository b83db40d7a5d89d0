/**
 * The tables of an index file, and their version.
 *
 * - A document is a row of `exhibit`, a row of `words` (all that is said in its fields and pages) and a row of `facts` (the values of its fields,
 *   as terms), each under the id of the exhibit. A row is added at the end of its table, and full-text tables sort their terms in memory and
 *   merge them later: no write goes to a place of its own for each value.
 * - A document of very much text has several rows in `words`; those after the first lie beyond all ids of exhibits.
 * - The version is `user_version`; a file of an older layout is moved to this one when it is opened, in one transaction. One that a newer program
 *   wrote is not touched.
 */
import type { DatabaseSync } from 'node:sqlite';
import { IndexError } from './index-error.ts';

const layoutVersion = 2;

/**
 * Full-text tables merge 16 parts of a level at a time, a little with each write as long as there are no more than 64, and a part of which 40 in
 * 100 documents are gone: with the settings that they come with, terms are written twice as often, and four times where documents are replaced.
 */
const schema = `
CREATE TABLE exhibit (exhibit_id INTEGER PRIMARY KEY, batch_id INTEGER NOT NULL, control_number TEXT NOT NULL, parts INTEGER NOT NULL, pages BLOB NOT NULL);
CREATE INDEX exhibit_batch ON exhibit (batch_id);
CREATE INDEX exhibit_large ON exhibit (exhibit_id) WHERE parts > 1;
CREATE VIRTUAL TABLE words USING fts5 (text, content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 2");
CREATE VIRTUAL TABLE facts USING fts5 (terms, content = '', contentless_delete = 1, detail = none, tokenize = "ascii");
CREATE VIRTUAL TABLE fact USING fts5vocab (facts, instance);
INSERT INTO words (words, rank) VALUES ('automerge', 16), ('crisismerge', 64), ('deletemerge', 40);
INSERT INTO facts (facts, rank) VALUES ('automerge', 16), ('crisismerge', 64), ('deletemerge', 40);
PRAGMA user_version = ${layoutVersion};
`;

const versionOf = (database: DatabaseSync): number =>
  Number(database.prepare('PRAGMA user_version').get()?.['user_version']);

/** Makes the tables of a new file. */
export const createTables = (database: DatabaseSync): void => database.exec(schema);

/** `migrate` is called within the transaction, for a file of the layout before versions were kept. */
export const prepareLayout = (database: DatabaseSync, migrate: (database: DatabaseSync) => void): void => {
  if (versionOf(database) === layoutVersion) return;
  database.exec('BEGIN IMMEDIATE');
  try {
    const version = versionOf(database);
    if (version > layoutVersion)
      throw new IndexError('search_index_unavailable', 'The search index was written by a newer version of Casebound.');
    // Another process may have been first.
    if (version < layoutVersion) {
      const isNew = database.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined;
      if (isNew) createTables(database);
      else migrate(database);
    }
    database.exec('COMMIT');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
};
