/** Transactions that hold up others, for tests. */
import type { Database } from '../../../database/index.ts';

const tries = 300;
const pauseMs = 10;

/** Resolves when a transaction waits for the one of this server process, or after a while when none does. */
export const waitUntilBlocking = async (control: Database, pid: number): Promise<void> => {
  for (let tried = 0; tried < tries; tried += 1) {
    const { rowCount } = await control.transaction({ alongside: true }, async (tx) =>
      tx.query('SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))', [pid]),
    );
    if (rowCount > 0) return;
    await new Promise((resolve) => {
      setTimeout(resolve, pauseMs);
    });
  }
};
