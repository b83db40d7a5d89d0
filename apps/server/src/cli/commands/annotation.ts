/** `casebound annotation list|add|delete|export|import|redact|apply`: what lies on the exhibits of a case. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type CaseId, CaseboundError, type ExhibitAnnotation, type ExhibitId } from '@casebound/contract';
import type { Command } from 'commander';
import { type CliContext, createCommand, parseWholeNumber, type RegisterCommand, withConnection } from '../command.ts';
import type { Connection } from '../engine.ts';
import { findCaseId } from '../find-case.ts';
import { findExhibitId } from '../find-exhibit.ts';
import { type Output, table } from '../output.ts';

/** Annotations that one call takes. */
const PER_CALL = 1_000;
const SHOWN_CHARACTERS = 60;

interface Target {
  readonly connection: Connection;
  readonly output: Output;
  readonly params: { readonly caseId: CaseId; readonly exhibitId: ExhibitId };
}

/** A command about one exhibit. */
const exhibitCommand = (name: string, summary: string): Command =>
  createCommand(name, summary)
    .requiredOption('--case <case>', 'number or name of the case')
    .argument('<exhibit>', 'control number, or id:123');

const withExhibit = async (
  command: Command,
  context: CliContext,
  given: string,
  body: (target: Target) => Promise<void>,
): Promise<void> =>
  withConnection(command, context, async ({ connection, output }) => {
    const caseId = await findCaseId(connection, command.opts<{ case: string }>().case);
    const exhibitId = await findExhibitId(connection, caseId, given);
    await body({ connection, output, params: { caseId, exhibitId } });
  });

type Members = Record<string, unknown>;

const isMembers = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const readJson = async (context: CliContext, file: string): Promise<unknown> => {
  const full = path.resolve(context.cwd, file);
  let text: string;
  try {
    text = await readFile(full, 'utf8');
  } catch (cause) {
    throw new CaseboundError('validation_failed', `The file \`${full}\` cannot be read.`, { cause });
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new CaseboundError('annotation_invalid', `The file \`${file}\` is not JSON.`);
  }
};

/** One annotation, a list of them, or those of an Instant JSON document. */
const annotationsIn = (value: unknown): Members[] => {
  const list: unknown = Array.isArray(value)
    ? value
    : isMembers(value) && Array.isArray(value['annotations'])
      ? value['annotations']
      : [value];
  if (Array.isArray(list) && list.length > 0 && list.every(isMembers)) return list;
  throw new CaseboundError('annotation_invalid', 'The file holds no annotations: an object or a list of objects.');
};

const textOf = ({ annotation }: ExhibitAnnotation): string => {
  const text = annotation['text'];
  const value = isMembers(text) ? text['value'] : (annotation['note'] ?? annotation['overlayText']);
  const shown = typeof value === 'string' ? value : '';
  // What somebody wrote on a document does not steer the terminal.
  return shown.replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ').slice(0, SHOWN_CHARACTERS);
};

const describeList = (annotations: readonly ExhibitAnnotation[]): string =>
  annotations.length === 0
    ? 'No annotations.'
    : table(
        ['id', 'page', 'kind', 'version', 'by', 'text'],
        annotations.map((one) => [
          String(one.annotation['id']),
          String(Number(one.annotation['pageIndex']) + 1),
          one.isReadOnly ? `${one.kind} (read-only)` : one.kind,
          one.version,
          one.updatedBy ?? '',
          textOf(one),
        ]),
      );

/** Adds in calls of a thousand. */
const add = async (
  { connection, params }: Target,
  annotations: readonly Members[],
): Promise<readonly ExhibitAnnotation[]> => {
  const added: ExhibitAnnotation[] = [];
  for (let at = 0; at < annotations.length; at += PER_CALL) {
    const part = await connection.client.createAnnotations({
      params,
      body: { annotations: annotations.slice(at, at + PER_CALL) },
    });
    added.push(...part.annotations);
  }
  return added;
};

const createListCommand = (context: CliContext): Command => {
  const command = exhibitCommand('list', 'list annotations').option('--page <number>', 'of this page, from 1');
  return command.action((given: string) =>
    withExhibit(command, context, given, async ({ connection, output, params }) => {
      const { page } = command.opts<{ page?: string }>();
      const { annotations } = await connection.client.listAnnotations({
        params,
        query: page === undefined ? {} : { pageIndex: parseWholeNumber('--page', page) - 1 },
      });
      output.result({ annotations }, describeList(annotations));
    }),
  );
};

const createAddCommand = (context: CliContext): Command => {
  const command = exhibitCommand('add', 'add annotations from a file of Instant JSON').argument('<file>');
  return command.action((given: string, file: string) =>
    withExhibit(command, context, given, async (target) => {
      const annotations = await add(target, annotationsIn(await readJson(context, file)));
      target.output.result({ annotations }, describeList(annotations));
    }),
  );
};

const createDeleteCommand = (context: CliContext): Command => {
  const command = exhibitCommand('delete', 'delete an annotation with the comments on it')
    .argument('<annotation>', 'id of the annotation')
    .option('--if-version <version>', 'only when it is at this version; default: as it is now');
  return command.action((given: string, annotationId: string) =>
    withExhibit(command, context, given, async ({ connection, output, params }) => {
      const { ifVersion } = command.opts<{ ifVersion?: string }>();
      const one = { ...params, annotationId };
      const version = ifVersion ?? (await connection.client.getAnnotation({ params: one })).version;
      await connection.client.deleteAnnotation({ params: one, query: { version } });
      output.result({ deleted: annotationId }, `Deleted ${annotationId}.`);
    }),
  );
};

const createExportCommand = (context: CliContext): Command => {
  const command = exhibitCommand('export', 'write annotations, comments and pictures as Instant JSON').option(
    '-o, --output <file>',
    'file to write; default: stdout',
  );
  return command.action((given: string) =>
    withExhibit(command, context, given, async ({ connection, output, params }) => {
      const { output: file } = command.opts<{ output?: string }>();
      const document = await connection.client.exportAnnotations({ params });
      const text = JSON.stringify(document, null, 2);
      if (file === undefined) {
        output.result(document, text);
        return;
      }
      const full = path.resolve(context.cwd, file);
      try {
        await writeFile(full, `${text}\n`);
      } catch (cause) {
        throw new CaseboundError('validation_failed', `The file \`${full}\` cannot be written.`, { cause });
      }
      output.result(
        { file: full, annotations: document.annotations.length },
        `Wrote ${document.annotations.length} annotations to ${full}.`,
      );
    }),
  );
};

const createImportCommand = (context: CliContext): Command => {
  const command = exhibitCommand('import', 'import Instant JSON, all or nothing')
    .argument('<file>')
    .option('--replace', 'delete what is there in the same step; stamps stay');
  return command.action((given: string, file: string) =>
    withExhibit(command, context, given, async ({ connection, output, params }) => {
      const { replace } = command.opts<{ replace?: boolean }>();
      const value = await readJson(context, file);
      const document = isMembers(value) ? value : { annotations: annotationsIn(value) };
      const counts = await connection.client.importAnnotations({
        params,
        body: { document, replace: replace === true },
      });
      output.result(counts, `${counts.annotations} annotations and ${counts.comments} comments are there.`);
    }),
  );
};

const collect = (value: string, previous: readonly string[] = []): readonly string[] => [...previous, value];

/** Named for where it lies, so that a search that is made again marks nothing twice. */
const markId = (pageIndex: number, rects: readonly (readonly number[])[]): string =>
  `search-${createHash('sha256')
    .update(JSON.stringify([pageIndex, rects]))
    .digest('hex')
    .slice(0, 24)}`;

const createRedactCommand = (context: CliContext): Command => {
  const command = exhibitCommand('redact', 'mark what a search finds as redacted; `apply` or an exchange removes it')
    .requiredOption('--search <words>', 'a word, a phrase or /pattern/; repeatable', collect)
    .option('--fill <#RRGGBB>', 'colour of the area', '#000000')
    .option('--overlay <text>', 'text on the area')
    .option('--dry-run', 'say what would be marked');
  return command.action((given: string) =>
    withExhibit(command, context, given, async (target) => {
      const { connection, output, params } = target;
      const options = command.opts<{ search: readonly string[]; fill: string; overlay?: string; dryRun?: boolean }>();
      const marks = new Map<string, Members>();
      const pages = new Set<number>();
      for (const query of options.search) {
        const { matches } = await connection.client.searchExhibitText({ params, body: { query } });
        for (const { pageIndex, rects: found } of matches) {
          const rects = found.map(({ left, top, width, height }) => [left, top, width, height]);
          const id = markId(pageIndex, rects);
          pages.add(pageIndex);
          marks.set(id, {
            v: 2,
            id,
            type: 'pspdfkit/markup/redaction',
            pageIndex,
            rects,
            fillColor: options.fill,
            ...(options.overlay === undefined ? {} : { overlayText: options.overlay }),
          });
        }
      }
      const counts = `${marks.size} places on ${pages.size} pages`;
      if (options.dryRun === true) {
        output.result({ annotations: [...marks.values()] }, `Would mark ${counts}.`);
        return;
      }
      const annotations = await add(target, [...marks.values()]);
      output.result({ annotations }, `Marked ${counts} as redacted.`);
    }),
  );
};

const createApplyCommand = (context: CliContext): Command => {
  const command = exhibitCommand(
    'apply',
    'remove for good what lies under the redactions of an exhibit',
  ).requiredOption('--confirm <control-number>', 'the control number once more: nothing leads back');
  return command.action((given: string) =>
    withExhibit(command, context, given, async ({ connection, output, params }) => {
      const { confirm } = command.opts<{ confirm: string }>();
      const applied = await connection.client.applyRedactions({ params, body: { confirm } });
      output.result(
        applied,
        `Applied ${applied.applied} redactions; ${applied.removedAnnotations.length} annotations lay under them and are gone. The PDF has ${applied.pdf.size} bytes, SHA-256 ${applied.pdf.sha256}.`,
      );
    }),
  );
};

export const registerAnnotation: RegisterCommand = (program, context) => {
  const command = createCommand('annotation', 'what lies on the exhibits of a case: redactions, highlights, notes');
  for (const create of [
    createListCommand,
    createAddCommand,
    createDeleteCommand,
    createExportCommand,
    createImportCommand,
    createRedactCommand,
    createApplyCommand,
  ])
    command.addCommand(create(context));
  program.addCommand(command);
};
