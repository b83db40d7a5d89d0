/**
 * The roles of a case, and what they may do.
 *
 * 1. Work in a case signs in as the case's own login role. There is no way back: the session's user has no other role
 *    to become, so `RESET ROLE`, `SET ROLE`, `set_config('role', …)` and `SET SESSION AUTHORIZATION` lead nowhere.
 * 2. The login role owns nothing and is granted nothing itself. It is a member of `…_write` (or, when the case is archived,
 *    of `…_read`) and of the database's `…_members`, which may connect.
 * 3. Tables get their privileges when they are made, by default privileges of the schema; a later migration cannot forget them.
 * 4. The roles of a database are made and administered by its warden, which the owner becomes for that moment. PostgreSQL looks
 *    through every role that the current one administers at each change of a role: the owner would have those of all
 *    databases, and making a case would grow slower with every case of the server (ADR 0024).
 * 5. All of it runs in one transaction with the making of the schema: roles are rows too.
 */
import type { CaseId } from '@casebound/contract';
import pg from 'pg';
import { caseRoles, caseSchema, memberRole, pairRole, wardenRole } from './case-names.ts';
import type { OwnerTransaction, Queryable } from './Database.ts';
import { quoteIdentifier } from './quote-identifier.ts';
import { derivePassword, scramVerifier } from './scram-verifier.ts';

export interface CaseRoleContext {
  /** Name of the control database. */
  readonly control: string;
  /** 64 hexadecimal digits. */
  readonly caseRoleKey: string;
}

const attributes = 'NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT';

/** Where a case lies. */
export interface CasePlace {
  /** Name of the control database. */
  readonly control: string;
  readonly databaseName: string;
  readonly caseId: CaseId;
}

/** Makes schema and roles of a case, in the case's database. The search path is left at the schema. */
export async function createSchemaAndRoles(tx: OwnerTransaction, place: CasePlace, caseRoleKey: string): Promise<void> {
  const schema = quoteIdentifier(caseSchema(place.caseId));
  await tx.script(`
    ${beWarden(place)}
    ${createRoles(place, caseRoleKey)}
    SET LOCAL ROLE NONE;
    CREATE SCHEMA ${schema};
    ${grantSchema(place)}
    SET LOCAL search_path = ${schema}, pg_temp;`);
}

/**
 * Removes what there is of a case: schema, roles, and what a session could make outside of the schema (large objects). Done
 * again, it does nothing.
 */
export async function dropSchemaAndRoles(tx: OwnerTransaction, place: CasePlace): Promise<void> {
  const { login, read, write } = caseRoles(place.control, place.caseId);
  const logins = await existing(tx, [...(await pairRolesOf(tx, place)), login]);
  const groups = await existing(tx, [write, read]);
  await tx.script(`
    ${beWarden(place)}
    ${logins.map(dropOwned).join('\n')}
    SET LOCAL ROLE NONE;
    DROP SCHEMA IF EXISTS ${quoteIdentifier(caseSchema(place.caseId))} CASCADE;
    ${beWarden(place)}
    ${[...logins, ...groups].map((role) => `DROP ROLE ${quoteIdentifier(role)};`).join('\n')}
    SET LOCAL ROLE NONE;`);
}

/** Shuts the case to everybody: no new sessions, and those there are end. */
export async function shutOut(tx: OwnerTransaction, place: CasePlace): Promise<void> {
  const logins = [...(await pairRolesOf(tx, place)), caseRoles(place.control, place.caseId).login];
  const found = (await existing(tx, logins)).map(quoteIdentifier);
  await tx.script(beWarden(place));
  await tx.script(found.map((name) => `ALTER ROLE ${name} NOLOGIN; ${becomeMember(name)}`).join('\n'));
  await tx.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY ($1) AND pid <> pg_backend_pid()`,
    [logins],
  );
  await tx.script('SET LOCAL ROLE NONE');
}

/**
 * Makes the case's roles what they have to be: after the login was damaged, the key changed, or a restore brought the
 * database without its roles.
 */
export async function repairRoles(
  tx: OwnerTransaction,
  place: CasePlace,
  caseRoleKey: string,
  archived: boolean,
): Promise<void> {
  const { login, read, write } = caseRoles(place.control, place.caseId);
  // Several processes may find the damage at once.
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`casebound role ${login}`]);
  const found = await existing(tx, [login, read, write]);
  const schema = quoteIdentifier(caseSchema(place.caseId));
  if (found.length < 3) {
    await tx.script(`
      ${beWarden(place)}
      ${found.map((role) => `${dropOwned(role)} DROP ROLE ${quoteIdentifier(role)};`).join('\n')}
      ${createRoles(place, caseRoleKey)}
      SET LOCAL ROLE NONE;
      ${grantSchema(place)}
      GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${quoteIdentifier(read)};
      GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${quoteIdentifier(write)};
      GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${schema} TO ${quoteIdentifier(write)};`);
  }
  await tx.script(`
    ${beWarden(place)}
    ${renewLogin(login, caseRoleKey)}
    SET LOCAL ROLE NONE;`);
  await setWritable(tx, place, !archived);
}

/** An archived case can be read, not changed; the database sees to it. */
export async function setWritable(tx: OwnerTransaction, place: CasePlace, writable: boolean): Promise<void> {
  const roles = caseRoles(place.control, place.caseId);
  const [login, read, write] = [roles.login, roles.read, roles.write].map(quoteIdentifier);
  const pairs = (await pairRolesOf(tx, place)).map(quoteIdentifier);
  await tx.script(`
    ${beWarden(place)}
    GRANT ${writable ? write : read} TO ${login};
    REVOKE ${writable ? read : write} FROM ${login};
    ${writable ? '' : pairs.map((pair) => `REVOKE ${write} FROM ${pair};`).join('\n')}
    SET LOCAL ROLE NONE;`);
}

/** Makes the role of an exchange from `source` to the case of the place, both of one database, or renews it. */
export async function ensurePairRole(
  tx: OwnerTransaction,
  place: CasePlace,
  caseRoleKey: string,
  source: CaseId,
): Promise<void> {
  const role = pairRole(place.control, source, place.caseId);
  const name = quoteIdentifier(role);
  // Two exchanges of one pair may begin at once.
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`casebound role ${role}`]);
  const isThere = (await existing(tx, [role])).length > 0;
  const groups = [
    caseRoles(place.control, source).read,
    caseRoles(place.control, place.caseId).write,
    memberRole(place.databaseName),
  ];
  await tx.script(`
    ${beWarden(place)}
    ${isThere ? '' : `CREATE ROLE ${name} LOGIN ${attributes};`}
    ${renewLogin(role, caseRoleKey)}
    GRANT ${groups.map(quoteIdentifier).join(', ')} TO ${name};
    SET LOCAL ROLE NONE;`);
}

/** Drops the role of an exchange from `source` to the case of the place. */
export async function dropPairRole(tx: OwnerTransaction, place: CasePlace, source: CaseId): Promise<void> {
  const found = await existing(tx, [pairRole(place.control, source, place.caseId)]);
  await tx.script(`
    ${beWarden(place)}
    ${found.map((role) => `${dropOwned(role)} DROP ROLE ${quoteIdentifier(role)};`).join('\n')}
    SET LOCAL ROLE NONE;`);
}

/** The roles that a database's warden administers. */
export async function listAdministered(tx: Queryable, databaseName: string): Promise<string[]> {
  const { rows } = await tx.query<{ rolname: string }>(
    `SELECT DISTINCT granted.rolname
     FROM pg_auth_members AS membership
     JOIN pg_roles AS granted ON granted.oid = membership.roleid
     JOIN pg_roles AS warden ON warden.oid = membership.member
     WHERE warden.rolname = $1 AND membership.admin_option`,
    [wardenRole(databaseName)],
  );
  return rows.map((row) => row.rolname);
}

function beWarden(place: CasePlace): string {
  return `SET LOCAL ROLE ${quoteIdentifier(wardenRole(place.databaseName))};`;
}

function createRoles(place: CasePlace, caseRoleKey: string): string {
  const roles = caseRoles(place.control, place.caseId);
  const [login, read, write] = [roles.login, roles.read, roles.write].map(quoteIdentifier);
  const members = quoteIdentifier(memberRole(place.databaseName));
  return `
    CREATE ROLE ${read} NOLOGIN ${attributes};
    CREATE ROLE ${write} NOLOGIN ${attributes} IN ROLE ${read};
    CREATE ROLE ${login} LOGIN ${attributes} PASSWORD ${verifierOf(caseRoleKey, roles.login)} IN ROLE ${write}, ${members};`;
}

function grantSchema(place: CasePlace): string {
  const roles = caseRoles(place.control, place.caseId);
  const [schema, read, write] = [caseSchema(place.caseId), roles.read, roles.write].map(quoteIdentifier);
  return `
    GRANT USAGE ON SCHEMA ${schema} TO ${read};
    ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT SELECT ON TABLES TO ${read};
    ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT INSERT, UPDATE, DELETE ON TABLES TO ${write};
    ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT USAGE ON SEQUENCES TO ${write};`;
}

function renewLogin(role: string, caseRoleKey: string): string {
  const name = quoteIdentifier(role);
  return `ALTER ROLE ${name} LOGIN PASSWORD ${verifierOf(caseRoleKey, role)}; ALTER ROLE ${name} RESET ALL;`;
}

/** The maker of a role may administer it, but has its rights only as a member. */
function becomeMember(name: string): string {
  return `GRANT ${name} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE;`;
}

function dropOwned(role: string): string {
  const name = quoteIdentifier(role);
  return `${becomeMember(name)} DROP OWNED BY ${name};`;
}

function verifierOf(caseRoleKey: string, role: string): string {
  return pg.escapeLiteral(scramVerifier(derivePassword(caseRoleKey, role)));
}

async function pairRolesOf(tx: Queryable, { control, caseId }: CasePlace): Promise<string[]> {
  const { rows } = await tx.query<{ rolname: string }>(
    `SELECT member.rolname
     FROM pg_auth_members AS membership
     JOIN pg_roles AS granted ON granted.oid = membership.roleid
     JOIN pg_roles AS member ON member.oid = membership.member
     WHERE granted.rolname = ANY ($1) AND starts_with(member.rolname, $2)`,
    [[caseRoles(control, caseId).read, caseRoles(control, caseId).write], `${control}_pair_`],
  );
  return [...new Set(rows.map((row) => row.rolname))];
}

async function existing(tx: Queryable, roles: readonly string[]): Promise<string[]> {
  const { rows } = await tx.query<{ rolname: string }>('SELECT rolname FROM pg_roles WHERE rolname = ANY ($1)', [
    roles,
  ]);
  return rows.map((row) => row.rolname);
}
