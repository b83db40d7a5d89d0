/**
 * A load file with its natives, text and images, as rows.
 *
 * - The file is read as a stream, for its rows and before that for their keys, unless those were read with its plan; memory is a chunk of it.
 * - Paths in it are untrusted: they are resolved below the root or refused, and refused ones are problems of their row.
 */
import {
  DelimitedReader,
  type DelimitedOptions,
  isRejected,
  type LoadFileProblem,
  problemTable,
  readLfp,
  lfpPath,
  readOpticon,
  type Row,
} from '@casebound/loadfile';
import { problem, type RowProblem } from '../import-problem.ts';
import type { LoadFilePlan } from '../plan/import-plan.ts';
import {
  type ImageDocument,
  originalPosition,
  type RowFile,
  type RowSource,
  type SourceRow,
  type StagedPage,
} from '../source-row.ts';
import type { ImportRoot } from '../sources/source-model.ts';
import { edrmPages, EdrmReader, type EdrmSurvey, surveyEdrm } from './edrm-rows.ts';
import { findUnreferenced } from './find-unreferenced.ts';
import type { MappedRow } from './map-row.ts';
import { PathSet } from './path-set.ts';
import { createKeyReader, createRowMapper, type ReadOptions } from './read-keys.ts';

export interface LoadFileSourceOptions extends ReadOptions {
  readonly root: ImportRoot;
  readonly rootedPaths: 'refuse' | 'strip';
  /** Paths that the rows name, where their keys have been read already. */
  readonly named: PathSet | undefined;
}

const pagesPerBatch = 5_000;

export const createLoadFileSource = (options: LoadFileSourceOptions): RowSource => {
  const { root, plan, mapping } = options;
  const folder = plan.dataFile.includes('/') ? plan.dataFile.slice(0, plan.dataFile.lastIndexOf('/')) : '';

  /** Columns and parents of an XML file. */
  let edrm: EdrmSurvey | undefined;

  const openReader = async (
    onProblem: (found: LoadFileProblem) => void,
  ): Promise<Pick<DelimitedReader, 'dialect' | 'rows' | 'batches'>> => {
    if (plan.format === 'edrm-xml') {
      edrm ??= await surveyEdrm(root, plan.dataFile);
      return new EdrmReader(root, plan.dataFile, edrm, onProblem);
    }
    const settings: DelimitedOptions = {
      header: plan.hasHeader,
      dialect: mapping.dialect as NonNullable<DelimitedOptions['dialect']>,
      onProblem,
      ...(plan.encoding === null ? {} : { encoding: plan.encoding }),
    };
    return DelimitedReader.open(await root.open(plan.dataFile), settings);
  };

  /** What the source names: filled by `keys` and `pages`. */
  const named = options.named ?? new PathSet();

  const cellsOf = (row: Row): { row: number; line: number; cells: readonly string[] } => ({
    row: row.record,
    line: row.line,
    cells: row.cells,
  });

  /** A path as the load file writes it; relative to the root, else to the load file's own folder. */
  const locate = async (written: string): Promise<RowFile | { readonly refused: string; readonly code: string }> => {
    const rooted = options.rootedPaths;
    let found = await root.resolve(written, { rooted });
    if (!found.ok && found.code === 'missing' && folder !== '')
      found = await root.resolve(written, { rooted, below: folder });
    if (!found.ok && found.code === 'missing' && folder.includes('/')) {
      found = await root.resolve(written, { rooted, below: folder.slice(0, folder.lastIndexOf('/')) });
    }
    if (!found.ok) return { refused: found.reason, code: found.code };
    const { path } = found;
    return { name: path.slice(path.lastIndexOf('/') + 1), path, open: async () => root.open(path) };
  };

  const fromRow = async (mapped: MappedRow, row: Row): Promise<SourceRow> => {
    const problems: RowProblem[] = [...mapped.problems];
    const fileOf = async (field: keyof MappedRow['paths'], written: string, what: string): Promise<RowFile | null> => {
      const found = await locate(written);
      if (!('refused' in found)) return found;
      problems.push(
        problem(
          'error',
          found.code === 'missing' ? `${what}_missing` : found.code,
          `The ${what} cannot be taken: ${found.refused}`,
          {
            row: row.record,
            line: row.line,
            path: plan.dataFile,
            field,
            value: written,
          },
        ),
      );
      return null;
    };
    const { imagePath, nativePath, textPath, annotationsPath } = mapped.paths;
    const image = imagePath === undefined ? null : await fileOf('imagePath', imagePath, 'image');
    return {
      row: row.record,
      line: row.line,
      path: null,
      controlNumber: mapped.controlNumber,
      parentKey: mapped.parentKey,
      familyKey: mapped.familyKey,
      matchKey: mapped.matchKey,
      hashes: mapped.hashes,
      custodian: mapped.custodians[0] ?? options.custodian ?? null,
      rejected: false,
      document: mapped.document,
      exhibit: mapped.exhibit,
      values: mapped.values,
      emptied: mapped.emptied,
      custodians:
        mapped.custodians.length === 0 && options.custodian !== undefined ? [options.custodian] : mapped.custodians,
      labels: mapped.labels,
      folders: mapped.folders,
      confidentiality: mapped.confidentiality,
      native: nativePath === undefined ? null : await fileOf('nativePath', nativePath, 'native'),
      text: textPath === undefined ? null : await fileOf('textPath', textPath, 'text'),
      pageTexts: mapped.inlineText === null ? null : mapped.inlineText.split('\f'),
      pages: image === null ? [] : [{ pageId: null, image }],
      annotations:
        annotationsPath === undefined ? null : await fileOf('annotationsPath', annotationsPath, 'annotations'),
      listedIn: plan.dataFile,
      problems,
    };
  };

  const emptyRow = (row: number, line: number | null, rejected: boolean, listedIn: string | null): SourceRow => ({
    row,
    line,
    path: null,
    controlNumber: null,
    parentKey: null,
    familyKey: null,
    matchKey: null,
    hashes: { md5: null, sha1: null, sha256: null },
    custodian: null,
    rejected,
    document: {},
    exhibit: {},
    values: {},
    emptied: { document: [], exhibit: [], values: [] },
    custodians: [],
    labels: [],
    folders: [],
    confidentiality: [],
    native: null,
    text: null,
    pageTexts: null,
    pages: [],
    annotations: null,
    listedIn,
    problems: [],
  });

  const imageRow = async ({ row, line, docKey, firstImage }: ImageDocument): Promise<SourceRow> => {
    const beside = await locate(`${firstImage.replace(/\.[^.\\/]*$/, '')}.txt`);
    const custodian = options.custodian === undefined ? [] : [options.custodian];
    return {
      ...emptyRow(row, line, false, plan.imageList?.path ?? null),
      controlNumber: docKey,
      custodian: options.custodian ?? null,
      custodians: custodian,
      text: 'refused' in beside ? null : beside,
    };
  };

  return {
    sequential: false,
    async *keys(onProblem) {
      const reader = await openReader((found) => onProblem(fromLoadFile(found, plan.dataFile)));
      const keysOf = createKeyReader(options, reader.dialect, named);
      for await (const batch of reader.batches()) yield keysOf(batch);
    },
    async *pages(onProblem) {
      if (plan.format === 'edrm-xml') {
        for await (const batch of edrmPages(root, plan.dataFile)) {
          for (const page of batch) named.addWritten(page.path);
          yield batch;
        }
      }
      if (plan.imageList === null) return;
      for await (const batch of readImageList(root, plan.imageList, onProblem)) {
        for (const page of batch) {
          named.addWritten(page.path);
          // The text that may stand beside the first image of a document that no row names.
          if (page.position === 1) named.addWritten(`${page.path.replace(/\.[^.\\/]*$/, '')}.txt`);
        }
        yield batch;
      }
    },
    async *rows(after) {
      const reader = await openReader(() => undefined);
      const mapper = createRowMapper(options, reader.dialect);
      for await (const batch of reader.batches()) {
        for (const row of batch) {
          if (row.record <= after) continue;
          yield isRejected(row.problems)
            ? emptyRow(row.record, row.line, true, plan.dataFile)
            : await fromRow(mapper.map(cellsOf(row)), row);
        }
      }
    },
    imageFile: locate,
    imageList: plan.format === 'edrm-xml' ? plan.dataFile : (plan.imageList?.path ?? null),
    imageRow,
    unreferenced: () => {
      named.addWritten(plan.dataFile);
      if (plan.imageList !== null) named.addWritten(plan.imageList.path);
      return findUnreferenced(root, named, folder);
    },
    close: async () => root.close(),
  };
};

/** A problem of a load file as one of the import. */
export const fromLoadFile = (found: LoadFileProblem, path: string): RowProblem => ({
  severity: problemTable[found.code].severity,
  code: found.code,
  row: null,
  line: found.line === 0 ? null : found.line,
  path,
  field: found.field ?? null,
  value: found.value?.replaceAll('\0', '\uFFFD') ?? null,
  reason: found.message,
  rejected: problemTable[found.code].row === 'rejected',
});

async function* readImageList(
  root: ImportRoot,
  list: NonNullable<LoadFilePlan['imageList']>,
  onProblem: (found: RowProblem) => void,
): AsyncIterable<readonly StagedPage[]> {
  let batch: StagedPage[] = [];
  let docKey = '';
  let position = 0;
  const add = (begins: boolean, pageId: string, path: string, line: number): void => {
    if (begins || docKey === '') {
      docKey = pageId;
      position = 0;
    }
    position += 1;
    batch.push({ docKey, position, pageId, path, line });
  };
  const stream = await root.open(list.path);
  if (list.format === 'opt') {
    for await (const lines of readOpticon(stream, {
      onProblem: (found) => onProblem(fromLoadFile(found, list.path)),
    })) {
      for (const { line, page } of lines) {
        if (page !== undefined) add(page.documentBreak, page.pageId, page.path, line);
      }
      if (batch.length >= pagesPerBatch) {
        yield batch;
        batch = [];
      }
    }
  } else {
    for await (const lines of readLfp(stream, { onProblem: (found) => onProblem(fromLoadFile(found, list.path)) })) {
      for (const { line, record } of lines) {
        // A page of a file of several pages: the file itself is taken once.
        if (record?.kind === 'image' && record.offset <= 1) {
          add(record.boundary !== 'page', record.key, lfpPath(record.location), line);
        } else if (record?.kind === 'original') {
          const { key, location } = record;
          batch.push({ docKey: key, position: originalPosition, pageId: key, path: lfpPath(location), line });
        }
      }
      if (batch.length >= pagesPerBatch) {
        yield batch;
        batch = [];
      }
    }
  }
  if (batch.length > 0) yield batch;
}
