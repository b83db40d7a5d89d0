/** Is this a PostgreSQL that Casebound can work with? Asked once at start, and not again, for answers that name the remedy at once. */
import { CaseboundError } from '@casebound/contract';
import { sqlStateOf } from './classify-error.ts';
import type { Database } from './Database.ts';

const supportedMajors = [17, 18];

/** Errors: `database_unsupported`, `database_denied`, and those of connecting. */
export async function checkServer(database: Database, server: string): Promise<void> {
  const key = server === 'main' ? 'database.url' : `database.caseServers (${server})`;
  const found = await readServer(database, key);
  const major = Math.floor(found.version / 10_000);
  if (!supportedMajors.includes(major)) throw unsupported(key, String(major));
  if (found.recovering) {
    throw new CaseboundError('database_unsupported', `${key} leads to a read-only replica; name the writer.`);
  }
  if (!found.superuser && !found.createsRoles) {
    throw new CaseboundError(
      'database_denied',
      `The role of ${key} may not create roles, and each case gets roles of its own; run ALTER ROLE … CREATEROLE as an administrator.`,
    );
  }
}

interface FoundServer {
  readonly version: number;
  readonly recovering: boolean;
  readonly superuser: boolean;
  readonly createsRoles: boolean;
}

async function readServer(database: Database, key: string): Promise<FoundServer> {
  try {
    const { rows } = await database.transaction({ readOnly: true, retryOnConflict: false }, async (tx) =>
      tx.query<FoundServer>(
        `SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS recovering,
                rolsuper AS superuser, rolcreaterole AS "createsRoles"
         FROM pg_roles WHERE rolname = current_user`,
      ),
    );
    const row = rows[0];
    if (row === undefined) throw new CaseboundError('database_denied', `${key} leads to a session without a role.`);
    return row;
  } catch (error) {
    // Undefined object: `transaction_timeout`, which every transaction sets, came with version 17.
    if (sqlStateOf(error) === '42704') throw unsupported(key, '16 or older');
    throw error;
  }
}

function unsupported(key: string, version: string): CaseboundError {
  return new CaseboundError(
    'database_unsupported',
    `${key} leads to PostgreSQL ${version}; Casebound supports ${supportedMajors.join(' and ')}.`,
  );
}
