/**
 * What SQL that runs within a case can reach, when it is not the SQL we wrote.
 *
 * Each attempt is made on the connection and in the transaction that `withCase` gives, as an injection would be. All of them
 * must be refused by PostgreSQL itself: there is no filter before it.
 */
import type { CaseId } from '@casebound/contract';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestDatabases, type TestDatabases } from '../../apps/server/src/database/testing/open-test-databases.ts';
import { createCase, type CasesDependencies } from '../../apps/server/src/features/cases/index.ts';
import { caseDependencies, systemActor } from '../../apps/server/src/features/cases/testing/case-dependencies.ts';

const secret = 'the other case keeps this to itself';

let test: TestDatabases;
let cases: CasesDependencies;
let mine: CaseId;
let other: CaseId;
let names: Readonly<Record<string, string>>;

beforeAll(async () => {
  test = await openTestDatabases();
  cases = caseDependencies(test.databases, {
    provisioners: [async (tx) => tx.script('CREATE TABLE exhibit (exhibit_id bigint, title text)')],
  });
  mine = (await createCase(cases, systemActor, { name: 'Mine' })).caseId;
  other = (await createCase(cases, systemActor, { name: 'Other' })).caseId;
  await test.databases.cases.withCase(other, systemActor, async (tx) =>
    tx.query('INSERT INTO exhibit VALUES (1, $1)', [secret]),
  );
  const control = test.database.target.database;
  names = {
    otherSchema: `case_${other}`,
    otherLogin: `"${control}_case_${other}"`,
    otherWrite: `"${control}_case_${other}_write"`,
    otherRead: `"${control}_case_${other}_read"`,
    control: `"${control}"`,
    superuser: `"${test.database.superuserTarget.user}"`,
    owner: `"${test.database.target.user}"`,
    otherLoginName: `${control}_case_${other}`,
    ownerName: test.database.target.user,
    superuserName: test.database.superuserTarget.user,
  };
});
afterAll(async () => test.close());

const fill = (text: string): string => text.replaceAll(/\{(\w+)\}/g, (_, name: string) => names[name] ?? '');

/** Statements, run one after another in one transaction of the case; the last is the theft. */
const attempts: readonly (readonly [string, ...string[]])[] = [
  ['a qualified name', 'SELECT title FROM {otherSchema}.exhibit'],
  ['RESET ROLE', 'RESET ROLE', 'SELECT title FROM {otherSchema}.exhibit'],
  ['SET ROLE NONE', 'SET ROLE NONE', 'SELECT title FROM {otherSchema}.exhibit'],
  ['SET ROLE to the login of the other case', 'SET ROLE {otherLogin}'],
  ['SET ROLE to the readers of the other case', 'SET ROLE {otherRead}'],
  ['SET ROLE to the writers of the other case', 'SET LOCAL ROLE {otherWrite}'],
  ['SET ROLE to the owner', 'SET ROLE {owner}'],
  ['SET ROLE to the superuser', 'SET ROLE {superuser}'],
  ['set_config on the role', `SELECT set_config('role', '{otherLoginName}', true)`],
  ['set_config on the session', `SELECT set_config('session_authorization', '{superuserName}', false)`],
  ['SET SESSION AUTHORIZATION', 'SET SESSION AUTHORIZATION {otherLogin}'],
  ['RESET SESSION AUTHORIZATION', 'RESET SESSION AUTHORIZATION', 'SELECT title FROM {otherSchema}.exhibit'],
  ['a DO block', `DO $$ BEGIN PERFORM title FROM {otherSchema}.exhibit; END $$`],
  ['a DO block that builds its SQL', `DO $$ BEGIN EXECUTE 'SET ROLE {otherLogin}'; END $$`],
  [
    'a function that defines its security',
    'CREATE FUNCTION pg_temp.f() RETURNS SETOF text SECURITY DEFINER LANGUAGE sql AS $$ SELECT title FROM {otherSchema}.exhibit $$',
    'SELECT pg_temp.f()',
  ],
  ['a function in its own schema', `CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'`],
  ['a table in its own schema', 'CREATE TABLE mine (x int)'],
  ['a schema', 'CREATE SCHEMA loot'],
  ['the public schema', 'CREATE TABLE public.loot (x int)'],
  ['the search path', 'SET LOCAL search_path = {otherSchema}', 'SELECT title FROM exhibit'],
  ['stacked statements', 'SELECT 1; SELECT title FROM {otherSchema}.exhibit'],
  ['COPY to the client', 'COPY {otherSchema}.exhibit TO STDOUT'],
  ['COPY to a program', `COPY (SELECT 1) TO PROGRAM 'cat'`],
  ['COPY from a program', 'CREATE TEMPORARY TABLE lines (line text)', `COPY lines FROM PROGRAM 'id'`],
  ['COPY from a file', 'CREATE TEMPORARY TABLE lines (line text)', `COPY lines FROM '/etc/passwd'`],
  ['pg_read_file', `SELECT pg_read_file('postgresql.conf')`],
  ['pg_ls_dir', `SELECT pg_ls_dir('.')`],
  ['lo_import', `SELECT lo_import('/etc/passwd')`],
  ['dblink', 'CREATE EXTENSION dblink'],
  ['a foreign data wrapper', 'CREATE EXTENSION postgres_fdw'],
  ['an untrusted language', `CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE c AS 'libc', 'getpid'`],
  ['a subscription', `CREATE SUBSCRIPTION s CONNECTION 'dbname={control}' PUBLICATION p WITH (connect = false)`],
  ['statistics of the other case', `SELECT stavalues1 FROM pg_statistic`],
  ['password verifiers', 'SELECT rolpassword FROM pg_authid'],
  ['a membership for itself', 'GRANT {otherRead} TO CURRENT_USER'],
  ['a privilege for itself', 'GRANT SELECT ON {otherSchema}.exhibit TO CURRENT_USER'],
  ['the role of the other case', `ALTER ROLE {otherLogin} PASSWORD 'known'`],
  ['a new role', 'CREATE ROLE accomplice LOGIN'],
  ['more rights for its own role', 'ALTER ROLE CURRENT_USER CREATEROLE'],
  ['a new owner', 'ALTER TABLE exhibit OWNER TO CURRENT_USER'],
  ['a rule on its own table', 'CREATE RULE r AS ON SELECT TO exhibit DO INSTEAD SELECT * FROM {otherSchema}.exhibit'],
  [
    'a trigger on its own table',
    'CREATE TRIGGER t BEFORE INSERT ON exhibit EXECUTE FUNCTION suppress_redundant_updates_trigger()',
  ],
  [
    'a view over the other case',
    'CREATE TEMPORARY VIEW v AS SELECT * FROM {otherSchema}.exhibit',
    'SELECT title FROM v',
  ],
  ['a foreign key to the other case', 'CREATE TEMPORARY TABLE spy (id bigint REFERENCES {otherSchema}.exhibit)'],
  ['TRUNCATE of the other case', 'TRUNCATE {otherSchema}.exhibit'],
  ['LOCK of the other case', 'LOCK TABLE {otherSchema}.exhibit'],
  ['the bookkeeping of the database', 'SELECT * FROM casebound.case_migration'],
  ['the end of the transaction first', 'COMMIT', 'RESET ALL', 'SELECT title FROM {otherSchema}.exhibit'],
  ['the server configuration', 'COMMIT', "ALTER SYSTEM SET log_statement = 'all'"],
  ['a preloaded library', `LOAD 'dblink'`],
  ['row security', 'SET LOCAL row_security = off', 'SELECT title FROM {otherSchema}.exhibit'],
  [
    'the end of other sessions',
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ownerName}' LIMIT 1`,
  ],
];

describe('SQL that was led astray within a case', () => {
  it.each(attempts)('is refused by the database: %s', async (_name, ...statements) => {
    const seen: unknown[] = [];
    const attempt = test.databases.cases.withCase(mine, systemActor, async (tx) => {
      for (const statement of statements) seen.push((await tx.query(fill(statement))).rows);
    });
    await expect(attempt).rejects.toThrow(/SQLSTATE (42501|42601|0LP01|42P01)/);
    expect(JSON.stringify(seen)).not.toContain(secret);
  });

  it('cannot even be connected to another database of the server', async () => {
    const stored = await test.databases.control.transaction({}, async (tx) =>
      tx.query<{ case_role_key: string }>('SELECT case_role_key FROM core.installation'),
    );
    expect(stored.rowCount).toBe(1);
    const { rows } = await test.databases.cases.withCase(mine, systemActor, async (tx) =>
      tx.query<{ datname: string; may: boolean }>(
        `SELECT datname, has_database_privilege(datname, 'CONNECT') AS may FROM pg_database WHERE datallowconn`,
      ),
    );
    const reachable = rows.filter((row) => row.may).map((row) => row.datname);
    expect(reachable.filter((name) => name.startsWith(test.database.target.database))).toEqual([
      `${test.database.target.database}_cases_1`,
    ]);
    expect(reachable).not.toContain('postgres');
  });

  it('sees no data of another case in what PostgreSQL shows of itself', async () => {
    await test.databases.cases.withCase(other, systemActor, async (tx) => tx.query(`SELECT '${secret}' AS running`));
    const shown = await test.databases.cases.withCase(mine, systemActor, async (tx) => [
      await tx.query('SELECT query FROM pg_stat_activity'),
      await tx.query('SELECT * FROM pg_stats'),
      await tx.query('SELECT * FROM pg_prepared_statements'),
      await tx.query('SELECT * FROM pg_cursors'),
    ]);
    expect(JSON.stringify(shown)).not.toContain(secret);
  });

  it('can lock itself out, and the next entry lets it in again', async () => {
    const damaged = (await createCase(cases, systemActor, { name: 'Damaged from within' })).caseId;
    await test.databases.cases.withCase(damaged, systemActor, async (tx) => {
      await tx.query(`ALTER ROLE CURRENT_USER PASSWORD 'changed'`);
    });
    const fresh = await test.openAnother();
    const { rows } = await fresh.cases.withCase(damaged, systemActor, async (tx) => tx.query('SELECT 1 AS in'));
    expect(rows).toEqual([{ in: 1 }]);
    await fresh.close();
  });

  it('leaves nothing in the session that leads the next user of the connection astray', async () => {
    const one = await test.openAnother({ pool: { ...poolOfOne } });
    await one.cases.withCase(mine, systemActor, async (tx) => {
      await tx.query(`SET search_path = pg_catalog`);
      await tx.query('CREATE TEMPORARY TABLE exhibit (exhibit_id bigint, title text)');
      await tx.query(`INSERT INTO pg_temp.exhibit VALUES (7, 'planted')`);
      await tx.query(`SET statement_timeout = 200`);
    });
    const { rows } = await one.cases.withCase(mine, systemActor, async (tx) =>
      tx.query(`SELECT title, pg_sleep(0.3) FROM exhibit WHERE title = 'planted'
                UNION ALL SELECT 'slept', pg_sleep(0.3)`),
    );
    expect(rows).toEqual([{ title: 'slept', pg_sleep: '' }]);
    await one.close();
  });
});

const poolOfOne = {
  maxConnections: 4,
  maxConnectionsPerCase: 1,
  idleMs: 10_000,
  acquireTimeoutMs: 5000,
  maxLifetimeMs: 60_000,
};

describe('an exchange', () => {
  it('reads its source, changes its destination, and reaches no third case', async () => {
    const destination = (await createCase(cases, systemActor, { name: 'Destination' })).caseId;
    const copied = await test.databases.cases.withTwoCases(other, destination, systemActor, async (tx) =>
      tx.query(`INSERT INTO exhibit SELECT * FROM "${tx.sourceSchema}".exhibit`),
    );
    expect(copied.rowCount).toBe(1);
    const { withTwoCases } = test.databases.cases;
    const refused = async (statement: string): Promise<void> => {
      await expect(
        withTwoCases(other, destination, systemActor, async (tx) => tx.query(statement)),
      ).rejects.toMatchObject({ sqlState: '42501' });
    };
    await refused(`INSERT INTO case_${other}.exhibit VALUES (2, 'x')`);
    await refused(`DELETE FROM case_${other}.exhibit`);
    await refused(`SELECT * FROM case_${mine}.exhibit`);
    await refused(`SET ROLE ${names['otherWrite'] ?? ''}`);
  });

  it('can be entered by nobody who has only one of its cases', async () => {
    const client = new pg.Client({ ...test.database.superuserTarget });
    await client.connect();
    const { rows } = await client.query<{ count: number }>(
      `SELECT count(*)::int FROM pg_auth_members JOIN pg_roles ON pg_roles.oid = roleid
       WHERE starts_with(rolname, $1) AND rolname LIKE '%\\_pair\\_%' AND member::regrole::text NOT LIKE '%\\_warden'`,
      [test.database.target.database],
    );
    await client.end();
    expect(rows).toEqual([{ count: 0 }]);
  });
});
