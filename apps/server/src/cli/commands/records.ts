/** `casebound records ...`: a record store over any API schema, by itself. */
import path from 'node:path';
import { CaseboundError } from '@casebound/contract';
import { type Command, Option } from 'commander';
import {
  audit,
  ddlEmit,
  migrate,
  migrateAll,
  provision,
  type RecordsSource,
  runRecordsServe,
  type ServeOptions,
  type WatchdogSettings,
} from '../../features/records/index.ts';
import type { CommonOptions } from '../engine.ts';
import type { Output } from '../output.ts';
import { type CliContext, createCommand, parseWholeNumber, type RegisterCommand, runCommand } from '../command.ts';

interface SourceOptions {
  readonly schema: readonly string[];
  readonly store: string;
  readonly databaseUrl?: string;
}

const collect = (value: string, previous: readonly string[] = []): readonly string[] => [...previous, value];

const sourceCommand = (name: string, summary: string): Command =>
  createCommand(name, summary)
    .addOption(
      new Option('--schema <file>', 'API schema: the core project, then its extensions; repeatable')
        .argParser(collect)
        .makeOptionMandatory(),
    )
    .option('--store <name>', 'database schema that holds the store', 'records')
    .option('--database-url <url>', 'postgres://...; default: the embedded server of the data folder');

const sourceOf = (command: Command, context: CliContext, options: CommonOptions): RecordsSource => {
  const given = command.opts<SourceOptions>();
  return {
    schemaFiles: given.schema.map((file) => path.resolve(context.cwd, file)),
    store: given.store,
    ...(given.databaseUrl === undefined ? {} : { databaseUrl: given.databaseUrl }),
    dataDir: options.dataDir,
  };
};

const untilInterrupted = async (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

interface ServeArguments {
  readonly port: string;
  readonly host: string;
  readonly prefix: string;
  readonly cache: 'off' | 'on-write';
  readonly claimSets?: string;
  readonly watchdog: boolean;
  readonly watchdogInterval: string;
  readonly watchdogSample: string;
  readonly commitShare: string;
  readonly onDamage: 'repair' | 'mark-unhealthy';
  readonly maxClosure: string;
  readonly maxDepth: string;
  readonly maxFanOut: string;
  readonly beyondFanOut: 'fail' | 'defer';
}

/** The least and the greatest share of commits that a store checks. */
const leastShare = 0.001;
const greatestShare = 0.01;

const watchdogOf = (given: ServeArguments): WatchdogSettings | null => {
  if (!given.watchdog) return null;
  const commitShare = Number(given.commitShare);
  if (!(commitShare >= leastShare && commitShare <= greatestShare))
    throw new CaseboundError(
      'validation_failed',
      `--commit-share takes a number from ${leastShare} to ${greatestShare}.`,
    );
  return {
    intervalMs: parseWholeNumber('--watchdog-interval', given.watchdogInterval) * 1_000,
    sampleSize: parseWholeNumber('--watchdog-sample', given.watchdogSample),
    commitShare,
    onDamage: given.onDamage,
  };
};

const cascadeOf = (given: ServeArguments): NonNullable<ServeOptions['cascade']> => ({
  maxClosure: parseWholeNumber('--max-closure', given.maxClosure, 0),
  maxDepth: parseWholeNumber('--max-depth', given.maxDepth, 0),
  maxFanOut: parseWholeNumber('--max-fan-out', given.maxFanOut, 0),
  beyondFanOut: given.beyondFanOut,
});

const serveCommand = (): Command =>
  sourceCommand('serve', 'serve a bare store over HTTP on a loopback address')
    .option('--port <port>', 'port to listen on', '4711')
    .option('--host <host>', 'loopback address to listen on', '127.0.0.1')
    .option('--prefix <path>', 'path under which the resources are', '/data')
    .addOption(new Option('--cache <mode>', 'keep the JSON of documents').choices(['off', 'on-write']).default('off'))
    .option('--claim-sets <file>', 'claim-set document; requests then carry their claims in x-casebound-claims')
    .option('--no-watchdog', 'do not sample for damage; embedded database only')
    .option('--watchdog-interval <seconds>', 'seconds between samples', '5')
    .option('--watchdog-sample <n>', 'documents a sample', '50')
    .option('--commit-share <share>', 'share of commits that are checked, 0.001 to 0.01', '0.005')
    .addOption(
      new Option('--on-damage <action>', 'repair and report, or refuse to serve until repaired')
        .choices(['repair', 'mark-unhealthy'])
        .default('repair'),
    )
    .option('--max-closure <n>', 'records whose identity a change of identity may reach', '50000')
    .option('--max-depth <n>', 'levels that it may reach', '32')
    .option('--max-fan-out <n>', 'records that it may give a new etag for showing the identity', '200000')
    .addOption(
      new Option('--beyond-fan-out <action>', 'what happens beyond: fail, or leave those etags to the background')
        .choices(['fail', 'defer'])
        .default('fail'),
    );

const registerServe = (parent: Command, context: CliContext): void => {
  const command = serveCommand();
  command.action(async () =>
    runCommand(command, context, async ({ options, output }) => {
      const given = command.opts<ServeArguments>();
      const crashAt = context.env['CASEBOUND_CRASH_AT'];
      const running = await runRecordsServe({
        ...sourceOf(command, context, options),
        port: parseWholeNumber('--port', given.port, 0),
        host: given.host,
        prefix: given.prefix,
        cacheMode: given.cache,
        watchdog: watchdogOf(given),
        cascade: cascadeOf(given),
        metrics: await context.engine.createMetrics(),
        ...(given.claimSets === undefined ? {} : { claimSetFile: path.resolve(context.cwd, given.claimSets) }),
        ...(crashAt === undefined
          ? {}
          : {
              crashPoint: (name: string) => {
                if (name === crashAt) process.kill(process.pid, 'SIGKILL');
              },
            }),
        onIncident: ({ kind, resource, documentId, repaired }) => {
          output.note(
            `damage: ${kind} ${resource} ${documentId}, ${repaired ? 'repaired' : 'not repaired; run records audit'}`,
          );
        },
        onInternalError: (error, requestId) => {
          output.note(`${requestId}: ${error instanceof Error ? (error.stack ?? error.message) : 'unknown error'}`);
        },
      });
      const { address, provisioned, resources, timings } = running;
      const memoryMb = Math.round(process.memoryUsage().rss / 1e6);
      output.result(
        {
          address: `${address}${given.prefix}`,
          metrics: `${address}/metrics`,
          resources,
          provisioned,
          timings,
          memoryMb,
        },
        `${resources} resources at ${address}${given.prefix} (store ${provisioned}), figures at ${address}/metrics.\n  schema ${timings.derive} ms, database ${timings.database} ms, provision ${timings.provision} ms, open ${timings.open} ms, listen ${timings.listen} ms; ${memoryMb} MB\n\nCtrl-C stops it.`,
      );
      await untilInterrupted(context.interrupted);
      await running.stop();
    }),
  );
  parent.addCommand(command);
};

const registerDdl = (parent: Command, context: CliContext): void => {
  const ddl = parent.command('ddl').description('SQL of a store');
  const command = sourceCommand('emit', 'print the SQL that makes a store').option(
    '--edge-partitions <n>',
    'hash partitions of reference_edge',
    '1',
  );
  command.action(async () =>
    runCommand(command, context, async ({ options, output }) => {
      const partitions = parseWholeNumber(
        '--edge-partitions',
        command.opts<{ edgePartitions: string }>().edgePartitions,
      );
      const sql = await ddlEmit(sourceOf(command, context, options), partitions);
      output.result({ sql }, sql.trimEnd());
    }),
  );
  ddl.addCommand(command);
};

const registerProvision = (parent: Command, context: CliContext): void => {
  const command = sourceCommand('provision', 'make a store');
  command.action(async () =>
    runCommand(command, context, async ({ options, output }) => {
      const source = sourceOf(command, context, options);
      const outcome = await provision(source);
      output.result(
        { store: source.store, outcome },
        outcome === 'created' ? `Made the store ${source.store}.` : `The store ${source.store} is there.`,
      );
    }),
  );
  parent.addCommand(command);
};

interface CommandTools {
  readonly options: CommonOptions;
  readonly output: Output;
}

interface MigrateArguments {
  readonly dryRun?: boolean;
  readonly accept?: readonly string[];
  readonly allStores?: boolean;
  readonly prefix: string;
  readonly concurrency: string;
}

const migrateStoresOf = async (
  command: Command,
  context: CliContext,
  { options, output }: CommandTools,
): Promise<void> => {
  const given = command.opts<MigrateArguments>();
  const failed: { store: string; error: string }[] = [];
  const summary = await migrateAll(sourceOf(command, context, options), {
    accept: given.accept ?? [],
    dryRun: given.dryRun === true,
    prefix: given.prefix,
    concurrency: parseWholeNumber('--concurrency', given.concurrency),
    signal: context.interrupted,
    onStore: (store, result) => {
      if (result instanceof Error) failed.push({ store, error: result.message });
      else if (result.length > 0) output.note(`${store}: ${result.length} changes`);
    },
  });
  if (failed.length > 0) context.setExitCode(1);
  const { migrated, present } = summary;
  output.result(
    { ...summary, failures: failed.slice(0, 1_000) },
    [
      `${given.dryRun === true ? 'To migrate' : 'Migrated'} ${migrated} stores; ${present} were there, ${failed.length} failed.`,
      ...failed.map(({ store, error }) => `  ${store}: ${error}`),
    ].join('\n'),
  );
};

const migrateOne = async (command: Command, context: CliContext, { options, output }: CommandTools): Promise<void> => {
  const given = command.opts<MigrateArguments>();
  const changes = await migrate(sourceOf(command, context, options), {
    accept: given.accept ?? [],
    dryRun: given.dryRun === true,
  });
  const verb = given.dryRun === true ? 'Would apply' : 'Applied';
  output.result(
    { changes },
    changes.length === 0
      ? 'The tables are those of the schema.'
      : `${verb}:\n${changes.map((change) => `  ${change}`).join('\n')}`,
  );
};

const registerMigrate = (parent: Command, context: CliContext): void => {
  const command = sourceCommand('migrate', 'bring a store, or all of a database, to another version of the schema')
    .option('--dry-run', 'say what would change and change nothing')
    .addOption(
      new Option('--accept <change>', 'a loss or rewrite to accept, as the refusal words it; repeatable').argParser(
        collect,
      ),
    )
    .option('--all-stores', 'every store of the database; run again, it goes on where it was interrupted')
    .option('--prefix <text>', 'with --all-stores: only stores whose name begins so', '')
    .option('--concurrency <n>', 'with --all-stores: stores at once', '4');
  command.action(async () =>
    runCommand(command, context, async (tools) =>
      command.opts<MigrateArguments>().allStores === true
        ? migrateStoresOf(command, context, tools)
        : migrateOne(command, context, tools),
    ),
  );
  parent.addCommand(command);
};

const registerAudit = (parent: Command, context: CliContext): void => {
  const command = sourceCommand('audit', 'compare edges, identities and cached JSON with the columns')
    .option('--repair', 'rebuild what is wrong')
    .addOption(new Option('--document <id>', 'UUID or id of a document; repeatable').argParser(collect))
    .option('--cascade', 'also what has the document in its identity')
    .option('--restart', 'begin anew instead of going on where an interrupted audit was');
  command.action(async () =>
    runCommand(command, context, async ({ options, output }) => {
      const given = command.opts<{
        repair?: boolean;
        document?: readonly string[];
        cascade?: boolean;
        restart?: boolean;
      }>();
      const found: string[] = [];
      const summary = await audit(sourceOf(command, context, options), {
        repair: given.repair === true,
        documents: given.document ?? [],
        cascade: given.cascade === true,
        restart: given.restart === true,
        onDamage: (damage) => {
          if (found.length < 1_000)
            found.push(`${damage.kind} ${damage.resource} ${damage.documentId} ${damage.detail}`);
        },
      });
      if (summary.damages > 0 && given.repair !== true) context.setExitCode(1);
      output.result(
        { ...summary, found },
        [
          `Checked ${summary.checked} documents: ${summary.damages} damages, ${summary.repaired} repaired.`,
          ...found,
        ].join('\n'),
      );
    }),
  );
  parent.addCommand(command);
};

export const registerRecords: RegisterCommand = (program, context) => {
  const parent = program.command('records').description('a schema-driven record store by itself');
  for (const register of [registerServe, registerDdl, registerProvision, registerMigrate, registerAudit])
    register(parent, context);
};
