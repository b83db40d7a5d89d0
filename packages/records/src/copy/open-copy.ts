/**
 * A copy job: its row in the destination, its selection, its value maps, and what all steps share.
 *
 * - One job per key and destination. Opened again with the same plan it goes on where it was; with another plan it is refused.
 * - States: `selecting` -> `mapping` -> `mapped` -> `copying` -> `copied`; `removing` -> `removed` after a rollback. Each step says
 *   what it needs and may be repeated.
 */
import type { Readable, Writable } from 'node:stream';
import { CaseboundError } from '@casebound/contract';
import { quoteIdentifier } from '../derive/naming.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import { transactionWithRetry } from '../retry.ts';
import type { RecordTransaction } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import type { CopyPlan } from './compile-plan.ts';
import { copyTablesDdl } from './copy-tables.ts';
import { CopySql } from './copy-sql.ts';

/** A transaction that can stream: `COPY ... FROM STDIN` and `COPY ... TO STDOUT`, as the server's transactions do. */
export interface StreamingTransaction extends RecordTransaction {
  copyFrom(text: string): Writable;
  copyTo(text: string): Readable;
}

export interface StreamingDatabase {
  transaction<T>(fn: (tx: StreamingTransaction) => Promise<T>): Promise<T>;
}

/** Given when the source lies in another database: its rows are streamed into staging tables of the destination first. */
export interface CopyAcross {
  /** Reads the source; its transactions must be READ ONLY-free (a temporary table is made) and may be REPEATABLE READ. */
  readonly source: StreamingDatabase;
  /** Writes the destination and may create tables in its schema. */
  readonly destination: StreamingDatabase;
}

export interface CopyProgress {
  /** Records that the job inserts, as far as it is known. */
  readonly total: number;
  readonly done: number;
}

export interface OpenCopyOptions {
  readonly plan: CopyPlan;
  /** The source store. Within one database its schema must be readable by `destination.database`. */
  readonly source: StoreContext;
  readonly destination: StoreContext;
  /** Names the job within the destination: the same key is the same job. */
  readonly key: string;
  /** What provenance says of the source: an id of the store that lasts. */
  readonly sourceStore: string;
  readonly across?: CopyAcross;
  /** Chunks at once, each on a connection of its own. Default 8. */
  readonly parallel?: number;
  /** Records per transaction. Default 5,000. */
  readonly chunkSize?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CopyProgress) => void;
}

export type CopyState =
  | 'selecting'
  | 'mapping'
  | 'mapped'
  | 'copying'
  | 'copied'
  | 'removing'
  | 'removed'
  | 'forgotten';

/** An open job. Made by `openCopy`; hand it to the steps. */
export interface RecordCopy {
  readonly plan: CopyPlan;
  readonly source: StoreContext;
  readonly destination: StoreContext;
  readonly across: CopyAcross | null;
  readonly key: string;
  readonly jobId: number;
  readonly sql: CopySql;
  readonly parallel: number;
  readonly chunkSize: number;
  readonly signal: AbortSignal | null;
  readonly onProgress: (progress: CopyProgress) => void;
}

const states: readonly CopyState[] = [
  'selecting',
  'mapping',
  'mapped',
  'copying',
  'copied',
  'removing',
  'removed',
  'forgotten',
];

export const parseState = (value: unknown): CopyState => {
  const found = states.find((state) => state === value);
  if (found === undefined) throw new CaseboundError('internal', `A copy job has the unknown state ${String(value)}.`);
  return found;
};

/** Runs a transaction on the destination, repeated when it loses a race. */
export const inDestination = async <T>(copy: RecordCopy, fn: (tx: RecordTransaction) => Promise<T>): Promise<T> =>
  transactionWithRetry(copy.destination.database, copy.destination.retry, copy.destination.retryObserver, fn);

/**
 * Runs a statement that joins the map to itself by columns without an index. A role that does not own the map cannot analyse it, and
 * from the estimates of a table that was never analysed the planner could choose to read all of it for each of its rows.
 */
export const queryByHash = async (
  tx: RecordTransaction,
  text: string,
  values: readonly unknown[],
): ReturnType<RecordTransaction['query']> => {
  await tx.query('SET LOCAL enable_nestloop = off');
  const result = await tx.query(text, values);
  await tx.query('SET LOCAL enable_nestloop = on');
  return result;
};

const ensureTables = async (tx: RecordTransaction, schema: string): Promise<void> => {
  const name = `${quoteIdentifier(schema)}.record_copy_job`;
  const present = async (): Promise<boolean> => {
    const { rows } = await tx.query('SELECT to_regclass($1) IS NOT NULL AS present', [name]);
    return rows[0]?.['present'] === true;
  };
  if (await present()) return;
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`records copy ${schema}`]);
  if (await present()) return;
  for (const statement of copyTablesDdl(schema)) await tx.query(statement);
};

/**
 * Opens a job, which is made when there is none of its key.
 * @throws `copy_state_invalid` when the key was used with another plan or another source
 */
export const openCopy = async (options: OpenCopyOptions): Promise<RecordCopy> => {
  const { plan, source, destination, key, sourceStore } = options;
  if (
    plan.source.fingerprint !== source.model.fingerprint ||
    plan.destination.fingerprint !== destination.model.fingerprint
  )
    throw new CaseboundError('copy_state_invalid', 'The plan was compiled for other schemas than the stores have.');
  const job = `${quoteIdentifier(destination.schema)}.record_copy_job`;
  const row = await transactionWithRetry(
    destination.database,
    destination.retry,
    destination.retryObserver,
    async (tx) => {
      await ensureTables(tx, destination.schema);
      await tx.query(
        `INSERT INTO ${job} (job_key, source_store, plan_fingerprint, state) VALUES ($1, $2, $3, 'selecting') ON CONFLICT (job_key) DO NOTHING`,
        [key, sourceStore, plan.fingerprint],
      );
      const { rows } = await tx.query(
        `SELECT job_id, source_store, plan_fingerprint, pg_get_serial_sequence($2, 'document_id') AS id_sequence, EXISTS (SELECT FROM pg_proc WHERE proname = 'uuidv7' AND pronargs = 0) AS has_uuid_v7 FROM ${job} WHERE job_key = $1`,
        [key, `${quoteIdentifier(destination.schema)}.document`],
      );
      return rows[0];
    },
  );
  if (row === undefined || row['source_store'] !== sourceStore || row['plan_fingerprint'] !== plan.fingerprint)
    throw new CaseboundError(
      'copy_state_invalid',
      `The copy ${key.slice(0, 100)} was begun with another plan or from another store; use a key of its own for another copy.`,
    );
  const jobId = Number(row['job_id']);
  const facts = { idSequence: String(row['id_sequence']), hasUuidV7: row['has_uuid_v7'] === true };
  return {
    plan,
    source,
    destination,
    across: options.across ?? null,
    key,
    jobId,
    sql: new CopySql(plan, source, destination, facts, options.across === undefined ? null : jobId),
    parallel: Math.max(1, options.parallel ?? 8),
    chunkSize: Math.max(1, options.chunkSize ?? 5_000),
    signal: options.signal ?? null,
    onProgress: options.onProgress ?? (() => undefined),
  };
};

/** State of the job now. */
export const copyState = async (copy: RecordCopy, tx?: RecordTransaction): Promise<CopyState> => {
  const read = async (on: RecordTransaction): Promise<CopyState> => {
    const { rows } = await on.query(`SELECT state FROM ${copy.sql.own('record_copy_job')} WHERE job_id = $1`, [
      copy.jobId,
    ]);
    return parseState(rows[0]?.['state']);
  };
  return tx === undefined ? inDestination(copy, read) : read(tx);
};

/** Locks the job's row and moves it to a state, when it is in one of `from`; returns the state it was in. */
export const moveTo = async (
  copy: RecordCopy,
  tx: RecordTransaction,
  from: readonly CopyState[],
  to: CopyState,
): Promise<CopyState> => {
  const table = copy.sql.own('record_copy_job');
  const { rows } = await tx.query(`SELECT state FROM ${table} WHERE job_id = $1 FOR UPDATE`, [copy.jobId]);
  const state = parseState(rows[0]?.['state']);
  if (!from.includes(state)) {
    throw new CaseboundError(
      'copy_state_invalid',
      `The copy ${copy.key.slice(0, 100)} is ${state}; this step needs it to be ${from.join(' or ')}.`,
    );
  }
  if (state !== to)
    await tx.query(`UPDATE ${table} SET state = $2, updated_at = now() WHERE job_id = $1`, [copy.jobId, to]);
  return state;
};

const idsPerStatement = 50_000;

/** Adds records to the selection by their document ids in the source. May be called again with the same ids. */
export const selectRecords = async (
  copy: RecordCopy,
  documentIds: Iterable<number> | AsyncIterable<number>,
): Promise<void> => {
  let batch: number[] = [];
  const flush = async (): Promise<void> => {
    const ids = batch;
    batch = [];
    if (ids.length === 0) return;
    await inDestination(copy, async (tx) => {
      await moveTo(copy, tx, ['selecting'], 'selecting');
      await tx.query(
        `INSERT INTO ${copy.sql.own('record_copy_selection')} (job_id, source_document_id) SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING`,
        [copy.jobId, arrayLiteral(ids)],
      );
    });
  };
  for await (const id of documentIds) {
    batch.push(id);
    if (batch.length >= idsPerStatement) await flush();
  }
  await flush();
};

/**
 * Adds what a statement over the source finds: one column, document ids. Within one database it runs where it is written; else its
 * rows are fetched.
 */
export const selectRecordsBy = async (copy: RecordCopy, text: string, values: readonly unknown[]): Promise<void> => {
  if (copy.across !== null) {
    const { rows } = await copy.source.database.transaction((tx) => tx.query(text, values));
    await selectRecords(
      copy,
      rows.map((row) => Number(Object.values(row)[0])),
    );
    return;
  }
  await inDestination(copy, async (tx) => {
    await moveTo(copy, tx, ['selecting'], 'selecting');
    await tx.query(
      `INSERT INTO ${copy.sql.own('record_copy_selection')} (job_id, source_document_id) SELECT ${String(copy.jobId)}, s.id FROM (${text}) AS s(id) ON CONFLICT DO NOTHING`,
      values,
    );
  });
};

/** Sets a value map of the job: what hooks look up by `valueMap`. Replaces the map of that name; texts must differ. */
export const setValueMap = async (
  copy: RecordCopy,
  name: string,
  entries: Iterable<readonly [from: string, to: string]> | AsyncIterable<readonly [from: string, to: string]>,
): Promise<void> => {
  const table = copy.sql.own('record_copy_value');
  await inDestination(copy, async (tx) => {
    await moveTo(copy, tx, ['selecting'], 'selecting');
    await tx.query(`DELETE FROM ${table} WHERE job_id = $1 AND map_name = $2`, [copy.jobId, name]);
  });
  let batch: (readonly [string, string])[] = [];
  const flush = async (): Promise<void> => {
    const part = batch;
    batch = [];
    if (part.length === 0) return;
    await inDestination(copy, async (tx) => {
      await moveTo(copy, tx, ['selecting'], 'selecting');
      await tx.query(
        `INSERT INTO ${table} (job_id, map_name, old_value, new_value) SELECT $1, $2, * FROM unnest($3::text[], $4::text[])`,
        [copy.jobId, name, arrayLiteral(part.map(([from]) => from)), arrayLiteral(part.map(([, to]) => to))],
      );
    });
  };
  for await (const entry of entries) {
    batch.push(entry);
    if (batch.length >= idsPerStatement) await flush();
  }
  await flush();
};
