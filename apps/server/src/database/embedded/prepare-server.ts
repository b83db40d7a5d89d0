/**
 * What every embedded server has: the application's role, which may make databases and roles and is no superuser, and its
 * database. Done again at each start, so a start that was killed half-way is finished by the next.
 */
import pg from 'pg';
import type { ConnectionTarget } from './start-embedded.ts';

export const applicationRole = 'casebound';
export const applicationDatabase = 'casebound';

/** Makes role and database when they are missing, and sets the role's password to the data folder's. */
export async function prepareServer(superuserTarget: ConnectionTarget, applicationPassword: string): Promise<void> {
  const client = new pg.Client({
    ...superuserTarget,
    connectionTimeoutMillis: 10_000,
    application_name: 'casebound start',
  });
  client.on('error', () => undefined); // A broken connection also fails the query that waits on it.
  await client.connect();
  try {
    const { rows } = await client.query<{ role: boolean; database: boolean }>(
      `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS role,
              EXISTS (SELECT FROM pg_database WHERE datname = $2) AS database`,
      [applicationRole, applicationDatabase],
    );
    const found = rows[0];
    const role = pg.escapeIdentifier(applicationRole);
    if (found?.role !== true) await client.query(`CREATE ROLE ${role} LOGIN CREATEDB CREATEROLE`);
    await client.query(`ALTER ROLE ${role} PASSWORD ${pg.escapeLiteral(applicationPassword)}`);
    if (found?.database !== true) {
      await client.query(`CREATE DATABASE ${pg.escapeIdentifier(applicationDatabase)} OWNER ${role}`);
    }
    // Otherwise every case's role could enter it.
    await client.query('REVOKE CONNECT, TEMPORARY ON DATABASE postgres FROM PUBLIC');
  } finally {
    await client.end();
  }
}
