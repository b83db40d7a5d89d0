/** The edges that the reference columns of documents call for: the one definition, used by audit and repair. */
import { documentColumn } from '../ddl/emit-ddl.ts';
import type { Resource } from '../derive/model.ts';
import { quoteIdentifier } from '../derive/naming.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import type { Edge } from '../plan/write-sql.ts';
import type { RecordTransaction } from '../session.ts';
import type { StoreContext } from '../store-context.ts';

/** `SELECT parent, child, ident` for the documents in `$1`; one row a pair. */
export const expectedEdgesSql = (ctx: StoreContext, resource: Resource): string =>
  ctx.memo(`expected edges ${resource.projectEndpoint}/${resource.endpoint}`, () => {
    const selects = resource.tables.flatMap((table) =>
      table.columns
        .filter((column) => column.reference !== null)
        .map((column) => {
          const owner = quoteIdentifier(documentColumn(table));
          const child = quoteIdentifier(column.name);
          return `SELECT ${owner} AS parent, ${child} AS child, ${column.reference?.isIdentity === true} AS ident FROM ${ctx.writes.qualified(table.name)} WHERE ${owner} = ANY($1::bigint[]) AND ${child} IS NOT NULL`;
        }),
    );
    if (selects.length === 0)
      return 'SELECT NULL::bigint AS parent, NULL::bigint AS child, false AS ident WHERE cardinality($1::bigint[]) < 0';
    return `SELECT parent, child, bool_or(ident) AS ident FROM (${selects.join(' UNION ALL ')}) e GROUP BY parent, child`;
  });

export const expectedEdgesOf = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  documentIds: readonly number[],
): Promise<readonly Edge[]> => {
  const { rows } = await tx.query(expectedEdgesSql(ctx, resource), [arrayLiteral(documentIds)]);
  return rows.map((row) => ({
    parent: Number(row['parent']),
    child: Number(row['child']),
    isIdentity: row['ident'] === true,
  }));
};
