/** Runs a PostgreSQL program to its end under the launcher. */
import { spawn, type SpawnOptions } from 'node:child_process';
import type { Launcher } from './choose-launcher.ts';

/** PostgreSQL reads settings from PG* variables and messages are parsed in English, so neither is inherited. */
export function programEnvironment(): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { LC_ALL: 'C', TZ: 'UTC' };
  if (process.env['PATH'] !== undefined) environment['PATH'] = process.env['PATH'];
  return environment;
}

/** The command line and account for `spawn`. */
export function launch(
  launcher: Launcher,
  program: string,
  args: readonly string[],
): { readonly command: string; readonly args: string[]; readonly options: SpawnOptions } {
  const [command = program, ...rest] = [...launcher.prefix, program, ...args];
  return {
    command,
    args: rest,
    options: {
      env: programEnvironment(),
      ...(launcher.identity === undefined ? {} : { uid: launcher.identity.uid, gid: launcher.identity.gid }),
    },
  };
}

/** Resolves with the exit code (-1 when a signal ended it) and both output streams together. Rejects when it cannot be run. */
export async function runProgram(
  launcher: Launcher,
  program: string,
  args: readonly string[],
  cwd: string,
): Promise<{ readonly exitCode: number; readonly output: string }> {
  const line = launch(launcher, program, args);
  return new Promise((resolve, reject) => {
    const child = spawn(line.command, line.args, { ...line.options, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-65_536);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ exitCode: code ?? -1, output });
    });
  });
}
