import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { CaseboundError } from '@casebound/contract';
import { type DialectChoice, inspectLoadFile, type LoadFileFormat, renderInspectReport } from '@casebound/loadfile';
import { Command, Option } from 'commander';
import { createCommand, parseWholeNumber, type RegisterCommand, runCommand } from '../command.ts';

interface InspectFlags {
  readonly format?: string;
  readonly encoding?: string;
  readonly delimiter?: string;
  readonly qualifier?: string;
  readonly header?: boolean;
  readonly problems: string;
  readonly strict?: boolean;
}

/** Name on the command line -> format, and for rows and columns their usual dialect. */
const formats: Readonly<Record<string, { readonly format: LoadFileFormat; readonly dialect?: DialectChoice }>> = {
  dat: { format: 'delimited', dialect: { format: 'dat' } },
  csv: { format: 'delimited', dialect: { format: 'csv' } },
  tsv: { format: 'delimited', dialect: { format: 'tsv' } },
  pipe: { format: 'delimited', dialect: { format: 'pipe' } },
  caret: { format: 'delimited', dialect: { format: 'caret' } },
  opt: { format: 'opticon' },
  lfp: { format: 'lfp' },
  edrm: { format: 'edrm-xml' },
};

/** A delimiter as given: itself, `U+0014`, `\t` or a number such as 20. */
const readCharacter = (flag: string, given: string): string => {
  if (Array.from(given).length === 1 && !/^\d$/.test(given)) return given;
  if (given === '\\t') return '\t';
  const match = /^(?:U\+([0-9a-f]{1,6})|(\d{1,7}))$/i.exec(given);
  const code = match === null ? Number.NaN : Number(match[1] === undefined ? match[2] : `0x${match[1]}`);
  if (!(code > 0 && code <= 0xffff)) {
    throw new CaseboundError(
      'validation_failed',
      `${flag} is one character, U+0014, \\t or a decimal code such as 20; this is \`${given}\`.`,
    );
  }
  return String.fromCharCode(code);
};

const checkFile = async (file: string): Promise<number> => {
  try {
    const found = await stat(file);
    if (!found.isFile()) throw new CaseboundError('validation_failed', `${file} is not a file.`);
    return found.size;
  } catch (error) {
    if (error instanceof CaseboundError) throw error;
    throw new CaseboundError('validation_failed', `${file} cannot be read; check its name and permissions.`, {
      cause: error,
    });
  }
};

export const registerLoadfile: RegisterCommand = (program, context) => {
  const group = new Command('loadfile').description('load files: DAT, CSV, Opticon, IPRO, EDRM XML');
  const inspect = createCommand('inspect', 'show what is in a load file, without a case and without a server')
    .argument('<file>', 'path of the load file')
    .addOption(new Option('--format <format>', 'instead of detecting it').choices(Object.keys(formats)))
    .option('--encoding <label>', 'instead of detecting it, e.g. windows-1252 or shift_jis')
    .option('--delimiter <character>', 'between cells: the character, U+0014, \\t or 20')
    .option('--qualifier <character>', 'around cells: the character, U+00FE, 254, or none')
    .option('--header', 'the first row names the columns')
    .option('--no-header', 'the first row is data')
    .option('--problems <count>', 'list at most this many problems; all are counted', '20')
    .option('--strict', 'end with exit code 1 if a row is rejected');
  inspect.action((given: string) =>
    runCommand(inspect, context, async ({ output }) => {
      const flags = inspect.opts<InspectFlags>();
      const file = path.resolve(context.cwd, given);
      const total = await checkFile(file);
      const maxProblems = parseWholeNumber('--problems', flags.problems, 0);
      const stated = flags.format === undefined ? undefined : formats[flags.format];
      const qualifier = flags.qualifier === 'none' ? null : flags.qualifier;
      let reported = 0;
      const report = await inspectLoadFile(createReadStream(file), {
        fileName: path.basename(file),
        maxProblems,
        signal: context.interrupted,
        ...(stated === undefined ? {} : { format: stated.format }),
        ...(flags.encoding === undefined ? {} : { encoding: flags.encoding }),
        ...(flags.header === undefined ? {} : { header: flags.header }),
        dialect: {
          ...stated?.dialect,
          ...(flags.delimiter === undefined ? {} : { column: readCharacter('--delimiter', flags.delimiter) }),
          ...(qualifier === undefined
            ? {}
            : { qualifier: qualifier === null ? null : readCharacter('--qualifier', qualifier) }),
        },
        onProgress: ({ bytes, rows }) => {
          const tenth = Math.floor((bytes * 10) / Math.max(total, 1));
          if (tenth <= reported || total < 100_000_000) return;
          reported = tenth;
          output.note(`${tenth * 10} %, ${rows} rows`);
        },
      });
      output.result({ file, ...report }, renderInspectReport(report, { maxProblems }).trimEnd());
      if (flags.strict === true && report.rejected > 0) context.setExitCode(1);
    }),
  );
  program.addCommand(group.addCommand(inspect));
};
