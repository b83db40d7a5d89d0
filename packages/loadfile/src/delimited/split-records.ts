/**
 * Text of a delimited load file to rows of cells: the scanner everything else stands on.
 *
 * 1. The rows depend on the text alone, not on how it was cut into pieces.
 * 2. Nothing is shifted in silence: whatever was guessed is a problem on its row.
 * 3. A qualifier that is never closed costs its own line, not the rest of the file. Reading goes back to the next line, and
 *    up to the place where the damage showed lines are taken one by one, so no character is scanned more than a few times.
 * 4. At most about `2 x maxRecordChars` characters are held.
 *
 * It scans with `indexOf` and `slice`, which V8 runs as machine code over the flat text: measured 1.4 times as fast as
 * a loop over characters and within a fifth of a bare `split` (docs/adr/0070). Cells may be slices that keep their chunk of text alive;
 * copy those you keep for long.
 */
import type { LoadFileLimits } from '../limits.ts';
import type { LoadFileProblem } from '../problems.ts';
import { problemAt } from '../problems.ts';
import type { DelimitedDialect } from './dialect.ts';

/** One row as the file has it. */
export interface Row {
  /** 1-based, counting rows as delivered, rejected ones included; a header is row 0. */
  readonly record: number;
  /** 1-based physical line at which the row starts. */
  readonly line: number;
  readonly cells: readonly string[];
  /** Empty for a good row. `isRejected(problems)` says whether it must not be used. */
  readonly problems: readonly LoadFileProblem[];
}

export interface SplitResult {
  readonly rows: Row[];
  /** Problems of no row, such as blank lines and padding. */
  readonly asides: LoadFileProblem[];
}

const none: readonly LoadFileProblem[] = Object.freeze([]);
const carriageReturn = 13;
const byteOrderMark = 0xfeff;

/**
 * Where the next of each character stands in the text in hand, its length if there is none. Rows begin at ever later
 * places, so what was found for one row holds for the next until it is passed: a character that never comes is looked for
 * once, not once a row.
 */
const nothingCached = () => ({ columnFrom: 0, column: -1, qualifier: -1, newline: -1, nul: -1 });

const indexOrEnd = (text: string, character: string, from: number): number => {
  const at = text.indexOf(character, from);
  return at < 0 ? text.length : at;
};

const isPadding = (code: number): boolean => code === 0 || code === 0x1a;

/** How the attempt to read one row ended. */
type Outcome = 'done' | 'needs-more' | 'unterminated' | 'too-long';

export class RecordSplitter {
  readonly #dialect: DelimitedDialect;
  readonly #limits: LoadFileLimits;
  readonly #break: string;
  readonly #breakCode: number;
  readonly #column: string;
  readonly #columnCode: number;
  readonly #qualifier: string | null;
  readonly #qualifierCode: number;

  // Text in hand. `#waiting` is joined to `#text` only when there is enough to make a new attempt worth it.
  #text = '';
  #waiting: string[] = [];
  #waitingChars = 0;
  #attemptAt = 0;

  #position = 0;
  #next = nothingCached();

  #line = 1;
  #record: number;
  /** Up to here (in `#text`) every line is a row, because an unterminated qualifier was found to reach this far. */
  #linewiseUntil = 0;
  #paddingReported = false;
  /** Within a line longer than the limit: text is dropped up to the next line break. */
  #dropping = false;

  // Result of the last attempt: the first `#count` of `#cells`.
  #cells: string[] = [];
  #count = 0;
  /** As many empty cells as the last row had: a copy of it is filled without growing. */
  #blank: readonly string[] = [];
  #problems: LoadFileProblem[] | undefined;
  #end = 0;
  #damageAt = 0;
  #openedAt = 0;
  #overflow = false;

  /** @param firstRecord the number of the first row: 0 if it is a header. */
  constructor(dialect: DelimitedDialect, limits: LoadFileLimits, lineBreak: '\n' | '\r', firstRecord: 0 | 1 = 1) {
    this.#record = firstRecord - 1;
    this.#dialect = dialect;
    this.#limits = limits;
    this.#break = lineBreak;
    this.#breakCode = lineBreak.charCodeAt(0);
    this.#column = dialect.column;
    this.#columnCode = dialect.column.charCodeAt(0);
    this.#qualifier = dialect.qualifier;
    this.#qualifierCode = dialect.qualifier === null ? -1 : dialect.qualifier.charCodeAt(0);
  }

  /** The physical line on which text pushed next starts. */
  lineOfNextPiece(): number {
    let line = this.#line;
    const count = (text: string, from: number): void => {
      for (let at = text.indexOf(this.#break, from); at >= 0; at = text.indexOf(this.#break, at + 1)) line++;
    };
    count(this.#text, this.#position);
    for (const text of this.#waiting) count(text, 0);
    return line;
  }

  /** Takes the next piece and returns the rows that are complete with it; with `final`, all that is left. */
  push(text: string, final: boolean): SplitResult {
    const result: SplitResult = { rows: [], asides: [] };
    this.#waiting.push(text);
    this.#waitingChars += text.length;
    if (!final && this.#text.length - this.#position + this.#waitingChars < this.#attemptAt) return result;
    this.#join();
    this.#splitAll(result, final);
    const left = this.#text.length - this.#position;
    // Twice as much before the next attempt keeps the work linear; the limit must still be noticed.
    this.#attemptAt = left <= this.#limits.maxRecordChars ? Math.min(2 * left, this.#limits.maxRecordChars + 1) : 0;
    return result;
  }

  #join(): void {
    const kept = this.#position === 0 ? this.#text : this.#text.slice(this.#position);
    this.#linewiseUntil -= this.#position;
    this.#text = kept === '' && this.#waiting.length === 1 ? (this.#waiting[0] ?? '') : kept + this.#waiting.join('');
    this.#waiting = [];
    this.#waitingChars = 0;
    this.#position = 0;
    this.#next = nothingCached();
  }

  #splitAll(result: SplitResult, final: boolean): void {
    const text = this.#text;
    while (this.#position < text.length) {
      if (this.#dropping) {
        if (!this.#dropLine()) return;
        continue;
      }
      const skipped = this.#skipBetweenRows(result, final);
      if (skipped === 'needs-more') return;
      if (skipped === 'skipped') continue;
      const start = this.#position;
      const outcome = start < this.#linewiseUntil ? this.#readLine(start, final) : this.#readRow(text, start, final);
      if (outcome === 'done') {
        this.#deliver(result, start, final);
      } else if (outcome === 'unterminated') {
        if (!this.#recoverUnterminated(result, start, final)) return;
      } else if (outcome === 'too-long' || text.length - start > this.#limits.maxRecordChars) {
        this.#recoverTooLong(result, start);
      } else {
        return;
      }
    }
  }

  /** Goes on dropping a line that is too long; false when its end is not in sight yet. */
  #dropLine(): boolean {
    const at = this.#text.indexOf(this.#break, this.#position);
    this.#position = at < 0 ? this.#text.length : at + 1;
    if (at < 0) return false;
    this.#line++;
    this.#dropping = false;
    return true;
  }

  /** Moves past one blank line, run of padding or stray byte-order mark, if there is one here. */
  #skipBetweenRows(result: SplitResult, final: boolean): 'row' | 'skipped' | 'needs-more' {
    const text = this.#text;
    const start = this.#position;
    const code = text.charCodeAt(start);
    if (code === byteOrderMark) {
      const message = 'A byte-order mark stands at the start of this row; it is dropped.';
      result.asides.push(problemAt('embedded_bom', this.#line, message));
      this.#position++;
      return 'skipped';
    }
    if (isPadding(code)) {
      let end = start + 1;
      while (end < text.length && isPadding(text.charCodeAt(end))) end++;
      const message = 'NUL or Ctrl-Z characters stand at the start of this line; they are ignored.';
      if (!this.#paddingReported) result.asides.push(problemAt('padding', this.#line, message));
      this.#paddingReported = true;
      this.#position = end;
      return 'skipped';
    }
    let length = code === this.#breakCode ? 1 : 0;
    if (code === carriageReturn && length === 0) {
      if (start + 1 < text.length) length = text.charCodeAt(start + 1) === this.#breakCode ? 2 : 0;
      else if (final) length = 1;
      else return 'needs-more';
    }
    if (length === 0) return 'row';
    result.asides.push(problemAt('blank_line', this.#line, 'The line is empty and is skipped.'));
    this.#position += length;
    this.#line++;
    this.#paddingReported = false;
    return 'skipped';
  }

  /** Reads exactly one physical line as a row; nothing in it can reach into the next. */
  #readLine(start: number, final: boolean): Outcome {
    const at = this.#text.indexOf(this.#break, start);
    if (at < 0 && !final) return 'needs-more';
    const end = at < 0 ? this.#text.length : at + 1;
    if (end - start > this.#limits.maxRecordChars) return 'too-long';
    const outcome = this.#readAlone(this.#text.slice(start, end));
    this.#end = end;
    this.#damageAt = end;
    this.#openedAt += start;
    return outcome;
  }

  /** Reads a row from a text of its own, leaving the cached positions of the whole text as they were. */
  #readAlone(line: string): Outcome {
    const cached = this.#next;
    this.#next = nothingCached();
    const outcome = this.#readRow(line, 0, true);
    this.#next = cached;
    return outcome;
  }

  /** Reads the row of `text` that begins at `begin`: sets `#cells`, `#end` (just past the line break) and `#problems`. */
  #readRow(text: string, begin: number, final: boolean): Outcome {
    const maxEnd = begin + this.#limits.maxRecordChars;
    const cells = this.#blank.slice();
    this.#cells = cells;
    this.#count = 0;
    this.#problems = undefined;
    this.#overflow = false;
    const qualifierCode = this.#qualifierCode;
    let lineEnd = -1;
    let contentEnd = -1;
    let at = begin;
    for (;;) {
      if (qualifierCode >= 0 && text.charCodeAt(at) === qualifierCode) {
        const plain = this.#readPlainQualified(text, at, maxEnd, cells);
        if (plain !== at) {
          at = plain;
          continue;
        }
        const outcome = this.#readQualified(text, at, final, maxEnd);
        if (outcome !== 'done') return outcome;
        at = this.#end;
        if (at < text.length && text.charCodeAt(at) === this.#columnCode) {
          at++;
          continue;
        }
        if (at < text.length && text.charCodeAt(at) === carriageReturn && this.#breakCode !== carriageReturn) at++;
        this.#end = at < text.length ? at + 1 : at;
        break;
      }
      if (lineEnd < at) {
        lineEnd = text.indexOf(this.#break, at);
        if (lineEnd < 0) {
          if (!final) return 'needs-more';
          lineEnd = text.length;
        }
        if (lineEnd > maxEnd) return 'too-long';
        const crlf =
          lineEnd > at && this.#breakCode !== carriageReturn && text.charCodeAt(lineEnd - 1) === carriageReturn;
        contentEnd = crlf ? lineEnd - 1 : lineEnd;
      }
      if (this.#count === 0 && this.#qualifierBeyond(text, at, contentEnd)) {
        this.#cells = text.slice(at, contentEnd).split(this.#column, this.#limits.maxCells + 1);
        this.#overflow = this.#cells.length > this.#limits.maxCells;
        if (this.#overflow) this.#cells.pop();
        this.#count = this.#cells.length;
        this.#end = Math.min(lineEnd + 1, text.length);
        break;
      }
      const nextColumn = this.#columnFrom(text, at);
      const last = nextColumn >= contentEnd;
      const cellEnd = last ? contentEnd : nextColumn;
      this.#addCell(text.slice(at, cellEnd));
      if (cellEnd > at && text.charCodeAt(cellEnd - 1) === this.#qualifierCode) {
        const message = `Cell ${this.#count} ends with a qualifier and does not start with one; it is taken as part of the value.`;
        this.#addProblem('stray_qualifier', message, text.slice(at, cellEnd));
      }
      if (last) {
        this.#end = Math.min(lineEnd + 1, text.length);
        break;
      }
      at = cellEnd + 1;
    }
    if (this.#end - 1 > maxEnd) return 'too-long';
    this.#finishCells(text, begin);
    return 'done';
  }

  /**
   * Reads qualified cells as long as each is closed by the next qualifier and followed by a delimiter, which nearly all are;
   * returns where the first other cell begins. Apart from the rest for speed: it keeps everything in local variables.
   */
  #readPlainQualified(text: string, begin: number, maxEnd: number, cells: string[]): number {
    const qualifier = this.#qualifier ?? '';
    const qualifierCode = this.#qualifierCode;
    const columnCode = this.#columnCode;
    const { maxCells } = this.#limits;
    let at = begin;
    let count = this.#count;
    while (text.charCodeAt(at) === qualifierCode && count < maxCells) {
      const close = text.indexOf(qualifier, at + 1);
      if (close < 0 || close >= maxEnd - 1 || text.charCodeAt(close + 1) !== columnCode) break;
      cells[count] = text.slice(at + 1, close);
      count += 1;
      at = close + 2;
    }
    this.#count = count;
    return at;
  }

  #addCell(cell: string): void {
    if (this.#count === this.#limits.maxCells) {
      this.#overflow = true;
      return;
    }
    this.#cells[this.#count] = cell;
    this.#count += 1;
  }

  #addProblem(code: LoadFileProblem['code'], message: string, value?: string): void {
    const at = value === undefined ? { cell: this.#count } : { cell: this.#count, value };
    (this.#problems ??= []).push(problemAt(code, this.#line, message, at));
  }

  #columnFrom(text: string, at: number): number {
    const next = this.#next;
    // A row is sometimes read again from an earlier place, so it counts from where the search was made.
    if (at < next.columnFrom || at > next.column) {
      next.columnFrom = at;
      next.column = indexOrEnd(text, this.#column, at);
    }
    return next.column;
  }

  #qualifierBeyond(text: string, at: number, end: number): boolean {
    if (this.#qualifier === null) return true;
    if (this.#next.qualifier < at) this.#next.qualifier = indexOrEnd(text, this.#qualifier, at);
    return this.#next.qualifier >= end;
  }

  /** Reads the cell whose opening qualifier is at `open`; leaves `#end` just past its closing one. */
  #readQualified(text: string, open: number, final: boolean, maxEnd: number): Outcome {
    const qualifier = this.#qualifier ?? '';
    const qualifierCode = this.#qualifierCode;
    let from = open + 1;
    let whole = '';
    let stray = false;
    this.#openedAt = open;
    for (;;) {
      const at = text.indexOf(qualifier, from);
      if (at < 0) {
        if (text.length > maxEnd) return 'too-long';
        this.#damageAt = text.length;
        return final ? 'unterminated' : 'needs-more';
      }
      // Two characters of room, so that the characters that decide what this qualifier means lie within the limit.
      if (at >= maxEnd - 1) return 'too-long';
      const next = at + 1 < text.length ? text.charCodeAt(at + 1) : -1;
      let closes = next === this.#columnCode || next === this.#breakCode || next === -1;
      if (next === -1 && !final) return 'needs-more';
      if (next === carriageReturn && !closes) {
        const afterwards = at + 2 < text.length ? text.charCodeAt(at + 2) : -1;
        if (afterwards === -1 && !final) return 'needs-more';
        closes = afterwards === this.#breakCode || afterwards === -1;
      }
      if (closes) {
        this.#end = at + 1;
        this.#addCell(whole === '' ? text.slice(open + 1, at) : whole + text.slice(from, at));
        if (stray) {
          const message = `A qualifier stands within the value of cell ${this.#count} without being doubled.`;
          this.#addProblem('stray_qualifier', message, text.slice(open, at + 1));
        }
        return 'done';
      }
      if (next === qualifierCode) {
        whole += text.slice(from, at + 1);
        from = at + 2;
        continue;
      }
      const before = text.charCodeAt(at - 1);
      if (at - 1 > open && (before === this.#columnCode || before === this.#breakCode)) {
        // A qualifier right after a delimiter or a line break opens a cell: the one in hand was never closed.
        this.#damageAt = at;
        return 'unterminated';
      }
      stray = true;
      whole += text.slice(from, at + 1);
      from = at + 1;
    }
  }

  /** Puts line breaks back in place of the in-field newline, and looks for what databases refuse. */
  #finishCells(text: string, begin: number): void {
    if (this.#count < this.#cells.length) this.#cells.length = this.#count;
    if (this.#count !== this.#blank.length) this.#blank = this.#cells.map(() => '');
    const { newline } = this.#dialect;
    if (newline !== null) {
      if (this.#next.newline < begin) this.#next.newline = indexOrEnd(text, newline, begin);
      if (this.#next.newline < this.#end) {
        this.#cells.forEach((cell, index) => {
          if (cell.includes(newline)) this.#cells[index] = cell.replaceAll(newline, '\n');
        });
      }
    }
    if (this.#next.nul < begin) this.#next.nul = indexOrEnd(text, '\0', begin);
    if (this.#next.nul < this.#end) {
      this.#cells.forEach((cell, index) => {
        if (!cell.includes('\0')) return;
        const message = `The value of cell ${index + 1} contains U+0000.`;
        const at = { cell: index + 1, value: cell };
        (this.#problems ??= []).push(problemAt('nul_character', this.#line, message, at));
      });
    }
    if (this.#overflow) {
      const message = `The row has more than ${this.#limits.maxCells} cells; the rest is not read.`;
      (this.#problems ??= []).push(problemAt('too_many_columns', this.#line, message));
    }
  }

  #deliver(result: SplitResult, start: number, final: boolean): void {
    const text = this.#text;
    if (final && this.#end === text.length && text.charCodeAt(text.length - 1) !== this.#breakCode) {
      const message = 'The last line has no line break; the file may not be complete.';
      (this.#problems ??= []).push(problemAt('unterminated_last_line', this.#line, message));
    }
    result.rows.push({
      record: ++this.#record,
      line: this.#line,
      cells: this.#cells,
      problems: this.#problems ?? none,
    });
    this.#advance(start, this.#end);
  }

  #advance(start: number, end: number): void {
    let at = this.#text.indexOf(this.#break, start);
    while (at >= 0 && at < end) {
      this.#line++;
      if (at + 1 >= end) break;
      at = this.#text.indexOf(this.#break, at + 1);
    }
    this.#position = end;
    this.#paddingReported = false;
  }

  /**
   * Delivers a row with an unclosed qualifier as what stands up to the end of the line on which it was opened, and goes on
   * after that line. False when that end is not in sight yet.
   */
  #recoverUnterminated(result: SplitResult, start: number, final: boolean): boolean {
    const text = this.#text;
    const { maxRecordChars } = this.#limits;
    const openedAt = this.#openedAt;
    const lineBreak = text.indexOf(this.#break, openedAt);
    if (lineBreak < 0 && !final && text.length - start <= maxRecordChars) return false;
    const end = lineBreak < 0 ? text.length : lineBreak + 1;
    const fits = end - start <= maxRecordChars;
    const cell = this.#count + 1;
    const message = `The qualifier opened in cell ${cell} is not closed before the next cell or row begins.`;
    const value = text.slice(openedAt, Math.min(end, start + maxRecordChars));
    const line = this.#line + this.#breaksBetween(start, openedAt);
    this.#reject(
      result,
      fits ? text.slice(start, end) : '',
      problemAt('unterminated_qualifier', line, message, { cell, value }),
    );
    this.#linewiseUntil = Math.max(this.#linewiseUntil, this.#damageAt);
    this.#advance(start, fits ? end : openedAt);
    this.#dropping = !fits;
    return true;
  }

  /** Delivers the first line of a row that is too long, or nothing of it if that line alone is, and goes on after it. */
  #recoverTooLong(result: SplitResult, start: number): void {
    const text = this.#text;
    const maxEnd = start + this.#limits.maxRecordChars;
    const lineBreak = text.indexOf(this.#break, start);
    const fits = lineBreak >= 0 && lineBreak < maxEnd;
    const message = `The row is longer than ${this.#limits.maxRecordChars} characters.`;
    const value = text.slice(start, fits ? lineBreak : maxEnd);
    this.#reject(result, fits ? value : '', problemAt('record_too_long', this.#line, message, { value }));
    this.#linewiseUntil = Math.max(this.#linewiseUntil, maxEnd);
    if (fits) this.#advance(start, lineBreak + 1);
    this.#dropping = !fits;
  }

  #reject(result: SplitResult, text: string, problem: LoadFileProblem): void {
    const cells = text === '' ? [] : this.#cellsOfDamaged(text);
    result.rows.push({ record: ++this.#record, line: this.#line, cells, problems: [problem] });
  }

  #breaksBetween(start: number, end: number): number {
    let count = 0;
    for (
      let at = this.#text.indexOf(this.#break, start);
      at >= 0 && at < end;
      at = this.#text.indexOf(this.#break, at + 1)
    ) {
      count++;
    }
    return count;
  }

  /** What can be read of a damaged row: split at every delimiter, qualifiers taken off the ends. For people only. */
  #cellsOfDamaged(text: string): string[] {
    const content = text.replace(/[\r\n]+$/u, '');
    return content.split(this.#column, this.#limits.maxCells).map((cell) => {
      if (this.#qualifier === null) return cell;
      const open = cell.startsWith(this.#qualifier) ? 1 : 0;
      const close = cell.length > open && cell.endsWith(this.#qualifier) ? 1 : 0;
      return cell.slice(open, cell.length - close);
    });
  }
}
