/**
 * The bulk path: a stream of documents, written in chunks of thousands by the statements of single writes.
 *
 * - Same result as writing the rows one by one: rows that share an identity within a chunk fall into successive batches.
 * - A row that fails is reported and the others are written; when a batch fails as a whole it is halved until the failing rows
 *   stand alone. With `allOrNothing` the whole stream is one transaction.
 * - While the database works on a chunk, the next is parsed and validated. Memory is two chunks.
 */
import { CaseboundError } from '@casebound/contract';
import type { Claims } from '../auth/claim-set.ts';
import { maintainHierarchy } from '../auth/maintain-closure.ts';
import { sendStatements } from '../plan/send-statements.ts';
import type { Statement } from '../plan/write-sql.ts';
import { fillCacheStatement } from '../read/document-cache.ts';
import { retryReason, transactionWithRetry } from '../retry.ts';
import { type RecordTransaction, settleAll, sqlFailureOf } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import { mapWriteFailure } from '../write/map-failure.ts';
import type { ReferentialIds } from '../write/referential-ids.ts';
import { requireAllowed } from '../write/write-document.ts';
import { buildStatements } from '../write/write-statements.ts';
import { lookUpBatch } from './look-up-batch.ts';
import { newDocumentsOf } from './new-documents.ts';
import { type BatchGroup, type BatchPlan, planBatch, type PreparedRow, type RowOutcome } from './plan-batch.ts';
import { type BulkRow, type Chunk, chunksOf, cutAtRepeats } from './prepare-chunks.ts';

export type { BulkRow } from './prepare-chunks.ts';

export interface BulkOptions {
  readonly claims?: Claims | null;
  /** Documents per transaction. Default 2,000. */
  readonly chunkSize?: number;
  /**
   * The caller believes that none of the records is there, so their identities are not looked up first. A batch in which one is there after
   * all is written as without the belief: the store and the answers are the same. Not with `allOrNothing`.
   */
  readonly areNew?: boolean;
  /** One transaction for the stream; the first chunk with a failed row undoes everything. */
  readonly allOrNothing?: boolean;
  /** Called for every row, in stream order within a chunk. With `allOrNothing`, `created` rows are final only when the call returns. */
  readonly onRow?: (outcome: RowOutcome) => void;
}

export interface BulkSummary {
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly failed: number;
}

const hubLock = (ctx: StoreContext, { hubs }: BatchPlan): readonly Statement[] =>
  hubs.length === 0 ? [] : [ctx.writes.lockReferenced(hubs)];

interface BatchPart {
  readonly resource: { readonly endpoint: string };
  readonly statements: readonly Statement[];
}

const idsOf = ({ created, updated }: BatchGroup): readonly number[] =>
  updated.length === 0 ? created.documentIds : [...created.documentIds, ...updated.map((item) => item.documentId)];

const batchParts = (ctx: StoreContext, plan: BatchPlan, claims: Claims | null): readonly BatchPart[] => {
  const parts: BatchPart[] = [{ resource: { endpoint: '' }, statements: hubLock(ctx, plan) }];
  for (const group of plan.groups) {
    const { resource } = group.block;
    const ids = idsOf(group);
    const fresh = newDocumentsOf(ctx, group, plan.resolution);
    const statements: Statement[] = [
      ...buildStatements(ctx, resource, group.updated, plan.resolution, { skipLocks: true, fresh }),
      ...maintainHierarchy(ctx, resource, ids),
    ];
    parts.push({ resource, statements });
    const updated = group.updated.map((item) => item.documentId);
    for (const [action, part] of [
      ['create', group.created.documentIds],
      ['update', updated],
    ] as const) {
      const required = part.length === 0 ? null : requireAllowed(ctx, resource, action, claims, part);
      if (required !== null) statements.push(required);
    }
    if (ctx.cacheMode === 'on-write') statements.push(fillCacheStatement(ctx, resource, ids));
  }
  return parts;
};

interface BatchOptions {
  readonly claims: Claims | null;
  readonly areNew: boolean;
}

const runBatch = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  ids: ReferentialIds,
  rows: readonly PreparedRow[],
  { claims, areNew }: BatchOptions,
  commit: boolean,
): Promise<BatchPlan> => {
  let found = await lookUpBatch(ctx, tx, ids, rows, claims, areNew);
  let plan = planBatch(ids, rows, found);
  if (areNew && plan.outcomes.some(({ outcome }) => outcome === 'failed')) {
    // What it refers to may be there, though a row of the batch has its identity.
    found = await lookUpBatch(ctx, tx, ids, rows, claims, false);
    plan = planBatch(ids, rows, found);
  }
  const unread = [...found.values()].flatMap((part) => part.unread ?? []);
  const sent = batchParts(ctx, plan, claims).flatMap((part) => sendStatements(ctx, tx, part.resource, part.statements));
  if (commit && sent.length > 0) {
    ctx.crashPoint('records.bulk.before-commit');
    tx.sendCommit?.();
  }
  await settleAll([...unread, ...sent]);
  return plan;
};

/** Counts what became of rows; there is one outcome for each, in their order. */
const countOutcomes = (ctx: StoreContext, rows: readonly PreparedRow[], outcomes: readonly RowOutcome[]): void => {
  const counts = new Map<string, Map<RowOutcome['outcome'], number>>();
  for (const [at, { outcome }] of outcomes.entries()) {
    const resource = rows[at]?.block.resource.endpoint ?? '';
    const ofResource = counts.get(resource) ?? new Map<RowOutcome['outcome'], number>();
    counts.set(resource, ofResource);
    ofResource.set(outcome, (ofResource.get(outcome) ?? 0) + 1);
  }
  for (const [resource, ofResource] of counts)
    for (const [outcome, count] of ofResource) ctx.metrics.count('records_writes', { resource, outcome }, count);
};

const uniqueViolation = '23505';

/** Writes one batch in a transaction of its own; halves it when it fails for a reason that lies in a row. */
const writeBatch = async (
  ctx: StoreContext,
  ids: ReferentialIds,
  rows: readonly PreparedRow[],
  options: BatchOptions,
): Promise<readonly RowOutcome[]> => {
  try {
    const plan = await transactionWithRetry(ctx.database, ctx.retry, ctx.retryObserver, (tx, attempt) =>
      runBatch(ctx, tx, ids, rows, attempt === 1 ? options : { ...options, areNew: false }, true),
    );
    for (const group of plan.groups) ctx.afterCommit(group.block.resource, idsOf(group));
    ctx.crashPoint('records.bulk.after-commit');
    countOutcomes(ctx, rows, plan.outcomes);
    return plan.outcomes;
  } catch (error) {
    const [first] = rows;
    if (first === undefined) throw error;
    if (options.areNew && sqlFailureOf(error)?.sqlState === uniqueViolation)
      return writeBatch(ctx, ids, rows, { ...options, areNew: false });
    const mapped = mapWriteFailure(error, first.block.resource);
    if (!(mapped instanceof CaseboundError) || mapped.family !== 'permanent' || mapped.status >= 500) throw mapped;
    if (rows.length === 1) {
      const failed: RowOutcome = { index: first.index, outcome: 'failed', error: mapped };
      countOutcomes(ctx, rows, [failed]);
      return [failed];
    }
    const half = Math.ceil(rows.length / 2);
    return [
      ...(await writeBatch(ctx, ids, rows.slice(0, half), options)),
      ...(await writeBatch(ctx, ids, rows.slice(half), options)),
    ];
  }
};

class Tally {
  private readonly counts = { created: 0, updated: 0, unchanged: 0, failed: 0 };
  private readonly onRow: ((outcome: RowOutcome) => void) | undefined;

  constructor(onRow: ((outcome: RowOutcome) => void) | undefined) {
    this.onRow = onRow;
  }

  add(outcomes: readonly RowOutcome[]): void {
    for (const outcome of outcomes.toSorted((a, b) => a.index - b.index)) {
      this.counts[outcome.outcome] += 1;
      this.onRow?.(outcome);
    }
  }

  get summary(): BulkSummary {
    return { ...this.counts };
  }
}

const writeChunk = async (ctx: StoreContext, chunk: Chunk, options: BatchOptions): Promise<readonly RowOutcome[]> => {
  const outcomes: RowOutcome[] = [...chunk.failed];
  for (const [at, batch] of cutAtRepeats(chunk).entries()) {
    // What is repeated in a chunk is there by then.
    const areNew = options.areNew && at === 0;
    outcomes.push(...(await writeBatch(ctx, chunk.ids, batch, { ...options, areNew })));
  }
  return outcomes;
};

const writeAllOrNothing = async (
  ctx: StoreContext,
  chunks: AsyncGenerator<Chunk>,
  claims: Claims | null,
  tally: Tally,
): Promise<void> => {
  await ctx.database.transaction(async (tx) => {
    for await (const chunk of chunks) {
      const outcomes: RowOutcome[] = [...chunk.failed];
      for (const batch of cutAtRepeats(chunk))
        outcomes.push(...(await runBatch(ctx, tx, chunk.ids, batch, { claims, areNew: false }, false)).outcomes);
      tally.add(outcomes);
      const failed = outcomes.filter((outcome) => outcome.outcome === 'failed');
      const [first] = failed;
      if (first !== undefined && first.outcome === 'failed') {
        throw new CaseboundError(
          'bulk_rejected',
          `${failed.length} rows of a chunk failed, so nothing was written; row ${first.index}: ${first.error.message}`,
          {
            errors: failed
              .slice(0, 100)
              .flatMap((row) =>
                row.outcome === 'failed' ? [{ path: `[${row.index}]`, message: row.error.message }] : [],
              ),
          },
        );
      }
    }
    ctx.crashPoint('records.bulk.before-commit');
  });
};

/**
 * Writes a stream of documents.
 * @throws `bulk_rejected` with `allOrNothing` when a row fails; otherwise only what stops the stream (the database is gone, the
 *   stream itself fails). Rows that fail are reported by `onRow`.
 */
export const bulkWrite = async (
  ctx: StoreContext,
  rows: AsyncIterable<BulkRow> | Iterable<BulkRow>,
  options: BulkOptions = {},
): Promise<BulkSummary> => {
  const claims = options.claims ?? null;
  const tally = new Tally(options.onRow);
  const chunks = chunksOf(ctx, rows, options.chunkSize ?? 2_000);
  if (options.allOrNothing === true) {
    try {
      await writeAllOrNothing(ctx, chunks, claims, tally);
    } catch (error) {
      const [anyResource] = ctx.model.resources.values();
      // The stream was read once; only who sent it can send it again.
      const reason = retryReason(error, true);
      if (reason !== null)
        throw new CaseboundError(
          'conflict_retries_exhausted',
          `The transaction lost a race (${reason}); send it again.`,
          {
            retryAfterSeconds: 1,
            cause: error,
          },
        );
      throw anyResource === undefined ? error : mapWriteFailure(error, anyResource);
    }
    return tally.summary;
  }
  let writing: Promise<readonly RowOutcome[]> = Promise.resolve([]);
  for await (const chunk of chunks) {
    tally.add(await writing);
    writing = writeChunk(ctx, chunk, { claims, areNew: options.areNew === true });
    // Handled when it is awaited; until then it must not count as unhandled.
    writing.catch(() => undefined);
  }
  tally.add(await writing);
  return tally.summary;
};
