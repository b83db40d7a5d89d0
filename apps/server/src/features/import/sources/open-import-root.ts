/** Opens the folder or zip that an import reads. */
import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CaseboundError, hasCode } from '@casebound/contract';
import { FolderRoot } from './folder-root.ts';
import { FileBytes, isAbsent, systemCode } from './random-bytes.ts';
import type { WorkspaceOptions } from './source-workspace.ts';
import { openSourceWorkspace } from './source-workspace.ts';
import { openZipArchive } from './zip-archive.ts';
import { ZipRoot } from './zip-root.ts';

/** An import root with its workspace, which `expandEntry` and `extractText` use. */
export type OpenedRoot = FolderRoot | ZipRoot;

/**
 * @param path of a folder, or of a zip (by content, whatever its name).
 * @throws CaseboundError `import_root_unreadable`.
 */
export const openImportRoot = async (path: string, options: WorkspaceOptions = {}): Promise<OpenedRoot> => {
  const refuse = (reason: string, cause?: unknown): CaseboundError =>
    new CaseboundError('import_root_unreadable', `${path}: ${reason}`, cause === undefined ? {} : { cause });
  let real: string;
  let isFolder: boolean;
  try {
    real = await realpath(path);
    const found = await stat(real);
    isFolder = found.isDirectory();
    if (!isFolder && !found.isFile()) throw refuse('it is neither a folder nor a file.');
  } catch (error) {
    if (error instanceof CaseboundError) throw error;
    if (isAbsent(error)) throw refuse('there is no such folder or file.', error);
    throw refuse(`the system refuses to look at it (${systemCode(error) ?? 'unknown'}).`, error);
  }
  const workspace = openSourceWorkspace(options);
  if (isFolder) return new FolderRoot(real, workspace);
  try {
    const bytes = await FileBytes.open(dirname(real), real, path);
    try {
      const archive = await openZipArchive(bytes, workspace.limits);
      const [broken] = archive.problems.filter((problem) => problem.path === '');
      if (archive.members.length === 0 && broken !== undefined) throw refuse(broken.reason);
      return new ZipRoot(bytes, archive, workspace);
    } catch (error) {
      await bytes.close();
      throw error;
    }
  } catch (error) {
    await workspace.close();
    if (hasCode(error, 'import_root_unreadable') || !(error instanceof CaseboundError)) throw error;
    throw refuse(error.message, error);
  }
};
