/**
 * Problems that staging finds, written in batches: a source that is wrong in every row has millions of them.
 *
 * - A COPY has the connection for itself, so problems wait until it pauses (`writeAll`); no more than `maxWaiting` and those of one batch of
 *   rows are held.
 */
import type { Transaction } from '../../../database/index.ts';
import { insertProblems, type RowProblem } from '../import-problem.ts';

export const maxWaiting = 5_000;

export class StageProblems {
  readonly #tx: Transaction;
  readonly #jobId: string;
  #waiting: RowProblem[] = [];

  constructor(tx: Transaction, jobId: string) {
    this.#tx = tx;
    this.#jobId = jobId;
  }

  add(found: RowProblem): void {
    this.#waiting.push(found);
  }

  get isDue(): boolean {
    return this.#waiting.length >= maxWaiting;
  }

  /** Writes what waits. Not while a COPY has the connection. */
  async write(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    await insertProblems(this.#tx, this.#jobId, 'staging', waiting);
  }
}
