/** Runs the `casebound` command as a user does, as a process of its own. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnScript, type ScriptEnd, type SpawnedScript } from '@casebound/test-kit';

const launcher = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../apps/server/bin/casebound.js');

/** Variables of whoever runs the tests must not steer the command under test. */
const cleanEnvironment = Object.fromEntries(
  Object.keys(process.env)
    .filter((name) => name.startsWith('CASEBOUND_'))
    .map((name) => [name, '']),
);

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly timeoutMs?: number;
}

export const startCasebound = (args: readonly string[], options: RunOptions = {}): SpawnedScript =>
  spawnScript(launcher, { ...options, args, env: { ...cleanEnvironment, ...options.env } });

export const runCasebound = async (args: readonly string[], options: RunOptions = {}): Promise<ScriptEnd> =>
  startCasebound(args, options).ended;

/** Runs a command with `--json` and parses its one document. */
export const runJson = async (
  args: readonly string[],
  options: RunOptions = {},
): Promise<ScriptEnd & { readonly document: Record<string, unknown> }> => {
  const end = await runCasebound([...args, '--json'], options);
  try {
    return { ...end, document: JSON.parse(end.stdout) };
  } catch (cause) {
    throw new Error(`casebound ${args.join(' ')} printed no JSON document:\n${end.stdout}\n${end.stderr}`, { cause });
  }
};
