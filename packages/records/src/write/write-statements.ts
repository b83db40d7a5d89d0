/**
 * The second round trip of a write: from decided changes to the list of statements, for one document or thousands.
 *
 * - Single writes and the bulk path come through here with the same items, so they cannot differ.
 * - Order: locks on what is referred to; guarded etags; documents; identities; deleted rows; rows, parents before children;
 *   edges; the second look at what was resolved. Foreign keys are checked by the statement that writes them.
 */
import type { Resource, Table } from '../derive/model.ts';
import { type BoundColumns, type BoundRow, columnsOfRows, concatColumns } from '../plan/bound-columns.ts';
import type { DescriptorExtra, Edge, Statement } from '../plan/write-sql.ts';
import type { StoreContext } from '../store-context.ts';
import { diffDocuments, edgesDiffer } from './diff-rows.ts';
import type { FlatPlan } from './flat-plan.ts';
import type { FlatRow } from './flatten-document.ts';
import {
  bindRow,
  edgesOf,
  type FreshDocuments,
  freshOf,
  recheckedOf,
  type Resolution,
  type WriteItem,
} from './write-items.ts';

interface TableRows {
  readonly referring: readonly number[];
  readonly inserts: BoundRow[];
  readonly updates: BoundRow[];
  readonly deletes: BoundRow[];
  /** Documents whose rows in a table keyed by reference are replaced as a set, with those rows. */
  readonly replaced: { readonly documentIds: number[]; readonly rows: BoundRow[] };
}

/** What changes in the rows of documents that exist. */
const collectRows = (
  plan: FlatPlan,
  items: readonly WriteItem[],
  resolution: Resolution,
): ReadonlyMap<Table, TableRows> => {
  const byTable = new Map<Table, TableRows>(
    plan.tables.map(({ table, referring }) => [
      table,
      {
        referring,
        inserts: [],
        updates: [],
        deletes: [],
        replaced: { documentIds: [], rows: [] },
      },
    ]),
  );
  for (const item of items) {
    const before = item.existing?.before ?? null;
    const bind = (target: TableRows | undefined, row: FlatRow): BoundRow =>
      bindRow(target?.referring ?? [], item.documentId, row, resolution);
    if (before === null) {
      for (const [table, rows] of item.flat.rows) {
        const target = byTable.get(table);
        // An unreadable old form is overwritten: its root row is updated, its collections were deleted by `staleDocuments`.
        const list = table.kind === 'root' ? target?.updates : target?.inserts;
        for (const row of rows) list?.push(bind(target, row));
      }
      continue;
    }
    for (const change of diffDocuments(before, item.flat)) {
      const target = byTable.get(change.table);
      if (change.table.valueKey !== null) {
        target?.replaced.documentIds.push(item.documentId);
        const rows = item.flat.rows.get(change.table) ?? [];
        target?.replaced.rows.push(...rows.map((row) => bind(target, row)));
        continue;
      }
      for (const row of change.inserts) target?.inserts.push(bind(target, row));
      for (const row of change.updates) target?.updates.push(bind(target, row));
      for (const row of change.deletes) target?.deletes.push(bind(target, row));
    }
  }
  return byTable;
};

/** Deletes the collection rows of documents whose stored form cannot be compared. */
const staleDocuments = (ctx: StoreContext, resource: Resource, items: readonly WriteItem[]): Statement[] => {
  const ids = items
    .filter((item) => item.existing !== null && item.existing.before === null)
    .map((item) => item.documentId);
  if (ids.length === 0) return [];
  return resource.tables
    .filter((table) => table.kind !== 'root' && table.parent?.kind === 'root')
    .map((table) => ({
      text: `DELETE FROM ${ctx.writes.qualified(table.name)} WHERE root_document_id = ANY($1::bigint[])`,
      values: [ids],
    }));
};

export interface BuildOptions {
  /** The document is locked already and its etag is guarded by the change of identity. */
  readonly skipEtags?: boolean;
  /** The batch has locked what its items refer to. */
  readonly skipLocks?: boolean;
  /** New documents besides the items, none of which is new then. */
  readonly fresh?: FreshDocuments | null;
}

/**
 * Looks again at what is referred to, but for what the group makes, and records of its own that are referred to by the identity under
 * which they are written. One that was resolved by another identity is looked at: who had it was read before what the records say.
 */
const recheckStatement = (
  ctx: StoreContext,
  fresh: FreshDocuments | null,
  updated: readonly WriteItem[],
  resolution: Resolution,
): Statement | null => {
  const rechecked =
    updated.length === 0
      ? (fresh?.rechecked ?? new Map<string, number>())
      : new Map([...(fresh?.rechecked ?? []), ...recheckedOf(updated, resolution)]);
  if (rechecked.size === 0) return null;
  const made = new Set(fresh?.documentIds ?? []);
  const written = new Map(
    updated.flatMap(({ flat, documentId }) => [
      [flat.referentialId, documentId],
      [flat.aliasId ?? '', documentId],
    ]),
  );
  const others = [...rechecked].filter(([id, documentId]) => !made.has(documentId) && written.get(id) !== documentId);
  if (others.length === 0) return null;
  return ctx.writes.recheck(
    others.map(([referentialId]) => referentialId),
    others.map(([, documentId]) => documentId),
  );
};

/** Locks what the group refers to and does not make. */
const lockStatement = (
  ctx: StoreContext,
  fresh: FreshDocuments | null,
  rewiredEdges: readonly Edge[],
): Statement | null => {
  const own = new Set(fresh?.documentIds ?? []);
  const children = [...(fresh?.edges.children ?? []), ...rewiredEdges.map((edge) => edge.child)];
  const hubs = [...new Set(children)].filter((id) => !own.has(id)).sort((a, b) => a - b);
  return hubs.length === 0 ? null : ctx.writes.lockReferenced(hubs);
};

/** The rows of new documents and those that updated ones get, in one INSERT a table. */
const insertedRows = (table: Table, fresh: FreshDocuments | null, change: TableRows | null): BoundColumns | null => {
  const created = fresh?.rows.get(table) ?? null;
  if (change === null || change.inserts.length === 0) return created;
  const added = columnsOfRows(table, change.inserts);
  return created === null ? added : concatColumns(created, added);
};

/** The statements that write items of one resource, every one with a change. New ones are among them, or come as `fresh` columns. */
export const buildStatements = (
  ctx: StoreContext,
  resource: Resource,
  items: readonly WriteItem[],
  resolution: Resolution,
  options: BuildOptions = {},
): readonly Statement[] => {
  const { writes } = ctx;
  const statements: Statement[] = [];
  const created = items.filter((item) => item.existing === null);
  const updated = items.filter((item) => item.existing !== null);
  const rewired = updated.filter(
    (item) => item.existing === null || item.existing.before === null || edgesDiffer(item.existing.before, item.flat),
  );
  const fresh = options.fresh ?? (created.length === 0 ? null : freshOf(ctx, resource, created, resolution));
  const newIds = fresh?.documentIds ?? [];
  const rewiredEdges = edgesOf(rewired, resolution);

  const needsLock = options.skipLocks !== true && (rewired.length > 0 || newIds.length > 1);
  const lock = needsLock ? lockStatement(ctx, fresh, rewiredEdges) : null;
  if (lock !== null) statements.push(lock);
  if (updated.length > 0 && options.skipEtags !== true) {
    statements.push(
      writes.bumpGuarded(
        updated.map((item) => item.documentId),
        updated.map((item) => item.existing?.etag ?? 0),
      ),
    );
  }
  // With updates in the group, the order of deletes and inserts counts. Without, the inserts of one document are one statement; those
  // of many are sent one by one, so that the database works on the first while the values of the next are being made.
  const onlyInserts = updated.length === 0;
  const inserts: Statement[] = onlyInserts ? [] : statements;
  if (fresh !== null) {
    inserts.push(
      writes.insertDocuments(newIds, fresh.uuids, ctx.resourceKey(resource.name)),
      writes.insertIdentityColumns(fresh.identities),
    );
  }
  if (!onlyInserts) statements.push(...staleDocuments(ctx, resource, updated));
  const plan = ctx.flatPlan(resource);
  const changes = onlyInserts ? null : collectRows(plan, updated, resolution);
  const extra: DescriptorExtra | null = resource.isDescriptor
    ? { resourceKeyId: ctx.resourceKey(resource.name), discriminator: resource.name.resourceName }
    : null;
  for (const [table, change] of [...(changes ?? [])].reverse()) {
    if (change.deletes.length > 0) statements.push(writes.deleteRows(table, change.deletes));
  }
  for (const { table } of plan.tables) {
    const change = changes?.get(table) ?? null;
    const update = change !== null && change.updates.length > 0 ? writes.updateRows(table, change.updates) : null;
    if (update !== null) statements.push(update);
    const added = insertedRows(table, fresh, change);
    if (added !== null) inserts.push(writes.insertRows(table, added, extra));
    if (change !== null && change.replaced.documentIds.length > 0)
      statements.push(...writes.replaceRows(table, change.replaced.documentIds, change.replaced.rows));
  }
  if (fresh !== null && fresh.edges.parents.length > 0) inserts.push(writes.insertEdges(fresh.edges));
  if (onlyInserts) statements.push(...(newIds.length === 1 ? writes.mergeInserts(inserts) : inserts));
  if (rewired.length > 0) {
    statements.push(
      ...writes.replaceEdges(
        rewired.map((item) => item.documentId),
        rewiredEdges,
      ),
    );
  }
  const recheck = recheckStatement(ctx, fresh, updated, resolution);
  if (recheck !== null) statements.push(recheck);
  return statements;
};
