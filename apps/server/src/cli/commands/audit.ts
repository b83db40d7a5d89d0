/** `casebound audit verify|history|custody`: the trail of a case. */
import type { Command } from 'commander';
import { type CliContext, createCommand, parseWholeNumber, type RegisterCommand, withConnection } from '../command.ts';
import { findCaseId } from '../find-case.ts';
import { findExhibitId } from '../find-exhibit.ts';
import { table } from '../output.ts';

const withCaseOption = (command: Command): Command =>
  command.requiredOption('--case <case>', 'number or name of the case');

/** The trail is not what it was. */
const EXIT_BROKEN = 1;

const createVerifyCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('verify', 'walk the hash chain of the audit trail')).option(
    '--head <sha256>',
    'a head that was kept from before; it must be a block of the chain',
  );
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const options = command.opts<{ case: string; head?: string }>();
      const caseId = await findCaseId(connection, options.case);
      const found = await connection.client.verifyAudit({
        params: { caseId },
        body: options.head === undefined ? {} : { head: options.head },
      });
      const unsealed = found.unsealedRows === 0 ? '' : `, ${found.unsealedRows} not sealed yet`;
      const lines = [
        found.findings.length === 0
          ? `Whole: ${found.sealedRows} entries in ${found.blocks} blocks${unsealed}.`
          : `Broken: ${found.findings.length} findings in ${found.blocks} blocks.`,
        ...(found.head === null
          ? []
          : [`Head: ${found.head}`, 'Keep it elsewhere: --head proves everything up to it.']),
        ...found.findings.map(
          (it) => `  ${it.kind}${it.blockNo === null ? '' : `, block ${it.blockNo}`}: ${it.detail}`,
        ),
      ];
      output.result(found, lines.join('\n'));
      if (found.findings.length > 0) context.setExitCode(EXIT_BROKEN);
    }),
  );
};

const cut = (value: unknown): string => (JSON.stringify(value) ?? '').slice(0, 80);

const createHistoryCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('history', 'list what was changed of an exhibit, oldest first'))
    .argument('<exhibit>', 'control number, or id:123')
    .option('--field <name>', 'only changes of this field')
    .option('--after <entry>', 'go on after this entry', '0')
    .option('--limit <count>', 'at most this many', '100');
  return command.action((given: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const options = command.opts<{ case: string; field?: string; after: string; limit: string }>();
      const caseId = await findCaseId(connection, options.case);
      const exhibitId = await findExhibitId(connection, caseId, given);
      const page = await connection.client.readAuditHistory({
        params: { caseId, exhibitId },
        query: {
          after: parseWholeNumber('--after', options.after, 0),
          limit: parseWholeNumber('--limit', options.limit),
          ...(options.field === undefined ? {} : { field: options.field }),
        },
      });
      const rows = page.entries.flatMap((entry) =>
        Object.entries(entry.changes).map(([field, [old, now]]) => [
          entry.at,
          entry.origin ?? entry.actor,
          field,
          cut(old),
          cut(now),
          entry.sealed ? 'yes' : 'not yet',
        ]),
      );
      const more = page.next === null ? '' : `\nMore: --after ${page.next}`;
      output.result(page, `${table(['when', 'who', 'field', 'old', 'new', 'sealed'], rows)}${more}`);
    }),
  );
};

const createCustodyCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('custody', 'say where the file of an exhibit has been')).argument(
    '<exhibit>',
    'control number, or id:123',
  );
  return command.action((given: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const caseId = await findCaseId(connection, command.opts<{ case: string }>().case);
      const exhibitId = await findExhibitId(connection, caseId, given);
      const chain = await connection.client.getChainOfCustody({ params: { caseId, exhibitId } });
      const { source } = chain;
      const rows = chain.events.flatMap((event) => [
        [event.at ?? '', event.kind, event.what, event.jobId ?? '', ''],
        ...event.files.map((file) => ['', '', `  ${file.type} ${file.position}, ${file.size} bytes`, '', file.sha256]),
      ]);
      output.result(
        chain,
        [
          `${chain.controlNumber}: ${source.path ?? source.fileName ?? 'no source path'}`,
          `MD5 ${source.md5 ?? '-'}  SHA-1 ${source.sha1 ?? '-'}  SHA-256 ${source.sha256 ?? '-'}`,
          table(['when', 'what', '', 'job', 'sha256'], rows),
        ].join('\n'),
      );
    }),
  );
};

export const registerAudit: RegisterCommand = (program, context) => {
  const command = createCommand('audit', 'the audit trail of a case, and its proof');
  for (const create of [createVerifyCommand, createHistoryCommand, createCustodyCommand])
    command.addCommand(create(context));
  program.addCommand(command);
};
