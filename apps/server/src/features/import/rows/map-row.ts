/**
 * From the cells of a load file's row to what it means, by the plan's columns.
 *
 * - A value that does not fit is a problem at its line and field, and is left out; the row is imported with the rest.
 * - Dates are read in the order that the plan says; one that could be two dates is refused, never guessed.
 */
import { isCoreField, parseRange, type CoreField } from '@casebound/loadfile';
import type { JsonValue } from '@casebound/records';
import { type FieldDefinition, type FieldValue, isEmptyValue, readCell } from '../../fields/index.ts';
import { problem, type RowProblem } from '../import-problem.ts';
import { documentDates, documentIntegers, documentTexts, exhibitTexts } from '../plan/core-targets.ts';
import type { PlannedColumn } from '../plan/import-plan.ts';
import { readDate, readInstant } from './read-dates.ts';
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
  readonly values: Readonly<Record<string, FieldValue>>;
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
type Custom = Extract<PlannedColumn, { target: 'custom' }> & { readonly definition: FieldDefinition };

const noneEmptied: EmptiedMembers = { document: [], exhibit: [], values: [] };

/** Lists of an exhibit that a column holds whole. */
const listMembers: Partial<Readonly<Record<CoreField, string>>> = {
  custodian: 'custodians',
  labels: 'labels',
  folderPath: 'folders',
  confidentiality: 'confidentialityStatus',
};

const hexOf = (text: string, digits: number): string | null => {
  const plain = text.trim().toLowerCase();
  return plain.length === digits && /^[0-9a-f]+$/.test(plain) ? plain : null;
};

const hashFields = { md5Hash: ['md5', 32], sha1Hash: ['sha1', 40], sha256Hash: ['sha256', 64] } as const;

/** Compiles the plan once; the result maps one row at a time. */
export class RowMapper {
  readonly #options: MapOptions;
  readonly #core: ReadonlyMap<CoreField, Core>;
  readonly #custom: readonly Custom[];

  constructor(options: MapOptions) {
    this.#options = options;
    this.#core = new Map(
      options.columns.flatMap((column) =>
        column.target === 'core' && isCoreField(column.field) ? [[column.field, column] as const] : [],
      ),
    );
    this.#custom = options.columns.flatMap((column) =>
      column.target === 'custom'
        ? [
            {
              ...column,
              definition: options.definitions.get(column.title) ?? {
                title: column.title,
                inputType: column.type,
                choices: [],
              },
            },
          ]
        : [],
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
    const column = this.#custom.find((it) => it.definition.title === key);
    if (column === undefined) return null;
    const value = this.#valueOf(row, column, () => undefined);
    return value === undefined ? null : String(value);
  }

  /** Members without a value in this row, though a column stands for them. */
  #emptied(row: Cells): EmptiedMembers {
    if (this.#options.overlayKey === undefined) return noneEmptied;
    const [document, exhibit, values]: [string[], string[], string[]] = [[], [], []];
    for (const field of this.#core.keys()) {
      if (this.#cell(row, field) !== '') continue;
      const member = documentTexts[field] ?? documentIntegers[field] ?? documentDates[field]?.member;
      if (member !== undefined) document.push(member);
      if (field === 'allPaths') document.push(field);
      const ofExhibit = exhibitTexts[field] ?? listMembers[field];
      if (ofExhibit !== undefined) exhibit.push(ofExhibit);
    }
    for (const { index, definition } of this.#custom) {
      if ((row.cells[index] ?? '').trim() === '') values.push(definition.title);
    }
    return { document, exhibit, values };
  }

  map(row: Cells): MappedRow {
    const problems: RowProblem[] = [];
    const { custodian, ...keys } = this.keys(row);
    const report = (
      column: string,
      code: string,
      reason: string,
      value: string,
      severity: RowProblem['severity'] = 'error',
    ): void => {
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
    const document: Record<string, JsonValue> = {};
    const exhibit: Record<string, JsonValue> = {};
    for (const [field, column] of this.#core) {
      const text = this.#cell(row, field);
      if (text === '') continue;
      this.#readCore(row, field, column, text, document, exhibit, report);
    }
    for (const [field, [name, digits]] of Object.entries(hashFields) as [
      keyof typeof hashFields,
      (typeof hashFields)[keyof typeof hashFields],
    ][]) {
      const text = this.#cell(row, field);
      if (text !== '' && keys.hashes[name] === null)
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
      document,
      exhibit,
      values: this.#values(row, report),
      emptied: this.#emptied(row),
      custodians: this.#custodians(row, custodian),
      labels: this.#labels(row),
      folders: this.#folders(row),
      confidentiality: this.#many(row, 'confidentiality'),
      paths: Object.fromEntries(
        (['nativePath', 'textPath', 'imagePath', 'annotationsPath'] as const).flatMap((field) => {
          const text = this.#cell(row, field);
          return text === '' ? [] : [[field, text]];
        }),
      ),
      inlineText: inlineText === '' ? null : inlineText,
      problems,
    };
  }

  #cell(row: Cells, field: CoreField): string {
    const column = this.#core.get(field);
    return column === undefined ? '' : (row.cells[column.index] ?? '').trim();
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
    return text === ''
      ? []
      : [
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

  #labels(row: Cells): RowLabel[] {
    const category = this.#options.labelCategory ?? this.#core.get('labels')?.column ?? 'Issues';
    return this.#many(row, 'labels').map((value) => {
      const [first = value, ...rest] = this.#options.splitNested(value);
      return rest.length === 0
        ? { category, name: first.slice(0, 300) }
        : { category: first.slice(0, 300), name: rest.join('/').slice(0, 300) };
    });
  }

  #folders(row: Cells): string[] {
    return this.#many(row, 'folderPath').flatMap((value) => {
      const path = value
        .split(/[\\/]/)
        .map((segment) => segment.trim())
        .filter((segment) => segment !== '')
        .join('/');
      return path === '' ? [] : [path.slice(0, 2_000)];
    });
  }

  #readCore(
    row: Cells,
    field: CoreField,
    column: Core,
    text: string,
    document: Record<string, JsonValue>,
    exhibit: Record<string, JsonValue>,
    report: (column: string, code: string, reason: string, value: string) => void,
  ): void {
    const documentText = documentTexts[field];
    if (documentText !== undefined) document[documentText] = text;
    const exhibitText = exhibitTexts[field];
    if (exhibitText !== undefined) exhibit[exhibitText] = text;
    const integer = documentIntegers[field];
    if (integer !== undefined) {
      const number = Number(text.replaceAll(',', ''));
      if (Number.isSafeInteger(number) && number >= 0) document[integer] = number;
      else report(column.column, 'invalid_number', 'is not a whole number', text);
    }
    const date = documentDates[field];
    if (date !== undefined) {
      const time = date.time === undefined ? '' : this.#cell(row, date.time);
      const instant = readInstant(text, time, column.dateOrder, this.#options.timeZone);
      if (instant.ok) document[date.member] = instant.iso;
      else report(column.column, instant.code, instant.reason, text);
    }
    if (field === 'allPaths') document['allPaths'] = this.#many(row, field);
    if (field === 'redacted') exhibit['redacted'] = /^(?:y|yes|true|t|1|x|redacted|partial|full)/i.test(text);
  }

  #values(
    row: Cells,
    report: (column: string, code: string, reason: string, value: string) => void,
  ): Record<string, FieldValue> {
    const values: Record<string, FieldValue> = {};
    for (const column of this.#custom) {
      const value = this.#valueOf(row, column, report);
      if (value !== undefined) values[column.definition.title] = value;
    }
    return values;
  }

  #valueOf(
    row: Cells,
    { index, column, definition, dateOrder }: Custom,
    report: (column: string, code: string, reason: string, value: string) => void,
  ): FieldValue | undefined {
    const cell = row.cells[index] ?? '';
    if (cell.trim() === '') return undefined;
    if (definition.inputType === 'date') {
      const date = readDate(cell, dateOrder, this.#options.timeZone);
      if (date.ok) return date.iso;
      report(column, date.code, date.reason, cell);
      return undefined;
    }
    const read = readCell(definition, cell, this.#options.splitMultiValue);
    if (!read.ok) report(column, 'value_invalid', read.reason, cell);
    return read.ok && !isEmptyValue(read.value) ? read.value : undefined;
  }
}
