/**
 * The second round trip of a write: from decided changes to the list of statements, for one document or thousands.
 *
 * - Single writes and the bulk path come through here with the same items, so they cannot differ.
 * - Order: locks on what is referred to; guarded etags; documents; identities; deleted rows; rows, parents before children;
 *   edges; the second look at what was resolved. Foreign keys are checked by the statement that writes them.
 */
import type { Resource, Table } from '../derive/model.ts';
import { type BoundRow, type DescriptorExtra, type Edge, type Statement } from '../plan/write-sql.ts';
import type { StoreContext } from '../store-context.ts';
import { diffDocuments, edgesDiffer } from './diff-rows.ts';
import { type FlatDocument, type FlatRow, flatTables } from './flatten-document.ts';
import type { ExistingDocument } from './look-up.ts';

/** One document to write, decided: new, or a changed one with what it was. */
export interface WriteItem {
  readonly flat: FlatDocument;
  readonly documentId: number;
  readonly uuid: string;
  readonly existing: ExistingDocument | null;
}

/** Referential id -> document id, for everything the items refer to. */
export type Resolution = ReadonlyMap<string, number>;

interface TableRows {
  readonly referring: readonly number[];
  readonly inserts: BoundRow[];
  readonly updates: BoundRow[];
  readonly deletes: BoundRow[];
  /** Documents whose rows in a table keyed by reference are replaced as a set, with those rows. */
  readonly replaced: { readonly documentIds: number[]; readonly rows: BoundRow[] };
}

/** Places of a table's columns that hold references; most tables refer to nothing, and their cells are what they are. */
const referringColumns = (table: Table): readonly number[] =>
  table.columns.flatMap((column, index) => (column.kind === 'scalar' ? [] : [index]));

const bindRow = (
  referring: readonly number[],
  documentId: number,
  { ordinals, cells }: FlatRow,
  resolution: Resolution,
): BoundRow => {
  if (referring.length === 0) return { documentId, ordinals, cells };
  const bound = [...cells];
  for (const index of referring) {
    const cell = cells[index];
    if (typeof cell === 'string') bound[index] = resolution.get(cell) ?? null;
  }
  return { documentId, ordinals, cells: bound };
};

const collectRows = (
  resource: Resource,
  items: readonly WriteItem[],
  resolution: Resolution,
): ReadonlyMap<Table, TableRows> => {
  const byTable = new Map<Table, TableRows>(
    flatTables(resource).map((table) => [
      table,
      {
        referring: referringColumns(table),
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
        const list = item.existing !== null && table.kind === 'root' ? target?.updates : target?.inserts;
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

/** One edge for each document that an item refers to, however often; no document is two items. */
const edgesOf = (items: readonly WriteItem[], resolution: Resolution): Edge[] => {
  const edges: Edge[] = [];
  const isIdentity = new Map<number, boolean>();
  for (const item of items) {
    isIdentity.clear();
    for (const reference of item.flat.references) {
      const child = resolution.get(reference.referentialId);
      if (reference.kind === 'descriptor' || child === undefined) continue;
      isIdentity.set(child, reference.isIdentity || isIdentity.get(child) === true);
    }
    for (const [child, identity] of isIdentity) edges.push({ parent: item.documentId, child, isIdentity: identity });
  }
  return edges;
};

const identityRows = (
  ctx: StoreContext,
  items: readonly WriteItem[],
): { referentialId: string; documentId: number; resourceKeyId: number }[] =>
  items.flatMap(({ flat, documentId }) => {
    const own = { referentialId: flat.referentialId, documentId, resourceKeyId: ctx.resourceKey(flat.resource.name) };
    const { alias } = flat.resource;
    if (alias === null || flat.aliasId === null) return [own];
    return [own, { referentialId: flat.aliasId, documentId, resourceKeyId: ctx.resourceKey(alias.target) }];
  });

/** What the items refer to and could have been renamed or replaced since it was resolved. */
const recheckOf = (ctx: StoreContext, items: readonly WriteItem[], resolution: Resolution): Statement | null => {
  const own = new Set(items.map((item) => item.documentId));
  const seen = new Map<string, number>();
  for (const item of items) {
    for (const reference of item.flat.references) {
      const documentId = resolution.get(reference.referentialId);
      if (reference.isMutable && documentId !== undefined && !own.has(documentId))
        seen.set(reference.referentialId, documentId);
    }
  }
  return seen.size === 0 ? null : ctx.writes.recheck([...seen.keys()], [...seen.values()]);
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
}

/** The statements that write items of one resource. Every item has a change. */
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
  const edges = edgesOf([...created, ...rewired], resolution);

  if (options.skipLocks !== true && (rewired.length > 0 || created.length > 1)) {
    const own = new Set(created.map((item) => item.documentId));
    const hubs = [...new Set(edges.map((edge) => edge.child))].filter((id) => !own.has(id)).sort((a, b) => a - b);
    if (hubs.length > 0) statements.push(writes.lockReferenced(hubs));
  }
  if (updated.length > 0 && options.skipEtags !== true) {
    statements.push(
      writes.bumpGuarded(
        updated.map((item) => item.documentId),
        updated.map((item) => item.existing?.etag ?? 0),
      ),
    );
  }
  const inserts: Statement[] = [];
  if (created.length > 0) {
    inserts.push(
      writes.insertDocuments(
        created.map((item) => item.documentId),
        created.map((item) => item.uuid),
        ctx.resourceKey(resource.name),
      ),
      writes.insertIdentities(identityRows(ctx, created)),
    );
  }
  // With updates in the group, the order of deletes and inserts counts. Without, the inserts of one document are one statement; those
  // of many are sent one by one, so that the database works on the first while the values of the next are being made.
  const onlyInserts = updated.length === 0;
  if (!onlyInserts) statements.push(...inserts, ...staleDocuments(ctx, resource, updated));
  const rows = collectRows(resource, items, resolution);
  const extra: DescriptorExtra | null = resource.isDescriptor
    ? { resourceKeyId: ctx.resourceKey(resource.name), discriminator: resource.name.resourceName }
    : null;
  for (const [table, change] of [...rows].reverse()) {
    if (change.deletes.length > 0) statements.push(writes.deleteRows(table, change.deletes));
  }
  for (const [table, change] of rows) {
    const update = change.updates.length > 0 ? writes.updateRows(table, change.updates) : null;
    if (update !== null) statements.push(update);
    if (change.inserts.length > 0)
      (onlyInserts ? inserts : statements).push(writes.insertRows(table, change.inserts, extra));
    const { documentIds, rows: replacing } = change.replaced;
    if (documentIds.length > 0) statements.push(...writes.replaceRows(table, documentIds, replacing));
  }
  const createdIds = new Set(created.map((item) => item.documentId));
  const newEdges = edges.filter((edge) => createdIds.has(edge.parent));
  if (newEdges.length > 0) (onlyInserts ? inserts : statements).push(writes.insertEdges(newEdges));
  if (onlyInserts) statements.push(...(created.length === 1 ? writes.mergeInserts(inserts) : inserts));
  if (rewired.length > 0) {
    statements.push(
      ...writes.replaceEdges(
        rewired.map((item) => item.documentId),
        edges.filter((edge) => !createdIds.has(edge.parent)),
      ),
    );
  }
  const recheck = recheckOf(ctx, items, resolution);
  if (recheck !== null) statements.push(recheck);
  return statements;
};
