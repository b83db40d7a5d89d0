/**
 * The running server: the file it keeps, and how it is ended.
 *
 * Only a process that PostgreSQL itself recorded in `postmaster.pid` of this cluster, and that still is a PostgreSQL of
 * this cluster, is ever signalled: a process id that was given to something else is left alone.
 */
import { execFile } from 'node:child_process';
import { readdir, readFile, readlink, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface PostmasterState {
  readonly pid: number;
  readonly port: number;
  /** `starting`, `ready`, `stopping` or `standby`. */
  readonly status: string;
}

/** Reads `postmaster.pid` (layout: PostgreSQL's `src/include/utils/pidfile.h`). Undefined: none, or not yet whole. */
export async function readPostmaster(clusterDir: string): Promise<PostmasterState | undefined> {
  let text: string;
  try {
    text = await readFile(path.join(clusterDir, 'postmaster.pid'), 'utf8');
  } catch {
    return undefined;
  }
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  return { pid, port: Number(lines[3] ?? 0), status: (lines[7] ?? '').trim() };
}

/**
 * Ends a server that a killed process left behind on this cluster, so that the next one can start. Call it only while
 * holding the data folder. Resolves with whether there was one.
 *
 * Where `/proc` tells which processes work in the cluster, a `postmaster.pid` that none of them wrote is removed, too:
 * PostgreSQL itself would take a zombie, or a stranger with the same process id, for a living server and refuse to start.
 * The file goes only when no process is left in the cluster, for a backend without its postmaster could still write.
 */
export async function endOrphan(clusterDir: string): Promise<boolean> {
  const found = await readPostmaster(clusterDir);
  if (found === undefined) return false;
  const isOurs = await isPostgresOf(found.pid, clusterDir);
  if (isOurs) await endPostmaster(found.pid, async () => isPostgresOf(found.pid, clusterDir), orphanDeadlines);
  if (process.platform === 'linux') await removeStalePidFile(clusterDir);
  return isOurs;
}

async function removeStalePidFile(clusterDir: string): Promise<void> {
  const deadline = performance.now() + orphanDeadlines.immediateMs;
  for (;;) {
    const left = await processesIn(await realpath(clusterDir).catch(() => clusterDir));
    if (left.length === 0) break;
    // Backends leave by themselves when their postmaster is gone; one that is stuck is not waited for.
    if (performance.now() > deadline) for (const pid of left) signal(pid, 'SIGKILL');
    await sleep(20);
  }
  await rm(path.join(clusterDir, 'postmaster.pid'), { force: true });
}

/** Processes whose working directory the folder is; zombies have none. */
async function processesIn(folder: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map(async (pid) => ((await workingDirectory(pid)) === folder ? [pid] : [])));
  return found.flat();
}

export interface StopDeadlines {
  /** Milliseconds for a fast shutdown (transactions are rolled back, a checkpoint is written). */
  readonly fastMs: number;
  /** Milliseconds more for an immediate one (the next start recovers from the log). */
  readonly immediateMs: number;
}

const orphanDeadlines: StopDeadlines = { fastMs: 5000, immediateMs: 3000 };

/** Fast shutdown, then immediate, then SIGKILL. Resolves when the process is gone. */
export async function endPostmaster(
  pid: number,
  isAlive: () => Promise<boolean>,
  deadlines: StopDeadlines,
): Promise<'fast' | 'immediate' | 'killed'> {
  signal(pid, 'SIGINT');
  if (await gone(isAlive, deadlines.fastMs)) return 'fast';
  signal(pid, 'SIGQUIT');
  if (await gone(isAlive, deadlines.immediateMs)) return 'immediate';
  signal(pid, 'SIGKILL');
  await gone(isAlive, deadlines.immediateMs);
  return 'killed';
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended in the meantime, which is what was wanted.
  }
}

async function gone(isAlive: () => Promise<boolean>, withinMs: number): Promise<boolean> {
  const until = performance.now() + withinMs;
  while (performance.now() < until) {
    if (!(await isAlive())) return true;
    await sleep(20);
  }
  return !(await isAlive());
}

async function isPostgresOf(pid: number, clusterDir: string): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false;
  }
  // The postmaster's working directory is its cluster, for as long as it lives.
  const directory = await workingDirectory(pid);
  if (directory === undefined) return false;
  return directory === (await realpath(clusterDir).catch(() => clusterDir));
}

async function workingDirectory(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') return readlink(`/proc/${pid}/cwd`).catch(() => undefined);
  try {
    const { stdout } = await run('lsof', ['-a', '-p', String(pid), '-d', 'cwd', '-Fn']);
    return stdout
      .split('\n')
      .find((line) => line.startsWith('n'))
      ?.slice(1);
  } catch {
    return undefined;
  }
}
