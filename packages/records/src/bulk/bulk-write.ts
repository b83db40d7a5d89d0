/**
 * The bulk path: a stream of documents, written in chunks of thousands by the statements of single writes.
 *
 * - Same result as writing the rows one by one: rows that share an identity within a chunk fall into successive batches.
 * - A row that fails is reported and the others are written; when a batch fails as a whole it is halved until the failing rows
 *   stand alone. With `allOrNothing` the whole stream is one transaction.
 * - While the database works on a chunk, the next is parsed and validated. Memory is two chunks.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CaseboundError } from '@casebound/contract';
import type { Claims } from '../auth/claim-set.ts';
import { maintainHierarchy } from '../auth/maintain-closure.ts';
import { rowPredicate } from '../auth/row-predicate.ts';
import type { Resource } from '../derive/model.ts';
import { sendStatements } from '../plan/send-statements.ts';
import type { Statement } from '../plan/write-sql.ts';
import { fillCacheStatement } from '../read/document-cache.ts';
import { retryReason, transactionWithRetry } from '../retry.ts';
import { type RecordTransaction, settleAll } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import { ReferentialIds } from '../write/flatten-document.ts';
import { type LookUp, lookUp } from '../write/look-up.ts';
import { mapWriteFailure } from '../write/map-failure.ts';
import { type JsonValue, parseJson } from '../write/parse-json.ts';
import { invalidDocument, tryPrepare } from '../write/prepare-document.ts';
import { requireAllowed } from '../write/write-document.ts';
import { buildStatements } from '../write/write-statements.ts';
import { type BatchPlan, planBatch, type PreparedRow, type RowOutcome } from './plan-batch.ts';

/** One row of a bulk write: a document, or its JSON text; or what is wrong with a row that could not be read. */
export type BulkRow =
  | { readonly resource: Resource; readonly document: JsonValue | { readonly text: string } }
  | { readonly unreadable: CaseboundError };

export interface BulkOptions {
  readonly claims?: Claims | null;
  /** Documents per transaction. Default 2,000. */
  readonly chunkSize?: number;
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

const isText = (document: JsonValue | { readonly text: string }): document is { readonly text: string } =>
  typeof document === 'object' &&
  document !== null &&
  !Array.isArray(document) &&
  typeof document['text'] === 'string' &&
  Object.keys(document).length === 1;

const prepareRow = (ctx: StoreContext, row: BulkRow, index: number, ids: ReferentialIds): PreparedRow | RowOutcome => {
  if ('unreadable' in row) return { index, outcome: 'failed', error: row.unreadable };
  try {
    const value = isText(row.document) ? parseJson(row.document.text, ctx.limits.json) : row.document;
    const prepared = tryPrepare(ctx, row.resource, value, ids);
    if (prepared.ok) return { index, flat: prepared.flat };
    return { index, outcome: 'failed', error: invalidDocument(row.resource, prepared.errors) };
  } catch (error) {
    if (error instanceof CaseboundError) return { index, outcome: 'failed', error };
    throw error;
  }
};

/** Cuts rows where an identity repeats: each batch then names every identity once, and batches follow each other in order. */
const cutAtRepeats = (rows: readonly PreparedRow[]): readonly (readonly PreparedRow[])[] => {
  const batches: PreparedRow[][] = [[]];
  let taken = new Set<string>();
  for (const row of rows) {
    const own = [row.flat.referentialId, ...(row.flat.aliasId === null ? [] : [row.flat.aliasId])];
    if (own.some((id) => taken.has(id))) {
      batches.push([]);
      taken = new Set();
    }
    for (const id of own) taken.add(id);
    batches.at(-1)?.push(row);
  }
  return batches.filter((batch) => batch.length > 0);
};

const lookUpBatch = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  rows: readonly PreparedRow[],
  claims: Claims | null,
): Promise<Map<Resource, LookUp>> => {
  const byResource = Map.groupBy(rows, (row) => row.flat.resource);
  // What a row of another resource of the batch has is looked up with that row; where claims count, each resource asks for itself.
  const owners = new Map<string, Resource>();
  if (claims === null) for (const { flat } of rows) owners.set(flat.referentialId, flat.resource);
  const wanted = (resource: Resource, group: readonly PreparedRow[]): ReadonlySet<string> => {
    const ids = new Set<string>();
    for (const { flat } of group) {
      ids.add(flat.referentialId);
      if (flat.aliasId !== null) ids.add(flat.aliasId);
      for (const { referentialId: id } of flat.references)
        if (!ids.has(id) && (owners.get(id) ?? resource) === resource) ids.add(id);
    }
    return ids;
  };
  const parts = await settleAll(
    [...byResource].map(async ([resource, group]): Promise<readonly [Resource, LookUp]> => [
      resource,
      await lookUp(ctx, tx, {
        resource,
        referentialIds: wanted(resource, group),
        find: { by: 'referentialId', keys: group.map((row) => row.flat.referentialId) },
        newIds: group.length,
        allowed: rowPredicate(ctx, resource, 'update', claims, 3),
        claims,
      }),
    ]),
  );
  return new Map(parts);
};

const hubLock = (ctx: StoreContext, plan: BatchPlan): readonly Statement[] => {
  const own = new Set(plan.groups.flatMap((group) => group.items.map((item) => item.documentId)));
  const hubs = new Set<number>();
  for (const group of plan.groups) {
    for (const item of group.items) {
      for (const reference of item.flat.references) {
        const id = plan.resolution.get(reference.referentialId);
        if (reference.kind === 'reference' && id !== undefined && !own.has(id)) hubs.add(id);
      }
    }
  }
  return hubs.size === 0 ? [] : [ctx.writes.lockReferenced([...hubs].sort((a, b) => a - b))];
};

interface BatchPart {
  readonly resource: { readonly endpoint: string };
  readonly statements: readonly Statement[];
}

const batchParts = (ctx: StoreContext, plan: BatchPlan, claims: Claims | null): readonly BatchPart[] => {
  const parts: BatchPart[] = [{ resource: { endpoint: '' }, statements: hubLock(ctx, plan) }];
  for (const { resource, items } of plan.groups) {
    const ids = items.map((item) => item.documentId);
    const statements: Statement[] = [];
    parts.push({ resource, statements });
    statements.push(
      ...buildStatements(ctx, resource, items, plan.resolution, { skipLocks: true }),
      ...maintainHierarchy(ctx, resource, ids),
    );
    for (const action of ['create', 'update'] as const) {
      const part = items
        .filter((item) => (item.existing === null) === (action === 'create'))
        .map((item) => item.documentId);
      const required = part.length === 0 ? null : requireAllowed(ctx, resource, action, claims, part);
      if (required !== null) statements.push(required);
    }
    if (ctx.cacheMode === 'on-write') statements.push(fillCacheStatement(ctx, resource, ids));
  }
  return parts;
};

const runBatch = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  rows: readonly PreparedRow[],
  claims: Claims | null,
  commit: boolean,
): Promise<BatchPlan> => {
  const found = await lookUpBatch(ctx, tx, rows, claims);
  const plan = planBatch(rows, found);
  const unread = [...found.values()].flatMap((part) => part.unread ?? []);
  const sent = batchParts(ctx, plan, claims).flatMap((part) => sendStatements(ctx, tx, part.resource, part.statements));
  if (commit && sent.length > 0) {
    ctx.crashPoint('records.bulk.before-commit');
    tx.sendCommit?.();
  }
  await settleAll([...unread, ...sent]);
  return plan;
};

const countOutcomes = (ctx: StoreContext, rows: readonly PreparedRow[], outcomes: readonly RowOutcome[]): void => {
  const resources = new Map(rows.map((row) => [row.index, row.flat.resource]));
  const byResource = Map.groupBy(outcomes, (row) => resources.get(row.index));
  for (const [resource, group] of byResource)
    for (const [outcome, { length }] of Map.groupBy(group, (row) => row.outcome))
      ctx.metrics.count('records_writes', { resource: resource?.endpoint ?? '', outcome }, length);
};

/** Writes one batch in a transaction of its own; halves it when it fails for a reason that lies in a row. */
const writeBatch = async (
  ctx: StoreContext,
  rows: readonly PreparedRow[],
  claims: Claims | null,
): Promise<readonly RowOutcome[]> => {
  try {
    const plan = await transactionWithRetry(ctx.database, ctx.retry, ctx.retryObserver, (tx) =>
      runBatch(ctx, tx, rows, claims, true),
    );
    for (const group of plan.groups)
      ctx.afterCommit(
        group.resource,
        group.items.map((item) => item.documentId),
      );
    ctx.crashPoint('records.bulk.after-commit');
    countOutcomes(ctx, rows, plan.outcomes);
    return plan.outcomes;
  } catch (error) {
    const [first] = rows;
    if (first === undefined) throw error;
    const mapped = mapWriteFailure(error, first.flat.resource);
    if (!(mapped instanceof CaseboundError) || mapped.family !== 'permanent' || mapped.status >= 500) throw mapped;
    if (rows.length === 1) {
      const failed: RowOutcome = { index: first.index, outcome: 'failed', error: mapped };
      countOutcomes(ctx, rows, [failed]);
      return [failed];
    }
    const half = Math.ceil(rows.length / 2);
    return [
      ...(await writeBatch(ctx, rows.slice(0, half), claims)),
      ...(await writeBatch(ctx, rows.slice(half), claims)),
    ];
  }
};

interface Chunk {
  readonly rows: readonly PreparedRow[];
  readonly failed: readonly RowOutcome[];
}

/** Milliseconds of parsing before the event loop gets a turn. */
const maxSliceMs = 2;

async function* chunksOf(
  ctx: StoreContext,
  rows: AsyncIterable<BulkRow> | Iterable<BulkRow>,
  size: number,
): AsyncGenerator<Chunk> {
  let prepared: PreparedRow[] = [];
  let failed: RowOutcome[] = [];
  let index = 0;
  let yielded = performance.now();
  const ids = new ReferentialIds();
  for await (const some of inSlices(rows)) {
    for (const row of some) {
      // A stream that is in memory never waits, and the answers of the database would lie unread until the chunk is complete.
      if (performance.now() - yielded > maxSliceMs) {
        await nextTurn();
        yielded = performance.now();
      }
      const result = prepareRow(ctx, row, index, ids);
      index += 1;
      if ('flat' in result) prepared.push(result);
      else failed.push(result);
      if (prepared.length + failed.length < size) continue;
      yield { rows: prepared, failed };
      prepared = [];
      failed = [];
    }
  }
  if (prepared.length + failed.length > 0) yield { rows: prepared, failed };
}

/** What is in memory comes in one piece: a promise a row costs as much as some of the work on it. */
async function* inSlices(rows: AsyncIterable<BulkRow> | Iterable<BulkRow>): AsyncGenerator<Iterable<BulkRow>> {
  if (Symbol.iterator in rows) yield rows;
  else for await (const row of rows) yield [row];
}

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

const writeChunk = async (ctx: StoreContext, chunk: Chunk, claims: Claims | null): Promise<readonly RowOutcome[]> => {
  const outcomes: RowOutcome[] = [...chunk.failed];
  for (const batch of cutAtRepeats(chunk.rows)) outcomes.push(...(await writeBatch(ctx, batch, claims)));
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
      for (const batch of cutAtRepeats(chunk.rows))
        outcomes.push(...(await runBatch(ctx, tx, batch, claims, false)).outcomes);
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
    writing = writeChunk(ctx, chunk, claims);
    // Handled when it is awaited; until then it must not count as unhandled.
    writing.catch(() => undefined);
  }
  tally.add(await writing);
  return tally.summary;
};
