/**
 * Sends the statements of a write without waiting for each other, and counts what they did.
 *
 * - The time of a statement is what passes between the answer of the one before and its own: on a connection that pipelines, the
 *   server has it in hand for that long.
 * - Counts are of statements that succeeded; a transaction that is repeated counts again what it does again.
 */
import type { RecordTransaction } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import type { Statement, Tally } from './write-sql.ts';

const note = (
  { metrics }: Pick<StoreContext, 'metrics'>,
  tally: Tally,
  resource: string,
  rows: number,
  seconds: number,
): void => {
  switch (tally.kind) {
    case 'lock':
      metrics.count('records_locked_rows', { mode: 'shared' }, tally.asked);
      metrics.observe('records_lock_seconds', { mode: 'shared' }, seconds);
      return;
    case 'edges-inserted':
      metrics.count('records_edges_written', { resource }, tally.asked);
      metrics.count('records_edges_inserted', { resource }, rows);
      return;
    case 'edges-deleted':
      metrics.count('records_edges_deleted', { resource }, rows);
      return;
    case 'rebuilds':
      metrics.count('records_rebuilds', { resource }, rows);
      metrics.observe('records_rebuild_seconds', { resource }, seconds);
  }
};

/** Sends statements of one resource; each promise settles with its own statement. */
export const sendStatements = (
  ctx: Pick<StoreContext, 'metrics'>,
  tx: RecordTransaction,
  resource: { readonly endpoint: string },
  statements: readonly Statement[],
): readonly Promise<unknown>[] => {
  let answered = performance.now();
  return statements.map(async (statement) => {
    const { rowCount } = await tx.query(statement.text, statement.values);
    const now = performance.now();
    if (statement.tally !== undefined)
      note(ctx, statement.tally, resource.endpoint, rowCount ?? 0, (now - answered) / 1000);
    answered = now;
  });
};
