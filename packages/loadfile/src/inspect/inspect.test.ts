import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DelimitedReader } from '../delimited/open-delimited.ts';
import type { Row } from '../delimited/split-records.ts';
import { type LoadFileProblem, problemTable } from '../problems.ts';
import { detectFormat } from './detect-format.ts';
import type { DelimitedBeginning } from './inspect-delimited.ts';
import { inspectLoadFile, type InspectOptions } from './inspect-load-file.ts';
import { printable, renderInspectReport } from './render-report.ts';

const samples = new URL('../../../../../shared/data/relativity-samples/', import.meta.url);
const inspect = async (text: string, options = {}) => await inspectLoadFile([Buffer.from(text)], options);

describe.skipIf(!existsSync(samples))('the Relativity samples (need ../shared/data)', () => {
  it('load_file_01.dat: format, columns, types, mapping', async () => {
    const progress: number[] = [];
    const report = await inspectLoadFile(createReadStream(new URL('load_file_01.dat', samples)), {
      fileName: 'load_file_01.dat',
      onProgress: ({ bytes }) => progress.push(bytes),
    });
    expect(report).toMatchObject({
      format: { format: 'delimited' },
      encoding: { name: 'utf-8', bom: true },
      bytes: 1771,
      rows: 4,
      rejected: 0,
      problems: [],
    });
    const column = (name: string) => report.delimited?.columns.find((candidate) => candidate.name === name);
    expect(column('Date Sent')).toMatchObject({
      type: 'datetime',
      date: { order: 'month-first', provesMonthFirst: 4 },
    });
    expect(column('MD5 Hash')).toMatchObject({ type: 'md5', fillRate: 1 });
    expect(column('Email To')).toMatchObject({ type: 'email-addresses' });
    const mapped = new Map(
      report.delimited?.mapping.map((mapping) => [
        mapping.column,
        mapping.target === 'core' ? mapping.field : mapping.type,
      ]),
    );
    expect([
      mapped.get('Control Number'),
      mapped.get('Extracted Text'),
      mapped.get('FILE_PATH'),
      mapped.get('Group Identifier'),
    ]).toEqual(['controlNumber', 'textPath', 'nativePath', 'familyId']);
    expect(progress.at(-1)).toBe(1771);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(renderInspectReport(report)).toContain('Rows       4; 1771 bytes');
  });

  it('Opticon_01.opt: pages and documents', async () => {
    const report = await inspectLoadFile(createReadStream(new URL('Opticon_01.opt', samples)), {});
    expect(report).toMatchObject({
      format: { format: 'opticon', confidence: 1 },
      rows: 5,
      kinds: [
        { kind: 'page', count: 5 },
        { kind: 'document', count: 1 },
      ],
      problems: [],
    });
  });
});

describe('inspectLoadFile', () => {
  it('counts what is wrong and keeps the first', async () => {
    const bad = Array.from({ length: 50 }, (_, index) => `A${index},x`).join('\n');
    const report = await inspect(`BEGDOC,CUSTODIAN,DATESENT\nA,b,1/2/2020\nB,c,3/4/2020\n${bad}\n`, {
      maxProblems: 3,
      dialect: { format: 'csv', column: ',' },
    });
    expect(report).toMatchObject({ rows: 52, rejected: 50 });
    expect(report.problemCounts).toEqual([
      { code: 'too_few_cells', count: 50 },
      { code: 'ambiguous_date', count: 1 },
    ]);
    expect(report.problems).toHaveLength(3);
    expect(report.delimited?.firstRows).toEqual([
      { line: 2, cells: ['A', 'b', '1/2/2020'] },
      { line: 3, cells: ['B', 'c', '3/4/2020'] },
    ]);
    const text = renderInspectReport(report, { maxProblems: 2 });
    expect(text).toContain('Rows       52, 50 of them rejected');
    expect(text).toContain('error at line 4: too_few_cells: The row has 2 cells; 3 are expected. [A0]');
    expect(text).toContain('… and 49 more');
  });

  it('inspects IPRO and EDRM XML', async () => {
    expect(await inspect('IM,A1,D,0,@V;I;1.TIF;2\nIM,A2,,0,@V;I;2.TIF;2\nVN,V,X\n')).toMatchObject({
      format: { format: 'lfp' },
      rows: 3,
      kinds: [
        { kind: 'image', count: 2 },
        { kind: 'document', count: 1 },
        { kind: 'command VN', count: 1 },
      ],
    });
    const xml =
      '<?xml version="1.0" encoding="windows-1252"?><Root><Batch><Documents><Document DocID="1"/><Document/></Documents></Batch></Root>';
    expect(await inspect(xml)).toMatchObject({
      format: { format: 'edrm-xml' },
      encoding: { name: 'windows-1252' },
      rows: 2,
      rejected: 1,
    });
  });

  it('stops when told, and lets go of the source', async () => {
    let closed = false;
    function* source() {
      try {
        for (;;) yield Buffer.from('BEGDOC,TITLE\nA1,x\n'.repeat(1000));
      } finally {
        closed = true;
      }
    }
    const controller = new AbortController();
    const onProgress = (): void => controller.abort(new Error('enough'));
    await expect(
      inspectLoadFile(source(), { signal: controller.signal, onProgress, dialect: { format: 'csv', column: ',' } }),
    ).rejects.toThrow('enough');
    expect(closed).toBe(true);
  });

  describe('with somebody who takes the rows', () => {
    const text = `BEGDOC,PARENTID,DATESENT\n${'A1,,1/2/2020\n'.repeat(6_000)}A2,x\n\nA3,A1,31/12/2020\n`;
    const options = { dialect: { format: 'csv', column: ',' } } as const;

    it('gives what a reader gives, tells what it tells, and reports as without', async () => {
      const told: LoadFileProblem[] = [];
      const rows: Row[] = [];
      let beginning: DelimitedBeginning | undefined;
      const report = await inspect(text, {
        ...options,
        onProblem: (problem: LoadFileProblem) => told.push(problem),
        takeRows: async (begun: DelimitedBeginning, batches: AsyncIterable<readonly Row[]>) => {
          beginning = begun;
          for await (const batch of batches) rows.push(...batch);
        },
      });
      const alone: LoadFileProblem[] = [];
      const reader = await DelimitedReader.open([Buffer.from(text)], {
        ...options,
        onProblem: (problem) => alone.push(problem),
      });
      const read: Row[] = [];
      for await (const row of reader.rows()) read.push(row);
      expect(rows).toEqual(read);
      expect(told).toEqual(alone);
      expect(told.map(({ code }) => code)).toEqual(['blank_line', 'too_few_cells']);
      expect(report).toEqual(await inspect(text, options));
      expect(report.delimited?.columns[2]?.date?.order).toBe('day-first');
      expect(beginning).toMatchObject({ hasHeader: true, dialect: reader.dialect });
      expect(beginning?.columns[2]?.date?.order).toBe('ambiguous');
      expect(beginning?.mapping.map((column) => column.target === 'core' && column.field)).toEqual([
        'controlNumber',
        'parentId',
        'dateSent',
      ]);
    });

    it('reads on where nobody wants them', async () => {
      expect(await inspect(text, { ...options, takeRows: () => undefined })).toEqual(await inspect(text, options));
    });

    it('reports on no file of which a part was left, and lets go of the source', async () => {
      let closed = 0;
      const taken = async (takeRows: InspectOptions['takeRows'] & object): Promise<unknown> => {
        function* source() {
          try {
            yield Buffer.from(text);
            yield Buffer.from(text);
          } finally {
            closed += 1;
          }
        }
        return inspectLoadFile(source(), { ...options, takeRows });
      };
      const first = async (_: DelimitedBeginning, rows: AsyncIterable<readonly Row[]>): Promise<void> => {
        for await (const batch of rows) if (batch.length > 0) return;
      };
      await expect(taken(first)).rejects.toMatchObject({ code: 'internal' });
      await expect(taken(async () => Promise.reject(new Error('no room')))).rejects.toThrow('no room');
      expect(closed).toBe(2);
    });
  });

  it('writes nothing to the terminal but text', () => {
    expect(printable('a\u001B[31mb\nc\u202E\u009B')).toBe('a<1B>[31mb⏎c<202E><9B>');
  });

  it('never throws, whatever the bytes, and the report is plain data', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.string({ unit: 'binary', maxLength: 300 }).map((text) => Buffer.from(text)),
        ),
        async (bytes) => {
          const report = await inspectLoadFile([bytes]);
          expect(JSON.parse(JSON.stringify(report))).toEqual(report);
          expect(renderInspectReport(report).endsWith('\n')).toBe(true);
          expect(report.rejected).toBeLessThanOrEqual(report.rows);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('detectFormat', () => {
  it.each([
    ['IM,A,D,0,@V;I;1.TIF;2\n', '', 'lfp'],
    ['A1,V,.\\1.tif,Y,,,2\nA2,V,.\\2.tif,,,,\n', '', 'opticon'],
    ['<Root>', '', 'edrm-xml'],
    ['<!DOCTYPE Root>', 'x.xml', 'edrm-xml'],
    ['BEGDOC,ENDDOC\nA,B\n', '', 'delimited'],
    ['id,volume,file\n1,2,x.tif\n', '', 'delimited'],
    ['A1;V;x', 'list.opt', 'opticon'],
  ])('%j (%s) is %s', (text, name, format) => {
    expect(detectFormat(text, true, name).format).toBe(format);
  });
});

describe('docs/load-files.md', () => {
  it('lists every problem as the table has it', () => {
    const page = readFileSync(fileURLToPath(new URL('../../../../docs/load-files.md', import.meta.url)), 'utf8');
    const rows = Object.entries(problemTable).map(
      ([code, { severity, row, meaning }]) => `| \`${code}\` | ${severity} | ${row} | ${meaning} |`,
    );
    for (const row of rows) expect(page).toContain(row);
  });
});
