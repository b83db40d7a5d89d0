/** `casebound sample create`: a realistic production to try things on, without a case and without a server. */
import { Command, Option } from 'commander';
import path from 'node:path';
import { createSample, type SampleSummary } from '../../features/samples/index.ts';
import { createCommand, parseWholeNumber, type RegisterCommand, runCommand } from '../command.ts';

interface SampleFlags {
  readonly documents: string;
  readonly fields: string;
  readonly seed: string;
  readonly prefix: string;
  readonly flaws?: boolean;
  readonly mailOnly?: boolean;
  readonly loadFileOnly?: boolean;
  readonly zip?: boolean;
  readonly force?: boolean;
}

const megabytes = (bytes: number): string => `${(bytes / 1_000_000).toFixed(1)} MB`;

const describe = (summary: SampleSummary): string => {
  const kinds = Object.entries(summary.documentsByKind)
    .toSorted(([, a], [, b]) => b - a)
    .map(([kind, count]) => `${count} ${kind}`);
  const annotations = Object.entries(summary.annotations)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${count} ${kind}`);
  return [
    `Sample of ${summary.documents} documents in ${summary.families} families, ${summary.pages} pages, ${summary.files} files, ${megabytes(summary.bytes)}`,
    `Folder       ${summary.folder}`,
    ...(summary.loadFile === undefined ? [] : [`Load file    ${summary.loadFile}`]),
    ...(summary.imageList === undefined ? [] : [`Image list   ${summary.imageList}`]),
    `Truth        ${summary.truth}`,
    `Documents    ${kinds.join(', ')}`,
    `Fields       ${summary.fields} custom fields; ${summary.custodians} custodians; ${summary.duplicates} duplicates`,
    ...(annotations.length === 0
      ? []
      : [`Annotations  ${annotations.join(', ')}; ${summary.redactedDocuments} documents redacted`]),
    ...(summary.flaws.length === 0 ? [] : [`Flaws        ${summary.flaws.join(', ')}`]),
    `Made in ${summary.seconds.toFixed(1)} s, ${Math.round(summary.documents / Math.max(summary.seconds, 0.001))} documents/s, from seed ${summary.seed}`,
  ].join('\n');
};

export const registerSample: RegisterCommand = (program, context) => {
  const group = new Command('sample').description('productions of a fictional dispute, to try things on');
  const create = createCommand('create', 'write a production: the same seed gives the same bytes')
    .argument('<dir>', 'folder to write to; it is made if need be, and must be empty')
    .addOption(new Option('--documents <count>', 'documents, attachments included').default('100'))
    .addOption(new Option('--fields <count>', 'custom fields, of all types').default('14'))
    .addOption(new Option('--seed <text>', 'another seed, another production').default('1'))
    .addOption(new Option('--prefix <letters>', 'before the numbers of pages').default('MH'))
    .option('--flaws', 'spoil a few files, as real productions do (default from 50 documents on)')
    .option('--no-flaws', 'spoil nothing')
    .option('--mail-only', 'messages as .eml files and as .mbox, instead of a production')
    .option('--load-file-only', 'the load file alone, without files')
    .option('--zip', 'everything in one zip')
    .option('--force', 'replace the sample that is in the folder');
  create.action((given: string) =>
    runCommand(create, context, async ({ output }) => {
      const flags = create.opts<SampleFlags>();
      const documents = parseWholeNumber('--documents', flags.documents);
      const summary = await createSample(path.resolve(context.cwd, given), {
        documents,
        fields: parseWholeNumber('--fields', flags.fields, 0),
        seed: flags.seed,
        prefix: flags.prefix,
        ...(flags.flaws === undefined ? {} : { flaws: flags.flaws }),
        mailOnly: flags.mailOnly === true,
        loadFileOnly: flags.loadFileOnly === true,
        zip: flags.zip === true,
        force: flags.force === true,
        signal: context.interrupted,
        onProgress: ({ documents: done, total, seconds }) =>
          output.note(`${done} of ${total} documents, ${Math.round(done / seconds)} a second`),
      });
      output.result(summary, describe(summary));
    }),
  );
  program.addCommand(group.addCommand(create));
};
