/** Opens the folder, zip or single file that an import reads. */
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { CaseboundError, hasCode } from '@casebound/contract';
import { findLibreOffice } from '../text/convert-with-libreoffice.ts';
import { FolderRoot } from './folder-root.ts';
import { officeTypeOf } from './expand-zip.ts';
import { FileBytes, isAbsent, readSpan, systemCode } from './random-bytes.ts';
import type { WorkspaceOptions } from './source-workspace.ts';
import { openSourceWorkspace } from './source-workspace.ts';
import { openZipArchive } from './zip-archive.ts';
import { ZipRoot } from './zip-root.ts';

/** An import root with its workspace, which `expandEntry` and `extractText` use. */
export type OpenedRoot = FolderRoot | ZipRoot;

/**
 * @param path of a folder, a zip (by content, whatever its name), or a single file such as a mailbox.
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
  const libreOffice = options.libreOffice === undefined ? await findLibreOffice() : options.libreOffice;
  const workspace = openSourceWorkspace({ ...options, libreOffice });
  if (isFolder) return new FolderRoot(real, workspace);
  try {
    const bytes = await FileBytes.open(dirname(real), real, path);
    try {
      const archive = (await isZip(bytes)) ? await openZipArchive(bytes, workspace.limits) : null;
      if (archive === null || (await officeTypeOf(archive)) !== null) {
        await bytes.close();
        return new FolderRoot(dirname(real), workspace, basename(real));
      }
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

const localHeader = 0x04034b50;
const emptyDirectory = 0x06054b50;

const isZip = async (bytes: FileBytes): Promise<boolean> => {
  const head = await readSpan(bytes, { start: 0, end: 4 });
  return head.length === 4 && [localHeader, emptyDirectory].includes(head.readUInt32LE(0));
};
