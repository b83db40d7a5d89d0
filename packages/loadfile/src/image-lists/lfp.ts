/**
 * IPRO (`.lfp`): one command a line, named by its first two letters.
 *
 *     IM,key,boundary,offset,@volume;directory;file;type[,rotation]     an image page
 *     OF,key,@volume;directory;file[;type][,...]                        the original (native) file of a document
 *
 * - Boundary: `D` document, `C` child (attachment), `F` folder, `B` box, `S` source; empty for a page within a document.
 * - Offset: 0 for a single-page file, else the 1-based page within a multi-page file.
 * - Rotation: 0 to 3 quarter turns.
 * - Other commands (`VN`, `FT`, `TX`, `BF`, `IO` ...) and `##` comments are carried as they are, so that a file that is
 *   read and written again loses nothing.
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
import type { ImageListOptions } from './opticon.ts';

/** Where a file lies: `@volume;directory;file`. A bare file name has neither volume nor directory. */
export interface LfpFile {
  readonly volume: string;
  readonly directory: string;
  readonly file: string;
}

export type LfpBoundary = 'document' | 'child' | 'folder' | 'box' | 'source' | 'page';

export type LfpRecord =
  | {
      readonly kind: 'image';
      readonly key: string;
      readonly boundary: LfpBoundary;
      readonly offset: number;
      readonly location: LfpFile;
      /** IPRO's number: 1 and 2 are TIFF, 4 is JPEG, 5 and 6 are PDF, 7 is PDF in some tools. */
      readonly type: number;
      /** Quarter turns; null where the cell is absent. */
      readonly rotation: number | null;
    }
  | {
      readonly kind: 'original';
      readonly key: string;
      readonly location: LfpFile;
      /** What follows the file: its type and more, tool by tool, as written. */
      readonly rest: string;
    }
  | { readonly kind: 'other'; readonly command: string; readonly text: string };

export interface LfpLine {
  readonly line: number;
  readonly record: LfpRecord | undefined;
  readonly problems: readonly LoadFileProblem[];
}

const boundaries: ReadonlyMap<string, LfpBoundary> = new Map([
  ['', 'page'],
  ['D', 'document'],
  ['C', 'child'],
  ['F', 'folder'],
  ['B', 'box'],
  ['S', 'source'],
]);

const none: readonly LoadFileProblem[] = Object.freeze([]);

/** `@V;DIR;FILE;TYPE` to its parts: a directory may contain no `;`, a missing type is left out. */
const parseFile = (text: string): { readonly location: LfpFile; readonly type: string | undefined } => {
  const parts = text.split(';').map((part) => part.trim());
  if (text.trim().startsWith('@')) {
    const [volume = '', directory = '', file = '', ...type] = parts;
    return {
      location: { volume: volume.slice(1), directory, file },
      type: type.length === 0 ? undefined : type.join(';'),
    };
  }
  const [file = '', ...type] = parts;
  return { location: { volume: '', directory: '', file }, type: type.length === 0 ? undefined : type.join(';') };
};

const wholeNumber = (text: string, max: number): number | undefined =>
  /^\d{1,9}$/u.test(text) && Number(text) <= max ? Number(text) : undefined;

const parseImage = (text: string, line: number): LfpLine => {
  const problems: LoadFileProblem[] = [];
  const at = { value: text };
  const cells = text.split(',').map((cell) => cell.trim());
  const [, key = '', flag = '', offsetText = '', fileText = '', rotationText] = cells;
  if (cells.length < 5)
    problems.push(problemAt('too_few_cells', line, `IM has ${cells.length} cells; 5 or 6 are expected.`, at));
  else if (cells.length > 6) {
    problems.push(problemAt('too_many_cells', line, `IM has ${cells.length} cells; 5 or 6 are expected.`, at));
  }
  const { location, type: typeText } = parseFile(fileText);
  if (key === '') problems.push(problemAt('missing_key', line, 'The record has no image key.', at));
  if (location.file === '') problems.push(problemAt('missing_path', line, 'The record names no image file.', at));
  const boundary = boundaries.get(flag.toUpperCase());
  if (boundary === undefined) {
    problems.push(problemAt('invalid_flag', line, `The boundary ${JSON.stringify(flag)} is not known.`, at));
  }
  const number = (value: string, max: number, field: string): number => {
    const parsed = wholeNumber(value, max);
    if (parsed === undefined) {
      problems.push(
        problemAt('invalid_number', line, `${field} must be a whole number from 0 to ${max}.`, { field, value }),
      );
    }
    return parsed ?? 0;
  };
  const record: LfpRecord = {
    kind: 'image',
    key,
    boundary: boundary ?? 'page',
    offset: number(offsetText === '' ? '0' : offsetText, 999_999_999, 'Offset'),
    location,
    type: number(typeText ?? '', 999, 'Type'),
    rotation: rotationText === undefined || rotationText === '' ? null : number(rotationText, 3, 'Rotation'),
  };
  return { line, record: isRejected(problems) ? undefined : record, problems };
};

const parseOriginal = (text: string, line: number): LfpLine => {
  const problems: LoadFileProblem[] = [];
  const match = /^OF\s*,\s*([^,]*?)\s*,\s*(@[^;,]*;[^;,]*;[^;,]*|[^;,]*)(.*)$/iu.exec(text);
  const key = match?.[1] ?? '';
  const { location } = parseFile(match?.[2] ?? '');
  if (key === '') problems.push(problemAt('missing_key', line, 'The record has no key.', { value: text }));
  if (location.file === '')
    problems.push(problemAt('missing_path', line, 'The record names no file.', { value: text }));
  const record: LfpRecord = { kind: 'original', key, location, rest: (match?.[3] ?? '').trimEnd() };
  return { line, record: isRejected(problems) ? undefined : record, problems };
};

const parseLine = (text: string, line: number): LfpLine => {
  const command = /^(?:##|[a-z]{2}(?=\s*,))/iu.exec(text)?.[0].toUpperCase();
  if (command === 'IM') return parseImage(text, line);
  if (command === 'OF') return parseOriginal(text, line);
  if (command === '##') return { line, record: { kind: 'other', command, text }, problems: none };
  const message =
    command === undefined
      ? 'The line starts with no LFP command.'
      : `The command ${command} is carried along as it is.`;
  const problems = [problemAt('unsupported_record', line, message, { value: text })];
  return { line, record: { kind: 'other', command: command ?? '', text }, problems };
};

/** Reads an LFP file, a chunk of it at a time. */
export async function* readLfp(source: ByteSource, options: ImageListOptions = {}): AsyncGenerator<readonly LfpLine[]> {
  const limits = completeLimits(options.limits);
  const report = options.onProblem ?? (() => undefined);
  yield* readLfpText(new TextInput(source, limits, options.encoding), limits, report);
}

/** As `readLfp`, for text input that has been looked at already. */
export async function* readLfpText(
  input: TextInput,
  limits: LoadFileLimits,
  report: ProblemSink,
): AsyncGenerator<readonly LfpLine[]> {
  for await (const lines of readLines(input, limits, report)) {
    const parsed = lines.map(({ text, line }) => parseLine(text.trim(), line));
    for (const { problems } of parsed) for (const problem of problems) report(problem);
    yield parsed;
  }
}

/** The path of a file below the root, as other load files write it: `directory\file`. The volume is a name, no folder. */
export const lfpPath = ({ directory, file }: LfpFile): string => (directory === '' ? file : `${directory}\\${file}`);

/**
 * Writes records as an LFP file.
 * @throws CaseboundError `load_file_value_unwritable` for a key or file with `,` or `;`, a line break or space at its ends.
 */
export const writeLfp = (records: AsyncIterable<LfpRecord> | Iterable<LfpRecord>): AsyncGenerator<Uint8Array> =>
  encodeLines(formatRecords(records));

async function* formatRecords(records: AsyncIterable<LfpRecord> | Iterable<LfpRecord>): AsyncGenerator<string> {
  let number = 0;
  for await (const record of records) yield formatRecord(record, ++number);
}

const unwritable = (number: number, what: string): CaseboundError =>
  new CaseboundError('load_file_value_unwritable', `Record ${number} cannot be written to an LFP file: ${what}.`);

const formatFile = ({ volume, directory, file }: LfpFile, number: number): string => {
  for (const part of [volume, directory, file]) checkPart(part, number);
  if (file === '') throw unwritable(number, 'it names no file');
  if (volume !== '' || directory !== '') return `@${volume};${directory};${file}`;
  if (file.startsWith('@')) throw unwritable(number, 'a bare file name must not start with @');
  return file;
};

const checkPart = (part: string, number: number): void => {
  if (/[,;\r\n]/u.test(part) || part.trim() !== part || !part.isWellFormed()) {
    throw unwritable(
      number,
      `${JSON.stringify(part)} contains a comma, semicolon or line break, or has space at its ends`,
    );
  }
};

const formatRecord = (record: LfpRecord, number: number): string => {
  if (record.kind === 'other') {
    // It must be read back as what it is, and never as an image or an original.
    const back = parseLine(record.text, 1).record;
    const same = back?.kind === 'other' && back.command === record.command;
    if (
      !same ||
      /[\r\n]/u.test(record.text) ||
      record.text.trim() !== record.text ||
      record.text === '' ||
      !record.text.isWellFormed() ||
      /^[^ -~\u00A0-\uFEFE]/u.test(record.text)
    ) {
      throw unwritable(number, `${JSON.stringify(record.text)} is no line of another command`);
    }
    return record.text;
  }
  if (record.key === '') throw unwritable(number, 'it has no key');
  checkPart(record.key, number);
  if (record.kind === 'original') {
    if (
      !/^(?:[,;][^\r\n]*)?$/u.test(record.rest) ||
      record.rest.trimEnd() !== record.rest ||
      !record.rest.isWellFormed()
    ) {
      throw unwritable(number, 'what follows the file must be empty or start with a comma or semicolon');
    }
    return `OF,${record.key},${formatFile(record.location, number)}${record.rest}`;
  }
  const { offset, type, rotation } = record;
  for (const [name, value, max] of [
    ['offset', offset, 999_999_999],
    ['type', type, 999],
    ['rotation', rotation ?? 0, 3],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 0 || value > max)
      throw unwritable(number, `${name} ${value} is out of range`);
  }
  const flag = [...boundaries].find(([, boundary]) => boundary === record.boundary)?.[0] ?? '';
  const turn = rotation === null ? '' : `,${rotation}`;
  return `IM,${record.key},${flag},${offset},${formatFile(record.location, number)};${type}${turn}`;
};
