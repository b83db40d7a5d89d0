import { expect, test } from 'vitest';
import { errorTable } from './errors.ts';

/** Up to 9 an exit code names a family of causes; from 10 on one cause. */
const FIRST_SPECIFIC_EXIT_CODE = 10;

test('an exit code from 10 on names one cause', () => {
  const specific = Object.entries(errorTable).filter(([, { exitCode }]) => exitCode >= FIRST_SPECIFIC_EXIT_CODE);
  const owners = Map.groupBy(specific, ([, { exitCode }]) => exitCode);
  const shared = [...owners].filter(([, codes]) => codes.length > 1).map(([, codes]) => codes.map(([code]) => code));
  expect(shared).toEqual([]);
  expect(specific.every(([, { exitCode }]) => exitCode < 126)).toBe(true);
});

test('every error says in sentences what it is and what to do', () => {
  for (const [code, { title, remedy }] of Object.entries(errorTable)) {
    expect(title, code).toMatch(/^[A-Z].*[.]$/s);
    expect(remedy, code).toMatch(/^[A-Z`].*[.]$/s);
  }
});
