/** As many cases as a database holds by default: all can be entered, each sees itself alone, connections stay few. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestDatabases, type TestDatabases } from '../../apps/server/src/database/testing/open-test-databases.ts';
import { createCase, listCases, migrateCases, reconcileCases } from '../../apps/server/src/features/cases/index.ts';
import {
  caseDependencies,
  exampleMigrations,
  exampleProvisioner,
  systemActor,
} from '../../apps/server/src/features/cases/testing/case-dependencies.ts';

const count = 500;

let test: TestDatabases;
beforeAll(async () => {
  test = await openTestDatabases();
});
afterAll(async () => test.close());

describe('five hundred cases', () => {
  it('live in one database, and the next opens another', async () => {
    const cases = caseDependencies(test.databases, { provisioners: [exampleProvisioner] });
    const names = Array.from({ length: count }, (_, index) => `Case ${index}`);
    const creator = async (): Promise<void> => {
      for (let name = names.pop(); name !== undefined; name = names.pop())
        await createCase(cases, systemActor, { name });
    };
    await Promise.all([creator(), creator(), creator(), creator()]);
    const { cases: made, total } = await listCases(cases, systemActor, { limit: 500 });
    expect(total).toBe(count);
    expect(new Set(made.map((one) => one.database)).size).toBe(1);

    let most = 0;
    const queue = [...made];
    const visitor = async (): Promise<void> => {
      for (let one = queue.pop(); one !== undefined; one = queue.pop()) {
        const { caseId } = one;
        await test.databases.cases.withCase(caseId, systemActor, async (tx) => {
          await tx.query('INSERT INTO exhibit (title) VALUES (current_schema())');
          const { rows } = await tx.query('SELECT title FROM exhibit');
          expect(rows).toEqual([{ title: `case_${caseId}` }]);
          most = Math.max(most, test.databases.statistics().open);
        });
      }
    };
    await Promise.all(Array.from({ length: 20 }, visitor));
    expect(most).toBeLessThanOrEqual(40);

    const migrating = { ...cases, caseMigrations: exampleMigrations(1) };
    expect(await migrateCases(migrating)).toBe(count);
    expect(await migrateCases(migrating)).toBe(0);
    expect(await reconcileCases(cases)).toMatchObject({ orphanSchemas: 0, orphanRoles: 0, damaged: [] });

    const next = await createCase(migrating, systemActor, { name: 'One more' });
    expect(next.database).not.toBe(made[0]?.database);
  }, 180_000);
});
