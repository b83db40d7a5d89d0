/**
 * Opticon (`.opt`): one page image a line, `PageId,Volume,Path,DocBreak,FolderBreak,BoxBreak,PageCount`.
 * A `Y` in DocBreak starts a document; PageCount stands on that line only. The format has no qualifiers, so a comma cannot
 * stand within a cell; a path with one is found by its line having too many cells.
 */
import { CaseboundError } from '@casebound/contract';
import type { ByteSource } from '../input/byte-input.ts';
import { readLines } from '../input/read-lines.ts';
import { TextInput } from '../input/text-input.ts';
import type { LoadFileLimits } from '../limits.ts';
import { completeLimits } from '../limits.ts';
import type { LoadFileProblem, ProblemSink } from '../problems.ts';
import { isRejected, problemAt } from '../problems.ts';
import { encodeLines } from './encode-lines.ts';

/** One page image. */
export interface OpticonPage {
  readonly pageId: string;
  readonly volume: string;
  /** As written; resolve it with `resolveLoadPath`. */
  readonly path: string;
  readonly documentBreak: boolean;
  readonly folderBreak: boolean;
  readonly boxBreak: boolean;
  /** Pages of the document that starts here; null where the cell is empty. */
  readonly pageCount: number | null;
}

/** A line as read: a usable page, or what is wrong with it. */
export interface OpticonLine {
  readonly line: number;
  readonly page: OpticonPage | undefined;
  readonly problems: readonly LoadFileProblem[];
}

export interface ImageListOptions {
  readonly encoding?: string;
  readonly limits?: Partial<LoadFileLimits>;
  readonly onProblem?: ProblemSink;
}

const none: readonly LoadFileProblem[] = Object.freeze([]);

const parseLine = (text: string, line: number, maxCells: number): OpticonLine => {
  const cells = text.split(',', maxCells).map((cell) => cell.trim());
  const problems: LoadFileProblem[] = [];
  const [pageId = '', volume = '', path = '', documentBreak = '', folderBreak = '', boxBreak = '', count = ''] = cells;
  if (cells.length > 7) {
    problems.push(
      problemAt('too_many_cells', line, `The line has ${cells.length} cells; 7 are expected.`, { value: text }),
    );
  } else if (cells.length < 4) {
    problems.push(
      problemAt('too_few_cells', line, `The line has ${cells.length} cells; 7 are expected.`, { value: text }),
    );
  } else {
    if (pageId === '')
      problems.push(problemAt('missing_key', line, 'The line has no page id.', { cell: 1, value: text }));
    if (path === '')
      problems.push(problemAt('missing_path', line, 'The line names no image file.', { cell: 3, value: text }));
  }
  if (isRejected(problems)) return { line, page: undefined, problems };
  const flag = (value: string, cell: number, field: string): boolean => {
    const upper = value.toUpperCase();
    if (!['', 'Y', 'N'].includes(upper)) {
      problems.push(problemAt('invalid_flag', line, `${field} must be Y or empty.`, { cell, field, value }));
    }
    return upper === 'Y';
  };
  if (!/^\d{0,9}$/u.test(count)) {
    const at = { cell: 7, field: 'PageCount', value: count };
    problems.push(problemAt('invalid_number', line, 'PageCount must be a whole number.', at));
  }
  const page: OpticonPage = {
    pageId,
    volume,
    path,
    documentBreak: flag(documentBreak, 4, 'DocBreak'),
    folderBreak: flag(folderBreak, 5, 'FolderBreak'),
    boxBreak: flag(boxBreak, 6, 'BoxBreak'),
    pageCount: count === '' ? null : Number(count),
  };
  return { line, page: isRejected(problems) ? undefined : page, problems: problems.length === 0 ? none : problems };
};

/** Reads an Opticon file, a chunk of it at a time. */
export async function* readOpticon(
  source: ByteSource,
  options: ImageListOptions = {},
): AsyncGenerator<readonly OpticonLine[]> {
  const limits = completeLimits(options.limits);
  const report = options.onProblem ?? (() => undefined);
  yield* readOpticonText(new TextInput(source, limits, options.encoding), limits, report);
}

/** As `readOpticon`, for text input that has been looked at already. */
export async function* readOpticonText(
  input: TextInput,
  limits: LoadFileLimits,
  report: ProblemSink,
): AsyncGenerator<readonly OpticonLine[]> {
  for await (const lines of readLines(input, limits, report)) {
    const parsed = lines.map(({ text, line }) => parseLine(text, line, limits.maxCells));
    for (const { problems } of parsed) for (const problem of problems) report(problem);
    yield parsed;
  }
}

/** A document and its pages, as document breaks group them. */
export interface OpticonDocument {
  /** The id of the first page, which is the document's key. */
  readonly key: string;
  readonly line: number;
  readonly pages: readonly OpticonPage[];
  /** As the first line states it. */
  readonly statedPages: number | null;
}

/**
 * Groups pages into documents, in order. Holds one document. Reports pages before the first break, and documents that have
 * another number of pages than they state.
 */
export async function* groupOpticonDocuments(
  batches: AsyncIterable<readonly OpticonLine[]> | Iterable<readonly OpticonLine[]>,
  report: ProblemSink = () => undefined,
): AsyncGenerator<OpticonDocument> {
  let pages: OpticonPage[] = [];
  let start = 0;
  const finish = (): OpticonDocument | undefined => {
    const [first] = pages;
    if (first === undefined) return undefined;
    const document = { key: first.pageId, line: start, pages, statedPages: first.pageCount };
    if (first.pageCount !== null && first.pageCount !== pages.length) {
      const message = `The document ${first.pageId} states ${first.pageCount} pages and has ${pages.length}.`;
      report(problemAt('page_count_mismatch', start, message, { value: first.pageId }));
    }
    return document;
  };
  for await (const batch of batches) {
    for (const { line, page } of batch) {
      if (page === undefined) continue;
      if (page.documentBreak || pages.length === 0) {
        const finished = finish();
        if (finished !== undefined) yield finished;
        if (!page.documentBreak) {
          const message = 'The first page of the file does not start a document; it is taken as one.';
          report(problemAt('page_without_document', line, message, { value: page.pageId }));
        }
        pages = [];
        start = line;
      }
      pages.push(page);
    }
  }
  const finished = finish();
  if (finished !== undefined) yield finished;
}

/**
 * Writes pages as an Opticon file.
 * @throws CaseboundError `load_file_value_unwritable` for a key, volume or path with a comma, line break or space at its
 *   ends, or a missing key or path: the format has no way to write them.
 */
export const writeOpticon = (pages: AsyncIterable<OpticonPage> | Iterable<OpticonPage>): AsyncGenerator<Uint8Array> =>
  encodeLines(formatPages(pages));

async function* formatPages(pages: AsyncIterable<OpticonPage> | Iterable<OpticonPage>): AsyncGenerator<string> {
  let number = 0;
  for await (const page of pages) {
    number++;
    for (const [field, value] of Object.entries({ PageId: page.pageId, Volume: page.volume, Path: page.path })) {
      const missing = value === '' && field !== 'Volume';
      if (
        missing ||
        /[,\r\n]/u.test(value) ||
        value.trim() !== value ||
        !value.isWellFormed() ||
        value.startsWith('\0') ||
        value.startsWith('\u001A')
      ) {
        throw new CaseboundError(
          'load_file_value_unwritable',
          `Page ${number}: ${field} ${JSON.stringify(value)} cannot be written to an Opticon file; it must not be missing, contain a comma or line break, or have space at its ends.`,
        );
      }
    }
    const { pageCount } = page;
    if (pageCount !== null && (!Number.isSafeInteger(pageCount) || pageCount < 0 || pageCount > 999_999_999)) {
      throw new CaseboundError('load_file_value_unwritable', `Page ${number}: PageCount ${pageCount} is no count.`);
    }
    const breaks = [page.documentBreak, page.folderBreak, page.boxBreak].map((set) => (set ? 'Y' : ''));
    yield [page.pageId, page.volume, page.path, ...breaks, pageCount === null ? '' : String(pageCount)].join(',');
  }
}
