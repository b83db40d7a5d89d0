/**
 * Etags that a change of identity leaves to the background: those of direct referrers beyond the fan-out limit, never of identities.
 *
 * - From the commit of the change until its bump, a document shows a new identity under an old etag. While it waits here its cached
 *   JSON counts for nothing (`plan/read-sql.ts`), so a cache can be stale and never wrong.
 * - A bump takes its document out of the queue and gives it the new etag in one transaction; a crash leaves it in the queue.
 */
import type { Resource } from '../derive/model.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import { type RecordTransaction, settleAll } from '../session.ts';
import type { StoreContext } from '../store-context.ts';

/** One new etag for each document; rows are locked ascending first, because an UPDATE locks in the order of its plan. */
export const bumpEtags = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  documentIds: readonly number[],
): Promise<void> => {
  if (documentIds.length === 0) return;
  const list = [arrayLiteral(documentIds)];
  const document = ctx.writes.qualified('document');
  await settleAll([
    tx.query(
      `SELECT count(*) FROM (SELECT 1 FROM ${document} WHERE document_id = ANY($1::bigint[]) ORDER BY document_id FOR NO KEY UPDATE) AS locked`,
      list,
    ),
    tx.query(
      `UPDATE ${document} SET etag = etag + 1, last_modified_at = now() WHERE document_id = ANY($1::bigint[])`,
      list,
    ),
  ]);
};

/** Queues the bumps of referrers in the transaction of the change. */
export const deferBumps = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  changed: Resource,
  referrers: readonly number[],
): Promise<void> => {
  await tx.query(
    `INSERT INTO ${ctx.writes.qualified('etag_bump')} (document_id) SELECT unnest($1::bigint[]) ON CONFLICT (document_id) DO UPDATE SET queued_at = now()`,
    [arrayLiteral(referrers)],
  );
  ctx.metrics.count('records_bumps_deferred', { resource: changed.endpoint }, referrers.length);
};

/** Does up to `limit` of the waiting bumps, those that waited longest first; returns how many. */
export const applyDeferredBumps = async (ctx: StoreContext, limit = 5_000): Promise<number> => {
  const applied = await ctx.database.transaction(async (tx) => {
    const queue = ctx.writes.qualified('etag_bump');
    const { rows } = await tx.query(
      `DELETE FROM ${queue} WHERE document_id IN (SELECT document_id FROM ${queue} ORDER BY queued_at, document_id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING document_id`,
      [limit],
    );
    const list = rows.map((row) => Number(row['document_id'])).sort((a, b) => a - b);
    await bumpEtags(ctx, tx, list);
    return list.length;
  });
  if (applied > 0) ctx.metrics.count('records_bumps_applied', {}, applied);
  return applied;
};

export const countWaitingBumps = async (ctx: StoreContext): Promise<number> =>
  ctx.database.transaction(async (tx) => {
    const { rows } = await tx.query(`SELECT count(*) AS waiting FROM ${ctx.writes.qualified('etag_bump')}`);
    return Number(rows[0]?.['waiting']);
  });

export interface DeferredBumpJob {
  stop(): Promise<void>;
}

/** Does waiting bumps until stopped: batch after batch while there are any, then a look every `intervalMs`. */
export const startDeferredBumps = (
  ctx: StoreContext,
  options: { readonly intervalMs: number; readonly onFailure: (error: unknown) => void },
): DeferredBumpJob => {
  let timer: NodeJS.Timeout | null = null;
  const stop = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const drain = async (): Promise<void> => {
    try {
      for (let applied = 1; applied > 0 && !stop.signal.aborted;) applied = await applyDeferredBumps(ctx);
    } catch (error) {
      options.onFailure(error);
    }
  };
  const schedule = (): void => {
    timer = setTimeout(() => {
      running = drain().then(() => {
        if (!stop.signal.aborted) schedule();
      });
    }, options.intervalMs);
    timer.unref();
  };
  schedule();
  return {
    stop: async () => {
      stop.abort();
      if (timer !== null) clearTimeout(timer);
      await running;
    },
  };
};
