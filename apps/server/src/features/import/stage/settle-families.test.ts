/** Parents and roots that are found in sets, against those that are found row by row. */
import { randomUUID } from 'node:crypto';
import type { CaseId } from '@casebound/contract';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestImport, testActor, type TestImport } from '../testing/open-test-import.ts';
import { KeyFacts } from './key-facts.ts';
import { settleFamilies } from './settle-families.ts';

interface Given {
  /** Row, from 1, of the parent that the row names; itself, or one that is not there. */
  readonly parent: number | null;
  readonly family: string | null;
}

interface Settled {
  readonly parent: number | null;
  readonly root: number | null;
}

let test: TestImport;
let caseId: CaseId;

beforeAll(async () => {
  test = await openTestImport();
  caseId = await test.makeCase('families');
}, 60_000);
afterAll(async () => test[Symbol.asyncDispose]());

const keyOf = (row: number): string => `N${row}`;

const settle = async (rows: readonly Given[]): Promise<readonly Settled[]> =>
  test.parts.sessions.withCase(caseId, testActor, async (tx) => {
    const jobId = randomUUID();
    const facts = new KeyFacts();
    const keys = rows.map(({ parent, family }, index) => ({
      controlNumber: keyOf(index + 1),
      parentKey: parent === null ? null : keyOf(parent),
      familyKey: family,
    }));
    const nothing = { line: null, path: null, custodian: null, matchKey: null, rejected: false };
    const hashes = { md5: null, sha1: null, sha256: null };
    keys.forEach((key, index) => facts.add({ ...nothing, ...key, hashes, row: index + 1 }));
    await tx.query(
      `INSERT INTO import_row (job_id, row_no, control_number, parent_key, family_key)
       SELECT $1, row.no, row.number, row.parent, row.family
       FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS row (number, parent, family, no)`,
      [jobId, keys.map((key) => key.controlNumber), keys.map((key) => key.parentKey), keys.map((key) => key.familyKey)],
    );
    await settleFamilies(tx, jobId, facts);
    const { rows: found } = await tx.query<{ parent_row: string | null; root_row: string | null }>(
      'SELECT parent_row, root_row FROM import_row WHERE job_id = $1 ORDER BY row_no',
      [jobId],
    );
    const numberOf = (text: string | null): number | null => (text === null ? null : Number(text));
    return found.map((row) => ({ parent: numberOf(row.parent_row), root: numberOf(row.root_row) }));
  });

/** One row after another, by the words of the page on imports. */
const expected = (rows: readonly Given[]): readonly Settled[] => {
  const parents = rows.map(({ parent, family }, index): number | null => {
    if (parent !== null) return parent !== index + 1 && parent <= rows.length ? parent : null;
    if (family === null) return null;
    const first = rows.findIndex((other) => other.family === family) + 1;
    return first === index + 1 ? null : first;
  });
  const roots = parents.map((_, index): number | null => {
    let at = index + 1;
    for (let depth = 0; depth <= 100; depth += 1) {
      const above = parents[at - 1] ?? null;
      if (above === null) return at;
      at = above;
    }
    return null;
  });
  return parents.map((parent, index) => {
    const root = roots[index] ?? null;
    return parent === null || root === null ? { parent: null, root: null } : { parent, root };
  });
};

it('any families', async () => {
  const given = fc.integer({ min: 1, max: 12 }).chain((count) =>
    fc.array(
      fc.record({
        parent: fc.option(fc.integer({ min: 1, max: count + 1 }), { freq: 3 }),
        family: fc.option(fc.constantFrom('A', 'B')),
      }),
      { minLength: count, maxLength: count },
    ),
  );
  await fc.assert(
    fc.asyncProperty(given, async (rows) => {
      expect(await settle(rows)).toEqual(expected(rows));
    }),
    { numRuns: 60 },
  );
}, 60_000);

it('a row is a hundred steps from its root at most', async () => {
  const chain = Array.from({ length: 103 }, (_, index): Given => ({
    parent: index === 0 ? null : index,
    family: null,
  }));
  const settled = await settle(chain);
  expect(settled).toEqual(expected(chain));
  expect(settled[100]).toEqual({ parent: 100, root: 1 });
  expect(settled[101]).toEqual({ parent: null, root: null });
});
