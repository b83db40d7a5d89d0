/**
 * An import that this worker holds: its row, its transactions, and what is told of it.
 *
 * - Whoever holds the newest fence works on it; a worker that was overtaken, or whose import was cancelled, commits nothing more.
 * - A worker works for a slice of time; then the message that carries the import on goes out with the last checkpoint, so that leases stay
 *   short and imports of many cases take turns.
 * - Events go out with what they tell of: progress at most once a second.
 */
import { randomUUID } from 'node:crypto';
import { eventCatalogue, parseEvent, type CaseId, type EventType } from '@casebound/contract';
import type { CaseTransaction, Transaction, TransactionOptions } from '../../database/index.ts';
import type { RunImportDependencies } from './run-import.ts';
import { sendRun, traceparentOf } from './send-run.ts';
import { findImport, type StoredImport, toImportJob, updateHeld } from './store.ts';

/** Another worker has the import, or it was cancelled. */
export class Overtaken extends Error {}
/** The slice is over and the rest was sent on. */
export class HandedOn extends Error {}

export const chunkOptions: TransactionOptions = {
  statementTimeoutMs: 300_000,
  transactionTimeoutMs: 600_000,
  retryOnConflict: false,
};

const defaultSliceMs = 60_000;

type State = StoredImport['state'];

interface EventFacts {
  readonly type: EventType;
  readonly status?: 'SUCCESS' | 'ERROR' | 'CANCELLED';
  readonly detail: Readonly<Record<string, unknown>>;
}

export class HeldImport {
  readonly parts: RunImportDependencies;
  readonly caseId: CaseId;
  readonly signal: AbortSignal;
  readonly #startedMs: number;
  #job: StoredImport;

  constructor(parts: RunImportDependencies, caseId: CaseId, job: StoredImport, signal: AbortSignal) {
    this.parts = parts;
    this.caseId = caseId;
    this.signal = signal;
    this.#job = job;
    this.#startedMs = performance.now();
  }

  get job(): StoredImport {
    return this.#job;
  }

  /** What was committed of the job. */
  became(changes: Partial<StoredImport>): void {
    this.#job = { ...this.#job, ...changes };
  }

  async transaction<T>(
    fn: (tx: CaseTransaction) => Promise<T>,
    options: TransactionOptions = chunkOptions,
  ): Promise<T> {
    return this.parts.sessions.withCase(this.caseId, this.#job.actor, fn, { ...options, signal: this.signal });
  }

  /** Changes the job's row while it is still ours. `$4` and on are `values`. */
  async advance(
    tx: Transaction,
    from: readonly State[],
    assignments: string,
    values: readonly unknown[] = [],
  ): Promise<void> {
    if (!(await updateHeld(tx, this.#job, from, assignments, values))) throw new Overtaken();
  }

  /** A transaction that commits while the import is still ours, and in that state, and not otherwise. */
  async ownTransaction<T>(state: State, fn: (tx: CaseTransaction) => Promise<T>): Promise<T> {
    return this.transaction(async (tx) => {
      const result = await fn(tx);
      await this.advance(tx, [state], 'fence = fence');
      return result;
    });
  }

  /** Whether the present slice of time is used up. */
  get isSliceOver(): boolean {
    return performance.now() - this.#startedMs > (this.parts.sliceMs ?? defaultSliceMs);
  }

  /** Sends the message that carries the import on, with the checkpoint of `tx`. */
  async handOn(tx: Transaction): Promise<void> {
    await sendRun(tx, this.parts.outbox, {
      jobId: this.#job.job_id,
      caseId: this.caseId,
      batchId: this.#job.batch_id,
    });
  }

  async publish(tx: Transaction, { type, status = 'SUCCESS', detail }: EventFacts): Promise<void> {
    const event = parseEvent({
      id: randomUUID(),
      source: 'import',
      jobId: this.#job.job_id,
      caseId: this.caseId,
      batchId: this.#job.batch_id,
      eventType: type,
      version: eventCatalogue[type].version,
      status,
      eventDetail: detail,
      timestamp: new Date().toISOString(),
      traceparent: traceparentOf(this.#job.job_id),
    });
    await this.parts.outbox.publish(tx, this.parts.topic, [event]);
  }

  /** Tells how far the import is, unless that was told within the last second. */
  async publishProgress(tx: Transaction): Promise<void> {
    const { rowCount } = await tx.query(
      `UPDATE import_job SET progress_at = clock_timestamp()
       WHERE job_id = $1 AND (progress_at IS NULL OR progress_at < clock_timestamp() - interval '1 second')`,
      [this.#job.job_id],
    );
    if (rowCount === 0) return;
    const stored = await findImport(tx, this.#job.job_id);
    if (stored === undefined) return;
    const { state, progress } = toImportJob(this.caseId, stored);
    await this.publish(tx, { type: 'IMPORT_PROGRESSED', detail: { stage: state, progress } });
  }
}
