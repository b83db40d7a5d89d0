/**
 * Rows whose document is gone: edges, identities, rows of its tables. Whoever deletes documents through the store leaves none.
 *
 * - Ids are never used again, so what is an orphan once stays one: no lock is needed to say so.
 */
import { documentColumn } from '../ddl/emit-ddl.ts';
import { ownedTables } from '../ddl/owned-tables.ts';
import { quoteLiteral } from '../derive/naming.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import { sqlFailureOf } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import type { Damage } from './audit-documents.ts';

const orphanDamages = (rows: readonly Record<string, unknown>[]): readonly Damage[] =>
  rows.map((row) => ({
    kind: 'edge-extra' as const,
    documentId: Number(row['parent_document_id']),
    resource: '',
    detail: `child ${String(row['child_document_id'])}`,
    repairable: true,
  }));

/** Document ids behind the first, up to the second. */
export type IdRange = readonly [after: number, upTo: number];

/** Rows of a table whose document is gone, with a column that tells them apart. Repair deletes them. */
const rowsWithoutDocument = async (
  ctx: StoreContext,
  { table, document, shown }: { readonly table: string; readonly document: string; readonly shown: string },
  range: IdRange,
  repair: boolean,
): Promise<readonly Record<string, unknown>[]> =>
  ctx.database.transaction(async (tx) => {
    const name = ctx.writes.qualified(table);
    const orphan = `o.${document} > $1 AND o.${document} <= $2 AND NOT EXISTS (SELECT 1 FROM ${ctx.writes.qualified('document')} d WHERE d.document_id = o.${document})`;
    const { rows } = await tx.query(
      repair
        ? `DELETE FROM ${name} o WHERE ${orphan} RETURNING ${document}, ${shown}`
        : `SELECT ${document}, ${shown} FROM ${name} o WHERE ${orphan}`,
      [...range],
    );
    return rows;
  });

/** Edges of documents that are gone. */
export const orphanEdges = async (ctx: StoreContext, range: IdRange, repair: boolean): Promise<readonly Damage[]> => {
  const edges = { table: 'reference_edge', document: 'parent_document_id', shown: 'child_document_id' };
  return orphanDamages(await rowsWithoutDocument(ctx, edges, range, repair));
};

/** Identities of documents that are gone: they would keep the natural identity from whoever comes after. */
export const orphanIdentities = async (
  ctx: StoreContext,
  range: IdRange,
  repair: boolean,
): Promise<readonly Damage[]> => {
  const identities = { table: 'referential_identity', document: 'document_id', shown: 'referential_id' };
  const rows = await rowsWithoutDocument(ctx, identities, range, repair);
  return rows.map((row) => ({
    kind: 'identity-extra' as const,
    documentId: Number(row['document_id']),
    resource: '',
    detail: `identity ${String(row['referential_id'])} of a document that is gone`,
    repairable: true,
  }));
};

/** Ids and tables of rows that no document has, in a range of ids. */
const orphanRowsSql = (ctx: StoreContext): string =>
  ctx.memo('orphan rows', () =>
    [...ctx.model.resources.values()]
      .flatMap(ownedTables)
      .map((table) => {
        const column = documentColumn(table);
        return `SELECT DISTINCT t.${column} AS document_id, ${quoteLiteral(table.name)} AS place FROM ${ctx.writes.qualified(table.name)} t WHERE t.${column} > $1 AND t.${column} <= $2 AND NOT EXISTS (SELECT 1 FROM ${ctx.writes.qualified('document')} d WHERE d.document_id = t.${column})`;
      })
      .join(' UNION ALL '),
  );

/** Rows of documents that are gone. They are deleted unless records refer to them, which only a person can settle. */
export const orphanRows = async (ctx: StoreContext, range: IdRange, repair: boolean): Promise<readonly Damage[]> => {
  const { rows } = await ctx.database.transaction((tx) => tx.query(orphanRowsSql(ctx), [...range]));
  const columns = new Map(
    [...ctx.model.resources.values()].flatMap(ownedTables).map((table) => [table.name, documentColumn(table)]),
  );
  const damages: Damage[] = [];
  for (const [place, group] of Map.groupBy(rows, (row) => String(row['place']))) {
    const ids = group.map((row) => Number(row['document_id']));
    const kept = new Set(repair ? await deleteRows(ctx, place, columns.get(place) ?? '', ids) : []);
    for (const documentId of ids)
      damages.push({
        kind: 'row-extra',
        documentId,
        resource: '',
        detail: `row of ${place}`,
        repairable: !kept.has(documentId),
      });
  }
  return damages;
};

/** Deletes rows, all at once where nothing refers to them. @returns the documents of those that something refers to */
const deleteRows = async (
  ctx: StoreContext,
  table: string,
  column: string,
  ids: readonly number[],
): Promise<readonly number[]> => {
  try {
    await ctx.database.transaction((tx) =>
      tx.query(`DELETE FROM ${ctx.writes.qualified(table)} WHERE ${column} = ANY($1::bigint[])`, [arrayLiteral(ids)]),
    );
    return [];
  } catch (error) {
    if (sqlFailureOf(error)?.sqlState !== '23503') throw error;
    if (ids.length === 1) return ids;
    const half = Math.ceil(ids.length / 2);
    return [
      ...(await deleteRows(ctx, table, column, ids.slice(0, half))),
      ...(await deleteRows(ctx, table, column, ids.slice(half))),
    ];
  }
};

/** Looks at edges from a random place on for some whose document is gone. */
export const sampleOrphanEdges = async (
  ctx: StoreContext,
  size: number,
  repair: boolean,
): Promise<readonly Damage[]> => {
  const edge = ctx.writes.qualified('reference_edge');
  const damages = await ctx.database.transaction(async (tx) => {
    const { rows } = await tx.query(
      `SELECT e.parent_document_id, e.child_document_id
       FROM (SELECT floor(random() * (coalesce(max(parent_document_id), 0) + 1))::bigint AS pivot FROM ${edge} OFFSET 0) p,
       LATERAL (SELECT parent_document_id, child_document_id FROM ${edge} WHERE parent_document_id >= p.pivot ORDER BY parent_document_id LIMIT $1) e
       WHERE NOT EXISTS (SELECT 1 FROM ${ctx.writes.qualified('document')} d WHERE d.document_id = e.parent_document_id)`,
      [size],
    );
    return orphanDamages(rows);
  });
  const [first] = damages;
  if (!repair || first === undefined) return damages;
  const last = Math.max(...damages.map((damage) => damage.documentId));
  return orphanEdges(ctx, [first.documentId - 1, last], true);
};
