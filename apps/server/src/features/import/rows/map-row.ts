/**
 * From the cells of a load file's row to what it means, by the plan's columns.
 *
 * - A value that does not fit is a problem at its line and field, and is left out; the row is imported with the rest.
 * - Dates are read in the order that the plan says; one that could be two dates is refused, never guessed.
 */
import { isCoreField, parseRange, type CoreField } from '@casebound/loadfile';
import type { JsonValue } from '@casebound/records';
import type { FieldDefinition, FieldValues } from '../../fields/index.ts';
import { problem, type RowProblem } from '../import-problem.ts';
import { documentDates, documentIntegers, documentTexts, exhibitTexts } from '../plan/core-targets.ts';
import type { PlannedColumn } from '../plan/import-plan.ts';
import { CustomValues } from './custom-values.ts';
import { readInstant } from './read-dates.ts';
import { remembering } from './remember-texts.ts';
import type { EmptiedMembers, RowHashes, RowLabel } from '../source-row.ts';

export interface Cells {
  readonly line: number;
  readonly row: number;
  readonly cells: readonly string[];
}

export interface MappedRow {
  readonly controlNumber: string | null;
  readonly parentKey: string | null;
  readonly familyKey: string | null;
  readonly matchKey: string | null;
  readonly hashes: RowHashes;
  readonly document: Readonly<Record<string, JsonValue>>;
  readonly exhibit: Readonly<Record<string, JsonValue>>;
  /** As `SourceRow` has them. */
  readonly values: FieldValues | string;
  readonly emptied: EmptiedMembers;
  readonly custodians: readonly string[];
  readonly labels: readonly RowLabel[];
  readonly folders: readonly string[];
  readonly confidentiality: readonly string[];
  readonly paths: Partial<Readonly<Record<'nativePath' | 'textPath' | 'imagePath' | 'annotationsPath', string>>>;
  readonly inlineText: string | null;
  readonly problems: readonly RowProblem[];
}

export interface MapOptions {
  readonly file: string;
  readonly columns: readonly PlannedColumn[];
  readonly definitions: ReadonlyMap<string, FieldDefinition>;
  readonly splitMultiValue: (cell: string) => readonly string[];
  readonly splitNested: (value: string) => readonly string[];
  /** `UTC` or `+02:00`, of dates that state no zone. */
  readonly timeZone: string;
  readonly labelCategory: string | undefined;
  /** Core field or title that rows of an overlay are matched by. */
  readonly overlayKey?: string | undefined;
}

type Core = Extract<PlannedColumn, { target: 'core' }>;
const noneEmptied: EmptiedMembers = { document: [], exhibit: [], values: [] };

/** Lists of an exhibit that a column holds whole. */
const listMembers: Partial<Readonly<Record<CoreField, string>>> = {
  custodian: 'custodians',
  labels: 'labels',
  folderPath: 'folders',
  confidentiality: 'confidentialityStatus',
};

const hexOf = (text: string, digits: number): string | null => {
  if (text.length !== digits) return null;
  const plain = text.toLowerCase();
  return /^[0-9a-f]+$/.test(plain) ? plain : null;
};

const hashFields = { md5Hash: ['md5', 32], sha1Hash: ['sha1', 40], sha256Hash: ['sha256', 64] } as const;
const hashList = Object.entries(hashFields) as [
  keyof typeof hashFields,
  (typeof hashFields)[keyof typeof hashFields],
][];
const pathFields = ['nativePath', 'textPath', 'imagePath', 'annotationsPath'] as const;

export type Report = (
  column: string,
  code: string,
  reason: string,
  value: string,
  severity?: RowProblem['severity'],
) => void;

/** What a row's core fields fill. */
interface Target {
  readonly document: Record<string, JsonValue>;
  readonly exhibit: Record<string, JsonValue>;
}

/** Puts the text of one column, which is not empty, where it belongs. */
type ReadCore = (text: string, row: Cells, target: Target, report: Report) => void;

/** Compiles the plan once; the result maps one row at a time. */
export class RowMapper {
  readonly #options: MapOptions;
  readonly #core: ReadonlyMap<CoreField, Core>;
  readonly #values: CustomValues;
  readonly #readers: readonly { readonly index: number; readonly read: ReadCore }[];
  readonly #foldersOf = remembering((text: string) => this.#splitFolders(text));
  readonly #labelsOf = remembering((text: string) => this.#splitLabels(text));

  constructor(options: MapOptions) {
    this.#options = options;
    this.#core = new Map(
      options.columns.flatMap((column) =>
        column.target === 'core' && isCoreField(column.field) ? [[column.field, column] as const] : [],
      ),
    );
    this.#values = new CustomValues(options);
    this.#readers = [...this.#core].flatMap(([field, column]) =>
      this.#readersOf(field, column).map((read) => ({ index: column.index, read })),
    );
  }

  /** The keys of a row alone, for staging. */
  keys(row: Cells): Pick<MappedRow, 'controlNumber' | 'parentKey' | 'familyKey' | 'matchKey' | 'hashes'> & {
    readonly custodian: string | null;
  } {
    const cell = (field: CoreField): string => this.#cell(row, field);
    const hashes = {
      md5: hexOf(cell('md5Hash'), 32),
      sha1: hexOf(cell('sha1Hash'), 40),
      sha256: hexOf(cell('sha256Hash'), 64),
    };
    return {
      controlNumber: cell('controlNumber') || null,
      parentKey: this.#parentKey(row),
      familyKey: cell('familyId') || null,
      matchKey: this.#matchKey(row),
      hashes,
      custodian: cell('custodian') || null,
    };
  }

  #matchKey(row: Cells): string | null {
    const key = this.#options.overlayKey;
    if (key === undefined) return null;
    if (isCoreField(key) && this.#core.has(key)) {
      const text = this.#cell(row, key);
      return (key in hashFields || key === 'messageIdHash' ? text.toLowerCase() : text) || null;
    }
    return this.#values.textOf(row, key);
  }

  /** Members without a value in this row, though a column stands for them. */
  #emptied(row: Cells): EmptiedMembers {
    if (this.#options.overlayKey === undefined) return noneEmptied;
    const [document, exhibit]: [string[], string[]] = [[], []];
    for (const field of this.#core.keys()) {
      if (this.#cell(row, field) !== '') continue;
      const member = documentTexts[field] ?? documentIntegers[field] ?? documentDates[field]?.member;
      if (member !== undefined) document.push(member);
      if (field === 'allPaths') document.push(field);
      const ofExhibit = exhibitTexts[field] ?? listMembers[field];
      if (ofExhibit !== undefined) exhibit.push(ofExhibit);
    }
    return { document, exhibit, values: this.#values.emptied(row) };
  }

  map(row: Cells): MappedRow {
    const problems: RowProblem[] = [];
    const { custodian, ...keys } = this.keys(row);
    const report: Report = (column, code, reason, value, severity = 'error') => {
      problems.push(
        problem(severity, code, `${column}: the value ${reason}.`, {
          row: row.row,
          line: row.line,
          path: this.#options.file,
          field: column,
          value,
        }),
      );
    };
    const target: Target = { document: {}, exhibit: {} };
    for (const { index, read } of this.#readers) {
      const text = (row.cells[index] ?? '').trim();
      if (text !== '') read(text, row, target, report);
    }
    for (const [field, [name, digits]] of hashList) {
      if (keys.hashes[name] !== null) continue;
      const text = this.#cell(row, field);
      if (text !== '')
        report(
          this.#core.get(field)?.column ?? field,
          'hash_invalid',
          `is not a hash of ${digits} hexadecimal digits`,
          text,
        );
    }
    const inlineText = this.#cell(row, 'extractedText');
    return {
      ...keys,
      ...target,
      values:
        this.#options.overlayKey === undefined ? this.#values.text(row, report) : this.#values.object(row, report),
      emptied: this.#emptied(row),
      custodians: this.#custodians(row, custodian),
      labels: this.#labels(row),
      folders: this.#folders(row),
      confidentiality: this.#many(row, 'confidentiality'),
      paths: this.#paths(row),
      inlineText: inlineText === '' ? null : inlineText,
      problems,
    };
  }

  #cell(row: Cells, field: CoreField): string {
    const column = this.#core.get(field);
    return column === undefined ? '' : (row.cells[column.index] ?? '').trim();
  }

  #paths(row: Cells): MappedRow['paths'] {
    const paths: Partial<Record<(typeof pathFields)[number], string>> = {};
    for (const field of pathFields) {
      const text = this.#cell(row, field);
      if (text !== '') paths[field] = text;
    }
    return paths;
  }

  #parentKey(row: Cells): string | null {
    const parent = this.#cell(row, 'parentId');
    if (parent !== '') return parent;
    const begin = this.#cell(row, 'attachmentBegin');
    if (begin !== '') return begin;
    const text = this.#cell(row, 'familyRange');
    if (text === '') return null;
    const range = parseRange(text);
    return typeof range === 'string' ? null : (/^\s*(\S+)/.exec(text)?.[1] ?? null);
  }

  #many(row: Cells, field: CoreField): string[] {
    const text = this.#cell(row, field);
    return text === '' ? [] : this.#split(text);
  }

  /** Different values of a cell that may hold several. */
  #split(text: string): string[] {
    return [
      ...new Set(
        this.#options
          .splitMultiValue(text)
          .map((item) => item.trim())
          .filter((item) => item !== ''),
      ),
    ];
  }

  #custodians(row: Cells, custodian: string | null): string[] {
    return [...new Set([...(custodian === null ? [] : [custodian]), ...this.#many(row, 'allCustodians')])].map((name) =>
      name.slice(0, 300),
    );
  }

  #labels(row: Cells): readonly RowLabel[] {
    const text = this.#cell(row, 'labels');
    return text === '' ? [] : this.#labelsOf(text);
  }

  #splitLabels(text: string): readonly RowLabel[] {
    const category = this.#options.labelCategory ?? this.#core.get('labels')?.column ?? 'Issues';
    return this.#split(text).map((value) => {
      const [first = value, ...rest] = this.#options.splitNested(value);
      return rest.length === 0
        ? { category, name: first.slice(0, 300) }
        : { category: first.slice(0, 300), name: rest.join('/').slice(0, 300) };
    });
  }

  #folders(row: Cells): readonly string[] {
    const text = this.#cell(row, 'folderPath');
    return text === '' ? [] : this.#foldersOf(text);
  }

  #splitFolders(text: string): readonly string[] {
    return this.#split(text).flatMap((value) => {
      const path = value
        .split(/[\\/]/)
        .map((segment) => segment.trim())
        .filter((segment) => segment !== '')
        .join('/');
      return path === '' ? [] : [path.slice(0, 2_000)];
    });
  }

  /** Everything that a core field fills. */
  #readersOf(field: CoreField, column: Core): readonly ReadCore[] {
    const readers: ReadCore[] = [];
    const documentText = documentTexts[field];
    if (documentText !== undefined) {
      readers.push((text, _row, { document }) => {
        document[documentText] = text;
      });
    }
    const exhibitText = exhibitTexts[field];
    if (exhibitText !== undefined) {
      readers.push((text, _row, { exhibit }) => {
        exhibit[exhibitText] = text;
      });
    }
    const integer = documentIntegers[field];
    if (integer !== undefined) {
      readers.push((text, _row, { document }, report) => {
        const number = Number(text.replaceAll(',', ''));
        if (Number.isSafeInteger(number) && number >= 0) document[integer] = number;
        else report(column.column, 'invalid_number', 'is not a whole number', text);
      });
    }
    const date = documentDates[field];
    if (date !== undefined) readers.push(this.#dateReader(column, date));
    if (field === 'allPaths') {
      readers.push((text, _row, { document }) => {
        document['allPaths'] = this.#split(text);
      });
    }
    if (field === 'redacted') {
      readers.push((text, _row, { exhibit }) => {
        exhibit['redacted'] = /^(?:y|yes|true|t|1|x|redacted|partial|full)/i.test(text);
      });
    }
    return readers;
  }

  #dateReader(column: Core, { member, time }: { readonly member: string; readonly time?: CoreField }): ReadCore {
    return (text, row, { document }, report) => {
      const clock = time === undefined ? '' : this.#cell(row, time);
      const instant = readInstant(text, clock, column.dateOrder, this.#options.timeZone);
      if (instant.ok) document[member] = instant.iso;
      else report(column.column, instant.code, instant.reason, text);
    };
  }
}
