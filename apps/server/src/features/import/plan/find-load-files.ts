/**
 * Which files of a root are load files.
 *
 * - A data file is a `.dat`, or a `.csv`, `.tsv` or `.txt` whose header has a control number and a link to a file or text, or an EDRM XML; an image list
 *   is an `.opt` or `.lfp`. They stand near the top of a production: the level nearest to it that has one decides, and deeper than three
 *   folders nothing is looked for. What lies below is not listed for it.
 * - Several data files are a question for the user, not a guess.
 */
import { CaseboundError } from '@casebound/contract';
import { inspectLoadFile } from '@casebound/loadfile';
import type { ImportRoot } from '../sources/source-model.ts';

export interface FoundLoadFiles {
  readonly dataFile: string;
  readonly imageList: { readonly path: string; readonly format: 'opt' | 'lfp' } | null;
}

/** Names of a path: the root and the folders in it first, then a level more at a time. */
const depths = [2, 3, 4];
const maxSmallTables = 20;
const looseTable = /\.(?:csv|tsv|txt)$/i;

interface Candidates {
  readonly data: readonly string[];
  readonly tables: readonly string[];
  readonly xml: readonly string[];
  readonly images: readonly string[];
}

/** Of tables and XML files, those that are load files. */
const promising = async (root: ImportRoot, { tables, xml }: Candidates): Promise<readonly string[]> => {
  const found: string[] = [];
  for (const table of tables) if (await isProductionTable(root, table)) found.push(table);
  for (const file of xml) if (await isEdrm(root, file)) found.push(file);
  return found;
};

const isEdrm = async (root: ImportRoot, path: string): Promise<boolean> => {
  const stream = await root.open(path);
  try {
    const { format } = await inspectLoadFile(firstBytes(stream), { fileName: path, maxProblems: 0 });
    return format.format === 'edrm-xml' && format.confidence === 1;
  } finally {
    stream.destroy();
  }
};

const look = async (root: ImportRoot, maxDepth: number): Promise<Candidates> => {
  const [data, tables, images, xml]: [string[], string[], string[], string[]] = [[], [], [], []];
  for await (const { path } of root.list({ maxDepth })) {
    if (/\.dat$/i.test(path)) data.push(path);
    else if (/\.(?:opt|lfp)$/i.test(path)) images.push(path);
    else if (/\.xml$/i.test(path) && path.split('/').length <= 2 && xml.length < maxSmallTables) xml.push(path);
    else if (looseTable.test(path) && path.split('/').length <= 2 && tables.length < maxSmallTables) tables.push(path);
  }
  return { data, tables, xml, images };
};

/** Image lists as near as the data file, else one folder deeper. */
const imagesFor = async (root: ImportRoot, dataFile: string, found: Candidates, depth: number) =>
  imageListFor(dataFile, found.images.length > 0 ? found.images : (await look(root, depth + 1)).images);

/** @returns null when the root holds loose files. Errors: `import_source_invalid` when there are several data files. */
export const findLoadFiles = async (root: ImportRoot, named: string | null): Promise<FoundLoadFiles | null> => {
  for (const depth of depths) {
    const found = await look(root, depth);
    if (named !== null) return { dataFile: named, imageList: await imagesFor(root, named, found, depth) };
    const data = [...found.data];
    if (data.length === 0 && depth === depths[0]) {
      data.push(...(await promising(root, found)));
    }
    const [dataFile, second] = data;
    if (dataFile === undefined) continue;
    if (second !== undefined) {
      throw new CaseboundError(
        'import_source_invalid',
        `The source has ${data.length} load files (${dataFile}, ${second}${data.length > 2 ? ', ...' : ''}); name the one to import.`,
      );
    }
    return { dataFile, imageList: await imagesFor(root, dataFile, found, depth) };
  }
  return null;
};

const stemOf = (path: string): string =>
  path
    .replace(/^.*\//, '')
    .replace(/\.[^.]*$/, '')
    .toLowerCase();

/** The image list of the data file's name, else the only one. */
const imageListFor = (dataFile: string, images: readonly string[]): FoundLoadFiles['imageList'] => {
  const chosen =
    images.find((path) => stemOf(path) === stemOf(dataFile)) ?? (images.length === 1 ? images[0] : undefined);
  if (chosen === undefined) {
    if (images.length === 0) return null;
    throw new CaseboundError(
      'import_source_invalid',
      `The source has ${images.length} image lists and none is named like ${dataFile}; remove those that are not meant.`,
    );
  }
  return { path: chosen, format: /\.lfp$/i.test(chosen) ? 'lfp' : 'opt' };
};

const isProductionTable = async (root: ImportRoot, path: string): Promise<boolean> => {
  const stream = await root.open(path);
  try {
    const report = await inspectLoadFile(firstBytes(stream), { fileName: path, maxProblems: 0 });
    const fields =
      report.delimited?.mapping.flatMap((column) => (column.target === 'core' ? [column.field] : [])) ?? [];
    return (
      fields.includes('controlNumber') &&
      fields.some((field) => ['nativePath', 'textPath', 'imagePath'].includes(field))
    );
  } finally {
    stream.destroy();
  }
};

const lookAheadBytes = 256 * 1024;

async function* firstBytes(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let read = 0;
  for await (const chunk of source) {
    yield chunk;
    read += chunk.length;
    if (read >= lookAheadBytes) return;
  }
}
