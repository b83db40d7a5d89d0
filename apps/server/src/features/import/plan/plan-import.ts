/**
 * Looks at a source and says what an import would make of it. Reads the whole data file once: types and date orders are those of all
 * values, not of the first. Writes nothing.
 */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { CaseboundError, type ImportRequest } from '@casebound/contract';
import {
  type ColumnMapping,
  ColumnProfiler,
  type DelimitedBeginning,
  type InspectOptions,
  type InspectReport,
  inspectLoadFile,
  type LoadFileProblem,
  proposeMapping,
  type Row,
} from '@casebound/loadfile';
import type { RowProblem } from '../import-problem.ts';
import { EdrmReader, structure, surveyEdrm } from '../rows/edrm-rows.ts';
import { type OpenedRoot, openImportRoot } from '../sources/open-import-root.ts';
import { pinFile } from '../sources/pinned-root.ts';
import { checkOverlayKey } from '../stage/match-rows.ts';
import { findLoadFiles } from './find-load-files.ts';
import type { ImportPlan, LoadFilePlan, PlannedColumn } from './import-plan.ts';
import { planColumns, type PlannedColumns } from './plan-columns.ts';

export interface PlannedImport {
  readonly plan: ImportPlan;
  readonly report: InspectReport | null;
  /** Problems of the file and of its columns, before any row is taken. */
  readonly problems: readonly RowProblem[];
  /** In the order of `plan.columns`. */
  readonly reasons: PlannedColumns['reasons'];
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

/** Whoever needs the rows of a delimited load file while it is read for its plan. */
export interface RowTaker {
  /** Told what is wrong with the file as it is read. */
  onProblem(found: LoadFileProblem): void;
  /**
   * Takes all rows, or none by giving undefined. `plan` is what the first rows make of the file: the one that holds is known when all are
   * read, and differs from it in columns alone.
   */
  take(
    plan: LoadFilePlan,
    dialect: DelimitedBeginning['dialect'],
    rows: AsyncIterable<readonly Row[]>,
  ): Promise<void> | undefined;
}

/** Plans the import of an opened source. */
export const planImport = async (
  { root, rootPath, named }: OpenedSource,
  { mapping, overlay }: Pick<ImportRequest, 'mapping' | 'overlay'>,
  signal?: AbortSignal,
  taker?: RowTaker,
): Promise<PlannedImport> => {
  const found = await findLoadFiles(root, named);
  if (found === null && overlay !== undefined) {
    throw new CaseboundError('import_source_invalid', 'An overlay needs a load file; the source holds loose files.');
  }
  if (found === null) return { plan: { kind: 'loose_files', root: rootPath }, report: null, problems: [], reasons: [] };
  const { dataFile, imageList } = found;
  const readTwice = [dataFile, ...(imageList === null ? [] : [imageList.path])];
  const pins = await Promise.all(readTwice.map(async (file) => pinFile(rootPath, file)));
  const planOf = (format: LoadFilePlan['format'], described: Described): PlannedColumns & { plan: LoadFilePlan } => {
    const { hasHeader } = described;
    const planned = planColumns(described.mapping, described.columns, mapping);
    if (overlay === undefined) requireControlNumber(dataFile, planned.columns, hasHeader);
    else requireKey(dataFile, planned.columns, overlay.key);
    const plan: LoadFilePlan = {
      kind: 'load_file',
      format,
      root: rootPath,
      dataFile,
      // Pages are no values: an overlay changes what is known of documents, and their native and text.
      imageList: overlay === undefined ? imageList : null,
      encoding: mapping.encoding ?? null,
      hasHeader,
      columns: [...planned.columns],
      pins,
    };
    return { ...planned, plan };
  };
  const report = await inspectLoadFile(await root.open(dataFile), {
    fileName: dataFile,
    maxProblems: 1_000,
    ...(mapping.encoding === undefined ? {} : { encoding: mapping.encoding }),
    ...(mapping.header === undefined ? {} : { header: mapping.header }),
    dialect: mapping.dialect as NonNullable<InspectOptions['dialect']>,
    ...(signal === undefined ? {} : { signal }),
    ...(taker === undefined ? {} : rowsFor(taker, (beginning) => planOf('delimited', beginning).plan)),
  });
  const isEdrm = report.format.format === 'edrm-xml';
  if (report.delimited === null && !isEdrm) {
    throw new CaseboundError(
      'import_source_invalid',
      `${dataFile} is no file of rows and columns (${report.format.reason}); run \`casebound loadfile inspect\` on it.`,
    );
  }
  if (report.problemCounts.some(({ code }) => code === 'empty_file')) {
    throw new CaseboundError(
      'import_source_invalid',
      `${dataFile} holds no row: it is empty, or there is nothing in it but blank lines and padding.`,
    );
  }
  const { plan, problems, reasons } =
    report.delimited === null
      ? planOf('edrm-xml', await describeEdrm(root, dataFile))
      : planOf('delimited', report.delimited);
  return { plan, report, problems: problems.map((it) => ({ ...it, path: dataFile })), reasons };
};

type Described = Pick<DelimitedBeginning, 'hasHeader' | 'mapping' | 'columns'>;

/** How an inspection serves the taker. A beginning that cannot be planned is given to nobody: whether the whole can be is seen later, and said. */
const rowsFor = (
  taker: RowTaker,
  planOf: (beginning: DelimitedBeginning) => LoadFilePlan,
): Pick<InspectOptions, 'onProblem' | 'takeRows'> => ({
  onProblem: (found) => {
    taker.onProblem(found);
  },
  takeRows: (beginning, rows) => {
    let plan: LoadFilePlan;
    try {
      plan = planOf(beginning);
    } catch (error) {
      if (error instanceof CaseboundError) return undefined;
      throw error;
    }
    return taker.take(plan, beginning.dialect, rows);
  },
});

/** What the columns of an XML file are: those of its structure are known, tags and fields are proposed by name and values. */
const describeEdrm = async (root: OpenedRoot, file: string): Promise<Described> => {
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
  return { mapping, columns, hasHeader: true };
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
