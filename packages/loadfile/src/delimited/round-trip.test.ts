import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LoadFileEncoding } from '../input/sniff-encoding.ts';
import type { LoadFileProblem } from '../problems.ts';
import type { DelimitedDialect } from './dialect.ts';
import { dialects } from './dialect.ts';
import type { DelimitedOptions } from './open-delimited.ts';
import { DelimitedReader } from './open-delimited.ts';
import { joinMultiValue, splitMultiValue } from './split-values.ts';
import type { DelimitedWriteOptions } from './write-delimited.ts';
import { writeDelimited } from './write-delimited.ts';

const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
};

const write = async (rows: readonly string[][], options: DelimitedWriteOptions): Promise<Buffer> =>
  Buffer.concat(await collect(writeDelimited(rows, options)));

const readAll = async (source: Iterable<Uint8Array>, options: DelimitedOptions) => {
  const problems: LoadFileProblem[] = [];
  const reader = await DelimitedReader.open(source, { ...options, onProblem: (problem) => problems.push(problem) });
  const rows = await collect(reader.rows());
  return { rows, problems, columns: reader.columns, encoding: reader.encoding };
};

/** Text rich in what makes formats break. */
const text = (without = ''): fc.Arbitrary<string> => {
  const special = Array.from(',;|^\t"\'\u0014\u00FE\u00AE\u00B6\r\n\0\u001A\uFEFF\\~ a0é€😀日').filter(
    (c) => !without.includes(c),
  );
  const unit = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...special) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }) },
  );
  return fc.array(unit, { maxLength: 12 }).map((units) =>
    Array.from(units.join(''))
      .filter((character) => !without.includes(character))
      .join(''),
  );
};

const table = (cell: fc.Arbitrary<string>): fc.Arbitrary<string[][]> =>
  fc
    .integer({ min: 1, max: 5 })
    .chain((width) => fc.array(fc.array(cell, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 8 }));

const encodings: readonly LoadFileEncoding[] = ['utf-8', 'utf-16le', 'utf-16be'];
const lineEndings = ['\r\n', '\n', '\r'] as const;

describe('what is written reads back', () => {
  it.each(Object.values(dialects))('$format, every encoding, line ending and way of qualifying', async (usual) => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...lineEndings).chain((lineEnding) =>
          fc.record({
            lineEnding: fc.constant(lineEnding),
            rows: table(text((usual.newline ?? '') + (lineEnding === '\r' && usual.newline === null ? '\n' : ''))),
          }),
        ),
        fc.constantFrom(...encodings),
        fc.constantFrom('all' as const, 'needed' as const),
        fc.boolean(),
        async ({ lineEnding, rows }, encoding, qualify, bom) => {
          const dialect: DelimitedDialect = { ...usual, lineEnding };
          const bytes = await write(rows, { dialect, encoding, qualify, bom });
          const back = await readAll([bytes], { dialect, encoding, header: false });
          expect(back.rows.map((row) => row.cells)).toEqual(rows);
          expect(back.problems.filter(({ code }) => code !== 'nul_character')).toEqual([]);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('without a qualifier, what is not refused', async () => {
    const dialect: DelimitedDialect = { ...dialects.pipe, qualifier: null, newline: '\u00AE' };
    await fc.assert(
      fc.asyncProperty(table(text('|\r\u00AE\0\u001A\uFEFF')), async (rows) => {
        fc.pre(rows.every((row) => row.length > 1 || row[0] !== ''));
        const back = await readAll([await write(rows, { dialect })], { dialect, header: false });
        expect(back.rows.map((row) => row.cells)).toEqual(rows);
      }),
      { numRuns: 150 },
    );
  });

  it('in Windows-1252, what it has characters for', async () => {
    const cell = fc
      .array(fc.constantFrom(...Array.from('aé€“”–þ"\u0014\n\r;\u0081')), { maxLength: 10 })
      .map((units) => units.join(''));
    await fc.assert(
      fc.asyncProperty(table(cell), async (rows) => {
        const bytes = await write(rows, { dialect: dialects.dat, encoding: 'windows-1252' });
        const back = await readAll([bytes], { dialect: dialects.dat, encoding: 'windows-1252', header: false });
        expect(back.rows.map((row) => row.cells)).toEqual(rows);
      }),
      { numRuns: 150 },
    );
  });

  it('with a header of any different names, detected dialect and encoding', async () => {
    const header = ['BEGDOC', 'CUSTODIAN', 'Eigene Größe'];
    const word = fc.string({ unit: fc.constantFrom(...Array.from('abcdefgé ')), minLength: 1, maxLength: 12 });
    const rows3 = fc.array(fc.tuple(word, word, word), { minLength: 2, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(rows3, fc.constantFrom(...Object.values(dialects)), async (rows, dialect) => {
        const bytes = await write(rows, { dialect, header });
        const back = await readAll([bytes], {});
        expect(back.columns.map((column) => column.name)).toEqual(header);
        expect(back.rows.map((row) => row.cells)).toEqual(rows);
      }),
      { numRuns: 60 },
    );
  });
});

describe('what cannot be written', () => {
  const dialect = dialects.dat;

  it('is refused with the row and the character', async () => {
    await expect(write([['a', 'Acme®']], { dialect })).rejects.toThrow(/Row 1, cell 2: U\+00AE cannot be written/u);
    await expect(write([['a\uD800']], { dialect })).rejects.toMatchObject({ code: 'load_file_value_unwritable' });
    await expect(write([['日本']], { dialect, encoding: 'windows-1252' })).rejects.toThrow(/U\+65E5/u);
    await expect(write([['a|b']], { dialect: { ...dialects.pipe, qualifier: null } })).rejects.toThrow(/U\+007C/u);
    await expect(write([['']], { dialect: { ...dialects.pipe, qualifier: null } })).rejects.toThrow(/blank line/u);
    await expect(write([['a'], ['a', 'b']], { dialect })).rejects.toMatchObject({ code: 'validation_failed' });
  });

  it('is replaced where that is asked for, and told', async () => {
    const told: unknown[] = [];
    const unrepresentable = { kind: 'replace', with: '(R)', onReplaced: (value: unknown) => told.push(value) } as const;
    const bytes = await write(
      [
        ['1', 'Acme® and Emca®'],
        ['2', 'x'],
      ],
      { dialect, unrepresentable },
    );
    const back = await readAll([bytes], { dialect, header: false });
    expect(back.rows[0]?.cells).toEqual(['1', 'Acme(R) and Emca(R)']);
    expect(told).toEqual([{ record: 1, cell: 2, reason: 'the character stands for a line break in this dialect' }]);
    const bad = { ...unrepresentable, with: '®' };
    await expect(write([['®']], { dialect, unrepresentable: bad })).rejects.toThrow(/U\+00AE/u);
  });

  it('multi-values with the separator in them are refused, others read back', () => {
    const value = fc.string({ minLength: 1 }).filter((v) => !v.includes(';') && v.trim() === v);
    fc.assert(
      fc.property(fc.array(value), (values) => {
        expect(splitMultiValue(joinMultiValue(values, dialect), dialect)).toEqual(values);
      }),
    );
    expect(() => joinMultiValue(['a;b'], dialect)).toThrow(/separator/u);
  });
});

/** Cuts bytes at arbitrary places. */
const cut = (bytes: Buffer, places: readonly number[]): Buffer[] => {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted((a, b) => a - b);
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length));
};

const hostileText = fc
  .array(
    fc.constantFrom('"', ',', '\n', '\r\n', 'a', '""', ',"', '"\n', 'x,y\n', '\0', '\uFEFF', 'é', '😀', '\uD83D', '日'),
    { maxLength: 120 },
  )
  .map((units) => units.join(''));

/** UTF-8 with bytes here and there that are none. */
const hostile = fc.tuple(hostileText, fc.array(fc.nat(500), { maxLength: 3 })).map(([content, places]) => {
  const bytes = Buffer.from(content);
  for (const place of places) if (place < bytes.length) bytes[place] = 0xe9;
  return bytes;
});

describe('the result depends on the bytes alone', () => {
  const dialect = { format: 'csv', column: ',', qualifier: '"' } as const;
  const expectSame = async (
    bytes: Buffer,
    places: readonly number[],
    limits: { readonly maxRecordChars?: number },
    chunkBytes: number,
  ) => {
    const plain = (result: Awaited<ReturnType<typeof readAll>>) => ({
      ...result,
      problems: result.problems.map(({ code, line }) => `${line}:${code}`).toSorted(),
    });
    const options = { dialect, header: true } as const;
    const whole = plain(await readAll([bytes], { ...options, limits }));
    expect(plain(await readAll(cut(bytes, places), { ...options, limits: { ...limits, chunkBytes } }))).toEqual(whole);
  };
  const places = fc.array(fc.nat(2000), { maxLength: 6 });
  const chunkBytes = fc.integer({ min: 1, max: 20 });
  const utf16 = hostileText.map((content) => Buffer.from(`\uFEFF${content}`, 'utf16le'));
  const utf16be = utf16.map((bytes) => Buffer.from(bytes).swap16());

  it('for any cut of the source and any chunk size', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(hostile, utf16, utf16be), places, chunkBytes, async (bytes, at, size) => {
        await expectSame(bytes, at, {}, size);
      }),
      { numRuns: 400 },
    );
  });

  it('and with rows longer than the limit', async () => {
    // Without broken bytes: up to where a line's encoding is looked at follows the larger of limit and chunk size.
    const sound = hostileText.map((content) => Buffer.from(content.toWellFormed()));
    await fc.assert(
      fc.asyncProperty(
        sound,
        places,
        chunkBytes,
        fc.integer({ min: 4, max: 24 }),
        async (bytes, at, size, maxRecordChars) => {
          await expectSame(bytes, at, { maxRecordChars }, size);
        },
      ),
      { numRuns: 1500 },
    );
  });
});

describe('content never throws', () => {
  it('for any bytes, with any choice of dialect, and every row is counted', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
          hostile,
        ),
        fc.constantFrom(undefined, 'dat' as const, 'csv' as const, 'tsv' as const, 'pipe' as const, 'caret' as const),
        fc.constantFrom(undefined, 'utf-8', 'utf-16le', 'utf-16be', 'windows-1252', 'shift_jis'),
        fc.constantFrom(3, 50, 100_000),
        async (bytes, format, encoding, maxRecordChars) => {
          const problems: LoadFileProblem[] = [];
          const reader = await DelimitedReader.open([bytes], {
            ...(format === undefined ? {} : { dialect: { format } }),
            ...(encoding === undefined ? {} : { encoding }),
            limits: { maxRecordChars },
            onProblem: (problem) => problems.push(problem),
          });
          const rows = await collect(reader.rows());
          expect(rows.map((row) => row.record)).toEqual(rows.map((_, index) => index + 1));
          expect(reader.rowsRead).toBe(rows.length);
          for (const row of rows) {
            const rejected = row.problems.some((problem) => problem.severity === 'error');
            expect(rejected || row.cells.length === reader.columns.length).toBe(true);
          }
        },
      ),
      { numRuns: 600 },
    );
  });
});
