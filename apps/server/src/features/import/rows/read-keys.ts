/** The keys of a load file's rows, for staging: read by the source of an import, or while the file is read for its plan. */
import type { ImportMapping } from '@casebound/contract';
import { type DelimitedDialect, isRejected, type Row, splitMultiValue, splitNested } from '@casebound/loadfile';
import type { FieldDefinition } from '../../fields/index.ts';
import type { LoadFilePlan } from '../plan/import-plan.ts';
import type { RowKeys } from '../source-row.ts';
import { RowMapper } from './map-row.ts';
import type { PathSet } from './path-set.ts';

/** What rows are read by. */
export interface ReadOptions {
  readonly plan: LoadFilePlan;
  readonly mapping: ImportMapping;
  readonly definitions: ReadonlyMap<string, FieldDefinition>;
  readonly custodian: string | undefined;
  readonly overlayKey: string | undefined;
}

export const createRowMapper = (
  { plan, mapping, definitions, overlayKey }: ReadOptions,
  dialect: DelimitedDialect,
): RowMapper =>
  new RowMapper({
    file: plan.dataFile,
    columns: plan.columns,
    definitions,
    splitMultiValue: (cell) => splitMultiValue(cell, dialect),
    splitNested: (value) => splitNested(value, dialect),
    timeZone: mapping.timeZone,
    labelCategory: mapping.labelCategory,
    overlayKey,
  });

const noKeys = {
  controlNumber: null,
  parentKey: null,
  familyKey: null,
  matchKey: null,
  custodian: null,
  hashes: { md5: null, sha1: null, sha256: null },
} as const;

/** @param named takes the paths that the rows name. @returns what gives the keys of the next rows */
export const createKeyReader = (
  options: ReadOptions,
  dialect: DelimitedDialect,
  named: PathSet,
): ((batch: readonly Row[]) => readonly RowKeys[]) => {
  const mapper = createRowMapper(options, dialect);
  const pathColumns = options.plan.columns.filter(
    (column) =>
      column.target === 'core' && ['nativePath', 'textPath', 'imagePath', 'annotationsPath'].includes(column.field),
  );
  return (batch) =>
    batch.map((row): RowKeys => {
      const { record, line, cells } = row;
      for (const { index } of pathColumns) named.addWritten(cells[index] ?? '');
      const place = { row: record, line, path: null };
      if (isRejected(row.problems)) return { ...place, ...noKeys, rejected: true };
      const keys = mapper.keys({ row: record, line, cells });
      return { ...place, ...keys, custodian: keys.custodian ?? options.custodian ?? null, rejected: false };
    });
};

const coreColumns = ({ columns }: LoadFilePlan): string =>
  JSON.stringify(columns.flatMap((column) => (column.target === 'core' ? [[column.index, column.field]] : [])));

/** Whether two plans of one reading of a file give its rows the same keys, where those are core fields: types and date orders are of no matter. */
export const haveSameKeys = (one: LoadFilePlan, other: LoadFilePlan): boolean =>
  coreColumns(one) === coreColumns(other);

/** Whether the keys of a plan are core fields alone: a custom field is read by its definition, which may be made with the plan. */
export const areKeysCore = ({ columns }: LoadFilePlan, overlayKey: string | undefined): boolean =>
  overlayKey === undefined || columns.some((column) => column.target === 'core' && column.field === overlayKey);
