/** `casebound import PATH --case CASE`, and looking at imports. */
import path from 'node:path';
import { CaseboundError, type ImportPreview, ImportRequest, JobId } from '@casebound/contract';
import type { Command } from 'commander';
import { type CliContext, createCommand, parseWholeNumber, type RegisterCommand, withConnection } from '../command.ts';
import { findCaseId } from '../find-case.ts';
import { readMapping } from '../import-mapping.ts';
import { table } from '../output.ts';
import { describeImport, exitForImport, placeOf, reportImport, SHOWN_PROBLEMS, watchImport } from '../watch-import.ts';

interface ImportOptions {
  readonly case?: string;
  readonly mapping?: string;
  readonly profile?: string;
  readonly saveProfile?: string;
  readonly batch?: string;
  readonly overlay?: string;
  readonly key?: string;
  readonly deduplicate?: string;
  readonly custodian?: string;
  readonly prefix?: string;
  readonly rootedPaths?: string;
  readonly ocr?: boolean;
  readonly strict?: boolean;
  readonly dryRun?: boolean;
  readonly detach?: boolean;
}

const requestOf = async (
  context: CliContext,
  dataDir: string,
  given: string,
  options: ImportOptions,
): Promise<ImportRequest> => {
  const parsed = ImportRequest.safeParse({
    path: path.resolve(context.cwd, given),
    mapping: await readMapping(context.cwd, dataDir, options),
    ...(options.batch === undefined ? {} : { batch: options.batch }),
    ...(options.overlay === undefined
      ? {}
      : { overlay: { mode: options.overlay, ...(options.key === undefined ? {} : { key: options.key }) } }),
    ...(options.deduplicate === undefined ? {} : { deduplicate: options.deduplicate }),
    ...(options.custodian === undefined ? {} : { custodian: options.custodian }),
    ...(options.prefix === undefined ? {} : { controlNumberPrefix: options.prefix }),
    ...(options.rootedPaths === undefined ? {} : { rootedPaths: options.rootedPaths }),
    ocr: options.ocr === false ? 'off' : 'auto',
    strict: options.strict === true,
  });
  if (parsed.success) return parsed.data;
  throw new CaseboundError('validation_failed', 'The options of the import are not valid.', {
    errors: parsed.error.issues.map((issue) => ({ path: `$.${issue.path.join('.')}`, message: issue.message })),
  });
};

const describePreview = (preview: ImportPreview): string => {
  if (preview.kind === 'loose_files')
    return `Loose files: ${preview.rows} files, messages and attachments, each an exhibit; attachments are children of their message.${preview.problemCounts.length === 0 ? '' : ` Problems: ${preview.problemCounts.map((it) => `${it.count} ${it.code}`).join(', ')}.`}`;
  const columns = preview.columns.map((it) => [it.column, it.target, it.type, it.warning ?? it.reason]);
  const problems = preview.problems
    .slice(0, SHOWN_PROBLEMS)
    .map((it) => `  ${it.line === null ? '' : `line ${it.line}: `}${it.code}: ${it.reason}`);
  return [
    `Load file ${preview.dataFile ?? ''} (${preview.encoding ?? ''})${preview.imageList === null ? '' : `, image list ${preview.imageList}`}: ${preview.rows} rows, ${preview.rejected} rejected`,
    table(['column', 'becomes', 'values', 'why'], columns),
    ...(problems.length === 0
      ? ['No problems.']
      : [`Problems (${preview.problemCounts.map((it) => `${it.count} ${it.code}`).join(', ')}):`, ...problems]),
  ].join('\n');
};

const readImportId = (given: string): JobId => {
  const parsed = JobId.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new CaseboundError(
    'validation_failed',
    `${given} is not the id of an import; \`casebound import list\` shows them.`,
  );
};

const withCaseOption = (command: Command): Command =>
  command.requiredOption('--case <case>', 'number or name of the case');

const createListCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('list', 'list the imports of a case, newest first'));
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const caseId = await findCaseId(connection, command.opts<{ case: string }>().case);
      const { imports } = await connection.client.listImports({ params: { caseId } });
      const rows = imports.map((it) => [
        it.jobId,
        it.batch,
        it.state,
        String(it.counts.rows),
        String(it.counts.imported),
        String(it.counts.problems),
        it.createdAt,
      ]);
      output.result({ imports }, table(['import', 'batch', 'state', 'rows', 'imported', 'problems', 'created'], rows));
    }),
  );
};

const createShowCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('show', 'show an import with its first problems')).argument('<import>');
  return command.action((given: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const caseId = await findCaseId(connection, command.opts<{ case: string }>().case);
      await reportImport(
        connection,
        output,
        caseId,
        await connection.client.getImport({ params: { caseId, jobId: readImportId(given) } }),
      );
    }),
  );
};

const createWatchCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('watch', 'follow an import to its end')).argument('<import>');
  return command.action((given: string) =>
    withConnection(
      command,
      context,
      async ({ connection, output }) => {
        const caseId = await findCaseId(connection, command.opts<{ case: string }>().case);
        const job = await watchImport(connection, context, output, caseId, readImportId(given));
        await reportImport(connection, output, caseId, job);
        exitForImport(context, job);
      },
      { workers: true },
    ),
  );
};

const csvCell = (value: string | number | boolean | null): string => {
  const text = value === null ? '' : String(value);
  // A leading sign would be a formula to a spreadsheet.
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
};

const createProblemsCommand = (context: CliContext): Command => {
  const command = withCaseOption(
    createCommand('problems', 'list or export what was wrong with the source of an import'),
  )
    .argument('<import>')
    .option('--code <code>', 'only problems of this code')
    .option('--limit <count>', 'at most this many', '100')
    .option('--csv', 'as CSV, all of them');
  return command.action((given: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const options = command.opts<{ case: string; code?: string; limit: string; csv?: boolean }>();
      const caseId = await findCaseId(connection, options.case);
      const params = { caseId, jobId: readImportId(given) };
      const code = options.code === undefined ? {} : { code: options.code };
      if (options.csv === true) {
        const header = ['severity', 'code', 'row', 'line', 'path', 'field', 'value', 'reason', 'rejected'] as const;
        output.result(null, header.join(','));
        for (let after: number | null = 0; after !== null;) {
          const page: Awaited<ReturnType<typeof connection.client.listImportProblems>> =
            await connection.client.listImportProblems({ params, query: { after, limit: 1_000, ...code } });
          if (page.problems.length > 0)
            output.result(
              null,
              page.problems.map((it) => header.map((name) => csvCell(it[name])).join(',')).join('\n'),
            );
          after = page.next;
        }
        return;
      }
      const page = await connection.client.listImportProblems({
        params,
        query: { limit: parseWholeNumber('--limit', options.limit), ...code },
      });
      const rows = page.problems.map((it) => [
        it.severity,
        it.code,
        placeOf(it),
        it.field ?? '',
        it.value ?? '',
        it.reason,
      ]);
      output.result(
        page,
        `${table(['severity', 'code', 'place', 'field', 'value', 'reason'], rows)}\n${page.counts.map((it) => `${it.count} ${it.code}`).join(', ')}`,
      );
    }),
  );
};

const createResumeCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('resume', 'carry on an import that stands still')).argument('<import>');
  return command.action((given: string) =>
    withConnection(
      command,
      context,
      async ({ connection, output }) => {
        const caseId = await findCaseId(connection, command.opts<{ case: string }>().case);
        const jobId = readImportId(given);
        await connection.client.resumeImport({ params: { caseId, jobId } });
        const job = await watchImport(connection, context, output, caseId, jobId);
        await reportImport(connection, output, caseId, job);
        exitForImport(context, job);
      },
      { workers: true },
    ),
  );
};

const createCancelCommand = (context: CliContext): Command => {
  const command = withCaseOption(createCommand('cancel', 'cancel an import and undo what it wrote')).argument(
    '<import>',
  );
  return command.action((given: string) =>
    withConnection(
      command,
      context,
      async ({ connection, output }) => {
        const caseId = await findCaseId(connection, command.opts<{ case: string }>().case);
        const jobId = readImportId(given);
        await connection.client.cancelImport({ params: { caseId, jobId } });
        const job = await watchImport(connection, context, output, caseId, jobId);
        output.result(job, describeImport(job));
        exitForImport(context, job);
      },
      { workers: true },
    ),
  );
};

export const registerImport: RegisterCommand = (program, context) => {
  // Not required here: what the command asks for would be asked of its subcommands, too.
  const command = createCommand('import', 'bring load files, mail and loose files into a case')
    .option('--case <case>', 'number or name of the case')
    .argument('<path>', 'folder, zip or load file')
    .option('--mapping <file>', 'JSON file that says what columns are')
    .option('--profile <name>', 'mapping that was kept under this name; --mapping adds to it')
    .option('--save-profile <name>', 'keep the mapping under a name, in the data folder')
    .option('--batch <name>', 'name of the batch')
    .option('--overlay <mode>', 'change exhibits that exist: append|replace|merge')
    .option('--key <field>', 'what rows of an overlay are matched by', 'controlNumber')
    .option('--deduplicate <scope>', 'none|custodian|case', 'none')
    .option('--custodian <name>', 'of documents whose source names none')
    .option('--prefix <text>', 'control numbers of documents whose source numbers none', 'DOC')
    .option('--rooted-paths <what>', 'paths that start at a drive: refuse|strip', 'refuse')
    .option('--no-ocr', 'leave pages without text as they are')
    .option('--strict', 'the first rejected row ends the import and undoes it')
    .option('--dry-run', 'say what the import would do')
    .option('--detach', 'do not wait for the end (needs a running server)');
  command.action((given: string) =>
    withConnection(
      command,
      context,
      async ({ connection, output, options: { dataDir } }) => {
        const options = command.opts<ImportOptions>();
        if (options.case === undefined) throw new CaseboundError('validation_failed', 'Name the case with --case.');
        const caseId = await findCaseId(connection, options.case);
        const request = await requestOf(context, dataDir, given, options);
        if (options.dryRun === true) {
          const preview = await connection.client.previewImport({ params: { caseId }, body: request });
          output.result(preview, describePreview(preview));
          return;
        }
        const started = await connection.client.createImport({ params: { caseId }, body: request });
        output.note(`Import ${started.jobId}, batch "${started.batch}"`);
        if (options.detach === true) {
          output.result(started, describeImport(started));
          return;
        }
        const job = await watchImport(connection, context, output, caseId, started.jobId);
        await reportImport(connection, output, caseId, job);
        exitForImport(context, job);
      },
      { workers: true },
    ),
  );
  for (const create of [
    createListCommand,
    createShowCommand,
    createWatchCommand,
    createProblemsCommand,
    createResumeCommand,
    createCancelCommand,
  ]) {
    command.addCommand(create(context));
  }
  program.addCommand(command);
};
