/** `casebound exchange`: start, watch and steer exchanges. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CaseboundError,
  exchangeStages,
  ExchangeRequest,
  ExchangeState,
  ExchangeItemState,
  JobId,
  type CaseId,
  type Exchange,
  type ExchangeItem,
  type ExchangePreview,
} from '@casebound/contract';
import { type Command, Option } from 'commander';
import { findCaseId } from '../find-case.ts';
import { type CliContext, createCommand, parseWholeNumber, type RegisterCommand, withConnection } from '../command.ts';
import type { Connection } from '../engine.ts';
import { type Output, table } from '../output.ts';
import { parseSelection } from '../parse-selection.ts';
import { createProofCommands } from './exchange-proof.ts';

const ends: readonly Exchange['state'][] = ['FINISHED', 'FINISHED_WITH_ERRORS', 'FAILED', 'CANCELLED', 'ROLLED_BACK'];
const hasEnded = ({ state }: Exchange): boolean => ends.includes(state);
const watchMs = 500;
/** Where no server runs, this process carries the exchange. */
const working = { workers: true };
const barWidth = 24;

const percent = ({ progress }: Exchange): number =>
  progress.total === null || progress.total === 0 ? 0 : (progress.done + progress.failed) / progress.total;

const duration = (seconds: number | null): string => {
  if (seconds === null) return '?';
  if (seconds < 60) return `${Math.round(seconds)} s`;
  return seconds < 3600 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 360) / 10} h`;
};

/** The stage that is furthest behind is the one that work is at. */
const currentStage = (it: Exchange): string => {
  if (it.state !== 'PROCESSING') return it.state.toLowerCase().replaceAll('_', ' ');
  const open = exchangeStages.flatMap((stage) => {
    const progress = it.byStage[stage];
    return progress === undefined || progress.total === null || progress.done + progress.failed >= progress.total
      ? []
      : [`${stage} ${progress.done + progress.failed}/${progress.total}`];
  });
  return open.join(', ') || 'ending';
};

const bar = (it: Exchange): string => {
  const filled = Math.round(percent(it) * barWidth);
  const { done, failed, perSecond, etaSeconds } = it.progress;
  return `[${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}] ${String(Math.floor(percent(it) * 100)).padStart(3)} % ${done} done${failed > 0 ? `, ${failed} failed` : ''}, ${perSecond}/s, ${duration(etaSeconds)} left: ${currentStage(it)}`;
};

const describe = (it: Exchange): string =>
  [
    `Exchange ${it.jobId}: case ${it.sourceCaseId} -> case ${it.destinationCaseId} is ${it.state}${it.endsAs === null || hasEnded(it) ? '' : `, to end as ${it.endsAs}`}.`,
    `  ${it.exhibits} exhibits, batch ${it.batchId ?? '-'}, round ${it.round + 1}, started ${it.createdAt} by ${it.createdBy}${it.finishedAt === null ? '' : `, ended ${it.finishedAt}`}`,
    ...exchangeStages.flatMap((stage) => {
      const progress = it.byStage[stage];
      return progress === undefined
        ? []
        : [`  ${stage.padEnd(12)} ${progress.done} done, ${progress.failed} failed, of ${progress.total ?? '?'}`];
    }),
    ...(it.kept.length === 0 ? [] : [`  kept: ${it.kept.join('; ')}`]),
    ...(it.failure === null ? [] : [`  ${it.failure.step}: ${it.failure.reason} (${it.failure.code})`]),
  ].join('\n');

const describePreview = (it: ExchangePreview): string =>
  [
    `Would carry ${it.exhibits} exhibits (${it.families} because of their families, ${it.duplicates} duplicates left out), ${it.pages} pages, ${it.redacted} redacted.`,
    table(
      ['kind', 'objects', 'bytes'],
      Object.entries(it.byKind).map(([kind, { objects, bytes }]) => [kind, String(objects), String(bytes)]),
    ),
    `stages: ${it.stages.join(', ')}`,
    `conflicts: ${it.conflicts}${it.conflictExamples.length === 0 ? '' : ` (${it.conflictExamples.join(', ')})`}`,
    ...it.warnings.map(({ code, message, exhibits }) => `warning ${code}: ${message} (${exhibits} exhibits)`),
  ].join('\n');

/** Looks until the job has ended, or Ctrl-C: then the exchange goes on without being watched. */
const watch = async (context: CliContext, connection: Connection, output: Output, jobId: JobId): Promise<Exchange> => {
  let shown = '';
  for (;;) {
    const found = await connection.client.getExchange({ params: { jobId } });
    const line = bar(found);
    if (line !== shown) context.streams.stderr.write(`\r\u001B[K${line}`);
    shown = line;
    if (hasEnded(found) || context.interrupted.aborted) {
      context.streams.stderr.write('\n');
      if (!hasEnded(found)) output.note(`Not watching any more; go on with \`casebound exchange watch ${jobId}\`.`);
      return found;
    }
    await sleep(watchMs, undefined, { signal: context.interrupted }).catch(() => undefined);
  }
};

/** A command for scripts: an exchange that did not finish well is not a success. */
const exitFor = (context: CliContext, it: Exchange): void => {
  if (it.state === 'FAILED' || it.state === 'FINISHED_WITH_ERRORS') context.setExitCode(1);
};

interface StartOptions {
  readonly from?: string;
  readonly to?: string;
  readonly select?: readonly string[];
  readonly watch?: boolean;
  readonly dryRun?: boolean;
  readonly key?: string;
  readonly options?: string;
  readonly natives?: boolean;
  readonly images: boolean;
  readonly text: boolean;
  readonly fields: boolean;
  readonly labels: boolean;
  readonly folders: boolean;
  readonly history: boolean;
  readonly split?: boolean;
  readonly deduplicate?: boolean;
  readonly reOcr?: boolean;
  readonly onConflict?: string;
  readonly prefix?: string;
  readonly renumber?: string;
  readonly redactionsAs?: string;
  readonly annotationsAs?: string;
  readonly nativesOfRedacted?: string;
  readonly batch?: string;
}

const collect = (value: string, previous: readonly string[] = []): readonly string[] => [...previous, value];

const annotations = ({ redactionsAs, annotationsAs }: StartOptions): Record<string, unknown> => ({
  ...(annotationsAs === undefined
    ? {}
    : {
        highlightsAs: annotationsAs,
        notesAs: annotationsAs,
        stickersAs: annotationsAs,
        batesAs: annotationsAs,
        confidentialityCodesAs: annotationsAs,
        comments: annotationsAs === 'omit' ? 'omit' : 'layer',
      }),
  ...(redactionsAs === undefined ? {} : { redactionsAs }),
});

const controlNumbers = ({ prefix, renumber }: StartOptions): unknown => {
  if (prefix !== undefined && renumber !== undefined)
    throw new CaseboundError('validation_failed', 'Control numbers get a prefix or new numbers, not both.');
  if (prefix !== undefined) return { policy: 'prefix', prefix };
  if (renumber === undefined) return undefined;
  const [, letters = '', digits = ''] = /^(.*?)(\d+)$/s.exec(renumber) ?? [];
  if (digits === '')
    throw new CaseboundError('validation_failed', '--renumber takes the first number, for example NEW000001.');
  return { policy: 'renumber', prefix: letters, start: Number(digits), digits: digits.length };
};

const requestOf = (given: StartOptions, sourceCaseId: CaseId, destinationCaseId: CaseId): ExchangeRequest => {
  const more: unknown = given.options === undefined ? {} : parseOptions(given.options);
  const numbers = controlNumbers(given);
  const parsed = ExchangeRequest.safeParse({
    ...(more as object),
    sourceCaseId,
    destinationCaseId,
    selection: parseSelection(given.select ?? []),
    families: given.split === true ? 'split' : 'keep',
    deduplicate: given.deduplicate === true ? 'destination' : 'none',
    includeNatives: given.natives === true,
    includeImages: given.images,
    includeText: given.text,
    includeCustomFields: given.fields,
    includeLabels: given.labels,
    includeFolders: given.folders,
    includeHistory: given.history,
    reOcr: given.reOcr === true,
    annotations: annotations(given),
    ...(given.onConflict === undefined ? {} : { onConflict: given.onConflict }),
    ...(given.nativesOfRedacted === undefined ? {} : { nativesOfRedacted: given.nativesOfRedacted }),
    ...(given.batch === undefined ? {} : { batchName: given.batch }),
    ...(numbers === undefined ? {} : { controlNumbers: numbers }),
  });
  if (parsed.success) return parsed.data;
  throw new CaseboundError('validation_failed', 'The options of the exchange are not valid.', {
    errors: parsed.error.issues.map(({ path, message }) => ({ path: ['$', ...path].join('.'), message })),
  });
};

const parseOptions = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw new CaseboundError(
      'validation_failed',
      '--options takes a JSON object of the request; see docs/exchange.md.',
    );
  }
};

const start = async (
  context: CliContext,
  connection: Connection,
  output: Output,
  given: StartOptions,
): Promise<void> => {
  if (given.from === undefined || given.to === undefined)
    throw new CaseboundError('validation_failed', 'Name both cases with --from and --to.');
  const request = requestOf(given, await findCaseId(connection, given.from), await findCaseId(connection, given.to));
  if (given.dryRun === true) {
    const preview = await connection.client.previewExchange({ body: request });
    output.result(preview, describePreview(preview));
    return;
  }
  const call = given.key === undefined ? {} : { idempotencyKey: given.key };
  const { jobId, created, exchange } = await connection.client.createExchange({ body: request }, call);
  const first = created
    ? `Started exchange ${jobId}.`
    : `This was asked for before: exchange ${jobId} is ${exchange.state}.`;
  // In a process of its own the exchange ends with the command, so it is waited for.
  if (given.watch !== true && connection.via !== 'in-process') {
    output.result({ jobId, created, exchange }, first);
    return;
  }
  output.note(first);
  const ended = await watch(context, connection, output, jobId);
  output.result({ jobId, created, exchange: ended }, describe(ended));
  exitFor(context, ended);
};

const withStartOptions = (command: Command): Command =>
  command
    .option('--from <case>', 'case that exhibits come from: number or name')
    .option('--to <case>', 'case that they go to')
    .addOption(
      new Option(
        '--select <what>',
        'all | ids:1,2 | numbers:A1-A9,B3 | label:Category/Name | folder:Path | batch:Name | query:words; repeat for more numbers or ids',
      ).argParser(collect),
    )
    .option('--watch', 'show progress until it has ended')
    .option('--dry-run', 'say what it would do, and do nothing')
    .option('--key <key>', 'idempotency key: the same key finds the same exchange')
    .option('--natives', 'natives travel')
    .option('--no-images', 'page images stay')
    .option('--no-text', 'page text stays')
    .option('--no-fields', 'custom fields stay')
    .option('--no-labels', 'labels stay')
    .option('--no-folders', 'folders stay')
    .option('--no-history', 'logs of confidentiality and relevancy stay')
    .option('--split', 'families may be split')
    .option('--deduplicate', 'leave out what the destination has by hash')
    .option('--re-ocr', 'read the text of every page anew')
    .addOption(
      new Option('--on-conflict <policy>', 'control numbers that exist there').choices(['fail', 'skip', 'overlay']),
    )
    .option('--prefix <text>', 'put before each control number')
    .option('--renumber <first>', 'new control numbers from this one on, e.g. NEW000001')
    .addOption(new Option('--redactions-as <route>', 'redactions').choices(['brand_in', 'layer', 'omit']))
    .addOption(new Option('--annotations-as <route>', 'all other annotations').choices(['brand_in', 'layer', 'omit']))
    .addOption(
      new Option('--natives-of-redacted <policy>', 'natives of redacted exhibits').choices(['withhold', 'include']),
    )
    .option('--batch <name>', 'name of the new batch')
    .option('--options <json>', 'further members of the request as JSON');

const itemRow = (it: ExchangeItem): string[] => [
  it.sourceControlNumber,
  it.controlNumber ?? '-',
  it.stage,
  it.state,
  it.code ?? '',
  it.reason ?? '',
];

const createListCommand = (context: CliContext): Command => {
  const command = createCommand('list', 'list exchanges, newest first')
    .addOption(new Option('--state <state>', 'only those in this state').choices([...ExchangeState.options]))
    .option('--case <case>', 'only those from or to this case')
    .option('--limit <count>', 'at most this many (1-200)', '50');
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const given = command.opts<{ state?: Exchange['state']; case?: string; limit: string }>();
      const page = await connection.client.listExchanges({
        query: {
          limit: parseWholeNumber('--limit', given.limit),
          ...(given.state === undefined ? {} : { state: given.state }),
          ...(given.case === undefined ? {} : { caseId: await findCaseId(connection, given.case) }),
        },
      });
      const rows = page.exchanges.map((it) => [
        it.jobId,
        String(it.sourceCaseId),
        String(it.destinationCaseId),
        it.state,
        String(it.exhibits),
        String(it.progress.failed),
        it.createdAt,
      ]);
      output.result(
        page,
        rows.length === 0
          ? 'There are no exchanges.'
          : table(['exchange', 'from', 'to', 'state', 'exhibits', 'failed', 'started'], rows),
      );
    }),
  );
};

const createShowCommand = (context: CliContext): Command => {
  const command = createCommand('show', 'show an exchange, with its failed items')
    .argument('<id>')
    .addOption(
      new Option('--items <state>', 'list items in this state')
        .choices([...ExchangeItemState.options])
        .default('failed'),
    )
    .option('--limit <count>', 'at most this many items (1-1000)', '50');
  return command.action((id: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const given = command.opts<{ items: ExchangeItem['state']; limit: string }>();
      const params = { jobId: parseJobId(id) };
      const exchange = await connection.client.getExchange({ params });
      const { items } = await connection.client.listExchangeItems({
        params,
        query: { state: given.items, limit: parseWholeNumber('--limit', given.limit) },
      });
      const list =
        items.length === 0
          ? ''
          : `\n\n${table(['source', 'number', 'stage', 'state', 'code', 'reason'], items.map(itemRow))}`;
      output.result({ exchange, items }, describe(exchange) + list);
    }),
  );
};

const parseJobId = (text: string): JobId => {
  const parsed = JobId.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new CaseboundError('validation_failed', `The id of an exchange is a UUID; this is \`${text.slice(0, 60)}\`.`);
};

const createWatchCommand = (context: CliContext): Command => {
  const command = createCommand('watch', 'show the progress of an exchange until it has ended').argument('<id>');
  return command.action((id: string) =>
    withConnection(
      command,
      context,
      async ({ connection, output }) => {
        const ended = await watch(context, connection, output, parseJobId(id));
        output.result(ended, describe(ended));
        exitFor(context, ended);
      },
      working,
    ),
  );
};

const createSteerCommands = (context: CliContext): Command[] => {
  const steer = (
    name: string,
    summary: string,
    act: (connection: Connection, jobId: JobId) => Promise<Exchange>,
  ): Command => {
    const command = createCommand(name, summary).argument('<id>').option('--watch', 'show progress until it has ended');
    if (name === 'retry') command.option('--failed', 'the failed items (the default)');
    return command.action((id: string) =>
      withConnection(
        command,
        context,
        async ({ connection, output }) => {
          const jobId = parseJobId(id);
          const changed = await act(connection, jobId);
          const isWatched = command.opts<{ watch?: boolean }>().watch === true || connection.via === 'in-process';
          const shown = isWatched ? await watch(context, connection, output, jobId) : changed;
          output.result(shown, describe(shown));
        },
        working,
      ),
    );
  };
  return [
    steer('cancel', 'cancel an exchange and remove what it brought', async ({ client }, jobId) =>
      client.cancelExchange({ params: { jobId } }),
    ),
    steer('retry', 'process the failed items of an exchange again', async ({ client }, jobId) => {
      const { exchange } = await client.retryExchange({ params: { jobId }, body: { failed: true } });
      return exchange;
    }),
    steer('rollback', 'remove what a finished exchange brought', async ({ client }, jobId) =>
      client.rollbackExchange({ params: { jobId } }),
    ),
  ];
};

export const registerExchange: RegisterCommand = (program, context) => {
  const group = withStartOptions(
    createCommand('exchange', 'carry exhibits from one case to another, with all of their work product'),
  );
  group.action(() =>
    withConnection(
      group,
      context,
      async ({ connection, output }) => start(context, connection, output, group.opts<StartOptions>()),
      working,
    ),
  );
  for (const command of [
    createListCommand(context),
    createShowCommand(context),
    createWatchCommand(context),
    ...createSteerCommands(context),
    ...createProofCommands(context),
  ])
    group.addCommand(command);
  program.addCommand(group);
};
