/** `casebound fields`: custom fields, values of exhibits, and how a case stores them. */
import {
  type CaseId,
  CaseboundError,
  type CustomField,
  type FieldStorage,
  FieldValuesUpdate,
  hasCode,
  NewCustomField,
  storageSwitchNames,
} from '@casebound/contract';
import type { Command } from 'commander';
import { type CliContext, createCommand, parseWholeNumber, type RegisterCommand, withConnection } from '../command.ts';
import type { Connection } from '../engine.ts';
import { findCaseId } from '../find-case.ts';
import { findExhibitId } from '../find-exhibit.ts';
import { type Output, table } from '../output.ts';

const withCaseOption = (command: Command): Command =>
  command.requiredOption('--case <case>', 'number or name of the case');

type SwitchName = (typeof storageSwitchNames)[number];

/** How often a step that a server's time limit ended is asked for again; it goes on where it was. */
const STEP_ATTEMPTS = 200;

const createListCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('list', 'list the custom fields of a case'));
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const caseId = await findCaseId(connection, command.opts<{ case: string }>().case);
      const { fields } = await connection.client.listFields({ params: { caseId } });
      const rows = fields.map((it) => [it.title, it.inputType, it.choices.join('; ').slice(0, 80), String(it.fieldId)]);
      output.result({ fields }, table(['title', 'type', 'choices', 'id'], rows));
    }),
  );
};

const createAddCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('add', 'add a custom field to a case'))
    .argument('<title>')
    .requiredOption('--type <type>', 'text|long_text|date|number|yes_no|single_choice|multi_choice')
    .option('--choices <list>', 'what a choice field offers, separated by semicolons')
    .option('--description <text>', 'what the field is for');
  return command.action((title: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const options = command.opts<{ case: string; type: string; choices?: string; description?: string }>();
      const parsed = NewCustomField.safeParse({
        title,
        inputType: options.type,
        ...(options.choices === undefined ? {} : { choices: splitList(options.choices) }),
        ...(options.description === undefined ? {} : { description: options.description }),
      });
      if (!parsed.success)
        throw new CaseboundError('validation_failed', 'The field is not valid.', {
          errors: parsed.error.issues.map((issue) => ({ path: `$.${issue.path.join('.')}`, message: issue.message })),
        });
      const caseId = await findCaseId(connection, options.case);
      const field = await connection.client.createField({ params: { caseId }, body: parsed.data });
      output.result(field, `Custom field "${field.title}" (${field.inputType}), id ${field.fieldId}`);
    }),
  );
};

const splitList = (text: string): string[] =>
  text
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '');

const createShowCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('show', 'show the custom fields of an exhibit')).argument(
    '<exhibit>',
    'control number, or id:123',
  );
  return command.action((given: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const caseId = await findCaseId(connection, command.opts<{ case: string }>().case);
      const exhibitId = await findExhibitId(connection, caseId, given);
      const found = await connection.client.getFieldValues({ params: { caseId, exhibitId } });
      const rows = Object.entries(found.values).map(([title, value]) => [
        title,
        Array.isArray(value) ? value.join('; ') : String(value),
      ]);
      output.result(found, `${table(['field', 'value'], rows)}\nVersion ${found.version}`);
    }),
  );
};

/** What was written on the command line, as the field takes it. */
const valueOf = (field: CustomField | undefined, text: string): string | number | boolean | string[] | null => {
  if (text === '') return null;
  switch (field?.inputType) {
    case 'number':
      return Number(text);
    case 'yes_no':
      return /^(yes|true)$/i.test(text) ? true : /^(no|false)$/i.test(text) ? false : text;
    case 'multi_choice':
      return splitList(text);
    default:
      return text;
  }
};

const createSetCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('edit', 'change custom fields of an exhibit'))
    .argument('<exhibit>', 'control number, or id:123')
    .argument('<title=value...>', 'several choices are separated by semicolons; no value removes')
    .option('--version-read <number>', 'refuse when the values are at another version');
  return command.action((given: string, assignments: readonly string[]) =>
    withConnection(command, context, async ({ connection, output }) => {
      const options = command.opts<{ case: string; versionRead?: string }>();
      const caseId = await findCaseId(connection, options.case);
      const exhibitId = await findExhibitId(connection, caseId, given);
      const { fields } = await connection.client.listFields({ params: { caseId } });
      const values = Object.fromEntries(
        assignments.map((assignment) => {
          const at = assignment.indexOf('=');
          if (at < 1)
            throw new CaseboundError('validation_failed', `A change is title=value; this is \`${assignment}\`.`);
          const title = assignment.slice(0, at);
          return [
            title,
            valueOf(
              fields.find((it) => it.title === title),
              assignment.slice(at + 1),
            ),
          ];
        }),
      );
      const body = FieldValuesUpdate.parse({
        values,
        ...(options.versionRead === undefined
          ? {}
          : { version: parseWholeNumber('--version-read', options.versionRead, 0) }),
      });
      const updated = await connection.client.updateFieldValues({ params: { caseId, exhibitId }, body });
      output.result(updated, `Version ${updated.version}`);
    }),
  );
};

/** Where a case keeps its custom fields, with its switches when it had them in tables. */
export const describeStorage = ({ storage, switches }: Pick<FieldStorage, 'storage' | 'switches'>): string => {
  if (storage === 'segments') return 'The case keeps its custom fields in segments.';
  const on = switches.filter((it) => it.on).map((it) => it.name);
  const lines = switches.map((it) => `  ${it.on ? 'on ' : 'off'} ${it.name}`);
  return [`${whereOf(on, switches.length)}:`, ...lines].join('\n');
};

const whereOf = (on: readonly SwitchName[], all: number): string => {
  if (on.length === 0) return 'The case keeps its custom fields in tables';
  if (on.length === all)
    return 'The case keeps its custom fields in segments; its tables are written no more, and stay for a way back';
  const from = on.includes('read-from-objects') ? 'segments' : 'tables';
  return `The case is on its way from tables to segments, ${on.length} of ${all} switches are on; values are read from ${from}`;
};

const findSwitch = (given: string): SwitchName => {
  const found = storageSwitchNames.find((name) => name === given);
  if (found !== undefined) return found;
  throw new CaseboundError(
    'validation_failed',
    `The switches are ${storageSwitchNames.join(', ')}; this is \`${given}\`.`,
  );
};

const turn = async (connection: Connection, output: Output, caseId: CaseId, name: SwitchName, on: boolean) => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const step = await connection.client.switchFieldStorage({ params: { caseId }, body: { name, on } });
      const compared = step.compared === null ? '' : `, ${step.compared} compared and equal`;
      const copied = step.copied === 0 ? '' : `, values of ${step.copied} exhibits copied`;
      output.note(`${name}: ${on ? 'on' : 'off'}${compared}${copied}`);
      return step;
    } catch (error) {
      if (!hasCode(error, 'operation_timeout') || attempt === STEP_ATTEMPTS) throw error;
      output.note(`${name}: going on ...`);
    }
  }
};

const createMigrateCommand = (context: CliContext): Command => {
  const command = withCaseOption(
    createCommand('migrate', 'bring a case from tables to segments, a switch at a time, each found equal first'),
  )
    .option('--to <switch>', `up to this one: ${storageSwitchNames.join(', ')}`, 'stop-table-writes')
    .option('--rollback <switch>', 'turn this one back, and those after it')
    .option('--status', 'only say where it is');
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const options = command.opts<{ case: string; to: string; rollback?: string; status?: true }>();
      const caseId = await findCaseId(connection, options.case);
      let now: FieldStorage = await connection.client.getFieldStorage({ params: { caseId } });
      if (options.status !== true && options.rollback !== undefined) {
        const from = storageSwitchNames.indexOf(findSwitch(options.rollback));
        for (const name of storageSwitchNames.slice(from).toReversed())
          if (now.switches.some((it) => it.name === name && it.on))
            now = await turn(connection, output, caseId, name, false);
      } else if (options.status !== true) {
        const to = storageSwitchNames.indexOf(findSwitch(options.to));
        for (const name of storageSwitchNames.slice(0, to + 1))
          if (!now.switches.some((it) => it.name === name && it.on))
            now = await turn(connection, output, caseId, name, true);
      }
      output.result(now, describeStorage(now));
    }),
  );
};

const createLegacyCommand = (context: CliContext): Command => {
  const command = withCaseOption(
    createCommand('legacy', 'move the custom fields of a case into tables, as older cases have them'),
  );
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const caseId = await findCaseId(connection, command.opts<{ case: string }>().case);
      const step = await connection.client.makeFieldStorageLegacy({ params: { caseId } });
      output.result(step, `${describeStorage(step)}\nValues of ${step.copied} exhibits copied.`);
    }),
  );
};

const createCompactCommand = (context: CliContext): Command => {
  const command = withCaseOption(
    createCommand('compact', 'fold single edits into segments, and remove objects that nothing points at'),
  );
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const caseId = await findCaseId(connection, command.opts<{ case: string }>().case);
      const done = await connection.client.compactFields({ params: { caseId } });
      output.result(
        done,
        `${done.exhibits} exhibits moved into ${done.segments} segments; ${done.removed} objects removed, ${done.waiting} wait for the end of their grace period.`,
      );
    }),
  );
};

/** Something is there that nobody could put right by itself. */
const EXIT_INCIDENTS = 1;

const createReconcileCommand = (context: CliContext): Command => {
  const command = withCaseOption(
    createCommand('reconcile', 'compare pointers, objects, tables and index of a sample of exhibits'),
  ).option('--sample <count>', 'exhibits to look at', '500');
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const options = command.opts<{ case: string; sample: string }>();
      const caseId = await findCaseId(connection, options.case);
      const found = await connection.client.reconcileFields({
        params: { caseId },
        body: { sample: parseWholeNumber('--sample', options.sample) },
      });
      const rows = found.incidents.map((it) => [it.kind, String(it.exhibitId ?? ''), it.detail]);
      output.result(
        found,
        `${found.sampled} exhibits looked at, ${found.indexRepaired} put into the index anew, ${rows.length} incidents.${rows.length === 0 ? '' : `\n${table(['kind', 'exhibit', 'detail'], rows)}`}`,
      );
      if (rows.length > 0) context.setExitCode(EXIT_INCIDENTS);
    }),
  );
};

export const registerFields: RegisterCommand = (program, context) => {
  const command = createCommand('fields', 'custom fields: definitions, values, and how a case stores them');
  for (const create of [
    createListCommand,
    createAddCommand,
    createShowCommand,
    createSetCommand,
    createMigrateCommand,
    createLegacyCommand,
    createCompactCommand,
    createReconcileCommand,
  ]) {
    command.addCommand(create(context));
  }
  program.addCommand(command);
};
