/**
 * What a write comes to, decided: documents one by one as items, and new ones by column, which is how they are bound.
 */
import type { Resource, Table } from '../derive/model.ts';
import { type BoundColumns, type BoundRow, columnsOfRows } from '../plan/bound-columns.ts';
import { type Edge, edgeColumns, type EdgeColumns, type IdentityColumns } from '../plan/write-sql.ts';
import type { StoreContext } from '../store-context.ts';
import type { FlatDocument, FlatRow } from './flatten-document.ts';
import type { ExistingDocument } from './look-up.ts';

/** One document to write, decided: new, or a changed one with what it was. */
export interface WriteItem {
  readonly flat: FlatDocument;
  readonly documentId: number;
  readonly uuid: string;
  readonly existing: ExistingDocument | null;
}

/** Referential id -> document id, for everything the items refer to. */
export interface Resolution {
  get(referentialId: string): number | undefined;
}

/** New documents of one resource, by column: of a batch that knows them in no other form. */
export interface FreshDocuments {
  readonly documentIds: readonly number[];
  readonly uuids: readonly string[];
  readonly identities: IdentityColumns;
  readonly rows: ReadonlyMap<Table, BoundColumns>;
  readonly edges: EdgeColumns;
  /** What they refer to and could have been renamed or replaced since it was resolved. */
  readonly rechecked: ReadonlyMap<string, number>;
}

export const bindRow = (
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

/** One edge for each document that an item refers to, however often; no document is two items. */
export const edgesOf = (items: readonly WriteItem[], resolution: Resolution): Edge[] => {
  const edges: Edge[] = [];
  const isIdentity = new Map<number, boolean>();
  for (const item of items) {
    isIdentity.clear();
    for (const reference of item.flat.references) {
      const { reference: binding } = reference.column;
      const child = resolution.get(reference.referentialId);
      if (binding === null || child === undefined) continue;
      isIdentity.set(child, binding.isIdentity || isIdentity.get(child) === true);
    }
    for (const [child, identity] of isIdentity) edges.push({ parent: item.documentId, child, isIdentity: identity });
  }
  return edges;
};

/** The identities of new documents; `aliasId` is null where a document has none. */
export const identityColumns = (
  ctx: StoreContext,
  resource: Resource,
  documentIds: readonly number[],
  own: readonly string[],
  aliases: readonly (string | null)[],
): IdentityColumns => {
  const key = ctx.resourceKey(resource.name);
  const all = { referentialIds: [...own], documentIds: [...documentIds], resourceKeyIds: own.map(() => key) };
  const { alias } = resource;
  if (alias === null) return all;
  const aliasKey = ctx.resourceKey(alias.target);
  for (const [at, id] of aliases.entries()) {
    if (id === null) continue;
    all.referentialIds.push(id);
    all.documentIds.push(documentIds[at] ?? 0);
    all.resourceKeyIds.push(aliasKey);
  }
  return all;
};

/** What the items refer to and could have been renamed or replaced since it was resolved. */
export const recheckedOf = (items: readonly WriteItem[], resolution: Resolution): Map<string, number> => {
  const seen = new Map<string, number>();
  for (const item of items) {
    for (const { referentialId, column } of item.flat.references) {
      const documentId = resolution.get(referentialId);
      if (column.reference?.isMutable === true && documentId !== undefined) seen.set(referentialId, documentId);
    }
  }
  return seen;
};

/** New items by column. */
export const freshOf = (
  ctx: StoreContext,
  resource: Resource,
  items: readonly WriteItem[],
  resolution: Resolution,
): FreshDocuments => {
  const documentIds = items.map((item) => item.documentId);
  const rows = new Map<Table, BoundColumns>();
  for (const { table, referring } of ctx.flatPlan(resource).tables) {
    const bound: BoundRow[] = [];
    for (const { flat, documentId } of items)
      for (const row of flat.rows.get(table) ?? []) bound.push(bindRow(referring, documentId, row, resolution));
    if (bound.length > 0) rows.set(table, columnsOfRows(table, bound));
  }
  return {
    documentIds,
    uuids: items.map((item) => item.uuid),
    identities: identityColumns(
      ctx,
      resource,
      documentIds,
      items.map((item) => item.flat.referentialId),
      items.map((item) => item.flat.aliasId),
    ),
    rows,
    edges: edgeColumns(edgesOf(items, resolution)),
    rechecked: recheckedOf(items, resolution),
  };
};
