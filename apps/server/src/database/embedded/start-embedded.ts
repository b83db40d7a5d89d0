/**
 * PostgreSQL from npm, run in a data folder by this process.
 *
 * 1. Whoever runs a cluster holds its data folder's lock, from before the first look at it until the server has ended.
 * 2. A server that a killed process left behind is ended before a new one starts; PostgreSQL then recovers by itself.
 * 3. A cluster is whole or absent (`init-cluster.ts`); a start that fails leaves no process and no lock behind.
 * 4. Stopping waits for a start under way and ends it: no server outlives the lock.
 * 5. A server that ends by itself (the kernel took its memory, say) is started again on the same port, at most
 *    `maximumRestarts` times a minute.
 */
import { open, readFile, rename, stat, type FileHandle } from 'node:fs/promises';
import { spawn, type ChildProcess } from 'node:child_process';
import { hostname } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CaseboundError } from '@casebound/contract';
import { z } from 'zod';
import type { Log } from '../../platform/log/Port.ts';
import { findBinaries, type Binaries } from './binaries.ts';
import { chooseLauncher, type Launcher } from './choose-launcher.ts';
import {
  checkFormat,
  dataFolderPaths,
  makeDataFolder,
  makeSubfolders,
  unusable,
  type DataFolder,
} from './data-folder.ts';
import { findFreePort } from './free-port.ts';
import { ensureCluster, lastErrorLine, superuser } from './init-cluster.ts';
import { describeCommand, lockDataFolder } from './lock-data-folder.ts';
import { readOrMakePassword } from './passwords.ts';
import { endOrphan, endPostmaster, readPostmaster } from './postmaster.ts';
import { prepareServer, applicationDatabase, applicationRole } from './prepare-server.ts';
import { launch, runProgram } from './run-program.ts';
import { writeFileAtomically } from './write-file-atomically.ts';

export interface EmbeddedOptions {
  readonly dataDir: string;
  /** How this process was started, for the message to a second one. Default: program and subcommand. */
  readonly command?: string;
  /** Account to run as when this process is root. Default: an existing or new unprivileged one. */
  readonly account?: string;
  /** Port to prefer. Default: the one of the last start, or a free one. */
  readonly port?: number;
  /** Connections the server accepts. Default 100. */
  readonly maxConnections?: number;
  /** Further server settings (`shared_buffers`, ...). */
  readonly settings?: Readonly<Record<string, string>>;
  /** False gives up durability for speed: for tests alone. */
  readonly durable?: boolean;
  /** Milliseconds until a server that does not get ready is given up; crash recovery counts. Default 300,000. */
  readonly startTimeoutMs?: number;
  readonly log?: Log;
}

export interface ConnectionTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export interface EmbeddedServer {
  /** The application's own role and database: not a superuser. */
  readonly target: ConnectionTarget;
  /** The bootstrap superuser. */
  readonly superuserTarget: ConnectionTarget;
  /** Process id of the postmaster now. */
  readonly pid: () => number;
  /** Fast shutdown, then immediate after ten seconds; then the folder is free. Safe to call twice. */
  readonly stop: () => Promise<void>;
}

/**
 * Starts the server and resolves when it accepts connections and the application's role and database exist.
 * Errors: `data_folder_in_use`, `data_folder_unusable`, `data_folder_too_new`, `database_start_failed`.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const folder = dataFolderPaths(options.dataDir);
  const undo = await makeDataFolder(folder);
  let lock;
  try {
    lock = await lockDataFolder(folder.root, {
      pid: process.pid,
      since: new Date().toISOString(),
      command: options.command ?? describeCommand(process.argv),
      host: hostname(),
    });
  } catch (error) {
    await undo();
    throw error;
  }
  const held = lock;
  try {
    return await startHeld(options, folder, async () => held.release());
  } catch (error) {
    await held.release();
    throw error;
  }
}

async function startHeld(
  options: EmbeddedOptions,
  folder: DataFolder,
  release: () => Promise<void>,
): Promise<EmbeddedServer> {
  await checkFormat(folder, new Date());
  await makeSubfolders(folder);
  const password = await readOrMakePassword(folder.secrets, 'postgres-superuser');
  const applicationPassword = await readOrMakePassword(folder.secrets, 'postgres-application');
  const binaries = await findBinaries();
  const launcher = await chooseLauncher({
    account: options.account,
    folders: [path.dirname(binaries.postgres), folder.root],
    existingOwner: await stat(folder.postgres).then(
      (found) => found.uid,
      () => undefined,
    ),
  });
  await checkBinaries(launcher, binaries, folder);
  if (await endOrphan(folder.postgres)) {
    options.log?.warn('ended a database server that an earlier process left behind', { component: 'database' });
  }
  const durable = options.durable ?? true;
  await ensureCluster(folder, binaries, launcher, password, durable);
  const supervisor = new Supervisor(options, folder, binaries, launcher);
  const port = await supervisor.start();
  const target = (user: string, secret: string, database: string): ConnectionTarget => ({
    host: '127.0.0.1',
    port,
    user,
    password: secret,
    database,
  });
  const superuserTarget = target(superuser, password, 'postgres');
  try {
    await prepareServer(superuserTarget, applicationPassword);
  } catch (error) {
    await supervisor.stop();
    throw error;
  }
  return {
    target: target(applicationRole, applicationPassword, applicationDatabase),
    superuserTarget,
    pid: () => supervisor.pid(),
    stop: async () => {
      await supervisor.stop();
      await release();
    },
  };
}

async function checkBinaries(launcher: Launcher, binaries: Binaries, folder: DataFolder): Promise<void> {
  const { exitCode, output } = await runProgram(launcher, binaries.postgres, ['--version'], folder.root);
  if (exitCode === 0) return;
  throw new CaseboundError(
    'database_start_failed',
    `${binaries.postgres} does not run: ${lastErrorLine(output)}; run \`npm rebuild\`, and see that the file system does not forbid programs (noexec).`,
  );
}

const maximumRestarts = 5;
const restartPauseMs = 200;
const stopDeadlines = { fastMs: 10_000, immediateMs: 5000 };
/** A log beyond this is set aside at the next start; one earlier log is kept. */
const logRotationBytes = 10 * 1024 * 1024;

class Supervisor {
  readonly #options: EmbeddedOptions;
  readonly #folder: DataFolder;
  readonly #binaries: Binaries;
  readonly #launcher: Launcher;
  #child: ChildProcess | undefined;
  #port: number | undefined;
  #isStopping = false;
  #stopping: Promise<void> | undefined;
  /** Never rejects. */
  #restarting: Promise<void> | undefined;
  #restarts: number[] = [];

  constructor(options: EmbeddedOptions, folder: DataFolder, binaries: Binaries, launcher: Launcher) {
    this.#options = options;
    this.#folder = folder;
    this.#binaries = binaries;
    this.#launcher = launcher;
  }

  pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Resolves with the port when the server is ready. */
  async start(): Promise<number> {
    const deadline = performance.now() + (this.#options.startTimeoutMs ?? 300_000);
    let wanted = this.#options.port ?? (await this.#lastPort());
    for (let attempt = 1; ; attempt += 1) {
      const port = this.#port ?? (await findFreePort(wanted));
      const outcome = await this.#startOnce(port, deadline);
      this.#refuseWhenStopping();
      if (outcome.kind === 'ready') {
        this.#port = port;
        await this.#rememberPort(port);
        return port;
      }
      const again = attempt < 5 && performance.now() < deadline ? retryable(outcome.output) : undefined;
      if (again === undefined) throw this.#startFailure(outcome.output);
      // A port was taken between the look and the bind, or an orphan's last processes are still letting go.
      if (again === 'port') wanted = undefined;
      else await sleep(300);
    }
  }

  async stop(): Promise<void> {
    this.#stopping ??= this.#stopOnce();
    return this.#stopping;
  }

  async #stopOnce(): Promise<void> {
    this.#isStopping = true;
    await this.#endChild();
    // A restart under way starts nothing from here on; what it had started is ended, too.
    await this.#restarting;
    await this.#endChild();
  }

  async #endChild(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined || !isRunning(child)) return;
    await endPostmaster(child.pid, () => Promise.resolve(isRunning(child)), stopDeadlines);
  }

  async #startOnce(port: number, deadline: number): Promise<{ kind: 'ready' } | { kind: 'ended'; output: string }> {
    const log = await this.#openLog();
    if (this.#isStopping) {
      await log.file.close();
      this.#refuseWhenStopping();
    }
    const line = launch(this.#launcher, this.#binaries.postgres, this.#arguments(port));
    const child = spawn(line.command, line.args, {
      ...line.options,
      cwd: this.#folder.root,
      stdio: ['ignore', log.file.fd, log.file.fd],
    });
    this.#child = child;
    const spawned = new Promise<Error | undefined>((resolve) => {
      child.once('spawn', () => {
        resolve(undefined);
      });
      child.once('error', resolve);
    });
    await log.file.close();
    const spawnError = await spawned;
    if (spawnError !== undefined) return { kind: 'ended', output: `FATAL:  ${spawnError.message}` };
    while (isRunning(child)) {
      const state = await readPostmaster(this.#folder.postgres);
      if (state?.pid === child.pid && state?.status === 'ready') {
        child.once('exit', () => {
          this.#onUnexpectedExit();
        });
        return { kind: 'ready' };
      }
      if (performance.now() > deadline) {
        await endPostmaster(child.pid ?? 0, () => Promise.resolve(isRunning(child)), stopDeadlines);
        return { kind: 'ended', output: 'FATAL:  it did not get ready in time' };
      }
      await sleep(10);
    }
    return { kind: 'ended', output: await readFrom(log.path, log.offset) };
  }

  #refuseWhenStopping(): void {
    if (this.#isStopping) throw new CaseboundError('shutting_down', 'The embedded database is being stopped.');
  }

  #arguments(port: number): string[] {
    const durable = this.#options.durable ?? true;
    const settings: Record<string, string> = {
      listen_addresses: '127.0.0.1',
      port: String(port),
      unix_socket_directories: '',
      max_connections: String(this.#options.maxConnections ?? 100),
      // Dropping a case locks each of its tables and indexes in one transaction.
      max_locks_per_transaction: '256',
      // The log of a chunk of an import: none waits while the commit of another waits for the disk. 4 MB otherwise, a share of the shared buffers.
      wal_buffers: '16MB',
      jit: 'off',
      // What a statement held, and the values in an error about it, stay out of the log: only the server's own life is told.
      log_min_messages: 'log',
      log_min_error_statement: 'panic',
      log_error_verbosity: 'terse',
      log_checkpoints: 'off',
      log_parameter_max_length: '0',
      ...(durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
      ...this.#options.settings,
    };
    return [
      '-D',
      this.#folder.postgres,
      ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
    ];
  }

  #onUnexpectedExit(): void {
    if (!this.#isStopping) this.#restarting = this.#restart();
  }

  /** Starts the server again; one that dies while it recovers is started once more, within the same bound. */
  async #restart(): Promise<void> {
    while (!this.#isStopping) {
      const now = performance.now();
      this.#restarts = [...this.#restarts.filter((at) => now - at < 60_000), now];
      const count = this.#restarts.length;
      this.#options.log?.error('the database server ended by itself', { component: 'database', count });
      if (count > maximumRestarts) return;
      try {
        await this.start();
        this.#options.log?.info('the database server runs again', { component: 'database', pid: this.pid() });
        return;
      } catch (error) {
        if (this.#isStopping) return;
        this.#options.log?.error('the database server cannot be started again', { component: 'database' }, error);
        await sleep(restartPauseMs);
      }
    }
  }

  #startFailure(output: string): CaseboundError {
    const reason = lastErrorLine(output);
    if (/No space left on device|Disk quota exceeded/.test(output)) {
      return unusable(this.#folder.root, Object.assign(new Error(reason), { code: 'ENOSPC' }));
    }
    if (/Permission denied|Read-only file system|has wrong ownership/.test(output)) {
      return unusable(this.#folder.root, Object.assign(new Error(reason), { code: 'EACCES' }));
    }
    return new CaseboundError(
      'database_start_failed',
      `PostgreSQL did not start in ${this.#folder.postgres}: ${reason}; its log is ${path.join(this.#folder.logs, 'postgres.log')}.`,
    );
  }

  async #openLog(): Promise<{ file: FileHandle; path: string; offset: number }> {
    const logPath = path.join(this.#folder.logs, 'postgres.log');
    try {
      const size = await stat(logPath).then(
        (found) => found.size,
        () => 0,
      );
      if (size > logRotationBytes) await rename(logPath, `${logPath}.1`);
      const file = await open(logPath, 'a', 0o640);
      return { file, path: logPath, offset: size > logRotationBytes ? 0 : size };
    } catch (error) {
      throw unusable(this.#folder.root, error);
    }
  }

  async #lastPort(): Promise<number | undefined> {
    try {
      return RuntimeFile.parse(JSON.parse(await readFile(this.#runtimePath(), 'utf8'))).port;
    } catch {
      return undefined;
    }
  }

  async #rememberPort(port: number): Promise<void> {
    await writeFileAtomically(this.#runtimePath(), `${JSON.stringify({ port })}\n`, 0o644).catch((error: unknown) => {
      throw unusable(this.#folder.root, error);
    });
  }

  #runtimePath(): string {
    return path.join(this.#folder.root, 'postgres.json');
  }
}

/** What is remembered from start to start. */
const RuntimeFile = z.object({ port: z.number().int().positive() });

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

function retryable(output: string): 'port' | 'orphan' | undefined {
  if (/Address already in use|could not create any TCP\/IP sockets/.test(output)) return 'port';
  if (/pre-existing shared memory block|lock file "postmaster.pid" (already exists|is empty)/.test(output))
    return 'orphan';
  return undefined;
}

async function readFrom(file: string, offset: number): Promise<string> {
  const text = await readFile(file);
  return text.subarray(offset).toString('utf8');
}
