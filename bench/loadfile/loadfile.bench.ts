/**
 * Reading load files: our reader against a bare loop that does no more than decode and split, and against csv-parse, in one
 * run over the same bytes; and the memory of a long stream.
 *
 *     node bench/loadfile/loadfile.bench.ts [--rows 20000] [--runs 5] [--stream-rows 1000000] [--json FILE]
 *
 * Every figure is the median of `--runs` in CPU seconds (user and system, garbage collection included), which other work on
 * the machine disturbs less than the clock; contenders take turns, so that a noisy moment hits all of them.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs, TextDecoder } from 'node:util';
import { parse } from 'csv-parse';
import type { DelimitedDialect } from '../../packages/loadfile/src/index.ts';
import { DelimitedReader, dialects, inspectLoadFile, writeDelimited } from '../../packages/loadfile/src/index.ts';

const { values: args } = parseArgs({
  options: {
    rows: { type: 'string', default: '20000' },
    runs: { type: 'string', default: '5' },
    'stream-rows': { type: 'string', default: '1000000' },
    json: { type: 'string' },
  },
});
const rowCount = Number(args.rows);
const runCount = Number(args.runs);
const streamRows = Number(args['stream-rows']);
const columnCount = 50;
const chunkBytes = 65_536;

const header = Array.from({ length: columnCount }, (_, index) => (index === 0 ? 'BEGDOC' : `FIELD${index}`));

/** Cells of the lengths that productions have: ids, names, dates, subjects, paths, a few empty ones. */
const rowAt = (number: number): string[] =>
  header.map((_, column) => {
    if (column === 0) return `ABC${String(number).padStart(9, '0')}`;
    if (column % 10 === 9) return '';
    if (column % 10 === 3) return `${(number % 12) + 1}/${(number % 28) + 1}/2019 3:48 PM`;
    if (column % 10 === 5) return `RE: budget, plan and "forecast" for item ${number} of ${column}`;
    if (column % 10 === 7) return `.\\VOL001\\NATIVES\\NATIVE${number % 1000}\\ABC${number}.docx`;
    return `value ${number % 97} ${column}`;
  });

function* rowsOf(count: number): Generator<string[]> {
  for (let number = 1; number <= count; number++) yield rowAt(number);
}

const write = async (dialect: DelimitedDialect, encoding: 'utf-8' | 'windows-1252' | 'utf-16le'): Promise<Buffer> => {
  const parts: Uint8Array[] = [];
  for await (const part of writeDelimited(rowsOf(rowCount), { dialect, header, encoding, bom: false }))
    parts.push(part);
  return Buffer.concat(parts);
};

function* chunksOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

/** Counts cells, so that no contender can leave work undone. */
type Contender = (bytes: Buffer) => Promise<number>;

const ours =
  (dialect: DelimitedDialect, encoding?: string): Contender =>
  async (bytes) => {
    const reader = await DelimitedReader.open(chunksOf(bytes), {
      dialect,
      header: true,
      ...(encoding === undefined ? {} : { encoding }),
    });
    let cells = 0;
    for await (const batch of reader.batches()) for (const row of batch) cells += row.cells.length;
    return cells;
  };

/** What anybody would write first; it knows neither qualifiers within values nor anything else that goes wrong. */
const bareLoop =
  (separator: string, trim: number, encoding: string): Contender =>
  async (bytes) => {
    const decoder = new TextDecoder(encoding);
    let rest = '';
    let cells = -columnCount;
    for (const chunk of chunksOf(bytes)) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) cells += line.slice(trim, line.length - 1 - trim).split(separator).length;
    }
    return cells;
  };

const csvParse =
  (delimiter: string, quote: string): Contender =>
  async (bytes) => {
    let cells = -columnCount;
    const parser = parse({ delimiter, quote, relax_column_count: true });
    parser.on('readable', () => {
      for (let row: unknown = parser.read(); row !== null; row = parser.read())
        if (Array.isArray(row)) cells += row.length;
    });
    const ended = Promise.withResolvers<void>();
    parser.on('end', () => ended.resolve());
    parser.on('error', (error: Error) => ended.reject(error));
    for (const chunk of chunksOf(bytes))
      if (!parser.write(chunk)) await new Promise((done) => parser.once('drain', done));
    parser.end();
    await ended.promise;
    return cells;
  };

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;

interface Result {
  readonly file: string;
  readonly contender: string;
  readonly megabytesPerCpuSecond: number;
  readonly rowsPerCpuSecond: number;
}

const compare = async (
  file: string,
  bytes: Buffer,
  contenders: Readonly<Record<string, Contender>>,
): Promise<Result[]> => {
  const seconds = new Map<string, number[]>(Object.keys(contenders).map((name) => [name, []]));
  for (let run = 0; run <= runCount; run++) {
    for (const [name, contender] of Object.entries(contenders)) {
      const begun = process.cpuUsage();
      const cells = await contender(bytes);
      const used = process.cpuUsage(begun);
      // The first run warms up. The bare loop's cells of CSV are wrong where a value holds a comma; that is its point.
      if (run > 0) seconds.get(name)?.push((used.user + used.system) / 1e6);
      if (name !== 'bare loop' && cells !== rowCount * columnCount)
        throw new Error(`${name} read ${cells} cells of ${file}.`);
    }
  }
  return [...seconds].map(([contender, times]) => ({
    file,
    contender,
    megabytesPerCpuSecond: Math.round(bytes.length / 1e6 / median(times)),
    rowsPerCpuSecond: Math.round(rowCount / median(times)),
  }));
};

/** A DAT of any length that exists nowhere: made while it is read. */
async function* endlessDat(rows: number): AsyncGenerator<Uint8Array> {
  yield* writeDelimited(rowsOf(rows), { dialect: dialects.dat, header });
}

const memoryOf = async (work: (sample: () => void) => Promise<void>): Promise<{ base: number; peak: number }> => {
  globalThis.gc?.();
  const base = process.memoryUsage.rss();
  let peak = base;
  await work(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  });
  return { base: Math.round(base / 1e6), peak: Math.round(peak / 1e6) };
};

const results: Result[] = [];
// Memory first: what the comparisons leave behind on the heap would hide it.
const reading = await memoryOf(async (sample) => {
  const reader = await DelimitedReader.open(endlessDat(streamRows), { dialect: { format: 'dat' }, header: true });
  for await (const batch of reader.batches()) if (batch.length > 0) sample();
  if (reader.rowsRead !== streamRows) throw new Error(`${reader.rowsRead} rows were read.`);
});
const inspectRows = Math.ceil(streamRows / 5);
const inspected = await memoryOf(async (sample) => {
  const report = await inspectLoadFile(endlessDat(inspectRows), { onProgress: sample });
  if (report.rows !== inspectRows) throw new Error(`${report.rows} rows were inspected.`);
});

const latin = await write(dialects.dat, 'windows-1252');
results.push(
  ...(await compare('DAT UTF-8', await write(dialects.dat, 'utf-8'), {
    ours: ours(dialects.dat),
    'bare loop': bareLoop('þ\u0014þ', 1, 'utf-8'),
    'csv-parse': csvParse('\u0014', 'þ'),
    'inspection (ours)': async (bytes) =>
      ((await inspectLoadFile(chunksOf(bytes))).delimited?.columns.length ?? 0) * rowCount,
  })),
  ...(await compare('DAT Windows-1252', latin, {
    ours: ours(dialects.dat),
    'ours, encoding stated': ours(dialects.dat, 'windows-1252'),
    'bare loop': bareLoop('þ\u0014þ', 1, 'latin1'),
  })),
  ...(await compare('DAT UTF-16LE', await write(dialects.dat, 'utf-16le'), {
    ours: ours(dialects.dat),
    'bare loop': bareLoop('þ\u0014þ', 1, 'utf-16le'),
  })),
  ...(await compare('CSV UTF-8', await write(dialects.csv, 'utf-8'), {
    ours: ours(dialects.csv),
    'bare loop': bareLoop(',', 0, 'utf-8'),
    'csv-parse': csvParse(',', '"'),
  })),
  ...(await compare('pipe UTF-8', await write(dialects.pipe, 'utf-8'), {
    ours: ours(dialects.pipe),
    'bare loop': bareLoop('|', 0, 'utf-8'),
    'csv-parse': csvParse('|', '"'),
  })),
);

console.log(
  `${rowCount} rows x ${columnCount} columns, median of ${runCount} runs in CPU time, Node ${process.version}`,
);
console.table(
  results.map((result) => {
    const own = results.find(({ file, contender }) => file === result.file && contender === 'ours');
    return {
      ...result,
      'ours is': `${((own?.megabytesPerCpuSecond ?? 0) / result.megabytesPerCpuSecond).toFixed(2)} x`,
    };
  }),
);
console.log(`Reading a stream of ${streamRows} rows: ${reading.base} MB before, ${reading.peak} MB at its peak (RSS).`);
console.log(
  `Inspecting a stream of ${inspectRows} rows: ${inspected.base} MB before, ${inspected.peak} MB at its peak.`,
);
if (args.json !== undefined) {
  writeFileSync(args.json, JSON.stringify({ results, reading, inspected, streamRows, inspectRows }, null, 2));
}
