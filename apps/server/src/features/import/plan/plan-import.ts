/**
 * Looks at a source and says what an import would make of it. Reads the whole data file once: types and date orders are those of all
 * values, not of the first. Writes nothing.
 */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { CaseboundError, type ColumnChoice, type ImportRequest } from '@casebound/contract';
import {
  type ColumnMapping,
  type ColumnProfile,
  ColumnProfiler,
  type InspectReport,
  inspectLoadFile,
  isCoreField,
  proposeMapping,
} from '@casebound/loadfile';
import type { FieldType } from '../../fields/index.ts';
import { problem, type RowProblem } from '../import-problem.ts';
import { EdrmReader, structure, surveyEdrm } from '../rows/edrm-rows.ts';
import { type OpenedRoot, openImportRoot } from '../sources/open-import-root.ts';
import { pinFile } from '../sources/pinned-root.ts';
import { checkOverlayKey } from '../stage/match-rows.ts';
import { isStoredCoreField } from './core-targets.ts';
import { findLoadFiles } from './find-load-files.ts';
import type { ImportPlan, LoadFilePlan, PlannedColumn } from './import-plan.ts';

export interface PlannedImport {
  readonly plan: ImportPlan;
  readonly report: InspectReport | null;
  /** Problems of the file and of its columns, before any row is taken. */
  readonly problems: readonly RowProblem[];
  /** Why each column is what it is, in the order of `plan.columns`. */
  readonly reasons: readonly { readonly reason: string; readonly warning: string | null; readonly type: string }[];
}

export interface OpenedSource {
  readonly root: OpenedRoot;
  readonly rootPath: string;
  /** The load file that the request names by itself. */
  readonly named: string | null;
}

/** Opens what the request's path names. Errors: `import_source_invalid`. */
export const openSource = async (given: string): Promise<OpenedSource> => {
  const absolute = path.resolve(given);
  const found = await stat(absolute).catch((error: unknown) => {
    throw new CaseboundError('import_source_invalid', `${given} cannot be read on the server.`, { cause: error });
  });
  if (found.isDirectory() || /\.zip$/i.test(absolute)) {
    return { root: await openImportRoot(absolute), rootPath: absolute, named: null };
  }
  const isLoadFile = /\.(?:dat|csv|tsv|txt|xml)$/i.test(absolute);
  if (!isLoadFile) {
    throw new CaseboundError(
      'import_source_invalid',
      `${given} is neither a folder, a zip nor a load file (.dat, .csv, .tsv, .txt, .xml); put loose files into a folder.`,
    );
  }
  const rootPath = path.dirname(absolute);
  return { root: await openImportRoot(rootPath), rootPath, named: path.basename(absolute) };
};

/** Plans the import of an opened source. */
export const planImport = async (
  { root, rootPath, named }: OpenedSource,
  { mapping, overlay }: Pick<ImportRequest, 'mapping' | 'overlay'>,
  signal?: AbortSignal,
): Promise<PlannedImport> => {
  const found = await findLoadFiles(root, named);
  if (found === null && overlay !== undefined) {
    throw new CaseboundError('import_source_invalid', 'An overlay needs a load file; the source holds loose files.');
  }
  if (found === null) return { plan: { kind: 'loose_files', root: rootPath }, report: null, problems: [], reasons: [] };
  const readTwice = [found.dataFile, ...(found.imageList === null ? [] : [found.imageList.path])];
  const pins = await Promise.all(readTwice.map(async (file) => pinFile(rootPath, file)));
  const stream = await root.open(found.dataFile);
  const report = await inspectLoadFile(stream, {
    fileName: found.dataFile,
    maxProblems: 1_000,
    ...(mapping.encoding === undefined ? {} : { encoding: mapping.encoding }),
    ...(mapping.header === undefined ? {} : { header: mapping.header }),
    dialect: mapping.dialect as NonNullable<Parameters<typeof inspectLoadFile>[1]>['dialect'] & object,
    ...(signal === undefined ? {} : { signal }),
  });
  const isEdrm = report.format.format === 'edrm-xml';
  if (report.delimited === null && !isEdrm) {
    throw new CaseboundError(
      'import_source_invalid',
      `${found.dataFile} is no file of rows and columns (${report.format.reason}); run \`casebound loadfile inspect\` on it.`,
    );
  }
  if (report.problemCounts.some(({ code }) => code === 'empty_file')) {
    throw new CaseboundError(
      'import_source_invalid',
      `${found.dataFile} holds no row: it is empty, or there is nothing in it but blank lines and padding.`,
    );
  }
  const described = report.delimited ?? (await describeEdrm(root, found.dataFile));
  const { columns, problems, reasons } = planColumns(described.mapping, described.columns, mapping);
  if (overlay === undefined) requireControlNumber(found.dataFile, columns, report.delimited?.hasHeader ?? true);
  else requireKey(found.dataFile, columns, overlay.key);
  const plan: LoadFilePlan = {
    kind: 'load_file',
    format: isEdrm ? 'edrm-xml' : 'delimited',
    root: rootPath,
    dataFile: found.dataFile,
    // Pages are no values: an overlay changes what is known of documents, and their native and text.
    imageList: overlay === undefined ? found.imageList : null,
    encoding: mapping.encoding ?? null,
    hasHeader: report.delimited?.hasHeader ?? true,
    columns: [...columns],
    pins,
  };
  return { plan, report, problems: problems.map((it) => ({ ...it, path: found.dataFile })), reasons };
};

/** What the columns of an XML file are: those of its structure are known, tags and fields are proposed by name and values. */
const describeEdrm = async (
  root: OpenedRoot,
  file: string,
): Promise<{ readonly mapping: readonly ColumnMapping[]; readonly columns: readonly ColumnProfile[] }> => {
  const survey = await surveyEdrm(root, file);
  const reader = new EdrmReader(root, file, survey, () => undefined);
  const profiler = new ColumnProfiler(
    survey.names.map((name, index) => ({ index, header: name, name })),
    reader.dialect.multiValue,
  );
  for await (const row of reader.rows()) profiler.add(row);
  const columns = profiler.profiles();
  const taken = new Set<string>(structure.map(({ field }) => field));
  const mapping = proposeMapping(columns).map((proposed): ColumnMapping => {
    const { column, index } = proposed;
    const known = structure[index];
    if (known !== undefined)
      return { column, index, target: 'core', field: known.field, reason: 'EDRM XML says so.', warning: null };
    return proposed.target === 'core' && taken.has(proposed.field)
      ? { column, index, target: 'custom', type: 'text', reason: 'Another column is this field.', warning: null }
      : proposed;
  });
  return { mapping, columns };
};

const requireControlNumber = (file: string, columns: readonly PlannedColumn[], hasHeader: boolean): void => {
  if (columns.some((column) => column.target === 'core' && column.field === 'controlNumber')) return;
  const headless = `{"header": false, "columns": {"Column 1": {"core": "controlNumber"}}}`;
  throw new CaseboundError(
    'import_source_invalid',
    hasHeader
      ? `No column of ${file} is a control number; name it in a mapping: {"columns": {"YOUR COLUMN": {"core": "controlNumber"}}}. If the first line is not the names of columns but a document, say so: ${headless}.`
      : `The first line of ${file} does not look like names of columns; say in a mapping which column is the control number: ${headless}, or that the first line is a header all the same: {"header": true, ...}.`,
  );
};

const requireKey = (file: string, columns: readonly PlannedColumn[], key: string): void => {
  const isCore = columns.some((column) => column.target === 'core' && column.field === key);
  const isCustom = columns.some((column) => column.target === 'custom' && column.title === key);
  if (!isCore && !isCustom) {
    throw new CaseboundError(
      'import_source_invalid',
      `No column of ${file} is ${key}, which rows are to be matched by; name another key, or map a column to it.`,
    );
  }
  checkOverlayKey(key, isCore);
};

type Mapping = ImportRequest['mapping'];

const customTypes: Readonly<Record<string, FieldType>> = {
  text: 'text',
  'long-text': 'long_text',
  date: 'date',
  number: 'number',
  'yes-no': 'yes_no',
  'multi-choice': 'multi_choice',
};

const planColumns = (
  proposed: readonly ColumnMapping[],
  profiles: readonly ColumnProfile[],
  mapping: Mapping,
): {
  readonly columns: readonly PlannedColumn[];
  readonly problems: readonly RowProblem[];
  readonly reasons: PlannedImport['reasons'];
} => {
  const problems: RowProblem[] = [];
  const chosen = new Map(Object.entries(mapping.columns).map(([name, choice]) => [name.toLowerCase(), choice]));
  refuseUnknownColumns(proposed, mapping);
  const taken = new Set<string>();
  for (const choice of chosen.values()) if ('core' in choice) taken.add(choice.core);
  const reasons: { reason: string; warning: string | null; type: string }[] = [];
  const columns = proposed.map((column): PlannedColumn => {
    const profile = profiles[column.index];
    const choice = chosen.get(column.column.toLowerCase());
    const planned = choice === undefined ? propose(column, taken) : choose(column, choice);
    const order = 'dateOrder' in planned ? dateOrderOf(column.column, profile, choice, mapping, problems) : null;
    reasons.push({
      reason: choice === undefined ? column.reason : 'the mapping says so',
      warning: column.warning,
      type: profile?.type ?? 'empty',
    });
    return 'dateOrder' in planned ? { ...planned, dateOrder: order } : planned;
  });
  return { columns, problems, reasons };
};

const refuseUnknownColumns = (proposed: readonly ColumnMapping[], mapping: Mapping): void => {
  const known = new Set(proposed.map((column) => column.column.toLowerCase()));
  const unknown = Object.keys(mapping.columns).filter((name) => !known.has(name.toLowerCase()));
  const cores = Object.entries(mapping.columns).filter(([, choice]) => 'core' in choice && !isCoreField(choice.core));
  const twice = Object.values(mapping.columns).flatMap((choice) => ('core' in choice ? [choice.core] : []));
  const repeated = twice.filter((core, index) => twice.indexOf(core) !== index);
  if (unknown.length + cores.length + repeated.length === 0) return;
  throw new CaseboundError('validation_failed', 'The mapping does not fit the load file.', {
    errors: [
      ...unknown.map((name) => ({
        path: `$.mapping.columns[${JSON.stringify(name)}]`,
        message: 'The file has no such column.',
      })),
      ...cores.map(([name]) => ({
        path: `$.mapping.columns[${JSON.stringify(name)}].core`,
        message: 'There is no such core field.',
      })),
      ...repeated.map((core) => ({ path: '$.mapping.columns', message: `Two columns are mapped to ${core}.` })),
    ],
  });
};

const propose = (column: ColumnMapping, taken: ReadonlySet<string>): PlannedColumn => {
  const { index, column: name } = column;
  if (column.target === 'core' && !taken.has(column.field) && isStoredCoreField(column.field)) {
    return { target: 'core', index, column: name, field: column.field, dateOrder: null };
  }
  const type = column.target === 'custom' ? (customTypes[column.type] ?? 'text') : 'long_text';
  return { target: 'custom', index, column: name, title: name.slice(0, 300), type, dateOrder: null };
};

const choose = ({ index, column: name }: ColumnMapping, choice: ColumnChoice): PlannedColumn => {
  if ('skip' in choice) return { target: 'skip', index, column: name };
  if ('core' in choice) return { target: 'core', index, column: name, field: choice.core, dateOrder: null };
  return { target: 'custom', index, column: name, title: choice.custom, type: choice.type ?? 'text', dateOrder: null };
};

/** The order that the values prove, else the one that the mapping states; what neither says is reported and such dates are refused. */
const dateOrderOf = (
  column: string,
  profile: ColumnProfile | undefined,
  choice: ColumnChoice | undefined,
  mapping: Mapping,
  problems: RowProblem[],
): 'month-first' | 'day-first' | null => {
  const stated = (choice !== undefined && 'dateOrder' in choice ? choice.dateOrder : undefined) ?? mapping.dateOrder;
  const order = profile?.date?.order;
  if (order === 'month-first' || order === 'day-first') return stated ?? order;
  if (stated !== undefined) return stated;
  if (order === 'ambiguous' || order === 'conflicting') {
    problems.push(
      problem(
        'warning',
        order === 'ambiguous' ? 'ambiguous_date' : 'conflicting_dates',
        `Day and month of the column ${column} can be read in either order; dates for which it matters are not taken. State "dateOrder" in a mapping.`,
        { field: column },
      ),
    );
  }
  return null;
};
