/** What all commands share: the common options, the way errors end a command, and the type of a command file. */
import path from 'node:path';
import { CaseboundError } from '@casebound/contract';
import { Command, Option } from 'commander';
import type { CommonOptions, Connection, Engine, RunningServer } from './engine.ts';
import { createOutput, type Output, type Streams } from './output.ts';

export interface CliContext {
  readonly engine: Engine;
  readonly streams: Streams;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly setExitCode: (code: number) => void;
  /** Aborts at the first Ctrl-C or SIGTERM. */
  readonly interrupted: AbortSignal;
}

/** A command file exports one of these. */
export type RegisterCommand = (program: Command, context: CliContext) => void;

interface RawOptions {
  readonly data?: string;
  readonly config?: string;
  readonly json?: boolean;
  readonly set?: readonly string[];
}

const collect = (value: string, previous: readonly string[] = []): readonly string[] => [...previous, value];

/** Creates a command with the options that every command has. */
export const createCommand = (name: string, summary: string): Command =>
  new Command(name)
    .description(summary)
    // What stands behind a subcommand is the subcommand's, though its parent has options of the same names.
    .enablePositionalOptions()
    .addOption(new Option('--data <dir>', 'data folder').env('CASEBOUND_DATA').default('.casebound'))
    .addOption(
      new Option('--config <file>', 'configuration file; default: config.yaml in the data folder').env(
        'CASEBOUND_CONFIG',
      ),
    )
    .addOption(
      new Option('--set <key=value>', 'override one setting, e.g. --set http.port=4711; repeatable').argParser(collect),
    )
    .addOption(new Option('--json', 'one JSON document on stdout, everything else on stderr'));

export const readCommonOptions = (
  raw: RawOptions,
  context: CliContext,
  more: ReadonlyMap<string, string> = new Map(),
): CommonOptions => {
  const overrides = new Map<string, string>();
  for (const assignment of raw.set ?? []) {
    const at = assignment.indexOf('=');
    if (at < 1)
      throw new CaseboundError(
        'validation_failed',
        `--set takes key=value, for example --set http.port=4711; this is \`${assignment}\`.`,
      );
    overrides.set(assignment.slice(0, at), assignment.slice(at + 1));
  }
  for (const [key, value] of more) overrides.set(key, value);
  // Nobody means the working folder by it; a script's variable that is not set would make a data folder of that.
  if (raw.data === '')
    throw new CaseboundError('validation_failed', '--data (or CASEBOUND_DATA) is empty; name a folder.');
  if (raw.config === '') {
    throw new CaseboundError(
      'validation_failed',
      '--config (or CASEBOUND_CONFIG) is empty; name a file, or leave it out.',
    );
  }
  return {
    dataDir: path.resolve(context.cwd, raw.data ?? '.casebound'),
    configFile: raw.config === undefined ? undefined : path.resolve(context.cwd, raw.config),
    overrides,
  };
};

/** Runs a command's body: errors end it with their sentence, remedy and exit code. */
export const runCommand = async (
  command: Command,
  context: CliContext,
  body: (parts: { options: CommonOptions; output: Output }) => Promise<void>,
  more?: ReadonlyMap<string, string>,
): Promise<void> => {
  const raw: RawOptions = command.opts();
  const output = createOutput(context.streams, raw.json === true);
  try {
    await body({ options: readCommonOptions(raw, context, more), output });
  } catch (error) {
    context.setExitCode(output.failure(error));
  }
};

/** Runs a command's body with a way to the use cases, closed afterwards. `workers`: background work goes on while it is open. */
export const withConnection = async (
  command: Command,
  context: CliContext,
  body: (parts: { connection: Connection; output: Output; options: CommonOptions }) => Promise<void>,
  needs: { readonly workers: boolean } = { workers: false },
): Promise<void> =>
  runCommand(command, context, async ({ options, output }) => {
    const connection = await context.engine.connect(options, needs);
    try {
      await body({ connection, output, options });
    } finally {
      await connection.close();
    }
  });

/** Parses a whole number given on the command line. */
export const parseWholeNumber = (what: string, text: string, minimum = 1): number => {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < minimum) {
    throw new CaseboundError(
      'validation_failed',
      `${what} is a whole number of at least ${minimum}; this is \`${text}\`.`,
    );
  }
  return value;
};

/** Waits for Ctrl-C or SIGTERM, then stops the server. Throws when the server ends by itself. */
export const untilInterrupted = async (context: CliContext, server: RunningServer, output: Output): Promise<void> => {
  const interrupted = Promise.withResolvers<'interrupted'>();
  const onAbort = (): void => interrupted.resolve('interrupted');
  if (context.interrupted.aborted) onAbort();
  context.interrupted.addEventListener('abort', onAbort, { once: true });
  const first = await Promise.race([interrupted.promise, server.stopped.then(() => 'stopped' as const)]);
  if (first === 'stopped') throw new CaseboundError('internal', 'The server stopped by itself; its log says why.');
  output.note('Stopping: no new requests, finishing what runs ...');
  await server.stop('signal');
  output.note('Stopped.');
};
