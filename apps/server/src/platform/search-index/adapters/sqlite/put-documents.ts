/**
 * Writes documents into an index file, and takes them out. All of it runs within a transaction of the caller.
 *
 * - Documents go in by ascending id: a full-text table whose rows come in another order writes what it has so far to disk at each step back.
 * - What is there is asked for once a call; only that is deleted.
 */
import type { FieldValue, IndexedDigest } from '../../Port.ts';
import type { FactWriter } from './fact-terms.ts';
import type { OpenFile } from './index-files.ts';
import type { SentDocument } from './thread-messages.ts';
import { IndexError } from './index-error.ts';

/**
 * Between the fields and each page: a word of its own, so that no phrase reaches from one into the next. Private-use characters are parts of
 * words to the tokenizer.
 */
const boundary = '\n\u{E000}\n';

/** UTF-16 code units of text that one row takes, and a page more. */
const defaultRowText = 16 * 1024 * 1024;

/** No id of an exhibit is greater: JavaScript counts no further. */
export const lastExhibitId = String(Number.MAX_SAFE_INTEGER);
/** Row of `words`, of an exhibit and a part: the id, and beyond all ids for parts after the first. Numbers are bound as floating ones. */
const rowOfPart = `CAST(? AS INTEGER) + CAST(? AS INTEGER) * (${lastExhibitId} + 1)`;
/** SQL of the exhibit behind a row of `words`: parts are bits above it. */
export const exhibitOfRow = `rowid & ${lastExhibitId}`;

/** What stands of a document in the file. */
export interface DocumentRow {
  readonly exhibitId: number;
  readonly batchId: number;
  readonly controlNumber: string;
  /** Never empty. */
  readonly texts: readonly string[];
  /** From a `FactWriter`. */
  readonly facts: Uint8Array;
  readonly pages: Uint8Array;
}

const hashBytes = 32;
const pageBytes = 4 + hashBytes;

type PageDigest = IndexedDigest['pages'][number];

/** Position and SHA-256 of each page, by position. */
export const packPages = (pages: readonly PageDigest[]): Uint8Array => {
  const packed = Buffer.alloc(pages.length * pageBytes);
  for (const [at, { position, sha256 }] of pages.toSorted((a, b) => a.position - b.position).entries()) {
    packed.writeUInt32LE(position, at * pageBytes);
    if (packed.write(sha256, at * pageBytes + 4, hashBytes, 'hex') !== hashBytes)
      throw new IndexError('internal', `The digest of page ${position} is no SHA-256.`);
  }
  return packed;
};

export const unpackPages = (packed: Uint8Array): readonly PageDigest[] => {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  return Array.from({ length: bytes.length / pageBytes }, (_, at) => ({
    position: bytes.readUInt32LE(at * pageBytes),
    sha256: bytes.toString('hex', at * pageBytes + 4, (at + 1) * pageBytes),
  }));
};

/** Fields and pages as the texts of as few rows as take them. */
export const joinTexts = (first: string, pages: Iterable<string>, rowText = defaultRowText): readonly string[] => {
  const texts: string[] = [];
  let text = first;
  for (const page of pages) {
    if (text.length >= rowText) {
      texts.push(text);
      text = page;
    } else text += boundary + page;
  }
  return [...texts, text];
};

export const insertRow = ({ prepare }: OpenFile, row: DocumentRow): void => {
  const { exhibitId, texts } = row;
  prepare('INSERT INTO exhibit VALUES (?, ?, ?, ?, ?)').run(
    exhibitId,
    row.batchId,
    row.controlNumber,
    texts.length,
    row.pages,
  );
  const addWords = prepare(`INSERT INTO words (rowid, text) VALUES (${rowOfPart}, ?)`);
  for (const [part, text] of texts.entries()) addWords.run(exhibitId, part, text);
  prepare('INSERT INTO facts (rowid, terms) VALUES (?, CAST(? AS TEXT))').run(exhibitId, row.facts);
};

/** What is not there is success. */
export const deleteRows = ({ prepare }: OpenFile, exhibitIds: readonly number[]): void => {
  const there = prepare(
    'SELECT exhibit_id, parts FROM exhibit WHERE exhibit_id IN (SELECT value FROM json_each(?)) ORDER BY exhibit_id',
  ).all(JSON.stringify(exhibitIds));
  for (const { exhibit_id: id = null, parts } of there) {
    for (let part = 0; part < Number(parts); part += 1)
      prepare(`DELETE FROM words WHERE rowid = ${rowOfPart}`).run(id, part);
    prepare('DELETE FROM facts WHERE rowid = ?').run(id);
    prepare('DELETE FROM exhibit WHERE exhibit_id = ?').run(id);
  }
};

export const idsOfBatch = ({ prepare }: OpenFile, batchId: number): readonly number[] =>
  prepare('SELECT exhibit_id FROM exhibit WHERE batch_id = ?')
    .all(batchId)
    .map((row) => Number(row['exhibit_id']));

/** Writes the facts; gives the words. */
const readFields = (controlNumber: string, fields: readonly FieldValue[], facts: FactWriter): string => {
  let said = controlNumber;
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const value = fields[at + 1] ?? '';
    facts.add(String(fields[at]), value);
    said += `\n${typeof value === 'object' ? value.join('\n') : value}`;
  }
  return said;
};

const rowOf = (document: SentDocument, facts: FactWriter, rowText: number | undefined): DocumentRow => {
  const { exhibitId, batchId, controlNumber, fields, pages } = document;
  return {
    exhibitId,
    batchId,
    controlNumber,
    texts: joinTexts(
      readFields(controlNumber, fields, facts),
      pages.map((page) => page.text),
      rowText,
    ),
    facts: facts.take(),
    pages: packPages(pages),
  };
};

/** Puts documents in place of those that are there. Of several for one exhibit the last counts. */
export const putDocuments = (
  file: OpenFile,
  documents: readonly SentDocument[],
  facts: FactWriter,
  rowText?: number,
): void => {
  const last = new Map(documents.map((document) => [document.exhibitId, document]));
  deleteRows(file, [...last.keys()]);
  for (const document of [...last.values()].toSorted((a, b) => a.exhibitId - b.exhibitId))
    insertRow(file, rowOf(document, facts, rowText));
};
