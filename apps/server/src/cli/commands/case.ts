import { type Case, CaseState } from '@casebound/contract';
import { Command } from 'commander';
import { type CliContext, createCommand, parseWholeNumber, type RegisterCommand, withConnection } from '../command.ts';
import { findCaseId } from '../find-case.ts';
import { table } from '../output.ts';

const describeCase = (it: Case): string =>
  `Case ${it.caseId} "${it.name}" is ${it.state} (database ${it.database}, schema ${it.schema}).`;

const createCaseCommand = (context: CliContext): Command => {
  const command = createCommand('create', 'create a case').argument(
    '<name>',
    'its name, unique without regard to case',
  );
  return command.action((name: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const created = await connection.client.createCase({ body: { name } });
      output.result(created, describeCase(created));
    }),
  );
};

const createListCommand = (context: CliContext): Command => {
  const command = createCommand('list', 'list cases, ordered by number')
    .option('--after <number>', 'start after this case')
    .option('--limit <count>', 'at most this many (1-500)', '100')
    .option('--state <state>', `only cases that are ${CaseState.options.join('|')}`);
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const given = command.opts<{ after?: string; limit: string; state?: CaseState }>();
      const page = await connection.client.listCases({
        query: {
          limit: parseWholeNumber('--limit', given.limit),
          ...(given.after === undefined ? {} : { after: parseWholeNumber('--after', given.after) }),
          ...(given.state === undefined ? {} : { state: given.state }),
        },
      });
      const rows = page.cases.map((it) => [String(it.caseId), it.name, it.state, it.database, it.createdAt]);
      const more = page.next === null ? '' : `; continue with --after ${page.next}`;
      output.result(
        page,
        `${table(['case', 'name', 'state', 'database', 'created'], rows)}\n${page.cases.length} of ${page.total} cases${more}`,
      );
    }),
  );
};

const createRenameCommand = (context: CliContext): Command => {
  const command = createCommand('rename', 'rename a case').argument('<case>', 'number or name').argument('<new-name>');
  return command.action((given: string, name: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const renamed = await connection.client.renameCase({
        params: { caseId: await findCaseId(connection, given) },
        body: { name },
      });
      output.result(renamed, describeCase(renamed));
    }),
  );
};

const createArchiveCommands = (context: CliContext): Command[] =>
  (['archive', 'restore'] as const).map((verb) => {
    const summary = verb === 'archive' ? 'make a case read-only' : 'take a case out of the archive';
    const command = createCommand(verb, summary).argument('<case>', 'number or name');
    return command.action((given: string) =>
      withConnection(command, context, async ({ connection, output }) => {
        const input = { params: { caseId: await findCaseId(connection, given) } };
        const { client } = connection;
        const changed = verb === 'archive' ? await client.archiveCase(input) : await client.restoreCase(input);
        output.result(changed, describeCase(changed));
      }),
    );
  });

const createDeleteCommand = (context: CliContext): Command => {
  const command = createCommand('delete', 'delete a case with everything in it: schema, role, objects')
    .argument('<case>', 'number or name')
    .option('--yes', 'do it; without this the command only says what it would delete');
  return command.action((given: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const caseId = await findCaseId(connection, given);
      const found = await connection.client.getCase({ params: { caseId } });
      if (command.opts<{ yes?: boolean }>().yes !== true) {
        output.result(
          { wouldDelete: found },
          `Would delete for good: ${describeCase(found)} Repeat with --yes to do it.`,
        );
        return;
      }
      await connection.client.deleteCase({ params: { caseId } });
      output.result({ deleted: found }, `Deleted case ${found.caseId} "${found.name}".`);
    }),
  );
};

export const registerCase: RegisterCommand = (program, context) => {
  const group = new Command('case').description('create, list, rename, archive, restore and delete cases');
  const commands = [
    createCaseCommand(context),
    createListCommand(context),
    createRenameCommand(context),
    ...createArchiveCommands(context),
    createDeleteCommand(context),
  ];
  for (const command of commands) group.addCommand(command);
  program.addCommand(group);
};
