import { type Workflow, WorkflowStatus } from '@casebound/contract';
import { Command, Option } from 'commander';
import { type CliContext, createCommand, parseWholeNumber, type RegisterCommand, withConnection } from '../command.ts';
import { table } from '../output.ts';

const row = (it: Workflow): string[] => [
  it.workflowId,
  it.name,
  it.caseId === null ? '-' : String(it.caseId),
  it.cancelRequested && it.state === 'running' ? 'running, to be cancelled' : it.state,
  String(it.step),
  String(it.attempt),
  it.updatedAt,
];

const HEADER = ['workflow', 'name', 'case', 'state', 'step', 'attempt', 'updated'];

const describeWorkflow = (it: Workflow): string =>
  [
    table(HEADER, [row(it)]),
    ...(it.errors.length === 0
      ? []
      : [
          '',
          table(
            ['step', 'phase', 'at', 'worker', 'code', 'error'],
            it.errors.map((error) => [error.step, error.phase, error.at, error.worker, error.code, error.error]),
          ),
        ]),
  ].join('\n');

const createListCommand = (context: CliContext): Command => {
  const command = createCommand('list', 'list workflows, newest first')
    .addOption(new Option('--state <state>', 'only those in this state').choices([...WorkflowStatus.options]))
    .option('--name <name>', 'only those of this kind')
    .option('--limit <count>', 'at most this many (1-500)', '100')
    .option('--before <id>', 'continue before this workflow');
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const given = command.opts<{ state?: Workflow['state']; name?: string; limit: string; before?: string }>();
      const page = await connection.client.listWorkflows({
        query: {
          limit: parseWholeNumber('--limit', given.limit),
          ...(given.state === undefined ? {} : { state: given.state }),
          ...(given.name === undefined ? {} : { name: given.name }),
          ...(given.before === undefined ? {} : { before: given.before }),
        },
      });
      const more = page.next === null ? '' : `\ncontinue with --before ${page.next}`;
      const text =
        page.workflows.length === 0 ? 'There are no workflows.' : table(HEADER, page.workflows.map(row)) + more;
      output.result(page, text);
    }),
  );
};

const createShowCommand = (context: CliContext): Command => {
  const command = createCommand('show', 'show a workflow with its errors').argument('<id>');
  return command.action((workflowId: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const found = await connection.client.getWorkflow({ params: { workflowId } });
      output.result(found, describeWorkflow(found));
    }),
  );
};

const createSteerCommands = (context: CliContext): Command[] =>
  (['cancel', 'resume'] as const).map((verb) => {
    const summary =
      verb === 'cancel' ? 'undo what a workflow has done, last first' : 'go on with a workflow that is stuck';
    const command = createCommand(verb, summary).argument('<id>');
    return command.action((workflowId: string) =>
      withConnection(command, context, async ({ connection, output }) => {
        const { client } = connection;
        const input = { params: { workflowId } };
        const changed = verb === 'cancel' ? await client.cancelWorkflow(input) : await client.resumeWorkflow(input);
        output.result(changed, describeWorkflow(changed));
      }),
    );
  });

export const registerWorkflow: RegisterCommand = (program, context) => {
  const group = new Command('workflow').description('workflows: list, show, cancel, resume');
  for (const command of [createListCommand(context), createShowCommand(context), ...createSteerCommands(context)]) {
    group.addCommand(command);
  }
  program.addCommand(group);
};
