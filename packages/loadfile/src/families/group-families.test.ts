import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Families, FamilyRow } from './group-families.ts';
import { familiesFromGroupIds, familiesFromParentIds, familiesFromRanges } from './group-families.ts';

const roots = (families: Families): Record<string, string> => Object.fromEntries(families.rootOf);
const codes = (families: Families): string[] =>
  families.problems.map(({ code, controlNumber }) => `${code}:${controlNumber}`);

describe('families', () => {
  it('by parent id, nested, in any order of the file', () => {
    const families = familiesFromParentIds([
      { controlNumber: 'A3', parentId: 'a2' },
      { controlNumber: 'A1', parentId: '' },
      { controlNumber: 'A2', parentId: 'A1' },
      { controlNumber: 'B1', parentId: 'B1' },
      { controlNumber: 'C1', parentId: 'X9' },
    ]);
    expect(roots(families)).toEqual({ A1: 'A1', A2: 'A1', A3: 'A1', B1: 'B1', C1: 'C1' });
    expect(Object.fromEntries(families.parentOf)).toEqual({ A2: 'A1', A3: 'A2' });
    expect(codes(families)).toEqual(['parent_is_self:B1', 'parent_missing:C1']);
  });

  it('cuts a cycle and says where', () => {
    const families = familiesFromParentIds([
      { controlNumber: 'A', parentId: 'B' },
      { controlNumber: 'B', parentId: 'C' },
      { controlNumber: 'C', parentId: 'A' },
    ]);
    expect(codes(families)).toEqual(['parent_cycle:C']);
    expect(roots(families)).toEqual({ A: 'C', B: 'C', C: 'C' });
  });

  it('by ranges in two cells or one', () => {
    const range = { attachmentBegin: 'A001', attachmentEnd: 'A005' };
    const families = familiesFromRanges([
      { controlNumber: 'A001', ...range },
      { controlNumber: 'A003', ...range },
      { controlNumber: 'A005', ...range },
      { controlNumber: 'A006' },
      { controlNumber: 'B1', familyRange: 'B1 - B2' },
      { controlNumber: 'B2', familyRange: 'B1 - B2' },
      { controlNumber: 'C2', familyRange: 'C1-C2' },
      { controlNumber: 'D9', familyRange: 'D1-D2' },
      { controlNumber: 'E1', familyRange: 'what' },
    ]);
    expect(roots(families)).toEqual({
      A001: 'A001',
      A003: 'A001',
      A005: 'A001',
      A006: 'A006',
      B1: 'B1',
      B2: 'B1',
      C2: 'C2',
      D9: 'D9',
      E1: 'E1',
    });
    expect(codes(families)).toEqual(['range_without_parent:C2', 'range_excludes_self:D9', 'range_invalid:E1']);
  });

  it('by group id: its namesake, else the lowest number, is the root', () => {
    const families = familiesFromGroupIds([
      { controlNumber: 'A10', familyId: 'g' },
      { controlNumber: 'A9', familyId: 'G' },
      { controlNumber: 'B1', familyId: 'B2' },
      { controlNumber: 'B2', familyId: 'B2' },
      { controlNumber: 'C1' },
      { controlNumber: 'c1' },
    ]);
    expect(roots(families)).toEqual({ A9: 'A9', A10: 'A9', B1: 'B2', B2: 'B2', C1: 'C1' });
    expect(codes(families)).toEqual(['duplicate_control_number:c1']);
  });

  it('always give every document one root that is its own, for any parents', () => {
    const row: fc.Arbitrary<FamilyRow> = fc.record({
      controlNumber: fc.integer({ min: 1, max: 12 }).map((number) => `D${number}`),
      parentId: fc.integer({ min: 0, max: 14 }).map((number) => (number === 0 ? '' : `D${number}`)),
    });
    fc.assert(
      fc.property(fc.array(row, { maxLength: 20 }), (rows) => {
        const { rootOf, parentOf } = familiesFromParentIds(rows);
        expect(new Set(rootOf.keys())).toEqual(new Set(rows.map(({ controlNumber }) => controlNumber)));
        for (const [name, root] of rootOf) {
          expect([rootOf.get(root), parentOf.get(root)]).toEqual([root, undefined]);
          expect(rootOf.get(parentOf.get(name) ?? name)).toBe(root);
        }
      }),
      { numRuns: 500 },
    );
  });
});
