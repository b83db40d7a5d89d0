/**
 * Numbered SQL files and what was applied of them.
 *
 * 1. A file is applied once, in a transaction that also records it; a process that dies in it leaves nothing of it.
 * 2. Every process may migrate at start: each file's transaction takes the advisory lock and looks again.
 * 3. An applied file is never another one: a differing checksum stops the server, as does a database that is ahead of it.
 *
 * A file is called `NNNN_what_it_does.sql`. Each folder is a set with a name and numbers of its own, so packages bring theirs;
 * sets are applied in the order in which they are listed.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { CaseboundError } from '@casebound/contract';
import type { Database, OwnerTransaction, TransactionOptions } from './Database.ts';
import { quoteIdentifier } from './quote-identifier.ts';

/** A folder of numbered files. */
export interface MigrationFolder {
  /** Recorded with each file; never renamed. */
  readonly set: string;
  readonly folder: string;
}

export interface Migration {
  readonly set: string;
  readonly number: number;
  /** File name. */
  readonly name: string;
  readonly text: string;
  /** SHA-256 of the text with LF line ends, in hexadecimal. */
  readonly checksum: string;
}

export interface AppliedMigration {
  readonly set: string;
  readonly number: number;
  readonly name: string;
  readonly checksum: string;
}

/** Reads the files of all sets, in order. Errors: `internal` for a wrong name or a number used twice. */
export async function readMigrations(folders: readonly MigrationFolder[]): Promise<Migration[]> {
  const sets = await Promise.all(folders.map(readSet));
  return sets.flat();
}

async function readSet({ set, folder }: MigrationFolder): Promise<Migration[]> {
  const migrations: Migration[] = [];
  for (const name of await readdir(folder)) {
    const number = /^(\d{4})_[a-z0-9_]+\.sql$/.exec(name)?.[1];
    if (number === undefined) {
      throw new CaseboundError('internal', `${path.join(folder, name)} is not called NNNN_what_it_does.sql.`);
    }
    const text = (await readFile(path.join(folder, name), 'utf8')).replaceAll('\r\n', '\n');
    const checksum = createHash('sha256').update(text).digest('hex');
    migrations.push({ set, number: Number(number), name, text, checksum });
  }
  const sorted = migrations.toSorted((a, b) => a.number - b.number);
  for (const [index, migration] of sorted.entries()) {
    if (sorted[index + 1]?.number === migration.number) {
      throw new CaseboundError('internal', `Two migrations of ${folder} have the number of ${migration.name}.`);
    }
  }
  return sorted;
}

/**
 * Compares what a database has with the files.
 * @returns the files that are still to be applied.
 * Errors: `migration_drift` (names file and both checksums), `data_folder_too_new`.
 */
export function pendingMigrations(
  migrations: readonly Migration[],
  applied: readonly AppliedMigration[],
  where: string,
): Migration[] {
  const known = new Map(migrations.map((migration) => [identityOf(migration), migration]));
  for (const one of applied) {
    const migration = known.get(identityOf(one));
    const newest = migrations.findLast((other) => other.set === one.set)?.number ?? 0;
    if (migration === undefined && one.number > newest) {
      throw new CaseboundError(
        'data_folder_too_new',
        `${where} has the migration ${one.set}/${one.name}, and this version of Casebound has ${newest === 0 ? 'none of that set' : `none after ${String(newest).padStart(4, '0')}`}; run the version that wrote it.`,
      );
    }
    if (migration?.checksum !== one.checksum) {
      throw new CaseboundError(
        'migration_drift',
        `${where} has ${one.set}/${one.name} with the checksum ${one.checksum}, and this version of Casebound has ${migration === undefined ? 'no such file' : `${migration.name} with ${migration.checksum}`}.`,
      );
    }
  }
  const done = new Set(applied.map(identityOf));
  return migrations.filter((migration) => !done.has(identityOf(migration)));
}

function identityOf(migration: Pick<Migration, 'set' | 'number'>): string {
  return `${migration.set}/${migration.number}`;
}

/** Migrations may rebuild tables, and processes that start together wait for the first. */
export const migrationOptions: TransactionOptions = {
  lockTimeoutMs: 600_000,
  statementTimeoutMs: 3_600_000,
  transactionTimeoutMs: 7_200_000,
};

interface MigrateOptions {
  /** Schema that holds `schema_migration`. */
  readonly schema: string;
  /** For error messages: `the control database`. */
  readonly where: string;
}

/**
 * Brings a database up to date. @returns how many files were applied by this call.
 * Errors: `migration_drift`, `data_folder_too_new`, a `DatabaseError` of a faulty file.
 */
export async function migrate(
  database: Database,
  migrations: readonly Migration[],
  options: MigrateOptions,
): Promise<number> {
  for (let count = 0; ; count += 1) {
    const appliedOne = await database.transaction(migrationOptions, async (tx) => applyNext(tx, migrations, options));
    if (!appliedOne) return count;
  }
}

/**
 * The files that a database still lacks, without changing anything; all of them when it has never been migrated.
 * Errors: `migration_drift`, `data_folder_too_new`.
 */
export async function listPending(
  database: Database,
  migrations: readonly Migration[],
  options: MigrateOptions,
): Promise<Migration[]> {
  const applied = await database.transaction({ readOnly: true }, async (tx) => {
    const table = `${quoteIdentifier(options.schema)}.schema_migration`;
    const { rows: found } = await tx.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [table]);
    if (found[0]?.there !== true) return [];
    const { rows } = await tx.query<AppliedMigration>(`SELECT set, number, name, checksum FROM ${table}`);
    return rows;
  });
  return pendingMigrations(migrations, applied, options.where);
}

async function applyNext(
  tx: OwnerTransaction,
  migrations: readonly Migration[],
  options: MigrateOptions,
): Promise<boolean> {
  const schema = quoteIdentifier(options.schema);
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`casebound migrate ${options.schema}`]);
  await tx.script(`
    CREATE SCHEMA IF NOT EXISTS ${schema};
    CREATE TABLE IF NOT EXISTS ${schema}.schema_migration (
      set        text NOT NULL,
      number     integer NOT NULL,
      name       text NOT NULL,
      checksum   text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (set, number)
    );`);
  const { rows } = await tx.query<AppliedMigration>(
    `SELECT set, number, name, checksum FROM ${schema}.schema_migration ORDER BY set, number`,
  );
  const [next] = pendingMigrations(migrations, rows, options.where);
  if (next === undefined) return false;
  await tx.script(next.text);
  await tx.query(`INSERT INTO ${schema}.schema_migration (set, number, name, checksum) VALUES ($1, $2, $3, $4)`, [
    next.set,
    next.number,
    next.name,
    next.checksum,
  ]);
  return true;
}
