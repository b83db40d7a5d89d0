import { randomUUID } from 'node:crypto';
import { CaseId, hasCode } from '@casebound/contract';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { setWritable } from '../../database/index.ts';
import { openTestDatabases, type TestDatabases } from '../../database/testing/open-test-databases.ts';
import { archiveCase } from './archive-case.ts';
import { createCase } from './create-case.ts';
import { deleteCase } from './delete-case.ts';
import type { CasesDependencies } from './dependencies.ts';
import { getCase } from './get-case.ts';
import { countCases, listCases } from './list-cases.ts';
import { reconcileCases } from './reconcile-cases.ts';
import { renameCase } from './rename-case.ts';
import { restoreCase } from './restore-case.ts';
import { caseDependencies, systemActor } from './testing/case-dependencies.ts';

let test: TestDatabases;
let cases: CasesDependencies;
/** A name that no other try of the test has. */
const ownName = (name: string): string => `${name} ${randomUUID()}`;
const removedObjects: string[] = [];
const endedQueues: number[] = [];

beforeAll(async () => {
  test = await openTestDatabases();
  cases = caseDependencies(test.databases, {
    provisioners: [
      async (tx) => tx.script('CREATE TABLE exhibit (exhibit_id bigint GENERATED ALWAYS AS IDENTITY, title text)'),
    ],
    removeObjects: async (prefix) => void removedObjects.push(prefix),
    onCaseDeleted: [async (caseId) => void endedQueues.push(caseId)],
  });
});
afterAll(async () => test.close());

/** What a superuser finds of a case. */
async function traces(caseId: number, database: string): Promise<string[]> {
  const client = new pg.Client({ ...test.database.superuserTarget, database });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      `SELECT nspname AS name FROM pg_namespace WHERE nspname = $1
       UNION ALL SELECT rolname FROM pg_roles WHERE rolname ~ $2 ORDER BY name`,
      [`case_${caseId}`, `^${test.database.target.database}_(case_${caseId}(_read|_write)?|pair_.*)$`],
    );
    return rows.map((row) => row.name);
  } finally {
    await client.end();
  }
}

describe('a case', () => {
  it('is created with schema, roles and what the parts keep in it', async () => {
    const made = await createCase(cases, systemActor, { name: 'Smith v. Jones' });
    expect(made).toMatchObject({ caseId: 1, name: 'Smith v. Jones', state: 'active', schema: `case_${made.caseId}` });
    const titles = await test.databases.cases.withCase(made.caseId, systemActor, async (tx) => {
      await tx.query('INSERT INTO exhibit (title) VALUES ($1)', ['A']);
      return tx.query('SELECT title FROM exhibit');
    });
    expect(titles.rows).toEqual([{ title: 'A' }]);
    expect(await traces(made.caseId, made.database)).toHaveLength(4);
    expect(await getCase(cases, systemActor, made.caseId)).toEqual(made);
  });

  it.each([
    ['Äpfel gegen Birnen', 'äpfel GEGEN birnen'],
    ['Straße', 'STRASSE'],
    ['Caf\u00e9', 'cafe\u0301'],
  ])('has a name of its own, whatever its case or composition: %s', async (first, second) => {
    await createCase(cases, systemActor, { name: first });
    await expect(createCase(cases, systemActor, { name: second })).rejects.toMatchObject({ code: 'case_name_taken' });
  });

  it('is made once when two ask at once for one name', async () => {
    const other = await test.openAnother();
    const there = caseDependencies(other);
    const name = ownName('Contested');
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, async (_, index) => createCase(index % 2 === 0 ? cases : there, systemActor, { name })),
    );
    await other.close();
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'rejected') expect(hasCode(result.reason, 'case_name_taken')).toBe(true);
    }
  });

  it('is not made at all when a part of it fails', async () => {
    const before = await countCases(cases);
    const failing = { ...cases, provisioners: [async () => Promise.reject(new Error('as arranged'))] };
    await expect(createCase(failing, systemActor, { name: 'Doomed' })).rejects.toThrow('as arranged');
    expect(await countCases(cases)).toEqual(before);
    const made = await createCase(cases, systemActor, { name: 'Doomed' });
    expect(made.state).toBe('active');
  });

  it('is renamed, also to another spelling of its own name, not to the name of another', async () => {
    const one = await createCase(cases, systemActor, { name: 'Rename one' });
    await createCase(cases, systemActor, { name: 'Rename two' });
    expect((await renameCase(cases, systemActor, one.caseId, { name: 'RENAME One' })).name).toBe('RENAME One');
    await expect(renameCase(cases, systemActor, one.caseId, { name: 'rename TWO' })).rejects.toMatchObject({
      code: 'case_name_taken',
    });
    await expect(renameCase(cases, systemActor, CaseId.parse(999_999), { name: 'x' })).rejects.toMatchObject({
      code: 'case_not_found',
    });
  });

  it('can be read and not be changed while it is archived, and the database sees to that', async () => {
    const made = await createCase(cases, systemActor, { name: ownName('To the archive') });
    const { withCase, forget } = test.databases.cases;
    const write = async (): Promise<unknown> =>
      withCase(made.caseId, systemActor, async (tx) => tx.query(`INSERT INTO exhibit (title) VALUES ('x')`));
    await write();
    const stale = await test.openAnother();
    await stale.cases.withCase(made.caseId, systemActor, async (tx) => tx.query('SELECT 1'));
    expect((await archiveCase(cases, systemActor, made.caseId)).state).toBe('archived');
    expect((await archiveCase(cases, systemActor, made.caseId)).state).toBe('archived');
    await expect(write()).rejects.toMatchObject({ code: 'case_archived' });
    // Another process still takes the case for an active one.
    await expect(
      stale.cases.withCase(made.caseId, systemActor, async (tx) =>
        tx.query(`INSERT INTO exhibit (title) VALUES ('x')`),
      ),
    ).rejects.toMatchObject({ code: 'case_archived' });
    await stale.close();
    const read = await withCase(made.caseId, systemActor, async (tx) => tx.query('SELECT * FROM exhibit'), {
      readOnly: true,
    });
    expect(read.rowCount).toBe(1);
    await expect(renameCase(cases, systemActor, made.caseId, { name: 'y' })).rejects.toMatchObject({
      code: 'case_archived',
    });
    expect((await restoreCase(cases, systemActor, made.caseId)).state).toBe('active');
    forget(made.caseId);
    await write();
  });

  it('leaves nothing when it is deleted, though a session in it is open', async () => {
    const name = ownName('To be deleted');
    const made = await createCase(cases, systemActor, { name });
    const other = await test.openAnother();
    await other.cases.withCase(made.caseId, systemActor, async (tx) => {
      await tx.query(`SELECT lo_from_bytea(0, 'left outside of the schema')`);
      await tx.query(`CREATE TEMPORARY TABLE mine AS SELECT 1`);
    });
    const target = await createCase(cases, systemActor, { name: ownName('Its partner') });
    await other.cases.withTwoCases(made.caseId, target.caseId, systemActor, async (tx) => tx.query('SELECT 1'));
    const client = new pg.Client({ ...test.database.superuserTarget, database: made.database });
    await client.connect();
    const { rows: before } = await client.query('SELECT count(*) AS n FROM pg_largeobject_metadata');
    await deleteCase(cases, systemActor, made.caseId);
    const { rows: after } = await client.query('SELECT count(*) AS n FROM pg_largeobject_metadata');
    await client.end();
    expect([before, after]).toEqual([[{ n: '1' }], [{ n: '0' }]]);
    expect(await traces(made.caseId, made.database)).toEqual([]);
    expect(removedObjects).toContain(`case_${made.caseId}/`);
    expect(endedQueues).toContain(made.caseId);
    await expect(getCase(cases, systemActor, made.caseId)).rejects.toMatchObject({ code: 'case_not_found' });
    await expect(
      other.cases.withCase(made.caseId, systemActor, async (tx) => tx.query('SELECT 1')),
    ).rejects.toMatchObject({ code: 'case_not_found' });
    await other.close();
    await expect(deleteCase(cases, systemActor, made.caseId)).rejects.toMatchObject({ code: 'case_not_found' });
    expect((await createCase(cases, systemActor, { name })).caseId).toBeGreaterThan(made.caseId);
  });

  it('stays marked when its objects cannot be removed, and a later reconciliation finishes', async () => {
    const made = await createCase(cases, systemActor, { name: ownName('Stuck') });
    const broken = { ...cases, removeObjects: async () => Promise.reject(new Error('the store is away')) };
    await expect(deleteCase(broken, systemActor, made.caseId)).rejects.toThrow('the store is away');
    expect((await getCase(cases, systemActor, made.caseId)).state).toBe('deleting');
    await expect(
      test.databases.cases.withCase(made.caseId, systemActor, async (tx) => tx.query('SELECT 1')),
    ).rejects.toMatchObject({ code: 'case_busy' });
    expect(await reconcileCases(cases)).toMatchObject({ deleted: 1, undone: 0, orphanSchemas: 0, orphanRoles: 0 });
    expect(await traces(made.caseId, made.database)).toEqual([]);
  });

  it('is listed by pages, by state and by name', async () => {
    const all = await listCases(cases, systemActor, { limit: 500 });
    const pages = [];
    let after: CaseId | undefined;
    for (;;) {
      const page = await listCases(cases, systemActor, { limit: 2, after });
      pages.push(...page.cases);
      expect(page.total).toBe(all.total);
      if (page.next === null) break;
      after = page.next;
    }
    expect(pages).toEqual(all.cases);
    expect((await listCases(cases, systemActor, { limit: 5, name: 'smith V. JONES' })).cases).toHaveLength(1);
    expect((await listCases(cases, systemActor, { limit: 5, state: 'archived' })).total).toBe(0);
  });
});

describe('reconcileCases', () => {
  it('removes orphans and reports what is lost, and leaves the rest alone', async () => {
    const healthy = await createCase(cases, systemActor, { name: ownName('Healthy') });
    const damaged = await createCase(cases, systemActor, { name: ownName('Damaged') });
    const client = new pg.Client({ ...test.database.superuserTarget, database: healthy.database });
    await client.connect();
    const control = test.database.target.database;
    await client.query(
      `SET ROLE casebound; CREATE SCHEMA case_4711; CREATE TABLE case_4711.x (); SET ROLE "${healthy.database}_warden"; CREATE ROLE "${control}_case_4712_read"`,
    );
    await client.query('RESET ROLE');
    await client.query(`DROP SCHEMA case_${damaged.caseId} CASCADE`);
    await client.end();
    expect(await reconcileCases(cases)).toEqual({
      undone: 0,
      deleted: 0,
      orphanSchemas: 1,
      orphanRoles: 1,
      mendedRoles: 0,
      unsettled: 0,
      damaged: [damaged.caseId],
    });
    expect(await traces(4711, healthy.database)).toEqual([]);
    expect(await traces(4712, healthy.database)).toEqual([]);
    expect(await traces(healthy.caseId, healthy.database)).toHaveLength(4);
    await deleteCase(cases, systemActor, damaged.caseId);
    expect(await reconcileCases(cases)).toMatchObject({ orphanSchemas: 0, orphanRoles: 0, damaged: [] });
  });

  it('mends what a crash between the two commits of an archiving or a restoring left', async () => {
    const [active, archived] = [
      await createCase(cases, systemActor, { name: ownName('Role archived, row active') }),
      await createCase(cases, systemActor, { name: ownName('Role active, row archived') }),
    ];
    await archiveCase(cases, systemActor, archived.caseId);
    const control = test.database.target.database;
    for (const [{ caseId, database: databaseName }, writable] of [
      [active, false],
      [archived, true],
    ] as const) {
      await test.databases
        .owner('main', databaseName)
        .transaction({}, async (tx) => setWritable(tx, { control, databaseName, caseId }, writable));
    }
    expect(await reconcileCases(cases)).toMatchObject({ mendedRoles: 2 });
    expect(await reconcileCases(cases)).toMatchObject({ mendedRoles: 0 });
    await test.databases.cases.withCase(active.caseId, systemActor, async (tx) =>
      tx.query(`INSERT INTO exhibit (title) VALUES ('x')`),
    );
  });

  it('lets a case in whose roles a restore did not bring', async () => {
    const restored = await createCase(cases, systemActor, { name: ownName('Restored') });
    const { withCase } = test.databases.cases;
    await withCase(restored.caseId, systemActor, async (tx) => tx.query(`INSERT INTO exhibit (title) VALUES ('kept')`));
    const login = `${test.database.target.database}_case_${restored.caseId}`;
    const client = new pg.Client({ ...test.database.superuserTarget, database: restored.database });
    await client.connect();
    await client.query(`DROP OWNED BY "${login}", "${login}_read", "${login}_write"`);
    await client.query(`DROP ROLE "${login}", "${login}_read", "${login}_write"`);
    await client.end();
    const fresh = await test.openAnother();
    const seen = await fresh.cases.withCase(restored.caseId, systemActor, async (tx) => {
      await tx.query(`INSERT INTO exhibit (title) VALUES ('new')`);
      return tx.query('SELECT title FROM exhibit ORDER BY title');
    });
    await fresh.close();
    expect(seen.rows).toEqual([{ title: 'kept' }, { title: 'new' }]);
    await deleteCase(cases, systemActor, restored.caseId);
  });

  it('leaves a creation alone that is running in another process', async () => {
    let reconciled: unknown;
    const slow = caseDependencies(test.databases, {
      provisioners: [
        async () => {
          const other = await test.openAnother();
          reconciled = await reconcileCases(caseDependencies(other));
          await other.close();
        },
      ],
    });
    const made = await createCase(slow, systemActor, { name: ownName('Slow to make') });
    expect(reconciled).toMatchObject({ undone: 0 });
    expect((await getCase(cases, systemActor, made.caseId)).state).toBe('active');
  });
});

describe('placement', () => {
  it('opens the next database at the cap, exactly, also under concurrency', async () => {
    const small = await openTestDatabases({ cases: { casesPerDatabase: 3, create: true, existing: [] } });
    const dependencies = caseDependencies(small.databases);
    const made = await Promise.all(
      Array.from({ length: 7 }, async (_, index) => createCase(dependencies, systemActor, { name: `Case ${index}` })),
    );
    const counts = new Map<string, number>();
    for (const one of made) counts.set(one.database, (counts.get(one.database) ?? 0) + 1);
    expect([...counts.values()].toSorted((a, b) => a - b)).toEqual([1, 3, 3]);
    const [first] = made;
    if (first !== undefined) await deleteCase(dependencies, systemActor, first.caseId);
    const next = await createCase(dependencies, systemActor, { name: 'Again' });
    expect(counts.has(next.database)).toBe(true);
    await small.close();
  });
});
