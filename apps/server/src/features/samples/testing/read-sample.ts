/** Reads a sample back: load file, image list and truth, as an import would. */
import {
  datDialect,
  DelimitedReader,
  groupOpticonDocuments,
  type OpticonDocument,
  readOpticon,
} from '@casebound/loadfile';
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';

export type Row = Readonly<Record<string, string>>;

const truthLine = z.discriminatedUnion('kind', [
  z.looseObject({ kind: z.literal('sample') }),
  z.looseObject({ kind: z.literal('summary'), documents: z.number() }),
  z.object({
    kind: z.literal('field'),
    name: z.string(),
    type: z.string(),
    fillRate: z.number(),
    choices: z.array(z.string()),
  }),
  z.object({
    kind: z.literal('redaction'),
    document: z.string(),
    page: z.number(),
    words: z.string(),
    reason: z.string(),
    rects: z.array(z.tuple([z.number(), z.number(), z.number(), z.number()])),
    native: z.string(),
    text: z.string(),
    pdf: z.string(),
  }),
  z.object({ kind: z.literal('flaw'), flaw: z.string(), document: z.string(), file: z.string() }),
  z.object({ kind: z.literal('duplicate'), document: z.string(), of: z.string() }),
]);

type TruthLine = z.infer<typeof truthLine>;

export interface ReadSample {
  readonly rows: readonly Row[];
  readonly images: readonly OpticonDocument[];
  readonly truth: readonly TruthLine[];
  /** What the readers of load files found to say. */
  readonly problems: readonly unknown[];
}

export const readTruth = (folder: string): readonly TruthLine[] =>
  readFileSync(path.join(folder, 'TRUTH.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => truthLine.parse(JSON.parse(line)));

export const readSample = async (folder: string): Promise<ReadSample> => {
  const problems: unknown[] = [];
  const onProblem = (problem: unknown): void => void problems.push(problem);
  const reader = await DelimitedReader.open(createReadStream(path.join(folder, 'MERIDIAN.dat')), {
    dialect: datDialect,
    onProblem,
  });
  const rows: Row[] = [];
  for await (const { cells } of reader.rows())
    rows.push(Object.fromEntries(reader.columns.map(({ name, index }) => [name, cells[index] ?? ''])));
  const lines = readOpticon(createReadStream(path.join(folder, 'MERIDIAN.opt')), { onProblem });
  const images: OpticonDocument[] = [];
  for await (const document of groupOpticonDocuments(lines, onProblem)) images.push(document);
  return { rows, images, truth: readTruth(folder), problems };
};

/** The bytes of a file by the path of a load file. */
export const readLinked = (folder: string, link: string): Buffer =>
  readFileSync(path.join(folder, ...link.split(/[\\/]/u)));

/** Every file of a folder with its hash, by path. */
export const fingerprint = (folder: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => statSync(path.join(folder, name)).isFile())
      .toSorted()
      .map((name) => [
        name,
        createHash('sha256')
          .update(readFileSync(path.join(folder, name)))
          .digest('hex'),
      ]),
  );
