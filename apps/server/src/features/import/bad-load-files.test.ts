/** Load files that are wrong as a whole: what is told, and that the counts add up in each of them. */
import path from 'node:path';
import { type CaseId, type ImportProblem, ImportRequest } from '@casebound/contract';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { previewImport } from './create-import.ts';
import { describeCase } from './testing/describe-case.ts';
import { openTestImport, testActor, type TestImport } from './testing/open-test-import.ts';
import { dat, writeSource } from './testing/write-source.ts';

let test: TestImport;
let folder: TemporaryFolder;
let made = 0;

beforeAll(async () => {
  test = await openTestImport({ chunkRows: 20 });
  folder = await createTemporaryFolder();
}, 60_000);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const write = async (content: string | Buffer, name = 'load.dat'): Promise<string> => {
  made += 1;
  return writeSource(path.join(folder.path, `s${made}`), { [name]: content });
};

const told = ({ code, line }: ImportProblem): string => `${code} ${line}`;
const byText = (left: string, right: string): number => left.localeCompare(right);

interface Described {
  readonly exhibit: Record<string, unknown>;
  readonly document: Record<string, unknown>;
  readonly values: Record<string, unknown> | null;
}

/** Imports into a case, by default a new one. The counts add up, whatever the file. */
const bring = async (
  at: string,
  { into, ...more }: Partial<Omit<ImportRequest, 'path'>> & { readonly into?: CaseId } = {},
) => {
  made += 1;
  const caseId = into ?? (await test.makeCase(`case ${made}`));
  const job = await test.import(caseId, { path: at, ocr: 'off', ...more });
  const { rows, imported, duplicates, overlaid, rejected } = job.counts;
  expect(rows).toBe(imported + duplicates + overlaid + rejected);
  const problems = await test.problems(caseId, job.jobId);
  const described = await describeCase(test, caseId);
  expect(described.leftovers).toEqual([]);
  return { caseId, job, problems, exhibits: described.exhibits as Record<string, Described> };
};

describe('a file without a header line', () => {
  const rows = [
    ['A1', 'first subject', 'Smith', ''],
    ['A2', 'second subject', 'Jones', ''],
    ['A3', 'third subject', 'Smith', ''],
  ];
  const mapping = ImportRequest.shape.mapping.parse({
    header: false,
    columns: {
      'Column 1': { core: 'controlNumber' },
      'Column 2': { core: 'subject' },
      'Column 3': { core: 'custodian' },
      'Column 4': { skip: true },
    },
  });

  it('is imported from its first line when the mapping says so', async () => {
    const { job, problems, exhibits } = await bring(await write(dat(...rows)), { mapping });
    expect(job).toMatchObject({ state: 'finished', counts: { rows: 3, imported: 3 } });
    expect(problems).toEqual([]);
    expect(Object.keys(exhibits)).toEqual(['A1', 'A2', 'A3']);
    expect(exhibits['A1']?.document).toMatchObject({ subject: 'first subject' });
    expect(exhibits['A1']?.exhibit).toMatchObject({ custodians: [{ custodianReference: { name: 'Smith' } }] });
  });

  it.each([
    ['whose first row looks like names', rows],
    [
      'whose first row looks like values',
      rows.map(([number = '', ...rest]) => [`${number}-00000${number.slice(1)}`, ...rest]),
    ],
  ])('%s is refused without a mapping, and told what to write', async (_, cells) => {
    const at = await write(dat(...cells));
    const { job, exhibits } = await bring(at);
    expect(job).toMatchObject({ state: 'failed', error: { code: 'import_source_invalid' } });
    expect(job.error?.detail).toContain('"header": false');
    expect(job.error?.detail).toContain('"Column 1": {"core": "controlNumber"}');
    expect(exhibits).toEqual({});
    await expect(previewImport(test.parts, testActor, ImportRequest.parse({ path: at }))).rejects.toMatchObject({
      code: 'import_source_invalid',
      message: job.error?.detail,
    });
  });

  it('is not taken for one with a header by a mapping that names a value as a column', async () => {
    const { job } = await bring(await write(dat(...rows)), {
      mapping: ImportRequest.shape.mapping.parse({ columns: { 'Column 1': { core: 'controlNumber' } } }),
    });
    expect(job).toMatchObject({ state: 'failed', error: { code: 'validation_failed' } });
  });
});

describe('a file that holds', () => {
  it('nothing but blank lines is refused', async () => {
    for (const content of ['', '\r\n\r\n', '\u0000\u001A']) {
      const { job } = await bring(await write(content));
      expect(job).toMatchObject({ state: 'failed', error: { code: 'import_source_invalid' }, counts: { rows: 0 } });
      expect(job.error?.detail).toContain('load.dat holds no row');
    }
  });

  it('a header and no row brings nothing, and says so', async () => {
    const { job, problems } = await bring(await write(dat(['BEGDOC', 'SUBJECT', 'NATIVELINK'])));
    expect(job.counts).toMatchObject({ rows: 0, imported: 0 });
    expect(job.state).toBe('finished');
    expect(problems.map(({ code, severity }) => [code, severity])).toEqual([['header_only', 'warning']]);
  });

  it('ten thousand columns, as DAT, brings every value of every row', async () => {
    const names = Array.from({ length: 10_000 }, (_, at) => `Field ${at}`);
    const row = (number: string): string[] => [number, '', ...names.map((_, at) => `${number} v${at}`)];
    const { job, exhibits, problems } = await bring(
      await write(dat(['BEGDOC', 'NATIVELINK', ...names], row('A1'), row('A2'), [...row('A3'), 'one more'])),
    );
    expect(job.counts).toMatchObject({ rows: 3, imported: 2, rejected: 1 });
    expect(problems.map(({ code, line }) => [code, line])).toEqual([['too_many_cells', 4]]);
    expect(Object.keys(exhibits['A2']?.values ?? {})).toHaveLength(10_000);
    expect(exhibits['A2']?.values).toMatchObject({ 'Field 0': 'A2 v0', 'Field 9999': 'A2 v9999' });
  }, 120_000);
});

describe('rows whose columns shift', () => {
  const header = ['BEGDOC', 'SUBJECT', 'CUSTODIAN', 'Score', 'NATIVELINK'];

  it('are rejected by line, and no value comes into another column', async () => {
    const good = (at: number): string[] => [`A${at}`, `subject ${at}`, 'Smith', String(at), ''];
    const content = [
      dat(header, good(1)),
      // A cell too few, a cell too many, a delimiter within a cell without qualifiers, a line break within one.
      dat(['A2', 'Smith', '2', '']),
      dat(['A3', 'subject 3', 'extra', 'Smith', '3', '']),
      'A4\u0014subject\u00144\u0014Smith\u00144\u0014\r\n',
      '\u00FEA5\u00FE\u0014broken\r\nsubject\u0014Smith\u00145\u0014\r\n',
      // These are protected.
      dat(['A6', 'sub\u0014ject 6', 'Smith', '6', '']),
      dat(['A7', 'subject\r\n7', 'Smith', '7', '']),
      dat(good(8)),
    ].join('');
    const { job, problems, exhibits } = await bring(await write(content));
    expect(job.counts).toMatchObject({ rows: 9, imported: 4, rejected: 5 });
    expect(problems.map(({ code, line, rejected }) => [code, line, rejected])).toEqual([
      ['too_few_cells', 3, true],
      ['too_many_cells', 4, true],
      ['too_many_cells', 5, true],
      // The line break makes two rows of one.
      ['too_few_cells', 6, true],
      ['too_few_cells', 7, true],
    ]);
    expect(Object.keys(exhibits)).toEqual(['A1', 'A6', 'A7', 'A8']);
    for (const { exhibit, document, values } of Object.values(exhibits)) {
      const number = String(exhibit['controlNumber']);
      expect(values).toEqual({ Score: Number(number.slice(1)) });
      expect(document['subject']).toMatch(/^sub.*ject/s);
      expect(exhibit).toMatchObject({ custodians: [{ custodianReference: { name: 'Smith' } }] });
    }
  });
});

describe('control numbers that are taken', () => {
  const header = ['BEGDOC', 'PARENTID', 'SUBJECT', 'NATIVELINK'];

  it('within the file, far apart and beside each other, leave the first of each', async () => {
    const rows = Array.from({ length: 60 }, (_, at) => [`N${at % 45}`, '', `row ${at + 1}`, '']);
    const { job, problems, exhibits } = await bring(await write(dat(header, ...rows)));
    expect(job.counts).toMatchObject({ rows: 60, imported: 45, rejected: 15 });
    expect(problems.map(({ code, line }) => [code, line])).toEqual(
      Array.from({ length: 15 }, (_, at) => ['duplicate_control_number', at + 47]),
    );
    expect(exhibits['N3']?.document).toMatchObject({ subject: 'row 4' });
  });

  it('by spaces around them are the same number', async () => {
    const { job } = await bring(
      await write(dat(header, ['A1', '', 'one', ''], [' A1 ', '', 'two', ''], ['a1', '', 'three', ''])),
    );
    expect(job.counts).toMatchObject({ rows: 3, imported: 2, rejected: 1 });
  });

  it('by the case and within the file at once are each rejected once', async () => {
    const { caseId } = await bring(await write(dat(header, ['A1', '', 'old', ''], ['A2', '', 'old', ''])));
    const again = await bring(
      await write(
        dat(
          header,
          ['A1', '', 'new', ''],
          ['A1', '', 'newer', ''],
          ['A3', 'A1', 'child', ''],
          ['A2', '', 'new', ''],
          ['A3', '', 'twice', ''],
          ['A4', '', 'new', ''],
        ),
      ),
      { into: caseId },
    );
    expect(again.job.counts).toMatchObject({ rows: 6, imported: 2, rejected: 4 });
    expect(
      again.problems
        .filter(({ rejected }) => rejected)
        .map(told)
        .toSorted(byText),
    ).toEqual([
      'control_number_exists 2',
      'control_number_exists 5',
      'duplicate_control_number 3',
      'duplicate_control_number 6',
    ]);
    expect(again.exhibits['A1']?.document).toMatchObject({ subject: 'old' });
    expect(again.exhibits['A3']?.document).toMatchObject({ subject: 'child' });
    // The parent that the row means is not known: the one of the case may be another document of the same number.
    expect(again.exhibits['A3']?.exhibit).not.toHaveProperty('parentExhibitReference');
    expect(again.problems.map(({ code }) => code)).toContain('parent_missing');
  });

  it('with duplicates of content beside them add up', async () => {
    const hashed = ['BEGDOC', 'MD5HASH', 'CUSTODIAN', 'NATIVELINK'];
    const [a, b] = ['a'.repeat(32), 'b'.repeat(32)];
    const { job, exhibits } = await bring(
      await write(
        dat(
          hashed,
          ['A1', a, 'Smith', ''],
          ['A1', b, 'Jones', ''],
          ['A2', a, 'Jones', ''],
          ['', a, 'Nobody', ''],
          ['A3', b, 'Smith', ''],
        ),
      ),
      { deduplicate: 'case' },
    );
    expect(job.counts).toMatchObject({ rows: 5, imported: 2, duplicates: 1, rejected: 2 });
    expect(Object.keys(exhibits)).toEqual(['A1', 'A3']);
    expect(JSON.stringify(exhibits['A1']?.exhibit['custodians'])).toContain('Jones');
  });

  it('in an overlay, rows are matched, unmatched, twice or without a key', async () => {
    const { caseId } = await bring(await write(dat(header, ['A1', '', 'old', ''], ['A2', '', 'old', ''])));
    const laid = await bring(
      await write(
        dat(['BEGDOC', 'SUBJECT'], ['A1', 'new'], ['A1', 'newer'], ['A9', 'new'], ['', 'new'], ['A2', 'new'], ['A2']),
      ),
      { into: caseId, overlay: { mode: 'replace', key: 'controlNumber' } },
    );
    expect(laid.job.counts).toMatchObject({ rows: 6, imported: 0, overlaid: 2, rejected: 4 });
    expect(laid.problems.map(told).toSorted(byText)).toEqual([
      'overlay_key_missing 5',
      'overlay_key_twice 3',
      'overlay_unmatched 4',
      'too_few_cells 7',
    ]);
    expect(laid.exhibits['A1']?.document).toMatchObject({ subject: 'new' });
  });
});
