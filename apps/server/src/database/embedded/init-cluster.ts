/**
 * A new cluster.
 *
 * 1. `initdb` works in `postgres.new`, which is renamed to `postgres` when it is whole and flushed: a cluster that exists is
 *    a complete one, whenever the process was killed.
 * 2. UTF-8 with the built-in C.UTF-8 locale: sort order and case mapping do not depend on the machine's libraries, so a data
 *    folder can be carried to another machine, and its indexes stay valid when the operating system is upgraded.
 * 3. Data checksums are on, and every connection authenticates with SCRAM, local ones included.
 */
import { chown, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { CaseboundError } from '@casebound/contract';
import { embeddedMajorVersion, type Binaries } from './binaries.ts';
import type { Launcher } from './choose-launcher.ts';
import { isCode, unusable, type DataFolder } from './data-folder.ts';
import { runProgram } from './run-program.ts';

/** The bootstrap superuser. Only start-up uses it. */
export const superuser = 'casebound_super';

/** Makes the cluster unless it is there; checks the version of one that is. */
export async function ensureCluster(
  folder: DataFolder,
  binaries: Binaries,
  launcher: Launcher,
  password: string,
  durable: boolean,
): Promise<'made' | 'found'> {
  const version = await readVersion(folder);
  if (version !== undefined) {
    if (version === String(embeddedMajorVersion)) return 'found';
    throw new CaseboundError(
      Number(version) > embeddedMajorVersion ? 'data_folder_too_new' : 'data_folder_unusable',
      `The database in ${folder.postgres} was made by PostgreSQL ${version}, and this version of Casebound embeds PostgreSQL ${embeddedMajorVersion}; dump it with the version that wrote it and load the dump into a new data folder.`,
    );
  }
  await refuseForeignFolder(folder);
  const building = `${folder.postgres}.new`;
  try {
    await rm(building, { recursive: true, force: true });
    await mkdir(building, { mode: 0o700 });
    const passwordFile = path.join(building, 'password');
    const clusterDir = path.join(building, 'cluster');
    await writePassword(passwordFile, password, launcher);
    if (launcher.owner !== undefined) await chown(building, launcher.owner.uid, launcher.owner.gid);
    await runInitdb(folder, binaries, launcher, clusterDir, passwordFile, durable);
    await rm(passwordFile);
    await rename(clusterDir, folder.postgres);
    await rm(building, { recursive: true, force: true });
  } catch (error) {
    await rm(building, { recursive: true, force: true }).catch(() => undefined);
    throw error instanceof CaseboundError ? error : unusable(folder.root, error);
  }
  return 'made';
}

async function readVersion(folder: DataFolder): Promise<string | undefined> {
  try {
    return (await readFile(path.join(folder.postgres, 'PG_VERSION'), 'utf8')).trim();
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw unusable(folder.root, error);
  }
}

async function refuseForeignFolder(folder: DataFolder): Promise<void> {
  try {
    await stat(folder.postgres);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return;
    throw unusable(folder.root, error);
  }
  throw new CaseboundError(
    'data_folder_unusable',
    `${folder.postgres} exists but is not a PostgreSQL cluster (it has no PG_VERSION); restore it from a backup, or move it away for a new one.`,
  );
}

async function writePassword(file: string, password: string, launcher: Launcher): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(`${password}\n`);
    if (launcher.owner !== undefined) await handle.chown(launcher.owner.uid, launcher.owner.gid);
  } finally {
    await handle.close();
  }
}

async function runInitdb(
  folder: DataFolder,
  binaries: Binaries,
  launcher: Launcher,
  clusterDir: string,
  passwordFile: string,
  durable: boolean,
): Promise<void> {
  const args = [
    `--pgdata=${clusterDir}`,
    `--username=${superuser}`,
    `--pwfile=${passwordFile}`,
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--auth=scram-sha-256',
    '--data-checksums',
    ...(durable ? [] : ['--no-sync']),
  ];
  const { exitCode, output } = await runProgram(launcher, binaries.initdb, args, folder.root);
  if (exitCode === 0) return;
  if (/No space left on device|Disk quota exceeded/.test(output)) {
    throw unusable(folder.root, Object.assign(new Error('initdb found no space'), { code: 'ENOSPC' }));
  }
  if (/Permission denied|Read-only file system/.test(output)) {
    throw unusable(folder.root, Object.assign(new Error('initdb was refused'), { code: 'EACCES' }));
  }
  throw new CaseboundError(
    'database_start_failed',
    `initdb could not make a database in ${folder.root}: ${lastErrorLine(output)}`,
  );
}

/** The last line of a PostgreSQL program's output that names an error, without its prefix. */
export function lastErrorLine(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const named = lines.findLast((line) => /\b(FATAL|PANIC|error):/i.test(line)) ?? lines.at(-1) ?? 'it said nothing';
  return named.replace(/^.*?\b(?:FATAL|PANIC|error):\s*/i, '');
}
