/**
 * One process a data folder.
 *
 * 1. The kernel decides who holds the folder, not the content of a file: the lock is SQLite's exclusive `fcntl` lock on
 *    `<data>/lock`, because Node reaches no other file lock. It ends with the process, however that ends, so there is no
 *    stale lock to judge, no reuse of a process id to fear, and two starters cannot both win.
 * 2. `<data>/lock.json` only says who the holder is, for the message to the second. Nothing decides by it.
 * 3. POSIX drops a process's lock on a file when it closes *any* descriptor of it; nothing else may open `<data>/lock`.
 */
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { CaseboundError } from '@casebound/contract';
import { z } from 'zod';
import { writeFileAtomically } from './write-file-atomically.ts';

const Holder = z.object({ pid: z.number().int(), since: z.string(), command: z.string(), host: z.string() });
/** Who holds a data folder. `since` is an ISO 8601 time. */
export type Holder = z.infer<typeof Holder>;

export interface DataFolderLock {
  release(): Promise<void>;
}

/**
 * Program and subcommand of an `argv`. No more of it, for options and their values can hold secrets: what follows an option
 * cannot be told from its value.
 */
export function describeCommand([, script = '', first = '']: readonly string[]): string {
  const program = path.basename(script);
  return /^[a-z][a-z-]*$/.test(first) ? `${program} ${first}` : program;
}

/** Takes the folder, or fails at once with `data_folder_in_use`, naming the holder. The folder must exist. */
export async function lockDataFolder(dataDir: string, holder: Holder): Promise<DataFolderLock> {
  const lockPath = path.join(dataDir, 'lock');
  const database = tryLock(lockPath, dataDir);
  if (database === undefined) throw await inUse(dataDir);
  const holderPath = path.join(dataDir, 'lock.json');
  try {
    await writeFileAtomically(holderPath, `${JSON.stringify(holder)}\n`, 0o600);
  } catch (error) {
    database.close();
    throw error;
  }
  return {
    async release() {
      if (!database.isOpen) return;
      await rm(holderPath, { force: true });
      database.close();
    },
  };
}

/**
 * The holder of a folder, or undefined when nobody holds it. Asks the kernel, so a killed holder is not reported; the lock
 * is held for an instant, which `tryLock` outwaits.
 */
export async function findHolder(dataDir: string): Promise<Holder | undefined> {
  const holder = await readHolder(dataDir);
  if (holder === undefined) return undefined;
  const probe = tryLock(path.join(dataDir, 'lock'), dataDir);
  if (probe === undefined) return readHolder(dataDir);
  probe.close();
  return undefined;
}

function tryLock(lockPath: string, dataDir: string): DatabaseSync | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(lockPath, { timeout: lockWaitMs });
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy) return undefined;
    throw new CaseboundError(
      'data_folder_unusable',
      `The data folder ${dataDir} cannot be locked (${lockPath}); check that this account may write there and that the file system supports locks.`,
      { cause: error },
    );
  }
}

/** Long enough to outwait the instant for which `findHolder` holds the lock. */
const lockWaitMs = 150;

/** SQLITE_BUSY, https://www.sqlite.org/rescode.html#busy */
const sqliteBusy = 5;

async function inUse(dataDir: string): Promise<CaseboundError> {
  // The winner writes lock.json a moment after it has the lock.
  let holder: Holder | undefined;
  for (let attempt = 0; attempt < 20 && holder === undefined; attempt += 1) {
    holder = await readHolder(dataDir);
    if (holder === undefined) await sleep(25);
  }
  const who =
    holder === undefined
      ? 'another process'
      : `process ${holder.pid} on ${holder.host} since ${holder.since} (${holder.command})`;
  return new CaseboundError(
    'data_folder_in_use',
    `The data folder ${dataDir} is in use by ${who}; stop it, or choose another folder with \`--data\`.`,
  );
}

async function readHolder(dataDir: string): Promise<Holder | undefined> {
  try {
    return Holder.parse(JSON.parse(await readFile(path.join(dataDir, 'lock.json'), 'utf8')));
  } catch {
    return undefined;
  }
}
