import type { Queue } from '@casebound/contract';
import { Command } from 'commander';
import { type CliContext, createCommand, type RegisterCommand, withConnection } from '../command.ts';
import { table } from '../output.ts';

const row = (queue: Queue): string[] => [
  queue.name,
  String(queue.visible),
  String(queue.inFlight),
  String(queue.delayed),
  queue.oldestVisibleMs === null ? '-' : `${Math.round(queue.oldestVisibleMs / 1000)} s`,
  String(queue.deadLetters),
  `${queue.visibilityTimeoutMs / 1000} s`,
  String(queue.maxReceiveCount),
];

const HEADER = ['queue', 'visible', 'in flight', 'delayed', 'oldest', 'dead letters', 'visibility', 'receives'];

const createListCommand = (context: CliContext): Command => {
  const command = createCommand('list', 'list queues with their depths');
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const { queues } = await connection.client.listQueues();
      output.result({ queues }, queues.length === 0 ? 'There are no queues.' : table(HEADER, queues.map(row)));
    }),
  );
};

const createShowCommand = (context: CliContext): Command => {
  const command = createCommand('show', 'show one queue with its depth').argument('<queue>');
  return command.action((name: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const queue = await connection.client.getQueue({ params: { queue: name } });
      output.result(queue, `${table(HEADER, [row(queue)])}\naddress: ${queue.address}`);
    }),
  );
};

const createPurgeCommand = (context: CliContext): Command => {
  const command = createCommand('purge', 'delete all messages of a queue')
    .argument('<queue>')
    .option('--yes', 'do it; without this the command only says how many messages there are');
  return command.action((name: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const queue = await connection.client.getQueue({ params: { queue: name } });
      const messages = queue.visible + queue.inFlight + queue.delayed;
      if (command.opts<{ yes?: boolean }>().yes !== true) {
        output.result(
          { wouldPurge: queue },
          `Would delete ${messages} messages of ${name}. Repeat with --yes to do it.`,
        );
        return;
      }
      await connection.client.purgeQueue({ params: { queue: name } });
      output.result({ purged: queue }, `Deleted about ${messages} messages of ${name}.`);
    }),
  );
};

export const registerQueue: RegisterCommand = (program, context) => {
  const group = new Command('queue').description('queues and how much is in them');
  for (const create of [createListCommand, createShowCommand, createPurgeCommand]) group.addCommand(create(context));
  program.addCommand(group);
};
