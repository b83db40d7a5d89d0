/**
 * The folder of a store: made where there is none, and its format, which says how keys become paths.
 *
 * - The marker that names the format appears whole or not at all. A store without one that holds objects is refused: read in the wrong format, all of
 *   them would seem to be gone.
 */
import { constants } from 'node:fs';
import { access, link, mkdir, readdir, readFile, realpath, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CaseboundError } from '@casebound/contract';
import type { FilesystemObjectStoreConfig } from '../../config.ts';
import { isErrno } from './file-errors.ts';
import { flatLayout, mirroredLayout, type Layout } from './object-path.ts';
import type { Place } from './read-object.ts';
import { temporaryName, type Owner } from './temporary-files.ts';

/** Of new stores. One of format 1 is used as it is. */
const formatVersion = 2;
const formatFile = '%casebound-object-store.json';
const temporaryFolder = '%tmp';

const makeFolder = async (path: string, mode: number): Promise<void> => {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
};

const readMarker = async (marker: string): Promise<string | undefined> => {
  try {
    return await readFile(marker, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
};

const denied = (message: string): CaseboundError => new CaseboundError('object_store_denied', message);

const writeMarker = async (root: string, marker: string, owner: Owner): Promise<void> => {
  const objects = (await readdir(root)).filter((name) => !name.startsWith('%'));
  // Objects of another process come after its marker.
  if (objects.length > 0 && (await readMarker(marker)) === undefined)
    throw denied(
      `The folder ${root} holds files, but not ${formatFile}. Restore that file, or choose another folder; an object store of before version 2 has {"format":1} in it.`,
    );
  const temporary = join(root, temporaryFolder, temporaryName(owner));
  await writeFile(temporary, `${JSON.stringify({ format: formatVersion })}\n`, {
    flag: 'wx',
    mode: 0o644,
    flush: true,
  });
  try {
    await link(temporary, marker);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  } finally {
    await unlink(temporary);
  }
};

const layoutOf = (root: string, marker: string, text: string): Layout => {
  const found = /^\{"format":([1-9]\d*)\}\n$/.exec(text)?.[1];
  // Empty: a process of the first version is just writing it, or lost power while it did.
  const format = text === '' ? 1 : Number(found);
  if (Number.isNaN(format))
    throw denied(
      `The file ${marker} is damaged, so ${root} may be no object store. Restore the file, or choose another folder.`,
    );
  if (format > formatVersion)
    throw denied(
      `The folder ${root} was written by a newer version of Casebound (format ${format}). Use that version.`,
    );
  return format === 1 ? mirroredLayout : flatLayout;
};

/** Makes the folder what it must be, or says what is wrong with it. */
export const openRoot = async (
  config: FilesystemObjectStoreConfig & { readonly root: string },
  mode: number,
  owner: Owner,
): Promise<Omit<Place, 'known'> & { readonly temporary: string }> => {
  await mkdir(config.root, { recursive: true, mode });
  const root = await realpath(config.root);
  await access(root, constants.R_OK | constants.W_OK | constants.X_OK);
  const temporary = join(root, temporaryFolder);
  await makeFolder(temporary, mode);
  const marker = join(root, formatFile);
  let text = await readMarker(marker);
  if (text === undefined) {
    await writeMarker(root, marker, owner);
    text = await readFile(marker, 'utf8');
  }
  return { root, temporary, layout: layoutOf(root, marker, text) };
};
