/**
 * Files on their way to becoming objects.
 *
 * - They live in one folder of the store's own file system, so that a rename or link publishes them in one step.
 * - Their name says who writes them: machine, process id, and when that process started. A sweep removes those of processes that
 *   are gone at once, and those of processes that it cannot ask about (other machines, other containers) by age alone.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFile, readdir, readlink, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { isErrno } from './file-errors.ts';

export interface Owner {
  /** Same for two processes exactly when their process ids mean the same. */
  readonly space: string;
  readonly pid: number;
  /** Clock ticks from boot to the start of the process; '0' where that cannot be known. */
  readonly started: string;
}

/** Field 22 of proc_pid_stat(5). The name in field 2 may hold spaces and parentheses, so fields are counted after the last `)`. */
const startOf = async (pid: number | 'self'): Promise<string> => {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '0';
  } catch {
    return '0';
  }
};

const orEmpty = (reading: Promise<string>): Promise<string> => reading.catch(() => '');

export const currentOwner = async (): Promise<Owner> => {
  const bootId = await orEmpty(readFile('/proc/sys/kernel/random/boot_id', 'latin1'));
  const namespace = await orEmpty(readlink('/proc/self/ns/pid'));
  const space = createHash('sha256').update(`${hostname()}\n${bootId}\n${namespace}`).digest('hex').slice(0, 16);
  return { space, pid: process.pid, started: await startOf('self') };
};

export const temporaryName = (owner: Owner): string =>
  `${owner.space}-${owner.pid}-${owner.started}-${randomBytes(9).toString('hex')}`;

const namePattern = /^([0-9a-f]{16})-(\d+)-(\d+)-[0-9a-f]{18}$/;

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isErrno(error, 'ESRCH');
  }
};

/** Whether the writer of a temporary file is known to be gone; undefined when it cannot be known. */
const isGone = async (name: string, me: Owner): Promise<boolean | undefined> => {
  const match = namePattern.exec(name);
  if (match === null || match[1] !== me.space || match[3] === '0') return undefined;
  const pid = Number(match[2]);
  if (!isAlive(pid)) return true;
  const started = await startOf(pid);
  return started === '0' ? undefined : started !== match[3];
};

/** Removes what is left over in the folder and returns how many files that were. */
export const sweepTemporaryFiles = async (folder: string, me: Owner, now: Date, maxAgeMs: number): Promise<number> => {
  let removed = 0;
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(folder, entry.name);
    try {
      const gone = await isGone(entry.name, me);
      const expired = gone === undefined && now.getTime() - (await stat(path)).mtimeMs > maxAgeMs;
      if (gone !== true && !expired) continue;
      await unlink(path);
      removed += 1;
    } catch (error) {
      // Published or swept by another process meanwhile.
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
  return removed;
};
