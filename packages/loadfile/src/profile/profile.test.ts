import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classifyValue } from './classify-value.ts';
import type { ControlNumber } from './control-number.ts';
import {
  compareControlNumbers,
  formatControlNumber,
  isInRange,
  parseControlNumber,
  parseRange,
  rangeOf,
} from './control-number.ts';
import { parseDate } from './parse-date.ts';
import { ColumnProfiler } from './profile-column.ts';

const profileOf = (values: readonly string[]) => {
  const profiler = new ColumnProfiler([{ index: 0, header: 'X', name: 'X' }], ';');
  values.forEach((value, index) => profiler.add({ record: index + 1, line: index + 2, cells: [value], problems: [] }));
  const [profile] = profiler.profiles();
  if (profile === undefined) throw new Error('no profile');
  return profile;
};

describe('classifyValue', () => {
  it.each([
    ['2112', 'integer'],
    ['-1,234,567', 'integer'],
    ['3.14', 'decimal'],
    ['20200131', 'date'],
    ['20201331', 'integer'],
    ['99999999', 'integer'],
    ['5/21/2001', 'date'],
    ['5/21/2001 3:48 PM', 'datetime'],
    ['2020-02-30', 'text'],
    ['31.12.2019', 'date'],
    ['2020-03-04T05:06:07.123Z', 'datetime'],
    ['Monday, May 21, 2001 3:48 PM', 'datetime'],
    ['21 May 2001', 'date'],
    ['3:48 PM', 'time'],
    ['Yes', 'boolean'],
    ['N', 'boolean'],
    ['6F1D87ACFDB01ABE109AA5DA3F24031D', 'md5'],
    ['da39a3ee5e6b4b0d3255bfef95601890afd80709', 'sha1'],
    ['e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 'sha256'],
    ['.\\VOL01\\TEXT\\1.txt', 'path'],
    ['and/or', 'path'],
    ['ABC-0001234', 'control-number'],
    ['ABC000123.0004', 'control-number'],
    ['Jane Doe <jane@x.com>; roe@y.org', 'email-addresses'],
    ['meet me @ noon', 'text'],
    ['RE: Import samples', 'text'],
  ])('%j is %s', (value, type) => {
    expect(classifyValue(value).type).toBe(type);
  });

  it('takes any text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 400 }),
        (value) => typeof classifyValue(value).type === 'string',
      ),
    );
  });
});

describe('dates', () => {
  it('gives both readings of an open order, and one where the calendar decides', () => {
    expect(parseDate('03/04/2020')?.readings).toEqual([
      { order: 'month-first', iso: '2020-03-04' },
      { order: 'day-first', iso: '2020-04-03' },
    ]);
    expect(parseDate('13/04/2020')?.readings).toEqual([{ order: 'day-first', iso: '2020-04-13' }]);
    expect(parseDate('5/21/2001 3:48 PM')).toEqual({
      shape: 'n/n/yyyy h:mm a',
      readings: [{ order: 'month-first', iso: '2001-05-21T15:48:00' }],
      hasTime: true,
      zone: null,
    });
    expect(parseDate('2001-05-21 12:00:01 am UTC')).toMatchObject({
      readings: [{ iso: '2001-05-21T00:00:01' }],
      zone: 'UTC',
    });
    expect(parseDate('2020-03-04T05:06:07+02:00')?.zone).toBe('+02:00');
    expect(parseDate('1/2/49')?.readings[0]?.iso).toBe('2049-01-02');
    expect(parseDate('1/2/50')?.readings[0]?.iso).toBe('1950-01-02');
  });

  it('refuses dates that cannot be', () => {
    for (const text of [
      '02/30/2020',
      '2/29/2019',
      '2020-13-01',
      '0/1/2020',
      '1/1/0000',
      '32/1/2020',
      '1/1/2020 25:00',
      '1/1/2020 13:00 PM',
      'May 2020',
      '1.2.3',
    ]) {
      expect([text, parseDate(text)]).toEqual([text, undefined]);
    }
    expect(parseDate('2/29/2020')).toBeDefined();
  });

  it('states the order of a column only if its values prove it', () => {
    expect(profileOf(['1/2/2020', '3/14/2020', '5/5/2020']).date).toMatchObject({
      order: 'month-first',
      open: 1,
      provesMonthFirst: 1,
      firstMonthFirstLine: 3,
    });
    expect(profileOf(['1/2/2020', '14/3/2020']).date).toMatchObject({ order: 'day-first' });
    expect(profileOf(['1/2/2020', '3/4/2020']).date).toMatchObject({ order: 'ambiguous', open: 2 });
    expect(profileOf(['14/3/2020', '3/14/2020']).date).toMatchObject({
      order: 'conflicting',
      firstDayFirstLine: 2,
      firstMonthFirstLine: 3,
    });
    expect(profileOf(['2020-01-02', '2020-03-04']).date).toMatchObject({ order: 'year-first', open: 0 });
    expect(profileOf(['2020-01-02', '3/14/2020']).date).toMatchObject({ order: 'mixed' });
    expect(profileOf(['1/14/2020 1:00 PM EST', '1/15/2020 1:00 PM']).date).toMatchObject({
      zones: ['EST'],
      withoutZone: 1,
    });
  });
});

describe('columns', () => {
  it('have the type of nearly all values, and name the first that is not of it', () => {
    const dates = Array.from({ length: 30 }, (_, index) => `2020-01-${String(index + 1).padStart(2, '0')}`);
    const profile = profileOf([...dates.slice(0, 10), 'N/A', ...dates.slice(10)]);
    expect(profile).toMatchObject({ type: 'date', exceptions: { count: 1, line: 12, value: 'N/A' } });
    expect(profileOf(['1', '2', '3.5'])).toMatchObject({ type: 'decimal', exceptions: null });
    expect(profileOf(['1', 'two', '3'])).toMatchObject({ type: 'text' });
    expect(profileOf(['', ' '])).toMatchObject({ type: 'empty', filled: 0, fillRate: 0, samples: [] });
    expect(profileOf(['a', '', 'b; c;d', 'a'])).toMatchObject({
      filled: 3,
      fillRate: 0.75,
      maxLength: 6,
      samples: ['a', 'b; c;d'],
      multiValue: { cells: 1, most: 3 },
    });
  });
});

const parsed = (text: string): ControlNumber => {
  const number = parseControlNumber(text);
  if (number === undefined) throw new Error(`no control number: ${text}`);
  return number;
};

const ends = (text: string) => {
  const range = parseRange(text);
  return typeof range === 'string' ? range : [range.first.text, range.last.text];
};

describe('control numbers', () => {
  it('come apart into prefix, number, width and suffix', () => {
    expect(parsed('ABC-000123.0004')).toEqual({
      text: 'ABC-000123.0004',
      prefix: 'ABC-',
      number: 123n,
      width: 6,
      suffix: '.0004',
    });
    expect(parsed('SYM-00011001_0001_REV')).toMatchObject({ prefix: 'SYM-', number: 11001n, suffix: '_0001_REV' });
    expect(parsed('12345678901234567890')).toMatchObject({ prefix: '', number: 12345678901234567890n });
    expect(parseControlNumber('no digits')).toBeUndefined();
    expect(formatControlNumber(parsed('ABC0099'), 100n)).toBe('ABC0100');
    expect(formatControlNumber(parsed('ABC99'), 100n)).toBe('ABC100');
  });

  it('have a total order that follows the numbers', () => {
    const text = fc.tuple(
      fc.constantFrom('A', 'a-', 'B1-'),
      fc.nat(1200),
      fc.constantFrom('', '.1', '.02', '_x'),
      fc.nat(3),
    );
    const number = text.map(([prefix, value, suffix, zeros]) =>
      parsed(`${prefix}${'0'.repeat(zeros)}${value}${suffix}`),
    );
    fc.assert(
      fc.property(number, number, number, (a, b, c) => {
        expect(Math.sign(compareControlNumbers(a, b))).toBe(-Math.sign(compareControlNumbers(b, a)) + 0);
        expect(compareControlNumbers(a, b) === 0).toBe(a.text.toLowerCase() === b.text.toLowerCase());
        const ordered = compareControlNumbers(a, b) <= 0 && compareControlNumbers(b, c) <= 0;
        expect(!ordered || compareControlNumbers(a, c) <= 0).toBe(true);
      }),
    );
    expect(compareControlNumbers(parsed('A9'), parsed('A10'))).toBe(-1);
    expect(compareControlNumbers(parsed('A1.2'), parsed('A1.10'))).toBe(-1);
  });

  it('make ranges, hyphens in the prefix included', () => {
    expect(ends('ABC001 - ABC004')).toEqual(['ABC001', 'ABC004']);
    expect(ends('ABC-001-ABC-004')).toEqual(['ABC-001', 'ABC-004']);
    expect(ends('ABC001;ABC004')).toEqual(['ABC001', 'ABC004']);
    expect(ends('ABC001 to ABC004')).toEqual(['ABC001', 'ABC004']);
    expect(ends('ABC001')).toEqual(['ABC001', 'ABC001']);
    expect(ends('ABC004 - ABC001')).toBe('reversed');
    expect(ends('ABC001 - XYZ004')).toBe('different-prefixes');
    expect(ends('nothing')).toBe('not-a-control-number');
    const range = rangeOf('abc001', 'ABC004');
    if (typeof range === 'string') throw new Error(range);
    expect(
      ['ABC001', 'ABC004.0002', 'abc003', 'ABC005', 'XBC002'].map((text) => isInRange(parsed(text), range)),
    ).toEqual([true, true, true, false, false]);
  });
});
