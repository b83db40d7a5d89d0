/** Values of a row are written as JSON without the object that JSON would be made of; both must read alike. */
import { splitMultiValue, splitNested } from '@casebound/loadfile';
import { expect, it } from 'vitest';
import { encodeValues, type FieldType } from '../../fields/index.ts';
import type { PlannedColumn } from '../plan/import-plan.ts';
import { RowMapper } from './map-row.ts';

const columns = (titles: readonly (readonly [string, FieldType])[]): PlannedColumn[] =>
  titles.map(([title, type], index) => ({
    target: 'custom',
    index,
    column: `Column ${index}`,
    title,
    type,
    dateOrder: null,
  }));

const mapped = (planned: readonly PlannedColumn[], cells: readonly string[], overlayKey?: string) =>
  new RowMapper({
    file: 'data.dat',
    columns: planned,
    definitions: new Map(),
    splitMultiValue: (cell) => splitMultiValue(cell, { multiValue: ';' }),
    splitNested: (value) => splitNested(value, { nested: '\\' }),
    timeZone: 'UTC',
    labelCategory: undefined,
    overlayKey,
  }).map({ row: 1, line: 2, cells });

const cases: readonly (readonly [string, readonly (readonly [string, FieldType])[], readonly string[]])[] = [
  [
    'values of every type',
    [
      ['Remark "quoted" \\ back', 'text'],
      ['Long', 'long_text'],
      ['Date', 'date'],
      ['Amount', 'number'],
      ['Sign', 'number'],
      ['Key', 'yes_no'],
      ['Stage', 'single_choice'],
      ['Lots', 'multi_choice'],
    ],
    ['a "b" \\ c', 'line\nline\u2028\uD800\u0007é😀', '2021-03-04', '1,234.50', '-0', 'Yes', ' Done ', 'a; "b"; a;'],
  ],
  [
    'cells without a value',
    [
      ['A', 'text'],
      ['B', 'text'],
      ['C', 'multi_choice'],
      ['D', 'number'],
    ],
    ['', '  ', ' ; ', 'no number'],
  ],
  [
    'titles that are numbers',
    [
      ['b', 'text'],
      ['10', 'text'],
      ['9', 'text'],
      ['-1', 'text'],
      ['4294967295', 'text'],
    ],
    ['1', '2', '3', '4', '5'],
  ],
  [
    'one title twice',
    [
      ['A', 'text'],
      ['B', 'text'],
      ['A', 'text'],
    ],
    ['first', 'second', 'third'],
  ],
  [
    'one title twice, the first without a value',
    [
      ['A', 'text'],
      ['B', 'text'],
      ['A', 'text'],
    ],
    ['', 'second', 'third'],
  ],
  [
    'names that every object has',
    [
      ['__proto__', 'text'],
      ['constructor', 'text'],
    ],
    ['1', '2'],
  ],
];

it.each(cases)('%s', (_name, titles, cells) => {
  const planned = columns(titles);
  const asObject = mapped(planned, cells, 'controlNumber');
  const asText = mapped(planned, cells);
  const text = JSON.stringify(asObject.values);
  expect(asText.values).toBe(text === '{}' ? '' : text);
  expect(asText.problems).toEqual(asObject.problems);
  const line = { exhibitId: 7, metadata: { importedAt: '2026-01-02T03:04:05.000Z', batchId: 3 } };
  expect(encodeValues({ ...line, values: asText.values })).toBe(encodeValues({ ...line, values: asObject.values }));
});
