/**
 * The roles of a case, and what they may do.
 *
 * 1. Work in a case signs in as the case's own login role. There is no way back: the session's user has no other role
 *    to become, so `RESET ROLE`, `SET ROLE`, `set_config('role', …)` and `SET SESSION AUTHORIZATION` lead nowhere.
 * 2. The login role owns nothing and is granted nothing itself. It is a member of `…_write` (or, when the case is archived,
 *    of `…_read`) and of the database's `…_members`, which may connect.
 * 3. Tables get their privileges when they are made, by default privileges of the schema; a later migration cannot forget them.
 * 4. All of it runs in one transaction with the making of the schema: roles are rows too.
 */
import type { CaseId } from '@casebound/contract';
import pg from 'pg';
import { caseRoles, caseSchema, memberRole, pairRole } from './case-names.ts';
import type { OwnerTransaction } from './Database.ts';
import { quoteIdentifier } from './quote-identifier.ts';
import { derivePassword, scramVerifier } from './scram-verifier.ts';

export interface CaseRoleContext {
  /** Name of the control database. */
  readonly control: string;
  /** 64 hexadecimal digits. */
  readonly caseRoleKey: string;
}

const attributes = 'NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT';

/** Makes schema and roles of a case, in the case's database. */
export async function createSchemaAndRoles(
  tx: OwnerTransaction,
  context: CaseRoleContext,
  databaseName: string,
  caseId: CaseId,
): Promise<void> {
  const roles = caseRoles(context.control, caseId);
  const [schema, login, read, write, members] = [
    caseSchema(caseId),
    roles.login,
    roles.read,
    roles.write,
    memberRole(databaseName),
  ].map(quoteIdentifier);
  await tx.script(`
    CREATE ROLE ${read} NOLOGIN ${attributes};
    CREATE ROLE ${write} NOLOGIN ${attributes} IN ROLE ${read};
    CREATE ROLE ${login} LOGIN ${attributes} PASSWORD ${verifierOf(context, roles.login)} IN ROLE ${write}, ${members};
    CREATE SCHEMA ${schema};
    GRANT USAGE ON SCHEMA ${schema} TO ${read};
    ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT SELECT ON TABLES TO ${read};
    ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT INSERT, UPDATE, DELETE ON TABLES TO ${write};
    ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT USAGE ON SEQUENCES TO ${write};
    SET LOCAL search_path = ${schema}, pg_temp;`);
}

/**
 * Removes what there is of a case: sessions, schema, roles. Done again, it does nothing. `DROP OWNED` takes what a session
 * could make outside of the schema (large objects).
 */
export async function dropSchemaAndRoles(tx: OwnerTransaction, control: string, caseId: CaseId): Promise<void> {
  const { login, read, write } = caseRoles(control, caseId);
  await dropRoles(tx, [...(await pairRolesOf(tx, control, caseId)), login], async () => {
    await tx.script(`DROP SCHEMA IF EXISTS ${quoteIdentifier(caseSchema(caseId))} CASCADE`);
  });
  await dropRoles(tx, [write, read], async () => undefined);
}

/** Shuts the case to everybody: no new sessions, and those there are end. */
export async function shutOut(tx: OwnerTransaction, control: string, caseId: CaseId): Promise<void> {
  const logins = [...(await pairRolesOf(tx, control, caseId)), caseRoles(control, caseId).login];
  for (const role of await existing(tx, logins)) {
    const name = quoteIdentifier(role);
    await tx.script(`ALTER ROLE ${name} NOLOGIN; GRANT ${name} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE`);
  }
  await tx.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY ($1) AND pid <> pg_backend_pid()`,
    [logins],
  );
}

/** Makes the case's login role what it has to be: after it was damaged, or the key changed, or a restore lost it. */
export async function repairRoles(
  tx: OwnerTransaction,
  context: CaseRoleContext,
  caseId: CaseId,
  archived: boolean,
): Promise<void> {
  const { login, read, write } = caseRoles(context.control, caseId);
  const name = quoteIdentifier(login);
  await tx.script(`
    ALTER ROLE ${name} LOGIN PASSWORD ${verifierOf(context, login)};
    ALTER ROLE ${name} RESET ALL;
    GRANT ${quoteIdentifier(archived ? read : write)} TO ${name};`);
}

/** An archived case can be read, not changed; the database sees to it. */
export async function setWritable(
  tx: OwnerTransaction,
  control: string,
  caseId: CaseId,
  writable: boolean,
): Promise<void> {
  const roles = caseRoles(control, caseId);
  const [login, read, write] = [roles.login, roles.read, roles.write].map(quoteIdentifier);
  const pairs = (await pairRolesOf(tx, control, caseId)).map(quoteIdentifier);
  await tx.script(`
    GRANT ${writable ? write : read} TO ${login};
    REVOKE ${writable ? read : write} FROM ${login};
    ${writable ? '' : pairs.map((pair) => `REVOKE ${write} FROM ${pair};`).join('\n')}`);
}

/** Makes the role of an exchange between two cases of one database, or renews it. */
export async function ensurePairRole(
  tx: OwnerTransaction,
  context: CaseRoleContext,
  databaseName: string,
  source: CaseId,
  destination: CaseId,
): Promise<void> {
  const role = pairRole(context.control, source, destination);
  const name = quoteIdentifier(role);
  // Two exchanges of one pair may begin at once.
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`casebound role ${role}`]);
  if ((await existing(tx, [role])).length === 0) await tx.script(`CREATE ROLE ${name} LOGIN ${attributes}`);
  await tx.script(`
    ALTER ROLE ${name} LOGIN PASSWORD ${verifierOf(context, role)};
    ALTER ROLE ${name} RESET ALL;
    GRANT ${[
      caseRoles(context.control, source).read,
      caseRoles(context.control, destination).write,
      memberRole(databaseName),
    ]
      .map(quoteIdentifier)
      .join(', ')} TO ${name};`);
}

/** Drops an exchange's role once it has no sessions to serve. */
export async function dropPairRole(
  tx: OwnerTransaction,
  control: string,
  source: CaseId,
  destination: CaseId,
): Promise<void> {
  await dropRoles(tx, [pairRole(control, source, destination)], async () => undefined);
}

function verifierOf(context: CaseRoleContext, role: string): string {
  return pg.escapeLiteral(scramVerifier(derivePassword(context.caseRoleKey, role)));
}

async function pairRolesOf(tx: OwnerTransaction, control: string, caseId: CaseId): Promise<string[]> {
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

async function existing(tx: OwnerTransaction, roles: readonly string[]): Promise<string[]> {
  const { rows } = await tx.query<{ rolname: string }>('SELECT rolname FROM pg_roles WHERE rolname = ANY ($1)', [
    roles,
  ]);
  return rows.map((row) => row.rolname);
}

async function dropRoles(tx: OwnerTransaction, roles: readonly string[], between: () => Promise<void>): Promise<void> {
  const found = (await existing(tx, roles)).map(quoteIdentifier);
  // The maker of a role may administer it, but owns its objects only as a member.
  for (const role of found) {
    await tx.script(`GRANT ${role} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE; DROP OWNED BY ${role}`);
  }
  await between();
  for (const role of found) await tx.script(`DROP ROLE ${role}`);
}
