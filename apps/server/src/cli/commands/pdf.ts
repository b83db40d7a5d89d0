/**
 * `casebound pdf`: the document engine on files, without a case.
 *
 * - Output is written to a temporary file beside its place and renamed: there is a whole file or none.
 * - What `redact` writes has been verified; otherwise nothing is written and the exit code names `redaction_unverified`.
 */
import { CaseboundError, errorTable } from '@casebound/contract';
import {
  createPdfEngine,
  formatInstantJson,
  type InstantJson,
  locatePdfiumWasm,
  openDocument,
  openEdit,
  parseInstantJson,
  type PdfEngine,
  produceDocument,
  type Produced,
  readAnnotations,
  readInfo,
  readPageText,
  renderPage,
  requireVerified,
  searchText,
  stampAnchors,
} from '@casebound/pdf';
import { Command, Option } from 'commander';
import { randomUUID } from 'node:crypto';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { inspectAnnotations } from '../inspect-annotations.ts';
import { type CliContext, createCommand, parseWholeNumber, type RegisterCommand, runCommand } from '../command.ts';
import type { Output } from '../output.ts';

interface PdfOptions {
  readonly annotations?: string;
  readonly output?: string;
  readonly original?: string;
  readonly password?: string;
  readonly page?: string;
  readonly dpi?: string;
  readonly search?: readonly string[];
  readonly fill?: string;
  readonly overlay?: string;
  readonly burn?: boolean;
  readonly flatten?: boolean;
  readonly scrub?: boolean;
  readonly text?: string;
  readonly start?: string;
  readonly position?: string;
  readonly size?: string;
  readonly color?: string;
  readonly background?: string;
  readonly margin?: string;
  readonly extend?: boolean;
}

const readInput = async (context: CliContext, file: string): Promise<Uint8Array> => {
  const full = path.resolve(context.cwd, file);
  try {
    return await readFile(full);
  } catch (error) {
    throw new CaseboundError('validation_failed', `The file \`${full}\` cannot be read.`, { cause: error });
  }
};

const writeWhole = async (context: CliContext, file: string, bytes: Uint8Array): Promise<string> => {
  const full = path.resolve(context.cwd, file);
  const temporary = path.join(path.dirname(full), `.${path.basename(full)}.${randomUUID()}.part`);
  try {
    const handle = await open(temporary, 'wx');
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, full);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new CaseboundError('validation_failed', `The file \`${full}\` cannot be written.`, { cause: error });
  }
  return full;
};

const readAnnotationFile = async (context: CliContext, file: string | undefined): Promise<InstantJson | undefined> => {
  if (file === undefined) return undefined;
  const text = Buffer.from(await readInput(context, file)).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CaseboundError('annotation_invalid', `The file \`${file}\` is not JSON.`);
  }
  return parseInstantJson(value);
};

const requireOutput = (options: PdfOptions): string => {
  if (options.output === undefined)
    throw new CaseboundError('validation_failed', 'Name the file to write with -o OUT.pdf.');
  return options.output;
};

const parseDecimal = (what: string, text: string): number => {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value))
    throw new CaseboundError('validation_failed', `${what} is a number; this is \`${text}\`.`);
  return value;
};

/** Redactions found by searching, as annotations. */
const searchRedactions = (engine: PdfEngine, bytes: Uint8Array, options: PdfOptions): readonly unknown[] => {
  using document = openDocument(engine, bytes, options.password === undefined ? {} : { password: options.password });
  const found = (options.search ?? []).flatMap((query) => searchText(document, query));
  return found.map(({ pageIndex, rects }, at) => ({
    v: 2,
    id: `search-${at + 1}`,
    type: 'pspdfkit/markup/redaction',
    pageIndex,
    rects: rects.map(({ left, top, width, height }) => [left, top, width, height]),
    ...(options.fill === undefined ? {} : { fillColor: options.fill }),
    ...(options.overlay === undefined ? {} : { overlayText: options.overlay }),
  }));
};

const describeProduced = (produced: Produced, file: string): string => {
  const { removed } = produced.redactions;
  const lines = [`wrote ${file}: ${produced.pages} pages, ${produced.bytes.length} bytes`];
  if (produced.verification !== undefined)
    lines.push(
      `redacted    ${produced.verification.redactions.length} redactions on ${produced.redactions.pages} pages: ${removed.glyphs} glyphs, ${removed.images} images, ${removed.paths} paths, ${removed.annotations} annotations`,
      'verified    text, pixels, images, outlines and the whole file, read anew',
    );
  const { layered, burned, comments, omitted } = produced.annotations;
  if (layered + burned + comments + omitted > 0)
    lines.push(`annotations ${layered} layered, ${burned} burned in, ${comments} comments, ${omitted} omitted`);
  if (produced.stamps.length > 0) lines.push(`stamps      ${produced.stamps.length}`);
  return lines.join('\n');
};

const reportProduced = async (
  context: CliContext,
  output: Output,
  options: PdfOptions,
  produced: Produced,
): Promise<void> => {
  const file = await writeWhole(context, requireOutput(options), produced.bytes);
  const { bytes, layer: _layer, pageTexts: _texts, ...rest } = produced;
  output.result({ file, bytes: bytes.length, ...rest }, describeProduced(produced, file));
};

const passwordOption = new Option('--password <password>', 'password of an encrypted PDF').env(
  'CASEBOUND_PDF_PASSWORD',
);
const collect = (value: string, previous: readonly string[] = []): readonly string[] => [...previous, value];

export const registerPdf: RegisterCommand = (program, context) => {
  const group = new Command('pdf').description(
    'work on PDF files: text, pages, annotations, redactions, stamps, proof',
  );

  /** A subcommand over one input file. */
  const define = (
    name: string,
    summary: string,
    options: readonly Option[],
    body: (parts: {
      engine: PdfEngine;
      bytes: Uint8Array;
      options: PdfOptions;
      output: Output;
      input: string;
      open: { password?: string };
    }) => Promise<void>,
  ): void => {
    const command = createCommand(name, summary).argument('<IN.pdf>', 'the PDF').addOption(passwordOption);
    for (const option of options) command.addOption(option);
    command.action((input: string) =>
      runCommand(command, context, async ({ output }) => {
        const given: PdfOptions = command.opts();
        const full = path.resolve(context.cwd, input);
        const info = await stat(full).catch(() => undefined);
        if (info === undefined || !info.isFile())
          throw new CaseboundError('validation_failed', `There is no file \`${full}\`.`);
        const engine = await createPdfEngine({ wasm: await readFile(locatePdfiumWasm()) });
        await body({
          engine,
          bytes: await readInput(context, input),
          options: given,
          output,
          input,
          open: given.password === undefined ? {} : { password: given.password },
        });
      }),
    );
    group.addCommand(command);
  };

  const pageOption = new Option('--page <number>', 'only this page, counted from 1');
  const outputOption = new Option('-o, --output <file>', 'the file to write');
  const scrubOption = new Option('--scrub', 'also remove metadata, attachments and scripts');
  const annotationsOption = new Option('--annotations <X.json>', 'annotations as Instant JSON');
  const pageIndexOf = (options: PdfOptions): number | undefined =>
    options.page === undefined ? undefined : parseWholeNumber('--page', options.page) - 1;

  define('info', 'show version, pages, sizes and metadata', [], async ({ engine, bytes, output, open: opening }) => {
    using document = openDocument(engine, bytes, opening);
    const info = readInfo(document);
    const sizes = [...new Set(info.pages.map(({ width, height }) => `${Math.round(width)} x ${Math.round(height)}`))];
    output.result(
      info,
      [
        `version      ${info.version}`,
        `bytes        ${info.bytes}`,
        `pages        ${info.pages.length} (${sizes.slice(0, 5).join(', ')}${sizes.length > 5 ? ', ...' : ''})`,
        `encrypted    ${info.encrypted ? 'yes' : 'no'}`,
        `annotations  ${info.pages.reduce((sum, page) => sum + page.annotations, 0)}`,
        `attachments  ${info.attachments}`,
        ...Object.entries(info.metadata).map(([key, value]) => `${key.padEnd(12)} ${value}`),
      ].join('\n'),
    );
  });

  define(
    'text',
    'print the text of the pages; with --json, the boxes of the lines too',
    [pageOption],
    async ({ engine, bytes, options, output, open: opening }) => {
      using document = openDocument(engine, bytes, opening);
      const only = pageIndexOf(options);
      const indexes = only === undefined ? Array.from({ length: document.pageCount }, (_, at) => at) : [only];
      const pages = indexes.map((pageIndex) => {
        const page = readPageText(document, pageIndex);
        document.releasePage(pageIndex);
        return page;
      });
      output.result({ pages }, pages.map(({ text }) => text).join('\n\f\n'));
    },
  );

  define(
    'render',
    'render a page as PNG',
    [pageOption, new Option('--dpi <number>', 'resolution').default('150'), outputOption],
    async ({ engine, bytes, options, output, open: opening }) => {
      using document = openDocument(engine, bytes, opening);
      const pageIndex = pageIndexOf(options) ?? 0;
      const dpi = parseDecimal('--dpi', options.dpi ?? '150');
      const png = renderPage(document, pageIndex, { dpi });
      const file = await writeWhole(context, requireOutput(options), png);
      output.result(
        { file, page: pageIndex + 1, dpi, bytes: png.length },
        `wrote ${file}: page ${pageIndex + 1} at ${dpi} dpi`,
      );
    },
  );

  define(
    'annotate',
    'add annotations to the PDF; without --annotations, print those it has as Instant JSON',
    [
      annotationsOption,
      new Option('--burn', 'draw the annotations into the pages; comments are then omitted'),
      new Option('--flatten', 'also burn in the annotations that the PDF brings'),
      scrubOption,
      outputOption,
    ],
    async ({ engine, bytes, options, output, open: opening }) => {
      const annotations = await readAnnotationFile(context, options.annotations);
      if (annotations === undefined && options.flatten !== true) {
        using edit = openEdit(engine, bytes, opening);
        const read = readAnnotations(edit);
        const json = { ...formatInstantJson(read), ...(read.foreign.length === 0 ? {} : { foreign: read.foreign }) };
        const text = JSON.stringify(json, null, 2);
        if (options.output === undefined) output.result(json, text);
        else {
          const file = await writeWhole(context, options.output, Buffer.from(`${text}\n`));
          output.result(
            { file, annotations: read.annotations.length, comments: read.comments.length },
            `wrote ${file}: ${read.annotations.length} annotations, ${read.comments.length} comments`,
          );
        }
        return;
      }
      requireOutput(options);
      const route = options.burn === true ? ('brand_in' as const) : ('layer' as const);
      const produced = await produceDocument(engine, bytes, {
        ...opening,
        ...(annotations === undefined ? {} : { annotations }),
        flatten: options.flatten === true,
        scrub: options.scrub === true,
        routing: {
          redaction: 'layer',
          highlight: route,
          note: route,
          sticker: route,
          text: route,
          bates_stamp: route,
          confidentiality_stamp: route,
          comment: options.burn === true ? 'omit' : 'layer',
        },
      });
      await reportProduced(context, output, options, produced);
    },
  );

  define(
    'redact',
    'remove what lies under redactions, verify, and write; other annotations are layered',
    [
      annotationsOption,
      new Option('--search <query>', 'redact every match of a word, phrase or /regex/; repeatable').argParser(collect),
      new Option('--fill <#RRGGBB>', 'colour of the boxes of --search'),
      new Option('--overlay <text>', 'text on the boxes of --search'),
      outputOption,
    ],
    async ({ engine, bytes, options, output, open: opening }) => {
      requireOutput(options);
      if (options.annotations === undefined && (options.search ?? []).length === 0)
        throw new CaseboundError('validation_failed', 'Say what to redact with --annotations X.json or --search.');
      const given = await readAnnotationFile(context, options.annotations);
      const found = parseInstantJson({ annotations: searchRedactions(engine, bytes, options) });
      if (given === undefined && found.annotations.length === 0)
        throw new CaseboundError('validation_failed', 'The search found nothing to redact; nothing was written.');
      const produced = await produceDocument(engine, bytes, {
        ...opening,
        annotations: {
          annotations: [...(given?.annotations ?? []), ...found.annotations],
          comments: given?.comments ?? [],
          attachments: given?.attachments ?? new Map(),
        },
      });
      await reportProduced(context, output, options, produced);
    },
  );

  define(
    'stamp',
    'stamp every page; {page} and {number} in the text count',
    [
      new Option('--text <text>', 'the stamp, e.g. "ACME {number}"').makeOptionMandatory(),
      new Option('--start <number>', 'first {number}, with its leading zeros').default('000001'),
      new Option('--position <anchor>', 'where').choices(stampAnchors).default('bottom-right'),
      new Option('--size <points>', 'font size').default('10'),
      new Option('--color <#RRGGBB>', 'colour').default('#000000'),
      new Option('--background <#RRGGBB>', 'colour behind the text'),
      new Option('--margin <points>', 'distance from the edges').default('18'),
      new Option('--extend', 'extend the page by a strip instead of drawing over it'),
      scrubOption,
      outputOption,
    ],
    async ({ engine, bytes, options, output, open: opening }) => {
      requireOutput(options);
      const start = options.start ?? '1';
      const first = parseWholeNumber('--start', start, 0);
      const anchor = stampAnchors.find((one) => one === options.position) ?? 'bottom-right';
      const produced = await produceDocument(engine, bytes, {
        ...opening,
        stamps: [
          {
            anchor,
            text: (pageIndex) =>
              (options.text ?? '')
                .replaceAll('{page}', String(pageIndex + 1))
                .replaceAll('{number}', String(first + pageIndex).padStart(start.length, '0')),
            fontSize: parseDecimal('--size', options.size ?? '10'),
            margin: parseDecimal('--margin', options.margin ?? '18'),
            ...(options.color === undefined ? {} : { color: options.color }),
            ...(options.background === undefined ? {} : { background: options.background }),
          },
        ],
        stampOptions: { extendPage: options.extend === true },
        scrub: options.scrub === true,
      });
      await reportProduced(context, output, options, produced);
    },
  );

  define(
    'verify',
    'say for each annotation what of it is in a PDF; exit code 47 when anything is left under a redaction',
    [
      annotationsOption,
      new Option(
        '--original <ORIGINAL.pdf>',
        'the PDF before redaction: removed strings are looked for in the whole file',
      ),
    ],
    async ({ engine, bytes, options, output, open: opening }) => {
      const annotations = await readAnnotationFile(context, options.annotations);
      if (annotations === undefined)
        throw new CaseboundError('validation_failed', 'Name the annotations to check with --annotations X.json.');
      if (annotations.annotations.length === 0)
        throw new CaseboundError('validation_failed', 'There are no annotations to check.');
      const original = options.original === undefined ? undefined : await readInput(context, options.original);
      const { report, found } = await inspectAnnotations(engine, bytes, annotations, {
        ...opening,
        ...(original === undefined ? {} : { original }),
      });
      const lines = found.map(({ id, kind, pageIndex, failed, detail, findings }) =>
        [
          `${failed ? 'FAILED' : 'ok    '} page ${pageIndex + 1}  ${kind.replaceAll('_', ' ')} ${id}: ${detail}`,
          ...findings.map((finding) => `       ${finding.code}: ${finding.detail}`),
        ].join('\n'),
      );
      const document = report.document.map(({ code, detail }) => `FAILED document  ${code}: ${detail}`);
      if (!output.json) for (const line of [...lines, ...document]) output.note(line);
      const failed = found.filter((one) => one.failed).length;
      if (!output.json && !report.verified) requireVerified(report);
      if (!output.json && failed > 0)
        throw new CaseboundError('redaction_unverified', `${failed} redactions are marks that were never applied.`);
      const redactions = found.filter(({ kind }) => kind === 'redaction').length;
      output.result(
        { ...report, verified: failed === 0 && report.verified, annotations: found },
        `verified: ${redactions} redactions${report.checkedRemovedText ? '' : ' (without --original, removed strings were not looked for)'}`,
      );
      if (failed > 0 || !report.verified) context.setExitCode(errorTable.redaction_unverified.exitCode);
    },
  );

  program.addCommand(group);
};
