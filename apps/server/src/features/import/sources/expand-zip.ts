/** A zip that is not the import root: a container whose members are items. */
import type { Readable } from 'node:stream';
import type { FileType } from './file-type.ts';
import { mimeOfName } from './file-type.ts';
import { readHead } from './random-bytes.ts';
import type { Expansion, SourceProblem } from './source-model.ts';
import type { ExpandContext, RandomNode } from './source-node.ts';
import { itemOf, parentOfMembers, problemAt } from './source-node.ts';
import type { ZipArchive } from './zip-archive.ts';

const officeParts: readonly (readonly [string, string])[] = [
  ['word/document.xml', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'],
  ['xl/workbook.xml', 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'],
  ['xl/workbook.bin', 'application/vnd.ms-excel.sheet.binary.macroenabled.12'],
  ['ppt/presentation.xml', 'application/vnd.openxmlformats-officedocument.presentationml.presentation'],
];

/** What kind of Office document a zip is; null when it is none. OPC: ECMA-376 part 2; ODF: part 2, 3.3. */
export const officeTypeOf = async (archive: ZipArchive): Promise<string | null> => {
  const paths = new Map(archive.members.map((member) => [member.path, member]));
  if (paths.has('[Content_Types].xml')) {
    // A part that the archive's reader refuses still says what the file is.
    const refused = new Set(archive.problems.map(({ path }) => path));
    return (
      officeParts.find(([part]) => paths.has(part) || refused.has(part))?.[1] ??
      'application/vnd.openxmlformats-package'
    );
  }
  const mimetype = paths.get('mimetype');
  if (mimetype === undefined || mimetype.size > 200) return null;
  let stream: Readable;
  try {
    stream = await archive.open(mimetype);
    const mime = (await readHead(stream, 200)).toString('latin1').trim();
    return /^application\/[\w.+-]+$/u.test(mime) ? mime : null;
  } catch {
    return null;
  }
};

export const expandZip = async function* (
  node: RandomNode,
  type: FileType,
  archive: ZipArchive,
  context: ExpandContext,
  problems: readonly SourceProblem[],
): AsyncGenerator<Expansion> {
  const below = (path: string): string => (path === '' ? node.path : `${node.path}/${path}`);
  const own = archive.problems.filter(({ path }) => path === '').map((problem) => ({ ...problem, path: node.path }));
  yield itemOf(node, type, { kind: 'container', problems: [...problems, ...own] });
  for (const problem of archive.problems) {
    if (problem.path !== '') yield problemAt(below(problem.path), problem.code, problem.reason);
  }
  for (const member of archive.members) {
    const path = below(member.path);
    if (!context.spend(member.size)) {
      yield problemAt(path, 'bomb', 'Archives within archives unpack to more than the outermost file allows.');
      return;
    }
    yield* context.expand({
      path,
      fileName: member.path.slice(member.path.lastIndexOf('/') + 1),
      parentPath: parentOfMembers(node),
      sourcePath: node.path,
      depth: node.depth + 1,
      size: member.size,
      modifiedAt: member.modifiedAt,
      statedMime: mimeOfName(member.path),
      attachment: null,
      problems: [],
      bytes: null,
      open: () => archive.open(member),
    });
  }
};
