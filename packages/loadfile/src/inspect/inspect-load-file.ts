/**
 * Reads a whole load file and says what is in it: the report behind `casebound loadfile inspect`.
 *
 * - One pass, constant memory: see ColumnProfiler and ProblemLog for what is kept.
 * - The report is plain data of this package's own types; `JSON.stringify` of it is the `--json` output.
 */
import { readEdrmText, openEdrmInput } from '../edrm/read-edrm-xml.ts';
import type { EdrmLine } from '../edrm/edrm-model.ts';
import type { LfpLine } from '../image-lists/lfp.ts';
import { readLfpText } from '../image-lists/lfp.ts';
import type { OpticonLine } from '../image-lists/opticon.ts';
import { groupOpticonDocuments, readOpticonText } from '../image-lists/opticon.ts';
import type { ByteSource } from '../input/byte-input.ts';
import { completeLimits } from '../limits.ts';
import type { LoadFileProblem, ProblemCode, ProblemSink } from '../problems.ts';
import { isRejected, ProblemLog } from '../problems.ts';
import type { FormatDetection, LoadFileFormat } from './detect-format.ts';
import { detectFormat } from './detect-format.ts';
import type { DelimitedFindings, DelimitedRun, InspectDelimitedOptions } from './inspect-delimited.ts';
import { inspectDelimited } from './inspect-delimited.ts';

export interface InspectOptions extends InspectDelimitedOptions {
  /** Overrides detection. */
  readonly format?: LoadFileFormat;
  /** Helps where the content leaves the format open; nothing is opened by it. */
  readonly fileName?: string;
  /** Problems kept in the report; all are counted. 100 if absent. */
  readonly maxProblems?: number;
  /** Called after each chunk of the file. */
  readonly onProgress?: (progress: InspectProgress) => void;
  /** Ends the reading early; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface InspectProgress {
  readonly bytes: number;
  readonly rows: number;
}

export interface InspectReport {
  readonly format: FormatDetection;
  readonly encoding: { readonly name: string; readonly bom: boolean; readonly reason: string };
  readonly bytes: number;
  /** Rows, pages or records: those read, and of them those that must not be imported. */
  readonly rows: number;
  readonly rejected: number;
  readonly delimited: DelimitedFindings | null;
  /** Of image lists and XML: records by kind, such as pages, documents, relationships. */
  readonly kinds: readonly { readonly kind: string; readonly count: number }[];
  readonly problemCounts: readonly { readonly code: ProblemCode; readonly count: number }[];
  /** The first problems, in the order of the file. */
  readonly problems: readonly LoadFileProblem[];
}

interface Run extends DelimitedRun {
  readonly options: InspectOptions;
}

interface Findings {
  readonly rows: number;
  readonly rejected: number;
  readonly kinds: ReadonlyMap<string, number>;
  readonly delimited: DelimitedFindings | null;
}

/**
 * Inspects a load file.
 * @throws CaseboundError `validation_failed` for wrong options; what the source throws; the reason of an aborted signal.
 */
export const inspectLoadFile = async (source: ByteSource, options: InspectOptions = {}): Promise<InspectReport> => {
  const limits = completeLimits(options.limits);
  const log = new ProblemLog(options.maxProblems ?? 100);
  const report: ProblemSink = (found) => {
    log.add(found);
    options.onProblem?.(found);
  };
  const input = await openEdrmInput(source, limits, options.encoding, report);
  const sample = await input.sample();
  const format: FormatDetection =
    options.format === undefined
      ? detectFormat(sample.text, sample.complete, options.fileName)
      : { format: options.format, confidence: 1, reason: 'The format was stated.' };
  const progress = (rows: number): void => {
    options.signal?.throwIfAborted();
    options.onProgress?.({ bytes: input.bytesRead, rows });
  };
  const run: Run = { input, options, limits, report, conclude: log.add, progress };
  const findings = await inspectors[format.format](run);
  return {
    format,
    encoding: { name: input.encoding, bom: sample.guess.bomBytes > 0, reason: sample.guess.reason },
    bytes: input.bytesRead,
    rows: findings.rows,
    rejected: findings.rejected,
    delimited: findings.delimited,
    kinds: [...findings.kinds].map(([kind, count]) => ({ kind, count })),
    problemCounts: log.counts(),
    problems: log.kept,
  };
};

const count = (kinds: Map<string, number>, kind: string): void => void kinds.set(kind, (kinds.get(kind) ?? 0) + 1);

const inspectOpticon = async ({ input, limits, report, progress }: Run): Promise<Findings> => {
  const kinds = new Map<string, number>();
  let rows = 0;
  let rejected = 0;
  async function* counted(): AsyncGenerator<readonly OpticonLine[]> {
    for await (const lines of readOpticonText(input, limits, report)) {
      rows += lines.length;
      for (const { page } of lines) {
        if (page === undefined) rejected++;
        else count(kinds, 'page');
      }
      progress(rows);
      yield lines;
    }
  }
  for await (const { pages } of groupOpticonDocuments(counted(), report))
    if (pages.length > 0) count(kinds, 'document');
  return { rows, rejected, kinds, delimited: null };
};

const kindOf = ({ record }: LfpLine): string | undefined =>
  record?.kind === 'other' ? `command ${record.command === '' ? 'unknown' : record.command}` : record?.kind;

const inspectLfp = async ({ input, limits, report, progress }: Run): Promise<Findings> => {
  const kinds = new Map<string, number>();
  let rows = 0;
  let rejected = 0;
  for await (const lines of readLfpText(input, limits, report)) {
    rows += lines.length;
    for (const line of lines) {
      const kind = kindOf(line);
      if (kind === undefined) rejected++;
      else count(kinds, kind);
      if (line.record?.kind === 'image' && line.record.boundary !== 'page') count(kinds, 'document');
    }
    progress(rows);
  }
  return { rows, rejected, kinds, delimited: null };
};

const inspectEdrm = async ({ input, limits, report, progress }: Run): Promise<Findings> => {
  const kinds = new Map<string, number>();
  let rows = 0;
  let rejected = 0;
  const counting: ProblemSink = (problem) => {
    if (isRejected([problem])) rejected++;
    report(problem);
  };
  for await (const lines of readEdrmText(input, limits, counting)) {
    for (const line of lines) countEdrm(kinds, line);
    rows = kinds.get('document') ?? 0;
    progress(rows);
  }
  return { rows: rows + rejected, rejected, kinds, delimited: null };
};

const countEdrm = (kinds: Map<string, number>, { record }: EdrmLine): void => {
  count(kinds, record.kind);
  if (record.kind !== 'document') return;
  for (const { files } of record.files) for (let index = 0; index < files.length; index++) count(kinds, 'file');
  for (let index = 0; index < record.tags.length; index++) count(kinds, 'tag');
};

const inspectors: Readonly<Record<LoadFileFormat, (run: Run) => Promise<Findings>>> = {
  delimited: inspectDelimited,
  opticon: inspectOpticon,
  lfp: inspectLfp,
  'edrm-xml': inspectEdrm,
};
