/**
 * The process dies at every named point of creating and deleting a case, of opening a case database and of migrating cases.
 * After the next start nothing is half there: no schema or role without its case, no case without its schema, no count that
 * is wrong, and the same name can be used.
 */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { createTemporaryFolder, spawnScript, type ScriptEnd } from '@casebound/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestDatabases, type TestDatabases } from '../../apps/server/src/database/testing/open-test-databases.ts';
import {
  createCase,
  deleteCase,
  listCases,
  migrateCases,
  reconcileCases,
  type CasesDependencies,
  type Reconciliation,
} from '../../apps/server/src/features/cases/index.ts';
import {
  caseDependencies,
  exampleMigrations,
  exampleProvisioner,
  systemActor,
} from '../../apps/server/src/features/cases/testing/case-dependencies.ts';
import { crashPointNames } from '../../apps/server/src/platform/crash-points/Port.ts';

const script = path.resolve(import.meta.dirname, '../../apps/server/src/features/cases/testing/act-on-case.ts');

const nothingLeft = {
  undone: 0,
  deleted: 0,
  unsettled: 0,
  orphanSchemas: 0,
  orphanRoles: 0,
  mendedRoles: 0,
  damaged: [],
} satisfies Reconciliation;

let test: TestDatabases;
let cases: CasesDependencies;
beforeAll(async () => {
  test = await openTestDatabases({ cases: { casesPerDatabase: 4, create: true, existing: [] } });
  cases = caseDependencies(test.databases, { provisioners: [exampleProvisioner] });
});
afterAll(async () => test.close());

const act = async (crashAt: string, args: readonly string[], env = {}): Promise<ScriptEnd> =>
  spawnScript(script, {
    args,
    env: { CASEBOUND_CRASH_AT: crashAt, TEST_TARGET: JSON.stringify(test.database.target), ...env },
  }).ended;

/** Compares what PostgreSQL has with what the control database says. */
async function expectClean(): Promise<void> {
  const { control, owner } = test.databases;
  const placed = await control.transaction({ readOnly: true }, async (tx) =>
    tx.query<{ case_id: string; state: string; database_name: string; case_count: number }>(
      'SELECT case_id, cases.state, database_name, case_count FROM core.case_database LEFT JOIN core.case_placement USING (case_database_id) LEFT JOIN core.cases USING (case_id)',
    ),
  );
  const byDatabase = Map.groupBy(placed.rows, (row) => row.database_name);
  for (const [name, rows] of byDatabase) {
    const here = rows.filter((row) => row.case_id !== null);
    expect(here.every((row) => row.state === 'active')).toBe(true);
    expect(rows[0]?.case_count).toBe(here.length);
    const found = await owner('main', name).transaction({ readOnly: true }, async (tx) =>
      tx.query<{ nspname: string }>(`SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'case_') ORDER BY 1`),
    );
    expect(found.rows.map((row) => row.nspname)).toEqual(here.map((row) => `case_${row.case_id}`).toSorted());
  }
  const roles = await control.transaction({ readOnly: true }, async (tx) =>
    tx.query(`SELECT rolname FROM pg_roles WHERE rolname ~ ('^' || current_database() || '_(case|pair)_\\d')`),
  );
  const total = placed.rows.filter((row) => row.case_id !== null).length;
  expect(roles.rowCount).toBe(3 * total);
  expect(await reconcileCases(cases)).toEqual(nothingLeft);
}

/** What a start does. */
async function restart(): Promise<void> {
  await test.databases.caseDatabases.settle();
  await reconcileCases(cases);
}

const pointsOf = (prefix: string): string[] => crashPointNames.filter((name) => name.startsWith(prefix));

describe('a process that is killed', () => {
  it.each(pointsOf('case.create.'))('while it creates a case, at %s, leaves a whole case or none', async (point) => {
    const name = `Created until ${point} ${randomUUID()}`;
    const end = await act(point, ['create', name]);
    expect(end).toMatchObject({ signal: 'SIGKILL', stdout: 'acting\n' });
    await restart();
    await expectClean();
    const found = await listCases(cases, systemActor, { limit: 1, name });
    // Only after the last step was the case there for others to see.
    expect(found.total).toBe(point === 'case.create.activated' ? 1 : 0);
    if (found.total === 0) await createCase(cases, systemActor, { name });
    await expectClean();
  });

  it.each(pointsOf('case.delete.'))(
    'while it deletes a case, at %s, has deleted it after the next start',
    async (point) => {
      const made = await createCase(cases, systemActor, { name: `Deleted from ${point} ${randomUUID()}` });
      const end = await act(point, ['delete', String(made.caseId)]);
      expect(end.signal).toBe('SIGKILL');
      await restart();
      await expectClean();
      const found = await listCases(cases, systemActor, { limit: 1, name: made.name });
      expect(found.total).toBe(0);
    },
  );

  it.each(pointsOf('case-database.open.'))(
    'while it opens a case database, at %s, leaves one that can be used',
    async (point) => {
      const own = await openTestDatabases();
      const end = await spawnScript(script, {
        args: ['create', 'First'],
        env: { CASEBOUND_CRASH_AT: point, TEST_TARGET: JSON.stringify(own.database.target) },
      }).ended;
      expect(end.signal).toBe('SIGKILL');
      await own.databases.caseDatabases.settle();
      const made = await createCase(caseDependencies(own.databases), systemActor, { name: 'First' });
      expect(made.database).toBe(`${own.database.target.database}_cases_1`);
      expect(await own.databases.caseDatabases.list()).toHaveLength(1);
      await own.close();
    },
  );

  it('while it migrates cases leaves each case whole, and the next run does the rest', async () => {
    // Those that an earlier try made have been migrated, or are gone.
    for (let at = 0; at < 3; at += 1) await createCase(cases, systemActor, { name: `Migrated ${at} ${randomUUID()}` });
    const all = await listCases(cases, systemActor, { limit: 500 });
    const end = await act('migrate.case.applied', ['migrate'], { TEST_MIGRATIONS: '2' });
    expect(end.signal).toBe('SIGKILL');
    const migrating = { ...cases, caseMigrations: exampleMigrations(2) };
    const rest = await migrateCases(migrating);
    expect(rest).toBeGreaterThan(0);
    expect(rest).toBeLessThan(all.total);
    expect(await migrateCases(migrating)).toBe(0);
    for (const { caseId } of all.cases) {
      await test.databases.cases.withCase(caseId, systemActor, async (tx) =>
        tx.query('SELECT FROM example_1, example_2'),
      );
    }
    for (const { caseId } of all.cases) await deleteCase(cases, systemActor, caseId);
    await expectClean();
  });
});

describe('a process that is killed together with its embedded server', () => {
  it('starts again on its data folder with nothing half done', async () => {
    await using folder = await createTemporaryFolder();
    const env = { TEST_DATA_DIR: path.join(folder.path, 'data') };
    const run = async (action: readonly string[], crashAt: string): Promise<ScriptEnd> =>
      spawnScript(script, { args: action, env: { ...env, CASEBOUND_CRASH_AT: crashAt } }).ended;
    expect((await run(['create', 'Kept'], 'case.create.activated')).signal).toBe('SIGKILL');
    expect((await run(['create', 'Lost'], 'case.create.committed')).signal).toBe('SIGKILL');
    const end = await run(['create', 'Lost'], '');
    expect(end.stdout).toContain(`reconciled ${JSON.stringify({ ...nothingLeft, undone: 1 })}`);
    expect(end.stdout).toMatch(/created \d+\ndone/);
  }, 180_000);
});
