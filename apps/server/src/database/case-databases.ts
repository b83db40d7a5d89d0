/**
 * The databases that hold cases: which takes the next one, and how another is opened.
 *
 * 1. A case goes to the least filled open database. Its place is counted under that row's lock, so the cap is exact.
 * 2. A database is opened as a row (`creating`), a database, its contents, a row (`open`): each step can be done again, and
 *    whoever finds a row `creating` finishes it.
 * 3. Nobody but its owner and the roles of its cases can connect to a case database.
 */
import { CaseboundError } from '@casebound/contract';
import type { CrashPoint } from '../platform/crash-points/Port.ts';
import { caseDatabaseName, caseIdOfSchema, memberRole, wardenRole } from './case-names.ts';
import type { CaseDatabasesSettings } from './config.ts';
import { DatabaseError } from './classify-error.ts';
import type { Database, OwnerTransaction } from './Database.ts';
import { migrate, type Migration } from './migrations.ts';
import { quoteIdentifier } from './quote-identifier.ts';

export interface CaseDatabase {
  readonly id: number;
  readonly server: string;
  readonly databaseName: string;
}

export interface CaseDatabasesDependencies {
  readonly control: Database;
  readonly controlName: string;
  readonly settings: CaseDatabasesSettings;
  readonly migrations: readonly Migration[];
  readonly owner: (server: string, databaseName: string) => Database;
  /** Runs a statement outside of a transaction, on the server's own database. */
  readonly onServer: (server: string, text: string) => Promise<void>;
  readonly crashPoint: CrashPoint;
}

export interface CaseDatabases {
  /** Whether `take` would find a place now. Locks nothing, so another may be faster. */
  hasRoom(tx: OwnerTransaction): Promise<boolean>;
  /** Counts one more case into the least filled database. Undefined: all are full; `openNext`, then try again. */
  take(tx: OwnerTransaction): Promise<CaseDatabase | undefined>;
  /** Counts one case out again. */
  giveBack(tx: OwnerTransaction, id: number): Promise<void>;
  /** Opens another database unless one has room. Errors: `database_denied` when it may not be created. */
  openNext(): Promise<void>;
  /** Finishes databases whose opening was interrupted, and brings every open one up to date. */
  settle(): Promise<void>;
  /** Those that may hold cases. */
  list(): Promise<CaseDatabase[]>;
}

export function createCaseDatabases(dependencies: CaseDatabasesDependencies): CaseDatabases {
  const { control, controlName, settings, crashPoint } = dependencies;

  const list = async (states: readonly string[]): Promise<CaseDatabase[]> =>
    control.transaction({ readOnly: true }, async (tx) => {
      const { rows } = await tx.query<CaseDatabase>(
        `SELECT case_database_id AS id, server, database_name AS "databaseName"
         FROM core.case_database WHERE state = ANY ($1) ORDER BY case_database_id`,
        [states],
      );
      return rows;
    });

  /** Writes down what is to be opened. Undefined: another process opened one meanwhile. */
  const reserve = async (): Promise<CaseDatabase | undefined> =>
    control.transaction({}, async (tx) => {
      await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', ['casebound open case database']);
      const room = await tx.query(`SELECT FROM core.case_database WHERE state = 'open' AND case_count < $1`, [
        settings.casesPerDatabase,
      ]);
      if (room.rowCount > 0) return undefined;
      const { rows: known } = await tx.query<CaseDatabase & { state: string }>(
        `SELECT case_database_id AS id, server, database_name AS "databaseName", state FROM core.case_database`,
      );
      const unfinished = known.find((one) => one.state === 'creating');
      if (unfinished !== undefined) return unfinished;
      const isKnown = (server: string, name: string): boolean =>
        known.some((one) => one.server === server && one.databaseName === name);
      let next = settings.existing.find((one) => !isKnown(one.server, one.database));
      if (next === undefined) {
        if (!settings.create) {
          throw new CaseboundError(
            'overloaded',
            'Every database in database.cases.existing is full; add another there, set database.cases.create, or raise database.cases.casesPerDatabase.',
          );
        }
        let ordinal = 1;
        while (isKnown('main', caseDatabaseName(controlName, ordinal))) ordinal += 1;
        next = { server: 'main', database: caseDatabaseName(controlName, ordinal) };
      }
      const { rows } = await tx.query<{ id: number }>(
        `INSERT INTO core.case_database (server, database_name, state) VALUES ($1, $2, 'creating')
         RETURNING case_database_id AS id`,
        [next.server, next.database],
      );
      const id = rows[0]?.id;
      return id === undefined ? undefined : { id, server: next.server, databaseName: next.database };
    });

  const finish = async (database: CaseDatabase): Promise<void> => {
    const given = settings.existing.some(
      (one) => one.server === database.server && one.database === database.databaseName,
    );
    if (!given) await createDatabase(dependencies, database);
    crashPoint('case-database.open.created');
    const owner = dependencies.owner(database.server, database.databaseName);
    await prepare(owner, database);
    await migrate(owner, dependencies.migrations, {
      schema: 'casebound',
      where: `The database ${database.databaseName}`,
    });
    crashPoint('case-database.open.prepared');
    await control.transaction({}, async (tx) =>
      tx.query(`UPDATE core.case_database SET state = 'open' WHERE case_database_id = $1 AND state = 'creating'`, [
        database.id,
      ]),
    );
  };

  return {
    async hasRoom(tx) {
      const { rowCount } = await tx.query(
        `SELECT FROM core.case_database WHERE state = 'open' AND case_count < $1 LIMIT 1`,
        [settings.casesPerDatabase],
      );
      return rowCount > 0;
    },
    async take(tx) {
      const { rows } = await tx.query<CaseDatabase>(
        `UPDATE core.case_database SET case_count = case_count + 1
         WHERE case_database_id = (
           SELECT case_database_id FROM core.case_database WHERE state = 'open' AND case_count < $1
           ORDER BY case_count, case_database_id LIMIT 1 FOR UPDATE)
         RETURNING case_database_id AS id, server, database_name AS "databaseName"`,
        [settings.casesPerDatabase],
      );
      return rows[0];
    },
    async giveBack(tx, id) {
      await tx.query('UPDATE core.case_database SET case_count = case_count - 1 WHERE case_database_id = $1', [id]);
    },
    async openNext() {
      const reserved = await reserve();
      crashPoint('case-database.open.reserved');
      if (reserved !== undefined) await finish(reserved);
    },
    async settle() {
      for (const unfinished of await list(['creating'])) await finish(unfinished);
      for (const database of await list(['open', 'closed'])) {
        const owner = dependencies.owner(database.server, database.databaseName);
        await migrate(owner, dependencies.migrations, {
          schema: 'casebound',
          where: `The database ${database.databaseName}`,
        });
      }
    },
    list: async () => list(['open', 'closed']),
  };
}

async function createDatabase(dependencies: CaseDatabasesDependencies, database: CaseDatabase): Promise<void> {
  try {
    // template0: what an administrator put into template1 is no part of a case database.
    const name = quoteIdentifier(database.databaseName);
    await dependencies.onServer(database.server, `CREATE DATABASE ${name} TEMPLATE template0`);
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    // It was made before the crash, or another process makes it at this moment.
    if (error.sqlState === '42P04' || error.sqlState === '23505') return;
    if (error.sqlState !== '42501') throw error;
    throw new CaseboundError(
      'database_denied',
      `The role of database.url may not create the database ${database.databaseName}; grant it CREATEDB, or make databases for cases by hand and name them in database.cases.existing.`,
    );
  }
}

async function prepare(owner: Database, database: CaseDatabase): Promise<void> {
  await owner.transaction({}, async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', ['casebound prepare case database']);
    const { rows } = await tx.query<{ nspname: string }>('SELECT nspname FROM pg_namespace');
    const isOurs = rows.some((row) => row.nspname === 'casebound');
    const foreign = rows.find((row) => caseIdOfSchema(row.nspname) !== undefined);
    if (!isOurs && foreign !== undefined) {
      throw new CaseboundError(
        'config_invalid',
        `The database ${database.databaseName} already has a schema ${foreign.nspname} that is not of this installation; name an empty database in database.cases.existing.`,
      );
    }
    const [name, warden, members] = [
      database.databaseName,
      wardenRole(database.databaseName),
      memberRole(database.databaseName),
    ].map(quoteIdentifier);
    const { rows: found } = await tx.query('SELECT FROM pg_roles WHERE rolname = $1', [
      wardenRole(database.databaseName),
    ]);
    if (found.length === 0) {
      await tx.script(`
        CREATE ROLE ${warden} NOLOGIN CREATEROLE NOINHERIT;
        GRANT ${warden} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE;
        SET LOCAL ROLE ${warden};
        CREATE ROLE ${members} NOLOGIN;
        SET LOCAL ROLE NONE;`);
    }
    await tx.script(`
      REVOKE ALL ON DATABASE ${name} FROM PUBLIC;
      GRANT CONNECT, TEMPORARY ON DATABASE ${name} TO ${members};
      REVOKE ALL ON SCHEMA public FROM PUBLIC;
      CREATE SCHEMA IF NOT EXISTS casebound;`);
  });
}
