/**
 * As whom, and how, the PostgreSQL programs are run.
 *
 * 1. PostgreSQL refuses to run as root. Root therefore hands it to an unprivileged account; any other user runs it himself.
 * 2. The account gets no more than it needs: capabilities are added only when it cannot reach the binaries or the data
 *    folder (a clone below `/root`, say), then only the right to look past directory permissions, and a user namespace
 *    (which keeps root's file ownership) comes last.
 * 3. Where Linux's `setpriv` is present the postmaster is told to shut down when this process dies, however it dies.
 *    Elsewhere the next start finds it by `postmaster.pid`.
 */
import { execFile } from 'node:child_process';
import { access, constants, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { CaseboundError } from '@casebound/contract';

const run = promisify(execFile);

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface Launcher {
  /** What is put before the program's own path and arguments. */
  readonly prefix: readonly string[];
  /** For `spawn`, where the prefix does not change the account itself. */
  readonly identity: { readonly uid: number; readonly gid: number } | undefined;
  /** The account that must own the database's files; undefined: this process's own. */
  readonly owner: Account | undefined;
  /** A word for the log: `direct`, `account`, `capability`, `namespace`. */
  readonly method: string;
}

interface LauncherRequest {
  /** An account to prefer, by name. */
  readonly account: string | undefined;
  /** The folders that the account must be able to enter. */
  readonly folders: readonly string[];
  /** Owner of an existing cluster, who keeps it. */
  readonly existingOwner: number | undefined;
}

/** Names that are tried in order when none is configured and the cluster has no owner yet. */
const knownAccounts = ['casebound', 'postgres'];

/** Decides how to run PostgreSQL. Fails with `database_start_failed` when no way works. */
export async function chooseLauncher(request: LauncherRequest): Promise<Launcher> {
  const setpriv = await findProgram('setpriv');
  const diesWithParent = setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'INT'];
  if (process.geteuid?.() !== 0) {
    return { prefix: diesWithParent, identity: undefined, owner: undefined, method: 'direct' };
  }
  const owner = await chooseAccount(request);
  if (await canEnterAll(request.folders, owner)) {
    if (setpriv === undefined) return { prefix: [], identity: owner, owner, method: 'account' };
    const prefix = [...diesWithParent, ...switchAccount(owner)];
    return { prefix, identity: undefined, owner, method: 'account' };
  }
  for (const capability of ['dac_read_search', 'dac_override']) {
    if (setpriv === undefined) break;
    // no_setuid_fixup: access(2), by which postgres looks for its own binary, otherwise ignores the capability.
    const only = `-all,+${capability}`;
    const prefix = [
      ...diesWithParent,
      ...switchAccount(owner),
      '--securebits=+no_setuid_fixup',
      `--inh-caps=${only}`,
      `--ambient-caps=${only}`,
      `--bounding-set=${only}`,
    ];
    const launcher: Launcher = { prefix, identity: undefined, owner, method: 'capability' };
    if (await works(launcher, request.folders)) return launcher;
  }
  const unshare = await findProgram('unshare');
  if (unshare !== undefined) {
    const prefix = [...diesWithParent, unshare, '--user', `--map-user=${owner.uid}`, `--map-group=${owner.gid}`];
    const launcher: Launcher = { prefix, identity: undefined, owner: undefined, method: 'namespace' };
    if (await works(launcher, request.folders)) return launcher;
  }
  throw new CaseboundError(
    'database_start_failed',
    `PostgreSQL does not run as root, and the account ${owner.name} cannot enter ${await firstClosedFolder(request.folders, owner)}; ` +
      `put Casebound and its data folder where that account can go (\`chmod o+x\` on each parent), or run Casebound as another user than root.`,
  );
}

function switchAccount(owner: Account): string[] {
  return ['--reuid', String(owner.uid), '--regid', String(owner.gid), '--clear-groups'];
}

async function chooseAccount(request: LauncherRequest): Promise<Account> {
  if (request.existingOwner !== undefined && request.existingOwner !== 0) {
    const known = await findAccount(String(request.existingOwner));
    return known ?? { name: String(request.existingOwner), uid: request.existingOwner, gid: request.existingOwner };
  }
  if (request.account !== undefined) {
    const configured = await findAccount(request.account);
    if (configured === undefined || configured.uid === 0) {
      throw new CaseboundError(
        'config_invalid',
        `database.account is ${JSON.stringify(request.account)}, which is ${configured === undefined ? 'not an account of this machine' : 'root'}; name an unprivileged account, or leave it out.`,
      );
    }
    return configured;
  }
  for (const name of knownAccounts) {
    const account = await findAccount(name);
    if (account !== undefined && account.uid !== 0) return account;
  }
  const account = (await createSystemAccount('casebound')) ?? (await findAccount('nobody'));
  if (account === undefined) {
    throw new CaseboundError(
      'database_start_failed',
      'PostgreSQL does not run as root, and there is no unprivileged account to run it as; create one (`useradd --system casebound`) or run Casebound as another user.',
    );
  }
  return account;
}

async function findAccount(name: string): Promise<Account | undefined> {
  try {
    const [uid, gid, known] = await Promise.all([
      run('id', ['-u', name]),
      run('id', ['-g', name]),
      run('id', ['-un', name]),
    ]);
    return { name: known.stdout.trim(), uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return undefined;
  }
}

async function createSystemAccount(name: string): Promise<Account | undefined> {
  try {
    await run('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', name]);
  } catch {
    return undefined; // No useradd here, or a read-only /etc: the caller takes another account.
  }
  return findAccount(name);
}

/** By mode bits alone: an access list that grants more is not seen, and then a capability is used without need. */
async function canEnterAll(folders: readonly string[], account: Account): Promise<boolean> {
  return (await firstClosed(folders, account)) === undefined;
}

async function firstClosedFolder(folders: readonly string[], account: Account): Promise<string> {
  return (await firstClosed(folders, account)) ?? folders.join(' or ');
}

async function firstClosed(folders: readonly string[], account: Account): Promise<string | undefined> {
  for (const folder of folders) {
    for (let current = path.resolve(folder); ; current = path.dirname(current)) {
      const { mode, uid, gid } = await stat(current);
      const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
      if ((mode & bit) === 0) return current;
      if (current === path.dirname(current)) break;
    }
  }
  return undefined;
}

async function works(launcher: Launcher, folders: readonly string[]): Promise<boolean> {
  const [program, ...args] = [...launcher.prefix, 'ls', '-d', ...folders.map((folder) => path.join(folder, '.'))];
  if (program === undefined) return false;
  try {
    await run(program, args);
    return true;
  } catch {
    return false;
  }
}

async function findProgram(name: string): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined;
  for (const folder of ['/usr/bin', '/bin', '/usr/sbin', '/sbin']) {
    const candidate = path.join(folder, name);
    try {
      await access(candidate, constants.X_OK);
      if (name !== 'setpriv' || (await understandsParentDeath(candidate))) return candidate;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** util-linux has `--pdeathsig` since 2.33; BusyBox's program of the same name has it not. */
async function understandsParentDeath(setpriv: string): Promise<boolean> {
  try {
    await run(setpriv, ['--pdeathsig', 'INT', 'true']);
    return true;
  } catch {
    return false;
  }
}
