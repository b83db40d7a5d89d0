import { storageSwitchNames } from '@casebound/contract';
import { expect, test } from 'vitest';
import { describeStorage } from './fields.ts';

const withOn = (count: number): string =>
  describeStorage({
    storage: 'tables',
    switches: storageSwitchNames.map((name, at) => ({ name, on: at < count })),
  });

test.each([
  [0, 'The case keeps its custom fields in tables:'],
  [2, 'The case is on its way from tables to segments, 2 of 4 switches are on; values are read from tables:'],
  [3, 'The case is on its way from tables to segments, 3 of 4 switches are on; values are read from segments:'],
  [4, 'The case keeps its custom fields in segments; its tables are written no more, and stay for a way back:'],
])('%d switches that are on say where values are', (count, first) => {
  const [where, ...lines] = withOn(count).split('\n');
  expect(where).toBe(first);
  expect(lines.filter((line) => line.startsWith('  on '))).toHaveLength(count);
});

test('a case that was never in tables says so', () => {
  expect(describeStorage({ storage: 'segments', switches: [] })).toBe('The case keeps its custom fields in segments.');
});
