/** The command tree. A new part adds its command file here, and nothing else has to know. */
import { CaseboundError } from '@casebound/contract';
import { Command, CommanderError } from 'commander';
import type { CliContext, RegisterCommand } from './command.ts';
import { registerAccount } from './commands/account.ts';
import { registerAnnotation } from './commands/annotation.ts';
import { registerAudit } from './commands/audit.ts';
import { registerCase } from './commands/case.ts';
import { registerConfig } from './commands/config.ts';
import { registerDemo } from './commands/demo.ts';
import { registerDlq } from './commands/dlq.ts';
import { registerDoctor } from './commands/doctor.ts';
import { registerEvents } from './commands/events.ts';
import { registerExchange } from './commands/exchange.ts';
import { registerExhibit } from './commands/exhibit.ts';
import { registerFields } from './commands/fields.ts';
import { registerMigrate } from './commands/migrate.ts';
import { registerQueue } from './commands/queue.ts';
import { registerStatus } from './commands/status.ts';
import { registerUp } from './commands/up.ts';
import { registerWorkflow } from './commands/workflow.ts';
import { createOutput } from './output.ts';

const USAGE_EXIT_CODE = 2;

const registrations: readonly RegisterCommand[] = [
  registerUp,
  registerStatus,
  registerDemo,
  registerCase,
  registerAccount,
  registerConfig,
  registerMigrate,
  registerDoctor,
  registerQueue,
  registerDlq,
  registerEvents,
  registerExchange,
  registerExhibit,
  registerAnnotation,
  registerFields,
  registerAudit,
  registerWorkflow,
];

/** Commands that bring a package with them: it is read when the command is the one that was called. */
const heavyCommands: readonly {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<RegisterCommand>;
}[] = [
  {
    name: 'loadfile',
    summary: 'look at load files (DAT, CSV, Opticon, LFP, EDRM XML)',
    load: async () => (await import('./commands/loadfile.ts')).registerLoadfile,
  },
  {
    name: 'import',
    summary: 'bring load files, mail and loose files into a case',
    load: async () => (await import('./commands/import.ts')).registerImport,
  },
  {
    name: 'pdf',
    summary: 'the document engine on PDF files: text, render, annotate, redact, stamp, verify',
    load: async () => (await import('./commands/pdf.ts')).registerPdf,
  },
  {
    name: 'records',
    summary: 'a record store over any API schema, by itself',
    load: async () => (await import('./commands/records.ts')).registerRecords,
  },
  {
    name: 'sample',
    summary: 'productions of a fictional dispute, to try things on',
    load: async () => (await import('./commands/sample.ts')).registerSample,
  },
];

const registerHeavy = async (program: Command, context: CliContext, called: string | undefined): Promise<void> => {
  for (const { name, summary, load } of heavyCommands) {
    if (name === called) (await load())(program, context);
    else program.addCommand(new Command(name).description(summary));
  }
};

const epilogue = `
Commands use the server that runs on the data folder, or else start the embedded database for the time of the command.

Exit codes: 0 success, 1 internal error, 2 wrong usage or input, 3 not found, 4 conflict, 5 not permitted,
6 try again later, 10 and up: one cause each, listed in docs/errors.md.`;

const createProgram = async (context: CliContext, called: string | undefined): Promise<Command> => {
  const program = new Command('casebound')
    .description(
      'Self-hosted eDiscovery: carries documents between legal cases with all of their work product, and proves it.',
    )
    .version(context.engine.version, '-V, --version')
    .addHelpText('after', epilogue)
    .enablePositionalOptions()
    .showHelpAfterError('(add --help for usage)')
    .configureOutput({
      writeOut: (text) => void context.streams.stdout.write(text),
      writeErr: (text) => void context.streams.stderr.write(text),
    })
    .exitOverride();
  for (const register of registrations) register(program, context);
  await registerHeavy(program, context, called);
  const inherit = (command: Command): void => {
    for (const child of command.commands) {
      child.copyInheritedSettings(command);
      inherit(child);
    }
  };
  inherit(program);
  return program;
};

/** Parses and runs; the exit code goes to `context.setExitCode`. */
export const runCli = async (argv: readonly string[], context: CliContext): Promise<void> => {
  try {
    const called = argv.find((argument) => !argument.startsWith('-') && argument !== 'help');
    const program = await createProgram(context, called);
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return;
    // What people read is on stderr by now; a script gets its document all the same.
    const message = error.message.replace(/^error: /, '');
    const usage = new CaseboundError('validation_failed', `${message}; \`--help\` shows the usage.`);
    if (argv.includes('--json')) createOutput(context.streams, true).failure(usage);
    context.setExitCode(USAGE_EXIT_CODE);
  }
};
