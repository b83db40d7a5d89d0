/**
 * Rows to bytes of a delimited load file.
 *
 * - What is written reads back as the same rows, given the same dialect and encoding; a property test holds this.
 * - A value that the dialect or the encoding has no way to write is refused, or replaced where the caller says by what,
 *   and then told about. It is never changed in silence.
 * - One piece of output (64 Ki characters and one row) is held.
 */
import { CaseboundError } from '@casebound/contract';
import type { LoadFileEncoding } from '../input/sniff-encoding.ts';
import { encodeWindows1252 } from '../input/windows-1252.ts';
import type { DelimitedDialect } from './dialect.ts';
import { checkDialect } from './dialect.ts';

/** A value that could not be written, and what was written instead. */
export interface ReplacedValue {
  /** 1-based row; 0 for the header. */
  readonly record: number;
  /** 1-based. */
  readonly cell: number;
  readonly reason: string;
}

/** What to do with a value that cannot be written: refuse the file, or put a text in place of each such character. */
export type UnrepresentablePolicy =
  | { readonly kind: 'refuse' }
  | { readonly kind: 'replace'; readonly with: string; readonly onReplaced: (replaced: ReplacedValue) => void };

export interface DelimitedWriteOptions {
  readonly dialect: DelimitedDialect;
  /** Column names for the first row; no header if absent. */
  readonly header?: readonly string[];
  /** UTF-8 if absent. UTF-16 always gets its byte-order mark. */
  readonly encoding?: LoadFileEncoding;
  /** Whether UTF-8 gets a byte-order mark; yes if absent, because review tools take unmarked files for Windows-1252. */
  readonly bom?: boolean;
  /** Qualifiers around all cells (as DAT has them) or where a value needs them (as CSV). */
  readonly qualify?: 'all' | 'needed';
  readonly unrepresentable?: UnrepresentablePolicy;
}

const pieceChars = 65_536;

/** A character that has no place in the file, and why. */
interface Obstacle {
  readonly character: string;
  readonly reason: string;
}

/** What readers skip at the start of a row: padding of joined or preallocated files. */
const startsLikePadding = (value: string): boolean =>
  value.startsWith('\0') || value.startsWith('\u001A') || value.startsWith('\uFEFF');

/** Writes cells of one dialect; knows nothing of bytes. */
class CellWriter {
  readonly #dialect: DelimitedDialect;
  readonly #all: boolean;
  readonly #encoding: LoadFileEncoding;

  constructor(dialect: DelimitedDialect, qualify: 'all' | 'needed', encoding: LoadFileEncoding) {
    this.#dialect = dialect;
    this.#all = qualify === 'all' && dialect.qualifier !== null;
    this.#encoding = encoding;
  }

  /** The first character of a value that cannot be written. */
  obstacle(value: string, first: boolean, only: boolean): Obstacle | undefined {
    const { newline, qualifier, column, lineEnding } = this.#dialect;
    if (!value.isWellFormed()) {
      const character = /\p{Surrogate}/u.exec(value)?.[0] ?? '';
      return { character, reason: 'half of a surrogate pair is no character' };
    }
    if (newline !== null && value.includes(newline)) {
      return { character: newline, reason: 'the character stands for a line break in this dialect' };
    }
    if (lineEnding === '\r' && newline === null && value.includes('\n')) {
      return { character: '\n', reason: 'a line feed cannot stand in a file whose lines end with a carriage return' };
    }
    if (this.#encoding === 'windows-1252') {
      const encoded = encodeWindows1252(value);
      if ('unencodable' in encoded) return { character: encoded.unencodable, reason: 'Windows-1252 does not have it' };
    }
    if (qualifier !== null) return undefined;
    for (const character of newline === null ? [column, '\n', '\r'] : [column, '\r']) {
      if (value.includes(character)) return { character, reason: 'the dialect has no qualifier to protect it' };
    }
    if (first && startsLikePadding(value)) {
      return { character: value.charAt(0), reason: 'at the start of an unqualified row it is padding' };
    }
    if (only && value === '') return { character: '', reason: 'an empty row of one unqualified cell is a blank line' };
    return undefined;
  }

  write(value: string, first: boolean, only: boolean): string {
    const { newline, qualifier, column } = this.#dialect;
    const body = newline === null ? value : value.replaceAll('\n', newline);
    if (qualifier === null) return body;
    const needed =
      this.#all ||
      body.includes(column) ||
      body.includes(qualifier) ||
      body.includes('\n') ||
      body.includes('\r') ||
      (first && startsLikePadding(body)) ||
      (only && body === '');
    return needed ? qualifier + body.replaceAll(qualifier, qualifier + qualifier) + qualifier : body;
  }
}

const encode = (text: string, encoding: LoadFileEncoding): Uint8Array => {
  if (encoding === 'utf-8') return Buffer.from(text, 'utf8');
  if (encoding === 'utf-16le') return Buffer.from(text, 'utf16le');
  if (encoding === 'utf-16be') return Buffer.from(text, 'utf16le').swap16();
  const encoded = encodeWindows1252(text);
  if ('bytes' in encoded) return encoded.bytes;
  throw unwritable('The dialect', encoded.unencodable, 'Windows-1252 does not have it');
};

const unwritable = (where: string, character: string, reason: string): CaseboundError => {
  const code = character.codePointAt(0);
  const name = code === undefined ? 'An empty value' : `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
  return new CaseboundError(
    'load_file_value_unwritable',
    `${where}: ${name} cannot be written, because ${reason}. Choose another dialect or encoding, or state a replacement.`,
  );
};

/** Where a policy that replaces goes on failing, as when the replacement contains the delimiter itself, it is refused. */
const writableValue = (
  writer: CellWriter,
  value: string,
  at: { readonly record: number; readonly cell: number; readonly only: boolean },
  policy: UnrepresentablePolicy,
): string => {
  const first = at.cell === 1;
  let obstacle = writer.obstacle(value, first, at.only);
  if (obstacle === undefined) return value;
  const where = at.record === 0 ? `Header cell ${at.cell}` : `Row ${at.record}, cell ${at.cell}`;
  let result = value;
  const { reason } = obstacle;
  if (policy.kind === 'replace') {
    // Each round removes one kind of character, so a value has no more rounds than characters.
    for (let round = 0; obstacle !== undefined && round <= value.length; round++) {
      if (policy.with !== '' && writer.obstacle(policy.with, false, false) !== undefined) break;
      result = obstacle.character === '' ? policy.with : result.replaceAll(obstacle.character, policy.with);
      const next: Obstacle | undefined = writer.obstacle(result, first, at.only);
      if (next?.character === '' && policy.with === '') break;
      obstacle = next;
    }
    if (obstacle === undefined) {
      policy.onReplaced({ record: at.record, cell: at.cell, reason });
      return result;
    }
  }
  throw unwritable(where, obstacle?.character ?? '', obstacle?.reason ?? reason);
};

/**
 * Writes rows as a load file, piece by piece.
 * @param rows cells of each row; all rows, and the header, must be of one width.
 * @throws CaseboundError `load_file_value_unwritable` for a value without a representation, `validation_failed` for a row
 *   of another width or a dialect that cannot be told apart.
 */
export async function* writeDelimited(
  rows: AsyncIterable<readonly string[]> | Iterable<readonly string[]>,
  options: DelimitedWriteOptions,
): AsyncGenerator<Uint8Array> {
  const dialect = checkDialect(options.dialect);
  const encoding = options.encoding ?? 'utf-8';
  const policy = options.unrepresentable ?? { kind: 'refuse' };
  const writer = new CellWriter(dialect, options.qualify ?? (dialect.format === 'dat' ? 'all' : 'needed'), encoding);
  const marked = encoding !== 'windows-1252' && (encoding !== 'utf-8' || (options.bom ?? true));
  let text = marked ? '\uFEFF' : '';
  let width = options.header?.length;
  let record = 0;
  const line = (cells: readonly string[]): string => {
    width ??= cells.length;
    if (cells.length !== width || width === 0) {
      throw new CaseboundError(
        'validation_failed',
        `Row ${record} of the load file has ${cells.length} cells; every row must have ${width === 0 ? 'at least one' : width}.`,
      );
    }
    const only = width === 1;
    const written = cells.map((cell, index) => {
      const value = writableValue(writer, cell, { record, cell: index + 1, only }, policy);
      return writer.write(value, index === 0, only);
    });
    return written.join(dialect.column) + dialect.lineEnding;
  };
  if (options.header !== undefined) text += line(options.header);
  for await (const cells of rows) {
    record++;
    text += line(cells);
    if (text.length >= pieceChars) {
      yield encode(text, encoding);
      text = '';
    }
  }
  if (text !== '') yield encode(text, encoding);
}
