/**
 * One SQLite file a case, with full text by FTS5.
 *
 * - A put is one transaction of SQLite: a crash leaves the old documents or the new ones. Several processes write in turn.
 * - The full-text table keeps no text, only what finds it; texts lie in the object store.
 * - SQLite runs in the calling thread: a put holds it for the time of its write, so callers put in parts (`exchange.indexBulkBytes`).
 */
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { CaseboundError, type CaseId } from '@casebound/contract';
import type { FieldValue, IndexDocument, IndexedDigest, IndexFilter, IndexQuery, SearchIndex } from '../Port.ts';

interface Options {
  readonly root: string;
  readonly openFiles: number;
  readonly busyTimeoutMs: number;
}

/** Changes when the tables do; a file of another version is made anew by its owner. */
const schema = `
CREATE TABLE IF NOT EXISTS exhibit (exhibit_id INTEGER PRIMARY KEY, batch_id INTEGER NOT NULL, control_number TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS exhibit_batch ON exhibit (batch_id);
CREATE TABLE IF NOT EXISTS page (page_id INTEGER PRIMARY KEY, exhibit_id INTEGER NOT NULL, position INTEGER NOT NULL, sha256 TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS page_exhibit ON page (exhibit_id, position);
CREATE TABLE IF NOT EXISTS field (exhibit_id INTEGER NOT NULL, name TEXT NOT NULL, text_value TEXT, number_value REAL);
CREATE INDEX IF NOT EXISTS field_exhibit ON field (exhibit_id);
CREATE INDEX IF NOT EXISTS field_text ON field (name, text_value, exhibit_id);
CREATE INDEX IF NOT EXISTS field_number ON field (name, number_value, exhibit_id);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text, content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 2");
`;

/** Position of the row that holds the words of an exhibit's fields. */
const fieldsPosition = 0;

interface OpenFile {
  readonly database: DatabaseSync;
  readonly prepare: (text: string) => StatementSync;
}

const unavailable = (error: unknown): CaseboundError =>
  new CaseboundError('search_index_unavailable', 'The file of a search index cannot be used.', { cause: error });

const valuesOf = (value: FieldValue): readonly (string | number)[] =>
  typeof value === 'string' || typeof value === 'number' ? [value] : value;

/** Words and phrases of a query, each as an FTS5 string. */
const termsOf = (text: string): readonly string[] =>
  [...text.matchAll(/"([^"]+)"|(\S+)/g)]
    .map(([, phrase, word]) => (phrase ?? word ?? '').replaceAll('"', ' ').trim())
    .filter((term) => /[\p{L}\p{N}]/u.test(term))
    .map((term) => `"${term}"`);

const conditionOf = ({
  field,
  equals,
  from,
  to,
}: IndexFilter): { readonly sql: string; readonly values: SQLInputValue[] } => {
  const given = [equals, from, to].filter((value) => value !== undefined);
  if (given.length === 0)
    throw new CaseboundError('search_query_invalid', `The filter on ${JSON.stringify(field)} names no value.`);
  const isNumber = given.every((value) => typeof value === 'number');
  if (!isNumber && given.some((value) => typeof value === 'number'))
    throw new CaseboundError('search_query_invalid', `The filter on ${JSON.stringify(field)} mixes numbers and text.`);
  const column = isNumber ? 'number_value' : 'text_value';
  const parts: string[] = ['name = ?'];
  const values: SQLInputValue[] = [field];
  for (const [operator, value] of [
    ['=', equals],
    ['>=', from],
    ['<=', to],
  ] as const) {
    if (value === undefined) continue;
    parts.push(`${column} ${operator} ?`);
    values.push(value);
  }
  return { sql: `SELECT exhibit_id FROM field WHERE ${parts.join(' AND ')}`, values };
};

export const openSqliteSearchIndex = async (options: Options): Promise<SearchIndex> => {
  await mkdir(options.root, { recursive: true });
  const files = new Map<CaseId, OpenFile>();
  let closed = false;
  const pathOf = (caseId: CaseId): string => path.join(options.root, `case_${caseId}.sqlite`);

  const shut = (caseId: CaseId): void => {
    files.get(caseId)?.database.close();
    files.delete(caseId);
  };

  const open = (caseId: CaseId): OpenFile => {
    if (closed) throw new CaseboundError('search_index_unavailable', 'The search index is closed.');
    const known = files.get(caseId);
    if (known !== undefined) {
      // Last used last.
      files.delete(caseId);
      files.set(caseId, known);
      return known;
    }
    const [oldest] = files.keys();
    if (files.size >= options.openFiles && oldest !== undefined) shut(oldest);
    const database = new DatabaseSync(pathOf(caseId));
    database.exec(
      `PRAGMA busy_timeout = ${options.busyTimeoutMs}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;`,
    );
    database.exec(schema);
    const statements = new Map<string, StatementSync>();
    const file = {
      database,
      prepare: (text: string): StatementSync => {
        const found = statements.get(text) ?? database.prepare(text);
        statements.set(text, found);
        return found;
      },
    };
    files.set(caseId, file);
    return file;
  };

  const within = <T>(caseId: CaseId, work: (file: OpenFile) => T): T => {
    try {
      return work(open(caseId));
    } catch (error) {
      throw error instanceof CaseboundError ? error : unavailable(error);
    }
  };

  const change = <T>(caseId: CaseId, work: (file: OpenFile) => T): T =>
    within(caseId, (file) => {
      file.database.exec('BEGIN IMMEDIATE');
      try {
        const result = work(file);
        file.database.exec('COMMIT');
        return result;
      } catch (error) {
        file.database.exec('ROLLBACK');
        throw error;
      }
    });

  const removeOne = ({ prepare }: OpenFile, exhibitId: number): void => {
    prepare('DELETE FROM words WHERE rowid IN (SELECT page_id FROM page WHERE exhibit_id = ?)').run(exhibitId);
    prepare('DELETE FROM page WHERE exhibit_id = ?').run(exhibitId);
    prepare('DELETE FROM field WHERE exhibit_id = ?').run(exhibitId);
    prepare('DELETE FROM exhibit WHERE exhibit_id = ?').run(exhibitId);
  };

  const putOne = (file: OpenFile, document: IndexDocument): void => {
    const { prepare } = file;
    const { exhibitId, batchId, controlNumber, fields, pages } = document;
    removeOne(file, exhibitId);
    prepare('INSERT INTO exhibit VALUES (?, ?, ?)').run(exhibitId, batchId, controlNumber);
    const addPage = prepare('INSERT INTO page (exhibit_id, position, sha256) VALUES (?, ?, ?)');
    const addWords = prepare('INSERT INTO words (rowid, text) VALUES (?, ?)');
    const addField = prepare('INSERT INTO field VALUES (?, ?, ?, ?)');
    const said: string[] = [controlNumber];
    for (const [name, value] of Object.entries(fields)) {
      for (const one of valuesOf(value)) {
        addField.run(exhibitId, name, String(one), typeof one === 'number' ? one : null);
        said.push(String(one));
      }
    }
    const own = addPage.run(exhibitId, fieldsPosition, '');
    addWords.run(own.lastInsertRowid, said.join('\n'));
    for (const { position, text, sha256 } of pages) {
      const added = addPage.run(exhibitId, position, sha256);
      addWords.run(added.lastInsertRowid, text);
    }
  };

  const find = ({ prepare }: OpenFile, query: IndexQuery, after: number, limit: number): number[] => {
    const terms = query.text === undefined ? [] : termsOf(query.text);
    if (query.text !== undefined && terms.length === 0)
      throw new CaseboundError('search_query_invalid', 'The query has no word to look for.');
    const conditions = (query.filters ?? []).map(conditionOf);
    const sets = [
      ...terms.map(() => 'SELECT exhibit_id FROM page WHERE page_id IN (SELECT rowid FROM words WHERE words MATCH ?)'),
      ...conditions.map(({ sql }) => sql),
    ];
    const where = sets.map((set) => `AND exhibit_id IN (${set})`).join(' ');
    const rows = prepare(
      `SELECT exhibit_id FROM exhibit WHERE exhibit_id > ? ${where} ORDER BY exhibit_id LIMIT ?`,
    ).all(after, ...terms, ...conditions.flatMap(({ values }) => values), limit);
    return rows.map((row) => Number(row['exhibit_id']));
  };

  const digestOf = ({ prepare }: OpenFile, exhibitId: number): IndexedDigest[] => {
    const row = prepare('SELECT control_number FROM exhibit WHERE exhibit_id = ?').get(exhibitId);
    if (row === undefined) return [];
    const pages = prepare(
      'SELECT position, sha256 FROM page WHERE exhibit_id = ? AND position > 0 ORDER BY position',
    ).all(exhibitId);
    return [
      {
        exhibitId,
        controlNumber: String(row['control_number']),
        pages: pages.map((page) => ({ position: Number(page['position']), sha256: String(page['sha256']) })),
      },
    ];
  };

  return {
    kind: 'sqlite',
    async put(caseId, documents) {
      if (documents.length === 0) return;
      change(caseId, (file) => {
        for (const document of documents) putOne(file, document);
      });
    },
    async remove(caseId, exhibitIds) {
      if (exhibitIds.length === 0) return;
      change(caseId, (file) => {
        for (const exhibitId of exhibitIds) removeOne(file, exhibitId);
      });
    },
    async removeBatch(caseId, batchId) {
      return change(caseId, (file) => {
        const rows = file.prepare('SELECT exhibit_id FROM exhibit WHERE batch_id = ?').all(batchId);
        for (const row of rows) removeOne(file, Number(row['exhibit_id']));
        return rows.length;
      });
    },
    search: async (caseId, query, { after = 0, limit }) => within(caseId, (file) => find(file, query, after, limit)),
    digests: async (caseId, exhibitIds) =>
      within(caseId, (file) => exhibitIds.flatMap((exhibitId) => digestOf(file, exhibitId))),
    count: async (caseId) =>
      within(caseId, ({ prepare }) => Number(prepare('SELECT count(*) AS n FROM exhibit').get()?.['n'] ?? 0)),
    async drop(caseId) {
      shut(caseId);
      for (const suffix of ['', '-wal', '-shm']) await rm(`${pathOf(caseId)}${suffix}`, { force: true });
    },
    async close() {
      closed = true;
      for (const caseId of files.keys()) shut(caseId);
    },
  };
};
