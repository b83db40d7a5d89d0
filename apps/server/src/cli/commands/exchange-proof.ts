/** `casebound exchange verify|manifest|report`: the proof of an exchange. */
import { createReadStream } from 'node:fs';
import { stat, writeFile } from 'node:fs/promises';
import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import { CaseboundError, JobId, type ManifestCursor, type ManifestDifference } from '@casebound/contract';
import type { Command } from 'commander';
import { type CliContext, createCommand, withConnection } from '../command.ts';
import type { Connection } from '../engine.ts';
import { type Output, table } from '../output.ts';

const EXIT_DIFFERS = 1;
const SHOWN = 50;

const loadProof = async () => import('../../features/exchange/index.ts');

const parseJobId = (text: string): JobId => {
  const parsed = JobId.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new CaseboundError('validation_failed', `${text} is neither the id of an exchange nor a file.`);
};

/** All lines of the manifest that the server keeps. */
async function* linesOf({ client }: Connection, jobId: JobId): AsyncGenerator<string> {
  for (let offset: number | null = 0; offset !== null;) {
    const part: { text: string; next: number | null } = await client.readExchangeManifest({
      params: { jobId },
      query: { offset },
    });
    for (const line of part.text.split('\n')) if (line !== '') yield line;
    offset = part.next;
  }
}

/** Lines of a file; memory is a line. */
const linesOfFile = (file: string): AsyncIterable<string> =>
  createInterface({ input: createReadStream(file), crlfDelay: Infinity });

const differenceTable = (differences: readonly ManifestDifference[]): string =>
  table(
    ['line', 'exhibit', 'what', 'where', 'how'],
    differences.slice(0, SHOWN).map((it) => [String(it.line), it.controlNumber ?? '', it.what, it.place, it.detail]),
  );

interface CaseCheck {
  readonly items: number;
  readonly objects: number;
  readonly bytes: number;
  readonly signed: boolean;
  readonly differences: readonly ManifestDifference[];
}

/** Checks the destination, a part at a time. */
const checkCase = async ({ client }: Connection, output: Output, jobId: JobId): Promise<CaseCheck> => {
  const totals = { items: 0, objects: 0, bytes: 0, signed: false };
  const differences: ManifestDifference[] = [];
  for (let cursor: ManifestCursor | null = { offset: 0, line: 0, previous: '0'.repeat(64) }; cursor !== null;) {
    const part: Awaited<ReturnType<typeof client.checkExchangeManifest>> = await client.checkExchangeManifest({
      params: { jobId },
      query: cursor,
    });
    totals.items += part.items;
    totals.objects += part.objects;
    totals.bytes += part.bytes;
    totals.signed = part.signed === true;
    differences.push(...part.differences);
    cursor = part.next;
    if (cursor !== null)
      output.note(
        `checked ${totals.items} exhibits, ${totals.objects} objects (${Math.round((cursor.offset / part.size) * 100)} %)`,
      );
  }
  return { ...totals, differences };
};

const isFile = async (given: string): Promise<boolean> =>
  stat(given).then(
    (found) => found.isFile(),
    () => false,
  );

const createVerifyCommand = (context: CliContext): Command => {
  const command = createCommand('verify', 'check the destination of an exchange against its signed manifest').argument(
    '<exchange-or-manifest>',
    'id of the exchange, or the file of its manifest',
  );
  return command.action((given: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const { ManifestFileCheck } = await loadProof();
      const file = path.resolve(context.cwd, given);
      const ofFile: ManifestDifference[] = [];
      let jobId: JobId;
      if (await isFile(file)) {
        const check = new ManifestFileCheck(given);
        for await (const line of linesOfFile(file)) check.add(line);
        const result = check.result();
        ofFile.push(...result.differences);
        if (result.jobId === null)
          throw new CaseboundError('validation_failed', `${given} is no manifest of an exchange: it has no header.`);
        jobId = parseJobId(result.jobId);
      } else jobId = parseJobId(given);
      const found = await checkCase(connection, output, jobId);
      const differences = [...ofFile, ...found.differences];
      const isGood = differences.length === 0 && found.signed;
      output.result(
        { jobId, verified: isGood, ...found, differences },
        [
          `${isGood ? 'VERIFIED' : 'DIFFERENT'}: exchange ${jobId}, ${found.items} exhibits, ${found.objects} objects, ${found.bytes} bytes read; signature ${found.signed ? 'holds' : 'does not hold'}`,
          ...(differences.length === 0 ? [] : [`${differences.length} differences:`, differenceTable(differences)]),
        ].join('\n'),
      );
      if (!isGood) context.setExitCode(EXIT_DIFFERS);
    }),
  );
};

const createManifestCommand = (context: CliContext): Command => {
  const command = createCommand('manifest', 'write the signed manifest of an exchange to a file')
    .argument('<exchange>')
    .requiredOption('-o, --out <file>', 'file to write');
  return command.action((given: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const file = path.resolve(context.cwd, command.opts<{ out: string }>().out);
      const target = createWriteStream(file, { flags: 'wx' });
      await once(target, 'open').catch((error: unknown) => {
        throw new CaseboundError(
          'validation_failed',
          `${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`,
        );
      });
      let lines = 0;
      for await (const line of linesOf(connection, parseJobId(given))) {
        lines += 1;
        if (!target.write(`${line}\n`)) await once(target, 'drain');
      }
      target.end();
      await once(target, 'finish');
      output.result({ file, lines }, `${lines} lines written to ${file}`);
    }),
  );
};

const createReportCommand = (context: CliContext): Command => {
  const command = createCommand('report', 'write a report of an exchange, as HTML or PDF by the name of the file')
    .argument('<exchange>')
    .requiredOption('-o, --out <file>', 'file to write, .html or .pdf');
  return command.action((given: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const { gatherReport, ManifestFileCheck, renderReportHtml, renderReportPdf } = await loadProof();
      const jobId = parseJobId(given);
      const check = new ManifestFileCheck(jobId);
      const entries = async function* () {
        for await (const line of linesOf(connection, jobId)) {
          const entry = check.add(line);
          if (entry !== undefined) yield entry;
        }
      };
      const report = await gatherReport(entries());
      if (report === null) throw new CaseboundError('validation_failed', 'The manifest has no header.');
      const file = path.resolve(context.cwd, command.opts<{ out: string }>().out);
      await writeFile(file, /\.pdf$/i.test(file) ? await renderReportPdf(report) : renderReportHtml(report));
      output.result(
        { file, state: report.summary?.state ?? null, items: report.itemsInAll, exceptions: report.byCode },
        `Report of ${report.itemsInAll} exhibits written to ${file}`,
      );
    }),
  );
};

export const createProofCommands = (context: CliContext): readonly Command[] => [
  createVerifyCommand(context),
  createManifestCommand(context),
  createReportCommand(context),
];
