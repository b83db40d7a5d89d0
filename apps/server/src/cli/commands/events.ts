import { CaseboundError, eventTypes, type EventType } from '@casebound/contract';
import { Command, Option } from 'commander';
import { type CliContext, createCommand, parseWholeNumber, type RegisterCommand, withConnection } from '../command.ts';

const WAIT_SECONDS = 20;
/** Longer than the server waits for an event. */
const CALL_TIMEOUT_MS = 40_000;

interface TailOptions {
  readonly type?: EventType;
  readonly case?: string;
  readonly job?: string;
  readonly since?: string;
  readonly count?: string;
}

const createTailCommand = (context: CliContext): Command => {
  const command = createCommand('tail', 'print published events as they come, one JSON document a line; Ctrl-C ends')
    .addOption(new Option('--type <type>', 'only events of this type; see docs/events.md').choices([...eventTypes]))
    .option('--case <number>', 'only events of this case')
    .option('--job <id>', 'only events of this job')
    .option('--since <sequence>', 'begin after this sequence number; 0 begins with the oldest that is kept')
    .option('--count <number>', 'end after this many events');
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      if (output.json) {
        throw new CaseboundError(
          'validation_failed',
          '`events tail` prints one JSON document for each event anyway; leave --json out.',
        );
      }
      const given = command.opts<TailOptions>();
      const limit = given.count === undefined ? Number.POSITIVE_INFINITY : parseWholeNumber('--count', given.count);
      const filter = {
        ...(given.type === undefined ? {} : { type: given.type }),
        ...(given.case === undefined ? {} : { caseId: parseWholeNumber('--case', given.case) }),
        ...(given.job === undefined ? {} : { jobId: given.job }),
      };
      let after = given.since === undefined ? undefined : parseWholeNumber('--since', given.since, 0);
      for (let printed = 0; printed < limit && !context.interrupted.aborted;) {
        const signal = AbortSignal.any([context.interrupted, AbortSignal.timeout(CALL_TIMEOUT_MS)]);
        const query = {
          ...filter,
          waitSeconds: WAIT_SECONDS,
          limit: Math.min(500, limit - printed),
          ...(after === undefined ? {} : { after }),
        };
        const page = await connection.client.readEvents({ query }, { signal }).catch((error: unknown) => {
          if (context.interrupted.aborted) return undefined;
          throw error;
        });
        if (page === undefined) return;
        for (const event of page.events) context.streams.stdout.write(`${JSON.stringify(event)}\n`);
        printed += page.events.length;
        after = page.next;
      }
    }),
  );
};

export const registerEvents: RegisterCommand = (program, context) => {
  program.addCommand(new Command('events').description('published events').addCommand(createTailCommand(context)));
};
