/**
 * Mappings of imports as the command line names them: a file, or a profile, which is a mapping that was kept under a name in the data folder.
 */
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { CaseboundError, ImportMapping } from '@casebound/contract';
import type { z } from 'zod';

interface MappingOptions {
  readonly mapping?: string | undefined;
  readonly profile?: string | undefined;
  readonly saveProfile?: string | undefined;
}

const folderOf = (dataDir: string): string => path.join(dataDir, 'import-profiles');

const fileOf = (dataDir: string, name: string): string => {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name))
    throw new CaseboundError(
      'validation_failed',
      `\`${name}\` cannot be the name of a profile: letters, digits, dots, hyphens and underscores, 100 at most. A file is named with --mapping.`,
    );
  return path.join(folderOf(dataDir), `${name}.json`);
};

type Mapping = z.input<typeof ImportMapping>;

/** As it was written, so that what it leaves out stays open. */
const readFrom = async (place: string, what: string): Promise<Mapping> => {
  try {
    const value: unknown = JSON.parse(await readFile(place, 'utf8'));
    ImportMapping.parse(value);
    return value as Mapping;
  } catch (error) {
    throw new CaseboundError(
      'validation_failed',
      `The ${what} cannot be used: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
};

const savedProfiles = async (dataDir: string): Promise<string[]> => {
  const names = await readdir(folderOf(dataDir)).catch(() => []);
  return names.flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -'.json'.length)] : [])).toSorted();
};

const readProfile = async (dataDir: string, name: string): Promise<Mapping> => {
  const saved = await savedProfiles(dataDir);
  const place = fileOf(dataDir, name);
  if (!saved.includes(name))
    throw new CaseboundError(
      'validation_failed',
      `There is no profile ${name}. ${saved.length === 0 ? 'None was saved' : `Saved are ${saved.join(', ')}`}; --mapping FILE --save-profile NAME saves one.`,
    );
  return readFrom(place, `profile ${name}`);
};

/** Whole or not at all: an import may read it at the same time. */
const saveProfile = async (dataDir: string, name: string, mapping: Mapping): Promise<void> => {
  const place = fileOf(dataDir, name);
  await mkdir(folderOf(dataDir), { recursive: true, mode: 0o700 });
  const temporary = `${place}.${randomUUID()}`;
  await writeFile(temporary, `${JSON.stringify(mapping, undefined, 2)}\n`, { flag: 'wx', mode: 0o600, flush: true });
  await rename(temporary, place);
};

/** The profile with the file's members in place of its own; columns are joined. */
export const readMapping = async (cwd: string, dataDir: string, options: MappingOptions): Promise<Mapping> => {
  const kept: Mapping = options.profile === undefined ? {} : await readProfile(dataDir, options.profile);
  const given: Mapping =
    options.mapping === undefined
      ? {}
      : await readFrom(path.resolve(cwd, options.mapping), `mapping ${options.mapping}`);
  const columns = { ...kept.columns, ...given.columns };
  const mapping = { ...kept, ...given, ...(Object.keys(columns).length === 0 ? {} : { columns }) };
  if (options.saveProfile !== undefined) {
    if (options.mapping === undefined && options.profile === undefined)
      throw new CaseboundError('validation_failed', '--save-profile keeps a mapping: name its file with --mapping.');
    await saveProfile(dataDir, options.saveProfile, mapping);
  }
  return mapping;
};
