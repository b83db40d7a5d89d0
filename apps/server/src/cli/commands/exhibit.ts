/** `casebound exhibit list|show|text|download`: looking at the exhibits of a case. */
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { type CaseId, CaseboundError, type ExhibitDetail, type ExhibitId } from '@casebound/contract';
import type { Command } from 'commander';
import { type CliContext, createCommand, parseWholeNumber, type RegisterCommand, withConnection } from '../command.ts';
import type { Connection } from '../engine.ts';
import { findCaseId } from '../find-case.ts';
import { findExhibitId } from '../find-exhibit.ts';
import { table } from '../output.ts';

/** A file is asked for in parts of this size: memory is one of them. */
const PART_BYTES = 8 * 1024 * 1024;

const filters = {
  from: 'control numbers from this one on',
  to: 'control numbers up to this one',
  custodian: 'of this custodian',
  label: 'with this label',
  labelCategory: 'with a label of this category',
  folder: 'in this folder or below it',
  dateFrom: 'dated on this day or later, YYYY-MM-DD',
  dateTo: 'dated on this day or before',
  hash: 'whose file has this MD5, SHA-1 or SHA-256',
  confidentialityCode: 'with this confidentiality code',
  relevancy: 'coded so',
  privilege: 'coded so',
  field: 'with --field-value in this custom field',
  fieldValue: 'the value to look for',
} as const;

const flagOf = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const withCaseOption = (command: Command): Command =>
  command.requiredOption('--case <case>', 'number or name of the case');

const createListCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('list', 'list exhibits by control number'));
  for (const [name, summary] of Object.entries(filters)) command.option(`--${flagOf(name)} <value>`, summary);
  command
    .option('--batch <id>', 'of this batch')
    .option('--family <id>', 'of the family of this exhibit')
    .option('--redacted <what>', 'true|false')
    .option('--after <control-number>', 'go on after this one')
    .option('--limit <count>', 'at most this many', '50')
    .option('--count', 'count all that match');
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const options = command.opts<
        Record<string, string | undefined> & { case: string; limit: string; count?: true }
      >();
      const caseId = await findCaseId(connection, options.case);
      const chosen = Object.fromEntries(
        [...Object.keys(filters), 'after'].flatMap((name) => {
          const value = options[name];
          return value === undefined ? [] : [[name, value]];
        }),
      );
      const page = await connection.client.listExhibits({
        params: { caseId },
        query: {
          ...chosen,
          ...(options['batch'] === undefined ? {} : { batchId: parseWholeNumber('--batch', options['batch']) }),
          ...(options['family'] === undefined ? {} : { familyId: parseWholeNumber('--family', options['family']) }),
          ...(options['redacted'] === undefined
            ? {}
            : { redacted: options['redacted'] === 'false' ? 'false' : 'true' }),
          limit: parseWholeNumber('--limit', options.limit),
          count: options.count === true ? 'true' : 'false',
        },
      });
      const rows = page.exhibits.map((it) => [
        it.controlNumber,
        String(it.exhibitId),
        it.custodians.join('; '),
        it.documentDate?.slice(0, 10) ?? '',
        (it.subject ?? it.fileName ?? '').slice(0, 60),
        String(it.pages),
      ]);
      const more = page.next === null ? '' : `\nMore after ${page.next}: --after ${page.next}`;
      const total = page.total === null ? '' : `\n${page.total}${page.totalIsExact ? '' : ' or more'} match.`;
      output.result(
        page,
        `${table(['control number', 'id', 'custodian', 'date', 'subject or file', 'pages'], rows)}${total}${more}`,
      );
    }),
  );
};

const describe = (exhibit: ExhibitDetail): string => {
  const lines: [string, string][] = [
    ['control number', `${exhibit.controlNumber} (id ${exhibit.exhibitId}, version ${exhibit.version})`],
    ['batch', exhibit.batch],
    ['file', `${exhibit.fileName ?? ''} ${exhibit.mimeType ?? ''} ${exhibit.fileSize ?? ''}`.trim()],
    ['custodians', exhibit.custodians.join('; ')],
    ['relevancy', exhibit.relevancy ?? ''],
    ['privilege', exhibit.privilege ?? ''],
    ['confidentiality', exhibit.confidentialityCodes.join(', ')],
    ['labels', exhibit.labels.map(({ category, name }) => `${category}/${name}`).join('; ')],
    ['folders', exhibit.folders.join('; ')],
    ['family', exhibit.family.map((it) => it.controlNumber).join(' ')],
    ['pages', String(exhibit.pages)],
    ['annotations', exhibit.annotations === null ? 'none made' : String(exhibit.annotations)],
    ...Object.entries(exhibit.document)
      .filter(([, value]) => typeof value !== 'object')
      .map(([name, value]): [string, string] => [`document.${name}`, String(value)]),
    ...Object.entries(exhibit.fields).map(([title, value]): [string, string] => [
      title,
      Array.isArray(value) ? value.join('; ') : String(value),
    ]),
  ];
  const files = exhibit.variants.map((it) => [it.type, String(it.position), String(it.size), it.sha256]);
  return [
    table(
      ['field', 'value'],
      lines.filter(([, value]) => value !== ''),
    ),
    ...(files.length === 0 ? [] : ['', table(['file', 'position', 'bytes', 'sha256'], files)]),
  ].join('\n');
};

const createShowCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('show', 'show an exhibit with everything attached to it')).argument(
    '<exhibit>',
    'control number, or id:123',
  );
  return command.action((given: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const caseId = await findCaseId(connection, command.opts<{ case: string }>().case);
      const exhibitId = await findExhibitId(connection, caseId, given);
      const exhibit = await connection.client.getExhibit({ params: { caseId, exhibitId } });
      output.result(exhibit, describe(exhibit));
    }),
  );
};

const createTextCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('text', 'print the text of an exhibit, page by page'))
    .argument('<exhibit>', 'control number, or id:123')
    .option('--page <number>', 'this page only');
  return command.action((given: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const options = command.opts<{ case: string; page?: string }>();
      const caseId = await findCaseId(connection, options.case);
      const exhibitId = await findExhibitId(connection, caseId, given);
      const pages: { position: number; text: string }[] = [];
      const read = async (position: number): Promise<void> => {
        const page = await connection.client.getPageText({ params: { caseId, exhibitId, position } });
        if (output.json) pages.push(page);
        else output.result(page, page.text);
      };
      if (options.page === undefined) {
        const { pages: count } = await connection.client.getExhibit({ params: { caseId, exhibitId } });
        for (let position = 1; position <= count; position += 1) await read(position);
      } else await read(parseWholeNumber('--page', options.page));
      if (output.json) output.result({ pages }, '');
    }),
  );
};

/** Writes a file part by part beside its place, and moves it there when it is whole. An existing file is not replaced unless asked for. */
const download = async (
  connection: Connection,
  params: { caseId: CaseId; exhibitId: ExhibitId; type: 'native' | 'pdf' | 'text' | 'image'; position: number },
  to: string,
  size: number,
): Promise<void> => {
  const temporary = `${to}.part-${process.pid}`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    for (let start = 0; start < size; start += PART_BYTES) {
      const range = { start, end: Math.min(size, start + PART_BYTES) };
      const { bytes } = await connection.client.downloadVariant({ params }, { range });
      await file.write(bytes);
    }
    await file.close();
    await rename(temporary, to);
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
};

const types = ['native', 'pdf', 'text', 'image'] as const;

const createDownloadCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('download', 'write a file of an exhibit to disk'))
    .argument('<exhibit>', 'control number, or id:123')
    .option('--type <type>', types.join('|'), 'native')
    .option('--position <number>', 'which of several; default: the first')
    .option('--out <file>', 'where to; default: control number in the working folder')
    .option('--force', 'replace a file that is there');
  return command.action((given: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const options = command.opts<{ case: string; type: string; position?: string; out?: string; force?: true }>();
      const type = types.find((one) => one === options.type);
      if (type === undefined)
        throw new CaseboundError(
          'validation_failed',
          `--type is one of ${types.join(', ')}; this is \`${options.type}\`.`,
        );
      const caseId = await findCaseId(connection, options.case);
      const exhibitId = await findExhibitId(connection, caseId, given);
      const { controlNumber, variants } = await connection.client.getExhibit({ params: { caseId, exhibitId } });
      const wanted = options.position === undefined ? undefined : parseWholeNumber('--position', options.position, 0);
      const variant = variants.find((it) => it.type === type && (wanted === undefined || it.position === wanted));
      if (variant === undefined)
        throw new CaseboundError('variant_not_found', `The exhibit ${controlNumber} has no such ${type}.`);
      // The name of a file in a production is not to be trusted with a place on this disk.
      const name = `${controlNumber.replaceAll(/[^\w.-]/g, '_')}${type === 'pdf' ? '.pdf' : type === 'text' ? '.txt' : ''}`;
      const to = path.resolve(context.cwd, options.out ?? name);
      if (options.force !== true) {
        const there = await open(to).catch(() => undefined);
        await there?.close();
        if (there !== undefined)
          throw new CaseboundError(
            'validation_failed',
            `There is a file ${to}; name another with --out, or say --force.`,
          );
      }
      await download(connection, { caseId, exhibitId, type, position: variant.position }, to, variant.size);
      output.result({ file: to, ...variant }, `${to}: ${variant.size} bytes, SHA-256 ${variant.sha256}`);
    }),
  );
};

export const registerExhibit: RegisterCommand = (program, context) => {
  const command = createCommand('exhibit', 'look at the exhibits of a case');
  for (const create of [createListCommand, createShowCommand, createTextCommand, createDownloadCommand])
    command.addCommand(create(context));
  program.addCommand(command);
};
