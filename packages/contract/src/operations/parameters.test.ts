import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CaseId } from '../ids.ts';
import { CaseName } from './cases.ts';
import { wireInteger } from './parameters.ts';

const caseId = wireInteger(CaseId);

describe('numbers in an address', () => {
  it('are read as what was written, and from the number itself', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (id) => {
        expect(caseId.parse(String(id))).toBe(id);
        expect(caseId.parse(id)).toBe(id);
      }),
    );
  });

  it.each([
    '',
    ' ',
    '0',
    '-1',
    '1.5',
    '1e2',
    '0x10',
    '+7',
    '007',
    '7 ',
    '٣',
    'NaN',
    'Infinity',
    '9007199254740993',
    true,
    null,
    [7],
    {},
  ])('are not %j', (value) => {
    expect(caseId.safeParse(value).success).toBe(false);
  });
});

describe('the name of a case', () => {
  it('is normalised and has no outer white space', () => {
    expect(CaseName.parse('  Cafe\u0301 v. Jones\n')).toBe('Caf\u00e9 v. Jones');
  });

  it.each(['', '   ', 'a\u0000b', 'a\nb', 'a\u0085b', 'x'.repeat(201)])('is not %j', (name) => {
    expect(CaseName.safeParse(name).success).toBe(false);
  });
});
