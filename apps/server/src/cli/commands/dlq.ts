import { CaseboundError, type DeadLetter, type DeadLetterSummary } from '@casebound/contract';
import { Command } from 'commander';
import { type CliContext, createCommand, parseWholeNumber, type RegisterCommand, withConnection } from '../command.ts';
import { table } from '../output.ts';

interface FilterOptions {
  readonly queue?: string;
  readonly case?: string;
  readonly code?: string;
  readonly before?: string;
  readonly after?: string;
}

const withFilter = (command: Command): Command =>
  command
    .option('--queue <name>', 'only those of this queue')
    .option('--case <number>', 'only those of this case')
    .option('--code <code>', 'only those that died of this error')
    .option('--before <time>', 'only those that died before this time (ISO 8601)')
    .option('--after <time>', 'only those that died after this time (ISO 8601)');

const instant = (option: string, text: string): string => {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) {
    throw new CaseboundError(
      'validation_failed',
      `${option} takes a time such as 2026-01-31T08:00:00Z; this is \`${text}\`.`,
    );
  }
  return time.toISOString();
};

const readFilter = (options: FilterOptions) => ({
  ...(options.queue === undefined ? {} : { queue: options.queue }),
  ...(options.case === undefined ? {} : { caseId: parseWholeNumber('--case', options.case) }),
  ...(options.code === undefined ? {} : { code: options.code }),
  ...(options.before === undefined ? {} : { diedBefore: instant('--before', options.before) }),
  ...(options.after === undefined ? {} : { diedAfter: instant('--after', options.after) }),
});

/** What a command that changes many is about: the ids given, a filter, or all of them when that is said. */
const readSelection = (ids: readonly string[], options: FilterOptions & { readonly all?: boolean }) => {
  const filter = readFilter(options);
  const hasFilter = Object.keys(filter).length > 0;
  if ([ids.length > 0, hasFilter, options.all === true].filter(Boolean).length !== 1) {
    throw new CaseboundError(
      'validation_failed',
      'Say which dead letters: their ids, or a filter such as --queue, or --all; exactly one of these.',
    );
  }
  if (ids.length > 0) return { ids: [...ids] };
  return hasFilter ? { filter } : { all: true as const };
};

const summaryRow = (letter: DeadLetterSummary): string[] => [
  letter.deadLetterId,
  letter.queue,
  letter.caseId === null ? '-' : String(letter.caseId),
  letter.diedAt,
  String(letter.receiveCount),
  letter.code,
  letter.reason,
];

const describeLetter = (letter: DeadLetter): string =>
  [
    `Dead letter ${letter.deadLetterId} of ${letter.queue}, message ${letter.messageId}, sent ${letter.sentAt}, died ${letter.diedAt}`,
    `${letter.code}: ${letter.reason}`,
    '',
    table(
      ['attempt', 'at', 'worker', 'outcome', 'code', 'error'],
      letter.history.map((it) => [String(it.attempt), it.at, it.worker, it.outcome, it.code, it.error]),
    ),
    '',
    letter.body,
  ].join('\n');

const createListCommand = (context: CliContext): Command => {
  const command = withFilter(createCommand('list', 'list dead letters, oldest first'))
    .option('--limit <count>', 'at most this many (1-500)', '100')
    .option('--from <id>', 'continue after this dead letter');
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const given = command.opts<FilterOptions & { limit: string; from?: string }>();
      const page = await connection.client.listDeadLetters({
        query: {
          ...readFilter(given),
          limit: parseWholeNumber('--limit', given.limit),
          ...(given.from === undefined ? {} : { after: given.from }),
        },
      });
      const header = ['id', 'queue', 'case', 'died', 'receives', 'code', 'reason'];
      const more = page.next === null ? '' : `; continue with --from ${page.next}`;
      const shown = page.deadLetters.map(summaryRow);
      output.result(page, `${table(header, shown)}\n${shown.length} of ${page.total} dead letters${more}`);
    }),
  );
};

const createShowCommand = (context: CliContext): Command => {
  const command = createCommand('show', 'show a dead letter with its payload and every attempt').argument('<id>');
  return command.action((deadLetterId: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const letter = await connection.client.getDeadLetter({ params: { deadLetterId } });
      output.result(letter, describeLetter(letter));
    }),
  );
};

const createRedriveCommand = (context: CliContext): Command => {
  const command = withFilter(createCommand('redrive', 'put dead letters back into their queues'))
    .argument('[id...]')
    .option('--all', 'every dead letter')
    .option('--rate <per-second>', 'at most this many a second', '100');
  return command.action((ids: readonly string[]) =>
    withConnection(command, context, async ({ connection, output }) => {
      const given = command.opts<FilterOptions & { all?: boolean; rate: string }>();
      const selection = readSelection(ids, given);
      const perSecond = parseWholeNumber('--rate', given.rate);
      let redriven = 0;
      // The server answers after half a minute at the latest; what remains is asked for again.
      for (let remaining = 1; remaining > 0 && !context.interrupted.aborted;) {
        const answer = await connection.client.redriveDeadLetters(
          { body: { ...selection, perSecond } },
          { signal: AbortSignal.any([context.interrupted, AbortSignal.timeout(60_000)]) },
        );
        redriven += answer.redriven;
        remaining = answer.redriven === 0 ? 0 : answer.remaining;
        if (remaining > 0) output.note(`${redriven} put back, ${remaining} to go`);
      }
      output.result({ redriven }, `${redriven} dead letters are back in their queues.`);
    }),
  );
};

const createPurgeCommand = (context: CliContext): Command => {
  const command = withFilter(createCommand('purge', 'delete dead letters for good'))
    .argument('[id...]')
    .option('--all', 'every dead letter')
    .option('--yes', 'do it; required');
  return command.action((ids: readonly string[]) =>
    withConnection(command, context, async ({ connection, output }) => {
      const given = command.opts<FilterOptions & { all?: boolean; yes?: boolean }>();
      const selection = readSelection(ids, given);
      if (given.yes !== true) {
        throw new CaseboundError(
          'validation_failed',
          'Dead letters are the only copy of their messages; repeat with --yes to delete them.',
        );
      }
      const { purged } = await connection.client.purgeDeadLetters({ body: selection });
      output.result({ purged }, `Deleted ${purged} dead letters.`);
    }),
  );
};

export const registerDlq: RegisterCommand = (program, context) => {
  const group = new Command('dlq').description('dead letters: list, show, redrive, purge');
  for (const create of [createListCommand, createShowCommand, createRedriveCommand, createPurgeCommand]) {
    group.addCommand(create(context));
  }
  program.addCommand(group);
};
