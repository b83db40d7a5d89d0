/** The index files that a thread has open: the ones last used stay, each with its prepared statements. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { CaseId } from '@casebound/contract';
import { prepareLayout } from './layout.ts';
import { migrateFirstLayout } from './migrate-first-layout.ts';
import { IndexError } from './index-error.ts';

export interface IndexFilesOptions {
  readonly root: string;
  readonly openFiles: number;
  readonly busyTimeoutMs: number;
}

export interface OpenFile {
  readonly database: DatabaseSync;
  readonly prepare: (text: string) => StatementSync;
}

const toUnavailable = (error: unknown): IndexError =>
  error instanceof IndexError
    ? error
    : new IndexError('search_index_unavailable', 'The file of a search index cannot be used.', { cause: error });

/** Every commit waits for the disk: whoever was told of a put may settle it elsewhere for good. */
const openDatabase = (file: string, busyTimeoutMs: number): DatabaseSync => {
  const database = new DatabaseSync(file, { timeout: busyTimeoutMs });
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    prepareLayout(database, migrateFirstLayout);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
};

export class IndexFiles {
  readonly #options: IndexFilesOptions;
  readonly #files = new Map<CaseId, OpenFile>();

  constructor(options: IndexFilesOptions) {
    this.#options = options;
  }

  /** Throws `search_index_unavailable` for whatever SQLite says. */
  read<T>(caseId: CaseId, work: (file: OpenFile) => T): T {
    try {
      return work(this.#open(caseId));
    } catch (error) {
      throw toUnavailable(error);
    }
  }

  /** One transaction: all of the work is done, or nothing. */
  change<T>(caseId: CaseId, work: (file: OpenFile) => T): T {
    return this.read(caseId, (file) => {
      const { database } = file;
      database.exec('BEGIN IMMEDIATE');
      try {
        const result = work(file);
        database.exec('COMMIT');
        return result;
      } catch (error) {
        if (database.isTransaction) database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  shut(caseId: CaseId): void {
    this.#files.get(caseId)?.database.close();
    this.#files.delete(caseId);
  }

  drop(caseId: CaseId): void {
    this.shut(caseId);
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${this.#pathOf(caseId)}${suffix}`, { force: true });
  }

  close(): void {
    for (const caseId of this.#files.keys()) this.shut(caseId);
  }

  #pathOf(caseId: CaseId): string {
    return path.join(this.#options.root, `case_${caseId}.sqlite`);
  }

  #open(caseId: CaseId): OpenFile {
    const known = this.#files.get(caseId);
    if (known !== undefined) {
      // Last used last.
      this.#files.delete(caseId);
      this.#files.set(caseId, known);
      return known;
    }
    const [oldest] = this.#files.keys();
    if (this.#files.size >= this.#options.openFiles && oldest !== undefined) this.shut(oldest);
    const database = openDatabase(this.#pathOf(caseId), this.#options.busyTimeoutMs);
    const statements = new Map<string, StatementSync>();
    const file: OpenFile = {
      database,
      prepare: (text) => {
        const found = statements.get(text) ?? database.prepare(text);
        statements.set(text, found);
        return found;
      },
    };
    this.#files.set(caseId, file);
    return file;
  }
}
