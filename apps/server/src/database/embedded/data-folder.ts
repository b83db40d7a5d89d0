/**
 * The data folder and its format file.
 *
 * 1. `<data>/casebound.json` is written before anything else is put into a fresh folder, whole or not at all.
 * 2. A folder of a newer format is refused before anything in it is touched.
 * 3. What a failed preparation of a new folder made is removed again.
 */
import { constants } from 'node:fs';
import { access, mkdir, readFile, rmdir, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { CaseboundError } from '@casebound/contract';
import { z } from 'zod';
import { writeFileAtomically } from './write-file-atomically.ts';

/** Raised when a version writes the folder in a way that an older one would misread. */
export const dataFolderFormat = 1;

const FormatFile = z.object({ format: z.number().int().positive(), createdAt: z.string() });

export interface DataFolder {
  readonly root: string;
  /** The PostgreSQL cluster; owned by the account that PostgreSQL runs as. */
  readonly postgres: string;
  readonly logs: string;
  readonly secrets: string;
}

/** What an empty cluster and its first write-ahead log need, with room to work. */
const minimumFreeBytes = 200 * 1024 * 1024;

/** The paths within a data folder; touches nothing. */
export function dataFolderPaths(dataDir: string): DataFolder {
  const root = path.resolve(dataDir);
  return {
    root,
    postgres: path.join(root, 'postgres'),
    logs: path.join(root, 'logs'),
    secrets: path.join(root, 'secrets'),
  };
}

/**
 * Makes the folder when it is not there and checks that it can be used.
 * @returns undoes the making, as far as nothing was put into it since.
 * Errors: `data_folder_unusable` with the path and what to do.
 */
export async function makeDataFolder(folder: DataFolder): Promise<() => Promise<void>> {
  const made: string[] = [];
  const undo = async (): Promise<void> => {
    for (const one of made.toReversed()) await rmdir(one).catch(() => undefined);
  };
  try {
    const missing = await missingParents(folder.root);
    for (const one of missing) {
      await mkdir(one, { mode: 0o755 });
      made.push(one);
    }
    await access(folder.root, constants.R_OK | constants.W_OK | constants.X_OK);
    await checkFreeSpace(folder.root);
  } catch (error) {
    await undo();
    throw unusable(folder.root, error);
  }
  return undo;
}

/** Reads the format file, or writes it into a new folder. Errors: `data_folder_too_new`, `data_folder_unusable`. */
export async function checkFormat(folder: DataFolder, now: Date): Promise<void> {
  const file = path.join(folder.root, 'casebound.json');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw unusable(folder.root, error);
    await write(folder, file, `${JSON.stringify({ format: dataFolderFormat, createdAt: now.toISOString() })}\n`);
    return;
  }
  const parsed = FormatFile.safeParse(parseJson(text));
  if (!parsed.success) {
    throw new CaseboundError(
      'data_folder_unusable',
      `${file} is not readable as Casebound's format file; restore it from a backup, or choose another folder with \`--data\`.`,
    );
  }
  if (parsed.data.format > dataFolderFormat) {
    throw new CaseboundError(
      'data_folder_too_new',
      `The data folder ${folder.root} has format ${parsed.data.format}, and this version knows up to ${dataFolderFormat}; run the newer Casebound that wrote it, or choose another folder with \`--data\`.`,
    );
  }
}

/** Makes the sub-folders that this process owns. */
export async function makeSubfolders(folder: DataFolder): Promise<void> {
  try {
    await mkdir(folder.logs, { recursive: true, mode: 0o755 });
    await mkdir(folder.secrets, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw unusable(folder.root, error);
  }
}

/** Turns a file system error into a sentence about the folder. */
export function unusable(root: string, error: unknown): CaseboundError {
  if (error instanceof CaseboundError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'an unknown error';
  return new CaseboundError('data_folder_unusable', `The data folder ${root} ${remedyFor(code)}`, { cause: error });
}

function remedyFor(code: string): string {
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return `cannot be written by this account (${code}); change its owner or mode, or choose another with \`--data\`.`;
    case 'EROFS':
      return 'lies on a file system that is mounted read-only; choose another with `--data`.';
    case 'ENOSPC':
    case 'EDQUOT':
      return `has no free space (${code}); free some, or choose another with \`--data\`.`;
    case 'ENOTDIR':
    case 'EEXIST':
      return 'is not a folder; choose another with `--data`.';
    default:
      return `cannot be used (${code}); check that it exists and can be written to, or choose another with \`--data\`.`;
  }
}

async function write(folder: DataFolder, file: string, text: string): Promise<void> {
  try {
    await writeFileAtomically(file, text, 0o644);
  } catch (error) {
    throw unusable(folder.root, error);
  }
}

async function missingParents(root: string): Promise<string[]> {
  const missing: string[] = [];
  for (let current = root; ; current = path.dirname(current)) {
    try {
      const found = await stat(current);
      if (!found.isDirectory()) throw Object.assign(new Error('not a folder'), { code: 'ENOTDIR' });
      return missing.toReversed();
    } catch (error) {
      if (!isCode(error, 'ENOENT')) throw error;
      missing.push(current);
    }
  }
}

async function checkFreeSpace(root: string): Promise<void> {
  const { bavail, bsize } = await statfs(root);
  const free = bavail * bsize;
  if (free >= minimumFreeBytes) return;
  const mebibytes = (bytes: number): string => `${Math.floor(bytes / 1024 / 1024)} MiB`;
  throw new CaseboundError(
    'data_folder_unusable',
    `The data folder ${root} has ${mebibytes(free)} of free space and needs ${mebibytes(minimumFreeBytes)}; free some, or choose another with \`--data\`.`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** True for a system error of the given code. */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
