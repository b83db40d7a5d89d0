/** Where a bare record store is: its schema files, its database, the database schema that holds it. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { CaseboundError } from '@casebound/contract';
import { deriveModel, loadSchema, type Model } from '@casebound/records';
import { parseConnectionUrl } from '../../database/index.ts';
import { startEmbedded } from '../../database/embedded/index.ts';
import type { Log } from '../../platform/log/Port.ts';
import { openRecordDatabase, type OpenRecordDatabase } from './record-database.ts';

export interface RecordsSource {
  /** API schema files: one core project and its extensions. */
  readonly schemaFiles: readonly string[];
  /** PostgreSQL schema of the store. */
  readonly store: string;
  /** `postgres://...`; without it the embedded server of `dataDir` is started. */
  readonly databaseUrl?: string;
  readonly dataDir: string;
  readonly log?: Log;
}

const storeNameForm = /^[a-z_][a-z0-9_]{0,62}$/;

/** The name of a store as an SQL identifier. Throws `validation_failed` for a name that needs more than quotes. */
export const quoteStoreName = (store: string): string => {
  if (storeNameForm.test(store)) return `"${store}"`;
  throw new CaseboundError('validation_failed', 'The name of a store holds a-z, 0-9 and _ and begins with a letter.');
};

/** Reads and derives schema files. Throws `schema_invalid` naming the file that cannot be read. */
export const loadModel = async (files: readonly string[]): Promise<Model> => {
  const inputs = await Promise.all(
    files.map(async (file): Promise<unknown> => {
      try {
        return JSON.parse(await readFile(file, 'utf8'));
      } catch (error) {
        throw new CaseboundError('schema_invalid', `The API schema ${path.basename(file)} cannot be read as JSON.`, {
          cause: error,
        });
      }
    }),
  );
  return deriveModel(loadSchema(inputs));
};

export interface OpenedDatabase {
  readonly database: OpenRecordDatabase;
  readonly isEmbedded: boolean;
  close(): Promise<void>;
}

export const openDatabase = async (source: RecordsSource): Promise<OpenedDatabase> => {
  quoteStoreName(source.store);
  const settings = { maxConnections: 20, namedStatements: true, lockTimeoutMs: 10_000, statementTimeoutMs: 60_000 };
  if (source.databaseUrl !== undefined) {
    parseConnectionUrl(source.databaseUrl, '--database-url');
    const database = openRecordDatabase({ ...settings, connection: { connectionString: source.databaseUrl } });
    return { database, isEmbedded: false, close: async () => database.close() };
  }
  const server = await startEmbedded({
    dataDir: source.dataDir,
    command: 'casebound records',
    ...(source.log === undefined ? {} : { log: source.log }),
  });
  const { host, port, user, password, database: name } = server.target;
  const database = openRecordDatabase({ ...settings, connection: { host, port, user, password, database: name } });
  return {
    database,
    isEmbedded: true,
    close: async () => {
      await database.close();
      await server.stop();
    },
  };
};

export const withDatabase = async <T>(
  source: RecordsSource,
  fn: (opened: OpenedDatabase, model: Model) => Promise<T>,
): Promise<T> => {
  const model = await loadModel(source.schemaFiles);
  const opened = await openDatabase(source);
  try {
    return await fn(opened, model);
  } finally {
    await opened.close();
  }
};
