import { readFileSync, existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { TextInput } from '../input/text-input.ts';
import { completeLimits } from '../limits.ts';
import type { LoadFileProblem } from '../problems.ts';
import { isRejected } from '../problems.ts';
import type { DelimitedOptions } from './open-delimited.ts';
import { DelimitedReader } from './open-delimited.ts';
import type { Row } from './split-records.ts';

const read = async (bytes: Uint8Array | string, options: DelimitedOptions = {}) => {
  const problems: LoadFileProblem[] = [];
  const source = [typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes];
  const reader = await DelimitedReader.open(source, { ...options, onProblem: (problem) => problems.push(problem) });
  const rows: Row[] = [];
  for await (const row of reader.rows()) rows.push(row);
  return {
    reader,
    rows,
    good: rows.filter((row) => !isRejected(row.problems)).map((row) => row.cells),
    problems,
    codes: problems.map((problem) => `${problem.code}@${problem.line}`),
  };
};

const dat = (...rows: string[][]): string =>
  rows.map((row) => `${row.map((cell) => `þ${cell}þ`).join('\u0014')}\r\n`).join('');

const sample = new URL('../../../../../shared/data/relativity-samples/load_file_01.dat', import.meta.url);

describe.skipIf(!existsSync(sample))('the Relativity sample (needs ../shared/data)', () => {
  it('is read as pipe-delimited UTF-8 with a mark, 23 columns and 4 rows', async () => {
    const { reader, rows, problems } = await read(readFileSync(sample));
    expect(reader.dialect).toMatchObject({ format: 'pipe', column: '|', lineEnding: '\r\n' });
    expect([reader.encoding, reader.hasBom, reader.hasHeader]).toEqual(['utf-8', true, true]);
    expect(reader.columns).toHaveLength(23);
    expect(reader.columns[0]?.name).toBe('Control Number');
    expect(reader.columns[22]?.name).toBe('FILE_PATH');
    expect(rows.map((row) => [row.record, row.line, row.cells[0], row.cells.length])).toEqual([
      [1, 2, 'Sample_0000001', 23],
      [2, 3, 'Sample_0000002', 23],
      [3, 4, 'Sample_0000003', 23],
      [4, 5, 'Sample_0000004', 23],
    ]);
    expect(rows[2]?.cells[9]).toBe('Beck  John <Sally.Beck@Sample.com>');
    expect(rows[3]?.cells[17]).toBe('5D53A6828FDA554B7E756396E3E54533');
    expect(problems).toEqual([]);
  });
});

describe('Concordance DAT', () => {
  it('reads qualified cells, in-field newlines, delimiters and doubled qualifiers within values', async () => {
    const text = dat(['BEGDOC', 'TITLE'], ['A1', 'two®lines'], ['A2', 'x\u0014y'], ['A3', 'Smörgåsþþbord'], ['A4', '']);
    const { good, problems, reader } = await read(text);
    expect(reader.dialect.format).toBe('dat');
    expect(good).toEqual([
      ['A1', 'two\nlines'],
      ['A2', 'x\u0014y'],
      ['A3', 'Smörgåsþbord'],
      ['A4', ''],
    ]);
    expect(problems).toEqual([]);
  });

  it('takes unqualified cells among qualified ones, raw line breaks within qualifiers, LF and CR', async () => {
    const text = 'þBEGDOCþ\u0014þNOTEþ\u0014þNþ\nþA1þ\u0014þraw\r\nbreakþ\u00147\nA2\u0014plain\u0014þ8þ\n';
    const { good, rows, problems } = await read(text);
    expect(good).toEqual([
      ['A1', 'raw\r\nbreak', '7'],
      ['A2', 'plain', '8'],
    ]);
    expect(rows.map((row) => row.line)).toEqual([2, 4]);
    expect(problems).toEqual([]);
    const old = await read('þBEGDOCþ\u0014þNOTEþ\rþA1þ\u0014þxþ\rþA2þ\u0014þyþ\r');
    expect(old.reader.dialect.lineEnding).toBe('\r');
    expect(old.good).toEqual([
      ['A1', 'x'],
      ['A2', 'y'],
    ]);
  });

  it('keeps a qualifier within a value and says so', async () => {
    const { good, codes } = await read('þBEGDOCþ\u0014þTITLEþ\nþA1þ\u0014þþað er góttþ\nþA2þ\u0014þxþ\n');
    expect(good[1]).toEqual(['A2', 'x']);
    const { good: kept, codes: said } = await read(
      'þBEGDOCþ\u0014þTITLEþ\nþA1þ\u0014þHann er þar nuþ\nþA2þ\u0014þxþ\n',
    );
    expect(kept).toEqual([
      ['A1', 'Hann er þar nu'],
      ['A2', 'x'],
    ]);
    expect(said).toEqual(['stray_qualifier@2']);
    expect(codes.length).toBeGreaterThan(0);
  });

  it('loses one row, not the file, to a qualifier that is never closed', async () => {
    const rows = Array.from({ length: 50 }, (_, index) => [`A${index}`, `title ${index}`, 'x']);
    const lines = dat(['BEGDOC', 'TITLE', 'X'], ...rows).split('\r\n');
    lines[10] = 'þA9þ\u0014þnever closed\u0014þxþ';
    lines[20] = 'þA19þ\u0014þtitle 19þ\u0014þalso never';
    const { good, codes, rows: all } = await read(lines.join('\r\n'));
    expect(codes).toEqual(['unterminated_qualifier@11', 'unterminated_qualifier@21']);
    expect(all).toHaveLength(50);
    expect(good).toHaveLength(48);
    expect(good.every((row) => row.length === 3)).toBe(true);
    expect(good.at(-1)).toEqual(['A49', 'title 49', 'x']);
  });

  it('is read in Windows-1252 and in UTF-16 of either order, with and without a mark', async () => {
    const text = dat(['BEGDOC', 'TITLE'], ['A1', 'Café'], ['A2', 'x']);
    const latin = Buffer.from(text, 'latin1');
    const inLatin = await read(latin);
    expect(inLatin.good[0]).toEqual(['A1', 'Café']);
    expect(inLatin.reader.encoding).toBe('windows-1252');
    expect(inLatin.codes).toEqual(['encoding_assumed@1']);
    const le = Buffer.from(text, 'utf16le');
    const be = Buffer.from(le).swap16();
    for (const [bytes, encoding, codes] of [
      [Buffer.concat([Buffer.from([0xff, 0xfe]), le]), 'utf-16le', []],
      [Buffer.concat([Buffer.from([0xfe, 0xff]), be]), 'utf-16be', []],
      [le, 'utf-16le', ['encoding_assumed@0']],
      [be, 'utf-16be', ['encoding_assumed@0']],
    ] as const) {
      const result = await read(bytes);
      expect(result.good).toEqual([
        ['A1', 'Café'],
        ['A2', 'x'],
      ]);
      expect([result.reader.encoding, result.codes]).toEqual([encoding, codes]);
    }
  });
});

describe('encodings within a file', () => {
  it('names each line of Windows-1252 within UTF-8', async () => {
    const bytes = Buffer.concat([
      Buffer.from('id,name\n1,Zoë\n', 'utf8'),
      Buffer.from('2,Zo\xeb\n', 'latin1'),
      Buffer.from('3,Zoë\n', 'utf8'),
      Buffer.from('4,\x80uro\n', 'latin1'),
    ]);
    const { good, codes, reader } = await read(bytes);
    expect(good).toEqual([
      ['1', 'Zoë'],
      ['2', 'Zoë'],
      ['3', 'Zoë'],
      ['4', '€uro'],
    ]);
    expect(codes).toEqual(['mixed_encoding@3', 'mixed_encoding@5']);
    expect(reader.encoding).toBe('utf-8');
  });

  it('turns to Windows-1252 far behind the beginning, without reading again', async () => {
    const ascii = Array.from({ length: 30_000 }, (_, index) => `${index},plain text\n`).join('');
    const bytes = Buffer.concat([Buffer.from(`id,name\n${ascii}`), Buffer.from('x,\x93quoted\x94 \xe9\n', 'latin1')]);
    const { good, codes, reader } = await read(bytes);
    expect(good.at(-1)).toEqual(['x', '“quoted” é']);
    expect(codes).toEqual(['encoding_assumed@30002']);
    expect(reader.encoding).toBe('windows-1252');
  });

  it('is not misled by a character that the look ahead cuts in two', async () => {
    for (let sniffBytes = 1; sniffBytes <= 24; sniffBytes++) {
      const options = { limits: { sniffBytes }, dialect: { format: 'csv', column: ',' }, header: true } as const;
      const reader = await DelimitedReader.open([Buffer.from('größe,größe2,größe3\nä,ö,ü\n')], options);
      const beginning = await new TextInput(
        [Buffer.from('größe,größe2,größe3\nä,ö,ü\n')],
        completeLimits({ sniffBytes }),
      ).sample();
      expect([sniffBytes, beginning.encoding, reader.columns[0]?.name]).toEqual([sniffBytes, 'utf-8', 'größe']);
      await reader.close();
    }
  });

  it('reads any encoding that is stated, and reports what means nothing in it', async () => {
    const bytes = Buffer.concat([
      Buffer.from('id,name\n1,'),
      Buffer.from([0x93, 0xfa, 0x96, 0x7b]),
      Buffer.from('\n2,'),
      Buffer.from([0xff, 0x0a]),
    ]);
    const { good, codes } = await read(bytes, { encoding: 'shift_jis' });
    expect(good[0]).toEqual(['1', '日本']);
    expect(codes).toEqual(['undecodable_bytes@3']);
    await expect(read('a', { encoding: 'klingon' })).rejects.toMatchObject({ code: 'validation_failed' });
  });

  it('replaces half a surrogate pair and a cut character, by line', async () => {
    const units = Buffer.from('\uFEFFid,n\n1,a\uD800b\n2,c', 'utf16le');
    const { good, codes } = await read(Buffer.concat([units, Buffer.from([0x41])]));
    expect(good).toEqual([
      ['1', 'a\uFFFDb'],
      ['2', 'c\uFFFD'],
    ]);
    expect(codes).toEqual(['lone_surrogate@2', 'truncated_character@3', 'unterminated_last_line@3']);
  });
});

describe('CSV and its kin', () => {
  it('follows RFC 4180', async () => {
    const text = 'id,"the, name",note\r\n1,"say ""hi""","two\r\nlines"\r\n2,,\r\n';
    const { good, problems, reader } = await read(text);
    expect(reader.columns.map((column) => column.name)).toEqual(['id', 'the, name', 'note']);
    expect(good).toEqual([
      ['1', 'say "hi"', 'two\r\nlines'],
      ['2', '', ''],
    ]);
    expect(problems).toEqual([]);
  });

  it.each([
    ['\t', 'tsv'],
    ['|', 'pipe'],
    ['^', 'caret'],
    [';', 'csv'],
  ])('detects %j', async (column, format) => {
    const text = `BEGDOC${column}CUSTODIAN${column}PATH\nA1${column}"Doe, ${column} Jane"${column}x,y\nA2${column}Roe${column}z\n`;
    const { good, reader } = await read(text);
    expect(reader.dialect).toMatchObject({ column, format, qualifier: '"' });
    expect(good[0]).toEqual(['A1', `Doe, ${column} Jane`, 'x,y']);
    expect(reader.detection.confidence).toBeGreaterThan(0.5);
  });

  it('reports rows of another width by line and rejects them', async () => {
    const { codes, good, rows } = await read('id,a,b\n1,x,y\n2,x\n3,x,y,z\n4,x,y\n');
    expect(codes).toEqual(['too_few_cells@3', 'too_many_cells@4']);
    expect(good.map((cells) => cells[0])).toEqual(['1', '4']);
    expect(rows.map((row) => row.record)).toEqual([1, 2, 3, 4]);
  });

  it('drops the empty cell behind a trailing delimiter, once said where all rows have it', async () => {
    expect(await read('id,a,\n1,x,\n2,y\n')).toMatchObject({
      good: [
        ['1', 'x'],
        ['2', 'y'],
      ],
      codes: ['trailing_delimiter@1'],
    });
    const dialect = { format: 'csv', column: ',' } as const;
    expect(await read('id,a\n1,x,\n2,y\n3,z,\n', { dialect })).toMatchObject({
      codes: ['trailing_delimiter@2', 'trailing_delimiter@4'],
      good: [
        ['1', 'x'],
        ['2', 'y'],
        ['3', 'z'],
      ],
    });
    const used = await read('id,a,\n1,x,5\n2,y,6\n');
    expect(used.reader.columns.map((column) => column.name)).toEqual(['id', 'a', 'Column 3']);
    expect(used.codes).toEqual(['empty_header@1']);
  });

  it('takes no row that a delimiter in a value shifted for one with a trailing delimiter', async () => {
    const { codes, good } = await read('id,a,b,link\n1,x,y,\n2,sh,ifted,y,\n3,x,y,\n4,"sh,ifted",y,\n');
    expect(codes).toEqual(['too_many_cells@3']);
    expect(good).toEqual([
      ['1', 'x', 'y', ''],
      ['3', 'x', 'y', ''],
      ['4', 'sh,ifted', 'y', ''],
    ]);
  });

  it('numbers repeated names', async () => {
    const { reader, codes } = await read('id,Name,name,Name (2)\n1,a,b,c\n');
    expect(reader.columns.map((column) => column.name)).toEqual(['id', 'Name', 'name (2)', 'Name (2) (2)']);
    expect(codes).toEqual(['duplicate_header@1', 'duplicate_header@1']);
  });

  it('reads a file without a header', async () => {
    const { reader, good } = await read('ABC000001,5/1/2020,.\\NATIVES\\1.doc\nABC000002,5/2/2020,.\\NATIVES\\2.doc\n');
    expect(reader.hasHeader).toBe(false);
    expect(reader.columns.map((column) => column.name)).toEqual(['Column 1', 'Column 2', 'Column 3']);
    expect(good).toHaveLength(2);
  });

  it('recovers from an unterminated quote that would swallow the rest', async () => {
    const body = Array.from({ length: 2000 }, (_, index) => `${index},name ${index},x`);
    body[1000] = '1000,"never closed,x';
    const { good, codes } = await read(`id,name,x\n${body.join('\n')}\n`);
    expect(codes).toEqual(['unterminated_qualifier@1002']);
    expect(good).toHaveLength(1999);
    expect(good.at(-1)).toEqual(['1999', 'name 1999', 'x']);
  });

  it('notes blank lines, joined files, padding and a missing last line break', async () => {
    const { good, codes } = await read('\uFEFFid,a\n1,x\n\n\uFEFF2,y\n3,z\n\0\0\0\u001A');
    expect(good).toEqual([
      ['1', 'x'],
      ['2', 'y'],
      ['3', 'z'],
    ]);
    expect(codes).toEqual(['blank_line@3', 'embedded_bom@4', 'padding@6']);
    expect((await read('id,a\n1,x\n2,y')).codes).toEqual(['unterminated_last_line@3']);
    expect((await read('id,a\n1,x\u0000y\n')).problems[0]).toMatchObject({
      code: 'nul_character',
      line: 2,
      field: 'a',
    });
  });

  it('reports files with nothing in them, and files that are no text', async () => {
    expect((await read('')).codes).toEqual(['empty_file@0']);
    expect((await read('\n\n\0\0')).codes).toContain('empty_file@0');
    expect((await read('BEGDOC,TITLE\n')).codes).toEqual(['header_only@0']);
    expect((await read(Buffer.from('%PDF-1.7\n'))).codes).toEqual(['binary_file@0']);
  });

  it('reads 10,000 columns, and refuses more than the limit', async () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `F${index}x`);
    const { reader, good } = await read(`${names.join(',')}\n${names.map((_, index) => index).join(',')}\n`);
    expect(reader.columns).toHaveLength(10_000);
    expect(good[0]?.[9999]).toBe('9999');
    const { codes } = await read('id,a\n1,2,3,4,5\n2,x\n', {
      dialect: { format: 'csv', column: ',' },
      limits: { maxCells: 3 },
    });
    expect(codes).toEqual(['too_many_columns@2']);
  });

  it('rejects a row longer than the limit, whether it is one line or many, and goes on', async () => {
    const limits = { maxRecordChars: 100, chunkBytes: 64 };
    const dialect = { format: 'csv', column: ',' } as const;
    const long = await read(`id,a\n1,${'x'.repeat(5000)}\n2,y\n`, { limits, dialect });
    expect(long.codes).toEqual(['record_too_long@2']);
    expect(long.good).toEqual([['2', 'y']]);
    const lines = Array.from({ length: 40 }, (_, index) => `${index},short`).join('\n');
    const swallowed = await read(`id,a\nopen,"${'x'.repeat(20)}\n${lines}\nlast,z\n`, { limits, dialect });
    expect(swallowed.codes).toEqual(['record_too_long@2']);
    expect(swallowed.good).toHaveLength(41);
    expect(swallowed.good.at(-1)).toEqual(['last', 'z']);
  });
});

describe('hostile shapes stay linear', () => {
  it.each([
    ['a qualifier opened on every line', '"x\n', 200_000],
    ['doubled qualifiers at every line start', '""x\n', 200_000],
    ['one that is never closed before them', ',"\n""x\n', 100_000],
    ['only qualifiers', '"', 500_000],
    ['only delimiters', ',', 500_000],
    ['byte-order marks', '\uFEFF', 200_000],
    ['blank lines', '\n', 500_000],
  ])('%s', async (_, unit, count) => {
    const begun = performance.now();
    await read(`id,a\n1,"open\n${unit.repeat(count)}`, {
      dialect: { format: 'csv' },
      limits: { maxRecordChars: 1_000_000 },
    });
    // A quadratic scan of these takes minutes; this only has to tell the two apart on a loaded machine.
    expect(performance.now() - begun).toBeLessThan(10_000);
  });
});
