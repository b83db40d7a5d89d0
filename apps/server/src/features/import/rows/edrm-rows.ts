/**
 * An EDRM XML file as rows of a table, so that it is mapped, staged and imported as other load files are.
 *
 * - Columns are those of `structure` (number, parent, files, hashes), then tags and fields by name in the order in which the file first has
 *   them. A tag that a document repeats is a cell of several values.
 * - Relationships may follow the documents that they are about, so parents are gathered in a reading of their own: a pair of numbers each.
 */
import {
  dialects,
  type EdrmDocument,
  type EdrmExternalFile,
  type LoadFileProblem,
  readEdrmXml,
  type Row,
} from '@casebound/loadfile';
import type { StagedPage } from '../source-row.ts';
import type { ImportRoot } from '../sources/source-model.ts';

/** What every document has a column for, with the core field that it is. */
export const structure = [
  { name: 'DocID', field: 'controlNumber' },
  { name: 'ParentDocID', field: 'parentId' },
  { name: 'Custodian', field: 'custodian' },
  { name: 'LocationURI', field: 'originalPath' },
  { name: 'MimeType', field: 'mimeType' },
  { name: 'NativeFile', field: 'nativePath' },
  { name: 'TextFile', field: 'textPath' },
  { name: 'NativeMD5', field: 'md5Hash' },
  { name: 'NativeSHA1', field: 'sha1Hash' },
] as const;

const dialect = dialects.csv;
const isParent = /^(?:attachment|container)$/i;

export interface EdrmSurvey {
  /** Names of all columns. */
  readonly names: readonly string[];
  /** Parent by child. */
  readonly parents: ReadonlyMap<string, string>;
}

const tagName = (name: string): string => name.replace(/^#/, '');

/** Reads the whole file once for its columns and relationships. */
export const surveyEdrm = async (root: ImportRoot, file: string): Promise<EdrmSurvey> => {
  const names = new Set<string>(structure.map(({ name }) => name));
  const labels = new Map<string, string>();
  const parents = new Map<string, string>();
  for await (const batch of readEdrmXml(await root.open(file))) {
    for (const { record } of batch) {
      if (record.kind === 'field') labels.set(record.key, record.name);
      else if (record.kind === 'document') {
        for (const { name } of record.tags) names.add(tagName(name));
        for (const { key } of record.fieldValues) names.add(labels.get(key) ?? key);
      } else if (record.kind === 'relationship' && isParent.test(record.type))
        parents.set(record.childDocId, record.parentDocId);
    }
  }
  return { names: [...names], parents };
};

const pathOf = ({ filePath, fileName }: EdrmExternalFile): string => {
  const folder = filePath.replaceAll('\\', '/').replace(/\/$/, '');
  if (folder === '' || folder === fileName || folder.endsWith(`/${fileName}`)) return folder === '' ? fileName : folder;
  return `${folder}/${fileName}`;
};

const filesOf = (document: EdrmDocument, type: string): readonly EdrmExternalFile[] =>
  document.files.filter(({ fileType }) => fileType.toLowerCase() === type).flatMap(({ files }) => files);

const cellsOf = (
  document: EdrmDocument,
  labels: ReadonlyMap<string, string>,
  { names, parents }: EdrmSurvey,
): readonly string[] => {
  const [native] = filesOf(document, 'native');
  const [text] = filesOf(document, 'text');
  const [location] = document.locations;
  const isSha1 = /^sha-?1$/i.test(native?.hashType ?? '');
  const isMd5 = /^(?:md5)?$/i.test(native?.hashType ?? '');
  const values = new Map<string, string[]>([
    ['DocID', [document.docId]],
    ['ParentDocID', [parents.get(document.docId) ?? '']],
    ['Custodian', [location?.custodian ?? '']],
    ['LocationURI', [location?.uri ?? '']],
    ['MimeType', [document.mimeType]],
    ['NativeFile', [native === undefined ? '' : pathOf(native)]],
    ['TextFile', [text === undefined ? '' : pathOf(text)]],
    ['NativeMD5', [isMd5 ? (native?.hash ?? '') : '']],
    ['NativeSHA1', [isSha1 ? (native?.hash ?? '') : '']],
  ]);
  const own = new Set(values.keys());
  const add = (name: string, value: string): void => {
    // A tag of the name of a column of the structure says the same again.
    if (own.has(name)) return;
    const list = values.get(name);
    if (list === undefined) values.set(name, [value]);
    else list.push(value);
  };
  for (const { name, value } of document.tags) add(tagName(name), value);
  for (const { key, value } of document.fieldValues) add(labels.get(key) ?? key, value);
  return names.map((name) => (values.get(name) ?? []).join(dialect.multiValue));
};

/** Rows of a file, as a reader of delimited files gives them. */
export class EdrmReader {
  readonly dialect = dialect;
  readonly #root: ImportRoot;
  readonly #file: string;
  readonly #survey: EdrmSurvey;
  readonly #onProblem: (found: LoadFileProblem) => void;

  constructor(root: ImportRoot, file: string, survey: EdrmSurvey, onProblem: (found: LoadFileProblem) => void) {
    this.#root = root;
    this.#file = file;
    this.#survey = survey;
    this.#onProblem = onProblem;
  }

  async *batches(): AsyncGenerator<readonly Row[]> {
    const labels = new Map<string, string>();
    let record = 0;
    for await (const lines of readEdrmXml(await this.#root.open(this.#file), { onProblem: this.#onProblem })) {
      const rows: Row[] = [];
      for (const { line, record: found } of lines) {
        if (found.kind === 'field') labels.set(found.key, found.name);
        if (found.kind !== 'document') continue;
        record += 1;
        rows.push({ record, line, cells: cellsOf(found, labels, this.#survey), problems: [] });
      }
      if (rows.length > 0) yield rows;
    }
  }

  async *rows(): AsyncGenerator<Row> {
    for await (const batch of this.batches()) yield* batch;
  }
}

/** Page images of the documents. */
export async function* edrmPages(root: ImportRoot, file: string): AsyncGenerator<readonly StagedPage[]> {
  for await (const lines of readEdrmXml(await root.open(file))) {
    yield lines.flatMap(({ line, record }) =>
      record.kind === 'document'
        ? filesOf(record, 'image').map((image, at) => {
            const position = at + 1;
            const path = pathOf(image);
            // Pages have no numbers of their own here, and a file may have several.
            return { docKey: record.docId, position, pageId: '', path, line };
          })
        : [],
    );
  }
}
