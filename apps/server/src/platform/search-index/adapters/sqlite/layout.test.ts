import { createHash } from 'node:crypto';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CaseId } from '@casebound/contract';
import { createTemporaryFolder } from '@casebound/test-kit';
import { expect, it } from 'vitest';
import type { SearchIndex } from '../../Port.ts';
import { FactWriter } from './fact-terms.ts';
import { findExhibits } from './find-exhibits.ts';
import { IndexFiles } from './index-files.ts';
import { deleteRows, putDocuments } from './put-documents.ts';
import { openSqliteSearchIndex } from './sqlite-search-index.ts';

const caseId = CaseId.parse(1);
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const withIndex = async (root: string, work: (index: SearchIndex) => Promise<void>): Promise<void> => {
  const index = await openSqliteSearchIndex({ root, openFiles: 4, busyTimeoutMs: 1_000 });
  try {
    await work(index);
  } finally {
    await index.close();
  }
};

/** A file as the first layout had it: words of each page in a row of their own, fields in rows. */
const writeFirstLayout = (file: string): void => {
  const database = new DatabaseSync(file);
  database.exec(`
    CREATE TABLE exhibit (exhibit_id INTEGER PRIMARY KEY, batch_id INTEGER NOT NULL, control_number TEXT NOT NULL);
    CREATE INDEX exhibit_batch ON exhibit (batch_id);
    CREATE TABLE page (page_id INTEGER PRIMARY KEY, exhibit_id INTEGER NOT NULL, position INTEGER NOT NULL, sha256 TEXT NOT NULL);
    CREATE INDEX page_exhibit ON page (exhibit_id, position);
    CREATE TABLE field (exhibit_id INTEGER NOT NULL, name TEXT NOT NULL, text_value TEXT, number_value REAL);
    CREATE INDEX field_exhibit ON field (exhibit_id);
    CREATE INDEX field_text ON field (name, text_value, exhibit_id);
    CREATE INDEX field_number ON field (name, number_value, exhibit_id);
    CREATE VIRTUAL TABLE words USING fts5 (text, content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 2");
    INSERT INTO exhibit VALUES (5, 7, 'ACME5'), (9, 8, 'ACME9');
    INSERT INTO page VALUES (1, 5, 0, ''), (2, 5, 1, '${sha256('one')}'), (3, 5, 2, '${sha256('two')}'), (4, 9, 0, ''), (6, 9, 1, '');
    INSERT INTO field VALUES (5, 'pageCount', '2', 2), (5, 'custodian', 'Ann', NULL), (5, 'custodian', 'Bob', NULL);
    INSERT INTO words (rowid, text) VALUES (1, 'ACME5 2 Ann Bob'), (2, 'Pay the SECRET amount'), (3, 'to Jané Doe'), (4, 'ACME9'), (5, 'gone');
    DELETE FROM words WHERE rowid = 5;
    UPDATE page SET sha256 = '${sha256('nine')}' WHERE page_id = 6;
    INSERT INTO words (rowid, text) VALUES (6, 'nine');
  `);
  database.close();
};

it('moves a file of the first layout to this one, once', async () => {
  await using folder = await createTemporaryFolder();
  writeFirstLayout(path.join(folder.path, 'case_1.sqlite'));
  for (let turn = 0; turn < 2; turn += 1)
    await withIndex(folder.path, async (index) => {
      const found = async (text: string): Promise<readonly number[]> => index.search(caseId, { text }, { limit: 9 });
      expect(await index.count(caseId)).toBe(2);
      expect(await found('"pay the secret" jane acme5')).toEqual([5]);
      expect(await found('"amount to"')).toEqual([]);
      expect(await found('gone')).toEqual([]);
      expect(await found('nine')).toEqual([9]);
      const filters = [
        { field: 'custodian', equals: 'Bob' },
        { field: 'pageCount', from: 1, to: 2 },
      ];
      expect(await index.search(caseId, { filters }, { limit: 9 })).toEqual([5]);
      expect(await index.digests(caseId, [5, 9])).toEqual([
        {
          exhibitId: 5,
          controlNumber: 'ACME5',
          pages: [
            { position: 1, sha256: sha256('one') },
            { position: 2, sha256: sha256('two') },
          ],
        },
        { exhibitId: 9, controlNumber: 'ACME9', pages: [{ position: 1, sha256: sha256('nine') }] },
      ]);
    });
  await withIndex(folder.path, async (index) => {
    expect(await index.removeBatch(caseId, 7)).toBe(1);
    expect(await index.search(caseId, { text: 'secret' }, { limit: 9 })).toEqual([]);
  });
});

it('leaves the file alone that a newer program wrote', async () => {
  await using folder = await createTemporaryFolder();
  const file = path.join(folder.path, 'case_1.sqlite');
  const database = new DatabaseSync(file);
  database.exec('CREATE TABLE tomorrow (it); PRAGMA user_version = 1000');
  database.close();
  await withIndex(folder.path, async (index) => {
    await expect(index.count(caseId)).rejects.toMatchObject({
      code: 'search_index_unavailable',
      message: expect.stringContaining('newer') as string,
    });
  });
  const again = new DatabaseSync(file);
  expect(again.prepare('SELECT name FROM sqlite_schema').all()).toEqual([{ name: 'tomorrow' }]);
  again.close();
});

it('says so when the file is no index', async () => {
  await using folder = await createTemporaryFolder();
  const database = new DatabaseSync(path.join(folder.path, 'case_1.sqlite'));
  database.exec('CREATE TABLE other (it)');
  database.close();
  await withIndex(folder.path, async (index) => {
    await expect(index.count(caseId)).rejects.toMatchObject({ code: 'search_index_unavailable' });
  });
});

it('spreads the words of a very large document over rows, and finds them as those of one', async () => {
  await using folder = await createTemporaryFolder();
  const files = new IndexFiles({ root: folder.path, openFiles: 1, busyTimeoutMs: 1_000 });
  const facts = new FactWriter();
  const put = (exhibitId: number, texts: readonly string[]): void =>
    files.change(caseId, (file) =>
      putDocuments(
        file,
        [
          {
            exhibitId,
            batchId: 1,
            controlNumber: `ACME${exhibitId}`,
            fields: ['stage', exhibitId],
            pages: texts.map((text, at) => ({ position: at + 1, text, sha256: sha256(text) })),
          },
        ],
        facts,
        20,
      ),
    );
  const ids = (text: string, after = 0): readonly number[] =>
    files.read(caseId, (file) => findExhibits(file, { text, filters: [{ field: 'stage', from: 0 }] }, after, 10));
  put(1, ['alpha only']);
  put(2, ['alpha first', 'beta in the second', 'gamma delta in the third', 'omega']);
  put(3, ['alpha', 'omega']);
  expect(ids('alpha omega')).toEqual([2, 3]);
  expect(ids('alpha omega', 2)).toEqual([3]);
  expect(ids('beta "gamma delta" acme2')).toEqual([2]);
  expect(ids('"second gamma"')).toEqual([]);
  put(2, ['alpha']);
  expect(ids('omega')).toEqual([3]);
  expect(ids('alpha')).toEqual([1, 2, 3]);
  put(2, ['a text of more than twenty', 'and one more', 'end']);
  files.change(caseId, (file) => deleteRows(file, [2]));
  for (const gone of ['text', 'more', 'end']) expect(ids(gone)).toEqual([]);
  files.close();
});
