/**
 * Files of a production that neither load file nor image list names. They are no part of the import, and people want to know of them.
 *
 * - The first thousand are told one by one, with a look at what they are where the name says page image or PDF; the rest is counted.
 */
import { problem, type RowProblem } from '../import-problem.ts';
import { detectFileType, headBytes } from '../sources/file-type.ts';
import type { ImportRoot, SourceEntry } from '../sources/source-model.ts';
import { imageTypeOf } from '../write/image-type.ts';
import type { PathSet } from './path-set.ts';

const toldOneByOne = 1_000;
const imageName = /\.(?:tiff?|jpe?g|png|pdf|gif|bmp)$/i;

/** `folder` is that of the load file: paths may be relative to it, or to the one above. */
export async function* findUnreferenced(root: ImportRoot, named: PathSet, folder: string): AsyncGenerator<RowProblem> {
  const bases = ['', folder, folder.includes('/') ? folder.slice(0, folder.lastIndexOf('/')) : ''];
  const isNamed = ({ path }: SourceEntry): boolean =>
    bases.some((base) =>
      base === '' ? named.has(path) : path.startsWith(`${base}/`) && named.has(path.slice(base.length + 1)),
    );
  let [count, bytes] = [0, 0];
  for await (const entry of root.list()) {
    if (isNamed(entry)) continue;
    count += 1;
    bytes += entry.size;
    if (count > toldOneByOne) continue;
    yield problem('note', 'unreferenced_file', 'Nothing names the file; it is not imported.', { path: entry.path });
    if (imageName.test(entry.path)) yield* lookAt(root, entry);
  }
  if (count > toldOneByOne) {
    yield problem(
      'note',
      'unreferenced_files',
      `${count} files of ${bytes} bytes are named by nothing and not imported; the first ${toldOneByOne} are listed.`,
    );
  }
}

async function* lookAt(root: ImportRoot, { path }: SourceEntry): AsyncGenerator<RowProblem> {
  const head = await headOf(root, path);
  if (head === undefined || imageTypeOf(head) !== undefined) return;
  const { mime } = await detectFileType('', head, null);
  yield problem('warning', 'content_mismatch', `The file is named as a page image, and its content is ${mime}.`, {
    path,
  });
}

const headOf = async (root: ImportRoot, path: string): Promise<Buffer | undefined> => {
  try {
    const stream = await root.open(path);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of stream) {
      chunks.push(chunk as Buffer);
      size += (chunk as Buffer).length;
      if (size >= headBytes) break;
    }
    return Buffer.concat(chunks).subarray(0, headBytes);
  } catch {
    // A file that nobody asked for may be unreadable.
    return undefined;
  }
};
